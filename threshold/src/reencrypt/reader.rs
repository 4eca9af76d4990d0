//! The reader's ephemeral key pair.

use crate::signature::{PublicKey, Signature, sign};
use crate::transcript::Domain;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::SigningKey;
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

/// The key pair of one read request: an Ed25519 seed, whose scalar q also opens the answer.
///
/// Made for one request, kept in memory, wiped when dropped. The two uses of q are kept apart by their domains.
pub struct ReaderKey {
    key: SigningKey,
}

impl ReaderKey {
    /// A fresh key pair.
    #[must_use]
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self {
            key: SigningKey::from_bytes(&seed),
        }
    }

    /// Q = q·B.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::of(&self.key)
    }

    /// Signs, for instance the proof that this key is held ([`Domain::Possession`]).
    #[must_use]
    pub fn sign(&self, domain: Domain, message: &[u8]) -> Signature {
        sign(&self.key, domain, message)
    }

    /// q, as RFC 8032 derives it from the seed.
    pub(super) fn scalar(&self) -> Zeroizing<Scalar> {
        Zeroizing::new(self.key.to_scalar())
    }
}

impl core::fmt::Debug for ReaderKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ReaderKey({})", self.public())
    }
}
