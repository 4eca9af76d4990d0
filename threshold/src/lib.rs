//! Compute and prove key generation, wrapping, re-encryption and resharing, without any I/O.
