//! What goes wrong in a resharing, and whose fault it is.

use super::agreement::Exclusion;
use super::ceremony::Party;
use super::evidence::Evidence;
use super::message::Kind;
use crate::committee::ParticipantIndex;
use crate::message::MessageError;
use std::collections::BTreeMap;

/// Why a resharing stopped, or a message was refused. The old epoch goes on in every case.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReshareError {
    /// A message is not due, missing, forged, or contradicts another.
    #[error(transparent)]
    Message(#[from] MessageError<Kind>),
    /// The identity, or its share, is not that of a member of the old committee.
    #[error("this identity and share are not a member's of the committee that deals")]
    NotADealer,
    /// The identity has no seat in the new committee.
    #[error("this identity has no seat in the new committee")]
    NotASeat,
    /// The share is not of the manifest that the resharing starts from: another epoch, or another key.
    #[error("the share belongs to another committee manifest than the resharing starts from")]
    OtherManifest,
    /// The report in this seat's name is not the one that this seat made, as after a restart in the middle.
    #[error("the report of this seat is not its own: propose the resharing again")]
    OwnReport,
    /// Seats of the new committee cheated. Propose again without them.
    #[error("{} are proven to have cheated", names(.0))]
    Cheated(Vec<Evidence>),
    /// Seats that confirm another manifest than follows from the reports that they name, or did not sign it.
    /// Whoever has the reports and the commitments can repeat that, by [`super::Received::observe`].
    #[error("{} new seats confirm another manifest than follows from the reports", .0.len())]
    FalseConfirmation(Vec<ParticipantIndex>),
    /// Fewer dealers than t remain.
    #[error("{found} dealers remain of the {needed} that are needed")]
    TooFewDealers {
        /// t of the old committee.
        needed: usize,
        /// Dealers whom every seat accepted.
        found: usize,
        /// The others, and why.
        excluded: BTreeMap<ParticipantIndex, Exclusion>,
    },
    /// A new share came out as zero, or the new polynomial as of lower degree. Chance does not make that: a dealer and
    /// a seat that told it what the others had dealt can, and nothing shows which. Propose again with other dealers.
    #[error("the resharing ended in a degenerate share: propose it again with other dealers")]
    Degenerate,
}

impl ReshareError {
    /// Who is to blame, by something that they signed.
    #[must_use]
    pub fn culprits(&self) -> Vec<Party> {
        match self {
            Self::Message(MessageError::Equivocation(evidence)) => evidence
                .iter()
                .map(|evidence| Evidence::Equivocation(*evidence).accused())
                .collect(),
            Self::Cheated(evidence) => evidence.iter().map(Evidence::accused).collect(),
            Self::FalseConfirmation(seats) => seats.iter().copied().map(Party::Receiver).collect(),
            Self::TooFewDealers { excluded, .. } => {
                excluded.values().filter_map(Exclusion::culprit).collect()
            }
            Self::Message(_)
            | Self::NotADealer
            | Self::NotASeat
            | Self::OtherManifest
            | Self::OwnReport
            | Self::Degenerate => Vec::new(),
        }
    }
}

fn names(evidence: &[Evidence]) -> String {
    let names: Vec<String> = evidence
        .iter()
        .map(|evidence| evidence.accused().to_string())
        .collect();
    names.join(", ")
}
