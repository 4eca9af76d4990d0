//! How a mirror is written.

use golden_record::merkle::Hash;
use golden_record::{Entry, SignedCheckpoint};
use sha2::{Digest, Sha256};
use threshold::encoding::Canonical;

use crate::log::Line;

/// The file that says what the copy amounts to.
pub(super) const HEAD: &str = "mirror";
/// The folder of the lines.
pub(super) const LINES: &str = "lines";
/// Lines in one file.
pub(super) const FILE_LINES: u64 = 10_000;
/// The longest line: the base64 of the longest entry, three numbers and a hash.
pub(super) const MAX_LINE: usize = proto::limits::ENTRY.div_ceil(3) * 4 + 3 * 21 + 65;
/// What `mirror` has at most.
pub(super) const MAX_HEAD: usize = proto::limits::CHECKPOINT + 128;

const HEADLINE: &str = "quorate mirror 1";
const LINE_DOMAIN: &[u8] = b"quorate mirror line 1";

/// The first index of the file that a line is in.
pub(super) const fn file_of(index: u64) -> u64 {
    index - index % FILE_LINES
}

pub(super) fn file_name(first: u64) -> String {
    format!("{first:010}.txt")
}

/// A line as it is written.
pub(super) struct Written {
    pub(super) text: String,
    pub(super) hash: Hash,
}

impl Written {
    pub(super) fn new(previous: &Hash, line: &Line) -> Self {
        use base64::Engine;
        let entry = base64::engine::general_purpose::STANDARD.encode(line.entry.to_bytes());
        let body = format!("{} {} {} {entry}", line.index, line.height, line.time_ms);
        let hash = line_hash(previous, &body);
        Self {
            text: format!("{body} {}\n", hex::encode(hash)),
            hash,
        }
    }
}

fn line_hash(previous: &Hash, body: &str) -> Hash {
    Sha256::new()
        .chain_update(LINE_DOMAIN)
        .chain_update(previous)
        .chain_update(body)
        .finalize()
        .into()
}

/// Reads a line without its line feed; what does not hold of it is said in words.
pub(super) fn read_line(text: &str, previous: &Hash, index: u64) -> Result<(Line, Hash), &'static str> {
    let (body, hash) = text.rsplit_once(' ').ok_or("is not a line of a mirror")?;
    let expected = line_hash(previous, body);
    if hash != hex::encode(expected) {
        return Err("does not have the hash that stands beside it: it, or the hash, was changed");
    }
    let line = parse(body).ok_or("is not a line of a mirror")?;
    if line.index != index {
        return Err("has another number than its place");
    }
    // The same again, or there were two ways to write it.
    if Written::new(previous, &line).hash == expected {
        Ok((line, expected))
    } else {
        Err("is not written as a mirror writes it")
    }
}

/// The parts of a line before its hash.
pub(super) fn parse(body: &str) -> Option<Line> {
    use base64::Engine;
    let mut parts = body.split(' ');
    let mut number = || parts.next()?.parse::<u64>().ok();
    let (index, height, time_ms) = (number()?, number()?, number()?);
    let entry = base64::engine::general_purpose::STANDARD
        .decode(parts.next()?)
        .ok()?;
    if parts.next().is_some() {
        return None;
    }
    Some(Line {
        index,
        height,
        time_ms,
        entry: Entry::from_bytes(&entry).ok()?,
    })
}

pub(super) fn head_text(last_hash: &Hash, signed: &SignedCheckpoint) -> String {
    format!("{HEADLINE}\n{}\n\n{}", hex::encode(last_hash), signed.to_text())
}

/// The last line's hash, and the checkpoint, of which nothing has been verified.
pub(super) fn read_head(bytes: &[u8]) -> Option<(Hash, SignedCheckpoint)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (headline, rest) = text.split_once('\n')?;
    let (hash, note) = rest.split_once("\n\n")?;
    let mut last_hash = Hash::default();
    hex::decode_to_slice(hash, &mut last_hash).ok()?;
    let signed = SignedCheckpoint::parse(note.as_bytes()).ok()?;
    (headline == HEADLINE && head_text(&last_hash, &signed) == text).then_some((last_hash, signed))
}
