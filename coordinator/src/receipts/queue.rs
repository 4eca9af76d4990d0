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
    metrics: Metrics,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Waiting>,
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
        let state = State {
            waiting: left.into(),
            submitted: 0,
            recent,
            spool,
        };
        let receipts = Self(Arc::new(Inner {
            limit,
            state: Mutex::new(state),
            arrived: Notify::new(),
            metrics,
        }));
        receipts.0.arrived.notify_one();
        Ok(receipts)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues statements; those of a node about an approval that it has made a statement on before are left out,
    /// because the chain takes one.
    pub(crate) fn add(&self, statements: Vec<ReleaseStatement>) {
        let mut dropped = 0;
        let mut state = self.state();
        for statement in statements {
            if state.waiting.len() + state.submitted >= self.0.limit {
                dropped += 1;
            } else if state.recent.insert(&statement) {
                let segment = state.spool.append(&statement).unwrap_or_else(|error| {
                    // The receipt still goes to the ledger, unless this process is killed before.
                    tracing::error!(%error, "cannot spool a receipt");
                    Segment::NONE
                });
                state.waiting.push_back((statement, segment));
            }
        }
        self.count(&state);
        drop(state);
        self.0.arrived.notify_one();
        if dropped > 0 {
            self.0.metrics.receipts("dropped", dropped);
            tracing::error!(dropped, "receipts dropped: too many wait for the ledger");
        }
    }

    /// Statements that are not on the chain yet.
    pub(crate) fn pending(&self) -> usize {
        let state = self.state();
        state.waiting.len() + state.submitted
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
        self.0
            .metrics
            .receipts_pending(state.waiting.len() + state.submitted);
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
