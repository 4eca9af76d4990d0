//! Logs, on stderr.
//!
//! What may be logged: names, indices, public keys, identifiers, sizes, times, errors. What may not: anything
//! that a secret type holds, and those types print nothing of it.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging to stderr for the daemon `name`, at the level that `RUST_LOG` says, else "info".
///
/// In colour when a person looks, unless `NO_COLOR` is set. Does nothing when logging has started before, as
/// it has when several daemons run in one process.
pub fn init(name: &str) {
    // The consensus engine opens a span for every view and message; they would cost more than they tell.
    init_with_level(name, "info,commonware=warn");
}

/// As [`init`], with the level taken when `RUST_LOG` is not set: a directive such as "info" or "warn,quorate=debug".
pub fn init_with_level(name: &str, level: &str) {
    let filter = EnvFilter::try_from_default_env()
        .or_else(|_| EnvFilter::try_new(level))
        .unwrap_or_default();
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .try_init();
    if started.is_ok() {
        tracing::info!(daemon = name, version = env!("CARGO_PKG_VERSION"), "starting");
    }
}
