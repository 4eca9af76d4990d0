//! Compute and prove key generation, wrapping, re-encryption and resharing, without any I/O.
//!
//! The protocol's mathematics, and the one canonical byte encoding of every object that is hashed or signed.
//! Randomness and time are arguments. `docs/protocol-bytes.md` gives the exact bytes of everything here, and
//! `vectors/` freezes them.

pub mod canary;
pub mod committee;
pub mod dkg;
pub mod encoding;
mod feldman;
pub mod group;
pub mod ids;
mod interpolation;
pub mod label;
pub mod message;
pub mod name;
mod recent;
pub mod reencrypt;
pub mod repair;
pub mod reshare;
pub mod secret;
pub mod signature;
pub mod statement;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod transcript;
pub mod wrap;
