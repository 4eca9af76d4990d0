//! One daemon as a child process.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::cli::DaemonKind;
use crate::failure::{Failure, Outcome};

/// How long a daemon may take to drain before it is killed.
const DRAIN: Duration = Duration::from_secs(15);
/// What Linux counts in for every program, whatever its own clock does.
const TICKS_PER_SECOND: u64 = 100;
/// How much of a log an error message shows.
const TAIL: u64 = 1_500;

/// A running daemon. Dropping it closes its standard input, at which it ends, and waits no longer than it must.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program daemon KIND --config FILE --exit-with-parent`, with its words going to `log`.
    pub(crate) fn start(program: &Path, kind: DaemonKind, config: &Path, log: &Path) -> Outcome<Self> {
        let words = OpenOptions::new().create(true).append(true).open(log)?;
        let child = Command::new(program)
            .args(["daemon", kind.as_str(), "--exit-with-parent", "--config"])
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(words)
            .spawn()
            .map_err(|error| {
                Failure::error(
                    format!("cannot start {}: {error}", program.display()),
                    "check that the program is there and may be executed",
                )
            })?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The end of its log, for an error message.
    pub(crate) fn last_words(&self) -> String {
        tail(&self.log).unwrap_or_default()
    }

    /// Asks it to stop, by closing its standard input, and waits for it to drain.
    pub(crate) async fn stop(mut self) -> Outcome {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + DRAIN;
        while Instant::now() < deadline {
            if self.ended().is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.kill()
    }

    /// Kills it as `kill -9` does.
    pub(super) fn kill(&mut self) -> Outcome {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// Which figure of a process's memory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Memory {
    /// What it holds now.
    Resident,
    /// The most that it has ever held.
    Peak,
}

/// Resident memory of a process in bytes, from /proc.
pub(crate) fn memory(id: u32, which: Memory) -> Outcome<u64> {
    let field = match which {
        Memory::Resident => "VmRSS:",
        Memory::Peak => "VmHWM:",
    };
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok());
    kilobytes.map(|count| count * 1024).ok_or_else(|| {
        Failure::error(
            "the process's memory is not in /proc",
            "this figure needs Linux; read the log of the daemon",
        )
    })
}

/// Processor time that a process has used, from /proc.
pub(crate) fn processor_time(id: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name, in parentheses, may have anything in it; user and system time are the 12th and 13th after it.
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: Vec<u64> = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    match ticks.as_slice() {
        [user, system] => Ok(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND)),
        _ => Err(Failure::error(
            "the process's time is not in /proc",
            "this figure needs Linux",
        )),
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // What was acknowledged is durable, so a hurried end loses nothing.
            let _ = self.kill();
        }
    }
}

fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
