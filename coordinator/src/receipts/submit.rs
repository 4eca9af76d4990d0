//! Statements to transactions, transactions to endorsers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use golden_record::{Body, Outcome, RejectionReason, Transaction, TxId};
use rand_core::{OsRng, RngCore};
use service::Identity;
use threshold::ids::ChainId;
use threshold::statement::ReleaseStatement;
use tokio::task::{JoinError, JoinSet};

use super::Receipts;
use super::queue::Waiting;
use crate::endorser::{Endorser, EndorserError};

/// Transactions under way at once.
const UNDER_WAY: usize = 4;
/// How long a transaction may take to be included; then it is signed anew.
const LIFETIME_MS: u64 = 120_000;
/// A transaction is not submitted so shortly before its expiry.
const MARGIN_MS: u64 = 20_000;
/// After all endorsers have failed, the pause before the first is asked again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Takes statements from the queue to the ledger. Clones share the turn of the endorsers.
#[derive(Debug, Clone)]
pub(crate) struct Submitter {
    pub(crate) receipts: Receipts,
    pub(crate) endorsers: Arc<Vec<Arc<Endorser>>>,
    pub(crate) identity: Identity,
    /// The most statements in one transaction.
    pub(crate) most: usize,
    /// How long a statement waits for others.
    pub(crate) linger: Duration,
    /// Which endorser worked last.
    pub(crate) turn: Arc<AtomicUsize>,
}

impl Submitter {
    /// Submits until `stop` completes, then what is left, for at most `drain`.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>, drain: Duration) {
        tokio::pin!(stop);
        let mut under_way = JoinSet::new();
        let mut sorted_out = JoinSet::new();
        loop {
            tokio::select! {
                batch = self.receipts.batch(self.most, self.linger), if under_way.len() < UNDER_WAY => {
                    self.spawn(&mut under_way, batch);
                }
                // One at a time, so that what is doubtful never takes the place of what is not.
                doubtful = self.receipts.doubtful(self.most), if sorted_out.is_empty() => {
                    let submitter = self.clone();
                    sorted_out.spawn(async move { submitter.sort_out(doubtful).await });
                }
                Some(ended) = under_way.join_next() => report(ended),
                Some(ended) = sorted_out.join_next() => report(ended),
                () = &mut stop => break,
            }
        }
        let drained = async {
            tokio::join!(self.drain_doubtful(sorted_out), self.drain(&mut under_way));
            // What turned out to be good meanwhile.
            self.drain(&mut under_way).await;
        };
        if tokio::time::timeout(drain, drained).await.is_err() {
            tracing::warn!(
                statements = self.receipts.pending(),
                "stopped with receipts still in the spool"
            );
        }
    }

    async fn drain_doubtful(&self, mut sorted_out: JoinSet<()>) {
        while let Some(ended) = sorted_out.join_next().await {
            report(ended);
        }
        loop {
            let doubtful = self.receipts.take_doubtful(self.most);
            if doubtful.is_empty() {
                return;
            }
            self.sort_out(doubtful).await;
        }
    }

    async fn drain(&self, under_way: &mut JoinSet<()>) {
        loop {
            while under_way.len() < UNDER_WAY {
                let batch = self.receipts.take(self.most);
                if batch.is_empty() {
                    break;
                }
                self.spawn(under_way, batch);
            }
            match under_way.join_next().await {
                Some(ended) => report(ended),
                None => return,
            }
        }
    }

    fn spawn(&self, under_way: &mut JoinSet<()>, batch: Vec<Waiting>) {
        let submitter = self.clone();
        under_way.spawn(async move { submitter.record(batch).await });
    }

    /// Looks each read up that nobody has vouched for. What is approved joins the others; the rest is for the ledger to
    /// judge, in transactions of its own.
    async fn sort_out(&self, doubtful: Vec<Waiting>) {
        let mut reads: BTreeMap<_, Vec<Waiting>> = BTreeMap::new();
        for one in doubtful {
            let statement = &one.0;
            let read = (
                statement.approve_id,
                statement.write_id,
                *statement.q.as_bytes(),
                statement.repeat,
            );
            reads.entry(read).or_default().push(one);
        }
        for releases in reads.into_values() {
            let Some((statement, _)) = releases.first() else {
                continue;
            };
            if !statement.repeat && self.is_approved(statement).await {
                self.receipts.vouch(releases);
            } else {
                self.record(releases).await;
            }
        }
    }

    /// Whether more endorsers than can lie say that the read is approved for this wrapped key and this reader's key. One
    /// that is behind, or does not answer, does not say so: then the ledger decides.
    async fn is_approved(&self, statement: &ReleaseStatement) -> bool {
        let needed = needed(self.endorsers.len());
        let mut said = 0;
        for endorser in self.endorsers.iter() {
            match endorser.approved(statement.approve_id).await {
                Ok(Some(read)) if read.covers(statement) => said += 1,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(endorser = endorser.organisation, %error, "cannot look a read up");
                }
            }
            if said >= needed {
                return true;
            }
        }
        false
    }

    /// Brings a batch onto the chain. One statement that the ledger rejects rejects its whole transaction: then
    /// each half is tried by itself, until the one to blame is alone.
    async fn record(&self, batch: Vec<Waiting>) {
        let mut parts = vec![batch];
        while let Some(mut part) = parts.pop() {
            match self.submit(&part).await {
                Outcome::Rejected(reason) if part.len() == 1 => self.give_up(&part, reason),
                Outcome::Rejected(reason) => {
                    tracing::debug!(%reason, statements = part.len(), "receipts rejected together, now apart");
                    parts.push(part.split_off(part.len() / 2));
                    parts.push(part);
                }
                Outcome::Applied
                | Outcome::Approved { .. }
                | Outcome::Denied(_)
                | Outcome::Pending { .. }
                | Outcome::Permitted { .. } => {
                    self.receipts.settle(&part, "recorded");
                }
            }
        }
    }

    fn give_up(&self, part: &[Waiting], reason: RejectionReason) {
        if reason == RejectionReason::DuplicateRelease {
            // Recorded before a restart, or by another coordinator.
            self.receipts.settle(part, "recorded");
            return;
        }
        for (statement, _) in part {
            tracing::error!(approve_id = %statement.approve_id, index = %statement.index, %reason, "receipt rejected");
        }
        self.receipts.settle(part, "rejected");
    }

    /// Submits until the ledger has decided, however long that takes. One endorser's word is not taken for it: more
    /// than can lie must say the same of one transaction.
    async fn submit(&self, part: &[Waiting]) -> Outcome {
        let mut signed = BTreeMap::new();
        let mut verdicts = Verdicts::of(self.endorsers.len());
        let mut pause = FIRST_PAUSE;
        loop {
            for _ in 0..self.endorsers.len() {
                let turn = self.turn.load(Ordering::Relaxed);
                // Whoever has been asked in this round is not asked again.
                let place = verdicts.next_from(turn);
                let Some(endorser) = self.endorsers.get(place) else {
                    continue;
                };
                match self.attempt(endorser, part, &mut signed).await {
                    Ok((id, outcome)) => {
                        if let Some(outcome) = verdicts.take(place, id, outcome) {
                            return outcome;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(endorser = endorser.organisation, %error, "receipts not taken");
                        verdicts.failed(place);
                        // Whoever else has moved on already has done so for the same reason.
                        let next = turn.wrapping_add(1);
                        let _ = self
                            .turn
                            .compare_exchange(turn, next, Ordering::Relaxed, Ordering::Relaxed);
                    }
                }
            }
            verdicts.next_round();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One transaction is submitted to several endorsers unchanged, so that it enters the chain once. One that names
    /// another chain gets one of its own.
    async fn attempt(
        &self,
        endorser: &Endorser,
        part: &[Waiting],
        signed: &mut BTreeMap<ChainId, Transaction>,
    ) -> Result<(TxId, Outcome), EndorserError> {
        let chain_id = endorser.chain_id().await?;
        let now = now_ms();
        let transaction = match signed.remove(&chain_id) {
            Some(signed) if now + MARGIN_MS < signed.expires_ms => signed,
            _ => self.sign(chain_id, now, part),
        };
        let transaction = signed.entry(chain_id).or_insert(transaction);
        let outcome = endorser.submit(transaction).await?.outcome;
        Ok((transaction.tx_id(), outcome))
    }

    fn sign(&self, chain_id: ChainId, now_ms: u64, part: &[Waiting]) -> Transaction {
        let mut nonce = [0; 16];
        OsRng.fill_bytes(&mut nonce);
        let releases = part.iter().map(|(statement, _)| *statement).collect();
        let body = Body::RecordReleases { releases };
        Transaction::sign(
            chain_id,
            self.identity.signing_key(),
            nonce,
            now_ms + LIFETIME_MS,
            body,
        )
    }
}

/// A batch that fails takes nobody with it: what was in it stays in the spool, for the next run.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "receipts are not taken to the ledger until the coordinator is started again");
    }
}

/// How many of so many endorsers must say the same: one more than may lie, f of 3f+1.
fn needed(endorsers: usize) -> usize {
    endorsers.saturating_sub(1) / 3 + 1
}

/// What the endorsers have said of a batch, each by its place.
#[derive(Debug)]
pub(super) struct Verdicts {
    endorsers: usize,
    said: BTreeMap<usize, (TxId, Outcome)>,
    asked: BTreeSet<usize>,
}

impl Verdicts {
    /// Nothing yet, of so many endorsers.
    pub(super) fn of(endorsers: usize) -> Self {
        Self {
            endorsers,
            said: BTreeMap::new(),
            asked: BTreeSet::new(),
        }
    }

    /// The first from `turn` on that has not been asked in this round.
    pub(super) fn next_from(&self, turn: usize) -> usize {
        let count = self.endorsers.max(1);
        (0..count)
            .map(|step| turn.wrapping_add(step) % count)
            .find(|place| !self.asked.contains(place))
            .unwrap_or(turn % count)
    }

    /// Notes what one has said, its newest word only; gives the outcome that enough agree on.
    pub(super) fn take(&mut self, place: usize, id: TxId, outcome: Outcome) -> Option<Outcome> {
        self.asked.insert(place);
        self.said.insert(place, (id, outcome));
        let alike = self.said.values().filter(|said| **said == (id, outcome)).count();
        (alike >= needed(self.endorsers)).then_some(outcome)
    }

    /// This one has said nothing.
    pub(super) fn failed(&mut self, place: usize) {
        self.asked.insert(place);
    }

    /// All may be asked again.
    pub(super) fn next_round(&mut self) {
        self.asked.clear();
    }
}

fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
