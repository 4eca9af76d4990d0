//! Threads for work that may wait: whatever answers a reader goes first.
//!
//! A runtime of its own with one worker, whose threads, those for blocking work with it, have the lowest priority. Work that it has
//! begun is carried out although whoever asked for it has gone.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads for blocking work: enough for a disk and a key derivation at once.
const BLOCKING: usize = 2;
/// The lowest priority that there is.
#[cfg(target_os = "linux")]
const NICE: i32 = 19;

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
            .on_thread_start(step_back)
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

/// On Linux a priority is a thread's own; elsewhere it would be the whole process's, which is of no use.
fn step_back() {
    // Nobody is refused a lower priority; were it so, the work is done all the same.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICE);
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn work_in_the_background_has_the_lowest_priority_and_leaves_everybody_elses_alone() {
        let background = super::Background::start("waits").unwrap();
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let own = priority();
        let handle = background.handle();
        let (task, blocking) = (
            handle.spawn(async move { priority() }),
            handle.spawn_blocking(priority),
        );
        let lowest = if cfg!(target_os = "linux") { 19 } else { own };
        assert_eq!((task.await.unwrap(), blocking.await.unwrap()), (lowest, lowest));
        assert_eq!(priority(), own);
    }
}
