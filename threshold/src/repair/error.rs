//! What goes wrong in a repair, and whose fault it is.

use super::evidence::Evidence;
use super::message::Kind;
use crate::committee::ParticipantIndex;
use crate::message::MessageError;

/// Why a repair stopped, or a message was refused. Nobody's share is changed by it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepairError {
    /// A message is not due, missing, forged, or contradicts another.
    #[error(transparent)]
    Message(#[from] MessageError<Kind>),
    /// The identity, or its share, is not that of a helper.
    #[error("this identity and share are not a helper's in the repair")]
    NotAHelper,
    /// The identity is not that of the member whose share is repaired.
    #[error("this identity is not that of the member whose share is repaired")]
    NotTheLost,
    /// The share is not of the manifest that the repair is for: another epoch, or another key.
    #[error("the share belongs to another committee manifest than the repair is for")]
    OtherManifest,
    /// Helpers cheated. Propose again without them.
    #[error("{} helpers are proven to have cheated", .0.len())]
    Cheated(Vec<Evidence>),
    /// A part or a sum came out as zero, which chance does not make. Propose again.
    #[error("the repair ended in a degenerate share: propose it again")]
    Degenerate,
}

impl RepairError {
    /// The helpers who are to blame, by something that they signed.
    #[must_use]
    pub fn culprits(&self) -> Vec<ParticipantIndex> {
        match self {
            Self::Message(MessageError::Equivocation(evidence)) => {
                evidence.iter().map(|evidence| evidence.sender).collect()
            }
            Self::Cheated(evidence) => evidence.iter().map(Evidence::accused).collect(),
            Self::Message(_)
            | Self::NotAHelper
            | Self::NotTheLost
            | Self::OtherManifest
            | Self::Degenerate => Vec::new(),
        }
    }
}
