//! Agree on one chain of blocks with the other endorsers; the only crate that names the engine.

mod adapter;
mod application;
mod block;
mod config;
mod delivery;
mod engine;
mod error;
pub mod evidence;
mod gossip;
mod network;
mod standing;
mod store;
#[cfg(test)]
mod tests;
mod validator;

pub use application::{AppError, Application, BlockBytes, BlockMeta, Finalized};
pub use config::{Config, Inspect, Limits, Timing, Validator};
pub use engine::Engine;
pub use error::Error;
pub use evidence::Evidence;
pub use futures::future::BoxFuture;

/// The largest validator set.
pub const MAX_VALIDATORS: usize = 64;

/// The name of an empty file in [`Config::directory`] that lets the next start vote although there is no record of
/// earlier votes; the engine takes it away.
///
/// Whoever makes a validator's key puts it there: a new key has never voted. Without it a validator without a record
/// asks the others, and follows the chain for a while before it votes, so that one that has lost its directory does
/// not vote twice. If more than f have lost theirs, the chain stands still, and operators who are sure that it does
/// put the file there again.
pub const VOTE_ANYWAY: &str = "vote-anyway";
