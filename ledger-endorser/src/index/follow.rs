//! The index follows the chain.

use std::{sync::Arc, time::Duration};

use golden_record::{Block, Entry, Outcome, Party, StateAt, StateError, queries};
use threshold::{encoding::Canonical, name::Name};
use tokio::sync::broadcast::error::RecvError;

use super::{IndexError, SearchIndex, Term};
use crate::{
    ledger::Ledger,
    store::{Snapshot, StoreError},
};

/// Entries that are read from the store and added at once.
const STEP: usize = 500;
/// And bytes.
const STEP_BYTES: usize = 1 << 20;

/// When something failed: before it is tried again.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Why the index could not be brought further.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    State(#[from] StateError),
}

/// Brings the index up to what is final, again and again.
pub async fn follow(index: Arc<SearchIndex>, ledger: Arc<Ledger>) {
    let mut blocks = ledger.final_blocks();
    let mut newest = None;
    loop {
        let (index, ledger) = (Arc::clone(&index), Arc::clone(&ledger));
        let block = newest.take();
        let step = tokio::task::spawn_blocking(move || advance(&index, &ledger, block.as_deref()));
        match step.await {
            Ok(Ok(true)) => continue,
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the search index is not up to date");
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
            Err(_) => return,
        }
        match blocks.recv().await {
            Ok(block) => newest = Some(block),
            // The store has them.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Adds this block, if it is the next, and else some of what the store has; says whether there is more.
pub(super) fn advance(
    index: &SearchIndex,
    ledger: &Ledger,
    block: Option<&Block>,
) -> Result<bool, FollowError> {
    if !index.is_open() {
        index.reset(&IndexError::None);
    }
    let snapshot = ledger.store().snapshot()?;
    let (covered, log_size) = (index.covered(), snapshot.newest().log_size);
    if covered > log_size {
        // The store was lost and comes again from the peers.
        index.reset(&IndexError::Damaged("it goes further than the chain"));
        return Ok(true);
    }
    let terms = match block {
        Some(block) if block.header().first_index() == covered => of_block(&snapshot, block)?,
        _ => of_store(&snapshot, covered)?,
    };
    if !terms.is_empty() {
        index.add(&terms)?;
    }
    Ok(index.covered() < log_size)
}

fn of_block(snapshot: &Snapshot, block: &Block) -> Result<Vec<Vec<Term>>, FollowError> {
    let height = block.header().height;
    let entries = block.entries().iter();
    entries
        .map(|entry| Ok(Term::of_entry(entry, author(snapshot, entry, height)?.as_ref())))
        .collect()
}

fn of_store(snapshot: &Snapshot, from: u64) -> Result<Vec<Vec<Term>>, FollowError> {
    let lines = snapshot.page(from, STEP, STEP_BYTES)?;
    lines
        .iter()
        .map(|line| {
            let entry =
                Entry::from_bytes(&line.entry).map_err(|_| StoreError::Damaged("an entry does not parse"))?;
            let author = author(snapshot, &entry, line.height)?;
            Ok(Term::of_entry(&entry, author.as_ref()))
        })
        .collect()
}

/// The tenant and the name of the user who has signed an entry of the block at this height, if it was one. It may have been
/// created in this very block, or its key have been replaced in it.
pub(crate) fn author(
    snapshot: &Snapshot,
    entry: &Entry,
    height: u64,
) -> Result<Option<(Name, Name)>, StateError> {
    if let Outcome::Approved { .. } | Outcome::Permitted { .. } = entry.outcome {
        // It is the one that is named, or it would have been denied.
        let body = &entry.transaction.body;
        return Ok(body.tenant().cloned().zip(body.user().cloned()));
    }
    for height in [height.saturating_sub(1), height] {
        let party = queries::party(&StateAt::new(snapshot, height), &entry.transaction.author)?;
        if let Some(Party::User { tenant, user }) = party {
            return Ok(Some((tenant, user)));
        }
    }
    Ok(None)
}
