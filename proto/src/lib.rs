//! Define the wire, and convert it to domain types, refusing what is malformed.
//!
//! The schema is in `proto/`, in the `buf` STANDARD style; the code for it is generated when the crate is
//! built, without a protoc. Fields of type `bytes` hold canonical encodings of domain types. They are
//! turned into those types by [`field`], which knows the largest size of each and answers with
//! `invalid_argument` and the name of the field when the bytes are not exactly one well-formed value.

pub mod field;
pub mod limits;

/// The ledger endorser's interface to platforms, auditors and the coordinator.
pub mod ledger {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    tonic::include_proto!("quorate.ledger.v1");
}

/// The crypto node's three interfaces: to the coordinator, to its fellow nodes, to its operator.
pub mod custody {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    tonic::include_proto!("quorate.custody.v1");
}

/// The coordinator's interface to platforms.
pub mod coordinator {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    tonic::include_proto!("quorate.coordinator.v1");
}

/// The compiled schema of all three interfaces, a serialised `google.protobuf.FileDescriptorSet`, for
/// gRPC server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/quorate.descriptors"));
