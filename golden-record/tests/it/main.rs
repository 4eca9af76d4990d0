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
mod bodies;
mod bounds;
mod checkpoints;
mod configuration;
mod conformance;
mod corners;
mod custody;
mod datasets;
mod documents;
mod encoding;
mod endorsers;
mod erasure;
mod evidence;
mod filter;
mod genesis;
mod governance;
mod handovers;
mod history;
mod holders;
mod links;
mod notes;
mod proofs;
mod reads;
mod releases;
mod replay;
mod support;
