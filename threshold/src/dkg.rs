//! Distributed key generation: Pedersen's, with proofs of possession, as FROST has it.
//!
//! `frost-ed25519` does the arithmetic; this module adds what that library leaves to its caller: seats bound to
//! identity keys, signed messages, strict parsing, the degree of every commitment, an equality round that catches a
//! dealer who tells different members different things, and culprits named by evidence that others can check.
//!
//! | step | a member | sends |
//! |---|---|---|
//! | 1 | [`part1`]: draws its polynomial | its commitments and proof of possession, to all |
//! | 2 | [`Round1::collect`]: has every seat's commitments; [`Round1::report`] | what it received, to all |
//! | 3 | [`Agreement::reach`]: all received the same; [`part2`] | a share to each other member, in confidence |
//! | 4 | [`part3`]: checks the shares; has its key share and the manifest | its signature on the manifest, to all |
//!
//! The key is usable when every member has signed the manifest and a canary has come back. Secret packages are
//! taken by value, so that no round is answered twice with one polynomial. A bias of the key's distribution, which
//! Pedersen's protocol allows, is harmless for ElGamal-type encryption (Gurkan et al., EUROCRYPT 2021).

mod ceremony;
mod complaint;
mod equality;
mod error;
mod message;
mod rounds;
#[cfg(test)]
mod tests;

pub mod round1;
pub mod round2;

pub(crate) use ceremony::check_seats;
pub use ceremony::{Ceremony, CeremonyError, Seat};
pub use complaint::check_share;
pub use equality::{Agreement, EqualityReport, Round1, check_message};
pub use error::DkgError;
pub use message::{Attestation, Equivocation, Kind, MAX_PAYLOAD, SignedMessage};
pub use rounds::{part1, part2, part3};
