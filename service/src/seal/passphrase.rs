//! A passphrase, where it comes from, and how it wraps a key.
//!
//! ```text
//! wrapped  salt (16) ‖ AES-256-GCM ciphertext of the key (32) and its tag (16)
//! ```
//!
//! The wrapping key is Argon2id (version 0x13) of the passphrase and the salt with 32 MiB, three passes, one lane: what
//! the method means, and never read from a file, so that nobody who can write one chooses the cost.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use rand_core::CryptoRngCore;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KEY, KeyWrap, Method, SealError, SecretKey, decrypt, encrypt};

pub(super) const SALT: usize = 16;
const MEMORY_KIB: u32 = 32 * 1024;
const PASSES: u32 = 3;
const MAX_PASSPHRASE: usize = 1024;
/// Where systemd says that it has put a service's credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// A passphrase or a token's PIN, wiped when dropped and never shown.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Where a passphrase or a PIN is read from. The place is no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SecretSource {
    /// A file that only its owner can use.
    File(PathBuf),
    /// A credential that systemd gives to this service (`LoadCredentialEncrypted=`), by its name.
    Credential(String),
}

/// The directory in which systemd keeps the credentials of this service, if it has any.
#[must_use]
pub fn credentials_directory() -> Option<PathBuf> {
    std::env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from)
}

impl SecretSource {
    /// Reads the secret; credentials are in the directory given, which is [`credentials_directory`] in a daemon.
    ///
    /// # Errors
    /// Says what is wrong with the file or the credential.
    pub fn read(&self, credentials: Option<&Path>) -> Result<Passphrase, PassphraseError> {
        match self {
            Self::File(path) => Passphrase::from_file(path),
            Self::Credential(name) => {
                let is_name = !name.contains('/') && !matches!(name.as_str(), "" | "." | "..");
                if !is_name {
                    return Err(PassphraseError::CredentialName(name.clone()));
                }
                let directory = credentials.ok_or_else(|| PassphraseError::NoCredentials(name.clone()))?;
                read(
                    &directory.join(name),
                    forbidden(&directory.join(name), credentials),
                )
            }
        }
    }
}

/// Why a passphrase was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The file cannot be read.
    #[error("cannot read the passphrase file {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others than the owner may read or write the file.
    #[error(
        "the passphrase file {path} has mode {mode:03o}: others than its owner can use it; run `chmod 600 {path}`"
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is empty.
    #[error("the passphrase file {0} is empty: put the passphrase on its first line")]
    Empty(PathBuf),
    /// The file is longer than any passphrase.
    #[error("the passphrase file {0} is longer than {MAX_PASSPHRASE} bytes: is it the right file?")]
    TooLong(PathBuf),
    /// There are no credentials.
    #[error(
        "no credential {0}: systemd gave this process none; start it by its unit, with `LoadCredentialEncrypted={0}:FILE`"
    )]
    NoCredentials(String),
    /// A credential's name that is a path.
    #[error(
        "{0:?} is not the name of a credential: give the name before the colon in `LoadCredentialEncrypted=`"
    )]
    CredentialName(String),
    /// Somebody typed nothing, or too much.
    #[error("a passphrase has 1 to {MAX_PASSPHRASE} bytes")]
    Length,
}

impl Passphrase {
    /// Reads a passphrase: the whole file, without one final line break.
    ///
    /// # Errors
    /// When the file cannot be read, is empty or overlong, or its mode lets anybody but its owner use it.
    pub fn from_file(path: &Path) -> Result<Self, PassphraseError> {
        read(path, forbidden(path, credentials_directory().as_deref()))
    }

    /// A passphrase that is already in memory.
    #[must_use]
    pub fn new(text: Vec<u8>) -> Self {
        Self(Zeroizing::new(text))
    }

    /// A passphrase that a person typed.
    ///
    /// # Errors
    /// [`PassphraseError::Length`] when it is empty or longer than any file's could be.
    pub fn typed(text: Vec<u8>) -> Result<Self, PassphraseError> {
        let passphrase = Self::new(text);
        if (1..=MAX_PASSPHRASE).contains(&passphrase.0.len()) {
            Ok(passphrase)
        } else {
            Err(PassphraseError::Length)
        }
    }

    /// The passphrase itself, to hand to a token or to send.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn derive(&self, salt: &[u8; SALT]) -> Result<SecretKey, SealError> {
        let params = Params::new(MEMORY_KIB, PASSES, 1, Some(KEY)).map_err(|_| SealError::Derivation)?;
        let mut key = SecretKey::default();
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(&self.0, salt, key.as_mut())
            .map_err(|_| SealError::Derivation)?;
        Ok(key)
    }
}

/// Wraps and unwraps in about a tenth of a second and 32 MiB.
impl KeyWrap for Passphrase {
    fn method(&self) -> Method {
        Method::Passphrase
    }

    fn wrap(
        &self,
        key: &SecretKey,
        associated: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Vec<u8>, SealError> {
        let mut salt = [0; SALT];
        rng.fill_bytes(&mut salt);
        let ciphertext = encrypt(&self.derive(&salt)?, key.as_ref(), associated)?;
        Ok([salt.as_slice(), &ciphertext].concat())
    }

    fn unwrap(&self, wrapped: &[u8], associated: &[u8]) -> Result<SecretKey, SealError> {
        let (salt, ciphertext) = wrapped.split_first_chunk::<SALT>().ok_or(SealError::Refused)?;
        let key = decrypt(&self.derive(salt)?, ciphertext, associated)?;
        let key = <&[u8; KEY]>::try_from(key.as_slice()).map_err(|_| SealError::Refused)?;
        Ok(Zeroizing::new(*key))
    }

    fn passphrase(&self) -> Option<&Passphrase> {
        Some(self)
    }
}

/// The permissions that a secret file must not have: any for others than its owner. For a service with a user of its
/// own, systemd grants reading its credentials by an access-control list, whose mask shows as the group's permission; that
/// directory is the service's alone.
pub(super) fn forbidden(path: &Path, credentials: Option<&Path>) -> u32 {
    match credentials {
        Some(directory) if path.parent() == Some(directory) => 0o037,
        _ => 0o077,
    }
}

/// Reads a secret file unless its mode has one of the `forbidden` bits.
fn read(path: &Path, forbidden: u32) -> Result<Passphrase, PassphraseError> {
    let unreadable = |source| PassphraseError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    // The opened file is asked, not the path, so that both are about the same file.
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & forbidden != 0 {
        return Err(PassphraseError::TooOpen {
            path: path.to_owned(),
            mode,
        });
    }
    // Reserved at once: a growing vector would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_PASSPHRASE + 2));
    file.take(MAX_PASSPHRASE as u64 + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if text.len() > MAX_PASSPHRASE {
        return Err(PassphraseError::TooLong(path.to_owned()));
    }
    if text.ends_with(b"\n") {
        text.pop();
        if text.ends_with(b"\r") {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(PassphraseError::Empty(path.to_owned()));
    }
    Ok(Passphrase(text))
}
