//! The messages of a repair.

use super::ceremony::Repair;
use super::error::RepairError;
use crate::committee::{MAX_MEMBERS, ParticipantIndex};
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::ids::CeremonyId;
use crate::message::{MessageKind, Roster};
use crate::signature::PublicKey;

/// The step that a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A helper's commitments, to all.
    Commitments,
    /// A helper's part for another helper.
    Part,
    /// A helper's sum of parts, to the member that lost its share.
    Sum,
}

/// A message of a repair. Part and sum messages hold a secret.
pub type SignedMessage = crate::message::SignedMessage<Kind>;

/// Proof that a helper contradicted itself.
pub type Equivocation = crate::message::Equivocation<Kind>;

const MAX: usize = MAX_MEMBERS as usize;
/// Version and suite.
const HEADER: usize = 2;

impl MessageKind for Kind {
    fn max_payload(self) -> usize {
        match self {
            Self::Commitments => HEADER + 4 + MAX * 32,
            Self::Part => HEADER + 32,
            Self::Sum => HEADER + 32 + 4 + MAX * 96,
        }
    }
}

impl Canonical for Kind {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(match self {
            Self::Commitments => 8,
            Self::Part => 9,
            Self::Sum => 10,
        });
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            8 => Ok(Self::Commitments),
            9 => Ok(Self::Part),
            10 => Ok(Self::Sum),
            _ => Err(DecodeError::Invalid("kind of repair message")),
        }
    }
}

impl Roster for Repair {
    type Kind = Kind;
    type Error = RepairError;

    fn id(&self) -> CeremonyId {
        self.id()
    }

    /// Helpers speak, and nobody else.
    fn sender(&self, _: Kind, index: ParticipantIndex) -> Option<PublicKey> {
        let helper = self.helpers().contains(&index);
        let member = helper.then(|| self.manifest().member(index)).flatten();
        member.map(|member| member.identity)
    }
}
