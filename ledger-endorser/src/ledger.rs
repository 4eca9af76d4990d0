//! The replicated state machine of one endorser: what is durable, what is executed and not final yet, and how a
//! block is built, checked and applied.

mod pending;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use crate::{
    config::Limits,
    mempool::{Mempool, MempoolLimits, Room},
    metrics::{Metrics, OutcomeLabel},
    store::{FinalBlock, Snapshot, Store, StoreError},
    waiters::{Committed, Waiters},
};
use golden_record::{
    Address, Block, BlockError, Epoch, ExecuteError, FinalityEvidence, Genesis, Header, Overlay,
    StateEndorsers, StateError, TxId, VerifiedBlock, VerifiedTransaction, execute, queries, verify_block,
};

use pending::{PendingBlock, PendingBlocks};
use threshold::name::Name;
use tokio::sync::broadcast;

/// Why the ledger could not do something. Who is at fault is said with each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The store failed. Ours.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state cannot be read. Ours.
    #[error(transparent)]
    State(#[from] StateError),
    /// A block does not hold. The proposer's; of a final block, a quorum's.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A block could not be built. Ours.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The ancestors given do not lead from the durable block to the parent. The engine's, or the durable
    /// block has moved on meanwhile.
    #[error("the ancestors do not follow the durable block")]
    Ancestry,
    /// Votes given as finality evidence do not hold. A quorum's, or the engine's.
    #[error("the finality evidence of block {height} does not hold: {source}")]
    Evidence {
        /// Of which block.
        height: u64,
        /// Why.
        source: golden_record::EvidenceError,
    },
}

/// Where the next block stands: a view of what is durable, and the executed blocks above it.
pub struct Ground {
    snapshot: Snapshot,
    above: Vec<Arc<PendingBlock>>,
}

impl std::fmt::Debug for Ground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ground")
            .field("parent", &self.parent().height)
            .finish_non_exhaustive()
    }
}

impl Ground {
    /// The header of the block that the next one follows.
    #[must_use]
    pub fn parent(&self) -> &Header {
        self.above
            .last()
            .map_or(self.snapshot.newest(), |pending| pending.block.header())
    }

    /// Whether the block with this header is the one that is final at its height, in this very view of the store.
    /// Nothing when the height is not final, or the block was forgotten.
    ///
    /// # Errors
    /// When the store fails.
    pub fn decided(&self, header: &Header) -> Result<Option<bool>, StoreError> {
        let is_final = header.height <= self.snapshot.newest().height;
        let found = if is_final {
            self.snapshot.header(header.height)?
        } else {
            None
        };
        Ok(found.map(|found| found == *header))
    }

    /// The height of the newest block that is final in this view of the store.
    #[must_use]
    pub fn final_height(&self) -> u64 {
        self.snapshot.newest().height
    }

    /// The epoch of the next block.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn place(&self) -> Result<Place, LedgerError> {
        let state = self.state();
        let epoch = queries::epoch_of(&state, self.parent().height.saturating_add(1))?;
        Ok(Place {
            epoch,
            is_ending: queries::newest_epoch(&state)? > epoch,
        })
    }

    fn state(&self) -> Overlay<'_> {
        Overlay::new(
            &self.snapshot,
            self.above
                .iter()
                .map(|pending| Arc::clone(&pending.changes))
                .collect(),
        )
    }

    fn included(&self) -> HashSet<TxId> {
        self.above
            .iter()
            .flat_map(|pending| pending.ids.iter().copied())
            .collect()
    }
}

/// Where the next block is among the epochs of endorsers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose endorsers decide on it.
    pub epoch: u64,
    /// Whether it is decided when that epoch ends.
    pub is_ending: bool,
}

/// One endorser's replica of the golden record.
#[derive(Debug)]
pub struct Ledger {
    genesis: Genesis,
    store: Store,
    mempool: Mempool,
    waiters: Waiters,
    pending: PendingBlocks,
    /// Held while final blocks are applied: an engine that starts again may give some a second time.
    applying: Mutex<()>,
    /// Whoever follows the chain gets each final block.
    blocks: broadcast::Sender<Arc<Block>>,
    metrics: Metrics,
    limits: Limits,
}

/// Blocks that whoever follows the chain may be behind before it has to look into the store.
const FOLLOWED: usize = 64;

impl Ledger {
    /// A replica over its store.
    #[must_use]
    pub fn new(genesis: Genesis, store: Store, limits: Limits, metrics: Metrics) -> Self {
        let mempool = Mempool::new(mempool_limits(&limits));
        let ledger = Self {
            genesis,
            store,
            mempool,
            waiters: Waiters::default(),
            pending: PendingBlocks::default(),
            applying: Mutex::default(),
            blocks: broadcast::Sender::new(FOLLOWED),
            metrics,
            limits,
        };
        ledger.mempool.share_among(ledger.genesis.organisations().len());
        ledger.share_mempool();
        ledger.show_tip();
        ledger
    }

    /// Shares the mempool among the endorsers of the next block.
    fn share_mempool(&self) {
        match self.endorser_count() {
            Ok(count) => self.mempool.share_among(count),
            Err(error) => tracing::error!(%error, "the endorsers cannot be read"),
        }
    }

    fn endorser_count(&self) -> Result<usize, LedgerError> {
        let ground = self.ground(&[])?;
        let epoch = queries::epoch(&ground.snapshot, ground.place()?.epoch)?;
        Ok(epoch.map_or(0, |epoch| epoch.endorsers.len()))
    }

    /// Whether the chain has this self-signed certificate (X.509, DER) of an organisation's CA.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn has_authority(&self, organisation: &Name, certificate: &[u8]) -> Result<bool, LedgerError> {
        let organisations = queries::organisations(&self.store.snapshot()?)?;
        let mut members = organisations.members.iter();
        Ok(members.any(|one| one.name == *organisation && one.ca_certificate == certificate))
    }

    /// The beginning of the chain.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// What is durable.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What waits for a block.
    #[must_use]
    pub fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// Who waits for what.
    #[must_use]
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// The measurements.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The blocks that become final from now on, when they are durable.
    #[must_use]
    pub fn final_blocks(&self) -> broadcast::Receiver<Arc<Block>> {
        self.blocks.subscribe()
    }

    /// The endorsers of an epoch, if final blocks have decided on it.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn epoch(&self, number: u64) -> Result<Option<Epoch>, LedgerError> {
        Ok(queries::epoch(&self.store.snapshot()?, number)?)
    }

    /// Where the chain says that an endorser listens to its fellows.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn address_of(&self, validator: &[u8; 32]) -> Result<Option<Address>, LedgerError> {
        let snapshot = self.store.snapshot()?;
        let newest = queries::newest_epoch(&snapshot)?;
        // One that leaves is needed until the last block of its epoch is everywhere.
        for number in [Some(newest), newest.checked_sub(1)].into_iter().flatten() {
            let epoch = queries::epoch(&snapshot, number)?;
            let mut endorsers = epoch.map_or(Vec::new(), |epoch| epoch.endorsers).into_iter();
            if let Some(found) = endorsers.find(|one| one.validator.as_bytes() == validator) {
                return Ok(found.address);
            }
        }
        Ok(None)
    }

    /// Where a block stands that follows the last of `ancestry`, which begins at most one above the durable block.
    /// What was executed before is not executed again.
    ///
    /// # Errors
    /// [`LedgerError::Ancestry`], or what is wrong with an ancestor.
    pub fn ground(&self, ancestry: &[Arc<[u8]>]) -> Result<Ground, LedgerError> {
        let snapshot = self.store.snapshot()?;
        let mut ground = Ground {
            snapshot,
            above: Vec::with_capacity(ancestry.len()),
        };
        for bytes in ancestry {
            let header = Block::inspect(bytes).map_err(BlockError::from)?;
            if header.height <= ground.snapshot.newest().height {
                continue;
            }
            if header.parent != ground.parent().hash() {
                return Err(LedgerError::Ancestry);
            }
            let ancestor = self.executed(&header, bytes, &ground)?;
            ground.above.push(ancestor);
        }
        Ok(ground)
    }

    /// The block with these bytes, executed on this ground: now, or before.
    fn executed(
        &self,
        header: &Header,
        bytes: &[u8],
        ground: &Ground,
    ) -> Result<Arc<PendingBlock>, LedgerError> {
        let hash = header.hash();
        if let Some(known) = self.pending.get(&hash) {
            return Ok(known);
        }
        let verified = self.verify_signatures(bytes)?;
        let changes = verify_block(ground.parent(), &ground.state(), &verified)?;
        Ok(self
            .pending
            .insert(PendingBlock::of_verified(verified, hash, changes)))
    }

    /// Parses a block; a transaction that waits here has been checked already.
    fn verify_signatures(&self, bytes: &[u8]) -> Result<VerifiedBlock, BlockError> {
        VerifiedBlock::from_bytes(bytes, &|digest| {
            self.mempool
                .find(digest)
                .map(|pending| pending.transaction.clone())
        })
    }

    /// Executes a block that is proposed to follow this ground, and keeps the result for when it is final.
    ///
    /// # Errors
    /// [`LedgerError::Block`] when the block is wrong; what it says about the state being unreadable says
    /// nothing about the block.
    pub fn check(&self, bytes: &[u8], ground: &Ground) -> Result<(), LedgerError> {
        let header = Block::inspect(bytes).map_err(BlockError::from)?;
        let parent = ground.parent();
        if Some(header.height) != parent.height.checked_add(1) {
            // Not the block's fault: the ground is not the one right below it.
            return Err(LedgerError::Ancestry);
        }
        if header.parent != parent.hash() {
            return Err(BlockError::WrongParent.into());
        }
        self.executed(&header, bytes, ground).map(drop)
    }

    /// Builds the block that follows this ground from what waits. Nothing when nothing waits and `empty` is not
    /// allowed.
    ///
    /// # Errors
    /// [`LedgerError::Execute`].
    pub fn build(&self, ground: &Ground, now_ms: u64, empty: bool) -> Result<Option<Vec<u8>>, LedgerError> {
        let transactions = self.select(&ground.included());
        let selected: Vec<TxId> = transactions.iter().map(VerifiedTransaction::id).collect();
        if transactions.is_empty() && !empty {
            return Ok(None);
        }
        let time_ms = now_ms.max(ground.parent().time_ms);
        let executed = execute(ground.parent(), &ground.state(), time_ms, transactions)?;
        for dropped in executed
            .dropped
            .iter()
            .filter(|dropped| !dropped.error.may_pass_later())
        {
            self.mempool.discard(&dropped.id);
        }
        if executed.block.entries().is_empty() && !empty {
            return Ok(None);
        }
        let bytes = executed.block.to_bytes();
        let dropped: HashSet<TxId> = executed.dropped.iter().map(|dropped| dropped.id).collect();
        let ids = selected.into_iter().filter(|id| !dropped.contains(id)).collect();
        let hash = executed.block.hash();
        self.pending.insert(PendingBlock::of_built(
            executed.block,
            hash,
            ids,
            executed.changes,
        ));
        Ok(Some(bytes))
    }

    fn select(&self, included: &HashSet<TxId>) -> Vec<VerifiedTransaction> {
        let (most, bytes) = (self.limits.block_transactions, self.limits.block_bytes);
        let selected = self.mempool.select(most, bytes, |pending| {
            !included.contains(&pending.transaction.id())
        });
        selected
            .into_iter()
            .map(|pending| pending.transaction.clone())
            .collect()
    }

    /// Makes final blocks durable, in one write, and tells who waits. Blocks that are durable already are ignored.
    ///
    /// # Errors
    /// When a block does not hold, although it is final, or the store fails: then this endorser must stop.
    pub fn apply(&self, blocks: Vec<(Arc<[u8]>, Option<FinalityEvidence>)>) -> Result<(), LedgerError> {
        let started = Instant::now();
        let _applying = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ground = self.ground(&[])?;
        let mut batch = Vec::with_capacity(blocks.len());
        for (bytes, evidence) in blocks {
            let header = Block::inspect(&bytes).map_err(BlockError::from)?;
            if header.height <= ground.snapshot.newest().height {
                continue;
            }
            if header.parent != ground.parent().hash() {
                return Err(LedgerError::Ancestry);
            }
            let evidence = self.check_evidence(&header, evidence, &ground)?;
            let executed = self.executed(&header, &bytes, &ground)?;
            batch.push(executed.to_final(evidence));
            ground.above.push(executed);
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.store.append(&batch)?;
        self.metrics
            .commit_seconds
            .observe(started.elapsed().as_secs_f64());
        self.announce(&batch);
        Ok(())
    }

    /// Evidence is handed on to others, so it is looked at before it is kept.
    fn check_evidence(
        &self,
        header: &Header,
        evidence: Option<FinalityEvidence>,
        ground: &Ground,
    ) -> Result<Option<FinalityEvidence>, LedgerError> {
        if let Some(evidence) = &evidence {
            let endorsers = StateEndorsers {
                genesis: &self.genesis,
                state: &ground.state(),
            };
            evidence
                .verify_header(&endorsers, header)
                .map_err(|source| LedgerError::Evidence {
                    height: header.height,
                    source,
                })?;
            if evidence.block_hash() != header.hash() {
                return Err(LedgerError::Ancestry);
            }
        }
        Ok(evidence)
    }

    fn announce(&self, batch: &[FinalBlock]) {
        for block in batch {
            self.mempool.committed(block.ids.iter().copied());
            for (place, id) in block.ids.iter().enumerate() {
                if let Some(committed) = Committed::of_block(&block.block, block.hash, place, *id) {
                    let outcome = committed.entry().outcome.kind();
                    self.metrics
                        .transactions
                        .get_or_create(&OutcomeLabel { outcome })
                        .inc();
                    self.waiters.wake(&committed);
                }
            }
            // Nobody need follow.
            let _ = self.blocks.send(Arc::clone(&block.block));
        }
        let tip = self.store.tip();
        self.pending.retain_above(tip.header.height);
        self.share_mempool();
        for expired in self.mempool.expire(tip.header.time_ms) {
            self.waiters.give_up(&expired);
        }
        self.show_tip();
        self.show_mempool();
    }

    fn show_tip(&self) {
        let tip = self.store.tip();
        self.metrics
            .height
            .set(i64::try_from(tip.header.height).unwrap_or(i64::MAX));
        self.metrics
            .block_time
            .set(i64::try_from(tip.header.time_ms / 1000).unwrap_or(i64::MAX));
    }

    /// Brings the measurements of the mempool up to date.
    pub fn show_mempool(&self) {
        let (transactions, bytes) = self.mempool.size();
        self.metrics
            .mempool_transactions
            .set(i64::try_from(transactions).unwrap_or(i64::MAX));
        self.metrics
            .mempool_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

fn mempool_limits(limits: &Limits) -> MempoolLimits {
    MempoolLimits {
        pool: Room {
            transactions: limits.mempool_transactions,
            bytes: limits.mempool_bytes,
        },
        author: Room {
            transactions: limits.author_transactions,
            bytes: limits.author_bytes,
        },
        tenant: Room {
            transactions: limits.tenant_transactions,
            bytes: limits.tenant_bytes,
        },
    }
}

/// How the engine reads a block's place in the chain. It costs a hash over the bytes.
#[must_use]
pub fn inspect(bytes: &[u8]) -> Option<consensus::BlockMeta> {
    let header = Block::inspect(bytes).ok()?;
    Some(consensus::BlockMeta {
        digest: header.hash().0,
        parent: header.parent.0,
        height: header.height,
    })
}
