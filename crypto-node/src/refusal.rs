//! Why the node does not answer: one value per check, and the one place that says what it is on the wire.

use crate::journal::JournalError;
use crate::memory::Conflict;
use crate::share::GuardError;
use threshold::encoding::DecodeError;
use threshold::ids::ManifestDigest;
use tonic::{Code, Status};

/// The metadata key that carries a refusal's code beside the status.
pub const REFUSAL_CODE: &str = "refusal-code";

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The peer is not one of those that may ask for this.
    #[error("this key has no right to call this; pin it in the node's configuration if it should")]
    WrongRole,
    /// The peer asks too often.
    #[error("too many requests; slow down and try again")]
    RateLimited,
    /// A field is too long.
    #[error("{0} is longer than its limit; send what the specification allows")]
    TooLarge(&'static str),
    /// A field does not decode.
    #[error("{0}: {1}; send the canonical encoding")]
    Malformed(&'static str, DecodeError),
    /// The node holds no key yet.
    #[error("this node holds no share of a key in use; complete a key generation, or ask another node")]
    NoKey,
    /// The coordinator works with another committee manifest.
    #[error("this node's committee manifest is {0}; fetch the current manifest and ask again")]
    StaleManifest(ManifestDigest),
    /// The wrapped key is under another custody key.
    #[error("the wrapped key is under another custody key; ask the committee that holds it")]
    OtherKey,
    /// The approval does not hold.
    #[error("{0}; get approval certificates for this very read and ask again")]
    Approval(#[from] approval::Refusal),
    /// The approval was used for something else, or cannot be remembered.
    #[error("{0}; submit a new read request to the ledger")]
    Memory(#[from] Conflict),
    /// The use cannot be recorded.
    #[error("the use cannot be recorded ({0}); ask another node")]
    Journal(#[from] JournalError),
    /// The share cannot be computed.
    #[error("{0}; ask another node, and tell this one's operator")]
    Guard(#[from] GuardError),
}

impl Refusal {
    /// The stable name of the check that failed.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.class().0
    }

    /// The one table: code for journal, metrics and status message, and the gRPC status.
    fn class(&self) -> (&'static str, Code) {
        match self {
            Self::WrongRole => ("wrong_role", Code::PermissionDenied),
            Self::RateLimited => ("rate_limited", Code::ResourceExhausted),
            Self::TooLarge(_) => ("too_large", Code::InvalidArgument),
            Self::Malformed(..) => ("malformed", Code::InvalidArgument),
            Self::NoKey => ("no_key", Code::FailedPrecondition),
            Self::StaleManifest(_) => ("stale_manifest", Code::FailedPrecondition),
            Self::OtherKey => ("other_key", Code::PermissionDenied),
            Self::Approval(refusal) => (refusal.code(), Code::PermissionDenied),
            Self::Memory(Conflict::Used) => ("approval_used", Code::PermissionDenied),
            Self::Memory(Conflict::Exhausted) => ("approval_exhausted", Code::PermissionDenied),
            Self::Memory(Conflict::Forgotten) => ("approval_forgotten", Code::FailedPrecondition),
            Self::Memory(Conflict::Full) => ("too_many_approvals", Code::ResourceExhausted),
            Self::Journal(_) => ("journal", Code::Unavailable),
            Self::Guard(_) => ("share", Code::Internal),
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (name, code) = refusal.class();
        let mut status = Self::new(code, format!("refused: {name}: {refusal}"));
        status
            .metadata_mut()
            .insert(REFUSAL_CODE, tonic::metadata::MetadataValue::from_static(name));
        status
    }
}
