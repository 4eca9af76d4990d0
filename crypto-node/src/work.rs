//! Where ceremonies are carried out: on threads of their own, and whatever becomes of whoever asked.

use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinError;

/// The threads, and whether work on them has panicked.
#[derive(Debug, Clone)]
pub struct Work {
    runtime: Handle,
    panicked: Arc<Notify>,
}

/// A piece of work panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a step of a ceremony panicked, and what the node knows of it may be half done")]
pub struct Panicked;

impl Work {
    /// On the threads of this runtime.
    #[must_use]
    pub fn on(runtime: Handle) -> Self {
        Self {
            runtime,
            panicked: Arc::default(),
        }
    }

    /// The runtime.
    #[must_use]
    pub const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Carries something out. Once begun it goes on to its end, also when the caller has gone.
    ///
    /// # Errors
    /// It panicked, which [`Self::broken`] tells the node, or the threads are being stopped.
    pub async fn carry_out<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        let alarm = Alarm(Arc::clone(&self.panicked));
        let work = async move {
            let _alarm = alarm;
            work.await
        };
        self.runtime.spawn(work).await
    }

    /// Waits until something panics: nothing that these threads hold is sure to be whole then.
    ///
    /// # Errors
    /// Always.
    pub async fn broken(self) -> Result<(), Panicked> {
        self.panicked.notified().await;
        Err(Panicked)
    }
}

/// Tells of a panic while it goes by; nobody may be there any more to look at what became of the work.
struct Alarm(Arc<Notify>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.notify_one();
        }
    }
}
