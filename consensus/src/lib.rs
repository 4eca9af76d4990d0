//! Agree on one chain of blocks with the other endorsers; the only crate that names the engine.
