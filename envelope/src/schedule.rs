//! Key derivation and the encryption of single chunks (C2SP "Key derivation", "AEAD usage").

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::Error;
use crate::layout::{CHUNK_SIZE, COMMITMENT_SIZE, MAX_CHUNKS, SALT_SIZE, TAG_SIZE};

const INFO_PREFIX: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";
const KEY_SIZE: usize = 32;
const NONCE_SIZE: usize = 12;
const DERIVED_SIZE: usize = KEY_SIZE + NONCE_SIZE + COMMITMENT_SIZE;

struct DerivedLength;

impl KeyType for DerivedLength {
    fn len(&self) -> usize {
        DERIVED_SIZE
    }
}

/// The derived key and base nonce of one object. aws-lc wipes its copy of the key when it frees it.
pub(crate) struct ChunkCipher {
    key: LessSafeKey,
    base_nonce: [u8; NONCE_SIZE],
}

/// Derive the cipher and the commitment of (input key, salt, context).
pub(crate) fn derive(
    input_key: &[u8; 32],
    salt: &[u8; SALT_SIZE],
    context: &[u8],
) -> Result<(ChunkCipher, [u8; COMMITMENT_SIZE]), Error> {
    let mut derived = Zeroizing::new([0u8; DERIVED_SIZE]);
    Prk::new_less_safe(HKDF_SHA256, input_key)
        .expand(&[INFO_PREFIX, salt, context], DerivedLength)
        .and_then(|okm| okm.fill(derived.as_mut()))
        .map_err(|_| Error::Library)?;
    let (key, rest) = derived.split_first_chunk::<KEY_SIZE>().ok_or(Error::Library)?;
    let (base_nonce, rest) = rest.split_first_chunk::<NONCE_SIZE>().ok_or(Error::Library)?;
    let commitment = rest.first_chunk::<COMMITMENT_SIZE>().ok_or(Error::Library)?;
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| Error::Library)?;
    Ok((
        ChunkCipher {
            key: LessSafeKey::new(key),
            base_nonce: *base_nonce,
        },
        *commitment,
    ))
}

/// Derive the cipher and refuse a commitment that is not this key's. AES-GCM alone would let one
/// ciphertext open under two keys; the commitment is what makes that impossible.
pub(crate) fn derive_committed(
    input_key: &[u8; 32],
    salt: &[u8; SALT_SIZE],
    commitment: &[u8; COMMITMENT_SIZE],
    context: &[u8],
) -> Result<ChunkCipher, Error> {
    let (cipher, expected) = derive(input_key, salt, context)?;
    if bool::from(expected.ct_eq(commitment)) {
        Ok(cipher)
    } else {
        Err(Error::WrongKey)
    }
}

impl ChunkCipher {
    fn nonce(&self, chunk: u64) -> Result<Nonce, Error> {
        if chunk >= MAX_CHUNKS {
            return Err(Error::TooLong);
        }
        let mut nonce = self.base_nonce;
        for (byte, count) in nonce.iter_mut().skip(NONCE_SIZE - 8).zip(chunk.to_be_bytes()) {
            *byte ^= count;
        }
        Ok(Nonce::assume_unique_for_key(nonce))
    }

    /// Replace the plaintext in `buffer` by the ciphertext and its tag.
    pub(crate) fn seal(&self, chunk: u64, buffer: &mut Vec<u8>) -> Result<(), Error> {
        debug_assert!(buffer.len() <= CHUNK_SIZE);
        let nonce = self.nonce(chunk)?;
        self.key
            .seal_in_place_append_tag(nonce, Aad::empty(), buffer)
            .map_err(|_| Error::Library)
    }

    /// Replace the ciphertext and tag in `buffer` by the plaintext. On failure `buffer` is emptied, so
    /// that nothing unauthenticated is left to be released.
    pub(crate) fn open(&self, chunk: u64, buffer: &mut Vec<u8>) -> Result<(), Error> {
        let opened = match self.nonce(chunk) {
            Ok(_) if buffer.len() < TAG_SIZE => Err(Error::Truncated),
            Ok(nonce) => match self.key.open_in_place(nonce, Aad::empty(), buffer) {
                Ok(plaintext) => Ok(plaintext.len()),
                Err(_) => Err(Error::NotAuthentic { chunk }),
            },
            Err(error) => Err(error),
        };
        buffer.truncate(*opened.as_ref().unwrap_or(&0));
        opened.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f5_the_chunk_counter_is_bounded_and_does_not_wrap_at_2_to_the_32() {
        let (cipher, _) = derive(&[7; 32], &[1; SALT_SIZE], b"").unwrap();
        let bytes = |chunk: u64| *cipher.nonce(chunk).unwrap().as_ref();
        assert_ne!(bytes(0), bytes(1 << 32));
        assert_ne!(bytes(5), bytes((1 << 32) + 5));
        assert!(matches!(cipher.nonce(MAX_CHUNKS), Err(Error::TooLong)));
        assert!(cipher.nonce(MAX_CHUNKS - 1).is_ok());
    }

    #[test]
    fn a_chunk_sealed_at_one_place_does_not_open_at_another() {
        let (cipher, _) = derive(&[7; 32], &[1; SALT_SIZE], b"").unwrap();
        let mut buffer = b"text".to_vec();
        cipher.seal((1 << 32) + 1, &mut buffer).unwrap();
        let mut moved = buffer.clone();
        assert!(matches!(
            cipher.open(1, &mut moved),
            Err(Error::NotAuthentic { chunk: 1 })
        ));
        assert!(moved.is_empty());
        cipher.open((1 << 32) + 1, &mut buffer).unwrap();
        assert_eq!(buffer, b"text");
    }
}
