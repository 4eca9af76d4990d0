//! The file: a summary for people, then each part as RFC 7468 text, certificates in the form that every tool knows.
//!
//! The summary is computed from the parts and compared with the file, so that no line of it can say anything else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use golden_record::{Body, CheckpointError, Outcome, SignedCheckpoint};
use threshold::committee::MAX_MEMBERS;
use threshold::encoding::{Canonical, DecodeError};
use threshold::reencrypt::ReencryptionShare;
use threshold::wrap::MAX_WRAPPED_KEY;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::{LARGEST_CERTIFICATE, MOST_CERTIFICATES, Receipt};

/// The longest receipt. Those of an ordinary cluster have about 10 kB.
pub const MAX_RECEIPT: usize = 1 << 20;

const FIRST_LINE: &str = "Quorate read receipt, version 1";
const BEGIN: &str = "-----BEGIN ";
const LINE: usize = 64;

/// Why bytes are no receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Longer than [`MAX_RECEIPT`].
    #[error("it is longer than {MAX_RECEIPT} bytes")]
    TooLong,
    /// Not UTF-8, or without the first line of a receipt.
    #[error("it is not a read receipt of version 1")]
    NotAReceipt,
    /// A block that does not begin and end as RFC 7468 says, or of a kind that receipts do not have.
    #[error("block {0} is malformed or of an unknown kind")]
    Block(usize),
    /// A block larger than its kind can be, or more of its kind than there can be.
    #[error("the {0} is too long, or there are too many")]
    Limit(&'static str),
    /// A part that is always there is not.
    #[error("the {0} is missing")]
    Missing(&'static str),
    /// A part that is not the encoding of anything.
    #[error("the {kind} does not decode: {reason}")]
    Part {
        /// Which part.
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The text is another than the one that its parts give.
    #[error("line {0} is not what the parts of the receipt give")]
    Line(usize),
}

/// One kind of block: its label and its limits.
struct Kind {
    label: &'static str,
    /// What it is called in messages.
    name: &'static str,
    /// The most bytes.
    bytes: usize,
    /// The most blocks.
    count: usize,
}

const MEMBERS: usize = MAX_MEMBERS as usize;
const ENTRY: Kind = kind("QUORATE ENTRY", "entry", 65_536 + 128, 1);
/// As many as a receipt has room for: one of each change of the endorsers since the genesis.
const HANDOVER: Kind = kind("QUORATE HANDOVER", "handover", 1 << 17, usize::MAX);
const PROOF: Kind = kind("QUORATE PROOF", "proof", 1 << 18, 1);
const CHECKPOINT: Kind = kind("QUORATE CHECKPOINT", "checkpoint", 1 << 14, 1);
const WRAPPED_KEY: Kind = kind("QUORATE WRAPPED KEY", "wrapped key", MAX_WRAPPED_KEY, 1);
const CERTIFICATE: Kind = kind(
    "CERTIFICATE",
    "certificate",
    LARGEST_CERTIFICATE,
    MOST_CERTIFICATES,
);
const COMMITTEE: Kind = kind("QUORATE COMMITTEE", "committee", 1 << 15, 1);
const SHARE: Kind = kind("QUORATE SHARE", "share", ReencryptionShare::LENGTH, MEMBERS);
const STATEMENT: Kind = kind("QUORATE STATEMENT", "statement", 277, MEMBERS);
const KINDS: [Kind; 9] = [
    ENTRY,
    HANDOVER,
    PROOF,
    CHECKPOINT,
    WRAPPED_KEY,
    CERTIFICATE,
    COMMITTEE,
    SHARE,
    STATEMENT,
];

const fn kind(label: &'static str, name: &'static str, bytes: usize, count: usize) -> Kind {
    Kind {
        label,
        name,
        bytes,
        count,
    }
}

/// What the blocks of each kind hold, in the order of [`KINDS`].
type Blocks = [Vec<Vec<u8>>; KINDS.len()];

pub(crate) fn parse(bytes: &[u8]) -> Result<Receipt, FormError> {
    if bytes.len() > MAX_RECEIPT {
        return Err(FormError::TooLong);
    }
    let text = core::str::from_utf8(bytes).map_err(|_| FormError::NotAReceipt)?;
    if text.lines().next() != Some(FIRST_LINE) {
        return Err(FormError::NotAReceipt);
    }
    let blocks = text
        .find(BEGIN)
        .and_then(|start| text.get(start..))
        .ok_or(FormError::Missing(ENTRY.name))?;
    let receipt = assemble(read_blocks(blocks)?)?;
    match first_difference(text, &write(&receipt)) {
        None => Ok(receipt),
        Some(line) => Err(FormError::Line(line)),
    }
}

fn read_blocks(mut rest: &str) -> Result<Blocks, FormError> {
    let mut blocks = Blocks::default();
    let mut place = 0;
    while !rest.is_empty() {
        place += 1;
        let malformed = FormError::Block(place);
        let (label, after) = rest
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.split_once("-----\n"))
            .ok_or(malformed.clone())?;
        let (kind, of_kind) = KINDS
            .iter()
            .zip(&mut blocks)
            .find(|(kind, _)| kind.label == label)
            .ok_or(malformed.clone())?;
        let (body, after) = after
            .split_once(&format!("-----END {label}-----\n"))
            .ok_or(malformed.clone())?;
        if of_kind.len() == kind.count || body.len() > text_length(kind.bytes) {
            return Err(FormError::Limit(kind.name));
        }
        let bytes = STANDARD.decode(body.replace('\n', "")).map_err(|_| malformed)?;
        of_kind.push(bytes);
        rest = after;
    }
    Ok(blocks)
}

/// How many characters a block of so many bytes has, line feeds included.
const fn text_length(bytes: usize) -> usize {
    let characters = bytes.div_ceil(3) * 4;
    characters + characters.div_ceil(LINE)
}

fn assemble(blocks: Blocks) -> Result<Receipt, FormError> {
    let [
        entry,
        handovers,
        proof,
        checkpoint,
        wrapped_key,
        certificates,
        committee,
        shares,
        statements,
    ] = blocks;
    Ok(Receipt {
        entry: only(&entry, &ENTRY)?.ok_or(FormError::Missing(ENTRY.name))?,
        handovers: all(&handovers, &HANDOVER)?,
        proof: only(&proof, &PROOF)?.ok_or(FormError::Missing(PROOF.name))?,
        checkpoint: checkpoint
            .first()
            .map(|bytes| read_checkpoint(bytes))
            .transpose()?,
        wrapped_key: only(&wrapped_key, &WRAPPED_KEY)?,
        certificates,
        committee: only(&committee, &COMMITTEE)?,
        shares: all(&shares, &SHARE)?,
        statements: all(&statements, &STATEMENT)?,
    })
}

fn only<T: Canonical>(blocks: &[Vec<u8>], kind: &Kind) -> Result<Option<T>, FormError> {
    Ok(all(blocks, kind)?.pop())
}

fn all<T: Canonical>(blocks: &[Vec<u8>], kind: &Kind) -> Result<Vec<T>, FormError> {
    let decode = |bytes: &Vec<u8>| T::from_bytes(bytes).map_err(|error| part(kind, &error));
    blocks.iter().map(decode).collect()
}

fn part(kind: &Kind, error: &DecodeError) -> FormError {
    FormError::Part {
        kind: kind.name,
        reason: error.to_string(),
    }
}

fn read_checkpoint(bytes: &[u8]) -> Result<SignedCheckpoint, FormError> {
    SignedCheckpoint::parse(bytes).map_err(|error: CheckpointError| FormError::Part {
        kind: CHECKPOINT.name,
        reason: error.to_string(),
    })
}

/// The number of the first line in which two texts differ, from 1.
fn first_difference(one: &str, other: &str) -> Option<usize> {
    if one == other {
        return None;
    }
    let (lines, others) = (one.split('\n'), other.split('\n'));
    let same = lines.zip(others).take_while(|(one, other)| one == other).count();
    Some(same + 1)
}

pub(crate) fn write(receipt: &Receipt) -> String {
    let mut text = summary(receipt);
    let mut put = |kind: &Kind, bytes: &[u8]| put_block(&mut text, kind, bytes);
    put(&ENTRY, &receipt.entry.to_bytes());
    for handover in &receipt.handovers {
        put(&HANDOVER, &handover.to_bytes());
    }
    put(&PROOF, &receipt.proof.to_bytes());
    if let Some(checkpoint) = &receipt.checkpoint {
        put(&CHECKPOINT, checkpoint.to_text().as_bytes());
    }
    if let Some(wrapped_key) = &receipt.wrapped_key {
        put(&WRAPPED_KEY, &wrapped_key.to_bytes());
    }
    for certificate in &receipt.certificates {
        put(&CERTIFICATE, certificate);
    }
    if let Some(committee) = &receipt.committee {
        put(&COMMITTEE, &committee.to_bytes());
    }
    for share in &receipt.shares {
        put(&SHARE, &share.to_bytes());
    }
    for statement in &receipt.statements {
        put(&STATEMENT, &statement.to_bytes());
    }
    text
}

fn put_block(text: &mut String, kind: &Kind, bytes: &[u8]) {
    text.push_str(&format!("{BEGIN}{}-----\n", kind.label));
    for (place, character) in STANDARD.encode(bytes).chars().enumerate() {
        if place > 0 && place % LINE == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str(&format!("\n-----END {}-----\n", kind.label));
}

/// What the parts say, for people. Nothing here is more than they say, and all of it is compared with them.
fn summary(receipt: &Receipt) -> String {
    let transaction = &receipt.entry.transaction;
    let mut lines = vec![FIRST_LINE.to_owned(), String::new()];
    let mut put = |name: &str, value: String| lines.push(format!("{name}: {value}"));
    put("Chain", transaction.chain_id.to_string());
    put("Request", transaction.tx_id().to_string());
    if let Body::RequestRead {
        tenant,
        dataset,
        document,
        version,
        user,
        purpose,
        ..
    } = &transaction.body
    {
        put(
            "Document",
            format!(
                "{tenant}/{dataset}/{document}, {}",
                version_of(*version, &receipt.entry.outcome)
            ),
        );
        put("User", format!("{user} of {tenant}"));
        // ASCII only, so that nothing in it can reorder or imitate what stands around it.
        put("Purpose", format!("\"{}\"", purpose.escape_default()));
    }
    put("Verdict", verdict(&receipt.entry.outcome));
    if let Some(header) = receipt.proof.headers.first() {
        let (time, height, index) = (timestamp(header.time_ms), header.height, receipt.proof.index);
        put("Recorded", format!("{time}, block {height}, log entry {index}"));
    }
    for statement in &receipt.statements {
        let manifest = receipt.committee.as_ref().map(|signed| &signed.manifest);
        let member = manifest.and_then(|manifest| manifest.member(statement.index));
        let name = member.map_or_else(String::new, |member| format!(" ({})", member.name));
        let time = timestamp(statement.time_ms);
        put(
            "Released",
            format!("{time} by crypto node {}{name}", statement.index),
        );
    }
    put("Parts", parts(receipt));
    put("Check", "quorate audit verify FILE".to_owned());
    lines.push(String::new());
    lines.push(String::new());
    lines.join("\n")
}

/// How many blocks of each kind follow, so that a file that lost some at its end is not taken for a whole one.
fn parts(receipt: &Receipt) -> String {
    let counts = [
        (1, &ENTRY),
        (receipt.handovers.len(), &HANDOVER),
        (1, &PROOF),
        (usize::from(receipt.checkpoint.is_some()), &CHECKPOINT),
        (usize::from(receipt.wrapped_key.is_some()), &WRAPPED_KEY),
        (receipt.certificates.len(), &CERTIFICATE),
        (usize::from(receipt.committee.is_some()), &COMMITTEE),
        (receipt.shares.len(), &SHARE),
        (receipt.statements.len(), &STATEMENT),
    ];
    let present = counts.iter().filter(|(count, _)| *count > 0);
    let named: Vec<String> = present
        .map(|(count, kind)| format!("{count} {}", kind.name))
        .collect();
    named.join(", ")
}

/// The version that the verdict names; of a read that was not allowed, the one that was asked for.
fn version_of(asked: u64, outcome: &Outcome) -> String {
    match (outcome, asked) {
        (Outcome::Approved { version, .. } | Outcome::Permitted { version }, _) => {
            format!("version {version}")
        }
        (_, 0) => "latest version".to_owned(),
        _ => format!("version {asked}"),
    }
}

fn verdict(outcome: &Outcome) -> String {
    match outcome.reason() {
        Some(reason) => format!("{}: {reason}", outcome.kind()),
        None => outcome.kind().to_owned(),
    }
}

/// RFC 3339, in UTC, to the millisecond; the bare number where no calendar reaches.
pub(crate) fn timestamp(time_ms: u64) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time_ms) * 1_000_000)
        .ok()
        .and_then(|time| time.format(form).ok())
        .unwrap_or_else(|| format!("{time_ms} ms after 1970"))
}
