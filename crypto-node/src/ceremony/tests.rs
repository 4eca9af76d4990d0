//! Ceremonies of whole committees, in memory: every order of messages, every crash.

mod attacks;
mod consent;
mod crashes;
mod late;
mod no_return;
mod proofs;
mod repair;
mod resharing;
pub(crate) mod simulation;
mod succession;
pub(crate) mod vectors;
