//! The symmetric half of wrapping: HKDF-SHA-256, AES-256-GCM and a key commitment.

use crate::encoding::Canonical;
use crate::group::Point;
use crate::ids::KeyId;
use crate::label::Label;
use crate::secret::DataKey;
use crate::transcript::{Domain, SUITE, Transcript};
use aes_gcm::aead::AeadInPlace;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const COMMITMENT: usize = 32;
const KEY: usize = 32;
const TAG: usize = 16;

/// Commitment, encrypted data key, tag.
pub(super) const SEALED_LENGTH: usize = COMMITMENT + KEY + TAG;

/// K is used once, for this one encryption: the nonce is all zeros.
const NONCE: [u8; 12] = [0; 12];

/// What the shared secret S gives for one label: the key K and its commitment.
pub(super) struct Sealed {
    key: Zeroizing<[u8; KEY]>,
    commitment: Zeroizing<[u8; COMMITMENT]>,
    label: Vec<u8>,
}

impl Sealed {
    /// HKDF-SHA-256 with salt the suite, input `S ‖ U`, info the digest of
    /// `Wrap{key id, label}`; the 64 bytes out are `K ‖ commitment`.
    pub(super) fn new(shared: &[u8; 32], key_id: KeyId, label: &Label, u: &Point) -> Option<Self> {
        let label = label.to_bytes();
        let info = Transcript::new(Domain::Wrap)
            .append("key id", key_id.as_bytes())
            .append("label", &label)
            .digest();
        let mut input = Zeroizing::new([0; 64]);
        let (first, second) = input.split_at_mut(32);
        first.copy_from_slice(shared);
        second.copy_from_slice(u.as_bytes());
        let hkdf = Hkdf::<Sha256>::new(Some(SUITE.as_bytes()), input.as_ref());
        let (mut key, mut commitment) = (Zeroizing::new([0; KEY]), Zeroizing::new([0; COMMITMENT]));
        let mut output = Zeroizing::new([0; KEY + COMMITMENT]);
        hkdf.expand(&info, output.as_mut()).ok()?;
        let (first, second) = output.split_at(KEY);
        key.copy_from_slice(first);
        commitment.copy_from_slice(second);
        Some(Self {
            key,
            commitment,
            label,
        })
    }

    /// `commitment ‖ AES-256-GCM_K(data key; nonce 0, aad = label)`; nothing if the cipher fails.
    pub(super) fn seal(&self, data_key: &DataKey) -> Option<[u8; SEALED_LENGTH]> {
        let mut sealed = [0; SEALED_LENGTH];
        let (commitment, rest) = sealed.split_at_mut(COMMITMENT);
        let (body, tag) = rest.split_at_mut(KEY);
        commitment.copy_from_slice(self.commitment.as_ref());
        body.copy_from_slice(data_key.expose());
        let computed = self
            .cipher()
            .encrypt_in_place_detached(&Nonce::from(NONCE), &self.label, body)
            .ok()?;
        tag.copy_from_slice(&computed);
        Some(sealed)
    }

    /// The data key, if the commitment and the tag are right.
    pub(super) fn open(&self, sealed: &[u8; SEALED_LENGTH]) -> Option<DataKey> {
        let (commitment, rest) = sealed.split_at_checked(COMMITMENT)?;
        let (body, tag) = rest.split_at_checked(KEY)?;
        let tag = Tag::from(*tag.first_chunk::<TAG>()?);
        // The commitment first: AES-GCM alone lets one ciphertext open under two keys.
        if !bool::from(commitment.ct_eq(self.commitment.as_ref())) {
            return None;
        }
        let mut opened = Zeroizing::new([0; KEY]);
        opened.copy_from_slice(body);
        self.cipher()
            .decrypt_in_place_detached(&Nonce::from(NONCE), &self.label, opened.as_mut(), &tag)
            .ok()?;
        Some(DataKey::from_bytes(*opened))
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.key.as_ref().into())
    }
}
