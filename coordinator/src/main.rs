//! The coordinator's own program.

use std::process::ExitCode;

use service::daemon::Daemon;

fn main() -> ExitCode {
    Daemon {
        name: "quorate-coordinator",
        about: "Triggers threshold re-encryption, collects, checks and combines; holds no secret.",
        env_prefix: quorate_coordinator::ENV_PREFIX,
    }
    .main(quorate_coordinator::run)
}
