//! Gossip that waits to be looked at: a queue for each fellow endorser, and a message of each in turn, so that one that
//! sends too much keeps nobody else waiting and loses only its own.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// Messages of one endorser that wait; more are dropped.
const MESSAGES: usize = 64;
/// And their bytes.
const BYTES: usize = 1 << 20;

/// A gossip message and its sender's validator key.
pub type Received = ([u8; 32], Vec<u8>);

#[derive(Default)]
struct Queue {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
}

#[derive(Default)]
struct Inner {
    /// Never an empty queue.
    queues: BTreeMap<[u8; 32], Queue>,
    /// Whose message was taken last.
    last: [u8; 32],
}

/// The messages of all fellow endorsers, for one reader.
#[derive(Default)]
pub struct Inbox {
    inner: Mutex<Inner>,
    arrived: Notify,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox")
            .field("endorsers", &self.inner().queues.len())
            .finish_non_exhaustive()
    }
}

impl Inbox {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message at the end of its sender's queue. `false` when that is full: gossip only saves time.
    pub fn put(&self, from: [u8; 32], message: Vec<u8>) -> bool {
        let mut inner = self.inner();
        let queue = inner.queues.entry(from).or_default();
        let bytes = queue.bytes.saturating_add(message.len());
        // The first message of all always fits, so that no queue stays empty.
        if queue.messages.len() >= MESSAGES || (bytes > BYTES && !queue.messages.is_empty()) {
            return false;
        }
        queue.bytes = bytes;
        queue.messages.push_back(message);
        drop(inner);
        self.arrived.notify_one();
        true
    }

    /// The next message, when there is one.
    pub async fn next(&self) -> Received {
        loop {
            if let Some(received) = self.take() {
                return received;
            }
            self.arrived.notified().await;
        }
    }

    /// The oldest message of whoever comes after the one whose message was taken last.
    pub fn take(&self) -> Option<Received> {
        let mut inner = self.inner();
        let after = (Bound::Excluded(inner.last), Bound::Unbounded);
        let from = inner
            .queues
            .range(after)
            .next()
            .or_else(|| inner.queues.first_key_value())
            .map(|(from, _)| *from)?;
        let queue = inner.queues.get_mut(&from)?;
        let message = queue.messages.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(message.len());
        if queue.messages.is_empty() {
            inner.queues.remove(&from);
        }
        inner.last = from;
        Some((from, message))
    }
}
