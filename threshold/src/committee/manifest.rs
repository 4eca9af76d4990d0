//! The committee manifest: what every proof refers to.

use super::{CommitteeError, MAX_MEMBERS, Member, ParticipantIndex, Threshold, check_address};
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::group::Point;
use crate::ids::{KeyId, ManifestDigest};
use crate::interpolation;
use crate::signature::{PublicKey, Signature, sign};
use crate::transcript::{Domain, SUITE_ID, Transcript};
use crate::wrap::CustodyKey;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use ed25519_dalek::SigningKey;
use std::collections::BTreeSet;

/// Why a manifest describes no committee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Epochs are counted from 1 to 2^32 - 1.
    #[error("epoch 0 does not exist, and the last one has no next")]
    Epoch,
    /// The members are not exactly 1 to n in order.
    #[error("the members are not numbered 1 to n in order")]
    Indices,
    /// Two members share an identity key.
    #[error("member {0} has the identity key of another member")]
    DuplicateIdentity(ParticipantIndex),
    /// Two members share a name.
    #[error("member {0} has the name of another member")]
    DuplicateName(ParticipantIndex),
    /// A member's address is not one.
    #[error("member {0} has no proper address")]
    Address(ParticipantIndex),
    /// The key id is not the hash of the public key.
    #[error("the key id is not that of the public key")]
    KeyId,
    /// The public shares are not on one polynomial of degree t - 1 through the public key.
    #[error("the public shares do not interpolate to the public key")]
    Interpolation,
    /// A member has not signed, or another number of signatures than members is there.
    #[error("{found} signatures for {expected} members")]
    SignatureCount {
        /// Members.
        expected: usize,
        /// Signatures.
        found: usize,
    },
    /// This member's signature does not verify.
    #[error("the signature of member {0} does not verify")]
    Signature(ParticipantIndex),
    /// Not the manifest that comes after the other one: another key, another epoch, or another predecessor.
    #[error("the manifest does not follow the other one")]
    NotTheNext,
}

/// A committee, its threshold, its key and its public shares, in one epoch.
///
/// A value of this type is consistent: members are 1 to n in order with distinct names and identities, the key id
/// is the hash of X, and the public shares lie on one polynomial of degree `t - 1` whose value at 0 is X.
///
/// Encoded as version 1, suite, key id, X, epoch (4 bytes), the digest of the manifest before it (32, from epoch 2
/// on), threshold, member count (4 bytes), members. Public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitteeManifest {
    key: CustodyKey,
    epoch: u32,
    previous: Option<ManifestDigest>,
    threshold: Threshold,
    members: Vec<Member>,
    digest: ManifestDigest,
}

impl CommitteeManifest {
    /// Checks and takes the committee that generated a key: epoch 1.
    ///
    /// # Errors
    /// [`ManifestError`], cheapest check first.
    pub fn first(
        public_key: Point,
        threshold: Threshold,
        members: Vec<Member>,
    ) -> Result<Self, ManifestError> {
        Self::new(public_key, FIRST_EPOCH, None, threshold, members)
    }

    /// Checks and takes the committee that comes after this one: the same key, one epoch later.
    ///
    /// # Errors
    /// [`ManifestError`], cheapest check first.
    pub fn next(&self, threshold: Threshold, members: Vec<Member>) -> Result<Self, ManifestError> {
        let epoch = self.epoch.checked_add(1).ok_or(ManifestError::Epoch)?;
        Self::new(*self.public_key(), epoch, Some(self.digest), threshold, members)
    }

    fn new(
        public_key: Point,
        epoch: u32,
        previous: Option<ManifestDigest>,
        threshold: Threshold,
        members: Vec<Member>,
    ) -> Result<Self, ManifestError> {
        if epoch == 0 {
            return Err(ManifestError::Epoch);
        }
        check_members(threshold, &members)?;
        check_interpolation(&public_key, threshold, &members)?;
        let key = CustodyKey::new(public_key);
        let mut manifest = Self {
            key,
            epoch,
            previous,
            threshold,
            members,
            digest: ManifestDigest([0; 32]),
        };
        let bytes = manifest.to_bytes();
        manifest.digest = ManifestDigest(
            Transcript::new(Domain::Manifest)
                .append("manifest", &bytes)
                .digest(),
        );
        Ok(manifest)
    }

    /// Checks that this is the manifest after another one: the same key, the next epoch, and linked to it.
    ///
    /// # Errors
    /// [`ManifestError::NotTheNext`].
    pub fn follows(&self, other: &Self) -> Result<(), ManifestError> {
        let linked = self.previous == Some(other.digest);
        if linked && self.key_id() == other.key_id() && other.epoch.checked_add(1) == Some(self.epoch) {
            Ok(())
        } else {
            Err(ManifestError::NotTheNext)
        }
    }

    /// The custody key: key id and X.
    #[must_use]
    pub const fn custody_key(&self) -> &CustodyKey {
        &self.key
    }

    /// The key id, the same in every epoch.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key.key_id()
    }

    /// X, the same in every epoch.
    #[must_use]
    pub const fn public_key(&self) -> &Point {
        self.key.public_key()
    }

    /// The epoch, counted from 1; each re-sharing adds one.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The digest of the manifest of the epoch before; `None` in epoch 1.
    #[must_use]
    pub const fn previous(&self) -> Option<ManifestDigest> {
        self.previous
    }

    /// How many of how many.
    #[must_use]
    pub const fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// The members, in order of their indices.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// One member.
    #[must_use]
    pub fn member(&self, index: ParticipantIndex) -> Option<&Member> {
        self.members.get(index.position())
    }

    /// The member with an identity key.
    #[must_use]
    pub fn member_by_identity(&self, identity: &PublicKey) -> Option<&Member> {
        self.members.iter().find(|member| member.identity == *identity)
    }

    /// The digest of the canonical bytes, which every proof contains.
    #[must_use]
    pub const fn digest(&self) -> ManifestDigest {
        self.digest
    }

    /// A member's signature on this manifest.
    #[must_use]
    pub fn sign(&self, identity: &SigningKey) -> Signature {
        sign(identity, Domain::ManifestSignature, self.digest.as_bytes())
    }
}

fn check_members(threshold: Threshold, members: &[Member]) -> Result<(), ManifestError> {
    if !members.iter().map(|member| member.index).eq(threshold.indices()) {
        return Err(ManifestError::Indices);
    }
    let (mut identities, mut names) = (BTreeSet::new(), BTreeSet::new());
    for member in members {
        check_address(&member.address).map_err(|_: CommitteeError| ManifestError::Address(member.index))?;
        if !identities.insert(member.identity) {
            return Err(ManifestError::DuplicateIdentity(member.index));
        }
        if !names.insert(&member.name) {
            return Err(ManifestError::DuplicateName(member.index));
        }
    }
    Ok(())
}

/// The first t shares determine the polynomial; X and every further share must lie on it.
fn check_interpolation(x: &Point, threshold: Threshold, members: &[Member]) -> Result<(), ManifestError> {
    let (basis, others) = members
        .split_at_checked(threshold.t().into())
        .ok_or(ManifestError::Indices)?;
    let indices: Vec<_> = basis.iter().map(|member| member.index).collect();
    let shares: Vec<EdwardsPoint> = basis
        .iter()
        .map(|member| *member.public_share.as_edwards())
        .collect();
    let lies_on_it = |at: Scalar, point: &Point| {
        interpolation::coefficients(&indices, at).is_some_and(|lambda| {
            EdwardsPoint::vartime_multiscalar_mul(&lambda, &shares) == *point.as_edwards()
        })
    };
    let holds = lies_on_it(Scalar::ZERO, x)
        && others
            .iter()
            .all(|member| lies_on_it(member.index.scalar(), &member.public_share));
    if holds {
        Ok(())
    } else {
        Err(ManifestError::Interpolation)
    }
}

const VERSION: u8 = 1;

/// The epoch of a newly generated key.
const FIRST_EPOCH: u32 = 1;

impl Canonical for CommitteeManifest {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.put(&self.key.key_id());
        writer.put(self.key.public_key());
        writer.u32(self.epoch);
        // There if and only if the epoch is not the first, so no byte says whether.
        if let Some(previous) = &self.previous {
            writer.put(previous);
        }
        writer.put(&self.threshold);
        writer.list(&self.members);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("committee manifest"));
        }
        let key_id: KeyId = reader.get()?;
        let public_key = reader.get()?;
        let epoch = reader.u32()?;
        let previous = if epoch > FIRST_EPOCH {
            Some(reader.get()?)
        } else {
            None
        };
        let threshold: Threshold = reader.get()?;
        let count = reader.count(MAX_MEMBERS.into())?;
        // Before parsing points: a count that is not n costs nothing.
        if count != usize::from(threshold.n()) {
            return Err(DecodeError::Invalid("number of members"));
        }
        let members = (0..count).map(|_| reader.get()).collect::<Result<_, _>>()?;
        let manifest = Self::new(public_key, epoch, previous, threshold, members)
            .map_err(|_| DecodeError::Invalid("committee manifest"))?;
        if manifest.key_id() == key_id {
            Ok(manifest)
        } else {
            Err(DecodeError::Invalid("key id"))
        }
    }
}

/// A manifest with the signature of every member, in order of their indices.
///
/// Encoded as the manifest, then the signature count (4 bytes) and the signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedManifest {
    /// The manifest.
    pub manifest: CommitteeManifest,
    /// Signature i is member i's, from [`CommitteeManifest::sign`].
    pub signatures: Vec<Signature>,
}

impl SignedManifest {
    /// Checks that every member has signed; the manifest itself was checked when it was made.
    ///
    /// # Errors
    /// [`ManifestError::SignatureCount`] or [`ManifestError::Signature`].
    pub fn verify(&self) -> Result<(), ManifestError> {
        let members = self.manifest.members();
        if self.signatures.len() != members.len() {
            let (expected, found) = (members.len(), self.signatures.len());
            return Err(ManifestError::SignatureCount { expected, found });
        }
        let message = self.manifest.digest();
        members
            .iter()
            .zip(&self.signatures)
            .try_for_each(|(member, signature)| {
                member
                    .identity
                    .verify(Domain::ManifestSignature, message.as_bytes(), signature)
                    .map_err(|_| ManifestError::Signature(member.index))
            })
    }
}

impl Canonical for SignedManifest {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.manifest);
        writer.list(&self.signatures);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            manifest: reader.get()?,
            signatures: reader.list(MAX_MEMBERS.into())?,
        })
    }
}
