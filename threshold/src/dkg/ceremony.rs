//! Who generates a key together.

use crate::committee::{
    CommitteeError, MAX_ADDRESS, MAX_MEMBERS, ParticipantIndex, Threshold, check_address,
};
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::ids::CeremonyId;
use crate::name::Name;
use crate::signature::PublicKey;
use crate::transcript::{Domain, SUITE_ID, Transcript};
use std::collections::BTreeSet;

/// Why a ceremony is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CeremonyError {
    /// The seats are not exactly 1 to n in order.
    #[error("the seats are not numbered 1 to n in order")]
    Indices,
    /// Two seats have one identity key.
    #[error("seat {0} has the identity key of another seat")]
    DuplicateIdentity(ParticipantIndex),
    /// Two seats have one name.
    #[error("seat {0} has the name of another seat")]
    DuplicateName(ParticipantIndex),
    /// A seat's address is not one.
    #[error("seat {0} has no proper address")]
    Address(ParticipantIndex),
}

/// One place in a ceremony, bound to an identity key.
///
/// Encoded as index (2), name, identity (32), address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The index that the member will have.
    pub index: ParticipantIndex,
    /// The member's name.
    pub name: Name,
    /// The key that signs everything the member says.
    pub identity: PublicKey,
    /// Where the member is reached.
    pub address: String,
}

impl Canonical for Seat {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.index);
        writer.put(&self.name);
        writer.put(&self.identity);
        writer.str(&self.address);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            index: reader.get()?,
            name: reader.get()?,
            identity: reader.get()?,
            address: reader.str(MAX_ADDRESS)?.to_owned(),
        })
    }
}

/// A key generation: its nonce, its threshold and its seats, all of which its id binds.
///
/// Encoded as version 1, suite, nonce (32), threshold (4), seat count (4), seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceremony {
    id: CeremonyId,
    nonce: [u8; 32],
    threshold: Threshold,
    seats: Vec<Seat>,
}

impl Ceremony {
    /// Checks and takes a ceremony. The nonce is fresh: it keeps messages of one ceremony out of another.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub fn new(nonce: [u8; 32], threshold: Threshold, seats: Vec<Seat>) -> Result<Self, CeremonyError> {
        check_seats(threshold, &seats)?;
        let mut ceremony = Self {
            id: CeremonyId([0; 32]),
            nonce,
            threshold,
            seats,
        };
        let bytes = ceremony.to_bytes();
        ceremony.id = CeremonyId(
            Transcript::new(Domain::Ceremony)
                .append("ceremony", &bytes)
                .digest(),
        );
        Ok(ceremony)
    }

    /// The digest of the ceremony's encoding.
    #[must_use]
    pub const fn id(&self) -> CeremonyId {
        self.id
    }

    /// The nonce.
    #[must_use]
    pub const fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// How many of how many.
    #[must_use]
    pub const fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// The seats, in order of their indices.
    #[must_use]
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// One seat.
    #[must_use]
    pub fn seat(&self, index: ParticipantIndex) -> Option<&Seat> {
        self.seats.get(index.position())
    }

    /// The seat of an identity.
    #[must_use]
    pub fn seat_of(&self, identity: &PublicKey) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.identity == *identity)
    }
}

pub(crate) fn check_seats(threshold: Threshold, seats: &[Seat]) -> Result<(), CeremonyError> {
    if !seats.iter().map(|seat| seat.index).eq(threshold.indices()) {
        return Err(CeremonyError::Indices);
    }
    let (mut identities, mut names) = (BTreeSet::new(), BTreeSet::new());
    for seat in seats {
        check_address(&seat.address).map_err(|_: CommitteeError| CeremonyError::Address(seat.index))?;
        if !identities.insert(seat.identity) {
            return Err(CeremonyError::DuplicateIdentity(seat.index));
        }
        if !names.insert(&seat.name) {
            return Err(CeremonyError::DuplicateName(seat.index));
        }
    }
    Ok(())
}

const VERSION: u8 = 1;

impl Canonical for Ceremony {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.fixed(&self.nonce);
        writer.put(&self.threshold);
        writer.list(&self.seats);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("ceremony"));
        }
        let (nonce, threshold) = (reader.fixed()?, reader.get()?);
        Self::new(nonce, threshold, reader.list(MAX_MEMBERS.into())?)
            .map_err(|_| DecodeError::Invalid("ceremony"))
    }
}
