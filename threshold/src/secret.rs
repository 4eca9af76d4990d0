//! Secrets: redacted when printed, wiped when dropped, neither copied, cloned nor serialised by derivation.

use crate::committee::{CommitteeManifest, ParticipantIndex};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::group::{Point, decode_scalar};
use crate::ids::ManifestDigest;
use crate::transcript::SUITE_ID;
use curve25519_dalek::constants::ED25519_BASEPOINT_TABLE;
use curve25519_dalek::scalar::Scalar;
use rand_core::{CryptoRng, RngCore};
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

#[cfg(test)]
mod tests;

/// The 32-byte key that is wrapped, and that opens a document's material.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DataKey([u8; 32]);

impl DataKey {
    /// A fresh key.
    #[must_use]
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut key = Self([0; 32]);
        rng.fill_bytes(&mut key.0);
        key
    }

    /// A key made elsewhere. The caller wipes its own copy.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key itself.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl ConstantTimeEq for DataKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl core::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("DataKey(redacted)")
    }
}

/// A secret scalar: a share, a nonce, an exponent.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecretScalar(Scalar);

impl SecretScalar {
    /// Takes a scalar over. The caller wipes its own copy.
    #[must_use]
    pub const fn new(scalar: Scalar) -> Self {
        Self(scalar)
    }

    /// A uniformly random scalar.
    #[must_use]
    pub fn random(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        Self(Scalar::random(rng))
    }

    /// The scalar for arithmetic.
    #[must_use]
    pub const fn expose(&self) -> &Scalar {
        &self.0
    }
}

impl core::fmt::Debug for SecretScalar {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SecretScalar(redacted)")
    }
}

/// A share does not belong where it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// The stored bytes are not a share.
    #[error("the stored share is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// The share is of another committee, another epoch or another key.
    #[error("the share belongs to another committee manifest")]
    OtherManifest,
    /// `x_i·B` is not the public share of this member in the manifest.
    #[error("the share does not match the manifest's public share")]
    OtherPublicShare,
}

/// One member's share `x_i` of the custody key, bound to the manifest of its committee and epoch.
pub struct KeyShare {
    index: ParticipantIndex,
    manifest_digest: ManifestDigest,
    public_share: Point,
    secret: SecretScalar,
}

impl KeyShare {
    /// Binds a share to its committee.
    ///
    /// # Errors
    /// [`ShareError::OtherPublicShare`] unless the manifest holds `x_i·B` for this index. (Zero is refused by
    /// this: no public share is the identity.)
    pub fn new(
        index: ParticipantIndex,
        secret: SecretScalar,
        manifest: &CommitteeManifest,
    ) -> Result<Self, ShareError> {
        let member = manifest.member(index).ok_or(ShareError::OtherPublicShare)?;
        let computed = (ED25519_BASEPOINT_TABLE * secret.expose()).compress();
        if computed.as_bytes() != member.public_share.as_bytes() {
            return Err(ShareError::OtherPublicShare);
        }
        let (manifest_digest, public_share) = (manifest.digest(), member.public_share);
        Ok(Self {
            index,
            manifest_digest,
            public_share,
            secret,
        })
    }

    /// The member's index.
    #[must_use]
    pub const fn index(&self) -> ParticipantIndex {
        self.index
    }

    /// The manifest that this share belongs to.
    #[must_use]
    pub const fn manifest_digest(&self) -> ManifestDigest {
        self.manifest_digest
    }

    /// `X_i = x_i·B`, which is public.
    #[must_use]
    pub const fn public_share(&self) -> &Point {
        &self.public_share
    }

    /// `x_i` itself.
    pub(crate) const fn secret(&self) -> &SecretScalar {
        &self.secret
    }

    /// The bytes to seal: version 1, suite, manifest digest, index in two bytes, `x_i`; 68 bytes, all secret.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::with_capacity(SECRET_LENGTH);
        writer.u8(SECRET_VERSION);
        writer.u8(SUITE_ID);
        writer.put(&self.manifest_digest);
        writer.put(&self.index);
        writer.fixed(self.secret.expose().as_bytes());
        Zeroizing::new(writer.finish())
    }

    /// Takes unsealed bytes back, for the committee whose manifest is given.
    ///
    /// # Errors
    /// [`ShareError`]: malformed, of another manifest, or `x_i·B` is not the manifest's `X_i`.
    pub fn from_secret_bytes(bytes: &[u8], manifest: &CommitteeManifest) -> Result<Self, ShareError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != SECRET_VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("key share").into());
        }
        let manifest_digest: ManifestDigest = reader.get()?;
        let index = reader.get()?;
        let secret = SecretScalar::new(decode_scalar(&mut reader)?);
        reader.finish()?;
        if manifest_digest != manifest.digest() {
            return Err(ShareError::OtherManifest);
        }
        Self::new(index, secret, manifest)
    }
}

const SECRET_VERSION: u8 = 1;
const SECRET_LENGTH: usize = 68;

impl core::fmt::Debug for KeyShare {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeyShare")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
