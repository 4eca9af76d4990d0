//! The search index: which entries of the log have which tenant, dataset, document, user, kind and verdict.
//!
//! Everything in it follows from the chain. It is kept in sled, which does not promise that what was written is there after
//! a power cut, nor that it is what was written: an index that is missing, damaged or of another chain is thrown away
//! and made again, in the background. Nobody believes it either: an entry that it names is read from the store and
//! compared with what was asked for before it is given, and whoever receives it gets its inclusion proof. What an index
//! that is wrong in another way can do is leave something out; so a client asks more endorsers than may lie.

mod follow;
mod postings;
mod term;
#[cfg(test)]
mod tests;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use threshold::ids::ChainId;

pub(crate) use follow::author;
pub use follow::follow;
pub use postings::Candidates;
pub use term::Term;

use postings::Postings;

/// Why the index gave no answer. This endorser's fault; the index is made again then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// sled failed, or found that its files are damaged.
    #[error("the search index: {0}")]
    Sled(#[from] sled::Error),
    /// sled gave up in a way that it does not say.
    #[error("the search index failed: {0}")]
    Failed(String),
    /// What is stored is not what is written here.
    #[error("the search index is damaged: {0}")]
    Damaged(&'static str),
    /// It is of another chain, or was written by another version.
    #[error("the search index is of another chain or version")]
    Foreign,
    /// Its directory cannot be used.
    #[error("the directory of the search index: {0}")]
    Io(#[from] std::io::Error),
    /// It could not be opened, and is tried again.
    #[error("there is no search index")]
    None,
}

/// The index of one chain in one directory.
pub struct SearchIndex {
    directory: PathBuf,
    chain_id: ChainId,
    cache_bytes: u64,
    postings: Mutex<Option<Arc<Postings>>>,
}

/// The index as it is at one time: what it covers stays so, even when it is thrown away meanwhile.
#[derive(Clone)]
pub struct View {
    index: Arc<SearchIndex>,
    postings: Option<Arc<Postings>>,
    covered: u64,
}

impl std::fmt::Debug for SearchIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SearchIndex")
            .field("covered", &self.covered())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("covered", &self.covered)
            .finish_non_exhaustive()
    }
}

impl View {
    /// How many entries of the log are in it: those before this index.
    #[must_use]
    pub fn covered(&self) -> u64 {
        self.covered
    }

    /// The entries in `range` that have all of these terms, of which there is at least one: the first `most` of them, by
    /// no more than `steps` lookups, which are counted down.
    ///
    /// # Errors
    /// [`IndexError`]; the index is being made again then.
    pub fn candidates(
        &self,
        terms: &[Term],
        range: Range<u64>,
        most: usize,
        steps: &mut usize,
    ) -> Result<Candidates, IndexError> {
        let postings = self.postings.as_ref().ok_or(IndexError::None)?;
        postings::caught(|| postings.candidates(terms, range, most, steps))
            .inspect_err(|error| self.index.discard(postings, error))
    }
}

impl SearchIndex {
    /// The index in `directory`, as far as it is usable; else an empty one, when that is possible. Blocks.
    #[must_use]
    pub fn open(directory: &Path, chain_id: ChainId, cache_bytes: u64) -> Self {
        let index = Self {
            directory: directory.to_owned(),
            chain_id,
            cache_bytes,
            postings: Mutex::default(),
        };
        match index.newest() {
            Ok(postings) => *index.postings() = Some(Arc::new(postings)),
            Err(error) => index.begin_again(&mut index.postings(), &error),
        }
        index
    }

    /// The index as it is now.
    #[must_use]
    pub fn view(self: &Arc<Self>) -> View {
        let postings = self.postings().clone();
        View {
            index: Arc::clone(self),
            covered: postings.as_ref().map_or(0, |postings| postings.covered()),
            postings,
        }
    }

    /// How many entries of the log are in it now.
    fn covered(&self) -> u64 {
        self.postings().as_ref().map_or(0, |postings| postings.covered())
    }

    /// Adds what follows what is covered: the terms of each of so many further entries.
    fn add(&self, terms: &[Vec<Term>]) -> Result<(), IndexError> {
        let postings = self.postings().clone().ok_or(IndexError::None)?;
        postings::caught(|| postings.add(terms)).inspect_err(|error| self.discard(&postings, error))
    }

    /// Throws away what has failed, unless somebody has done so already.
    fn discard(&self, failed: &Arc<Postings>, reason: &IndexError) {
        let mut postings = self.postings();
        if postings.as_ref().is_some_and(|now| Arc::ptr_eq(now, failed)) {
            self.begin_again(&mut postings, reason);
        }
    }

    /// Throws away whatever there is, for a reason.
    fn reset(&self, reason: &IndexError) {
        self.begin_again(&mut self.postings(), reason);
    }

    fn is_open(&self) -> bool {
        self.postings().is_some()
    }

    fn begin_again(&self, postings: &mut Option<Arc<Postings>>, reason: &IndexError) {
        tracing::warn!(%reason, "the search index is made again from the chain");
        // What found its files damaged may not be able to close them either.
        let old = postings.take();
        let _ = postings::caught(|| {
            drop(old);
            Ok(())
        });
        match self.afresh() {
            Ok(new) => *postings = Some(Arc::new(new)),
            Err(error) => tracing::error!(%error, "there is no search index now"),
        }
    }

    /// What was used last.
    fn newest(&self) -> Result<Postings, IndexError> {
        self.open_generation(self.generations()?.pop().unwrap_or(0))
    }

    /// An empty one, in a directory of its own: an old one may still write into its own for a while.
    fn afresh(&self) -> Result<Postings, IndexError> {
        let mut generations = self.generations()?;
        let next = generations.last().map_or(0, |newest| newest.saturating_add(1));
        for old in generations.drain(..) {
            // What is left of it is in nobody's way.
            let _ = std::fs::remove_dir_all(self.directory.join(old.to_string()));
        }
        self.open_generation(next)
    }

    fn open_generation(&self, generation: u64) -> Result<Postings, IndexError> {
        let directory = self.directory.join(generation.to_string());
        std::fs::create_dir_all(&directory)?;
        Postings::open(&directory, &self.chain_id, self.cache_bytes)
    }

    /// The numbers of the indices that there are, ascending.
    fn generations(&self) -> Result<Vec<u64>, IndexError> {
        std::fs::create_dir_all(&self.directory)?;
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            found.extend(
                entry?
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse::<u64>().ok()),
            );
        }
        found.sort_unstable();
        Ok(found)
    }

    fn postings(&self) -> MutexGuard<'_, Option<Arc<Postings>>> {
        self.postings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
