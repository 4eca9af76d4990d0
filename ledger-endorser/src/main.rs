//! The ledger endorser's program.

use std::process::ExitCode;

use service::daemon::Daemon;

fn main() -> ExitCode {
    let daemon = Daemon {
        name: "quorate-ledger-endorser",
        about: env!("CARGO_PKG_DESCRIPTION"),
        env_prefix: quorate_ledger_endorser::ENV_PREFIX,
    };
    daemon.main(quorate_ledger_endorser::run)
}
