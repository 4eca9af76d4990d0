//! The golden record as its users see it: transactions in, blocks, outcomes and proofs out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]
#![allow(clippy::cast_possible_truncation, unreachable_pub)]

// Everybody else knows the crate by its folder's name.
extern crate quorate_golden_record as golden_record;

mod authors;
mod blocks;
mod checkpoints;
mod conformance;
mod datasets;
mod documents;
mod encoding;
mod evidence;
mod genesis;
mod notes;
mod proofs;
mod reads;
mod releases;
mod replay;
mod support;
