//! What several encodings of this crate have in common.

use std::collections::BTreeSet;

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::transcript::SUITE_ID;

/// The version of every stored object of this crate.
const VERSION: u8 = 1;

/// Opens a stored object: its version, then the suite.
pub(crate) fn write_version(writer: &mut Writer) {
    writer.u8(VERSION);
    writer.u8(SUITE_ID);
}

/// Refuses an object of another version or suite.
pub(crate) fn read_version(reader: &mut Reader<'_>, object: &'static str) -> Result<(), DecodeError> {
    if reader.u8()? == VERSION && reader.u8()? == SUITE_ID {
        Ok(())
    } else {
        Err(DecodeError::UnknownVersion(object))
    }
}

/// Writes a set in ascending order.
pub(crate) fn write_set<T: Canonical + Ord>(writer: &mut Writer, set: &BTreeSet<T>) {
    writer.count(set.len());
    for item in set {
        item.encode(writer);
    }
}

/// Reads a set, refusing one whose items do not strictly ascend.
pub(crate) fn read_set<T: Canonical + Ord>(
    reader: &mut Reader<'_>,
    max: usize,
    what: &'static str,
) -> Result<BTreeSet<T>, DecodeError> {
    let count = reader.count(max)?;
    let mut set = BTreeSet::new();
    for _ in 0..count {
        let item = T::decode(reader)?;
        if set.last().is_some_and(|last| *last >= item) {
            return Err(DecodeError::Invalid(what));
        }
        set.insert(item);
    }
    Ok(set)
}

/// Writes bytes that may be absent: one byte 0 or 1, then the length-prefixed bytes.
pub(crate) fn write_optional_bytes(writer: &mut Writer, bytes: Option<&[u8]>) {
    writer.bool(bytes.is_some());
    if let Some(bytes) = bytes {
        writer.bytes(bytes);
    }
}

/// Reads bytes that may be absent.
pub(crate) fn read_optional_bytes(
    reader: &mut Reader<'_>,
    max: usize,
) -> Result<Option<Vec<u8>>, DecodeError> {
    if reader.bool()? {
        Ok(Some(reader.bytes(max)?.to_vec()))
    } else {
        Ok(None)
    }
}
