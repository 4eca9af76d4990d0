//! Decide the next ledger state from a transaction, and prove what is on the chain, without any I/O.
