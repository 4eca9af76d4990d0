//! Statements on disk, until they are on the chain.
//!
//! The spool is a folder of segments, files of release statements one after the other in their fixed-length
//! encoding. A segment is removed when all its statements are settled. Nothing is synced: what is written
//! survives the death of the process, and what a loss of power takes is a receipt, whose release the nodes'
//! journals hold durably.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use threshold::encoding::Canonical;
use threshold::statement::ReleaseStatement;

/// The folder, within the coordinator's directory.
const FOLDER: &str = "receipts";
/// The length of an encoded statement.
const LENGTH: usize = 277;
/// A segment takes so many statements, then the next one begins: few, so that little is submitted again
/// after a restart.
const MOST: usize = 128;

/// Which segment a statement is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment(u64);

impl Segment {
    /// In none.
    pub(super) const NONE: Self = Self(0);
}

#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    /// How many statements of each segment are not settled.
    unsettled: BTreeMap<Segment, usize>,
    newest: Segment,
    writing: Option<Writing>,
}

#[derive(Debug)]
struct Writing {
    file: File,
    written: usize,
}

impl Spool {
    /// Opens the spool, and reads what an earlier run has left. Blocks.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Vec<(ReleaseStatement, Segment)>)> {
        let folder = directory.join(FOLDER);
        std::fs::create_dir_all(&folder)?;
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&folder)? {
            let name = entry?.file_name();
            numbers.extend(
                name.to_str()
                    .and_then(|name| name.parse::<u64>().ok())
                    .filter(|number| *number > 0),
            );
        }
        numbers.sort_unstable();
        let newest = Segment(numbers.last().copied().unwrap_or(0));
        let mut spool = Self {
            folder,
            unsettled: BTreeMap::new(),
            newest,
            writing: None,
        };
        let mut left = Vec::new();
        for number in numbers {
            let segment = Segment(number);
            let statements = parse(&std::fs::read(spool.path(segment))?);
            if statements.is_empty() {
                spool.remove(segment);
            } else {
                spool.unsettled.insert(segment, statements.len());
            }
            left.extend(statements.into_iter().map(|statement| (statement, segment)));
        }
        Ok((spool, left))
    }

    /// Writes a statement down.
    pub(super) fn append(&mut self, statement: &ReleaseStatement) -> io::Result<Segment> {
        if self
            .writing
            .as_ref()
            .is_none_or(|writing| writing.written >= MOST)
        {
            let next = Segment(self.newest.0 + 1);
            let file = OpenOptions::new()
                .append(true)
                .create_new(true)
                .open(self.path(next))?;
            self.writing = Some(Writing { file, written: 0 });
            self.newest = next;
        }
        if let Some(writing) = &mut self.writing {
            writing.written += 1;
            if let Err(error) = writing.file.write_all(&statement.to_bytes()) {
                // Half a statement may be there: what followed it would not be found again.
                self.writing = None;
                return Err(error);
            }
        }
        *self.unsettled.entry(self.newest).or_default() += 1;
        Ok(self.newest)
    }

    /// A statement of this segment need not be kept any longer.
    pub(super) fn settle(&mut self, segment: Segment) {
        let Some(count) = self.unsettled.get_mut(&segment) else {
            return;
        };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.unsettled.remove(&segment);
            if segment == self.newest {
                self.writing = None;
            }
            self.remove(segment);
        }
    }

    fn remove(&self, segment: Segment) {
        if let Err(error) = std::fs::remove_file(self.path(segment)) {
            // It would be submitted again after a restart, and rejected as a duplicate.
            tracing::warn!(%error, "cannot remove a segment of settled receipts");
        }
    }

    fn path(&self, segment: Segment) -> PathBuf {
        self.folder.join(segment.0.to_string())
    }
}

/// All whole, well-formed statements; what a crash has cut off at the end is no statement.
fn parse(bytes: &[u8]) -> Vec<ReleaseStatement> {
    bytes
        .chunks_exact(LENGTH)
        .filter_map(|bytes| ReleaseStatement::from_bytes(bytes).ok())
        .collect()
}
