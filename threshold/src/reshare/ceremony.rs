//! Which committee hands its key over to which.

use crate::committee::{
    CommitteeManifest, MAX_MEMBERS, ManifestError, Member, ParticipantIndex, SignedManifest, Threshold,
};
use crate::dkg::{CeremonyError, Seat, check_seats};
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::ids::CeremonyId;
use crate::signature::PublicKey;
use crate::transcript::{Domain, SUITE_ID, Transcript};

/// Why a resharing is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// The new seats are no committee.
    #[error(transparent)]
    Seats(#[from] CeremonyError),
    /// Not every old member has signed the old manifest, or it has the last epoch.
    #[error("the old manifest: {0}")]
    Manifest(#[from] ManifestError),
}

/// One side of a resharing. The two committees count their members separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// A member of the old committee, by its old index.
    Dealer(ParticipantIndex),
    /// A seat of the new committee, by its new index.
    Receiver(ParticipantIndex),
}

impl core::fmt::Display for Party {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Dealer(index) => write!(f, "dealer {index}"),
            Self::Receiver(index) => write!(f, "new seat {index}"),
        }
    }
}

/// A resharing: its nonce, the manifest that it starts from, and the next committee's threshold and seats.
///
/// The id binds all of it. The old manifest bears every old member's signature; whoever joins compares its key id
/// with the one it was told out of band ([`CommitteeManifest::key_id`]), and an old member compares its digest with
/// its own: [`super::deal`] does that.
///
/// Encoded as version 1, suite, nonce (32), signed manifest, threshold (4), seat count (4), seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resharing {
    id: CeremonyId,
    nonce: [u8; 32],
    previous: SignedManifest,
    threshold: Threshold,
    seats: Vec<Seat>,
}

impl Resharing {
    /// Checks and takes a resharing. The nonce is fresh: it keeps messages of one ceremony out of another.
    ///
    /// # Errors
    /// [`ProposalError`].
    pub fn new(
        nonce: [u8; 32],
        previous: SignedManifest,
        threshold: Threshold,
        seats: Vec<Seat>,
    ) -> Result<Self, ProposalError> {
        check_seats(threshold, &seats)?;
        if previous.manifest.epoch() == u32::MAX {
            return Err(ManifestError::Epoch.into());
        }
        previous.verify()?;
        let mut list = Writer::new();
        list.list(&seats);
        let id = Transcript::new(Domain::Resharing)
            .append("nonce", &nonce)
            .append("previous", previous.manifest.digest().as_bytes())
            .append_object("threshold", &threshold)
            .append("seats", &list.finish())
            .digest();
        Ok(Self {
            id: CeremonyId(id),
            nonce,
            previous,
            threshold,
            seats,
        })
    }

    /// The digest of nonce, old manifest's digest, threshold and seats.
    #[must_use]
    pub const fn id(&self) -> CeremonyId {
        self.id
    }

    /// The nonce.
    #[must_use]
    pub const fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// The manifest of the committee that deals.
    #[must_use]
    pub const fn previous(&self) -> &CommitteeManifest {
        &self.previous.manifest
    }

    /// The same with its signatures.
    #[must_use]
    pub const fn signed_previous(&self) -> &SignedManifest {
        &self.previous
    }

    /// How many of how many, from now on.
    #[must_use]
    pub const fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// The new seats, in order of their indices.
    #[must_use]
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// One new seat.
    #[must_use]
    pub fn seat(&self, index: ParticipantIndex) -> Option<&Seat> {
        self.seats.get(index.position())
    }

    /// The new seat of an identity.
    #[must_use]
    pub fn seat_of(&self, identity: &PublicKey) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.identity == *identity)
    }

    /// The old member with an identity.
    #[must_use]
    pub fn dealer_of(&self, identity: &PublicKey) -> Option<&Member> {
        self.previous().member_by_identity(identity)
    }

    /// Every possible dealer's index, in order.
    pub(super) fn dealers(&self) -> impl Iterator<Item = ParticipantIndex> {
        self.previous().threshold().indices()
    }
}

const VERSION: u8 = 1;

impl Canonical for Resharing {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.fixed(&self.nonce);
        writer.put(&self.previous);
        writer.put(&self.threshold);
        writer.list(&self.seats);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("resharing"));
        }
        let (nonce, previous, threshold) = (reader.fixed()?, reader.get()?, reader.get()?);
        Self::new(nonce, previous, threshold, reader.list(MAX_MEMBERS.into())?)
            .map_err(|_| DecodeError::Invalid("resharing"))
    }
}
