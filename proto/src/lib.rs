//! Define the wire, and convert it to domain types, refusing what is malformed.
