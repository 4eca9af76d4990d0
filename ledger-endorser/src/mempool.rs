//! The transactions that wait for a block: checked once, held once, bounded as a whole and for each author, each
//! tenant and each fellow endorser that passes them on, so that none of these can keep the others out.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use golden_record::{TransactionDigest, TxId, VerifiedTransaction};
use threshold::name::Name;
use tokio::sync::Notify;

/// How many ids of committed transactions are remembered, so that gossip which arrives late does not bring
/// them back.
const REMEMBERED: usize = 16_384;

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Transactions.
    pub transactions: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Room {
    /// What tenants together may take of it.
    fn of_tenants(self) -> Self {
        Self {
            transactions: self.transactions - self.transactions / 4,
            bytes: self.bytes - self.bytes / 4,
        }
    }
}

/// The bounds of a [`Mempool`].
#[derive(Clone, Copy, Debug)]
pub struct MempoolLimits {
    /// In all. A quarter of it is kept for those who belong to no tenant: whoever repairs the installation, and the coordinators.
    pub pool: Room,
    /// Of one author.
    pub author: Room,
    /// Of one tenant's admin and users together.
    pub tenant: Room,
}

impl MempoolLimits {
    /// What waits because one fellow endorser has passed it on gets that one's part of the pool and no more.
    fn peer(&self, endorsers: usize) -> Room {
        let of_one = |all: usize| all / endorsers.max(1);
        Room {
            transactions: of_one(self.pool.transactions),
            bytes: of_one(self.pool.bytes),
        }
    }
}

/// In whose room a transaction waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its author's key.
    pub author: [u8; 32],
    /// The tenant that the author belongs to; none for organisations' admins and coordinators.
    pub tenant: Option<Name>,
    /// The fellow endorser that has passed it on; none when a client gave it to this one.
    pub peer: Option<[u8; 32]>,
}

/// One of those whose room is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum One {
    Author([u8; 32]),
    Tenant(Name),
    Peer([u8; 32]),
}

impl Holder {
    fn each(&self) -> impl Iterator<Item = One> {
        let tenant = self.tenant.clone().map(One::Tenant);
        [Some(One::Author(self.author)), tenant, self.peer.map(One::Peer)]
            .into_iter()
            .flatten()
    }
}

/// Why a transaction was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Too many wait already.
    #[error("too many transactions are waiting")]
    Pool,
    /// Too many of this author wait already.
    #[error("too many transactions of this author are waiting; wait until some are final")]
    Author,
    /// Too many of this author's tenant wait already.
    #[error("too many transactions of this tenant are waiting; wait until some are final")]
    Tenant,
    /// Too many wait already that the same fellow endorser has passed on.
    #[error("too many transactions of one fellow endorser are waiting")]
    Peer,
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
    /// In whose room it waits.
    pub holder: Holder,
}

impl Pending {
    fn id(&self) -> TxId {
        self.transaction.id()
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
    shares: HashMap<One, Share>,
    /// Among how many fellow endorsers the pool is shared.
    endorsers: usize,
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

    /// Shares the pool among so many endorsers from now on. What waits already stays.
    pub fn share_among(&self, endorsers: usize) {
        self.inner().endorsers = endorsers;
    }

    /// Takes a transaction whose signatures and admission have been checked.
    ///
    /// # Errors
    /// [`Full`].
    pub fn insert(&self, pending: Pending) -> Result<Inserted, Full> {
        let mut inner = self.inner();
        if inner.places.contains_key(&pending.id()) {
            return Ok(Inserted::Waiting);
        }
        if inner.committed.contains(&pending.id()) {
            return Ok(Inserted::Committed);
        }
        inner.check_room(&self.limits, &pending.holder, pending.bytes.len())?;
        inner.add(pending);
        drop(inner);
        self.arrived.notify_waiters();
        Ok(Inserted::New)
    }

    /// Whether there would be room, to be asked before a transaction is looked at more closely.
    ///
    /// # Errors
    /// [`Full`].
    pub fn check_room(&self, holder: &Holder, bytes: usize) -> Result<(), Full> {
        self.inner().check_room(&self.limits, holder, bytes)
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
    fn check_room(&self, limits: &MempoolLimits, holder: &Holder, size: usize) -> Result<(), Full> {
        let is_full = |room: &Room, transactions: usize, bytes: usize| {
            transactions >= room.transactions || bytes + size > room.bytes
        };
        let pool = match holder.tenant {
            Some(_) => limits.pool.of_tenants(),
            None => limits.pool,
        };
        if is_full(&pool, self.queue.len(), self.bytes) {
            return Err(Full::Pool);
        }
        for one in holder.each() {
            let (room, full) = match one {
                One::Author(_) => (limits.author, Full::Author),
                One::Tenant(_) => (limits.tenant, Full::Tenant),
                One::Peer(_) => (limits.peer(self.endorsers), Full::Peer),
            };
            let share = self.shares.get(&one);
            if share.is_some_and(|share| is_full(&room, share.transactions, share.bytes)) {
                return Err(full);
            }
        }
        Ok(())
    }

    fn add(&mut self, pending: Pending) {
        let place = self.arrivals;
        self.arrivals += 1;
        let size = pending.bytes.len();
        for one in pending.holder.each() {
            let share = self.shares.entry(one).or_default();
            share.transactions += 1;
            share.bytes += size;
        }
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
        for one in pending.holder.each() {
            if let Some(share) = self.shares.get_mut(&one) {
                share.transactions -= 1;
                share.bytes -= size;
                if share.transactions == 0 {
                    self.shares.remove(&one);
                }
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
