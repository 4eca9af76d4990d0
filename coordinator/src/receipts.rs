//! Receipts: the nodes' release statements, on their way to the ledger.
//!
//! A read is answered without waiting for its receipt. The statements of many reads share a transaction, which is
//! submitted to one endorser after another until it is final. The queue is bounded; what does not fit is
//! dropped, counted and logged, and an auditor will find the receipt missing. Until it is on the chain a
//! statement is also in the spool, so that a coordinator that is killed resumes where it was.
//!
//! The ledger rejects a transaction for one statement in it that does not hold. A node that lies together with a reader
//! can sign a release for a read that nobody approved; so a statement shares a transaction only when t nodes vouch for
//! it, or when more endorsers than can lie say that the read is approved. Any other goes by itself, read by read.

mod queue;
mod spool;
mod submit;

#[cfg(test)]
mod tests;

pub(crate) use queue::Receipts;
pub(crate) use submit::Submitter;
