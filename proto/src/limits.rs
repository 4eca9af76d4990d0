//! The largest size of everything on the wire, in bytes or items.
//!
//! A field's limit is checked before the field is decoded, a message's before it is read: give the message
//! limits to the generated clients and servers as `max_decoding_message_size`.

/// Approval certificates in one request.
pub const CERTIFICATES: usize = 16;
/// One approval certificate, DER.
pub const CERTIFICATE: usize = 4 * 1024;
/// A wrapped key.
pub const WRAPPED_KEY: usize = 512;
/// A signed committee manifest: 64 members of at most 330 bytes each.
pub const SIGNED_MANIFEST: usize = 32 * 1024;
/// A re-encryption share.
pub const SHARE: usize = 512;
/// A signed release statement.
pub const STATEMENT: usize = 512;
/// A combined re-encryption.
pub const REENCRYPTION: usize = 128;
/// A transaction: the largest carries a signed manifest or a batch of release statements.
pub const TRANSACTION: usize = 64 * 1024;
/// A log entry: a transaction and its outcome.
pub const ENTRY: usize = TRANSACTION + 1024;
/// A document version: wrapped key, material, and a small object stored in line.
pub const DOCUMENT_VERSION: usize = 16 * 1024;
/// A dataset, without the names in its permissions.
pub const DATASET: usize = 64;
/// A block header.
pub const HEADER: usize = 1024;
/// Finality evidence: one signature for each validator.
pub const FINALITY_EVIDENCE: usize = 16 * 1024;
/// A genesis document: the organisations with their CA certificates.
pub const GENESIS: usize = 256 * 1024;
/// The proof of a log entry: an inclusion path, headers and finality evidence.
pub const ENTRY_PROOF: usize = 1024 * 1024;
/// A handover to the next epoch of endorsers: a log entry and its proof, whose headers are of one epoch's end.
pub const HANDOVER: usize = 128 * 1024;
/// A signed checkpoint of the log: one signature for each endorser.
pub const CHECKPOINT: usize = 32 * 1024;
/// A page of what was found, in entries.
pub const FOUND: usize = 100;
/// A signed message of a key ceremony.
pub const CEREMONY_MESSAGE: usize = 128 * 1024;

/// A re-encryption request, to a coordinator or a crypto node, as a whole.
pub const REENCRYPT_REQUEST: usize = CERTIFICATES * (CERTIFICATE + 8) + WRAPPED_KEY + 256;
/// A crypto node's answer to a re-encryption request, as a whole.
pub const NODE_ANSWER: usize = SHARE + STATEMENT + 256;
/// A coordinator's answer, as a whole: up to 64 shares, statements and faults.
pub const COORDINATOR_ANSWER: usize = 64 * (2 * (SHARE + STATEMENT) + 1024) + 1024;
/// A ledger request, as a whole.
pub const LEDGER_REQUEST: usize = TRANSACTION + 1024;
/// A ledger answer, as a whole, except a page of the log.
pub const LEDGER_ANSWER: usize = 2 * 1024 * 1024;
/// A page of the log, as a whole: servers end a page early rather than exceed it.
pub const LEDGER_PAGE: usize = 4 * 1024 * 1024;
