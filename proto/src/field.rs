//! Fields of the wire as domain types.
//!
//! A handler writes `let wrapped: WrappedKey = field::parse("wrapped_key", &request.wrapped_key)?` and has either a
//! well-formed value or a status to answer with: `invalid_argument`, naming the field and what is wrong with it. A
//! client uses the same functions on answers and keeps the [`FieldError`].

use std::fmt::Display;
use std::str::FromStr;

use golden_record::{
    Dataset, DocumentVersion, Entry, EntryProof, FinalityEvidence, Genesis, Handover, Header, Transaction,
};
use threshold::committee::{ParticipantIndex, SignedManifest};
use threshold::encoding::Canonical;
use threshold::reencrypt::{Reencryption, ReencryptionShare};
use threshold::statement::ReleaseStatement;
use threshold::wrap::WrappedKey;
use tonic::Status;

use crate::limits;

#[cfg(test)]
mod tests;

/// A field that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct FieldError {
    /// The field's name in the schema.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl FieldError {
    /// Refuses a field for the reason given.
    pub fn new(field: &'static str, reason: impl Display) -> Self {
        Self {
            field,
            reason: reason.to_string(),
        }
    }

    fn too_long(field: &'static str, length: usize, max: usize) -> Self {
        Self::new(field, format!("{length} bytes, where at most {max} are taken"))
    }
}

impl From<FieldError> for Status {
    fn from(error: FieldError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

/// A type that travels as its canonical encoding in a field of type `bytes`.
pub trait Travels: Canonical {
    /// The most bytes that are looked at.
    const MAX: usize;
}

macro_rules! travels {
    ($($type:ty: $max:ident),* $(,)?) => {
        $(impl Travels for $type {
            const MAX: usize = limits::$max;
        })*
    };
}

travels! {
    WrappedKey: WRAPPED_KEY,
    SignedManifest: SIGNED_MANIFEST,
    ReencryptionShare: SHARE,
    Reencryption: REENCRYPTION,
    ReleaseStatement: STATEMENT,
    Transaction: TRANSACTION,
    Entry: ENTRY,
    DocumentVersion: DOCUMENT_VERSION,
    Dataset: DATASET,
    Header: HEADER,
    FinalityEvidence: FINALITY_EVIDENCE,
    Genesis: GENESIS,
    EntryProof: ENTRY_PROOF,
    Handover: HANDOVER,
}

/// A field that holds exactly one value in its canonical encoding.
///
/// # Errors
/// Names the field when it is over its size, is not a canonical encoding, or has bytes to spare.
pub fn parse<T: Travels>(field: &'static str, bytes: &[u8]) -> Result<T, FieldError> {
    if bytes.len() > T::MAX {
        return Err(FieldError::too_long(field, bytes.len(), T::MAX));
    }
    T::from_bytes(bytes).map_err(|error| FieldError::new(field, error))
}

/// As [`parse`], for a field that may be empty.
///
/// # Errors
/// As [`parse`].
pub fn parse_optional<T: Travels>(field: &'static str, bytes: &[u8]) -> Result<Option<T>, FieldError> {
    if bytes.is_empty() {
        Ok(None)
    } else {
        parse(field, bytes).map(Some)
    }
}

/// As [`parse`], for a repeated field of at most `max` items.
///
/// # Errors
/// As [`parse`], and when there are more items, before any is looked at.
pub fn parse_all<T: Travels>(
    field: &'static str,
    items: &[Vec<u8>],
    max: usize,
) -> Result<Vec<T>, FieldError> {
    check_count(field, items.len(), max)?;
    items.iter().map(|bytes| parse(field, bytes)).collect()
}

/// A field of exactly 32 bytes, as an identifier or a digest.
///
/// # Errors
/// Names the field when it has another length.
pub fn id<T: From<[u8; 32]>>(field: &'static str, bytes: &[u8]) -> Result<T, FieldError> {
    let bytes = <[u8; 32]>::try_from(bytes)
        .map_err(|_| FieldError::new(field, format!("{} bytes, where 32 are expected", bytes.len())))?;
    Ok(bytes.into())
}

/// A field of text with a form of its own, such as a name.
///
/// # Errors
/// Names the field, and what its text lacks.
pub fn text<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<T, FieldError> {
    text.parse().map_err(|error| FieldError::new(field, error))
}

/// A field with a member's index.
///
/// # Errors
/// When it is not the index of any member of any committee.
pub fn index(field: &'static str, index: u32) -> Result<ParticipantIndex, FieldError> {
    ParticipantIndex::try_from(index).map_err(|error| FieldError::new(field, error))
}

/// Approval certificates within their limits: at least one, not too many, none too large. What is in them is
/// for the approval crate to read.
///
/// # Errors
/// Names the field, and the limit.
pub fn certificates(field: &'static str, certificates: &[Vec<u8>]) -> Result<(), FieldError> {
    if certificates.is_empty() {
        return Err(FieldError::new(field, "there must be one at least"));
    }
    check_count(field, certificates.len(), limits::CERTIFICATES)?;
    match certificates
        .iter()
        .map(Vec::len)
        .find(|length| *length == 0 || *length > limits::CERTIFICATE)
    {
        Some(0) => Err(FieldError::new(field, "an empty certificate")),
        Some(length) => Err(FieldError::too_long(field, length, limits::CERTIFICATE)),
        None => Ok(()),
    }
}

fn check_count(field: &'static str, count: usize, max: usize) -> Result<(), FieldError> {
    if count > max {
        return Err(FieldError::new(
            field,
            format!("{count} items, where at most {max} are taken"),
        ));
    }
    Ok(())
}
