//! Where a test stops a node for good: after each of a ceremony's durable writes.
//!
//! At the k-th of these places from when it is armed the driver stands still, with its state locked, until the test drops the
//! node: nothing that comes after happens, as after `kill -9`. Only tests have it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const UNARMED: u32 = u32::MAX;

/// One node's.
#[derive(Debug)]
pub(crate) struct Crash(AtomicU32);

impl Crash {
    /// Nothing happens until it is armed.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(UNARMED)))
    }

    /// The node stops at the k-th place from now on, counted from 1.
    pub(crate) fn arm(&self, k: u32) {
        self.0.store(k, Ordering::SeqCst);
    }

    /// Nothing happens any more, unless it has; says whether it has.
    pub(crate) fn disarm(&self) -> bool {
        let unless_stopped = |left| (left != 0).then_some(UNARMED);
        self.0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, unless_stopped)
            .is_err()
    }

    /// Whether it came so far.
    pub(crate) fn has_stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }

    /// One of the places.
    pub(super) async fn point(&self) {
        let count = |left| (left != UNARMED).then(|| u32::saturating_sub(left, 1));
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count);
        if self.has_stopped() {
            std::future::pending().await
        }
    }
}
