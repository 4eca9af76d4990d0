//! Receipts: the nodes' release statements, on their way to the ledger.
//!
//! A read is answered without waiting for its receipt. The statements of many reads share a transaction, which is
//! submitted to one endorser after another until it is final. The queue is bounded; what does not fit is
//! dropped, counted and logged, and an auditor will find the receipt missing. Until it is on the chain a
//! statement is also in the spool, so that a coordinator that is killed resumes where it was.

mod queue;
mod spool;
mod submit;

#[cfg(test)]
mod tests;

pub(crate) use queue::Receipts;
pub(crate) use submit::Submitter;
