//! What each approval was used for, so that one approval opens one wrapped key to one ephemeral key (P4).
//!
//! The memory is filled from the journal when the node starts, and forgets an approval when it has expired. A
//! clock that is set back must not bring a forgotten approval to life: whatever expires before the newest time
//! at which something was forgotten (the *horizon*) is refused unless it is remembered. Restarting the node
//! with the right clock reads the journal again and moves the horizon back.

use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use threshold::ids::{ApproveId, WriteId};

/// At about 150 bytes each, what a burst at the default rate limit needs for the longest validity.
const MAX_REMEMBERED: usize = 150_000;
/// Far more than retries and hedging need; without a limit one approval fills the journal at the rate limit (C12).
const MAX_USES: u32 = 64;

/// A use of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// The approved read.
    pub approve_id: ApproveId,
    /// The wrapped key that it opens.
    pub write_id: WriteId,
    /// The ephemeral key that it opens it to.
    pub q: [u8; 32],
    /// When the approval expires.
    pub expires_ms: u64,
}

impl Use {
    /// Half the memory of the two fields; kept in this process only, compared for equality.
    fn digest(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.write_id.as_bytes())
            .chain_update(self.q)
            .finalize()
            .into()
    }
}

/// Whether a use is the first of its approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing was released for this approval.
    First,
    /// The very same was released before.
    Repeat,
}

/// Why a use is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The approval was used for another wrapped key or another ephemeral key.
    #[error("the approval was used for something else")]
    Used,
    /// The approval was answered as often as one approval is.
    #[error("the approval was answered {MAX_USES} times, which is as often as one is")]
    Exhausted,
    /// The approval expires before the horizon: the clock was set back.
    #[error("the approval is older than what the node remembers")]
    Forgotten,
    /// More approvals are alive than the node remembers.
    #[error("too many approvals are alive")]
    Full,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    digest: [u8; 32],
    uses: u32,
    expires_ms: u64,
}

/// The approvals that were used and have not expired.
#[derive(Debug)]
pub struct Memory {
    uses: HashMap<ApproveId, Remembered>,
    by_expiry: BTreeSet<(u64, ApproveId)>,
    horizon_ms: u64,
    capacity: usize,
}

impl Memory {
    /// An empty memory of a node that starts now.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self {
            uses: HashMap::new(),
            by_expiry: BTreeSet::new(),
            horizon_ms: now_ms,
            capacity: MAX_REMEMBERED,
        }
    }

    /// Says whether the approval may be used so, without remembering it yet.
    ///
    /// # Errors
    /// [`Conflict`].
    pub fn check(&mut self, wanted: &Use, now_ms: u64) -> Result<Known, Conflict> {
        self.forget_expired(now_ms);
        match self.uses.get(&wanted.approve_id) {
            Some(known) if known.digest != wanted.digest() => Err(Conflict::Used),
            Some(known) if known.uses >= MAX_USES => Err(Conflict::Exhausted),
            Some(_) => Ok(Known::Repeat),
            None if wanted.expires_ms <= self.horizon_ms => Err(Conflict::Forgotten),
            None if self.uses.len() >= self.capacity => Err(Conflict::Full),
            None => Ok(Known::First),
        }
    }

    /// Remembers a use that was checked, or was read from the journal. What is remembered first stays.
    pub fn remember(&mut self, done: &Use) {
        if done.expires_ms <= self.horizon_ms {
            return;
        }
        let known = self.uses.entry(done.approve_id).or_insert(Remembered {
            digest: done.digest(),
            uses: 0,
            expires_ms: done.expires_ms,
        });
        known.uses = known.uses.saturating_add(1);
        if known.expires_ms < done.expires_ms {
            // New certificates for the same read: it stays alive for longer.
            self.by_expiry.remove(&(known.expires_ms, done.approve_id));
            known.expires_ms = done.expires_ms;
        }
        self.by_expiry.insert((known.expires_ms, done.approve_id));
    }

    fn forget_expired(&mut self, now_ms: u64) {
        while let Some((expires_ms, approve_id)) = self.by_expiry.first().copied() {
            if expires_ms >= now_ms {
                break;
            }
            self.by_expiry.remove(&(expires_ms, approve_id));
            self.uses.remove(&approve_id);
            self.horizon_ms = self.horizon_ms.max(expires_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn used(approve: u8, write: u8, q: u8, expires_ms: u64) -> Use {
        Use {
            approve_id: ApproveId([approve; 32]),
            write_id: WriteId([write; 32]),
            q: [q; 32],
            expires_ms,
        }
    }

    #[test]
    fn p4_an_approval_opens_one_wrapped_key_to_one_ephemeral_key() {
        let mut memory = Memory::new(1_000);
        let first = used(1, 1, 1, 5_000);
        assert_eq!(memory.check(&first, 1_000), Ok(Known::First));
        memory.remember(&first);
        assert_eq!(memory.check(&first, 1_001), Ok(Known::Repeat));
        for other in [used(1, 2, 1, 5_000), used(1, 1, 2, 5_000), used(1, 2, 2, 9_000)] {
            assert_eq!(memory.check(&other, 1_001), Err(Conflict::Used));
            memory.remember(&other);
        }
        assert_eq!(
            memory.check(&first, 1_002),
            Ok(Known::Repeat),
            "what is remembered first stays"
        );
        assert_eq!(memory.check(&used(2, 1, 1, 5_000), 1_002), Ok(Known::First));
    }

    #[test]
    fn d10_a_clock_set_back_does_not_revive_a_forgotten_approval() {
        let mut memory = Memory::new(1_000);
        memory.remember(&used(1, 1, 1, 5_000));
        assert_eq!(memory.check(&used(9, 9, 9, 99_000), 90_000), Ok(Known::First));
        // An hour back: the approval would be valid again, and its use is forgotten.
        assert_eq!(
            memory.check(&used(1, 2, 2, 5_000), 2_000),
            Err(Conflict::Forgotten)
        );
        assert_eq!(memory.check(&used(3, 2, 2, 90_001), 2_000), Ok(Known::First));
    }

    #[test]
    fn d11_a_restart_remembers_from_the_journal_what_is_alive() {
        let mut memory = Memory::new(4_000);
        for expires_ms in [3_000, 4_000, 4_001] {
            memory.remember(&used(
                u8::try_from(expires_ms % 100).unwrap() + 1,
                1,
                1,
                expires_ms,
            ));
        }
        assert_eq!(memory.uses.len(), 1);
        assert_eq!(memory.check(&used(2, 7, 7, 4_001), 4_000), Err(Conflict::Used));
    }

    #[test]
    fn renewed_certificates_keep_the_use_remembered() {
        let mut memory = Memory::new(0);
        memory.remember(&used(1, 1, 1, 5_000));
        memory.remember(&used(1, 1, 1, 9_000));
        assert_eq!(memory.check(&used(1, 2, 2, 9_000), 8_000), Err(Conflict::Used));
        assert_eq!(memory.by_expiry.len(), 1);
        // The older certificates again do not make it any shorter.
        memory.remember(&used(1, 1, 1, 5_000));
        assert_eq!(memory.check(&used(1, 2, 2, 9_000), 8_000), Err(Conflict::Used));
        assert_eq!(memory.by_expiry.len(), 1);
    }

    #[test]
    fn an_approval_is_remembered_in_the_last_millisecond_that_it_is_valid() {
        let mut memory = Memory::new(0);
        memory.remember(&used(1, 1, 1, 5_000));
        assert_eq!(memory.check(&used(1, 1, 1, 5_000), 5_000), Ok(Known::Repeat));
        assert_eq!(memory.check(&used(1, 2, 2, 5_000), 5_000), Err(Conflict::Used));
    }

    #[test]
    fn c12_the_answers_to_one_approval_are_bounded() {
        let mut memory = Memory::new(0);
        let (read, another) = (used(1, 1, 1, 5_000), used(2, 1, 1, 5_000));
        for _ in 0..MAX_USES {
            assert!(memory.check(&read, 1).is_ok());
            memory.remember(&read);
        }
        assert_eq!(memory.check(&read, 1), Err(Conflict::Exhausted));
        assert_eq!(memory.check(&used(1, 2, 1, 5_000), 1), Err(Conflict::Used));
        assert_eq!(memory.check(&another, 1), Ok(Known::First));
    }

    #[test]
    fn c12_the_memory_is_bounded() {
        let mut memory = Memory {
            capacity: 2,
            ..Memory::new(0)
        };
        memory.remember(&used(1, 1, 1, 5_000));
        memory.remember(&used(2, 1, 1, 5_000));
        assert_eq!(memory.check(&used(3, 1, 1, 5_000), 1), Err(Conflict::Full));
        assert_eq!(memory.check(&used(2, 1, 1, 5_000), 1), Ok(Known::Repeat));
        assert_eq!(memory.check(&used(3, 1, 1, 9_000), 5_001), Ok(Known::First));
    }
}
