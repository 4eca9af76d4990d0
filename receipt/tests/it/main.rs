//! Read receipts as a court gets them: one file, the pinned roots, and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]
#![allow(clippy::cast_possible_truncation, unreachable_pub)]

// Everybody else knows the crate by its folder's name.
extern crate quorate_receipt as receipt;

mod absent;
mod damage;
mod form;
mod lies;
mod roots;
mod support;
mod valid;
