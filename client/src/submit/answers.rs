//! What the endorsers have said of one transaction so far, and whether that is the end of it. No I/O.

use golden_record::{Outcome, RejectionReason};
use tonic::{Code, Status};

use super::Recorded;
use crate::connection::{Endorser, is_passing, refusal_code};
use crate::error::{Error, Fault, Party};

/// What one endorser said.
#[derive(Debug)]
pub(super) enum Answer {
    /// The transaction is in the log; by the endorser's word, or proven.
    Recorded(Recorded),
    /// It was rejected, by the endorser's word: its author may not see the record.
    Rejected(Recorded, RejectionReason),
    /// The endorser does not take it.
    Refused(Refusal, Error),
    /// The endorser gave no answer, or one that does not hold.
    Failed(Error),
}

/// Why an endorser does not take a transaction: what it says of it, without the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    code: Code,
    name: String,
}

impl Answer {
    /// A status of an endorser. One that failed, itself or on the way, has said nothing about the transaction: that its
    /// store is damaged, which comes as internal, says nothing about what the others will do.
    pub(super) fn of(endorser: &Endorser, status: &Status) -> Self {
        let refusal = Refusal {
            code: status.code(),
            name: refusal_code(status).to_owned(),
        };
        match status.code() {
            Code::PermissionDenied => Self::Refused(refusal, Error::Forbidden(endorser.party())),
            code if is_passing(code) => Self::Failed(endorser.failed(status)),
            _ => Self::Refused(refusal, endorser.failed(status)),
        }
    }
}

/// The answers to one transaction, of which up to `tolerated` may be lies.
#[derive(Debug)]
pub(super) struct Answers {
    tolerated: usize,
    rejected: Vec<RejectionReason>,
    refused: Vec<(Party, Refusal, Error)>,
    failed: Vec<(Party, Error)>,
}

impl Answers {
    pub(super) fn new(tolerated: usize) -> Self {
        Self {
            tolerated,
            rejected: Vec::new(),
            refused: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Takes one endorser's answer; gives the end of it, when it is one. What one liar can say by itself is none.
    pub(super) fn take(&mut self, party: Party, answer: Answer) -> Option<Result<Recorded, Error>> {
        match answer {
            Answer::Recorded(recorded) => Some(Ok(recorded)),
            Answer::Rejected(recorded, reason) => {
                self.rejected.push(reason);
                let alike = self.rejected.iter().filter(|said| **said == reason).count();
                (alike > self.tolerated).then_some(Ok(recorded))
            }
            Answer::Refused(refusal, error) => {
                let alike = self
                    .refused
                    .iter()
                    .filter(|(_, said, _)| *said == refusal)
                    .count();
                if alike >= self.tolerated {
                    return Some(Err(error));
                }
                self.refused.push((party, refusal, error));
                None
            }
            Answer::Failed(error) => {
                self.failed.push((party, error));
                None
            }
        }
    }

    /// The error when nobody is left to ask: what all refuse alike or, when nobody refused, what happened last; else who
    /// said what.
    pub(super) fn none(mut self) -> Error {
        let alike = self.refused.windows(2).all(|pair| match pair {
            [(_, one, _), (_, other, _)] => one == other,
            _ => true,
        });
        let enough = self.failed.is_empty() || self.refused.len() > self.tolerated;
        if self.rejected.is_empty()
            && alike
            && enough
            && let Some((_, _, error)) = self.refused.pop()
        {
            return error;
        }
        if self.rejected.is_empty() && self.refused.is_empty() {
            let nobody = || Error::Request("the profile names no endorser".into());
            return self.failed.pop().map_or_else(nobody, |(_, error)| error);
        }
        let refused = self.refused.into_iter().map(|(party, _, error)| (party, error));
        let said = refused
            .chain(self.failed)
            .map(|(party, error)| Fault::instead_of_an_answer(party, error));
        let rejected = self.rejected.iter().map(ToString::to_string).collect::<Vec<_>>();
        let needed = match rejected.as_slice() {
            [] => "an endorser that takes the transaction".to_owned(),
            reasons => format!(
                "{} endorsers that say the same of the transaction; said without proof: {}",
                self.tolerated + 1,
                reasons.join(", ")
            ),
        };
        Error::TooFew {
            needed,
            faults: said.collect(),
        }
    }
}

/// What an endorser claims of a transaction, with what it proves of it. What is proven counts; a rejection without proof
/// is one voice of several, because an author cannot see what it was not to ask for.
pub(super) fn confirmed(claimed: Recorded, proven: Result<crate::log::Line, Error>) -> Answer {
    match (proven, claimed.entry.outcome) {
        (Ok(line), _) => Answer::Recorded(Recorded {
            tx_id: claimed.tx_id,
            index: line.index,
            height: line.height,
            time_ms: line.time_ms,
            entry: line.entry,
        }),
        (Err(Error::NotFound(_)), Outcome::Rejected(reason)) => Answer::Rejected(claimed, reason),
        (Err(error), _) => Answer::Failed(error),
    }
}
