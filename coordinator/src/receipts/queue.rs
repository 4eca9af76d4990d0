//! Statements that wait.

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use threshold::committee::ParticipantIndex;
use threshold::ids::ApproveId;
use threshold::statement::ReleaseStatement;
use tokio::sync::Notify;

use super::spool::{Segment, Spool};
use crate::metrics::Metrics;

/// So many releases are remembered, to be recorded once only.
const REMEMBERED: usize = 65_536;

/// A statement, and where it is spooled.
pub(super) type Waiting = (ReleaseStatement, Segment);

/// The queue. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Receipts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    state: Mutex<State>,
    arrived: Notify,
    doubted: Notify,
    metrics: Metrics,
}

#[derive(Debug)]
struct State {
    /// What may share a transaction.
    waiting: VecDeque<Waiting>,
    /// What the ledger may reject, and everything with it that shares its transaction.
    doubtful: VecDeque<Waiting>,
    /// Taken from the queue and not yet on the chain.
    submitted: usize,
    recent: Recent,
    spool: Spool,
}

impl Receipts {
    /// The queue, with what an earlier run has left in the spool at `directory`. Blocks.
    ///
    /// # Errors
    /// When the spool cannot be read or made.
    pub(crate) fn open(directory: &Path, limit: usize, metrics: Metrics) -> std::io::Result<Self> {
        let (spool, left) = Spool::open(directory)?;
        if !left.is_empty() {
            tracing::info!(
                statements = left.len(),
                "resuming with receipts of an earlier run"
            );
        }
        let mut recent = Recent::default();
        for (statement, _) in &left {
            recent.insert(statement);
        }
        // Some of it may be on the chain, and who vouched for it is not known any more.
        let state = State {
            waiting: VecDeque::new(),
            doubtful: left.into(),
            submitted: 0,
            recent,
            spool,
        };
        let receipts = Self(Arc::new(Inner {
            limit,
            state: Mutex::new(state),
            arrived: Notify::new(),
            doubted: Notify::new(),
            metrics,
        }));
        receipts.0.doubted.notify_one();
        Ok(receipts)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues statements; those of a node about an approval that it has made a statement on before are left out,
    /// because the chain takes one.
    ///
    /// `vouched` says that t nodes have released alike: at least one honest node has then checked the approval. A node
    /// that says that it repeats itself may have a release on the chain already, whoever vouches for it.
    pub(crate) fn add(&self, statements: Vec<ReleaseStatement>, vouched: bool) {
        let mut dropped = 0;
        let mut state = self.state();
        for statement in statements {
            if state.pending() >= self.0.limit {
                dropped += 1;
            } else if state.recent.insert(&statement) {
                let segment = state.spool.append(&statement).unwrap_or_else(|error| {
                    // The receipt still goes to the ledger, unless this process is killed before.
                    tracing::error!(%error, "cannot spool a receipt");
                    Segment::NONE
                });
                if vouched && !statement.repeat {
                    state.waiting.push_back((statement, segment));
                } else {
                    state.doubtful.push_back((statement, segment));
                }
            }
        }
        self.count(&state);
        drop(state);
        self.0.arrived.notify_one();
        self.0.doubted.notify_one();
        if dropped > 0 {
            self.0.metrics.receipts("dropped", dropped);
            tracing::error!(dropped, "receipts dropped: too many wait for the ledger");
        }
    }

    /// Statements that are not on the chain yet.
    pub(crate) fn pending(&self) -> usize {
        self.state().pending()
    }

    /// Waits for doubtful statements, and takes up to `most`. Safe to cancel: nothing is taken before it returns.
    pub(super) async fn doubtful(&self, most: usize) -> Vec<Waiting> {
        loop {
            let taken = self.take_doubtful(most);
            if !taken.is_empty() {
                return taken;
            }
            self.0.doubted.notified().await;
        }
    }

    /// Takes up to `most` doubtful ones that wait now.
    pub(super) fn take_doubtful(&self, most: usize) -> Vec<Waiting> {
        let mut state = self.state();
        let count = most.min(state.doubtful.len());
        let taken: Vec<Waiting> = state.doubtful.drain(..count).collect();
        state.submitted += taken.len();
        taken
    }

    /// These were taken as doubtful, and may share a transaction after all.
    pub(super) fn vouch(&self, taken: Vec<Waiting>) {
        let mut state = self.state();
        state.submitted = state.submitted.saturating_sub(taken.len());
        state.waiting.extend(taken);
        drop(state);
        self.0.arrived.notify_one();
    }

    /// Waits for a statement, then a little longer for others, and takes up to `most`. Safe to cancel: nothing is
    /// taken before it returns.
    pub(super) async fn batch(&self, most: usize, linger: Duration) -> Vec<Waiting> {
        let mut until = None;
        loop {
            let waiting = self.state().waiting.len();
            if waiting >= most {
                return self.take(most);
            }
            match until {
                None if waiting == 0 => self.0.arrived.notified().await,
                None => until = Some(tokio::time::Instant::now() + linger),
                Some(until) => {
                    if tokio::time::timeout_at(until, self.0.arrived.notified())
                        .await
                        .is_err()
                    {
                        return self.take(most);
                    }
                }
            }
        }
    }

    /// Takes up to `most` that wait now.
    pub(super) fn take(&self, most: usize) -> Vec<Waiting> {
        let mut state = self.state();
        let count = most.min(state.waiting.len());
        let taken: Vec<Waiting> = state.waiting.drain(..count).collect();
        state.submitted += taken.len();
        taken
    }

    /// These are on the chain, or will never be.
    pub(super) fn settle(&self, settled: &[Waiting], outcome: &'static str) {
        self.0.metrics.receipts(outcome, settled.len());
        let mut state = self.state();
        state.submitted = state.submitted.saturating_sub(settled.len());
        for (_, segment) in settled {
            state.spool.settle(*segment);
        }
        self.count(&state);
    }

    fn count(&self, state: &State) {
        self.0.metrics.receipts_pending(state.pending());
    }
}

impl State {
    /// Statements that are not on the chain yet.
    fn pending(&self) -> usize {
        self.waiting.len() + self.doubtful.len() + self.submitted
    }
}

/// The newest releases seen, oldest forgotten.
#[derive(Debug, Default)]
struct Recent {
    known: HashSet<(ApproveId, ParticipantIndex)>,
    order: VecDeque<(ApproveId, ParticipantIndex)>,
}

impl Recent {
    /// Whether the release was not known before.
    fn insert(&mut self, statement: &ReleaseStatement) -> bool {
        let key = (statement.approve_id, statement.index);
        if !self.known.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
