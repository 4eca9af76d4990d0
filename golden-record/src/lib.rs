//! Decide the next ledger state from a transaction, and prove what is on the chain, without any I/O.
//!
//! The golden record is a replicated state machine. A [`Transaction`] is signed by its author; [`execute`]
//! puts transactions into a block with one [`Outcome`] each, and [`verify_block`] repeats that before a vote, on
//! any [`StateReader`], so that every honest endorser reaches the same state or stops. Nothing here depends on
//! the clock, on the order of a hash map or on the machine. What a third party needs to check an entry
//! without trusting anybody is in [`EntryProof`] and [`FinalityEvidence`], and for the tools of other transparency logs
//! in [`SignedCheckpoint`] and [`TlogProof`].
//!
//! `docs/ledger-bytes.md` lays all of it down to the bytes, and `vectors/` freezes it.

mod address;
mod admission;
mod block;
mod body;
mod checkpoint;
mod codec;
mod endorsers;
mod entry;
mod evidence;
mod execute;
mod filter;
mod genesis;
mod history;
pub mod keys;
pub mod merkle;
mod note;
mod outcome;
mod proof;
pub mod queries;
mod quorum;
mod records;
mod replay;
mod rules;
mod state;
mod tlog_proof;
mod transaction;
mod verified;

pub use address::{Address, AddressError};
pub use admission::{AdmissionError, admissible, admit};
pub use block::{Block, BlockDecodeError, Header};
pub use body::{
    Body, Change, Configuration, Encryption, LinkSource, LinkTarget, MAX_INITIAL_MEMBERS, MAX_INLINE,
    MAX_MATERIAL, MAX_PURPOSE, MAX_RELEASES, MUST_INLINE, Role, Storage,
};
pub use checkpoint::{
    Checkpoint, CheckpointError, CheckpointSigners, SignedCheckpoint, checkpoint_keys, log_origin,
};
pub use endorsers::{EndorserSet, Endorsers, Epochs, Handover, HandoverError, StateEndorsers};
pub use entry::Entry;
pub use evidence::{EvidenceError, FinalityEvidence, finalize_message};
pub use execute::{
    BlockError, Dropped, ExecuteError, Executed, TimeError, VerifiedBlock, check_time, execute, verify_block,
};
pub use filter::{Filter, Kind, UnknownWord, Verdict, Within};
pub use genesis::{Genesis, GenesisError, Limits, Organisation};
pub use history::StateAt;
pub use note::{MAX_NOTE, MAX_NOTE_SIGNATURES, Note, NoteError, NoteKey, NoteSignature};
pub use outcome::{DenialReason, Outcome, RejectionReason};
pub use proof::{EntryProof, EntryProofError, MAX_HEADERS};
pub use quorum::Quorum;
pub use records::{
    Dataset, DocumentVersion, Endorser, Epoch, Erasure, LinkVersion, Organisations, Party, ReadRecord, Seat,
    Tenant, TransactionRecord, User, WrappedKeyId,
};
pub use rules::{AllowedRead, EPOCH_DELAY, MIN_ENDORSERS, ReadQuestion};
pub use state::{Changes, MemoryState, Overlay, StateError, StateReader};
pub use tlog_proof::{TlogProof, TlogProofError};
pub use transaction::{MAX_TRANSACTION_BYTES, Transaction, TransactionError, TxId};
pub use verified::{TransactionDigest, VerifiedTransaction};
