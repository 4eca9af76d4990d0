//! The transactions that wait for a block: checked once, held once, bounded as a whole and for each author.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use golden_record::{TransactionDigest, TxId, VerifiedTransaction};
use threshold::signature::PublicKey;
use tokio::sync::Notify;

/// How many ids of committed transactions are remembered, so that gossip which arrives late does not bring
/// them back.
const REMEMBERED: usize = 16_384;

/// The bounds of a [`Mempool`].
#[derive(Clone, Copy, Debug)]
pub struct MempoolLimits {
    /// Transactions in all.
    pub transactions: usize,
    /// Bytes in all.
    pub bytes: usize,
    /// Transactions of one author.
    pub author_transactions: usize,
    /// Bytes of one author.
    pub author_bytes: usize,
}

/// Why a transaction was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Too many wait already.
    #[error("too many transactions are waiting")]
    Pool,
    /// Too many of this author wait already.
    #[error("too many transactions of this author are waiting")]
    Author,
}

/// What became of a transaction that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It waits for a block now.
    New,
    /// It waits already.
    Waiting,
    /// It was committed lately.
    Committed,
}

/// A transaction that waits. Its signatures hold.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The transaction.
    pub transaction: VerifiedTransaction,
    /// Its canonical bytes, as they are gossiped.
    pub bytes: Arc<[u8]>,
}

impl Pending {
    fn id(&self) -> TxId {
        self.transaction.id()
    }

    fn author(&self) -> PublicKey {
        self.transaction.transaction().author
    }
}

#[derive(Default)]
struct Share {
    transactions: usize,
    bytes: usize,
}

#[derive(Default)]
struct Inner {
    /// By order of arrival.
    queue: BTreeMap<u64, Arc<Pending>>,
    places: HashMap<TxId, u64>,
    /// What waits, by the digest of its bytes: a copy is recognised before it is parsed.
    digests: HashMap<TransactionDigest, u64>,
    authors: HashMap<PublicKey, Share>,
    bytes: usize,
    arrivals: u64,
    committed: HashSet<TxId>,
    committed_order: VecDeque<TxId>,
}

/// The transactions that wait for a block.
pub struct Mempool {
    limits: MempoolLimits,
    inner: Mutex<Inner>,
    arrived: Notify,
}

impl std::fmt::Debug for Mempool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = self.inner();
        f.debug_struct("Mempool")
            .field("transactions", &inner.queue.len())
            .field("bytes", &inner.bytes)
            .finish_non_exhaustive()
    }
}

impl Mempool {
    /// An empty pool.
    #[must_use]
    pub fn new(limits: MempoolLimits) -> Self {
        Self {
            limits,
            inner: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// A panic elsewhere cannot leave the pool half changed in a way that matters: it holds nothing that is not
    /// checked again when a block is made.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a transaction whose signatures and admission have been checked.
    ///
    /// # Errors
    /// [`Full`], for the pool as a whole or this author.
    pub fn insert(&self, pending: Pending) -> Result<Inserted, Full> {
        let mut inner = self.inner();
        if inner.places.contains_key(&pending.id()) {
            return Ok(Inserted::Waiting);
        }
        if inner.committed.contains(&pending.id()) {
            return Ok(Inserted::Committed);
        }
        inner.check_room(&self.limits, &pending)?;
        inner.add(pending);
        drop(inner);
        self.arrived.notify_waiters();
        Ok(Inserted::New)
    }

    /// Whether the transaction waits here, or was committed lately.
    #[must_use]
    pub fn knows(&self, id: &TxId) -> bool {
        let inner = self.inner();
        inner.places.contains_key(id) || inner.committed.contains(id)
    }

    /// The transaction with exactly these bytes, if it waits: its signatures need no second look.
    #[must_use]
    pub fn find(&self, digest: &TransactionDigest) -> Option<Arc<Pending>> {
        let inner = self.inner();
        inner
            .digests
            .get(digest)
            .and_then(|place| inner.queue.get(place))
            .cloned()
    }

    /// The transaction, if it waits.
    #[must_use]
    pub fn get(&self, id: &TxId) -> Option<Arc<Pending>> {
        let inner = self.inner();
        inner
            .places
            .get(id)
            .and_then(|place| inner.queue.get(place))
            .cloned()
    }

    /// The oldest transactions that `wanted` accepts, within these bounds.
    pub fn select(
        &self,
        max_transactions: usize,
        max_bytes: usize,
        mut wanted: impl FnMut(&Pending) -> bool,
    ) -> Vec<Arc<Pending>> {
        let inner = self.inner();
        let mut room = max_bytes;
        let mut selected = Vec::new();
        for pending in inner.queue.values() {
            if selected.len() >= max_transactions {
                break;
            }
            // A large one that does not fit does not keep smaller ones behind it waiting.
            if pending.bytes.len() <= room && wanted(pending) {
                room -= pending.bytes.len();
                selected.push(Arc::clone(pending));
            }
        }
        selected
    }

    /// Removes what is in a final block.
    pub fn committed(&self, ids: impl IntoIterator<Item = TxId>) {
        let mut inner = self.inner();
        for id in ids {
            inner.remove(&id);
            inner.remember(id);
        }
    }

    /// Removes and names what has expired: no block from `time_ms` on takes it.
    pub fn expire(&self, time_ms: u64) -> Vec<TxId> {
        let mut inner = self.inner();
        let expired: Vec<TxId> = inner
            .queue
            .values()
            .filter(|pending| pending.transaction.transaction().expires_ms <= time_ms)
            .map(|pending| pending.id())
            .collect();
        for id in &expired {
            inner.remove(id);
        }
        expired
    }

    /// Removes one transaction which no block will take.
    pub fn discard(&self, id: &TxId) {
        self.inner().remove(id);
    }

    /// Returns when a transaction arrives after this call. Wait for it only after looking at what is there, with
    /// the future made before looking.
    pub fn arrival(&self) -> tokio::sync::futures::Notified<'_> {
        self.arrived.notified()
    }

    /// How many transactions wait, and their bytes.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let inner = self.inner();
        (inner.queue.len(), inner.bytes)
    }
}

impl Inner {
    fn check_room(&self, limits: &MempoolLimits, pending: &Pending) -> Result<(), Full> {
        let size = pending.bytes.len();
        if self.queue.len() >= limits.transactions || self.bytes + size > limits.bytes {
            return Err(Full::Pool);
        }
        let Some(share) = self.authors.get(&pending.author()) else {
            return Ok(());
        };
        if share.transactions >= limits.author_transactions || share.bytes + size > limits.author_bytes {
            return Err(Full::Author);
        }
        Ok(())
    }

    fn add(&mut self, pending: Pending) {
        let place = self.arrivals;
        self.arrivals += 1;
        let size = pending.bytes.len();
        let share = self.authors.entry(pending.author()).or_default();
        share.transactions += 1;
        share.bytes += size;
        self.bytes += size;
        self.places.insert(pending.id(), place);
        self.digests.insert(*pending.transaction.digest(), place);
        self.queue.insert(place, Arc::new(pending));
    }

    fn remove(&mut self, id: &TxId) {
        let Some(pending) = self.places.remove(id).and_then(|place| self.queue.remove(&place)) else {
            return;
        };
        let size = pending.bytes.len();
        self.digests.remove(pending.transaction.digest());
        self.bytes -= size;
        if let Some(share) = self.authors.get_mut(&pending.author()) {
            share.transactions -= 1;
            share.bytes -= size;
            if share.transactions == 0 {
                self.authors.remove(&pending.author());
            }
        }
    }

    fn remember(&mut self, id: TxId) {
        if !self.committed.insert(id) {
            return;
        }
        self.committed_order.push_back(id);
        if self.committed_order.len() > REMEMBERED
            && let Some(oldest) = self.committed_order.pop_front()
        {
            self.committed.remove(&oldest);
        }
    }
}
