//! How a command ends when it does not end well: what happened, what to do next, which exit status.

use std::fmt;

/// Whether the machinery failed or the answer is no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Something went wrong: exit status 1.
    Error,
    /// Everything worked and the answer is no (denied, rejected, invalid): exit status 2.
    No,
}

/// A message for a person, with its next step.
#[derive(Debug)]
pub struct Failure {
    /// Which of the two exit statuses.
    pub verdict: Verdict,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub next: String,
    /// A short name for programs, in `--json`.
    pub code: String,
}

impl Failure {
    /// The machinery failed.
    pub fn error(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Error,
            message: message.into(),
            next: next.into(),
            code: "error".into(),
        }
    }

    /// The answer is no.
    pub fn no(code: impl Into<String>, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::No,
            message: message.into(),
            next: next.into(),
            code: code.into(),
        }
    }

    /// The same failure, in a context.
    #[must_use]
    pub fn while_doing(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The process's exit status.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Error => 1,
            Verdict::No => 2,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)
    }
}

impl std::error::Error for Failure {}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => failure,
            Err(error) => Self::error(format!("{error:#}"), GENERAL_ADVICE),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::error(error.to_string(), GENERAL_ADVICE)
    }
}

/// When nothing better is known.
pub(crate) const GENERAL_ADVICE: &str =
    "run `quorate status` to see the cluster; the daemons' logs are beside their data";

/// The result of a command.
pub type Outcome<T = ()> = Result<T, Failure>;
