//! Reading a mirror again, every byte of it.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use golden_record::merkle::{Frontier, Hash};
use golden_record::{Endorsers as _, Epochs, SignedCheckpoint};

use super::format::{
    FILE_LINES, HEAD, LINES, MAX_HEAD, MAX_LINE, file_name, file_of, parse, read_head, read_line,
};
use super::kept::Kept;
use crate::error::Error;
use crate::log::Line;

/// What is in a mirror, read and verified.
#[derive(Debug)]
pub struct Contents {
    /// The tree over all lines.
    pub(super) frontier: Frontier,
    /// The hash of the last line; the chain id when there is none.
    pub(super) last_hash: Hash,
    /// Height and time of the last line.
    pub(super) newest: Option<(u64, u64)>,
    /// The hash of the line up to which something is remembered.
    at_kept: Option<Hash>,
    /// How long the file with the last line is up to its end.
    pub(super) last_file_bytes: u64,
    /// What is there beyond the lines that count.
    pub(super) surplus: Option<Damage>,
    /// The checkpoint of the lines; none when there are none.
    pub checkpoint: Option<SignedCheckpoint>,
}

impl Contents {
    /// How many lines there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }
}

/// Where a mirror is not what was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1, where it is a matter of one.
    pub line: Option<u64>,
    /// The index in the log of that line.
    pub index: Option<u64>,
    /// What is wrong.
    pub what: &'static str,
}

const REWRITTEN: &str = "the lines hash to another root than the one that the endorsers have signed: a line was rewritten \
                         together with the hashes of all that follow it";

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(index) = self.index {
            write!(f, " (entry {index})")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::Damaged(Box::new(damage))
    }
}

impl Damage {
    pub(super) fn of(file: &Path, what: &'static str) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            index: None,
            what,
        }
    }

    pub(super) fn is_rewritten(&self) -> bool {
        self.what == REWRITTEN && self.index.is_none()
    }

    /// The same, with the line that it is a matter of.
    pub(super) fn at_line(mut self, index: u64) -> Self {
        self.file = self.file.with_file_name(LINES).join(file_name(file_of(index)));
        self.line = Some(index % FILE_LINES + 1);
        self.index = Some(index);
        self
    }
}

/// Reads everything that counts, and says what there is beyond.
pub(super) fn read(directory: &Path, endorsers: &Epochs, kept: Option<Kept>) -> Result<Contents, Error> {
    let mut contents = Contents {
        frontier: Frontier::new(),
        last_hash: endorsers.genesis().chain_id().0,
        newest: None,
        at_kept: None,
        last_file_bytes: 0,
        surplus: None,
        checkpoint: None,
    };
    let path = directory.join(HEAD);
    let Some((last_hash, signed)) = head(&path, endorsers)? else {
        return match files(directory)?.first() {
            None if kept.is_some() => Err(Damage::of(&path, FEWER).into()),
            None => Ok(contents),
            Some(_) => Err(Damage::of(
                &path,
                "is missing, and there are lines: put it back, or begin with an empty directory",
            )
            .into()),
        };
    };
    let size = signed.checkpoint().size;
    let mut first = 0;
    while first < size {
        read_file(directory, first, size, kept, &mut contents)?;
        first = first.saturating_add(FILE_LINES);
    }
    if contents.last_hash != last_hash {
        return Err(Damage::of(&path, "has another hash than the last line").into());
    }
    if contents.frontier.root() != signed.checkpoint().root {
        return Err(Damage::of(&path, REWRITTEN).into());
    }
    match kept {
        Some(kept) if kept.size > size => return Err(Damage::of(&path, FEWER).into()),
        Some(kept) if contents.at_kept != Some(kept.last_hash) => {
            return Err(Damage::of(&path, OTHERS).into());
        }
        _ => {}
    }
    if contents.surplus.is_none() {
        let beyond = files(directory)?.into_iter().find(|(_, first)| *first >= size);
        contents.surplus = beyond.map(|(path, _)| Damage::of(&path, SURPLUS));
    }
    contents.checkpoint = Some(signed);
    Ok(contents)
}

const FEWER: &str = "counts fewer lines than were copied here: what is remembered of this mirror beside the profile says so. \
                     Put the mirror back, or begin another one in another directory";
const OTHERS: &str = "has other lines than were copied here: what is remembered of this mirror beside the profile says so. \
                      Heights or times of lines were rewritten together with the hashes of all that follow them";
const SURPLUS: &str = "there is something after the last line that counts: a copy was interrupted, and the next one removes \
                       it, or it was added";

/// The head, when it is there, and a quorum of the endorsers and nobody else has signed what it says.
fn head(path: &Path, endorsers: &Epochs) -> Result<Option<(Hash, SignedCheckpoint)>, Error> {
    let reading = || Error::io(format!("reading {}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(reading()(error)),
    };
    let limit = u64::try_from(MAX_HEAD).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(reading())?;
    let (last_hash, signed) =
        read_head(&bytes).ok_or_else(|| Damage::of(path, "is not the head of a mirror: it was changed"))?;
    match signed.verify_kept(endorsers) {
        Ok(signers) if signers.unknown == 0 => Ok(Some((last_hash, signed))),
        _ => Err(Damage::of(
            path,
            "has a checkpoint that no quorum of this chain's endorsers, and nobody else, has signed: it was changed",
        )
        .into()),
    }
}

/// Reads the lines of one file, up to `size` of the whole log.
fn read_file(
    directory: &Path,
    first: u64,
    size: u64,
    kept: Option<Kept>,
    contents: &mut Contents,
) -> Result<(), Error> {
    let path = directory.join(LINES).join(file_name(first));
    let reading = || Error::io(format!("reading {}", path.display()));
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Damage::of(&path, "is missing").into());
        }
        Err(error) => return Err(reading()(error)),
    };
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let mut bytes = Vec::new();
    contents.last_file_bytes = 0;
    for index in first..size.min(first.saturating_add(FILE_LINES)) {
        let damaged = |what| Damage {
            line: Some(index - first + 1),
            index: Some(index),
            ..Damage::of(&path, what)
        };
        let read = bounded_line(&mut lines, &mut bytes).map_err(reading())?;
        let text = match read {
            0 => return Err(damaged("is missing").into()),
            _ => bytes.strip_suffix(b"\n"),
        };
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        let text = text.ok_or_else(|| damaged("is not a line of text"))?;
        let (line, hash) = read_line(text, &contents.last_hash, index).map_err(damaged)?;
        let place = (line.height, line.time_ms);
        if !super::follows(contents.newest, place) {
            return Err(damaged("has an earlier block or time than the line before").into());
        }
        super::push(&mut contents.frontier, &line)?;
        contents.last_hash = hash;
        contents.newest = Some(place);
        if kept.is_some_and(|kept| kept.size == contents.frontier.size()) {
            contents.at_kept = Some(hash);
        }
        contents.last_file_bytes += u64::try_from(read).unwrap_or(u64::MAX);
    }
    if bounded_line(&mut lines, &mut bytes).map_err(reading())? > 0 {
        contents.surplus = Some(Damage::of(&path, SURPLUS));
        // What is in a file that has all its lines nobody has left there.
        if size > first.saturating_add(FILE_LINES) {
            return Err(Damage::of(&path, "has more lines than it should").into());
        }
    }
    Ok(())
}

/// The next line with its line feed, as far as a line may be long; says how many bytes that are.
fn bounded_line(lines: &mut impl BufRead, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    bytes.clear();
    let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
    lines.by_ref().take(limit).read_until(b'\n', bytes)
}

/// The files with lines, each with the index of its first, ascending.
pub(super) fn files(directory: &Path) -> Result<Vec<(PathBuf, u64)>, Error> {
    let folder = directory.join(LINES);
    let reading = || Error::io(format!("reading {}", folder.display()));
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(reading()(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(reading())?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let first = name.strip_suffix(".txt").and_then(|first| first.parse().ok());
        match first {
            Some(first) if file_name(first) == name && first == file_of(first) => found.push((path, first)),
            _ => return Err(Damage::of(&path, "does not belong to a mirror").into()),
        }
    }
    found.sort_by_key(|(_, first)| *first);
    Ok(found)
}

/// The lines one after the other, whatever their hashes.
pub(super) struct Lines<'a> {
    directory: &'a Path,
    next: u64,
    file: Option<BufReader<File>>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(directory: &'a Path) -> Self {
        Self {
            directory,
            next: 0,
            file: None,
        }
    }

    /// The next one; nothing when it cannot be read.
    pub(super) fn next(&mut self) -> Option<Line> {
        let index = self.next;
        self.next = index.checked_add(1)?;
        if index == file_of(index) {
            let path = self.directory.join(LINES).join(file_name(index));
            self.file = File::open(path).ok().map(BufReader::new);
        }
        let mut bytes = Vec::new();
        bounded_line(self.file.as_mut()?, &mut bytes).ok()?;
        let text = std::str::from_utf8(&bytes).ok()?;
        let (body, _) = text.strip_suffix('\n')?.rsplit_once(' ')?;
        parse(body).filter(|line| line.index == index)
    }
}
