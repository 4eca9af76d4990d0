//! Resharing: the same custody key, held by the next committee.
//!
//! The committee, its threshold, or only its shares may change: refreshing shares is resharing them to the same
//! committee. Each dealer, a member of the old committee, shares its share `x_i` by a fresh polynomial of exactly the
//! new degree, whose constant term must be the `X_i` of the old manifest; a new share is the Lagrange combination,
//! at 0, of what the dealers dealt. It is the verifiable redistribution of Desmedt and Jajodia (1997) as Wong, Wang
//! and Wing (2002) have it, with signed messages, and with complaints that anybody can check.
//!
//! | step | who | sends |
//! |---|---|---|
//! | 1 | a dealer: [`deal`] | its commitments, to all; a share, to each new seat in confidence |
//! | 2 | a new seat: [`Received::collect`], [`Received::report`] | its verdict on every dealer, to all |
//! | 3 | a new seat: [`Agreement::reach`], [`Agreement::confirm`] | its signature on the new manifest, and whose reports it had, to all |
//! | 4 | everybody: [`Agreement::conclude`] | - |
//!
//! The dealers that count are those whom every seat has accepted; a dealer who is silent or cheats is left out, and
//! the resharing goes on if t remain. A seat that lies stops it, and is named. Nobody has the new epoch before every
//! seat has signed one and the same manifest; until then, and until a canary has come back, the old shares serve.
//! Old members who have no new seat follow the same messages by [`Received::observe`].
//!
//! Whoever keeps t shares of an old epoch still holds the key: when the new epoch serves, the old shares are destroyed.
//!
//! X needs no proof: the constant terms are the old `X_i`, and those interpolate to X.

mod agreement;
mod ceremony;
mod dealing;
mod error;
mod evidence;
mod message;
mod report;
#[cfg(test)]
mod tests;

pub use crate::feldman::Package;
pub use agreement::{Agreement, Confirmation, Exclusion};
pub use ceremony::{Party, ProposalError, Resharing};
pub use dealing::deal;
pub use error::ReshareError;
pub use evidence::{Culprit, Evidence, Fault, NoEvidence};
pub use message::{Equivocation, Kind, SignedMessage};
pub use report::{Received, Report, Verdict};
