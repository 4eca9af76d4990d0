//! One daemon in this process: the same `run` that the daemon's own program calls.

use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::cli::{DaemonArgs, DaemonKind};
use crate::failure::{Failure, Outcome};

/// Runs until a signal, or until the parent has gone.
pub(crate) fn run(arguments: &DaemonArgs) -> Outcome {
    service::telemetry::init(arguments.kind.as_str());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let parent = arguments.exit_with_parent.then(parent_gone);
    runtime.block_on(async {
        let stop = stop(parent);
        match arguments.kind {
            DaemonKind::CryptoNode => crypto_node::run(node_config(&arguments.config)?, stop).await?,
            DaemonKind::LedgerEndorser => {
                ledger_endorser::run(load(&arguments.config, ledger_endorser::ENV_PREFIX)?, stop).await?;
            }
            DaemonKind::Coordinator => {
                coordinator::run(load(&arguments.config, coordinator::ENV_PREFIX)?, stop).await?
            }
        }
        Ok(())
    })
}

async fn stop(parent: Option<oneshot::Receiver<()>>) {
    match parent {
        None => service::shutdown::signal().await,
        Some(gone) => tokio::select! {
            () = service::shutdown::signal() => {}
            _ = gone => {}
        },
    }
}

/// Standard input is a pipe that the parent holds: it ends when the parent does, however that happens.
fn parent_gone() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        let mut input = std::io::stdin().lock();
        while matches!(input.read(&mut buffer), Ok(count) if count > 0) {}
        let _ = sender.send(());
    });
    receiver
}

/// The configuration of a crypto node, with what the environment overrides.
pub(crate) fn node_config(path: &Path) -> Outcome<crypto_node::Config> {
    load(path, crypto_node::ENV_PREFIX)
}

fn load<T: DeserializeOwned>(path: &Path, prefix: &str) -> Outcome<T> {
    service::config::load(path, prefix).map_err(|error| {
        Failure::error(
            format!("the configuration {} cannot be used: {error}", path.display()),
            "correct the key that is named",
        )
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_daemons_variables_begin_with_the_projects_name_and_are_its_own() {
        let prefixes = [
            crypto_node::ENV_PREFIX,
            ledger_endorser::ENV_PREFIX,
            coordinator::ENV_PREFIX,
        ];
        for (place, prefix) in prefixes.iter().enumerate() {
            assert!(prefix.starts_with("QUORATE_"), "{prefix}");
            let others = prefixes.iter().enumerate().filter(|(other, _)| *other != place);
            for (_, other) in others {
                assert!(!other.starts_with(prefix), "{other} is {prefix}'s too");
            }
        }
    }
}
