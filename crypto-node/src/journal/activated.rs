//! Which key came into use last, by the journal's word, and what a stop in between leaves of it.
//!
//! That a key comes into use is journalled before the ceremony store says so. A node that stops in between starts with the
//! key before, and goes on with the ceremony or gives it up; so it takes its word back when it starts, and what the journal
//! knows is the store's again.

use super::{Entry, Event, Step};
use threshold::ids::CeremonyId;

/// The ceremonies whose keys came into use last, as the journal has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activated {
    last: Option<CeremonyId>,
    before: Option<CeremonyId>,
}

/// What the ceremony store knows.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    /// The ceremony whose key is in use.
    pub active: Option<CeremonyId>,
    /// The newest, and the one that may yet turn out to be done.
    pub others: [Option<CeremonyId>; 2],
}

/// The journal and the store are not of one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "journal: it does not know of the key in use (ceremony {0}) as the newest, so it or ceremonies.redb is not the one that \
     this node wrote; put this node's own back, or start with neither ceremonies nor shares and have the share repaired"
)]
pub struct NotOfOneTime(CeremonyId);

impl Activated {
    /// Takes the next entry in.
    pub fn see(&mut self, entry: &Entry) {
        if let Event::Ceremony { ceremony, step, .. } = &entry.event {
            self.step(*ceremony, *step);
        }
    }

    /// Takes a ceremony's next step in.
    pub fn step(&mut self, ceremony: CeremonyId, step: Step) {
        let is_last = self.last == Some(ceremony);
        match step {
            Step::Active if !is_last => {
                *self = Self {
                    last: Some(ceremony),
                    before: self.last,
                };
            }
            Step::Withdrawn if is_last => {
                *self = Self {
                    last: self.before,
                    before: None,
                };
            }
            _ => {}
        }
    }

    /// The ceremony whose key came into use last, without one that the store has and not as done.
    #[must_use]
    pub fn finished(&self, stored: &Stored) -> Option<CeremonyId> {
        match self.not_done(stored) {
            Some(_) => self.before,
            None => self.last,
        }
    }

    fn not_done(&self, stored: &Stored) -> Option<CeremonyId> {
        self.last
            .filter(|last| stored.active != Some(*last) && stored.others.contains(&Some(*last)))
    }

    /// The ceremony of which the journal is to take back that its key is in use, if there is one: the store has it, and not
    /// as done.
    ///
    /// # Errors
    /// [`NotOfOneTime`]: one of the two was removed or put back, and with the journal what approvals were used for.
    pub fn unfinished(&self, stored: &Stored) -> Result<Option<CeremonyId>, NotOfOneTime> {
        let unfinished = self.not_done(stored);
        match stored.active {
            Some(active)
                if self.last != Some(active) && (unfinished.is_none() || self.before != Some(active)) =>
            {
                Err(NotOfOneTime(active))
            }
            _ => Ok(unfinished),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(number: u8) -> CeremonyId {
        CeremonyId([number; 32])
    }

    fn after(steps: &[(u8, Step)]) -> Activated {
        let mut activated = Activated::default();
        for (number, step) in steps {
            activated.step(id(*number), *step);
        }
        activated
    }

    fn stored(active: u8, newest: u8, doubt: u8) -> Stored {
        let known = |number: u8| (number > 0).then(|| id(number));
        Stored {
            active: known(active),
            others: [known(newest), known(doubt)],
        }
    }

    const FIRST: (u8, Step) = (1, Step::Active);
    const SECOND: (u8, Step) = (2, Step::Active);

    #[test]
    fn p7_what_the_store_has_not_finished_is_taken_back() {
        let crashed = after(&[FIRST, SECOND]);
        assert_eq!(crashed.unfinished(&stored(2, 2, 0)), Ok(None));
        assert_eq!(crashed.unfinished(&stored(1, 2, 0)), Ok(Some(id(2))));
        assert_eq!(crashed.unfinished(&stored(1, 3, 2)), Ok(Some(id(2))));
        // The first key of all.
        assert_eq!(after(&[FIRST]).unfinished(&stored(0, 1, 0)), Ok(Some(id(1))));
        let back = after(&[FIRST, SECOND, (2, Step::Withdrawn)]);
        assert_eq!(
            (back.last, back.unfinished(&stored(1, 3, 0))),
            (Some(id(1)), Ok(None))
        );
        // It may come to be after all, and stop in between once more.
        let again = after(&[FIRST, SECOND, (2, Step::Withdrawn), SECOND]);
        assert_eq!(again.unfinished(&stored(1, 2, 0)), Ok(Some(id(2))));
        // Of another ceremony it says nothing, and once said it stays.
        let other = after(&[FIRST, SECOND, SECOND, (1, Step::Withdrawn), (2, Step::Aborted)]);
        assert_eq!(other, crashed);
    }

    #[test]
    fn p10_a_store_or_a_journal_that_was_put_back_is_noticed() {
        // The journal knows nothing of the key in use, or a later one.
        assert!(after(&[]).unfinished(&stored(1, 1, 0)).is_err());
        assert!(after(&[FIRST]).unfinished(&stored(2, 2, 0)).is_err());
        assert!(after(&[FIRST, SECOND]).unfinished(&stored(1, 1, 0)).is_err());
        assert!(after(&[FIRST, SECOND]).unfinished(&stored(1, 3, 0)).is_err());
        // The store is of the epoch before the one that was replaced.
        let third = after(&[FIRST, SECOND, (3, Step::Active)]);
        assert!(third.unfinished(&stored(1, 3, 0)).is_err());
        // Without a key in use there is nothing to be of another time.
        assert_eq!(third.unfinished(&stored(0, 0, 0)), Ok(None));
    }
}
