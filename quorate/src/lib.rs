//! The command line for platform teams, auditors and operators, with the one-command local cluster.
