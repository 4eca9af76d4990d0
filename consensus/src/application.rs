//! What the engine asks of the state machine above it.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::{config::Address, evidence::Evidence};

/// The bytes of one block, shared instead of copied.
pub type BlockBytes = Arc<[u8]>;

/// A final block and, where this node holds one, the finality evidence for exactly its height.
///
/// A block without evidence is final because a descendant is: its hash is reached from the next block
/// that has evidence by following parents.
pub type Finalized = (BlockBytes, Option<Evidence>);

/// Why an application could not make final blocks durable. It stops the engine: nothing is acknowledged.
pub type AppError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// How a block names itself and its parent, read from its bytes by [`Config::inspect`](crate::Config::inspect).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockMeta {
    /// The block's own hash, which the validators sign.
    pub digest: [u8; 32],
    /// The hash of the block before it.
    pub parent: [u8; 32],
    /// The genesis block has height 0, its child 1.
    pub height: u64,
}

/// A set of validators, and the blocks that it decides on: those from `first` up to the first of the next epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// The height of its first block.
    pub first: u64,
    /// The keys of its validators, in any order.
    pub validators: Vec<[u8; 32]>,
}

/// The state machine that the engine replicates. Every method may be called from any thread, and
/// `verify`, `propose` and `finalized` may run at the same time.
pub trait Application: Send + Sync + 'static {
    /// The newest height whose block is durable in the application. 0 when there is only the genesis.
    fn applied_height(&self) -> u64;

    /// The hash of the block at a height that is applied, as `inspect` reads it. That of the newest is compared at the start
    /// with what the engine keeps, so that an old copy of either is noticed; that of the last block of an epoch is where
    /// the next one begins.
    fn digest(&self, height: u64) -> Option<[u8; 32]>;

    /// The validators of an epoch after the first (that of [`Config::validators`](crate::Config::validators)), as the applied
    /// blocks have decided; `None` while they have not. Nothing about an epoch ever changes once it is known. The
    /// first height of an epoch is above the block that decided on it by so much that this block is final
    /// before the last block of the epoch before has to be: until it is, nobody can propose that one again.
    fn epoch(&self, number: u64) -> Option<Epoch>;

    /// Where a validator listens, if the applied blocks say so. Asked when an epoch begins.
    fn address(&self, validator: &[u8; 32]) -> Option<Address> {
        let _ = validator;
        None
    }

    /// Builds the block that follows the last block of `ancestry`, or the applied block when `ancestry` is
    /// empty. Called when this validator leads.
    ///
    /// `ancestry` holds the blocks above the applied height that are not yet final here, oldest first,
    /// ending with the parent. It was read before the call: when the application has applied more since, it
    /// skips what it has.
    ///
    /// The future may wait for transactions, at most about [`Timing::idle_block`](crate::Timing::idle_block),
    /// and then gives an empty block, so that an idle chain ticks slowly instead of spinning through views.
    /// `None` proposes nothing: the view ends by its timeout and the next validator leads. Dropped when
    /// the view is over. Nothing is proposed when the block would be of another epoch than `epoch`, by what
    /// `ancestry` has decided.
    fn propose(&self, ancestry: Vec<BlockBytes>, epoch: u64) -> BoxFuture<'_, Option<Vec<u8>>>;

    /// Says whether `block` may follow the last block of `ancestry` (or the applied block), before this
    /// validator votes for it. `inspect` has accepted its bytes; its parent and height fit.
    ///
    /// `false` only for what can never be valid: the verdict is final and every honest validator must come to
    /// the same. What may become valid (a clock that is behind) keeps the future pending; it is dropped when
    /// the view is over. A `false` given because the block was applied meanwhile does no harm. A block of another epoch
    /// than `epoch`, by what `ancestry` has decided, is not valid.
    fn verify(&self, block: BlockBytes, ancestry: Vec<BlockBytes>, epoch: u64) -> BoxFuture<'_, bool>;

    /// Takes final blocks, in order of height and without a gap, the first at most one above the applied
    /// height. At least once: heights that are already applied are ignored. Everything must be durable when it
    /// returns. Runs on a thread that may block.
    ///
    /// # Errors
    /// Whatever keeps the blocks from being durable; the engine stops with it.
    fn finalized(&self, blocks: Vec<Finalized>) -> Result<(), AppError>;

    /// A message that the validator `from` gave to [`Engine::gossip`](crate::Engine::gossip). Must return at
    /// once. Messages may be lost, repeated or reordered.
    fn received(&self, from: [u8; 32], message: Vec<u8>);

    /// The validator `peer` has become reachable: a good moment to give what it may have missed to
    /// [`Engine::gossip`](crate::Engine::gossip) again. Must return at once.
    fn connected(&self, peer: [u8; 32]) {
        let _ = peer;
    }
}
