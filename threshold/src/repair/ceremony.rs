//! Whose share is repaired, and by whom.

use crate::committee::{CommitteeManifest, MAX_MEMBERS, ManifestError, ParticipantIndex, SignedManifest};
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::ids::CeremonyId;
use crate::interpolation;
use crate::transcript::{Domain, SUITE_ID, Transcript};
use curve25519_dalek::scalar::Scalar;

/// Why a repair is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// The helpers are not exactly t other members, in order.
    #[error("the helpers are not exactly {needed} other members, in order of their indices")]
    Helpers {
        /// t.
        needed: u16,
    },
    /// The committee has no such member.
    #[error("the committee has no member {0}")]
    UnknownMember(ParticipantIndex),
    /// Not every member has signed the manifest.
    #[error("the manifest: {0}")]
    Manifest(#[from] ManifestError),
}

/// A repair: its nonce, the committee, the member that lost its share, and the t helpers. Its id binds all of it.
///
/// Encoded as version 1, suite, nonce (32), signed manifest, lost index (2), helper count (4), their indices (2 each).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    id: CeremonyId,
    nonce: [u8; 32],
    manifest: SignedManifest,
    lost: ParticipantIndex,
    helpers: Vec<ParticipantIndex>,
    lambda: Vec<Scalar>,
}

impl Repair {
    /// Checks and takes a repair. The nonce is fresh: it keeps messages of one ceremony out of another.
    ///
    /// # Errors
    /// [`ProposalError`].
    pub fn new(
        nonce: [u8; 32],
        manifest: SignedManifest,
        lost: ParticipantIndex,
        helpers: Vec<ParticipantIndex>,
    ) -> Result<Self, ProposalError> {
        let threshold = manifest.manifest.threshold();
        for index in helpers.iter().chain([&lost]) {
            if !threshold.contains(*index) {
                return Err(ProposalError::UnknownMember(*index));
            }
        }
        let needed = threshold.t();
        let in_order = helpers.is_sorted_by(|a, b| a < b);
        if helpers.len() != usize::from(needed) || !in_order || helpers.contains(&lost) {
            return Err(ProposalError::Helpers { needed });
        }
        manifest.verify()?;
        let lambda =
            interpolation::coefficients(&helpers, lost.scalar()).ok_or(ProposalError::Helpers { needed })?;
        let mut list = Writer::new();
        list.list(&helpers);
        let id = Transcript::new(Domain::Repair)
            .append("nonce", &nonce)
            .append("manifest", manifest.manifest.digest().as_bytes())
            .append_object("lost", &lost)
            .append("helpers", &list.finish())
            .digest();
        Ok(Self {
            id: CeremonyId(id),
            nonce,
            manifest,
            lost,
            helpers,
            lambda,
        })
    }

    /// The digest of nonce, manifest digest, lost index and helpers.
    #[must_use]
    pub const fn id(&self) -> CeremonyId {
        self.id
    }

    /// The nonce.
    #[must_use]
    pub const fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// The committee.
    #[must_use]
    pub const fn manifest(&self) -> &CommitteeManifest {
        &self.manifest.manifest
    }

    /// The same with its signatures.
    #[must_use]
    pub const fn signed_manifest(&self) -> &SignedManifest {
        &self.manifest
    }

    /// The member that lost its share.
    #[must_use]
    pub const fn lost(&self) -> ParticipantIndex {
        self.lost
    }

    /// The helpers, in order.
    #[must_use]
    pub fn helpers(&self) -> &[ParticipantIndex] {
        &self.helpers
    }

    /// A helper's coefficient `λ_i`: the lost share is `Σ λ_i·x_i`.
    pub(super) fn lambda(&self, helper: ParticipantIndex) -> Option<&Scalar> {
        self.lambda.get(self.position(helper)?)
    }

    /// A helper's place among the helpers.
    pub(super) fn position(&self, helper: ParticipantIndex) -> Option<usize> {
        self.helpers.iter().position(|index| *index == helper)
    }
}

const VERSION: u8 = 1;

impl Canonical for Repair {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.fixed(&self.nonce);
        writer.put(&self.manifest);
        writer.put(&self.lost);
        writer.list(&self.helpers);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("repair"));
        }
        let (nonce, manifest, lost) = (reader.fixed()?, reader.get()?, reader.get()?);
        Self::new(nonce, manifest, lost, reader.list(MAX_MEMBERS.into())?)
            .map_err(|_| DecodeError::Invalid("repair"))
    }
}
