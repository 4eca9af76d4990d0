//! The state as it was: whatever changes in place is kept as it was at every height.
//!
//! Each time a key with a history (see [`keys::has_history`]) is set or removed, the height and the new value are filed
//! under the next number. The heights ascend, so what was there at a height is found by bisection, with no more than
//! the state itself: it works over any store, it is part of what validators agree on, and it goes with the state
//! wherever that is copied. Everything else is either written once and says itself at which height, or is of no use
//! later.

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};

use crate::codec::{read_optional_bytes, write_optional_bytes};
use crate::keys;
use crate::queries::{find, find_u64};
use crate::state::{Changes, StateError, StateReader};

/// No value with a history is longer.
const MAX_VALUE: usize = 1 << 20;

/// What became of a key. Encoded as `u64 height ‖ 0x00 (removed), or 0x01 ‖ u32 length ‖ value`.
struct Past {
    height: u64,
    value: Option<Vec<u8>>,
}

impl Canonical for Past {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.height);
        write_optional_bytes(writer, self.value.as_deref());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            height: reader.u64()?,
            value: read_optional_bytes(reader, MAX_VALUE)?,
        })
    }
}

/// Files what the genesis sets.
pub(crate) fn begin(changes: &mut Changes) {
    let mut filed = Changes::new();
    for (key, value) in changes.iter().filter(|(key, _)| keys::has_history(key)) {
        put(&mut filed, key, 1, 0, value);
    }
    changes.extend(filed);
}

/// Files what `changes` do to keys with a history, on the state before them.
pub(crate) fn file(state: &dyn StateReader, changes: &mut Changes, height: u64) -> Result<(), StateError> {
    let mut filed = Changes::new();
    for (key, value) in changes.iter().filter(|(key, _)| keys::has_history(key)) {
        let number = count(state, key)?.saturating_add(1);
        put(&mut filed, key, number, height, value);
    }
    changes.extend(filed);
    Ok(())
}

fn put(filed: &mut Changes, key: &[u8], number: u64, height: u64, value: Option<&[u8]>) {
    let past = Past {
        height,
        value: value.map(<[u8]>::to_vec),
    };
    filed.put(keys::past(key, number), past.to_bytes());
    filed.put(keys::history(key), number.to_be_bytes().to_vec());
}

fn count(state: &dyn StateReader, key: &[u8]) -> Result<u64, StateError> {
    Ok(find_u64(state, &keys::history(key))?.unwrap_or(0))
}

/// The state as it was after the block at a height.
///
/// What changes in place is as it was then. What is written once (document versions, wrapped keys, committees,
/// approved reads, link versions) is as it is now: it says itself at which height it was written, and whether it
/// could be found then, the latest versions of that height say.
pub struct StateAt<'a> {
    state: &'a dyn StateReader,
    height: u64,
}

impl<'a> StateAt<'a> {
    /// `state` is that of this or a later height.
    pub fn new(state: &'a dyn StateReader, height: u64) -> Self {
        Self { state, height }
    }

    fn past(&self, key: &[u8], number: u64) -> Result<Past, StateError> {
        let key = keys::past(key, number);
        find(self.state, &key)?.ok_or_else(|| StateError::corrupt(&key, "missing"))
    }
}

impl StateReader for StateAt<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        if !keys::has_history(key) {
            return self.state.get(key);
        }
        // Of the numbers up to `low`, all are at or below the height; of those above `high`, none.
        let (mut low, mut high) = (0, count(self.state, key)?);
        let mut found = None;
        while low < high {
            let middle = high - (high - low) / 2;
            let past = self.past(key, middle)?;
            if past.height <= self.height {
                low = middle;
                found = past.value;
            } else {
                high = middle - 1;
            }
        }
        Ok(found)
    }
}
