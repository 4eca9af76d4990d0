//! Records: how one is written, and how a whole file is checked.

use super::{Entry, Expected, JournalError, Storage};
use std::io::{self, Read};
use threshold::encoding::Canonical;
use threshold::transcript::{Domain, Transcript};

const MAGIC: &[u8; 16] = b"quorate-journal1";
const FILE_HEADER: usize = MAGIC.len() + 32;
const RECORD_HEADER: usize = 8;
const HASH: usize = 32;
/// No entry is longer than this.
const MAX_ENTRY: u32 = 4096;

/// Where a checked journal ends.
pub(super) struct End {
    pub(super) entries: u64,
    pub(super) head: [u8; 32],
}

/// The hash before the first entry: it makes every journal its node's own.
pub(super) fn first_head(identity: &[u8; 32]) -> [u8; 32] {
    Transcript::new(Domain::Journal).append("node", identity).digest()
}

fn next_head(head: &[u8; 32], entry: &[u8]) -> [u8; 32] {
    Transcript::new(Domain::Journal)
        .append("previous", head)
        .append("entry", entry)
        .digest()
}

/// Ties the length to its place, so that a changed length is not taken for an incomplete record.
fn length_check(head: &[u8; 32], length: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d, ..] = Transcript::new(Domain::Journal)
        .append("previous", head)
        .append("length", &length)
        .digest();
    [a, b, c, d]
}

/// Appends the record of `entry` to `buffer` and gives the new head.
pub(super) fn write_record(buffer: &mut Vec<u8>, head: &[u8; 32], entry: &[u8]) -> [u8; 32] {
    // Entries are bounded by their fields' limits; one over the limit could be written but never read back.
    let length = u32::try_from(entry.len()).unwrap_or(u32::MAX).to_be_bytes();
    let next = next_head(head, entry);
    buffer.extend_from_slice(&length);
    buffer.extend_from_slice(&length_check(head, length));
    buffer.extend_from_slice(entry);
    buffer.extend_from_slice(&next);
    next
}

/// Checks the whole file, cuts an incomplete last record, writes the header of a new file.
pub(super) fn scan(
    storage: &mut impl Storage,
    identity: &[u8; 32],
    expected: Option<&Expected>,
    mut visit: impl FnMut(&Entry, &[u8; 32]),
) -> Result<End, JournalError> {
    let marked = expected
        .and_then(|expected| expected.mark)
        .map(|mark| mark.entries);
    let mut reader = storage.reader()?;
    let mut header = [0; FILE_HEADER];
    let read = read_up_to(&mut reader, &mut header)?;
    check_header(header.get(..read).unwrap_or_default(), identity)?;
    if read < FILE_HEADER {
        let empty = End {
            entries: 0,
            head: first_head(identity),
        };
        check(expected, (marked == Some(0)).then_some(empty.head), &empty)?;
        // The node died while it created the journal: nothing was ever recorded.
        drop(reader);
        storage.truncate(0)?;
        storage.append(MAGIC)?;
        storage.append(identity)?;
        storage.sync()?;
        return Ok(empty);
    }
    let mut offset = FILE_HEADER as u64;
    let mut end = End {
        entries: 0,
        head: first_head(identity),
    };
    let mut head_at_mark = None;
    loop {
        if marked == Some(end.entries) {
            head_at_mark = Some(end.head);
        }
        let record = match read_record(&mut reader, offset, marked, &mut end) {
            Err(error @ JournalError::Damaged { .. }) if is_accepted(expected, &end) => {
                tracing::warn!(%error, "cut the journal there: the operator accepts the entry before as its newest");
                drop(reader);
                storage.truncate(offset)?;
                return Ok(end);
            }
            record => record?,
        };
        match record {
            Record::Whole { entry, length } => {
                visit(&entry, &end.head);
                offset += length;
            }
            Record::End => {
                check(expected, head_at_mark, &end)?;
                return Ok(end);
            }
            Record::Incomplete => {
                check(expected, head_at_mark, &end)?;
                drop(reader);
                tracing::warn!(
                    offset,
                    "cut an incomplete last entry off the journal: it was never acknowledged"
                );
                storage.truncate(offset)?;
                return Ok(end);
            }
        }
    }
}

fn is_accepted(expected: Option<&Expected>, end: &End) -> bool {
    expected.is_some_and(|expected| expected.accepts(&end.head))
}

fn check(expected: Option<&Expected>, at_mark: Option<[u8; 32]>, end: &End) -> Result<(), JournalError> {
    expected.map_or(Ok(()), |expected| {
        expected.check(end.entries, &end.head, at_mark.as_ref())
    })
}

/// A file shorter than the header is fine if it is the beginning of one.
fn check_header(found: &[u8], identity: &[u8; 32]) -> Result<(), JournalError> {
    let (magic, node) = found.split_at_checked(MAGIC.len()).unwrap_or((found, &[]));
    if !MAGIC.starts_with(magic) {
        return Err(JournalError::Foreign("the file is not a journal"));
    }
    if !identity.starts_with(node) {
        return Err(JournalError::Foreign("the journal belongs to another node"));
    }
    Ok(())
}

enum Record {
    Whole { entry: Entry, length: u64 },
    Incomplete,
    End,
}

fn read_record(
    reader: &mut impl Read,
    offset: u64,
    marked: Option<u64>,
    end: &mut End,
) -> Result<Record, JournalError> {
    let (position, previous) = (end.entries, end.head);
    let damaged = |reason| JournalError::Damaged {
        offset,
        position,
        reason,
        marked: marked.is_some_and(|marked| position < marked),
        head: previous,
    };

    let mut header = [0; RECORD_HEADER];
    match read_up_to(reader, &mut header)? {
        0 => return Ok(Record::End),
        RECORD_HEADER => {}
        _ => return Ok(Record::Incomplete),
    }
    let [a, b, c, d, check @ ..] = header;
    let length = [a, b, c, d];
    if length_check(&end.head, length) != check {
        return Err(damaged("the length was changed"));
    }
    let length = u32::from_be_bytes(length);
    if length > MAX_ENTRY {
        return Err(damaged("the entry is longer than any"));
    }
    let size = usize::try_from(length).map_err(|_| damaged("the entry is longer than any"))? + HASH;
    let mut body = vec![0; size];
    if read_up_to(reader, &mut body)? < size {
        return Ok(Record::Incomplete);
    }
    let (entry, hash) = body.split_at_checked(size - HASH).unwrap_or_default();
    let head = next_head(&end.head, entry);
    if head != hash {
        return Err(damaged("the entry or its hash was changed"));
    }
    let entry = Entry::from_bytes(entry).map_err(|cause| JournalError::Unknown { position, cause })?;
    if entry.position != position {
        return Err(damaged("the entry has another position"));
    }
    end.entries += 1;
    end.head = head;
    Ok(Record::Whole {
        entry,
        length: (RECORD_HEADER + size) as u64,
    })
}

/// Fills `target` as far as the file goes.
fn read_up_to(reader: &mut impl Read, target: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = target.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
