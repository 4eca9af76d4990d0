//! The messages of a key generation.

use super::ceremony::Ceremony;
use super::error::DkgError;
use crate::committee::ParticipantIndex;
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::ids::CeremonyId;
pub use crate::message::Attestation;
pub(super) use crate::message::{Envelope, collect};
use crate::message::{MessageError, MessageKind, Roster};
use crate::signature::PublicKey;

/// The most bytes a payload has.
pub const MAX_PAYLOAD: usize = 8192;

/// The round that a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Commitments and proof of possession, to all.
    Round1,
    /// What was received in round 1, to all.
    Equality,
    /// A share, to one member.
    Round2,
}

/// A message of a key generation. A round-2 message holds a secret share.
pub type SignedMessage = crate::message::SignedMessage<Kind>;

/// Proof that a seat of a key generation contradicted itself.
pub type Equivocation = crate::message::Equivocation<Kind>;

impl Canonical for Kind {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(match self {
            Self::Round1 => 1,
            Self::Equality => 2,
            Self::Round2 => 3,
        });
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Round1),
            2 => Ok(Self::Equality),
            3 => Ok(Self::Round2),
            _ => Err(DecodeError::Invalid("kind of ceremony message")),
        }
    }
}

impl MessageKind for Kind {
    fn max_payload(self) -> usize {
        MAX_PAYLOAD
    }
}

impl Roster for Ceremony {
    type Kind = Kind;
    type Error = DkgError;

    fn id(&self) -> CeremonyId {
        self.id()
    }

    fn sender(&self, _: Kind, index: ParticipantIndex) -> Option<PublicKey> {
        self.seat(index).map(|seat| seat.identity)
    }
}

impl From<MessageError<Kind>> for DkgError {
    fn from(error: MessageError<Kind>) -> Self {
        match error {
            MessageError::OtherCeremony => Self::OtherCeremony,
            MessageError::UnknownSender { sender, .. } => Self::UnknownSeat(sender),
            MessageError::Forged { claimed } => Self::Forged { claimed },
            MessageError::OtherPeer { claimed } => Self::OtherPeer { claimed },
            MessageError::NotDue { sender, found } => Self::NotDue { sender, found },
            MessageError::Missing(seats) => Self::Missing(seats),
            MessageError::Equivocation(evidence) => Self::Equivocation(evidence),
        }
    }
}
