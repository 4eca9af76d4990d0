//! Guard one share of the custody key, and use it only for an approved read.
