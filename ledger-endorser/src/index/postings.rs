//! Postings in sled: for each term and each chunk of 256 entries, which of them have it.
//!
//! ```text
//! 00 "layout"          u64 (1)
//! 00 "chain"           chain id (32)
//! 00 "covered"         u64: how many entries are in it
//! term ‖ u64 chunk     the last byte of the index of each entry that has it, ascending
//! ```
//!
//! A batch has its postings and the new `covered`, and sled applies it whole or not at all.

use std::{
    collections::BTreeMap,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use sled::{Batch, Db};
use threshold::ids::ChainId;

use super::{IndexError, Term};

const LAYOUT: &[u8] = b"\0layout";
const CHAIN: &[u8] = b"\0chain";
const COVERED: &[u8] = b"\0covered";
const LAYOUT_1: u64 = 1;

/// Entries in a chunk.
const CHUNK: u64 = 256;

/// Entries that may match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// Their indices, ascending.
    pub indices: Vec<u64>,
    /// There are no others before this one.
    pub next: u64,
}

/// The open database.
pub(super) struct Postings {
    db: Db,
    /// As in the database: whoever looks at both sees what is covered.
    covered: AtomicU64,
}

/// sled panics on some damage of its files.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(IndexError::Failed(text.unwrap_or("it gave up").to_owned()))
    })
}

impl Postings {
    /// Opens the index of this chain, or begins it.
    pub(super) fn open(directory: &Path, chain_id: &ChainId, cache_bytes: u64) -> Result<Self, IndexError> {
        let db = caught(|| {
            Ok(sled::Config::new()
                .path(directory)
                .cache_capacity(cache_bytes)
                .mode(sled::Mode::LowSpace)
                .open()?)
        })?;
        let mut postings = Self {
            db,
            covered: AtomicU64::new(0),
        };
        caught(|| postings.check(chain_id))?;
        postings.covered = AtomicU64::new(caught(|| postings.stored_covered())?);
        Ok(postings)
    }

    fn check(&self, chain_id: &ChainId) -> Result<(), IndexError> {
        let Some(layout) = self.db.get(LAYOUT)? else {
            if !self.db.is_empty() {
                return Err(IndexError::Foreign);
            }
            let mut batch = Batch::default();
            batch.insert(LAYOUT, &LAYOUT_1.to_be_bytes());
            batch.insert(CHAIN, chain_id.as_bytes().as_slice());
            batch.insert(COVERED, &0u64.to_be_bytes());
            return Ok(self.db.apply_batch(batch)?);
        };
        let chain = self.db.get(CHAIN)?;
        if layout == LAYOUT_1.to_be_bytes() && chain.is_some_and(|chain| chain == chain_id.as_bytes()) {
            Ok(())
        } else {
            Err(IndexError::Foreign)
        }
    }

    /// How many entries are in it.
    pub(super) fn covered(&self) -> u64 {
        self.covered.load(Ordering::Acquire)
    }

    fn stored_covered(&self) -> Result<u64, IndexError> {
        let covered = self.db.get(COVERED)?;
        let bytes = covered.and_then(|bytes| bytes.as_ref().try_into().ok());
        bytes
            .map(u64::from_be_bytes)
            .ok_or(IndexError::Damaged("how far it goes is not in it"))
    }

    /// Adds the terms of the entries that follow those in it. One caller at a time.
    pub(super) fn add(&self, entries: &[Vec<Term>]) -> Result<(), IndexError> {
        let mut chunks: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut covered = self.covered();
        for terms in entries {
            let [.., place] = covered.to_be_bytes();
            for term in terms {
                let key = term.key(covered / CHUNK);
                match chunks.get_mut(&key) {
                    Some(places) => places.push(place),
                    None => {
                        let mut places = self.db.get(&key)?.map(|old| old.to_vec()).unwrap_or_default();
                        places.push(place);
                        chunks.insert(key, places);
                    }
                }
            }
            covered = covered.saturating_add(1);
        }
        let mut batch = Batch::default();
        for (key, places) in chunks {
            batch.insert(key, places);
        }
        batch.insert(COVERED, &covered.to_be_bytes());
        self.db.apply_batch(batch)?;
        self.covered.store(covered, Ordering::Release);
        Ok(())
    }

    /// See [`View::candidates`](super::View::candidates).
    pub(super) fn candidates(
        &self,
        terms: &[Term],
        range: Range<u64>,
        most: usize,
        steps: &mut usize,
    ) -> Result<Candidates, IndexError> {
        let mut found = Candidates {
            indices: Vec::new(),
            next: range.start,
        };
        let mut chunk = range.start / CHUNK;
        while found.next < range.end {
            if *steps < terms.len() {
                return Ok(found);
            }
            let common = match self.common(terms, chunk, steps)? {
                Common::Places(places) => places,
                Common::NotBefore(Some(later)) => {
                    chunk = later;
                    found.next = later.saturating_mul(CHUNK).max(range.start).min(range.end);
                    continue;
                }
                Common::NotBefore(None) => {
                    found.next = range.end;
                    break;
                }
            };
            for place in common {
                let index = chunk.saturating_mul(CHUNK).saturating_add(u64::from(place));
                if index < found.next {
                    continue;
                }
                if index >= range.end {
                    break;
                }
                found.indices.push(index);
                found.next = index.saturating_add(1);
                if found.indices.len() >= most {
                    return Ok(found);
                }
            }
            chunk = chunk.saturating_add(1);
            found.next = chunk.saturating_mul(CHUNK).min(range.end);
        }
        Ok(found)
    }

    /// What all terms have in this chunk, or the next chunk that may have something.
    fn common(&self, terms: &[Term], chunk: u64, steps: &mut usize) -> Result<Common, IndexError> {
        let mut common: Option<Vec<u8>> = None;
        for term in terms {
            *steps = steps.saturating_sub(1);
            let (first, last) = (term.key(chunk), term.key(u64::MAX));
            let Some((key, places)) = self.db.range(first..=last).next().transpose()? else {
                return Ok(Common::NotBefore(None));
            };
            let at = term
                .chunk_of(&key)
                .ok_or(IndexError::Damaged("a key is not a term's"))?;
            if at > chunk {
                return Ok(Common::NotBefore(Some(at)));
            }
            match &mut common {
                None => common = Some(places.to_vec()),
                Some(common) => common.retain(|place| places.binary_search(place).is_ok()),
            }
        }
        Ok(Common::Places(common.unwrap_or_default()))
    }
}

enum Common {
    /// All terms are in the chunk; these are the places that they have in common.
    Places(Vec<u8>),
    /// No chunk before this one has all terms; none has at all.
    NotBefore(Option<u64>),
}
