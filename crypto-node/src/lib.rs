//! Guard one share of the custody key, and use it only for an approved read.

pub mod config;
pub mod journal;

pub use config::Config;

/// Runs the node until `stop` resolves, then drains what is under way.
///
/// # Errors
/// A configuration, a directory or a key that does not hold; a journal that was changed; a port that is taken.
pub async fn run(config: Config, stop: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
    let _ = config;
    stop.await;
    anyhow::bail!("the crypto node is not assembled yet")
}
