//! Ceremonies of whole committees, in memory: every order of messages, every crash.

mod attacks;
mod crashes;
pub(crate) mod simulation;
