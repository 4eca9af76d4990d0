//! Agree on one chain of blocks with the other endorsers; the only crate that names the engine.
//!
//! A block is bytes. The application builds it, judges it before this validator votes for it, and takes it
//! when it is final, with [`Evidence`] of that which anybody can check without this crate: see [`evidence`] for the exact
//! bytes. Behind that are the commonware crates: simplex consensus with plain Ed25519 votes, marshal for the order and
//! the delivery of final blocks, an authenticated and encrypted network between the validators and nobody else, and
//! append-only archives. None of their types appears here.
//!
//! ```text
//!            propose, verify            finalized, acknowledged
//! simplex ──────────────────► adapter ┐                   ┌ delivery ◄────────── marshal ◄── archives
//!    │                                └──► Application ◄──┘                         ▲
//!    │ votes, certificates                      ▲ received, connected               │ blocks
//!    ▼                                          │                                   ▼
//! network ◄──────────────────────────── gossip, standing ───────────────────────► network
//! ```
//!
//! # What is promised
//!
//! - With n validators, at most floor((n - 1) / 3) of them faulty in whatever way, no two correct ones take
//!   different blocks at one height. While more than that are faulty or unreachable, nothing becomes final.
//! - A block is given to [`Application::finalized`] only after this node has it durable. It is counted as delivered
//!   only after the application has it durable. A kill at any time, of any number, loses nothing that was given.
//! - A validator that was away, or has lost everything, gets all blocks with their evidence from the
//!   others, each checked. One that has lost the record of its votes does not vote before that is safe
//!   ([`VOTE_ANYWAY`]).
//! - All queues are bounded by [`Limits`]; a peer that says something false is cut off for a minute.
//!
//! # What is not
//!
//! - A directory restored from an old copy (attack E9) holds a record of votes, though not of all. When the
//!   application is newer than that, or one part of the directory newer than another, the engine refuses to start
//!   ([`Error::RolledBack`]). When everything is equally old, it cannot tell that from having been away, and votes: it
//!   counts as one of the faulty ones until its first vote in a new view. Empty the directory instead of restoring it.
//! - A set of validators changes only as the application says ([`Application::epoch`]), between two blocks. The last block of
//!   an epoch is proposed again until it is final; when it is not known yet that the block that decided on the change is
//!   final, nobody can. That takes as many views in a row that end with a block and without finality as there are blocks from
//!   that one to the last; then the chain stands still.
//! - Messages of [`Engine::gossip`] may get lost, and those to unreachable validators do.
//! - Clocks of validators that differ by more than 30 seconds cannot connect.

mod adapter;
mod application;
mod block;
mod config;
mod delivery;
mod engine;
mod epochs;
mod error;
pub mod evidence;
mod gossip;
mod network;
mod rollback;
mod standing;
mod store;
#[cfg(test)]
mod tests;
mod validator;

pub use application::{AppError, Application, BlockBytes, BlockMeta, Epoch, Finalized};
pub use config::{Address, AddressError, Config, Inspect, Limits, Timing, Validator};
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
