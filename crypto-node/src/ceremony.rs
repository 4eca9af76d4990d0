//! Key generation between the nodes themselves.
//!
//! An operator proposes; every member's operator consents; the members run the rounds, store their shares, sign
//! the manifest, try the key on a canary, and only then use it. [`machine`] decides, without I/O; [`driver`] carries
//! out what it decides.

pub mod driver;
pub mod evidence;
mod inbox;
pub mod machine;
pub mod message;
mod outbox;
pub mod record;
mod rounds;
#[cfg(test)]
pub(crate) mod tests;
