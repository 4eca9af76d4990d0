//! Secrets at rest: sealed under a passphrase, for one purpose of one owner.
//!
//! A sealed blob is
//!
//! ```text
//! magic    8   "quorseal"
//! version  1   1
//! salt    16   random
//! nonce   12   random
//! sealed   n   AES-256-GCM ciphertext and its 16-byte tag
//! ```
//!
//! The key is Argon2id (version 0x13) of the passphrase and the salt with 32 MiB, three passes, one lane:
//! what version 1 means, and never read from the blob, so that nobody who can write the file chooses the
//! cost. The associated data is everything before the ciphertext, then the context. The context says what the
//! secret is and whose ("crypto-node/alpha/share"): a blob copied to another file, or to another node with the same
//! passphrase, does not open there.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use argon2::{Algorithm, Argon2, Params, Version};
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

const MAGIC: &[u8; 8] = b"quorseal";
const VERSION: u8 = 1;
const SALT: usize = 16;
const NONCE: usize = 12;
const HEADER: usize = MAGIC.len() + 1 + SALT + NONCE;
const MEMORY_KIB: u32 = 32 * 1024;
const PASSES: u32 = 3;
const MAX_PASSPHRASE: usize = 1024;

/// A passphrase, wiped when dropped and never shown.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Why a passphrase file was not taken.
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
}

impl Passphrase {
    /// Reads a passphrase: the whole file, without one final line break.
    ///
    /// # Errors
    /// When the file cannot be read, is empty or overlong, or its mode lets anybody but its owner use it.
    pub fn from_file(path: &Path) -> Result<Self, PassphraseError> {
        let unreadable = |source| PassphraseError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(unreadable)?;
        // The opened file is asked, not the path, so that both are about the same file.
        let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
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
        Ok(Self(text))
    }

    /// A passphrase that is already in memory, from a terminal or a test.
    #[must_use]
    pub fn new(text: Vec<u8>) -> Self {
        Self(Zeroizing::new(text))
    }
}

/// Why a blob did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The bytes are not a sealed blob of a version known here.
    #[error("not a sealed secret, or sealed by a newer version")]
    NotSealed,
    /// Wrong passphrase, another context, or damaged bytes: these cannot be told apart.
    #[error("the passphrase is wrong, or the sealed secret is damaged or belongs elsewhere")]
    Refused,
    /// The key could not be derived, which is a want of memory.
    #[error("cannot derive the sealing key (is there 32 MiB of free memory?)")]
    Derivation,
}

/// Seals `secret` for `context`. Takes about a tenth of a second and 32 MiB, and blocks.
///
/// # Errors
/// [`SealError::Derivation`] when memory is short.
pub fn seal(
    passphrase: &Passphrase,
    context: &str,
    secret: &[u8],
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Vec<u8>, SealError> {
    let (mut salt, mut nonce) = ([0; SALT], [0; NONCE]);
    rng.fill_bytes(&mut salt);
    rng.fill_bytes(&mut nonce);
    let mut blob = [MAGIC.as_slice(), &[VERSION], &salt, &nonce].concat();
    let cipher = cipher(passphrase, &salt)?;
    let associated = associated_data(&blob, context);
    let sealed = cipher
        .encrypt(
            &Nonce::from(nonce),
            Payload {
                msg: secret,
                aad: &associated,
            },
        )
        .map_err(|_| SealError::Derivation)?;
    blob.extend_from_slice(&sealed);
    Ok(blob)
}

/// Opens a blob that was sealed for the same `context` under the same passphrase.
///
/// # Errors
/// [`SealError::NotSealed`] and [`SealError::Refused`]; nothing is returned of a blob with a single wrong bit.
pub fn open(passphrase: &Passphrase, context: &str, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (header, sealed) = blob.split_at_checked(HEADER).ok_or(SealError::NotSealed)?;
    let random = header
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.strip_prefix(&[VERSION]))
        .ok_or(SealError::NotSealed)?;
    let (salt, nonce) = random.split_first_chunk::<SALT>().ok_or(SealError::NotSealed)?;
    let nonce = <[u8; NONCE]>::try_from(nonce).map_err(|_| SealError::NotSealed)?;
    let associated = associated_data(header, context);
    cipher(passphrase, salt)?
        .decrypt(
            &Nonce::from(nonce),
            Payload {
                msg: sealed,
                aad: &associated,
            },
        )
        .map(Zeroizing::new)
        .map_err(|_| SealError::Refused)
}

/// The header has a fixed length, so that header and context cannot run into each other.
fn associated_data(header: &[u8], context: &str) -> Vec<u8> {
    [header, context.as_bytes()].concat()
}

fn cipher(passphrase: &Passphrase, salt: &[u8; SALT]) -> Result<Aes256Gcm, SealError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).map_err(|_| SealError::Derivation)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(&passphrase.0, salt, key.as_mut())
        .map_err(|_| SealError::Derivation)?;
    Ok(Aes256Gcm::new(&(*key).into()))
}
