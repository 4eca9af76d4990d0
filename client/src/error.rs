//! What can go wrong, sorted by whose fault it is.

use std::path::PathBuf;

use golden_record::{DenialReason, Header, RejectionReason, TxId};
use threshold::name::Name;

use crate::checkpoint::Checkpoint;
use crate::mirror::Damage;

/// Why a call of the client did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The ledger recorded the read request and said no.
    #[error("the ledger denied the read: {reason} (on the record as {tx_id})")]
    Denied {
        /// The ledger's reason.
        reason: DenialReason,
        /// The denied request, as anybody can find it in the log.
        tx_id: TxId,
    },
    /// The ledger recorded the transaction and did not apply it.
    #[error("the ledger rejected the transaction: {reason} (on the record as {tx_id})")]
    Rejected {
        /// The ledger's reason.
        reason: RejectionReason,
        /// The rejected transaction.
        tx_id: TxId,
    },
    /// The ledger has no such thing.
    #[error("the ledger has no {0}")]
    NotFound(String),
    /// The ledger knows nobody with this key, or shows this only to those whom it concerns.
    #[error("{0} refuses the key that asks: it is not known, or this is none of its business")]
    Forbidden(Party),
    /// A peer did what no honest peer does.
    #[error("{0}")]
    Lied(Box<Fault>),
    /// A log that 2f+1 validators have signed does not continue the one that was verified here before: more validators
    /// than may lie have signed two histories.
    #[error(
        "the log that {party} gives, with the root {} over {} entries, does not continue the log of {} entries with the root {} that was verified here before: the chain has forked or was rewritten",
        hex::encode(.header.log_root),
        .header.log_size,
        .earlier.size,
        hex::encode(.earlier.root)
    )]
    Forked {
        /// Who gave it.
        party: Party,
        /// What was verified before.
        earlier: Checkpoint,
        /// The header that is signed now.
        header: Box<Header>,
    },
    /// An endorser's log is shorter than what other endorsers prove, or than what was verified here before.
    #[error(
        "{party} has a log of {size} entries, and {proven} are proven: it is behind, or hides the others"
    )]
    Behind {
        /// Who.
        party: Party,
        /// How many entries it has.
        size: u64,
        /// How many there are at least.
        proven: u64,
    },
    /// What was kept of the log that was verified before is damaged.
    #[error(
        "the checkpoint {} is damaged: without it a log that was cut or rewritten since the last look would go unnoticed",
        .path.display()
    )]
    Checkpoint {
        /// The file.
        path: PathBuf,
    },
    /// A mirror of the log is not what was copied.
    #[error("the mirror is damaged: {0}")]
    Damaged(Box<Damage>),
    /// A mirror has more of the log than is proven now.
    #[error(
        "the mirror has {mirrored} lines, and the endorsers prove a log of {size}: they are behind, or the log was cut"
    )]
    MirrorAhead {
        /// How many lines it has.
        mirrored: u64,
        /// How long the log is.
        size: u64,
    },
    /// The log that a quorum has signed does not continue the one that was mirrored, which a quorum has signed too.
    #[error(
        "the endorsers have signed the root {} over {} entries, which does not continue the mirror, with the root {} over {}: the chain has forked or was rewritten",
        hex::encode(.signed.root),
        .signed.size,
        hex::encode(.mirrored.root),
        .mirrored.size
    )]
    MirrorForked {
        /// What is in the mirror.
        mirrored: Checkpoint,
        /// What is signed now.
        signed: Checkpoint,
    },
    /// Too few peers gave an answer that holds; each fault found on the way is listed.
    #[error("too few valid answers: {needed}{}", list(.faults))]
    TooFew {
        /// What was needed.
        needed: String,
        /// Who failed how.
        faults: Vec<Fault>,
    },
    /// A peer could not be reached, did not answer in time, or refused without a reason.
    #[error("{party} {reason}")]
    Unavailable {
        /// Who.
        party: Party,
        /// What happened.
        reason: String,
    },
    /// A peer refused what it was asked, for a reason that it names.
    #[error("{party} refuses: {reason} ({code})")]
    Refused {
        /// Who.
        party: Party,
        /// The reason's stable name.
        code: String,
        /// The reason, in its words.
        reason: String,
    },
    /// The caller's request cannot be right.
    #[error("{0}")]
    Request(String),
    /// The profile cannot be right.
    #[error("profile: {field}: {reason}")]
    Profile {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The object is not what the document says; its store, or whoever wrote it, is at fault.
    #[error("the encrypted object: {0}")]
    Object(String),
    /// This machine failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether everything worked and the answer is no, as opposed to a failure.
    #[must_use]
    pub const fn is_no(&self) -> bool {
        matches!(
            self,
            Self::Denied { .. }
                | Self::Rejected { .. }
                | Self::NotFound(_)
                | Self::Forbidden(_)
                | Self::Lied(_)
                | Self::Forked { .. }
                | Self::Damaged(_)
                | Self::MirrorForked { .. }
                | Self::Object(_)
        )
    }

    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Denied { .. } => "denied",
            Self::Rejected { .. } => "rejected",
            Self::NotFound(_) => "not_found",
            Self::Forbidden(_) => "forbidden",
            Self::Lied(_) => "peer_lied",
            Self::Forked { .. } => "log_forked",
            Self::Behind { .. } => "log_behind",
            Self::Checkpoint { .. } => "bad_checkpoint",
            Self::Damaged(_) => "mirror_damaged",
            Self::MirrorAhead { .. } => "mirror_ahead",
            Self::MirrorForked { .. } => "log_forked",
            Self::TooFew { .. } => "too_few_answers",
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { .. } => "refused",
            Self::Request(_) => "bad_request",
            Self::Profile { .. } => "bad_profile",
            Self::Object(_) => "bad_object",
            Self::Io { .. } => "io",
        }
    }

    /// Who misbehaved, so that it can be told of what succeeds in spite of it.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Lied(fault) => vec![fault.as_ref().clone()],
            Self::TooFew { faults, .. } => faults.clone(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Lied(Box::new(fault))
    }
}

/// Someone this client talks to, or whose statements it checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// The endorser of an organisation.
    Endorser(Name),
    /// A coordinator.
    Coordinator(Name),
    /// A crypto node: its seat and name in the committee.
    CryptoNode(u16, Name),
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Endorser(name) => write!(f, "endorser of {name}"),
            Self::Coordinator(name) => write!(f, "coordinator {name}"),
            Self::CryptoNode(index, name) => write!(f, "crypto node {index} ({name})"),
        }
    }
}

/// A peer's misbehaviour, with what shows it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{party} {what}")]
pub struct Fault {
    /// Who did it.
    pub party: Party,
    /// What it did.
    pub what: String,
    /// A stable name of the check that failed.
    pub check: &'static str,
    /// The bytes that show it to a third party; empty where only this client saw it.
    pub evidence: Vec<u8>,
}

impl Fault {
    pub(crate) fn new(party: Party, check: &'static str, what: impl Into<String>, evidence: &[u8]) -> Self {
        Self {
            party,
            what: what.into(),
            check,
            evidence: evidence.to_vec(),
        }
    }

    /// Of a party that gave nothing to go by: its lie, or what it said or failed with instead.
    pub(crate) fn instead_of_an_answer(party: Party, error: Error) -> Self {
        match error {
            Error::Lied(fault) => *fault,
            Error::Unavailable { reason, .. } => Self::new(party, "no_answer", reason, &[]),
            Error::Refused { code, reason, .. } => {
                Self::new(party, "refused", format!("refuses: {reason} ({code})"), &[])
            }
            error => Self::new(party, "no_answer", error.to_string(), &[]),
        }
    }
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("; {fault}")).collect()
}
