//! What an entry is found by.
//!
//! ```text
//! 1 tenant    tenant 00
//! 2 dataset   tenant 00 dataset 00
//! 3 document  tenant 00 dataset 00 document 00
//! 4 user      tenant 00 user 00
//! 5 kind      kind 00
//! 6 verdict   outcome, or code of a reason 00
//! ```
//!
//! No name has a zero in it, so that none of these is the beginning of another.

use golden_record::{Entry, Filter};
use threshold::name::Name;

/// One property of an entry, as the beginning of the keys of its postings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term(Vec<u8>);

impl Term {
    fn new(tag: u8, parts: &[&str]) -> Self {
        let mut bytes = vec![tag];
        for part in parts {
            bytes.extend_from_slice(part.as_bytes());
            bytes.push(0);
        }
        Self(bytes)
    }

    /// That it concerns a tenant.
    #[must_use]
    pub fn tenant(tenant: &Name) -> Self {
        Self::new(1, &[tenant.as_str()])
    }

    fn user(tenant: &Name, user: &Name) -> Self {
        Self::new(4, &[tenant.as_str(), user.as_str()])
    }

    fn verdict(verdict: &str) -> Self {
        Self::new(6, &[verdict])
    }

    /// All that an entry is found by. `author` is the tenant and the name of the user who has signed it, if it was one.
    #[must_use]
    pub fn of_entry(entry: &Entry, author: Option<&(Name, Name)>) -> Vec<Self> {
        let body = &entry.transaction.body;
        let mut terms = vec![Self::new(5, &[body.kind()]), Self::verdict(entry.outcome.kind())];
        terms.extend(entry.outcome.reason().map(Self::verdict));
        if let Some(tenant) = body.tenant() {
            terms.push(Self::tenant(tenant));
            if let Some(dataset) = body.dataset() {
                terms.push(Self::new(2, &[tenant.as_str(), dataset.as_str()]));
                if let Some(document) = body.document() {
                    let parts = [tenant.as_str(), dataset.as_str(), document.as_str()];
                    terms.push(Self::new(3, &parts));
                }
            }
            terms.extend(body.user().map(|user| Self::user(tenant, user)));
        }
        terms.extend(author.map(|(tenant, user)| Self::user(tenant, user)));
        terms.sort_unstable();
        terms.dedup();
        terms
    }

    /// What an entry has to have to match a filter, but for its time.
    #[must_use]
    pub fn of_filter(filter: &Filter) -> Vec<Self> {
        let mut terms = Vec::new();
        let within = &filter.within;
        match (within.tenant(), within.dataset(), within.document()) {
            (Some(tenant), Some(dataset), Some(document)) => {
                let parts = [tenant.as_str(), dataset.as_str(), document.as_str()];
                terms.push(Self::new(3, &parts));
            }
            (Some(tenant), Some(dataset), None) => {
                terms.push(Self::new(2, &[tenant.as_str(), dataset.as_str()]));
            }
            (Some(tenant), None, _) => terms.push(Self::tenant(tenant)),
            (None, ..) => {}
        }
        terms.extend(
            filter
                .user
                .as_ref()
                .map(|(tenant, user)| Self::user(tenant, user)),
        );
        terms.extend(filter.kind.map(|kind| Self::new(5, &[kind.as_str()])));
        terms.extend(filter.verdict.map(|verdict| Self::verdict(verdict.as_str())));
        terms
    }

    /// The key of the postings in one chunk of the log.
    pub(super) fn key(&self, chunk: u64) -> Vec<u8> {
        [self.0.as_slice(), &chunk.to_be_bytes()].concat()
    }

    /// The chunk of a key that [`Term::key`] has made for this term.
    pub(super) fn chunk_of(&self, key: &[u8]) -> Option<u64> {
        let chunk = key.strip_prefix(self.0.as_slice())?;
        Some(u64::from_be_bytes(chunk.try_into().ok()?))
    }
}
