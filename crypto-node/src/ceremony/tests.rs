//! Ceremonies of whole committees, in memory: every order of messages, every crash.

mod attacks;
mod crashes;
mod no_return;
pub(crate) mod simulation;
