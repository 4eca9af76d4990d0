//! The golden record as the consensus engine's application.

#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc, time::Duration};

use consensus::{AppError, BlockBytes, BoxFuture, Evidence, Finalized};
use golden_record::{Block, BlockError, ExecuteError, FinalityEvidence, TimeError, check_time};
use threshold::signature::Signature;
use tokio::{runtime::Handle, task::JoinSet, time::Instant};

use crate::{
    clock::Clock,
    inbox::Inbox,
    ledger::{Ledger, LedgerError},
};

/// How long to wait for the ground to come, or the clock, before looking again.
const RETRY: Duration = Duration::from_millis(20);

/// The state machine that the engine replicates.
///
/// Blocks are built and executed on this crate's own runtime, not on the engine's threads.
#[derive(Debug)]
pub struct Replica {
    ledger: Arc<Ledger>,
    clock: Clock,
    runtime: Handle,
    idle_block: Duration,
    inbox: Arc<Inbox>,
}

/// What becomes of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Valid,
    Invalid,
    /// It may become valid, or this endorser cannot tell.
    Later,
}

impl Replica {
    /// An application over a ledger, which puts the gossip that it receives into the inbox. An empty block is held back
    /// for `idle_block`.
    #[must_use]
    pub fn new(
        ledger: Arc<Ledger>,
        clock: Clock,
        runtime: Handle,
        idle_block: Duration,
        inbox: Arc<Inbox>,
    ) -> Self {
        Self {
            ledger,
            clock,
            runtime,
            idle_block,
            inbox,
        }
    }

    /// Runs on this crate's runtime, and ends when the engine loses interest.
    fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> BoxFuture<'_, Option<T>> {
        let mut task = JoinSet::new();
        task.spawn_on(work, &self.runtime);
        Box::pin(async move { task.join_next().await.and_then(Result::ok) })
    }
}

/// Waits for a transaction, but not longer than until `deadline`; then the block is empty.
async fn propose(
    ledger: Arc<Ledger>,
    clock: Clock,
    ancestry: Vec<BlockBytes>,
    epoch: u64,
    idle_block: Duration,
) -> Option<Vec<u8>> {
    pace(&ledger, &clock, &ancestry).await;
    let place = match ledger.ground(&ancestry).and_then(|ground| ground.place()) {
        Ok(place) => place,
        Err(error) => {
            tracing::warn!(%error, "no block could be proposed");
            return None;
        }
    };
    if place.epoch != epoch {
        // The block that ends this epoch is the parent, and can be proposed again once its end is known to be final.
        return None;
    }
    // An epoch that is about to end does so without a rest.
    let hold = if place.is_ending {
        Duration::ZERO
    } else {
        idle_block
    };
    let deadline = Instant::now() + hold;
    loop {
        let arrival = ledger.mempool().arrival();
        tokio::pin!(arrival);
        // From here on no arrival is missed.
        arrival.as_mut().enable();
        let last = Instant::now() >= deadline;
        match build(&ledger, &clock, &ancestry, last) {
            Ok(Some(block)) => return Some(block),
            Ok(None) if last => return None,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "no block could be proposed");
                return None;
            }
        }
        tokio::select! {
            () = arrival => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
}

/// Waits until a block may follow its parent. Under load blocks are larger rather than more: each one costs every
/// validator votes and syncs. A chain that was at rest waits for nothing.
async fn pace(ledger: &Ledger, clock: &Clock, ancestry: &[BlockBytes]) {
    let interval = ledger.limits().block_interval_ms;
    let parent = match ancestry.last() {
        Some(parent) => Block::inspect(parent).ok().map(|header| header.time_ms),
        None => Some(ledger.store().tip().header.time_ms),
    };
    let age = clock.now_ms().saturating_sub(parent.unwrap_or(0));
    if age < interval {
        tokio::time::sleep(Duration::from_millis(interval - age)).await;
    }
}

fn build(
    ledger: &Ledger,
    clock: &Clock,
    ancestry: &[BlockBytes],
    empty: bool,
) -> Result<Option<Vec<u8>>, LedgerError> {
    let ground = ledger.ground(ancestry)?;
    ledger.build(&ground, clock.now_ms(), empty)
}

/// Looks again until the proposal is valid or can never be.
async fn verify(
    ledger: Arc<Ledger>,
    clock: Clock,
    block: BlockBytes,
    ancestry: Vec<BlockBytes>,
    epoch: u64,
) -> bool {
    loop {
        match judge(&ledger, &clock, &block, &ancestry, epoch) {
            Verdict::Valid => return true,
            Verdict::Invalid => return false,
            Verdict::Later => tokio::time::sleep(RETRY).await,
        }
    }
}

fn judge(ledger: &Ledger, clock: &Clock, block: &[u8], ancestry: &[BlockBytes], epoch: u64) -> Verdict {
    let Ok(header) = Block::inspect(block) else {
        return Verdict::Invalid;
    };
    let ground = match ledger.ground(ancestry) {
        Ok(ground) => ground,
        Err(error) => return verdict_of(&error),
    };
    if header.height <= ground.final_height() {
        // Decided meanwhile. The state has moved on, so that only the decision says anything about the block.
        return match ground.decided(&header) {
            Ok(Some(true)) => Verdict::Valid,
            Ok(Some(false)) => Verdict::Invalid,
            Ok(None) | Err(_) => Verdict::Later,
        };
    }
    match ground.place() {
        Ok(place) if place.epoch == epoch => {}
        Ok(place) => {
            tracing::warn!(
                height = header.height,
                epoch,
                belongs = place.epoch,
                "a proposed block is of another epoch"
            );
            return Verdict::Invalid;
        }
        Err(error) => return verdict_of(&error),
    }
    match check_time(
        ground.parent(),
        header.time_ms,
        clock.now_ms(),
        ledger.limits().clock_skew_ms,
    ) {
        Ok(()) => {}
        Err(TimeError::BeforeParent) => return Verdict::Invalid,
        Err(TimeError::Ahead) => return Verdict::Later,
    }
    match ledger.check(block, &ground) {
        Ok(()) => Verdict::Valid,
        Err(error) => {
            tracing::warn!(height = header.height, %error, "a proposed block is refused");
            verdict_of(&error)
        }
    }
}

/// What is wrong with the block says no, what is wrong here says nothing.
fn verdict_of(error: &LedgerError) -> Verdict {
    match error {
        LedgerError::Block(BlockError::Execute(ExecuteError::State(_) | ExecuteError::WrongState)) => {
            Verdict::Later
        }
        LedgerError::Block(_) => Verdict::Invalid,
        LedgerError::Store(_)
        | LedgerError::State(_)
        | LedgerError::Execute(_)
        | LedgerError::Ancestry
        | LedgerError::Evidence { .. } => Verdict::Later,
    }
}

fn evidence(evidence: Evidence) -> FinalityEvidence {
    let signatures = evidence.signatures.into_iter();
    FinalityEvidence {
        epoch: evidence.epoch,
        view: evidence.view,
        parent_view: evidence.parent_view,
        payload: evidence.payload,
        signatures: signatures
            .map(|(index, signature)| (index, Signature(signature)))
            .collect(),
    }
}

impl consensus::Application for Replica {
    fn applied_height(&self) -> u64 {
        self.ledger.store().tip().header.height
    }

    fn digest(&self, height: u64) -> Option<[u8; 32]> {
        let header = self
            .ledger
            .store()
            .snapshot()
            .and_then(|snapshot| snapshot.header(height));
        let header = header.unwrap_or_else(|error| {
            tracing::error!(%error, height, "a header cannot be read");
            None
        });
        header.map(|header| header.hash().0)
    }

    fn epoch(&self, number: u64) -> Option<consensus::Epoch> {
        let epoch = self.ledger.epoch(number).unwrap_or_else(|error| {
            tracing::error!(%error, number, "an epoch cannot be read");
            None
        })?;
        Some(consensus::Epoch {
            first: epoch.first,
            validators: epoch
                .endorsers
                .iter()
                .map(|one| *one.validator.as_bytes())
                .collect(),
        })
    }

    fn address(&self, validator: &[u8; 32]) -> Option<consensus::Address> {
        let address = self.ledger.address_of(validator).unwrap_or_else(|error| {
            tracing::error!(%error, "an epoch cannot be read");
            None
        })?;
        let found = address.as_str().parse();
        found
            .inspect_err(|error| tracing::warn!(%address, %error, "an endorser's address"))
            .ok()
    }

    fn propose(&self, ancestry: Vec<BlockBytes>, epoch: u64) -> BoxFuture<'_, Option<Vec<u8>>> {
        let (ledger, clock) = (Arc::clone(&self.ledger), self.clock.clone());
        let work = self.on_runtime(propose(ledger, clock, ancestry, epoch, self.idle_block));
        Box::pin(async move { work.await.flatten() })
    }

    fn verify(&self, block: BlockBytes, ancestry: Vec<BlockBytes>, epoch: u64) -> BoxFuture<'_, bool> {
        let (ledger, clock) = (Arc::clone(&self.ledger), self.clock.clone());
        let work = self.on_runtime(verify(ledger, clock, block, ancestry, epoch));
        Box::pin(async move {
            match work.await {
                Some(valid) => valid,
                // The runtime is going down: that is no verdict.
                None => std::future::pending().await,
            }
        })
    }

    fn finalized(&self, blocks: Vec<Finalized>) -> Result<(), AppError> {
        let blocks = blocks
            .into_iter()
            .map(|(block, votes)| (block, votes.map(evidence)))
            .collect();
        self.ledger.apply(blocks).map_err(|error| {
            tracing::error!(%error, "final blocks could not be made durable");
            error.into()
        })
    }

    fn received(&self, from: [u8; 32], message: Vec<u8>) {
        // Gossip only saves time; when there is too much of it, it is dropped.
        let _ = self.inbox.put(from, message);
    }
}
