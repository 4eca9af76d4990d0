//! The messages of a resharing.

use super::ceremony::Resharing;
use super::error::ReshareError;
use crate::committee::{MAX_MEMBERS, ParticipantIndex};
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::ids::CeremonyId;
use crate::message::{MessageKind, Roster};
use crate::signature::PublicKey;

/// The step that a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A dealer's commitments, to all.
    Commitments,
    /// A dealer's share, to one seat.
    Share,
    /// A seat's verdict on every dealer, to all.
    Report,
    /// A seat's signature on the new manifest, to all.
    Confirmation,
}

/// A message of a resharing. A share message holds a secret.
pub type SignedMessage = crate::message::SignedMessage<Kind>;

/// Proof that a dealer or a seat of a resharing contradicted itself.
pub type Equivocation = crate::message::Equivocation<Kind>;

const MAX: usize = MAX_MEMBERS as usize;
/// Version, suite and a count.
const HEADER: usize = 2 + 4;
const ATTESTATION: usize = 96;
/// Version, suite and a scalar.
const SHARE: usize = 34;
/// A share message: envelope, length, payload, signature.
const SHARE_MESSAGE: usize = 37 + 4 + SHARE + 64;

impl MessageKind for Kind {
    fn max_payload(self) -> usize {
        match self {
            Self::Commitments => HEADER + MAX * 32,
            Self::Share => SHARE,
            Self::Report => HEADER + MAX * (1 + ATTESTATION + SHARE_MESSAGE),
            Self::Confirmation => HEADER + 32 + 64 + MAX * ATTESTATION,
        }
    }
}

impl Canonical for Kind {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(match self {
            Self::Commitments => 4,
            Self::Share => 5,
            Self::Report => 6,
            Self::Confirmation => 7,
        });
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            4 => Ok(Self::Commitments),
            5 => Ok(Self::Share),
            6 => Ok(Self::Report),
            7 => Ok(Self::Confirmation),
            _ => Err(DecodeError::Invalid("kind of resharing message")),
        }
    }
}

impl Roster for Resharing {
    type Kind = Kind;
    type Error = ReshareError;

    fn id(&self) -> CeremonyId {
        self.id()
    }

    /// Old members deal, and new seats report and confirm, each under its own index.
    fn sender(&self, kind: Kind, index: ParticipantIndex) -> Option<PublicKey> {
        match kind {
            Kind::Commitments | Kind::Share => self.previous().member(index).map(|member| member.identity),
            Kind::Report | Kind::Confirmation => self.seat(index).map(|seat| seat.identity),
        }
    }
}
