//! What goes wrong in a key generation, and whose fault it is.

use super::message::{Equivocation, Kind};
use crate::committee::ParticipantIndex;
use crate::encoding::DecodeError;
use crate::group::PointError;

/// Why a ceremony stopped, or a message was refused.
///
/// A variant with a `culprit` rests on something that this seat signed, and others can check the blame:
/// [`super::check_message`] and [`super::check_share`] are told the same by the messages alone, and an [`Equivocation`] is its
/// own evidence. The rest blame nobody, because anybody could have caused them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DkgError {
    /// The identity key has no seat in this ceremony.
    #[error("this identity has no seat in the ceremony")]
    NotASeat,
    /// A message of another ceremony.
    #[error("the message belongs to another ceremony")]
    OtherCeremony,
    /// A message that names a seat which the ceremony does not have.
    #[error("the ceremony has no seat {0}")]
    UnknownSeat(ParticipantIndex),
    /// The signature is not that of the seat that the message names.
    #[error("the signature is not that of seat {claimed}")]
    Forged {
        /// The seat that the message names.
        claimed: ParticipantIndex,
    },
    /// The message came over the connection of another identity than the seat that it names.
    #[error("a message of seat {claimed} came from another peer")]
    OtherPeer {
        /// The seat that the message names.
        claimed: ParticipantIndex,
    },
    /// A message of another round, or for another recipient, than is due.
    #[error("seat {sender} sent a {found:?} message or recipient that is not due")]
    NotDue {
        /// The sender; a third party may have brought its message here.
        sender: ParticipantIndex,
        /// The kind of message.
        found: Kind,
    },
    /// These seats have sent nothing yet.
    #[error("nothing has come from {} seats", .0.len())]
    Missing(Vec<ParticipantIndex>),
    /// A signed payload that is not a package.
    #[error("seat {culprit} sent a malformed package: {error}")]
    Malformed {
        /// Who signed it.
        culprit: ParticipantIndex,
        /// What is wrong.
        error: DecodeError,
    },
    /// Another number of commitments than t: another threshold.
    #[error("seat {culprit} committed to {found} coefficients instead of {expected}")]
    CommitmentCount {
        /// Who signed it.
        culprit: ParticipantIndex,
        /// t.
        expected: usize,
        /// Given.
        found: usize,
    },
    /// A commitment, or the proof's, that is not a proper point.
    #[error("seat {culprit} sent an improper commitment: {error}")]
    Commitment {
        /// Who signed it.
        culprit: ParticipantIndex,
        /// What is wrong.
        error: PointError,
    },
    /// The proof of possession does not hold.
    #[error("the proof of possession of seat {culprit} does not hold")]
    Proof {
        /// Who signed it.
        culprit: ParticipantIndex,
    },
    /// Seats that signed two different messages where one is due.
    #[error("{} seats sent different members different messages", .0.len())]
    Equivocation(Vec<Equivocation>),
    /// A seat that reports to have received what its dealer did not sign.
    #[error("seat {culprit} reports what no dealer signed")]
    FalseReport {
        /// Who signed the report.
        culprit: ParticipantIndex,
    },
    /// A share that does not lie on its dealer's committed polynomial.
    #[error("the share from seat {culprit} does not match its commitments")]
    Share {
        /// Who signed it.
        culprit: ParticipantIndex,
    },
    /// What was agreed on for this seat is not what this seat sent.
    #[error("the agreed package of this seat is not its own")]
    OwnPackage,
    /// A key or a share came out as the identity or zero, which chance does not make.
    #[error("the key generation ended in a degenerate key")]
    Degenerate,
    /// The library refused for a reason that the checks before it exclude.
    #[error("the key-generation library refused: {0}")]
    Library(String),
}

impl DkgError {
    /// The seats that are to blame, by something that they signed.
    #[must_use]
    pub fn culprits(&self) -> Vec<ParticipantIndex> {
        match self {
            Self::Malformed { culprit, .. }
            | Self::CommitmentCount { culprit, .. }
            | Self::Commitment { culprit, .. }
            | Self::Proof { culprit }
            | Self::FalseReport { culprit }
            | Self::Share { culprit } => vec![*culprit],
            Self::Equivocation(evidence) => evidence.iter().map(|evidence| evidence.sender).collect(),
            Self::NotASeat
            | Self::OtherCeremony
            | Self::UnknownSeat(_)
            | Self::Forged { .. }
            | Self::OtherPeer { .. }
            | Self::NotDue { .. }
            | Self::Missing(_)
            | Self::OwnPackage
            | Self::Degenerate
            | Self::Library(_) => Vec::new(),
        }
    }
}
