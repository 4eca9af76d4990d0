//! The byte layout of an encrypted object, and the arithmetic of its lengths.
//!
//! ```text
//! encrypted object = salt (24) ‖ commitment (32) ‖ chunk 0 ‖ chunk 1 ‖ … ‖ final chunk
//! chunk            = ciphertext (16384; the final one 0..=16383) ‖ tag (16)
//! key (32) ‖ base nonce (12) ‖ commitment (32) =
//!     HKDF-Expand-SHA-256(prk = object key,
//!         info = "c2sp.org/chunked-encryption@v1+" ‖ "AEAD_AES_256_GCM" ‖ 0x00 ‖ salt ‖ context)
//! nonce of chunk i = base nonce XOR (i as a 12-byte big-endian integer);  associated data empty
//! ```
//!
//! There is exactly one chunking of a message: the final chunk is the only one shorter than 16 KiB, and
//! it is always there, empty if need be. Cutting an object at a chunk boundary therefore leaves an
//! object without a final chunk, and cutting it anywhere else breaks a tag.

use crate::Error;

/// Plaintext bytes of every chunk but the final one.
pub const CHUNK_SIZE: usize = 16 * 1024;
/// Bytes of an AES-GCM tag.
pub const TAG_SIZE: usize = 16;
/// Bytes of a full chunk as it is stored.
pub const ENCRYPTED_CHUNK_SIZE: usize = CHUNK_SIZE + TAG_SIZE;
/// Bytes of the random salt at the beginning.
pub const SALT_SIZE: usize = 24;
/// Bytes of the key commitment after the salt.
pub const COMMITMENT_SIZE: usize = 32;
/// Bytes before the first chunk.
pub const HEADER_SIZE: usize = SALT_SIZE + COMMITMENT_SIZE;
/// The format's limit: chunk numbers are below 2^38, so an object is below 4 PiB.
pub const MAX_CHUNKS: u64 = 1 << 38;

const CHUNK: u64 = CHUNK_SIZE as u64;
const ENCRYPTED_CHUNK: u64 = ENCRYPTED_CHUNK_SIZE as u64;
const TAG: u64 = TAG_SIZE as u64;
const HEADER: u64 = HEADER_SIZE as u64;

/// The stored length of an object of `plaintext` bytes.
///
/// # Errors
/// [`Error::TooLong`] from 2^38 chunks on.
pub fn encrypted_length(plaintext: u64) -> Result<u64, Error> {
    let full_chunks = plaintext / CHUNK;
    if full_chunks >= MAX_CHUNKS {
        return Err(Error::TooLong);
    }
    Ok(HEADER + full_chunks * ENCRYPTED_CHUNK + plaintext % CHUNK + TAG)
}

/// The plaintext length of a stored object of `encrypted` bytes. It is a claim until the final chunk
/// has been authenticated.
///
/// # Errors
/// [`Error::Truncated`] for a length that no object has, [`Error::TooLong`] beyond the limit.
pub fn plaintext_length(encrypted: u64) -> Result<u64, Error> {
    let body = encrypted.checked_sub(HEADER).ok_or(Error::Truncated)?;
    let full_chunks = body / ENCRYPTED_CHUNK;
    let rest = (body % ENCRYPTED_CHUNK)
        .checked_sub(TAG)
        .ok_or(Error::Truncated)?;
    if full_chunks >= MAX_CHUNKS {
        return Err(Error::TooLong);
    }
    Ok(full_chunks * CHUNK + rest)
}

/// Where chunk `number` begins in the stored object.
pub(crate) fn chunk_offset(number: u64) -> u64 {
    HEADER + number * ENCRYPTED_CHUNK
}
