//! Who waits for which transaction to become final and durable here.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use golden_record::{Block, Entry, TxId};
use threshold::{encoding::Canonical, ids::BlockHash};
use tokio::sync::oneshot;

use crate::store::{Snapshot, StoreError};

/// A transaction that is final and durable here.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its id.
    pub id: TxId,
    /// Its place in the log.
    pub index: u64,
    /// The height of its block.
    pub height: u64,
    /// The hash of its block.
    pub block_hash: BlockHash,
    /// The time of its block.
    pub time_ms: u64,
    entry: Recorded,
}

#[derive(Clone, Debug)]
enum Recorded {
    /// In a block that has just become final, at this place.
    Block(Arc<Block>, usize),
    /// Read from the store.
    Line(Arc<Entry>),
}

impl Committed {
    /// The transactions of a block that is in the store.
    pub(crate) fn of_block(block: &Arc<Block>, hash: BlockHash, place: usize, id: TxId) -> Option<Self> {
        let header = block.header();
        let index = header.first_index().checked_add(u64::try_from(place).ok()?)?;
        block.entries().get(place)?;
        let entry = Recorded::Block(Arc::clone(block), place);
        Some(Self {
            id,
            index,
            height: header.height,
            block_hash: hash,
            time_ms: header.time_ms,
            entry,
        })
    }

    /// The transaction in the store, if it is there.
    ///
    /// # Errors
    /// When the store fails or is damaged.
    pub fn find(snapshot: &Snapshot, id: TxId) -> Result<Option<Self>, StoreError> {
        let Some(index) = snapshot.index_of(id.as_bytes())? else {
            return Ok(None);
        };
        let line = snapshot
            .line(index)?
            .ok_or(StoreError::Damaged("a line of the log is missing"))?;
        let header = snapshot
            .header(line.height)?
            .ok_or(StoreError::Damaged("a header is missing"))?;
        let entry =
            Entry::from_bytes(&line.entry).map_err(|_| StoreError::Damaged("an entry does not parse"))?;
        Ok(Some(Self {
            id,
            index,
            height: line.height,
            block_hash: header.hash(),
            time_ms: header.time_ms,
            entry: Recorded::Line(Arc::new(entry)),
        }))
    }

    /// The transaction and its outcome.
    #[must_use]
    #[allow(
        clippy::indexing_slicing,
        reason = "the place is checked where a block's entry is taken"
    )]
    pub fn entry(&self) -> &Entry {
        match &self.entry {
            Recorded::Block(block, place) => &block.entries()[*place],
            Recorded::Line(entry) => entry,
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    waiting: HashMap<TxId, Vec<oneshot::Sender<Committed>>>,
    closed: bool,
}

/// Who waits for which transaction.
#[derive(Debug, Default)]
pub struct Waiters(Mutex<Inner>);

/// The most that wait for one transaction; it is the endorsers' clients that ask, not the public.
const MAX_PER_TRANSACTION: usize = 64;

impl Waiters {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits from now on. The receiver fails when the transaction has expired, or nobody can wait any more. Nothing when
    /// too many wait for it.
    ///
    /// Look into the store after calling this, or the transaction may have become final in between.
    #[must_use]
    pub fn wait_for(&self, id: TxId) -> Option<oneshot::Receiver<Committed>> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.inner();
        if inner.closed {
            return Some(receiver);
        }
        let waiting = inner.waiting.entry(id).or_default();
        // Whoever has gone away since makes room.
        waiting.retain(|sender| !sender.is_closed());
        if waiting.len() >= MAX_PER_TRANSACTION {
            return None;
        }
        waiting.push(sender);
        Some(receiver)
    }

    /// Lets all who wait fail, now and from now on: this endorser stops.
    pub fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        inner.waiting.clear();
    }

    /// Whether nobody can wait any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner().closed
    }

    /// Tells who waits.
    pub fn wake(&self, committed: &Committed) {
        let Some(waiting) = self.inner().waiting.remove(&committed.id) else {
            return;
        };
        for sender in waiting {
            // Whoever has gone away needs no answer.
            let _ = sender.send(committed.clone());
        }
    }

    /// Lets those who wait for it fail.
    pub fn give_up(&self, id: &TxId) {
        self.inner().waiting.remove(id);
    }

    /// Forgets those who have gone away.
    pub fn sweep(&self) {
        self.inner().waiting.retain(|_, waiting| {
            waiting.retain(|sender| !sender.is_closed());
            !waiting.is_empty()
        });
    }

    /// For how many transactions somebody waits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner().waiting.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner().waiting.is_empty()
    }
}
