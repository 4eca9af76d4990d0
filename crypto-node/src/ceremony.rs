//! Ceremonies between the nodes themselves: key generation, resharing (refresh is one) and repair.
//!
//! An operator proposes; every party's operator consents; the parties run the rounds, store their shares, sign
//! the manifest, try the key on a canary, and only then use it. [`plan`] says who does what, [`machine`] decides, without I/O, what follows from messages and
//! time, and [`commands`] what from operators; [`driver`] carries
//! out what it decides.

pub mod commands;
pub mod driver;
pub mod evidence;
mod inbox;
pub mod machine;
pub mod message;
mod outbox;
pub mod plan;
pub mod record;
pub mod report;
mod rounds;
#[cfg(test)]
pub(crate) mod tests;
