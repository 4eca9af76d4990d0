//! Repair: a member that lost its share gets the same share again, from t others, and nobody learns the key.
//!
//! The enrolment protocol that Laing and Stinson describe as a repairable threshold scheme ("A Survey and Refinement of
//! Repairable Threshold Schemes", eprint 2017/1155, section 4.1.1), with commitments added, so that whoever deals wrongly
//! is named. Helper i splits `λ_i·x_i` additively among the helpers, where `λ_i` is its Lagrange coefficient at the
//! lost index; each helper passes the sum of its parts on.
//!
//! | step | who | sends |
//! |---|---|---|
//! | 1 | a helper: [`part1`] | commitments to its parts, to all; a part to each helper, in confidence |
//! | 2 | a helper: [`part2`] | the sum of the parts that it got, to the member that lost its share, in confidence |
//! | 3 | the member: [`part3`] | - |
//!
//! Index, epoch and manifest stay the same, and the share is checked against the manifest's `X_i`. The member still
//! has its identity key: a member that lost that too is replaced by resharing. A helper that cheats or is silent
//! stops the repair; it is proposed again with other helpers.

mod ceremony;
mod error;
mod evidence;
mod message;
mod rounds;
#[cfg(test)]
mod tests;

pub use crate::feldman::Package;
pub use ceremony::{ProposalError, Repair};
pub use error::RepairError;
pub use evidence::{Culprit, Evidence, Fault, NoEvidence};
pub use message::{Equivocation, Kind, SignedMessage};
pub use rounds::{Sum, part1, part2, part3};
