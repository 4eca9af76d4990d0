//! Secrets sealed by version 1: under a passphrase directly, their context not in the file. They open and are not written.
//!
//! ```text
//! magic    8   "quorseal"
//! version  1   1
//! salt    16
//! nonce   12
//! sealed   n   AES-256-GCM ciphertext and its tag; associated: everything before it, then the context
//! ```
//!
//! The key is derived as in version 2.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use zeroize::Zeroizing;

use super::passphrase::SALT;
use super::{MAGIC, Passphrase, SealError};

const VERSION: u8 = 1;
const NONCE: usize = 12;
const HEADER: usize = MAGIC.len() + 1 + SALT + NONCE;

/// Whether the bytes say that they are of this version.
#[must_use]
pub fn is(blob: &[u8]) -> bool {
    blob.strip_prefix(MAGIC)
        .is_some_and(|rest| rest.first() == Some(&VERSION))
}

pub(super) fn open(
    passphrase: &Passphrase,
    context: &str,
    blob: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (header, msg) = blob.split_at_checked(HEADER).ok_or(SealError::NotSealed)?;
    let (_, random) = header
        .split_at_checked(MAGIC.len() + 1)
        .ok_or(SealError::NotSealed)?;
    let (salt, nonce) = random.split_first_chunk::<SALT>().ok_or(SealError::NotSealed)?;
    let nonce = <[u8; NONCE]>::try_from(nonce).map_err(|_| SealError::NotSealed)?;
    let aad = [header, context.as_bytes()].concat();
    let key = passphrase.derive(salt)?;
    Aes256Gcm::new(&(*key).into())
        .decrypt(&Nonce::from(nonce), Payload { msg, aad: &aad })
        .map(Zeroizing::new)
        .map_err(|_| SealError::Refused)
}
