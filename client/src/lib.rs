//! The SDK: wrap, write, read, audit, each answer verified.
