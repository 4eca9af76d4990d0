//! Give a daemon its configuration, identity, mutual TLS, telemetry, health and shutdown.
//!
//! Nothing here knows the protocol: keys are 32 bytes, secrets are byte strings. A daemon's `main` is
//! [`daemon::Daemon::main`] with its own `run`, and `run` is written from the rest:
//!
//! 1. [`seal::Passphrase::from_file`] and [`identity::Identity::load`];
//! 2. [`tls::Listener::bind`] for its port, [`tls::connect`] for each peer;
//! 3. [`server::serve`] with the gRPC services, [`operations::Operations`] and what else runs in [`Beside`] it;
//! 4. both end, after a drain, when the stop signal comes.

pub mod background;
pub mod beside;
pub mod config;
pub mod core_dumps;
pub mod daemon;
pub mod files;
pub mod identity;
pub mod metrics;
pub mod notify;
pub mod operations;
mod places;
pub mod ports;
pub mod rate_limit;
pub mod seal;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod tls;

pub use background::Background;
pub use beside::Beside;
pub use identity::Identity;
pub use rate_limit::RateLimit;
pub use seal::{KeyWrap, Passphrase, SealConfig};
pub use tls::{ClientPolicy, Listener, PeerKey, connect, peer_key};
