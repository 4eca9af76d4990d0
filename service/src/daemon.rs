//! The `main` that all daemons share: parse, load, run, drain.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::de::DeserializeOwned;

use crate::{config, core_dumps, shutdown, telemetry};

/// What a daemon is called and told by.
#[derive(Debug, Clone, Copy)]
pub struct Daemon {
    /// The program's name.
    pub name: &'static str,
    /// One sentence, for `--help`.
    pub about: &'static str,
    /// What its environment variables begin with.
    pub env_prefix: &'static str,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Run(PathBuf),
    Help,
    Version,
}

impl Daemon {
    /// Runs a daemon from the command line of this process: `--config FILE`.
    ///
    /// Forbids core dumps, loads the configuration, starts logging, and calls `run` with it on a runtime of its own and with a stop
    /// future that completes at SIGTERM or SIGINT. The exit code is 0 after a clean end, 1 after an error, which
    /// is printed with its causes, 2 for a wrong command line.
    pub fn main<C, F, E>(self, run: impl FnOnce(C, Stop) -> F) -> ExitCode
    where
        C: DeserializeOwned,
        F: Future<Output = Result<(), E>>,
        E: std::fmt::Debug,
    {
        match self.parse(std::env::args_os().skip(1)) {
            Ok(Command::Run(path)) => self.start(&path, run),
            Ok(Command::Help) => {
                eprintln!(
                    "{}\n\n{}\n\nEvery key of the file can be overridden by an environment variable {}__SECTION__KEY.",
                    self.about,
                    self.usage(),
                    self.env_prefix
                );
                ExitCode::SUCCESS
            }
            Ok(Command::Version) => {
                eprintln!("{} {}", self.name, env!("CARGO_PKG_VERSION"));
                ExitCode::SUCCESS
            }
            Err(problem) => {
                eprintln!("{}: {problem}\n{}", self.name, self.usage());
                ExitCode::from(2)
            }
        }
    }

    fn start<C, F, E>(self, path: &std::path::Path, run: impl FnOnce(C, Stop) -> F) -> ExitCode
    where
        C: DeserializeOwned,
        F: Future<Output = Result<(), E>>,
        E: std::fmt::Debug,
    {
        if let Err(error) = core_dumps::forbid() {
            eprintln!("{}: cannot forbid core dumps: {error}", self.name);
            return ExitCode::FAILURE;
        }
        let config = match config::load(path, self.env_prefix) {
            Ok(config) => config,
            Err(error) => {
                eprintln!("{}: {error}", self.name);
                return ExitCode::FAILURE;
            }
        };
        telemetry::init(self.name);
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("{}: cannot start: {error}", self.name);
                return ExitCode::FAILURE;
            }
        };
        match runtime.block_on(async { run(config, Box::pin(shutdown::signal())).await }) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}: {error:?}", self.name);
                ExitCode::FAILURE
            }
        }
    }

    fn usage(self) -> String {
        format!("usage: {} --config FILE", self.name)
    }

    fn parse(self, mut arguments: impl Iterator<Item = OsString>) -> Result<Command, String> {
        let command = match arguments.next() {
            None => return Err("no configuration given".to_owned()),
            Some(argument) => match argument.to_str() {
                Some("--help" | "-h") => Command::Help,
                Some("--version" | "-V") => Command::Version,
                Some("--config") => Command::Run(arguments.next().ok_or("--config wants a file")?.into()),
                _ => return Err(format!("unknown argument {}", argument.to_string_lossy())),
            },
        };
        match arguments.next() {
            None => Ok(command),
            Some(extra) => Err(format!("unexpected argument {}", extra.to_string_lossy())),
        }
    }
}

/// Completes when the daemon is to stop.
pub type Stop = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

#[cfg(test)]
mod tests {
    use super::*;

    const DAEMON: Daemon = Daemon {
        name: "sample",
        about: "A sample.",
        env_prefix: "SAMPLE",
    };

    fn parse(arguments: &[&str]) -> Result<Command, String> {
        DAEMON.parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn the_command_line_names_one_file() {
        assert_eq!(parse(&["--config", "a.toml"]), Ok(Command::Run("a.toml".into())));
        assert_eq!(parse(&["--help"]), Ok(Command::Help));
        for wrong in [
            &[][..],
            &["--config"],
            &["a.toml"],
            &["--config", "a.toml", "more"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
