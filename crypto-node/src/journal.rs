//! The node's own record of every use of its share: append-only, hash-chained, durable before it counts.
//!
//! ```text
//! file    "quorate-journal1" ‖ node identity key (32 bytes) ‖ record*
//! record  u32 length ‖ length check (4 bytes) ‖ entry (length bytes) ‖ hash (32 bytes)
//! hash    transcript journal: previous hash, entry            (before the first: node identity)
//! check   first four bytes of transcript journal: previous hash, length
//! ```
//!
//! Concurrent appends share a sync: an append only extends a buffer and the chain, a writer thread takes the
//! whole buffer, writes and syncs it, and only then is any entry in it reported durable. A failed write or
//! sync is final: what the disk holds is then unknown, so the journal takes nothing more, and the node, which releases nothing
//! without it, says so to its operator and to the others until it is restarted.
//!
//! A crash can leave an incomplete record at the end, which was never reported durable; it is cut when the
//! journal is opened. Anything else that does not fit, a changed length included (that is what the length
//! check is for), is damage, and the journal refuses to open. A power cut can leave that, too: a file that had grown before
//! what belongs into it was written. It cannot be told from a change, so that it is cut only when the operator accepts the
//! entry before it as the newest one. What fits and is not all, or not the same, is noticed by a
//! [`Mark`], which says how far the journal was durable at an earlier time.

mod activated;
mod disk;
mod entry;
mod mark;
pub mod opening;
mod scan;
#[cfg(test)]
pub(crate) mod tests;

pub use activated::{Activated, NotOfOneTime, Stored};
pub use disk::{Disk, Storage};
pub(crate) use entry::cut;
pub use entry::{Entry, Event, MAX_DETAIL, Release, Step};
pub use mark::{Expected, Mark, MarkFile};

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use threshold::encoding::{Canonical, DecodeError};
use tokio::sync::watch;

/// What may wait for the disk before further appends are refused.
const MAX_BUFFER: usize = 4 * 1024 * 1024;

/// Why the journal does not open or does not take an entry.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system failed.
    #[error("journal: {0}")]
    Io(#[from] io::Error),
    /// The file is not a journal, or not this node's.
    #[error("journal: {0}; put this node's own journal back, or start the node with an empty directory")]
    Foreign(&'static str),
    /// What is at this place is no record: a power cut left it, or the file was changed.
    #[error("journal: damaged at byte {offset} (entry {position}): {reason}; {}", advice(*marked, head))]
    Damaged {
        /// Where the record starts.
        offset: u64,
        /// Which entry it is.
        position: u64,
        /// What does not fit.
        reason: &'static str,
        /// Whether the journal was marked with this entry in it, and so had it whole on its disk.
        marked: bool,
        /// Hash of the entry before.
        head: [u8; 32],
    },
    /// The journal ends before its mark, or is another than the marked one.
    #[error(
        "journal: {what}; it was cut, or an old copy was put back, and this node would not remember what it has answered \
         since. Put the newest copy back. If that is lost for good, keep the node stopped until every approval has expired \
         that it may have answered, compare with the auditors what they have of it, and start it once with \
         journal.accepted = \"{}\" in its configuration",
        hex::encode(head)
    )]
    SetBack {
        /// What was found.
        what: String,
        /// Hash of the newest entry found.
        head: [u8; 32],
    },
    /// The operator accepts a journal, and this one needs no accepting.
    #[error(
        "journal: it is as it was marked, and journal.accepted is in the configuration: remove it there, where it would let an old \
         copy of the journal be taken one day"
    )]
    Unneeded,
    /// The mark is not one of this node's.
    #[error(
        "journal mark: {0}; put this node's own mark back, or remove it and follow what the node then says"
    )]
    Mark(&'static str),
    /// An entry does not decode although its hash holds: it was written by another version.
    #[error("journal: entry {position} is not understood ({cause}); start a version that wrote this journal")]
    Unknown {
        /// Which entry it is.
        position: u64,
        /// Why it does not decode.
        cause: DecodeError,
    },
    /// An earlier write or sync failed, or the writer is gone.
    #[error("journal: stopped after a failed write; check the disk and restart the node")]
    Stopped,
    /// More is waiting than the disk takes.
    #[error("journal: the disk does not keep up")]
    Busy,
}

/// What to do about a damaged record.
fn advice(marked: bool, head: &[u8; 32]) -> String {
    let origin = if marked {
        "it was whole when the journal was marked, and was changed since: restore the file, and find out who or what changed \
         it. If it is lost for good, compare with the auditors what they have of it, keep"
    } else {
        "a power cut leaves such bytes where the node was writing what it had not acknowledged; without one, restore the \
         file, and find out who or what changed it. After a power cut, keep"
    };
    format!(
        "{origin} the node stopped until every approval has expired that it may have answered, and start it once with \
         journal.accepted = \"{}\" in its configuration: it cuts the file at that byte",
        hex::encode(head)
    )
}

/// Where an entry stands: its position from 0, and the chain's hash with it as the newest entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The entry's position, from 0.
    pub position: u64,
    /// The hash of the chain up to and including the entry.
    pub head: [u8; 32],
}

/// An entry that has its place and is on its way to the disk.
#[derive(Debug)]
#[must_use = "an entry counts only when it is durable"]
pub struct Ticket {
    place: Place,
    durable: watch::Receiver<Durable>,
}

impl Ticket {
    /// The entry's place. It is not durable yet.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }

    /// Waits until the entry is durable.
    ///
    /// # Errors
    /// [`JournalError::Stopped`] if it will never be.
    pub async fn durable(mut self) -> Result<Place, JournalError> {
        let position = self.place.position;
        let reached = self.durable.wait_for(|state| match state {
            Durable::UpTo(mark) => mark.entries > position,
            Durable::Failed => true,
        });
        match reached.await.as_deref() {
            Ok(Durable::UpTo(_)) => Ok(self.place),
            Ok(Durable::Failed) | Err(_) => Err(JournalError::Stopped),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durable {
    /// So far all entries are durable.
    UpTo(Mark),
    /// The disk failed.
    Failed,
}

struct State {
    buffer: Vec<u8>,
    entries: u64,
    head: [u8; 32],
    stopping: bool,
    failed: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held; were it to, the state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The open journal.
pub struct Journal {
    shared: Arc<Shared>,
    durable: watch::Receiver<Durable>,
    writer: Option<std::thread::JoinHandle<()>>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("place", &self.newest())
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal of the node with this identity key, checks all of it, against what is expected of it if that is given,
    /// shows each entry to `visit` with the hash of the chain up to it, cuts an incomplete last record, and starts the writer. `synced` is told how long
    /// each sync took.
    ///
    /// # Errors
    /// Anything but the whole, unchanged journal of this node: see [`JournalError`].
    pub fn open(
        mut storage: impl Storage,
        identity: &[u8; 32],
        expected: Option<&Expected>,
        visit: impl FnMut(&Entry, &[u8; 32]),
        synced: impl Fn(Duration) + Send + 'static,
    ) -> Result<Self, JournalError> {
        let end = scan::scan(&mut storage, identity, expected, visit)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                buffer: Vec::new(),
                entries: end.entries,
                head: end.head,
                stopping: false,
                failed: false,
            }),
            wake: Condvar::new(),
        });
        let (sender, durable) = watch::channel(Durable::UpTo(Mark {
            entries: end.entries,
            head: end.head,
        }));
        let writer = std::thread::Builder::new()
            .name("journal".into())
            .stack_size(256 * 1024)
            .spawn({
                let shared = Arc::clone(&shared);
                move || write_batches(&shared, &sender, storage, synced)
            })?;
        Ok(Self {
            shared,
            durable,
            writer: Some(writer),
        })
    }

    /// Gives the event its place in the chain and hands it to the writer. It counts once the ticket says so.
    ///
    /// # Errors
    /// [`JournalError::Stopped`] after a failed write, [`JournalError::Busy`] when too much is waiting.
    pub fn append(&self, time_ms: u64, event: Event) -> Result<Ticket, JournalError> {
        let mut state = self.shared.lock();
        if state.failed || state.stopping {
            return Err(JournalError::Stopped);
        }
        if state.buffer.len() > MAX_BUFFER {
            return Err(JournalError::Busy);
        }
        let position = state.entries;
        let entry = Entry {
            position,
            time_ms,
            event,
        }
        .to_bytes();
        let previous = state.head;
        let head = scan::write_record(&mut state.buffer, &previous, &entry);
        state.entries += 1;
        state.head = head;
        drop(state);
        self.shared.wake.notify_one();
        Ok(Ticket {
            place: Place { position, head },
            durable: self.durable.clone(),
        })
    }

    /// The number of entries and the hash of the newest, durable or not.
    #[must_use]
    pub fn newest(&self) -> (u64, [u8; 32]) {
        let state = self.shared.lock();
        (state.entries, state.head)
    }

    /// How far the journal is durable; nothing once it has failed.
    #[must_use]
    pub fn durable(&self) -> Option<Mark> {
        match *self.durable.borrow() {
            Durable::UpTo(mark) => Some(mark),
            Durable::Failed => None,
        }
    }

    /// Waits until everything appended so far is durable.
    ///
    /// # Errors
    /// [`JournalError::Stopped`] if it will never be.
    pub async fn flushed(&self) -> Result<(), JournalError> {
        let (entries, head) = self.newest();
        let Some(position) = entries.checked_sub(1) else {
            return Ok(());
        };
        let newest = Ticket {
            place: Place { position, head },
            durable: self.durable.clone(),
        };
        newest.durable().await.map(drop)
    }

    /// Whether the journal still takes entries.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.shared.lock().failed
    }
}

impl Drop for Journal {
    /// Writes what is waiting, then closes.
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.wake.notify_one();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has already reported itself; waiting callers see its channel close.
            let _ = writer.join();
        }
    }
}

/// Takes whatever is waiting, makes it durable with one sync, reports it; until stopped or failed.
fn write_batches(
    shared: &Shared,
    durable: &watch::Sender<Durable>,
    mut storage: impl Storage,
    synced: impl Fn(Duration),
) {
    let mut batch = Vec::new();
    loop {
        let Some(mark) = next_batch(shared, &mut batch) else {
            return;
        };
        let started = Instant::now();
        if let Err(error) = storage.append(&batch).and_then(|()| storage.sync()) {
            tracing::error!(%error, "the journal cannot be written: this node releases nothing more");
            shared.lock().failed = true;
            durable.send_replace(Durable::Failed);
            return;
        }
        synced(started.elapsed());
        durable.send_replace(Durable::UpTo(mark));
    }
}

/// Waits for entries, swaps them into `batch`, and says how far the journal is with them.
fn next_batch(shared: &Shared, batch: &mut Vec<u8>) -> Option<Mark> {
    batch.clear();
    let mut state = shared.lock();
    while state.buffer.is_empty() {
        if state.stopping {
            return None;
        }
        state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    std::mem::swap(&mut state.buffer, batch);
    Some(Mark {
        entries: state.entries,
        head: state.head,
    })
}
