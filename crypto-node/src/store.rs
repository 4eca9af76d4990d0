//! The ceremony state, in a redb database: what the node has promised, so that it still holds after a crash.
//!
//! One row per ceremony (its record, canonical bytes), one for each that was refused without a record (who made the node refuse
//! it), the bare id of each proposal that ended without this node's consent, and four pointers: the newest ceremony, the one whose key is in
//! use, the one before whose share still serves, and the one that was confirmed, aborted and may yet turn out to be done. Commits are in two phases, because other members choose part of what is stored, and with
//! quick repair, because the database is tiny and the start should not depend on its history. No secret is
//! stored here.

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use threshold::ids::CeremonyId;
use threshold::signature::PublicKey;

const RECORDS: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("ceremonies");
const REFUSED: TableDefinition<'_, [u8; 32], [u8; 32]> = TableDefinition::new("refused");
const PAST: TableDefinition<'_, [u8; 32], ()> = TableDefinition::new("past");
const POINTERS: TableDefinition<'_, &str, [u8; 32]> = TableDefinition::new("pointers");
const NEWEST: &str = "newest";
const ACTIVE: &str = "active";
const BEFORE: &str = "before";
const DOUBT: &str = "doubt";
/// The database holds kilobytes; redb's default cache would be a large part of the node's memory.
const CACHE: usize = 1024 * 1024;

/// The database failed; the node stops what it was doing.
#[derive(Debug, thiserror::Error)]
#[error("ceremony store: {0}; check the disk and the file, then restart the node")]
pub struct StoreError(#[from] redb::Error);

macro_rules! redb_errors {
    ($($error:ty),*) => {
        $(impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self(error.into())
            }
        })*
    };
}
redb_errors!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError
);

/// The open database.
#[derive(Debug)]
pub struct Store {
    database: Database,
}

/// What to change in one durable write.
#[derive(Debug, Clone)]
pub struct Change {
    /// The ceremony, which becomes the newest.
    pub ceremony: CeremonyId,
    /// Its record.
    pub record: Vec<u8>,
    /// Other ceremonies that have changed, and their records.
    pub others: Vec<(CeremonyId, Vec<u8>)>,
    /// Proposals that are over and of which nothing but that they were there is kept.
    pub past: Vec<CeremonyId>,
    /// The ceremony in doubt, whose record is stored.
    pub doubt: Option<CeremonyId>,
    /// Whether its key is in use from now on.
    pub active: Option<Before>,
}

/// What becomes of the share that was in use, when another comes into use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// It serves until the new epoch is used.
    Serves,
    /// There is none, or it is of no use.
    Gone,
}

impl Store {
    /// Opens or creates the database.
    ///
    /// # Errors
    /// Another process has it, it is damaged, or the disk fails.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::builder().set_cache_size(CACHE).create(path)?;
        let store = Self { database };
        // Reading a table that was never written is an error in redb; make both.
        store.write(|_, _| Ok(()))?;
        let transaction = store.begin()?;
        transaction.open_table(REFUSED)?;
        transaction.open_table(PAST)?;
        transaction.commit()?;
        Ok(store)
    }

    /// Applies a change durably.
    ///
    /// # Errors
    /// The disk's; what is stored is then either the old or the new.
    pub fn apply(&self, change: &Change) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        {
            let mut past = transaction.open_table(PAST)?;
            let mut records = transaction.open_table(RECORDS)?;
            for ceremony in &change.past {
                records.remove(ceremony.0)?;
                past.insert(ceremony.0, ())?;
            }
        }
        Self::change(&transaction, |records, pointers| {
            for (ceremony, record) in &change.others {
                records.insert(ceremony.0, record.as_slice())?;
            }
            records.insert(change.ceremony.0, change.record.as_slice())?;
            pointers.insert(NEWEST, change.ceremony.0)?;
            match change.doubt {
                Some(doubt) => pointers.insert(DOUBT, doubt.0)?,
                None => pointers.remove(DOUBT)?,
            };
            let Some(before) = change.active else {
                return Ok(());
            };
            let earlier = pointers.get(ACTIVE)?.map(|row| row.value());
            match earlier.filter(|earlier| *earlier != change.ceremony.0) {
                Some(earlier) if before == Before::Serves => {
                    pointers.insert(BEFORE, earlier)?;
                }
                // Stored again, with what was stored already.
                None if earlier.is_some() => {}
                _ => {
                    pointers.remove(BEFORE)?;
                }
            }
            pointers.insert(ACTIVE, change.ceremony.0)?;
            Ok(())
        })?;
        transaction.commit()?;
        Ok(())
    }

    /// The newest ceremony and its record.
    ///
    /// # Errors
    /// The disk's.
    pub fn newest(&self) -> Result<Option<(CeremonyId, Vec<u8>)>, StoreError> {
        self.pointed(NEWEST)
    }

    /// The ceremony whose key is in use, and its record.
    ///
    /// # Errors
    /// The disk's.
    pub fn active(&self) -> Result<Option<(CeremonyId, Vec<u8>)>, StoreError> {
        self.pointed(ACTIVE)
    }

    /// The ceremony of the epoch before, whose share still serves, and its record.
    ///
    /// # Errors
    /// The disk's.
    pub fn before(&self) -> Result<Option<(CeremonyId, Vec<u8>)>, StoreError> {
        self.pointed(BEFORE)
    }

    /// The share of the epoch before serves no longer.
    ///
    /// # Errors
    /// The disk's.
    pub fn retire(&self) -> Result<(), StoreError> {
        self.write(|_, pointers| {
            pointers.remove(BEFORE)?;
            Ok(())
        })
    }

    /// The node takes no part in this ceremony, of which it keeps nothing else; this member made it say so.
    ///
    /// # Errors
    /// The disk's.
    pub fn refuse(&self, ceremony: CeremonyId, by: &PublicKey) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        transaction
            .open_table(REFUSED)?
            .insert(ceremony.0, by.to_bytes())?;
        transaction.commit()?;
        Ok(())
    }

    /// The ceremonies that the node has refused, and who made it do so.
    ///
    /// # Errors
    /// The disk's.
    pub fn refused(&self) -> Result<BTreeMap<CeremonyId, [u8; 32]>, StoreError> {
        let refused = self.database.begin_read()?.open_table(REFUSED)?;
        let rows = refused.iter()?.map(|row| {
            let (id, by) = row?;
            Ok((CeremonyId(id.value()), by.value()))
        });
        rows.collect()
    }

    /// The ceremony that was confirmed and aborted before the newest, and its record.
    ///
    /// # Errors
    /// The disk's.
    pub fn doubt(&self) -> Result<Option<(CeremonyId, Vec<u8>)>, StoreError> {
        self.pointed(DOUBT)
    }

    /// The record of a ceremony.
    ///
    /// # Errors
    /// The disk's.
    pub fn record(&self, ceremony: CeremonyId) -> Result<Option<Vec<u8>>, StoreError> {
        let records = self.database.begin_read()?.open_table(RECORDS)?;
        Ok(records.get(ceremony.0)?.map(|row| row.value().to_vec()))
    }

    /// Shows every ceremony of which there is a record, one after the other.
    ///
    /// # Errors
    /// The disk's, or what `visit` makes of a record.
    pub fn each<E: From<StoreError>>(
        &self,
        mut visit: impl FnMut(CeremonyId, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = || {
            self.database
                .begin_read()?
                .open_table(RECORDS)
                .map_err(StoreError::from)
        };
        let rows: redb::ReadOnlyTable<_, _> = rows()?;
        for row in rows.iter().map_err(StoreError::from)? {
            let (id, record) = row.map_err(StoreError::from)?;
            visit(CeremonyId(id.value()), record.value())?;
        }
        Ok(())
    }

    /// The proposals that ended without this node's consent, and of which nothing else is kept.
    ///
    /// # Errors
    /// The disk's.
    pub fn past(&self) -> Result<BTreeSet<CeremonyId>, StoreError> {
        let past = self.database.begin_read()?.open_table(PAST)?;
        past.iter()?.map(|row| Ok(CeremonyId(row?.0.value()))).collect()
    }

    fn pointed(&self, pointer: &str) -> Result<Option<(CeremonyId, Vec<u8>)>, StoreError> {
        let pointers = self.database.begin_read()?.open_table(POINTERS)?;
        let Some(ceremony) = pointers.get(pointer)?.map(|row| CeremonyId(row.value())) else {
            return Ok(None);
        };
        Ok(self.record(ceremony)?.map(|record| (ceremony, record)))
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.set_two_phase_commit(true);
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    fn write(
        &self,
        change: impl FnOnce(
            &mut redb::Table<'_, [u8; 32], &'static [u8]>,
            &mut redb::Table<'_, &'static str, [u8; 32]>,
        ) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        Self::change(&transaction, change)?;
        transaction.commit()?;
        Ok(())
    }

    fn change(
        transaction: &WriteTransaction,
        change: impl FnOnce(
            &mut redb::Table<'_, [u8; 32], &'static [u8]>,
            &mut redb::Table<'_, &'static str, [u8; 32]>,
        ) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        change(
            &mut transaction.open_table(RECORDS)?,
            &mut transaction.open_table(POINTERS)?,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: u8, active: bool) -> Change {
        Change {
            ceremony: CeremonyId([number; 32]),
            record: vec![number; 9],
            others: Vec::new(),
            past: Vec::new(),
            doubt: None,
            active: active.then_some(Before::Serves),
        }
    }

    #[test]
    fn the_share_of_the_epoch_before_is_known_until_it_is_retired() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("ceremonies")).unwrap();
        store.apply(&change(1, true)).unwrap();
        assert_eq!(store.before().unwrap(), None);
        store.apply(&change(2, true)).unwrap();
        // Stored again, as with every later message.
        store.apply(&change(2, true)).unwrap();
        assert_eq!(store.before().unwrap(), Some((CeremonyId([1; 32]), vec![1; 9])));
        store.retire().unwrap();
        assert_eq!(store.before().unwrap(), None);
        assert_eq!(store.active().unwrap(), Some((CeremonyId([2; 32]), vec![2; 9])));
        let gone = Change {
            active: Some(Before::Gone),
            ..change(4, false)
        };
        store.apply(&change(3, true)).unwrap();
        store.apply(&gone).unwrap();
        assert_eq!(store.before().unwrap(), None);
    }

    #[test]
    fn the_newest_and_the_active_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ceremonies");
        let store = Store::open(&path).unwrap();
        assert!(store.newest().unwrap().is_none() && store.active().unwrap().is_none());
        store.apply(&change(1, true)).unwrap();
        let second = Change {
            others: vec![(CeremonyId([4; 32]), vec![4])],
            doubt: Some(CeremonyId([4; 32])),
            ..change(2, false)
        };
        store.apply(&second).unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.newest().unwrap(), Some((CeremonyId([2; 32]), vec![2; 9])));
        assert_eq!(store.active().unwrap(), Some((CeremonyId([1; 32]), vec![1; 9])));
        assert_eq!(store.doubt().unwrap(), Some((CeremonyId([4; 32]), vec![4])));
        assert_eq!(store.record(CeremonyId([3; 32])).unwrap(), None);
        store.apply(&change(2, false)).unwrap();
        assert_eq!(store.doubt().unwrap(), None);
    }

    #[test]
    fn of_a_proposal_that_is_over_the_id_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("ceremonies")).unwrap();
        store.apply(&change(1, false)).unwrap();
        let next = Change {
            past: vec![CeremonyId([1; 32])],
            ..change(2, false)
        };
        store.apply(&next).unwrap();
        let mut found = Vec::new();
        let visit = |id, record: &[u8]| -> Result<(), StoreError> {
            found.push((id, record.to_vec()));
            Ok(())
        };
        store.each(visit).unwrap();
        assert_eq!(found, [(CeremonyId([2; 32]), vec![2; 9])]);
        assert_eq!(store.past().unwrap(), [CeremonyId([1; 32])].into());
    }

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ceremonies");
        let _store = Store::open(&path).unwrap();
        assert!(Store::open(&path).is_err());
    }
}
