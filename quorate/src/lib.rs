//! The command line for platform teams, auditors and operators, with the one-command local cluster.
//!
//! Everything that the program does is here, so that tests can run it: [`main_with`] is the whole program, and
//! [`cluster`] is the local cluster that `demo`, `dev`, `bench` and the integration tests share.

pub mod bench;
mod cli;
pub mod cluster;
mod commands;
mod daemon;
mod demo;
mod failure;
mod home;
mod keyring;
mod output;
mod profile;
mod prompt;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

pub use crate::cli::DaemonKind;
use crate::cli::{Cli, Command};
use crate::commands::Context;
pub use crate::failure::{Failure, Outcome, Verdict};
pub use crate::home::Home;
pub use crate::keyring::{Keyring, Owner};
pub use crate::output::{Output, Progress};

/// Runs the program with these arguments, the first being its name. Exit status 0: done; 1: an error; 2: the
/// answer is no.
pub fn main_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp
                    | ErrorKind::DisplayVersion
                    | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            );
            // Whoever asked for JSON gets it also when the rest is not understood.
            let mut options = arguments.iter().take_while(|argument| *argument != "--");
            if !asked && options.any(|argument| argument == "--json") {
                Output::new(true).failure(&misspelt(&error));
            } else {
                // Nothing sensible is left to do when the terminal is gone.
                let _ = error.print();
            }
            return if asked {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
    };
    let output = Output::new(cli.global.json);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// A command line that is not understood: what is wrong with it, without the usage that a person would be shown.
fn misspelt(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let what = text.split("\n\nUsage:").next().unwrap_or_default();
    let what: Vec<&str> = what.split_whitespace().collect();
    let what = what.join(" ");
    Failure {
        code: "usage".into(),
        ..Failure::error(
            what.strip_prefix("error: ").unwrap_or(&what),
            "see the same command with --help",
        )
    }
}

fn run(cli: Cli) -> Outcome {
    // Every command may come to hold a key.
    service::core_dumps::forbid()
        .map_err(|error| Failure::from(error).while_doing("forbidding core dumps"))?;
    // A daemon brings its own logging and runtime.
    if let Command::Daemon(arguments) = &cli.command {
        return daemon::run(arguments);
    }
    let context = Context::new(&cli.global)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(commands::run(&context, cli.command))
}
