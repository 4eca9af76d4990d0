//! Approval certificates: this organisation's word that a read is approved on the chain.
//!
//! A certificate is made from an entry of a final block in this endorser's own store and from nothing else: the
//! only argument that names a read is a [`Committed`], which only the store and its writer make.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use approval::{ApprovalFields, Authority, AuthorityError};
use golden_record::{
    Body, DenialReason, Outcome, ReadQuestion, StateError, StateReader, TxId, keys, queries,
};
use threshold::{ids::ChainId, label::Label, name::Name};

use crate::{config::MAX_CERTIFICATE_LIFETIME_S, waiters::Committed};

/// A certificate begins this much before now, so that a crypto node whose clock is behind accepts it.
const BACKDATE_S: u32 = 5;

/// How many certificates are kept for those who ask again.
const CACHED: usize = 4_096;

/// Why no certificate was issued for an entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApproveError {
    /// The entry is not an approved read request. The caller's mistake.
    #[error("the transaction is not an approved read")]
    NotApproved,
    /// The request has expired: it is too late for a certificate.
    #[error("the read request has expired")]
    Expired,
    /// The reader may not read the document any more.
    #[error("the read was approved and is no longer allowed: {0}")]
    Withdrawn(DenialReason),
    /// The document of an approved read is missing. This endorser's fault.
    #[error("the document of an approved read is missing")]
    NoDocument,
    /// The state cannot be read. This endorser's fault.
    #[error(transparent)]
    State(#[from] StateError),
    /// The certificate authority failed. This endorser's fault.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// What a reader is given for an approved read.
#[derive(Clone, Debug)]
pub struct Approval {
    /// X.509, DER.
    pub certificate: Arc<[u8]>,
    /// The canonical bytes of the `golden_record::DocumentVersion`.
    pub document: Vec<u8>,
    /// Whether the certificate was made for this call.
    pub fresh: bool,
}

/// Issues the certificates of one organisation.
pub struct Certifier {
    authority: Authority,
    installation: Name,
    chain_id: ChainId,
    lifetime_s: u32,
    policy_version: u32,
    issued: Mutex<Issued>,
}

impl std::fmt::Debug for Certifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certifier")
            .field("lifetime_s", &self.lifetime_s)
            .field("policy_version", &self.policy_version)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Issued {
    certificates: HashMap<TxId, Certificate>,
    order: VecDeque<TxId>,
}

#[derive(Clone)]
struct Certificate {
    der: Arc<[u8]>,
    renew_after_ms: u64,
}

/// The parts of an approved read.
struct Read<'a> {
    fields: ApprovalFields,
    committed: &'a Committed,
}

/// The document version of a read that is approved or permitted on the chain, and is allowed still: the canonical bytes of
/// the `golden_record::DocumentVersion`.
///
/// # Errors
/// [`ApproveError`].
pub fn document(
    state: &dyn StateReader,
    committed: &Committed,
    now_ms: u64,
) -> Result<Vec<u8>, ApproveError> {
    let entry = committed.entry();
    let (Some(question), Outcome::Approved { version, .. } | Outcome::Permitted { version }) =
        (ReadQuestion::of(&entry.transaction.body), entry.outcome)
    else {
        return Err(ApproveError::NotApproved);
    };
    if now_ms >= entry.transaction.expires_ms {
        return Err(ApproveError::Expired);
    }
    let question = ReadQuestion { version, ..question };
    queries::decide_read(state, &entry.transaction.author, &question)?.map_err(ApproveError::Withdrawn)?;
    let key = keys::document_version(question.tenant, question.dataset, question.document, version);
    state.get(&key)?.ok_or(ApproveError::NoDocument)
}

impl Certifier {
    /// A certifier for one chain. A lifetime above the maximum of 120 s is taken as the maximum.
    #[must_use]
    pub fn new(
        authority: Authority,
        installation: Name,
        chain_id: ChainId,
        lifetime_s: u32,
        policy_version: u32,
    ) -> Self {
        // Below twice the backdating, a certificate would hardly live.
        let lifetime_s = lifetime_s.clamp(2 * BACKDATE_S, MAX_CERTIFICATE_LIFETIME_S);
        Self {
            authority,
            installation,
            chain_id,
            lifetime_s,
            policy_version,
            issued: Mutex::default(),
        }
    }

    /// The self-signed certificate of the CA, X.509, DER.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        self.authority.root_der()
    }

    /// The approval of a read that is final and durable here: a new certificate, or the one issued before while it
    /// has more than half of its life left.
    ///
    /// `state` is the newest: what was allowed when the request was decided must be allowed still, or a request that
    /// lives for minutes would outlive a revocation.
    ///
    /// # Errors
    /// [`ApproveError`].
    pub fn approve(
        &self,
        state: &dyn StateReader,
        committed: &Committed,
        now_ms: u64,
    ) -> Result<Approval, ApproveError> {
        let read = self.read(committed)?;
        let document = document(state, committed, now_ms)?;
        if let Some(certificate) = self.issued_before(&committed.id, now_ms) {
            return Ok(Approval {
                certificate,
                document,
                fresh: false,
            });
        }
        let certificate = self.issue(&read, now_ms, committed.entry().transaction.expires_ms)?;
        Ok(Approval {
            certificate,
            document,
            fresh: true,
        })
    }

    fn read<'a>(&self, committed: &'a Committed) -> Result<Read<'a>, ApproveError> {
        let entry = committed.entry();
        let (
            Body::RequestRead {
                tenant,
                dataset,
                document,
                q,
                ..
            },
            Outcome::Approved {
                version,
                write_id,
                key_id,
            },
        ) = (&entry.transaction.body, &entry.outcome)
        else {
            return Err(ApproveError::NotApproved);
        };
        let label = Label {
            installation: self.installation.clone(),
            tenant: tenant.clone(),
            dataset: dataset.clone(),
            document: document.clone(),
            version: *version,
        };
        let fields = ApprovalFields {
            approve_id: committed.id,
            write_id: *write_id,
            q: *q,
            key_id: *key_id,
            label,
            chain_id: self.chain_id,
            height: committed.height,
            block_hash: committed.block_hash,
            policy_version: self.policy_version,
        };
        Ok(Read { fields, committed })
    }

    fn issued_before(&self, id: &TxId, now_ms: u64) -> Option<Arc<[u8]>> {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let certificate = issued.certificates.get(id)?;
        (now_ms < certificate.renew_after_ms).then(|| Arc::clone(&certificate.der))
    }

    fn issue(&self, read: &Read<'_>, now_ms: u64, expires_ms: u64) -> Result<Arc<[u8]>, ApproveError> {
        let lifetime_s = self.lifetime(now_ms, expires_ms).ok_or(ApproveError::Expired)?;
        let begins_ms = now_ms.saturating_sub(u64::from(BACKDATE_S) * 1000);
        let der: Arc<[u8]> = self.authority.issue(&read.fields, begins_ms, lifetime_s)?.into();
        let renew_after_ms = begins_ms
            .saturating_add(u64::from(lifetime_s) * 500)
            .max(now_ms + 1);
        self.keep(
            read.committed.id,
            Certificate {
                der: Arc::clone(&der),
                renew_after_ms,
            },
        );
        Ok(der)
    }

    /// From the backdated beginning, within the configured maximum and not beyond the request's own expiry, both
    /// counted in whole seconds. Nothing when that leaves no second.
    fn lifetime(&self, now_ms: u64, expires_ms: u64) -> Option<u32> {
        let begins_s = now_ms.saturating_sub(u64::from(BACKDATE_S) * 1000) / 1000;
        let left = (expires_ms / 1000).checked_sub(begins_s)?;
        let lifetime = self.lifetime_s.min(u32::try_from(left).unwrap_or(u32::MAX));
        (u64::from(lifetime) + begins_s > now_ms / 1000).then_some(lifetime)
    }

    fn keep(&self, id: TxId, certificate: Certificate) {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if issued.certificates.insert(id, certificate).is_none() {
            issued.order.push_back(id);
        }
        if issued.order.len() > CACHED
            && let Some(oldest) = issued.order.pop_front()
        {
            issued.certificates.remove(&oldest);
        }
    }
}
