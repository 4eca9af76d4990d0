//! Evidence of cheating: the check that anybody can repeat, from the resharing and the evidence alone.

use super::ceremony::{Party, Resharing};
use super::dealing::fits;
use super::error::ReshareError;
use super::message::{Equivocation, Kind, SignedMessage};
use super::report::{Dealing, Report};
use crate::committee::ParticipantIndex;
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::feldman::CommitmentError;

/// What is wrong with what somebody signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Two different messages where one is due.
    #[error("it signed two different messages")]
    Equivocation,
    /// A payload that is not what it should be.
    #[error("its payload is malformed: {0}")]
    Malformed(DecodeError),
    /// Commitments of another degree, or improper ones.
    #[error("it made {0}")]
    Commitments(CommitmentError),
    /// Commitments to another share than the old manifest's: to zero, or to another key.
    #[error("its constant term is not its public share")]
    ConstantTerm,
    /// A share that does not lie on the committed polynomial.
    #[error("its share does not match its commitments")]
    Share,
    /// A report of what its dealer did not sign, or a complaint about what fits.
    #[error("its report is false")]
    FalseReport,
}

/// Who is proven to have cheated, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Culprit {
    /// Who.
    pub party: Party,
    /// How.
    pub fault: Fault,
}

/// The evidence proves nothing against anybody.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEvidence {
    /// The messages are not those of this resharing's members, or not of the kinds that are needed.
    #[error("the messages are no evidence: {0}")]
    Messages(ReshareError),
    /// The messages are as they should be.
    #[error("the messages are as they should be")]
    Sound,
}

/// What shows that a dealer or a seat cheated. A member cannot be framed: all that counts bears its signature.
///
/// Encoded as one byte, 1 to 4 in the order below, then the parts; the last one as an optional object.
#[derive(Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Two messages where one is due.
    Equivocation(Equivocation),
    /// Commitments that are none.
    Commitments(SignedMessage),
    /// A share beside the commitments that it does not fit.
    Share {
        /// The dealer's commitments.
        commitments: SignedMessage,
        /// Its share for some seat.
        share: SignedMessage,
    },
    /// A seat's report, and the commitments about which it is false, unless the report alone shows it.
    Report {
        /// The report.
        report: SignedMessage,
        /// A dealer's commitments.
        commitments: Option<SignedMessage>,
    },
}

impl Evidence {
    /// Whom it accuses. [`Evidence::culprit`] is what proves it.
    #[must_use]
    pub fn accused(&self) -> Party {
        match self {
            Self::Equivocation(evidence) => match evidence.kind {
                Kind::Commitments | Kind::Share => Party::Dealer(evidence.sender),
                Kind::Report | Kind::Confirmation => Party::Receiver(evidence.sender),
            },
            Self::Commitments(commitments) => Party::Dealer(commitments.sender()),
            Self::Share { share, .. } => Party::Dealer(share.sender()),
            Self::Report { report, .. } => Party::Receiver(report.sender()),
        }
    }

    /// Checks the evidence.
    ///
    /// # Errors
    /// [`NoEvidence`] when it proves nothing.
    pub fn culprit(&self, resharing: &Resharing) -> Result<Culprit, NoEvidence> {
        let fault = self.fault(resharing).map_err(NoEvidence::Messages)?;
        let party = self.accused();
        fault
            .map(|fault| Culprit { party, fault })
            .ok_or(NoEvidence::Sound)
    }

    fn fault(&self, resharing: &Resharing) -> Result<Option<Fault>, ReshareError> {
        match self {
            Self::Equivocation(evidence) => {
                evidence.verify(resharing)?;
                Ok(Some(Fault::Equivocation))
            }
            Self::Commitments(commitments) => Ok(dealing(resharing, commitments)?.commitments.err()),
            Self::Share { commitments, share } => share_fault(resharing, commitments, share),
            Self::Report { report, commitments } => {
                report.verify(resharing)?;
                report.expect(Kind::Report, None)?;
                let dealing = match commitments {
                    Some(commitments) => Some(dealing(resharing, commitments)?),
                    None => None,
                };
                let dealing = dealing.as_ref();
                let known = |dealer| dealing.filter(|dealing| dealing.message.sender() == dealer);
                Ok(parse(resharing, report, known).err())
            }
        }
    }
}

/// A dealer's commitments, whose signature is verified.
fn dealing(resharing: &Resharing, message: &SignedMessage) -> Result<Dealing, ReshareError> {
    message.verify(resharing)?;
    message.expect(Kind::Commitments, None)?;
    Ok(Dealing::new(resharing, message.duplicate()))
}

fn share_fault(
    resharing: &Resharing,
    commitments: &SignedMessage,
    share: &SignedMessage,
) -> Result<Option<Fault>, ReshareError> {
    share.verify(resharing)?;
    let to = share
        .recipient()
        .filter(|seat| resharing.threshold().contains(*seat));
    share.expect(Kind::Share, to)?;
    commitments.expect(Kind::Commitments, None)?;
    let dealing = dealing(resharing, commitments)?;
    match (dealing.commitments, to) {
        (Err(fault), _) => Ok(Some(fault)),
        // No seat has that index, or the commitments are another dealer's: nothing to compare.
        (Ok(_), None) => Ok(None),
        (Ok(_), _) if dealing.message.sender() != share.sender() => Ok(None),
        (Ok(commitments), Some(to)) => Ok((!fits(&commitments, to, share)).then_some(Fault::Share)),
    }
}

/// The verdicts of a verified report, if all of them are true as far as the known commitments show.
pub(super) fn parse<'a>(
    resharing: &Resharing,
    report: &SignedMessage,
    known: impl Fn(ParticipantIndex) -> Option<&'a Dealing>,
) -> Result<Report, Fault> {
    let parsed = Report::from_bytes(report.payload()).map_err(Fault::Malformed)?;
    let (dealers, reporter) = (resharing.previous().threshold().n(), report.sender());
    let is_true = parsed.verdicts.len() == usize::from(dealers)
        && resharing
            .dealers()
            .zip(&parsed.verdicts)
            .all(|(dealer, verdict)| verdict.is_true(resharing, reporter, dealer, known(dealer)));
    if is_true {
        Ok(parsed)
    } else {
        Err(Fault::FalseReport)
    }
}

impl Canonical for Evidence {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Equivocation(evidence) => {
                writer.u8(1);
                writer.put(evidence);
            }
            Self::Commitments(commitments) => {
                writer.u8(2);
                writer.put(commitments);
            }
            Self::Share { commitments, share } => {
                writer.u8(3);
                writer.put(commitments);
                writer.put(share);
            }
            Self::Report { report, commitments } => {
                writer.u8(4);
                writer.put(report);
                writer.option(commitments.as_ref());
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Equivocation(reader.get()?)),
            2 => Ok(Self::Commitments(reader.get()?)),
            3 => Ok(Self::Share {
                commitments: reader.get()?,
                share: reader.get()?,
            }),
            4 => Ok(Self::Report {
                report: reader.get()?,
                commitments: reader.option()?,
            }),
            _ => Err(DecodeError::Invalid("evidence")),
        }
    }
}
