//! What this process has checked lately and need not check again.

use std::sync::{Mutex, PoisonError};

#[cfg(test)]
mod tests;

/// Groups of places; bytes have one group. Honest points are uniform, so any byte chooses it.
const GROUPS: usize = 256;

/// Places in a group.
const PLACES: usize = 4;

type Group<T> = [Option<([u8; 32], T)>; PLACES];

/// The results of a pure function of 32 public bytes, for the bytes that were asked for lately.
///
/// Bytes have the few places of one group, the one used last first. What is asked for often stays, though much else is
/// asked for once; a flood costs no more than no memory would.
pub(crate) struct Recent<T>([Mutex<Group<T>>; GROUPS]);

impl<T: Copy> Recent<T> {
    pub(crate) const fn new() -> Self {
        Self([const { Mutex::new([None; PLACES]) }; GROUPS])
    }

    /// The result for these bytes: remembered, or computed now and remembered in place of what was used least lately.
    pub(crate) fn get_or<E>(&self, bytes: &[u8; 32], compute: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if let Some(known) = self.find(bytes) {
            return Ok(known);
        }
        let result = compute()?;
        self.with_group(bytes, |group| {
            group.rotate_right(1);
            group[0] = Some((*bytes, result));
        });
        Ok(result)
    }

    fn find(&self, bytes: &[u8; 32]) -> Option<T> {
        self.with_group(bytes, |group| {
            let known =
                |place: &Option<([u8; 32], T)>| place.as_ref().is_some_and(|(known, _)| known == bytes);
            let place = group.iter().position(known)?;
            group.get_mut(..=place)?.rotate_right(1);
            group[0].map(|(_, result)| result)
        })?
    }

    fn with_group<R>(&self, bytes: &[u8; 32], work: impl FnOnce(&mut Group<T>) -> R) -> Option<R> {
        let group = self.0.get(usize::from(bytes[0]) % GROUPS)?;
        // A panic cannot leave a group half changed.
        Some(work(&mut group.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
