//! The chain and the world state on disk: what is acknowledged is in here, synced.
//!
//! redb with two-phase commit, since other parties choose the values that its checksum covers, and quick-repair,
//! since recovery otherwise walks the file. Everything that became final together is one durable write.

#[cfg(test)]
mod disk;
mod error;
#[cfg(test)]
mod power_cut;
mod snapshot;
mod tables;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use golden_record::{Block, Changes, Entry, FinalityEvidence, Genesis, Header, TxId};
use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};
use threshold::{encoding::Canonical, ids::BlockHash};
use tokio::sync::watch;

pub use error::StoreError;
pub use snapshot::{LogLine, Snapshot};

/// A final block, with what it changes.
#[derive(Clone, Debug)]
pub struct FinalBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Its hash.
    pub hash: BlockHash,
    /// The id of each entry's transaction, in order.
    pub ids: Vec<TxId>,
    /// What the block changes in the world state.
    pub changes: Arc<Changes>,
    /// The votes for exactly this block, when this endorser has them.
    pub evidence: Option<FinalityEvidence>,
}

/// The newest block of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its header.
    pub header: Header,
    /// Its hash.
    pub hash: BlockHash,
}

/// The store of one endorser.
pub struct Store {
    database: Database,
    tip: Mutex<Arc<Tip>>,
    /// Goes when the store goes, and after the database: see [`Store::closed`].
    open: watch::Sender<()>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("height", &self.tip().header.height)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in the file at `path`, or begins it with the genesis block.
    ///
    /// # Errors
    /// When the file cannot be used, is damaged, or holds another chain.
    pub fn open(path: &Path, genesis: &Genesis, cache_bytes: usize) -> Result<Self, StoreError> {
        let database = Database::builder().set_cache_size(cache_bytes).create(path)?;
        Self::begin(database, genesis)
    }

    #[cfg(test)]
    pub(crate) fn on_disk(
        disk: impl redb::StorageBackend,
        genesis: &Genesis,
        cache_bytes: usize,
    ) -> Result<Self, StoreError> {
        let database = Database::builder()
            .set_cache_size(cache_bytes)
            .create_with_backend(disk)?;
        Self::begin(database, genesis)
    }

    fn begin(database: Database, genesis: &Genesis) -> Result<Self, StoreError> {
        let chain_id = genesis.chain_id();
        if is_empty(&database)? {
            write_genesis(&database, genesis)?;
        }
        check_meta(&database, chain_id.as_bytes())?;
        let header = Snapshot::new(database.begin_read()?)?.newest().clone();
        let hash = header.hash();
        Ok(Self {
            database,
            tip: Mutex::new(Arc::new(Tip { header, hash })),
            open: watch::Sender::new(()),
        })
    }

    /// Completes when nobody has this store any more and its file can be opened again.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut open = self.open.subscribe();
        // Nothing is ever sent: it changes by ending.
        async move { while open.changed().await.is_ok() {} }
    }

    /// The newest durable block.
    #[must_use]
    pub fn tip(&self) -> Arc<Tip> {
        Arc::clone(&self.tip.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A consistent view of what is durable now.
    ///
    /// # Errors
    /// When the store fails.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::new(self.database.begin_read()?)
    }

    /// Appends final blocks, in order, in one write; when it returns they are durable. One caller at a time.
    ///
    /// # Errors
    /// When a block does not follow the one before it, or the store fails; then nothing was appended.
    pub fn append(&self, blocks: &[FinalBlock]) -> Result<(), StoreError> {
        if blocks.is_empty() {
            return Ok(());
        }
        let write = begin_write(&self.database)?;
        let mut tip = self.tip();
        let mut tables = Tables::open(&write)?;
        for block in blocks {
            check_next(&tip, block.block.header())?;
            tables.append(block)?;
            tip = Arc::new(Tip {
                header: block.block.header().clone(),
                hash: block.hash,
            });
        }
        drop(tables);
        write.commit()?;
        *self.tip.lock().unwrap_or_else(PoisonError::into_inner) = tip;
        Ok(())
    }
}

fn check_next(tip: &Tip, header: &Header) -> Result<(), StoreError> {
    if header.parent == tip.hash && header.height == tip.header.height.saturating_add(1) {
        Ok(())
    } else {
        Err(StoreError::NotNext {
            newest: tip.header.height,
            given: header.height,
        })
    }
}

fn begin_write(database: &Database) -> Result<WriteTransaction, StoreError> {
    let mut write = database.begin_write()?;
    write.set_two_phase_commit(true);
    write.set_quick_repair(true);
    Ok(write)
}

fn is_empty(database: &Database) -> Result<bool, StoreError> {
    match database.begin_read()?.open_table(tables::META) {
        Ok(_) => Ok(false),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn write_genesis(database: &Database, genesis: &Genesis) -> Result<(), StoreError> {
    let (block, changes) = genesis.block();
    let write = begin_write(database)?;
    {
        let mut meta = write.open_table(tables::META)?;
        meta.insert("layout", tables::LAYOUT.to_be_bytes().as_slice())?;
        meta.insert("chain", genesis.chain_id().as_bytes().as_slice())?;
        let hash = block.hash();
        Tables::open(&write)?.append(&FinalBlock {
            block: Arc::new(block),
            hash,
            ids: Vec::new(),
            changes: Arc::new(changes),
            evidence: None,
        })?;
    }
    write.commit()?;
    Ok(())
}

fn check_meta(database: &Database, chain_id: &[u8; 32]) -> Result<(), StoreError> {
    let read = database.begin_read()?;
    let meta = read.open_table(tables::META)?;
    let layout = meta
        .get("layout")?
        .ok_or(StoreError::Damaged("the layout is missing"))?;
    let layout = layout
        .value()
        .try_into()
        .map_err(|_| StoreError::Damaged("the layout does not parse"))?;
    let layout = u64::from_be_bytes(layout);
    if layout != tables::LAYOUT {
        return Err(StoreError::UnknownLayout(layout));
    }
    let chain = meta
        .get("chain")?
        .ok_or(StoreError::Damaged("the chain id is missing"))?;
    if chain.value() == chain_id {
        Ok(())
    } else {
        Err(StoreError::OtherChain)
    }
}

/// The open tables of one write.
struct Tables<'w> {
    headers: redb::Table<'w, u64, &'static [u8]>,
    evidence: redb::Table<'w, u64, &'static [u8]>,
    entries: redb::Table<'w, u64, &'static [u8]>,
    transactions: redb::Table<'w, &'static [u8; 32], u64>,
    tenants: redb::Table<'w, (&'static str, u64), ()>,
    state: redb::Table<'w, &'static [u8], &'static [u8]>,
}

impl<'w> Tables<'w> {
    fn open(write: &'w WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            headers: write.open_table(tables::HEADERS)?,
            evidence: write.open_table(tables::EVIDENCE)?,
            entries: write.open_table(tables::ENTRIES)?,
            transactions: write.open_table(tables::TRANSACTIONS)?,
            tenants: write.open_table(tables::TENANTS)?,
            state: write.open_table(tables::STATE)?,
        })
    }

    fn append(&mut self, block: &FinalBlock) -> Result<(), StoreError> {
        let header = block.block.header();
        self.headers.insert(header.height, header.to_bytes().as_slice())?;
        if let Some(evidence) = &block.evidence {
            self.evidence
                .insert(header.height, evidence.to_bytes().as_slice())?;
            self.forget_empty_blocks(header.height)?;
        }
        for (id, (index, entry)) in block.ids.iter().zip(block.block.indexed_entries()) {
            self.append_entry(header.height, id, index, entry)?;
        }
        for (key, value) in block.changes.iter() {
            match value {
                Some(value) => drop(self.state.insert(key, value)?),
                None => drop(self.state.remove(key)?),
            }
        }
        Ok(())
    }

    /// Forgets the blocks before the newest one with evidence that no proof needs, or a chain at rest would grow for
    /// ever: with evidence above and below them, and without an entry. A proof needs the headers from an entry's block to the
    /// next evidence, and no others.
    fn forget_empty_blocks(&mut self, newest: u64) -> Result<(), StoreError> {
        let mut with_evidence = self.evidence.range(..newest)?.rev();
        let Some(last) = with_evidence
            .next()
            .transpose()?
            .map(|(height, _)| height.value())
        else {
            return Ok(());
        };
        // The genesis block needs no evidence.
        let before = with_evidence
            .next()
            .transpose()?
            .map_or(0, |(height, _)| height.value());
        drop(with_evidence);
        if self.log_size(last)? == self.log_size(before)? {
            let empty = before.saturating_add(1)..=last;
            self.headers.retain_in(empty.clone(), |_, _| false)?;
            self.evidence.retain_in(empty, |_, _| false)?;
        }
        Ok(())
    }

    fn log_size(&self, height: u64) -> Result<u64, StoreError> {
        let header = self
            .headers
            .get(height)?
            .ok_or(StoreError::Damaged("a header is missing"))?;
        let header =
            Header::from_bytes(header.value()).map_err(|_| StoreError::Damaged("a header does not parse"))?;
        Ok(header.log_size)
    }

    fn append_entry(&mut self, height: u64, id: &TxId, index: u64, entry: &Entry) -> Result<(), StoreError> {
        let line = [height.to_be_bytes().as_slice(), &entry.to_bytes()].concat();
        self.entries.insert(index, line.as_slice())?;
        self.transactions.insert(id.as_bytes(), index)?;
        if let Some(tenant) = entry.transaction.body.tenant() {
            self.tenants.insert((tenant.as_str(), index), ())?;
        }
        Ok(())
    }
}
