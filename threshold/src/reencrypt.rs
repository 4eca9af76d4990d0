//! Re-encryption by quorum: each node turns its share of `x·U` into its share of an encryption to the reader.
//!
//! Quorum-controlled proxy re-encryption (Jakobsson, PKC 1999). The share `x_i` never multiplies the reader's
//! key Q, so that a Q chosen by malice yields nothing.

mod combine;
mod context;
mod reader;
mod share;
#[cfg(test)]
mod tests;
mod verify;

pub use combine::{CombineError, OpenError, Reencryption, combine, open};
pub use context::{Context, ContextError};
pub use reader::ReaderKey;
pub use share::{ReencryptError, ReencryptionShare, reencrypt};
pub use verify::{Culprit, ShareFault, VerifiedShare, verify_share, verify_shares};
