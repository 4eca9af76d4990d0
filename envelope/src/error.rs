//! Why an object or its material could not be encrypted or opened.

use std::io;

/// An envelope failure. Wrapped in an [`io::Error`] where a `Read` or `Write` reports it;
/// [`Error::of`] finds it there again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The underlying reader or writer failed.
    #[error("input or output failed: {0}")]
    Io(#[source] io::Error),
    /// The key commitment at the head of the object is not that of this key and context.
    #[error("the object was not encrypted under this key and context (key commitment differs)")]
    WrongKey,
    /// A chunk's tag does not hold: changed, moved, spliced or appended bytes.
    #[error("chunk {chunk} is not authentic")]
    NotAuthentic {
        /// The number of the chunk, from zero.
        chunk: u64,
    },
    /// The object ends before its final chunk, or inside its header.
    #[error("the encrypted object is truncated")]
    Truncated,
    /// More than 2^38 chunks.
    #[error("the object is longer than the format allows")]
    TooLong,
    /// The encrypted object is not the one whose checksum is on record.
    #[error("the checksum of the encrypted object differs from the recorded one")]
    ChecksumMismatch,
    /// The stream failed before; nothing more is read or written.
    #[error("the stream has failed before")]
    AlreadyFailed,
    /// The plaintext was not read to its end, so nothing is known of the whole.
    #[error("the object was not read to its end")]
    NotFinished,
    /// The requested range lies outside the object.
    #[error("the requested range lies outside the object")]
    OutOfRange,
    /// Sealed material in a version or suite that is not known here.
    #[error("unknown version or suite of sealed material")]
    UnknownSuite,
    /// A field of the material is out of its bounds.
    #[error("the {field} is not acceptable: {why}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The opened material does not decode.
    #[error("the material does not decode")]
    Malformed,
    /// Sealed material of more than [`crate::material::MAX_SEALED_SIZE`] bytes.
    #[error("the sealed material is too large")]
    TooLarge,
    /// The cryptographic library refused an operation that cannot fail with these arguments.
    #[error("the cryptographic library failed")]
    Library,
}

impl Error {
    /// The envelope failure that a `Read` or `Write` of this crate reported, if it was one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => ours,
            Err(foreign) => Self::Io(foreign),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(io) => io,
            ours => Self::new(io::ErrorKind::InvalidData, ours),
        }
    }
}
