//! What of the log somebody looks for.

use core::str::FromStr;

use threshold::name::{DocumentName, Name};

use crate::body::Body;
use crate::entry::Entry;
use crate::outcome::{DenialReason, Outcome, RejectionReason};

/// Which part of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Within {
    /// All of it.
    #[default]
    Everything,
    /// What concerns a tenant.
    Tenant(Name),
    /// What concerns a dataset of a tenant.
    Dataset(Name, Name),
    /// What concerns a document of a dataset of a tenant.
    Document(Name, Name, DocumentName),
}

impl Within {
    /// From names of which each needs the one before it; nothing when one is missing.
    pub fn new(tenant: Option<Name>, dataset: Option<Name>, document: Option<DocumentName>) -> Option<Self> {
        match (tenant, dataset, document) {
            (None, None, None) => Some(Self::Everything),
            (Some(tenant), None, None) => Some(Self::Tenant(tenant)),
            (Some(tenant), Some(dataset), None) => Some(Self::Dataset(tenant, dataset)),
            (Some(tenant), Some(dataset), Some(document)) => Some(Self::Document(tenant, dataset, document)),
            _ => None,
        }
    }

    /// Its tenant.
    pub fn tenant(&self) -> Option<&Name> {
        match self {
            Self::Everything => None,
            Self::Tenant(tenant) | Self::Dataset(tenant, _) | Self::Document(tenant, _, _) => Some(tenant),
        }
    }

    /// Its dataset.
    pub fn dataset(&self) -> Option<&Name> {
        match self {
            Self::Everything | Self::Tenant(_) => None,
            Self::Dataset(_, dataset) | Self::Document(_, dataset, _) => Some(dataset),
        }
    }

    /// Its document.
    pub fn document(&self) -> Option<&DocumentName> {
        match self {
            Self::Document(_, _, document) => Some(document),
            _ => None,
        }
    }

    fn has(&self, body: &Body) -> bool {
        self.tenant().is_none_or(|tenant| body.tenant() == Some(tenant))
            && self
                .dataset()
                .is_none_or(|dataset| body.dataset() == Some(dataset))
            && self
                .document()
                .is_none_or(|document| body.document() == Some(document))
    }
}

/// A kind of transaction, by its stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(&'static str);

/// What became of a transaction: the stable name of an outcome, or the code of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict(&'static str);

/// There is no kind, or no verdict, of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} of that name; there are {}", .known.join(", "))]
pub struct UnknownWord {
    what: &'static str,
    known: Vec<&'static str>,
}

fn word(what: &'static str, text: &str, known: Vec<&'static str>) -> Result<&'static str, UnknownWord> {
    let found = known.iter().copied().find(|known| *known == text);
    found.ok_or(UnknownWord { what, known })
}

impl Kind {
    /// Its name.
    pub fn as_str(&self) -> &'static str {
        self.0
    }
}

impl FromStr for Kind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        word("kind", text, Body::KINDS.to_vec()).map(Self)
    }
}

impl Verdict {
    /// Its name.
    pub fn as_str(&self) -> &'static str {
        self.0
    }

    fn is(&self, outcome: &Outcome) -> bool {
        outcome.kind() == self.0 || outcome.reason() == Some(self.0)
    }
}

impl FromStr for Verdict {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let denials = DenialReason::ALL.iter().map(|reason| reason.code());
        let rejections = RejectionReason::ALL.iter().map(|reason| reason.code());
        let known = Outcome::KINDS.iter().copied().chain(denials).chain(rejections);
        word("verdict", text, known.collect()).map(Self)
    }
}

/// What is looked for. What is absent restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Which part of the log.
    pub within: Within,
    /// A tenant and a user of it: what names this user, and what this user has signed.
    pub user: Option<(Name, Name)>,
    /// Which kind of transaction.
    pub kind: Option<Kind>,
    /// What became of it.
    pub verdict: Option<Verdict>,
    /// Of blocks from this time on. Milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Of blocks before this time.
    pub until_ms: Option<u64>,
}

impl Filter {
    /// Whether an entry of a block of this time matches; `author` is the tenant and the name of the user who has signed it,
    /// as far as that is known: it does not stand in the entry.
    pub fn matches(&self, entry: &Entry, time_ms: u64, author: Option<(&Name, &Name)>) -> bool {
        let of_user =
            |(tenant, user): &(Name, Name)| self.names_user(entry) || author == Some((tenant, user));
        self.matches_but_for_the_user(entry, time_ms) && self.user.as_ref().is_none_or(of_user)
    }

    /// Whether the entry names the user that is looked for, which anybody can see; what a user has signed shows only its
    /// key.
    pub fn names_user(&self, entry: &Entry) -> bool {
        let body = &entry.transaction.body;
        self.user
            .as_ref()
            .is_some_and(|(tenant, user)| body.tenant() == Some(tenant) && body.user() == Some(user))
    }

    /// As [`Filter::matches`], whoever the user is.
    pub fn matches_but_for_the_user(&self, entry: &Entry, time_ms: u64) -> bool {
        let body = &entry.transaction.body;
        self.within.has(body)
            && self.kind.is_none_or(|kind| body.kind() == kind.0)
            && self.verdict.is_none_or(|verdict| verdict.is(&entry.outcome))
            && self.since_ms.is_none_or(|since_ms| time_ms >= since_ms)
            && self.until_ms.is_none_or(|until_ms| time_ms < until_ms)
    }
}
