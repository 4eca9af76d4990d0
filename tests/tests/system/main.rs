//! Real clusters: every daemon a process, on real sockets, honest, faulty and attacked. Each test is named after the
//! promise or attack that it is for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod binding;
mod catch_up;
mod configuration;
mod crash;
mod endorsers;
mod faults;
mod lifecycle;
mod noise;
mod receipts;
mod record;
mod secrets;
mod world;
