//! The check that anybody can repeat when a member complains about the share it was dealt.

use super::ceremony::Ceremony;
use super::error::DkgError;
use super::message::{Kind, SignedMessage};
use super::{round1, round2};
use crate::encoding::Canonical;
use crate::feldman::{CommitmentError, Commitments};

/// Checks a dealer's share for one member against the dealer's commitments: `f(i)·B = Σ i^k·A_k`.
///
/// A complaint that holds publishes one share of a polynomial that is not used for anything any more.
///
/// # Errors
/// [`DkgError::Share`], or [`DkgError::Malformed`] and its like, when the dealer is to blame. Anything without a
/// culprit when the two messages are no evidence: not signed by one seat, or not a round-1 and a round-2 message.
pub fn check_share(
    ceremony: &Ceremony,
    commitments: &SignedMessage,
    share: &SignedMessage,
) -> Result<(), DkgError> {
    commitments.verify(ceremony)?;
    share.verify(ceremony)?;
    let culprit = share.sender();
    let (Kind::Round1, Kind::Round2, Some(recipient)) = (commitments.kind(), share.kind(), share.recipient())
    else {
        return Err(DkgError::NotDue {
            sender: culprit,
            found: share.kind(),
        });
    };
    if commitments.sender() != culprit || commitments.recipient().is_some() || recipient == culprit {
        return Err(DkgError::NotDue {
            sender: culprit,
            found: commitments.kind(),
        });
    }
    let malformed = |error| DkgError::Malformed { culprit, error };
    let dealt = round2::Package::from_bytes(share.payload()).map_err(malformed)?;
    let package = round1::Package::from_bytes(commitments.payload()).map_err(malformed)?;
    let polynomial =
        Commitments::parse(&package.commitments, ceremony.threshold()).map_err(|error| match error {
            CommitmentError::Count { expected, found } => DkgError::CommitmentCount {
                culprit,
                expected,
                found,
            },
            CommitmentError::Point(error) => DkgError::Commitment { culprit, error },
        })?;
    if polynomial.fit(recipient, &dealt.share) {
        Ok(())
    } else {
        Err(DkgError::Share { culprit })
    }
}
