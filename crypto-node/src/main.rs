//! The crypto node as a program of its own: `quorate-crypto-node --config FILE`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let daemon = service::daemon::Daemon {
        name: "quorate-crypto-node",
        about: "Guard one share of the custody key, and use it only for an approved read.",
        env_prefix: quorate_crypto_node::ENV_PREFIX,
    };
    daemon.main(quorate_crypto_node::run)
}
