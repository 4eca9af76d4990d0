//! Secrets at rest: each under a random key of its own, and that key wrapped by what the operator trusts.
//!
//! A sealed secret is
//!
//! ```text
//! magic    8   "quorseal"
//! version  1   2
//! method   1   what wraps the key: 1 a passphrase, 2 a PKCS#11 token; 16 to 31 are kept for cloud key services
//! context  2 + n   length, then what the secret is and whose
//! wrapped  2 + n   length, then the random key, wrapped by the method
//! sealed   n   AES-256-GCM ciphertext under the random key, and its 16-byte tag
//! ```
//!
//! The context ("crypto-node/alpha/share/KEY/1/2") is authenticated twice, with the wrapped key and with the secret: a file
//! copied to another place does not open there. The method is authenticated with the wrapped key only, so that
//! [`rewrap`] changes the seal without touching the secret. The random key encrypts once, and so does a key derived from a
//! passphrase with its own salt; their nonce is twelve zero bytes.
//!
//! [`KeyWrap`] is the one interface. A key service of a cloud fits behind it: it encrypts and decrypts the 32 bytes with
//! its own key, and is given the associated data as its encryption context.
//!
//! Version 1, sealed under a passphrase directly, still opens ([`version1`]); nothing writes it any more.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use rand_core::{CryptoRng, CryptoRngCore, RngCore};
use zeroize::Zeroizing;

mod passphrase;
mod settings;
#[cfg(test)]
mod tests;
#[cfg(feature = "pkcs11")]
pub mod token;
pub mod version1;

pub use passphrase::{Passphrase, PassphraseError, SecretSource, credentials_directory};
pub use settings::{SealConfig, SettingsError};

const MAGIC: &[u8; 8] = b"quorseal";
const VERSION: u8 = 2;
/// The longest context, and the longest wrapped key.
const MAX_FIELD: usize = 1024;
const KEY: usize = 32;

/// The key of one sealed secret, wiped when dropped.
pub type SecretKey = Zeroizing<[u8; KEY]>;

/// What wraps the key of a sealed secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A passphrase, from a file, from a systemd credential or from a person.
    Passphrase,
    /// A key that stays in a PKCS#11 token.
    Token,
}

impl Method {
    const fn number(self) -> u8 {
        match self {
            Self::Passphrase => 1,
            Self::Token => 2,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Passphrase, Self::Token]
            .into_iter()
            .find(|method| method.number() == number)
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passphrase => "a passphrase",
            Self::Token => "a PKCS#11 token",
        })
    }
}

/// Wraps and unwraps the random keys of sealed secrets. Both may block, for a tenth of a second or for a network.
pub trait KeyWrap: Send + Sync {
    /// Which method this is.
    fn method(&self) -> Method;

    /// Wraps a key, bound to the associated data; at most 1024 bytes.
    ///
    /// # Errors
    /// When what wraps cannot be reached or used.
    fn wrap(
        &self,
        key: &SecretKey,
        associated: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Vec<u8>, SealError>;

    /// Unwraps what [`KeyWrap::wrap`] gave, with the same associated data.
    ///
    /// # Errors
    /// [`SealError::Refused`] for anything else.
    fn unwrap(&self, wrapped: &[u8], associated: &[u8]) -> Result<SecretKey, SealError>;

    /// The passphrase, where that is what wraps: secrets of version 1 open with nothing else.
    fn passphrase(&self) -> Option<&Passphrase> {
        None
    }
}

impl std::fmt::Debug for dyn KeyWrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyWrap({})", self.method())
    }
}

/// Why a secret was not sealed or did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The bytes are not a sealed secret of a version known here.
    #[error("not a sealed secret, or sealed by a newer version")]
    NotSealed,
    /// The secret is another one, or somebody else's.
    #[error("it is sealed for {found}, not for {expected}: this file belongs elsewhere")]
    Elsewhere {
        /// What it says it is sealed for.
        found: String,
        /// What was to be opened.
        expected: String,
    },
    /// It is sealed by another method than the one given.
    #[error("it is sealed by {found}, and {given} was given: correct the seal in the configuration")]
    OtherMethod {
        /// What it says it is sealed by.
        found: Method,
        /// What was to open it.
        given: Method,
    },
    /// Wrong passphrase or token, or damaged bytes: these cannot be told apart.
    #[error(
        "the passphrase or the token's key is wrong, or the sealed secret is damaged or belongs elsewhere"
    )]
    Refused,
    /// The key could not be derived, which is a want of memory.
    #[error("cannot derive the sealing key (is there 32 MiB of free memory?)")]
    Derivation,
    /// The context is empty, overlong or not plain text, which is a mistake of the caller.
    #[error("a sealed secret's context is 1 to {MAX_FIELD} printable characters")]
    Context,
    /// A secret of version 1 was to change its seal without being opened.
    #[error("sealed by version 1, whose seal cannot be changed alone: open the secret and seal it again")]
    Version1,
    /// The token did not do what was asked.
    #[error("PKCS#11 token: {0}")]
    Token(String),
}

/// A sealed secret, taken apart; nothing is authenticated yet.
struct Parts<'a> {
    method: Method,
    context: &'a str,
    wrapped: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn parse(blob: &'a [u8]) -> Result<Self, SealError> {
        let rest = blob
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.strip_prefix(&[VERSION]));
        let (method, rest) = rest.and_then(<[u8]>::split_first).ok_or(SealError::NotSealed)?;
        let (context, rest) = field(rest).ok_or(SealError::NotSealed)?;
        let (wrapped, sealed) = field(rest).ok_or(SealError::NotSealed)?;
        let context = std::str::from_utf8(context).map_err(|_| SealError::NotSealed)?;
        check_context(context).map_err(|_| SealError::NotSealed)?;
        Ok(Self {
            method: Method::from_number(*method).ok_or(SealError::NotSealed)?,
            context,
            wrapped,
            sealed,
        })
    }

    fn write(&self) -> Result<Vec<u8>, SealError> {
        let mut blob = [MAGIC.as_slice(), &[VERSION, self.method.number()]].concat();
        for bytes in [self.context.as_bytes(), self.wrapped] {
            let length = u16::try_from(bytes.len())
                .ok()
                .filter(|_| bytes.len() <= MAX_FIELD);
            blob.extend_from_slice(&length.ok_or(SealError::Context)?.to_be_bytes());
            blob.extend_from_slice(bytes);
        }
        blob.extend_from_slice(self.sealed);
        Ok(blob)
    }

    fn key(&self, seal: &dyn KeyWrap) -> Result<SecretKey, SealError> {
        let given = seal.method();
        if self.method != given {
            return Err(SealError::OtherMethod {
                found: self.method,
                given,
            });
        }
        seal.unwrap(self.wrapped, &key_associated(given, self.context))
    }

    fn open(&self, key: &SecretKey) -> Result<Zeroizing<Vec<u8>>, SealError> {
        decrypt(key, self.sealed, &secret_associated(self.context))
    }
}

/// A length of two bytes, then so many.
fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    (length <= MAX_FIELD).then(|| rest.split_at_checked(length))?
}

fn check_context(context: &str) -> Result<(), SealError> {
    let plain = context.bytes().all(|byte| byte.is_ascii_graphic());
    if plain && (1..=MAX_FIELD).contains(&context.len()) {
        Ok(())
    } else {
        Err(SealError::Context)
    }
}

/// Seals `secret` for `context`. Blocks.
///
/// # Errors
/// When the key cannot be wrapped, or the context is not plain text.
pub fn seal(
    seal: &dyn KeyWrap,
    context: &str,
    secret: &[u8],
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Vec<u8>, SealError> {
    check_context(context)?;
    let mut key = SecretKey::default();
    rng.fill_bytes(key.as_mut());
    let method = seal.method();
    let wrapped = seal.wrap(&key, &key_associated(method, context), rng)?;
    let sealed = encrypt(&key, secret, &secret_associated(context))?;
    let parts = Parts {
        method,
        context,
        wrapped: &wrapped,
        sealed: &sealed,
    };
    parts.write()
}

/// Opens a secret that was sealed for the same `context` with the same seal. Blocks.
///
/// # Errors
/// Says what does not fit; nothing is returned of a secret with a single wrong bit.
pub fn open(seal: &dyn KeyWrap, context: &str, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    if version1::is(blob) {
        let passphrase = seal.passphrase().ok_or(SealError::OtherMethod {
            found: Method::Passphrase,
            given: seal.method(),
        })?;
        return version1::open(passphrase, context, blob);
    }
    let parts = Parts::parse(blob)?;
    if parts.context != context {
        return Err(SealError::Elsewhere {
            found: parts.context.to_owned(),
            expected: context.to_owned(),
        });
    }
    parts.open(&parts.key(seal)?)
}

/// Whether a secret opens with this seal, wherever it belongs. Blocks.
///
/// # Errors
/// Says what does not fit; [`SealError::Version1`] for a secret of that version, whose place is not in it.
pub fn check(seal: &dyn KeyWrap, blob: &[u8]) -> Result<(), SealError> {
    if version1::is(blob) {
        return Err(SealError::Version1);
    }
    let parts = Parts::parse(blob)?;
    parts.open(&parts.key(seal)?).map(drop)
}

/// The same secret, for the same context, under another seal. Blocks.
///
/// The secret has to open, before and after, so that neither a damaged one nor a seal that does not work replaces
/// one that does.
///
/// # Errors
/// [`SealError::Version1`] for a secret of that version; as [`open`] and [`seal`] otherwise.
pub fn rewrap(
    blob: &[u8],
    old: &dyn KeyWrap,
    new: &dyn KeyWrap,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Vec<u8>, SealError> {
    if version1::is(blob) {
        return Err(SealError::Version1);
    }
    let parts = Parts::parse(blob)?;
    let key = parts.key(old)?;
    parts.open(&key)?;
    let method = new.method();
    let wrapped = new.wrap(&key, &key_associated(method, parts.context), rng)?;
    let rewrapped = Parts {
        method,
        wrapped: &wrapped,
        ..parts
    };
    rewrapped.open(&rewrapped.key(new)?)?;
    rewrapped.write()
}

/// What the wrapped key is bound to. Everything before the context has a fixed length, so that nothing runs together.
fn key_associated(method: Method, context: &str) -> Vec<u8> {
    [MAGIC.as_slice(), &[VERSION, method.number()], context.as_bytes()].concat()
}

/// What the secret is bound to: not the method, which may change.
fn secret_associated(context: &str) -> Vec<u8> {
    [MAGIC.as_slice(), &[VERSION], context.as_bytes()].concat()
}

/// Encrypts under a key that encrypts only this.
fn encrypt(key: &SecretKey, msg: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
    Aes256Gcm::new(&(**key).into())
        .encrypt(&Nonce::default(), Payload { msg, aad })
        .map_err(|_| SealError::Derivation)
}

fn decrypt(key: &SecretKey, msg: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    Aes256Gcm::new(&(**key).into())
        .decrypt(&Nonce::default(), Payload { msg, aad })
        .map(Zeroizing::new)
        .map_err(|_| SealError::Refused)
}
