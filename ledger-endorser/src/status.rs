//! The one place that says what an error is on the wire.

use golden_record::{AdmissionError, StateError, TransactionError};
use service::rate_limit::OverRate;
use tonic::{Code, Status, metadata::MetadataValue};

use crate::{
    approve::ApproveError, checkpoint::SignError, index::IndexError, intake::Refused, mempool::Full,
    store::StoreError,
};

/// The metadata key that carries a refusal's code beside the status.
pub const REFUSAL_CODE: &str = "refusal-code";

/// Why a request gets no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The connection proves no key.
    #[error("the connection proves no client key; connect with mutual TLS and a key of yours")]
    NoKey,
    /// The peer asks too often.
    #[error(transparent)]
    OverRate(#[from] OverRate),
    /// The peer may not see this.
    #[error(
        "this key may not see that; auditors, organisations' admins and coordinators see everything, a tenant's admin what concerns its tenant, a user what concerns the datasets in which it has a role"
    )]
    Forbidden,
    /// There is no such thing.
    #[error("no such {0}; if it is new, ask again, or another endorser")]
    NotFound(&'static str),
    /// A field is not what it must be.
    #[error("{0}")]
    Field(#[from] proto::field::FieldError),
    /// The transaction given to `RequestRead` asks for something else.
    #[error("transaction: not a read request; hand any other to Submit")]
    NotARead,
    /// The transaction was not taken.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The transaction expired before it became final.
    #[error(
        "the transaction expired before it became final; it will not enter the chain: sign a new one that expires later"
    )]
    Expired,
    /// This endorser stops while the transaction waits. It may yet become final.
    #[error("this endorser is stopping; ask another one with the same transaction")]
    Stopping,
    /// This is none of the endorsers that decide now.
    #[error("this is not one of the endorsers of epoch {0}; ask one of them")]
    NoEndorser(u64),
    /// The CA here is another than the one that the chain has of the organisation: nobody would accept its certificates.
    #[error(
        "this endorser's CA certificate is not the one that the chain has of its organisation; ask another one"
    )]
    OtherAuthority,
    /// Too many wait for the same transaction.
    #[error("too many wait for this transaction here; ask again later with the same transaction")]
    Crowded,
    /// As many searches as may be are being answered.
    #[error("too many searches are being answered here; ask again later, or another endorser")]
    Searching,
    /// The transaction did not become final in time. It may yet.
    #[error("not final within {0} ms; ask again with the same transaction")]
    Deadline(u64),
    /// No certificate.
    #[error(transparent)]
    Approve(#[from] ApproveError),
    /// The newest final block is too old to answer from.
    #[error("the newest final block here is {0} ms old: this endorser may be cut off from the others")]
    Stale(u64),
    /// The evidence is not there yet.
    #[error("no finality evidence at or after this entry yet; ask again")]
    NoEvidence,
    /// The search index gave no answer; it is made again in the background.
    #[error("the search index is being made again; ask later, or another endorser")]
    Index(#[from] IndexError),
    /// A checkpoint could not be signed.
    #[error("the checkpoint could not be signed")]
    Checkpoint(#[from] SignError),
    /// The store failed.
    #[error("the endorser's store failed")]
    Store(#[from] StoreError),
    /// The state cannot be read.
    #[error("the endorser's state cannot be read")]
    State(#[from] StateError),
}

impl Failure {
    /// Its name in status details and metrics: stable, snake case.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::OverRate(_) => "over_rate",
            Self::Forbidden => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::Field(_) => "malformed",
            Self::NotARead => "not_a_read",
            Self::Refused(refused) => refused.code(),
            Self::Expired | Self::Approve(ApproveError::Expired) => "expired",
            Self::Deadline(_) => "not_final_in_time",
            Self::Stopping => "stopping",
            Self::NoEndorser(_) => "not_an_endorser",
            Self::OtherAuthority => "other_authority",
            Self::Crowded => "too_many_wait",
            Self::Searching => "too_many_searches",
            Self::Approve(ApproveError::NotApproved) => "not_approved",
            Self::Approve(ApproveError::Withdrawn(reason)) => reason.code(),
            Self::Stale(_) => "stale",
            Self::NoEvidence => "no_evidence_yet",
            Self::Index(_) => "no_index_yet",
            Self::Approve(_) | Self::Checkpoint(_) | Self::Store(_) | Self::State(_) => "endorser_failed",
        }
    }

    fn grpc_code(&self) -> Code {
        match self {
            Self::NoKey => Code::Unauthenticated,
            Self::OverRate(_)
            | Self::Crowded
            | Self::Searching
            | Self::Refused(Refused::Full(Full::Author | Full::Tenant)) => Code::ResourceExhausted,
            Self::Forbidden => Code::PermissionDenied,
            Self::NotFound(_) => Code::NotFound,
            Self::Field(_) | Self::NotARead => Code::InvalidArgument,
            Self::Refused(Refused::Admission(error)) => admission(error),
            Self::Expired
            | Self::Approve(ApproveError::Expired | ApproveError::NotApproved | ApproveError::Withdrawn(_)) => {
                Code::FailedPrecondition
            }
            Self::Deadline(_) => Code::DeadlineExceeded,
            Self::Refused(Refused::Full(Full::Pool | Full::Peer))
            | Self::Stale(_)
            | Self::Stopping
            | Self::NoEndorser(_)
            | Self::OtherAuthority
            | Self::Index(_)
            | Self::NoEvidence => Code::Unavailable,
            Self::Approve(_)
            | Self::Checkpoint(_)
            | Self::Store(_)
            | Self::State(_)
            | Self::Refused(Refused::Store(_)) => Code::Internal,
        }
    }

    /// Whether it is this endorser's own fault.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.grpc_code() == Code::Internal
    }
}

fn admission(error: &AdmissionError) -> Code {
    match error {
        AdmissionError::UnknownAuthor | AdmissionError::AuthorMayNotWrite => Code::PermissionDenied,
        AdmissionError::Transaction(TransactionError::Signature | TransactionError::Possession) => {
            Code::Unauthenticated
        }
        AdmissionError::WrongChain | AdmissionError::LifetimeTooLong | AdmissionError::Transaction(_) => {
            Code::InvalidArgument
        }
        AdmissionError::Expired | AdmissionError::AlreadyIncluded => Code::FailedPrecondition,
        AdmissionError::BlockFull => Code::Unavailable,
        AdmissionError::State(_) => Code::Internal,
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let mut status = Self::new(failure.grpc_code(), failure.to_string());
        status
            .metadata_mut()
            .insert(REFUSAL_CODE, MetadataValue::from_static(failure.code()));
        status
    }
}
