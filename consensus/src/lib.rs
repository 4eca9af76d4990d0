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
