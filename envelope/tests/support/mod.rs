//! Shared by the envelope's tests: determined randomness, and a second implementation of the format.

#![allow(dead_code, unreachable_pub)]

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use rand_core::{CryptoRng, Error, RngCore};
use sha2::Sha256;

/// A random-number generator that gives out bytes it was given, and nothing else.
pub struct Scripted(pub Vec<u8>);

impl RngCore for Scripted {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        let rest = self.0.split_off(dest.len());
        dest.copy_from_slice(&self.0);
        self.0 = rest;
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Scripted {}

/// The plaintext of the tests and vectors: byte i is i modulo 251.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

/// Decrypt as the specification reads, with RustCrypto's HKDF and AES-GCM in place of aws-lc's.
pub fn decrypt_independently(key: &[u8; 32], context: &[u8], encrypted: &[u8]) -> Option<Vec<u8>> {
    let (salt, rest) = encrypted.split_at_checked(24)?;
    let (commitment, mut body) = rest.split_at_checked(32)?;
    let info = [
        b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0".as_slice(),
        salt,
        context,
    ]
    .concat();
    let mut derived = [0u8; 76];
    Hkdf::<Sha256>::from_prk(key)
        .ok()?
        .expand(&info, &mut derived)
        .ok()?;
    if derived[44..] != *commitment {
        return None;
    }
    let aead = Aes256Gcm::new_from_slice(&derived[..32]).ok()?;
    let mut plaintext = Vec::new();
    for number in 0u64.. {
        let stored = body.len().min(16384 + 16);
        let mut nonce = [0u8; 12];
        nonce.copy_from_slice(&derived[32..44]);
        for (byte, count) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= count;
        }
        plaintext.extend(aead.decrypt(&Nonce::from(nonce), &body[..stored]).ok()?);
        body = &body[stored..];
        if stored < 16384 + 16 {
            break;
        }
    }
    Some(plaintext)
}
