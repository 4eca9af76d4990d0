//! The whole log: no shorter than anybody proves it to be, and a continuation of what was verified before.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use golden_record::merkle::{Frontier, Hash};
use golden_record::{Header, TxId};
use proto::ledger::ListTransactionsRequest;
use tonic::Code;

use super::{Line, PROOF_ATTEMPTS, PROOF_PAUSE, ProvenHeader, VerifiedLog, line};
use crate::Client;
use crate::checkpoint::Checkpoint;
use crate::connection::{Endorser, request, whole};
use crate::cosigned::caught_up;
use crate::error::{Error, Fault};
use crate::in_turn::in_turn;

#[cfg(test)]
mod tests;

/// The longest page that an endorser gives.
const PAGE: u32 = 1_000;
/// How long a whole log is waited for before the next endorser is asked for it too: that costs as much again.
const LOG_PATIENCE: Duration = Duration::from_secs(5);
/// How often, and after what pause, the log is read again for a receipt.
const RECEIPT_ATTEMPTS: u32 = 50;
const RECEIPT_PAUSE: Duration = Duration::from_millis(100);

/// What a log has to hold up against.
struct Demand {
    /// So many entries are proven, by whichever endorser or by what was verified before.
    size: u64,
    /// What was verified before.
    earlier: Option<Checkpoint>,
    /// How many endorsers said how long their log is.
    compared: usize,
}

impl Client {
    /// Fetches the whole log and verifies it: its entries hash to what 2f+1 validators have signed, no endorser proves a
    /// longer one, and it continues the log that was verified before. An endorser that lies is named in the log's
    /// faults, and the next one is asked.
    ///
    /// # Errors
    /// [`Error::Forked`] when the log does not continue the one verified before; [`Error::Behind`] when every endorser's
    /// is shorter than what is proven; [`Error::Lied`] and [`Error::TooFew`]; [`Error::Checkpoint`]; no endorser that
    /// answers.
    pub async fn verified_log(&self) -> Result<VerifiedLog, Error> {
        let chain_id = self.0.trust.chain_id;
        let mut faults = Vec::new();
        let demand = self.demand(&mut faults).await?;
        let mut last = None;
        // One that is behind is asked again: an honest one catches up.
        let demand = &demand;
        let ask = |endorser| caught_up(async move || self.verified_log_of(endorser, demand).await);
        let take = |endorser, answer| match answer {
            Ok(log) => Some(Ok(log)),
            // That too many validators have signed two histories is no matter of one endorser's.
            Err(error @ Error::Forked { .. }) => Some(Err(error)),
            Err(Error::Lied(fault)) => {
                faults.push(*fault);
                None
            }
            Err(error) => {
                last = Some((endorser, error));
                None
            }
        };
        let end = in_turn(self.0.endorsers.iter(), LOG_PATIENCE, ask, take).await;
        let log: VerifiedLog = end.unwrap_or_else(|| Err(failed(last, std::mem::take(&mut faults))))?;
        self.0.checkpoints.keep(&chain_id, log.checkpoint())?;
        Ok(VerifiedLog { faults, ..log })
    }

    /// The verified log, as soon as it has the receipt of this read: coordinators record what nodes released a little
    /// after the reader has it.
    ///
    /// # Errors
    /// As [`Client::verified_log`], and [`Error::NotFound`] when no receipt has come after some seconds.
    pub async fn await_receipt(&self, approve_id: &TxId) -> Result<VerifiedLog, Error> {
        for _ in 0..RECEIPT_ATTEMPTS {
            let log = self.verified_log().await?;
            if log.has_receipt(approve_id) {
                return Ok(log);
            }
            tokio::time::sleep(RECEIPT_PAUSE).await;
        }
        Err(Error::NotFound(format!("receipt of the read {approve_id}")))
    }

    /// How long the log is at least. Waits for all endorsers but those that may fail, so that what more than these have
    /// is known; a size that is only claimed counts for nothing, or one liar could keep everybody from the log.
    async fn demand(&self, faults: &mut Vec<Fault>) -> Result<Demand, Error> {
        let earlier = self.0.checkpoints.newest(&self.0.trust.chain_id)?;
        let mut asked: FuturesUnordered<_> = self
            .0
            .endorsers
            .iter()
            .map(|endorser| self.endorser_status(endorser))
            .collect();
        let tolerated = self.tolerated();
        let enough = asked.len().saturating_sub(tolerated).max(tolerated + 1);
        let (mut size, mut compared) = (earlier.map_or(0, |earlier| earlier.size), 0);
        while compared < enough
            && let Some(status) = asked.next().await
        {
            match status {
                Ok(status) => {
                    compared += 1;
                    size = size.max(status.proven_size());
                }
                Err(Error::Lied(fault)) => faults.push(*fault),
                // Whoever does not answer proves nothing.
                Err(_) => {}
            }
        }
        Ok(Demand {
            size,
            earlier,
            compared,
        })
    }

    async fn verified_log_of(&self, endorser: &Endorser, demand: &Demand) -> Result<VerifiedLog, Error> {
        let lied = |what: String| Error::from(Fault::new(endorser.party(), "log", what, &[]));
        let ProvenHeader { header, signatures } = self.claimed_and_proven(endorser).await?;
        if header.log_size < demand.size {
            return Err(Error::Behind {
                party: endorser.party(),
                size: header.log_size,
                proven: demand.size,
            });
        }
        let lines = lines_of(endorser, header.log_size).await?;
        let earlier = check(&lines, &header, demand.earlier).map_err(lied)?;
        if let Err(earlier) = earlier {
            return Err(Error::Forked {
                party: endorser.party(),
                earlier,
                header: Box::new(header),
            });
        }
        Ok(VerifiedLog {
            lines,
            header,
            signatures,
            validators: self.epochs().endorsers().members().len(),
            compared: demand.compared,
            faults: Vec::new(),
        })
    }

    /// The newest header that this endorser proves, once it proves the one that it claims, or does not in time.
    async fn claimed_and_proven(&self, endorser: &Endorser) -> Result<ProvenHeader, Error> {
        let mut status = self.endorser_status(endorser).await?;
        let claimed = status.header.log_size;
        for _ in 1..PROOF_ATTEMPTS {
            if status.proven_size() >= claimed {
                break;
            }
            tokio::time::sleep(PROOF_PAUSE).await;
            status = self.endorser_status(endorser).await?;
        }
        status
            .proven
            .ok_or_else(|| Error::NotFound("entry in its log yet".into()))
    }
}

/// The first `size` entries. The size is proven: whoever could name any would have us keep whatever it invents.
async fn lines_of(endorser: &Endorser, size: u64) -> Result<Vec<Line>, Error> {
    let mut lines: Vec<Line> = Vec::new();
    loop {
        let from = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if from >= size {
            return Ok(lines);
        }
        let message = ListTransactionsRequest { from, limit: PAGE };
        let page = whole(endorser.rpc().list_transactions(request(message))).await;
        let page = page.map_err(|status| match status.code() {
            Code::PermissionDenied => Error::Forbidden(endorser.party()),
            _ => endorser.failed(&status),
        })?;
        let next = page.next;
        for entry in page.entries {
            let line = line(endorser, entry)?;
            if line.index >= size {
                break;
            }
            if line.index != u64::try_from(lines.len()).unwrap_or(u64::MAX) {
                return Err(partly_shown());
            }
            lines.push(line);
        }
        if u64::try_from(lines.len()).unwrap_or(u64::MAX) == from {
            if next > from {
                return Err(partly_shown());
            }
            let what = format!("gave {from} entries of a log of {size}");
            return Err(Fault::new(endorser.party(), "log", what, &[]).into());
        }
    }
}

fn partly_shown() -> Error {
    Error::Request(
        "this key sees only its tenant's part of the log; the whole is verified with an auditor's key".into(),
    )
}

impl VerifiedLog {
    /// What is to be kept of it.
    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            size: self.header.log_size,
            root: self.header.log_root,
        }
    }
}

/// The error when no endorser gave a log that holds.
fn failed(last: Option<(&Endorser, Error)>, mut faults: Vec<Fault>) -> Error {
    match (last, faults.len()) {
        (None, 0) => Error::Request("the profile names no endorser".into()),
        (None, 1) => faults.swap_remove(0).into(),
        (Some((_, error)), 0) => error,
        (last, _) => {
            faults.extend(last.map(|(endorser, error)| Fault::instead_of_an_answer(endorser.party(), error)));
            Error::TooFew {
                needed: "one endorser with a log that holds".into(),
                faults,
            }
        }
    }
}

/// The entries are all those, and in the order, that a proven header binds; and, as the inner result, they begin with
/// the log that was verified before.
fn check(
    lines: &[Line],
    header: &Header,
    earlier: Option<Checkpoint>,
) -> Result<Result<(), Checkpoint>, String> {
    let count = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    if header.log_size != count {
        return Err(format!("gave {count} entries of a log of {}", header.log_size));
    }
    let mut frontier = Frontier::new();
    let mut root_then: Option<Hash> = None;
    for line in lines {
        frontier
            .push(line.entry.leaf_hash(), |_, _, _| {})
            .ok_or("gave a log that is too long")?;
        if earlier.is_some_and(|earlier| earlier.size == frontier.size()) {
            root_then = Some(frontier.root());
        }
    }
    if frontier.root() != header.log_root {
        return Err("gave entries that do not hash to the root that the validators have signed".into());
    }
    Ok(match earlier {
        Some(earlier) if root_then != Some(earlier.root) => Err(earlier),
        _ => Ok(()),
    })
}
