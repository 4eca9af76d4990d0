//! Ceremonies of whole committees, in memory: every order of messages, every crash.

mod attacks;
mod crashes;
mod late;
mod no_return;
mod resharing;
pub(crate) mod simulation;
