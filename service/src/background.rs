//! Threads for work that may wait: whatever answers a reader has threads of its own.
//!
//! A runtime with one worker, so that this work never has more than one core. A lower priority helped nobody: measured, the work
//! took longer and reads met more of it. Work that it has begun is carried out although whoever asked for it has gone.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads for blocking work: enough for a disk and a key derivation at once.
const BLOCKING: usize = 2;

/// The runtime; dropping it lets go of what it does.
#[derive(Debug)]
pub struct Background(Option<Runtime>);

impl Background {
    /// Starts the threads.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(BLOCKING)
            .thread_name(name)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Where to run something on it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.0
            .as_ref()
            .map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Background {
    /// Ends it: what waits for something is dropped, blocking work is waited for, but no longer than this.
    pub async fn stop(mut self, patience: Duration) {
        if let Some(runtime) = self.0.take() {
            // Waiting for threads blocks; the task ends when they do.
            let _ = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(patience)).await;
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
