//! Blocks that have been executed and are not final yet.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use golden_record::{Block, Changes, FinalityEvidence, TxId, VerifiedBlock};
use threshold::ids::BlockHash;

use crate::store::FinalBlock;

/// The most blocks kept. A chain that stalls can have a new proposal in every view; what is forgotten is executed
/// again when it is needed.
const MOST: usize = 64;

/// A block and what it changes.
#[derive(Debug)]
pub(super) struct PendingBlock {
    pub(super) block: Arc<Block>,
    pub(super) hash: BlockHash,
    pub(super) ids: Vec<TxId>,
    pub(super) changes: Arc<Changes>,
}

impl PendingBlock {
    pub(super) fn of_verified(verified: VerifiedBlock, hash: BlockHash, changes: Changes) -> Self {
        let ids = verified
            .transactions()
            .iter()
            .map(|transaction| transaction.id())
            .collect();
        Self {
            block: Arc::new(verified.into_block()),
            hash,
            ids,
            changes: Arc::new(changes),
        }
    }

    pub(super) fn of_built(block: Block, hash: BlockHash, ids: Vec<TxId>, changes: Changes) -> Self {
        Self {
            block: Arc::new(block),
            hash,
            ids,
            changes: Arc::new(changes),
        }
    }

    pub(super) fn to_final(&self, evidence: Option<FinalityEvidence>) -> FinalBlock {
        FinalBlock {
            block: Arc::clone(&self.block),
            hash: self.hash,
            ids: self.ids.clone(),
            changes: Arc::clone(&self.changes),
            evidence,
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    blocks: HashMap<BlockHash, Arc<PendingBlock>>,
    order: VecDeque<BlockHash>,
}

/// The blocks, by hash.
#[derive(Debug, Default)]
pub(super) struct PendingBlocks(Mutex<Inner>);

impl PendingBlocks {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, hash: &BlockHash) -> Option<Arc<PendingBlock>> {
        self.inner().blocks.get(hash).cloned()
    }

    pub(super) fn insert(&self, pending: PendingBlock) -> Arc<PendingBlock> {
        let pending = Arc::new(pending);
        let mut inner = self.inner();
        if inner.blocks.insert(pending.hash, Arc::clone(&pending)).is_none() {
            inner.order.push_back(pending.hash);
        }
        if inner.order.len() > MOST
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.blocks.remove(&oldest);
        }
        pending
    }

    /// Forgets the blocks up to a height.
    pub(super) fn retain_above(&self, height: u64) {
        let mut inner = self.inner();
        inner
            .blocks
            .retain(|_, pending| pending.block.header().height > height);
        let Inner { blocks, order } = &mut *inner;
        order.retain(|hash| blocks.contains_key(hash));
    }
}
