//! Guard one share of the custody key, and use it only for an approved read.
//!
//! A node decides for itself ([`authorise`]), records before it answers ([`journal`]), and makes its key together
//! with the other nodes ([`ceremony`]). It connects to coordinators, to its fellow nodes and to its operators, each
//! known by a pinned key; never to the ledger, whose approvals it checks by their certificates.

pub mod authorise;
pub mod backup;
pub mod ceremony;
pub mod config;
pub mod deliveries;
pub mod diagnosis;
pub mod journal;
pub mod memory;
pub mod metrics;
mod node;
pub mod refusal;
pub mod refusals;
pub mod reseal;
mod sealed;
pub mod seals;
pub mod server;
pub mod settings;
pub mod share;
pub mod store;
#[cfg(test)]
mod tests;
mod watch;
pub mod work;

pub use config::Config;
pub use node::run;

/// What the environment variables begin with that override keys of the configuration.
pub const ENV_PREFIX: &str = "QUORATE_CRYPTO_NODE";
