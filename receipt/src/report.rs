//! How a verification ends, step by step, in words.

use crate::text::FormError;

/// How one step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutcome {
    /// What it says is so.
    Holds,
    /// It is not so: the receipt is false.
    Fails,
    /// What it takes to tell is not there.
    CannotTell,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// A stable name for programs.
    pub code: &'static str,
    /// How it ended.
    pub outcome: StepOutcome,
    /// What was found, in a sentence.
    pub text: String,
}

/// Every step of a verification in which every step holds: the receipt is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// In which way a receipt is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A step fails.
    Invalid,
    /// No step fails, and at least one could not be done.
    CannotTell,
}

/// Why a receipt was not found to be valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotValid {
    /// False, or not to be decided.
    pub verdict: Verdict,
    /// The steps, in order: to the first that fails, or all.
    pub steps: Vec<Step>,
}

impl NotValid {
    /// Bytes that are no receipt.
    #[must_use]
    pub fn form(error: &FormError) -> Self {
        Self {
            verdict: Verdict::Invalid,
            steps: vec![Step {
                code: "form",
                outcome: StepOutcome::Fails,
                text: error.to_string(),
            }],
        }
    }

    /// The steps that decided: the one that fails, or those that could not be done.
    pub fn reasons(&self) -> impl Iterator<Item = &Step> {
        let decisive = match self.verdict {
            Verdict::Invalid => StepOutcome::Fails,
            Verdict::CannotTell => StepOutcome::CannotTell,
        };
        self.steps.iter().filter(move |step| step.outcome == decisive)
    }
}

impl std::fmt::Display for NotValid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.verdict {
            Verdict::Invalid => "the receipt is not valid",
            Verdict::CannotTell => "one cannot tell whether the receipt is valid",
        })?;
        self.reasons()
            .try_for_each(|step| write!(f, "; {}: {}", step.code, step.text))
    }
}

impl std::error::Error for NotValid {}

/// Why a step does not hold.
pub(crate) enum Trouble {
    Fails(String),
    CannotTell(String),
}

/// What a step found.
pub(crate) type Found = Result<String, Trouble>;

/// It is not so.
pub(crate) fn fails<T>(text: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Fails(text.into()))
}

/// What it takes to tell is not there.
pub(crate) fn cannot_tell<T>(text: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::CannotTell(text.into()))
}

/// The steps so far.
#[derive(Default)]
pub(crate) struct Steps(Vec<Step>);

impl Steps {
    /// Takes a step; ends everything when it fails.
    pub(crate) fn take(&mut self, code: &'static str, found: Found) -> Result<(), NotValid> {
        let (outcome, text) = match found {
            Ok(text) => (StepOutcome::Holds, text),
            Err(Trouble::Fails(text)) => (StepOutcome::Fails, text),
            Err(Trouble::CannotTell(text)) => (StepOutcome::CannotTell, text),
        };
        self.0.push(Step { code, outcome, text });
        match outcome {
            StepOutcome::Fails => Err(self.end(Verdict::Invalid)),
            _ => Ok(()),
        }
    }

    /// Takes a step without which no other makes sense.
    pub(crate) fn need(&mut self, code: &'static str, found: Found) -> Result<(), NotValid> {
        let known = !matches!(found, Err(Trouble::CannotTell(_)));
        self.take(code, found)?;
        if known {
            Ok(())
        } else {
            Err(self.end(Verdict::CannotTell))
        }
    }

    /// The end, when no step fails.
    pub(crate) fn finish(mut self) -> Result<Report, NotValid> {
        let all_hold = self.0.iter().all(|step| step.outcome == StepOutcome::Holds);
        if all_hold {
            Ok(Report { steps: self.0 })
        } else {
            Err(self.end(Verdict::CannotTell))
        }
    }

    fn end(&mut self, verdict: Verdict) -> NotValid {
        NotValid {
            verdict,
            steps: std::mem::take(&mut self.0),
        }
    }
}
