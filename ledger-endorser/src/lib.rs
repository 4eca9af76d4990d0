//! Replicate the golden record by consensus, and issue approval certificates from it.
//!
//! A client's transaction goes through [`intake`] into the [`mempool`], to the fellow endorsers by [`gossip`] and their [`inbox`],
//! through consensus as [`application`] of the engine into the [`ledger`] and, durable, into the [`store`]; whoever
//! waits for it is woken then and not before. [`approve`] makes certificates from what is durable and from nothing
//! else, and [`checkpoint`] signs what the log was with it. An [`index`] of it is for searches. [`grpc`] is what clients see, [`access`] who sees what.

pub mod access;
pub mod application;
pub mod approve;
pub mod checkpoint;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod gossip;
pub mod grpc;
pub mod inbox;
pub mod index;
pub mod intake;
pub mod ledger;
pub mod mempool;
pub mod metrics;
pub mod setup;
pub mod status;
pub mod store;
pub mod waiters;

pub use config::{Config, Limits};
pub use daemon::run;

/// What the environment variables begin with that override keys of the configuration.
pub const ENV_PREFIX: &str = "QUORATE_ENDORSER";

#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;
#[cfg(test)]
#[path = "../tests/network/mod.rs"]
mod network;
#[cfg(test)]
mod testing;
#[cfg(test)]
extern crate self as quorate_ledger_endorser;
