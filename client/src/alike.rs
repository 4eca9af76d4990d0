//! What more endorsers give alike than can lie.

use crate::error::{Error, Fault, Party};

#[cfg(test)]
mod tests;

/// The answers of the endorsers to one question, each asked once.
pub(crate) struct Alike<T> {
    what: &'static str,
    tolerated: usize,
    given: Vec<(Party, Vec<u8>, T)>,
    errors: Vec<(Party, Error)>,
}

impl<T> Alike<T> {
    /// None yet, about `what`; so many of those who will answer may lie.
    pub(crate) fn new(what: &'static str, tolerated: usize) -> Self {
        Self {
            what,
            tolerated,
            given: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Takes one endorser's answer, with the bytes by which answers are compared; gives it back when one more has given
    /// it than may lie.
    pub(crate) fn take(&mut self, party: Party, answer: Result<(Vec<u8>, T), Error>) -> Option<T> {
        let (bytes, answer) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.errors.push((party, error));
                return None;
            }
        };
        let alike = self.given.iter().filter(|(_, given, _)| *given == bytes).count();
        if alike >= self.tolerated {
            return Some(answer);
        }
        self.given.push((party, bytes, answer));
        None
    }

    /// Whether another answer may come of asking again: more have answered than may lie, and not all of them alike, as when
    /// one is a block behind. Who does not answer will hardly do so a moment later.
    pub(crate) fn may_settle(&self) -> bool {
        let missing = self
            .errors
            .iter()
            .filter(|(_, error)| matches!(error, Error::NotFound(_)));
        self.given.len() + missing.count() > self.tolerated
    }

    /// When nobody is left to answer: that there is none, or that this key may not see it, when more say so than can lie;
    /// else who said what.
    pub(crate) fn too_few(mut self) -> Error {
        let none = |error: &Error| matches!(error, Error::NotFound(_));
        let hidden = |error: &Error| matches!(error, Error::Forbidden(_));
        for refusal in [none, hidden] {
            if self.errors.iter().filter(|(_, error)| refusal(error)).count() > self.tolerated
                && let Some(place) = self.errors.iter().position(|(_, error)| refusal(error))
            {
                return self.errors.swap_remove(place).1;
            }
        }
        let mut faults = Vec::new();
        for (party, error) in self.errors {
            faults.push(Fault::instead_of_an_answer(party, error));
        }
        for (party, bytes, _) in self.given {
            let what = format!("gave a {} that too few others gave", self.what);
            faults.push(Fault::new(party, self.what, what, &bytes));
        }
        Error::TooFew {
            needed: format!(
                "{} endorsers that give the same {}",
                self.tolerated + 1,
                self.what
            ),
            faults,
        }
    }
}
