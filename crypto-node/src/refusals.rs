//! How refusals get into the journal without filling the disk.
//!
//! The first refusal of a kind (same peer, same code) is recorded at once; those that follow within the window
//! are counted and recorded together. Peers are pinned and codes are a fixed list, so a flood of refusals costs
//! the journal a bounded number of entries in every window.

use crate::journal::Event;
use std::collections::HashMap;
use threshold::ids::ApproveId;

/// How long refusals of one kind are counted before they are recorded.
const WINDOW_MS: u64 = 10_000;

#[derive(Debug, Default)]
struct Counted {
    since_ms: u64,
    count: u32,
    newest: Option<ApproveId>,
}

/// Refusals that wait to be recorded together.
#[derive(Debug, Default)]
pub struct Refusals {
    kinds: HashMap<([u8; 32], &'static str), Counted>,
}

impl Refusals {
    /// Counts a refusal; gives what is to be recorded now, if anything.
    pub fn count(
        &mut self,
        peer: [u8; 32],
        code: &'static str,
        approve_id: Option<ApproveId>,
        now_ms: u64,
    ) -> Option<Event> {
        let Some(counted) = self.kinds.get_mut(&(peer, code)) else {
            self.kinds.insert(
                (peer, code),
                Counted {
                    since_ms: now_ms,
                    count: 0,
                    newest: None,
                },
            );
            return Some(Event::Refusals {
                count: 1,
                code: code.to_owned(),
                peer,
                approve_id,
            });
        };
        counted.count = counted.count.saturating_add(1);
        counted.newest = approve_id.or(counted.newest);
        None
    }

    /// What was counted in windows that are over; with `all`, in every window.
    pub fn take(&mut self, now_ms: u64, all: bool) -> Vec<Event> {
        let mut events = Vec::new();
        self.kinds.retain(|(peer, code), counted| {
            // A clock that was set back ends the window too.
            let over = all || now_ms.abs_diff(counted.since_ms) >= WINDOW_MS;
            if over && counted.count > 0 {
                events.push(Event::Refusals {
                    count: counted.count,
                    code: (*code).to_owned(),
                    peer: *peer,
                    approve_id: counted.newest,
                });
                *counted = Counted {
                    since_ms: now_ms,
                    count: 0,
                    newest: None,
                };
                return true;
            }
            !over
        });
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c12_a_flood_of_refusals_costs_two_entries_a_window() {
        let mut refusals = Refusals::default();
        let id = ApproveId([9; 32]);
        assert!(refusals.count([1; 32], "expired", None, 0).is_some());
        for at in 1..100_000 {
            assert!(
                refusals
                    .count([1; 32], "expired", Some(id), at % WINDOW_MS)
                    .is_none()
            );
        }
        assert!(refusals.take(WINDOW_MS - 1, false).is_empty());
        let counted = Event::Refusals {
            count: 99_999,
            code: "expired".into(),
            peer: [1; 32],
            approve_id: Some(id),
        };
        assert_eq!(refusals.take(WINDOW_MS, false), [counted]);
        assert!(refusals.take(3 * WINDOW_MS, false).is_empty());
        assert!(refusals.kinds.is_empty(), "a quiet kind is dropped");
    }

    #[test]
    fn kinds_are_counted_apart_and_nothing_is_lost_at_the_end() {
        let mut refusals = Refusals::default();
        for peer in [1, 2] {
            for code in ["expired", "stale_manifest"] {
                assert!(refusals.count([peer; 32], code, None, 0).is_some());
                assert!(refusals.count([peer; 32], code, None, 0).is_none());
            }
        }
        assert_eq!(refusals.take(1, true).len(), 4);
    }
}
