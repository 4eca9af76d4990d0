//! Every transaction enters the chain once: its id is remembered until it expires, and forgotten then.
//!
//! Ids are filed by the second in which they expire. A cursor walks over the seconds that have passed and forgets
//! a bounded number of ids for each block, so that no block is a slow one. The walk depends on block times
//! only, so it is the same everywhere.

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::ids::ApproveId;

use crate::keys;
use crate::queries::{exists, find, require};
use crate::records::TransactionRecord;
use crate::state::{Changes, Draft, StateError, StateReader};

/// The most seconds that one block steps over.
const STEPS_PER_BLOCK: u32 = 256;

/// A block forgets at most this many ids more than it may have entries, so that forgetting keeps pace.
const SLACK_PER_BLOCK: u32 = 256;

/// Where the walk stands. Encoded as `u64 second ‖ u32 position ‖ u64 remembered`.
struct Cursor {
    /// The second whose ids are forgotten next.
    second: u64,
    /// The first of them that is still remembered.
    position: u32,
    /// How many ids are remembered in all.
    remembered: u64,
}

impl Canonical for Cursor {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.second);
        writer.u32(self.position);
        writer.u64(self.remembered);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            second: reader.u64()?,
            position: reader.u32()?,
            remembered: reader.u64()?,
        })
    }
}

/// How many ids expire within one second.
struct Count(u32);

impl Canonical for Count {
    fn encode(&self, writer: &mut Writer) {
        writer.u32(self.0);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.u32()?))
    }
}

fn second_of(time_ms: u64) -> u64 {
    time_ms / 1000
}

fn count_of(state: &dyn StateReader, second: u64) -> Result<u32, StateError> {
    Ok(find::<Count>(state, &keys::expiring_count(second))?.map_or(0, |count| count.0))
}

/// Nothing is remembered yet.
pub(crate) fn begin(changes: &mut Changes, created_ms: u64) {
    let cursor = Cursor {
        second: second_of(created_ms),
        position: 0,
        remembered: 0,
    };
    changes.put(keys::REPLAY.to_vec(), cursor.to_bytes());
}

/// Whether the id is that of a transaction on the chain which has not been forgotten.
pub(crate) fn is_known(state: &dyn StateReader, id: &ApproveId) -> Result<bool, StateError> {
    exists(state, &keys::transaction(id))
}

/// Remembers where a transaction is until it expires, which is after the time of the block.
pub(crate) fn remember(
    draft: &mut Draft<'_>,
    id: &ApproveId,
    record: TransactionRecord,
) -> Result<(), StateError> {
    let second = second_of(record.expires_ms);
    let count = count_of(draft, second)?;
    let mut cursor: Cursor = require(draft, keys::REPLAY)?;
    cursor.remembered = cursor.remembered.saturating_add(1);
    draft.put(keys::transaction(id), record.to_bytes());
    draft.put(keys::expiring(second, count), id.to_bytes());
    draft.put(
        keys::expiring_count(second),
        Count(count.saturating_add(1)).to_bytes(),
    );
    draft.put(keys::REPLAY.to_vec(), cursor.to_bytes());
    Ok(())
}

/// Forgets ids that expired in seconds that are over at `time_ms`, as many as one block may.
pub(crate) fn prune(draft: &mut Draft<'_>, time_ms: u64, max_entries: u32) -> Result<(), StateError> {
    let now = second_of(time_ms);
    let mut cursor: Cursor = require(draft, keys::REPLAY)?;
    let mut to_forget = max_entries.saturating_add(SLACK_PER_BLOCK);
    let mut steps = STEPS_PER_BLOCK;
    while cursor.second < now && to_forget > 0 && steps > 0 {
        if cursor.remembered == 0 {
            // Nothing is on file anywhere, so the seconds in between are empty.
            cursor = Cursor {
                second: now,
                position: 0,
                remembered: 0,
            };
            break;
        }
        let count = count_of(draft, cursor.second)?;
        while cursor.position < count && to_forget > 0 {
            forget(draft, &mut cursor)?;
            to_forget -= 1;
        }
        if cursor.position == count {
            draft.remove(keys::expiring_count(cursor.second));
            cursor.second += 1;
            cursor.position = 0;
            steps -= 1;
        }
    }
    draft.put(keys::REPLAY.to_vec(), cursor.to_bytes());
    Ok(())
}

fn forget(draft: &mut Draft<'_>, cursor: &mut Cursor) -> Result<(), StateError> {
    let key = keys::expiring(cursor.second, cursor.position);
    let id: ApproveId = require(draft, &key)?;
    draft.remove(keys::transaction(&id));
    draft.remove(key);
    cursor.position += 1;
    cursor.remembered = cursor.remembered.saturating_sub(1);
    Ok(())
}
