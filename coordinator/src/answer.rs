//! What a node answered, and what is wrong with it.

use proto::coordinator::{Fault, FaultKind};
use proto::custody::ReencryptResponse;
use proto::field::{self, FieldError};
use threshold::committee::{Member, ParticipantIndex};
use threshold::encoding::Writer;
use threshold::reencrypt::{Context, ReencryptionShare};
use threshold::signature::PublicKey;
use threshold::statement::ReleaseStatement;
use tonic::{Code, Status};

/// An answer that is right as far as can be told without the share's proof.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) share: ReencryptionShare,
    pub(crate) statement: ReleaseStatement,
    response: ReencryptResponse,
}

/// Why an answer does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    /// A field is malformed.
    #[error(transparent)]
    Malformed(#[from] FieldError),
    /// The share is not the node's own.
    #[error("the share carries index {0}, which is not the node's")]
    Index(ParticipantIndex),
    /// The statement is about something else than was asked and given.
    #[error("the statement does not say {0}")]
    Statement(&'static str),
    /// The statement is not signed by the node.
    #[error("the statement's signature does not verify")]
    Signature,
    /// The share's proof does not hold.
    #[error("the share's proof does not hold")]
    Proof,
}

impl Candidate {
    /// Reads an answer and checks its statement: signed by the node, about this very share for this very read.
    /// The share's proof is checked later, together with others'.
    pub(crate) fn read(
        response: ReencryptResponse,
        member: &Member,
        context: &Context<'_>,
        q: &PublicKey,
    ) -> Result<Self, (Invalid, ReencryptResponse)> {
        match examine(&response, member, context, q) {
            Ok((share, statement)) => Ok(Self {
                share,
                statement,
                response,
            }),
            Err(invalid) => Err((invalid, response)),
        }
    }

    /// The answer as it came, as evidence.
    pub(crate) fn into_response(self) -> ReencryptResponse {
        self.response
    }
}

fn examine(
    response: &ReencryptResponse,
    member: &Member,
    context: &Context<'_>,
    q: &PublicKey,
) -> Result<(ReencryptionShare, ReleaseStatement), Invalid> {
    let share: ReencryptionShare = field::parse("share", &response.share)?;
    let statement: ReleaseStatement = field::parse("statement", &response.statement)?;
    if share.index() != member.index {
        return Err(Invalid::Index(share.index()));
    }
    for (holds, what) in [
        (
            statement.manifest_digest == context.manifest_digest(),
            "this committee",
        ),
        (statement.index == member.index, "this node"),
        (statement.approve_id == context.approve_id(), "this approval"),
        (statement.write_id == context.write_id(), "this wrapped key"),
        (statement.q == *q, "this reader's key"),
        (statement.share_digest == share.digest(), "this share"),
    ] {
        if !holds {
            return Err(Invalid::Statement(what));
        }
    }
    statement
        .verify(&member.identity)
        .map_err(|_| Invalid::Signature)?;
    Ok((share, statement))
}

/// The metadata key in which a node names the check that a request failed.
pub(crate) const REFUSAL_CODE: &str = "refusal-code";
/// A node's code for a request made for another manifest than its own.
pub(crate) const STALE_MANIFEST: &str = "stale_manifest";
/// A node's code when it holds no share at all, as one that has left.
const NO_KEY: &str = "no_key";
/// A node's words are passed on up to this many bytes.
const MAX_DETAIL: usize = 512;

/// Why a node is not among those that helped.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// It did not answer in time, or could not be reached.
    Unreachable(Status),
    /// It refused.
    Refused(Status),
    /// It answered with what does not verify. Boxed, being rare and large.
    Invalid(Box<(Invalid, ReencryptResponse)>),
}

impl Trouble {
    /// Sorts a status by whose fault it is: a node's that cannot serve, or the request's.
    pub(crate) fn of(status: Status) -> Self {
        let refused = status.metadata().contains_key(REFUSAL_CODE);
        match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal
                if !refused =>
            {
                Self::Unreachable(status)
            }
            _ => Self::Refused(status),
        }
    }

    /// Whether the node is in another epoch, or is no member any more.
    pub(crate) fn is_of_another_epoch(&self) -> bool {
        match self {
            Self::Refused(status) => {
                matches!(refusal_code(status), Some(STALE_MANIFEST | NO_KEY))
            }
            Self::Unreachable(_) | Self::Invalid(_) => false,
        }
    }

    /// The label in metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::Invalid(_) => "invalid",
        }
    }

    /// What happened, in words that are safe to print.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Unreachable(status) | Self::Refused(status) => printable(status.message()),
            Self::Invalid(invalid) => invalid.0.to_string(),
        }
    }

    /// As it is told to the client.
    pub(crate) fn to_fault(&self, member: &Member) -> Fault {
        let (kind, evidence) = match self {
            Self::Unreachable(_) => (FaultKind::Unreachable, Vec::new()),
            Self::Refused(_) => (FaultKind::Refused, Vec::new()),
            Self::Invalid(invalid) => (FaultKind::Invalid, evidence(&invalid.1)),
        };
        Fault {
            index: u32::from(member.index.get()),
            name: member.name.to_string(),
            kind: kind.into(),
            detail: self.detail(),
            evidence,
        }
    }
}

/// The check that a request failed at a node, by its stable name.
pub(crate) fn refusal_code(status: &Status) -> Option<&str> {
    status.metadata().get(REFUSAL_CODE)?.to_str().ok()
}

/// The share, then the statement, each after its length in four bytes.
fn evidence(response: &ReencryptResponse) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.bytes(&response.share);
    writer.bytes(&response.statement);
    writer.finish()
}

/// A peer's words without control characters, and not too many.
fn printable(text: &str) -> String {
    let mut kept: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_DETAIL)
        .collect();
    if kept.is_empty() {
        kept.push_str("no reason given");
    }
    kept
}
