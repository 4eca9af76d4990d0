//! What runs beside a daemon's server, and is missed when it ends.
//!
//! A task that nobody waits for fails unseen, and the daemon goes on without what it did. Here each has a name, and
//! [`Beside::until`] ends with the first one that ends: a daemon that returns that error is started again by its unit.

use std::collections::HashMap;
use std::fmt::Display;

use tokio::runtime::Handle;
use tokio::task::{Id, JoinError, JoinSet};

#[cfg(test)]
mod tests;

/// Tasks that run as long as their daemon. Dropping this ends them.
#[derive(Debug, Default)]
pub struct Beside {
    running: JoinSet<Option<String>>,
    names: HashMap<Id, &'static str>,
}

/// A task ended that was to run as long as its daemon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} ended by itself{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
pub struct Ended {
    /// Which task.
    pub name: &'static str,
    /// Why, where it said so.
    pub reason: Option<String>,
}

/// What a task ends with.
pub trait Outcome: Send + 'static {
    /// Why it ended, if it says so.
    fn reason(self) -> Option<String>;
}

impl Outcome for () {
    fn reason(self) -> Option<String> {
        None
    }
}

impl<E: Display + Send + 'static> Outcome for Result<(), E> {
    fn reason(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

impl Beside {
    /// Nothing runs yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task.
    pub fn run<T: Outcome>(&mut self, name: &'static str, task: impl Future<Output = T> + Send + 'static) {
        self.run_on(&Handle::current(), name, task);
    }

    /// Starts a task on another runtime.
    pub fn run_on<T: Outcome>(
        &mut self,
        runtime: &Handle,
        name: &'static str,
        task: impl Future<Output = T> + Send + 'static,
    ) {
        let handle = self.running.spawn_on(async move { task.await.reason() }, runtime);
        self.names.insert(handle.id(), name);
    }

    /// Waits for `stop`.
    ///
    /// # Errors
    /// The first task that ends before, by returning or by a panic.
    pub async fn until(&mut self, stop: impl Future<Output = ()>) -> Result<(), Ended> {
        tokio::select! {
            () = stop => Ok(()),
            Some(joined) = self.running.join_next_with_id() => Err(self.ended(joined)),
        }
    }

    /// Waits until the task of this name has ended, as it does when it is told to.
    pub async fn finished(&mut self, name: &'static str) {
        while self.names.values().any(|running| *running == name) {
            let Some(joined) = self.running.join_next_with_id().await else {
                return;
            };
            let ended = self.ended(joined);
            if ended.name != name || ended.reason.is_some() {
                tracing::error!("{ended}");
            }
        }
    }

    /// Ends all, and waits until they have ended.
    pub async fn stop(mut self) {
        self.running.shutdown().await;
    }

    fn ended(&mut self, joined: Result<(Id, Option<String>), JoinError>) -> Ended {
        let (id, reason) = match joined {
            Ok(ended) => ended,
            Err(error) => (error.id(), Some(error.to_string())),
        };
        Ended {
            name: self.names.remove(&id).unwrap_or("a task"),
            reason,
        }
    }
}
