//! Deciding reads.

use threshold::encoding::Canonical;
use threshold::name::{DocumentName, Name};

use super::Step;
use crate::body::{Body, Role};
use crate::outcome::{DenialReason, Outcome};
use crate::queries::require;
use crate::records::{Party, PossibleKey, ReadRecord, WrappedKeyId};
use crate::state::{StateError, StateReader};
use crate::verified::VerifiedTransaction;
use crate::{keys, queries};

/// What a read request asks for, without the key it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadQuestion<'a> {
    /// The tenant.
    pub tenant: &'a Name,
    /// The dataset.
    pub dataset: &'a Name,
    /// The document.
    pub document: &'a DocumentName,
    /// The version; 0 for the latest.
    pub version: u64,
    /// Who asks.
    pub user: &'a Name,
}

impl<'a> ReadQuestion<'a> {
    /// What a transaction asks to read, if it does.
    pub fn of(body: &'a Body) -> Option<Self> {
        let Body::RequestRead {
            tenant,
            dataset,
            document,
            version,
            user,
            ..
        } = body
        else {
            return None;
        };
        Some(Self {
            tenant,
            dataset,
            document,
            version: *version,
            user,
        })
    }
}

/// What an allowed read opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedRead {
    /// The version of the document; never 0.
    pub version: u64,
    /// Its wrapped key, when it was threshold-encrypted.
    pub wrapped_key: Option<WrappedKeyId>,
}

impl Step<'_> {
    /// Approves or denies a read; both are recorded. The checks are made in the order of [`DenialReason`].
    pub(super) fn request_read(
        &mut self,
        body: &Body,
        transaction: &VerifiedTransaction,
    ) -> Result<Outcome, StateError> {
        let (Some(question), Body::RequestRead { q, .. }) = (ReadQuestion::of(body), body) else {
            return Ok(Outcome::Denied(DenialReason::NotAUser));
        };
        let (version, WrappedKeyId { write_id, key_id }) = match decide(self.state, self.author, &question)? {
            Err(reason) => return Ok(Outcome::Denied(reason)),
            Ok(AllowedRead {
                version,
                wrapped_key: None,
            }) => return Ok(Outcome::Permitted { version }),
            Ok(AllowedRead {
                version,
                wrapped_key: Some(wrapped_key),
            }) => (version, wrapped_key),
        };
        let record = ReadRecord {
            tenant: question.tenant.clone(),
            dataset: question.dataset.clone(),
            document: question.document.clone(),
            version,
            user: question.user.clone(),
            q: *q.as_bytes(),
            write_id,
            key_id,
            height: self.place.height,
            log_index: self.place.log_index,
            time_ms: self.place.time_ms,
            expires_ms: transaction.transaction().expires_ms,
        };
        self.changes.put(keys::read(&transaction.id()), record.to_bytes());
        Ok(Outcome::Approved {
            version,
            write_id,
            key_id,
        })
    }
}

/// What the state says of a read: one place decides, whoever asks and at whatever height.
pub(crate) fn decide(
    state: &dyn StateReader,
    author: &Party,
    question: &ReadQuestion<'_>,
) -> Result<Result<AllowedRead, DenialReason>, StateError> {
    let ReadQuestion {
        tenant,
        dataset,
        document,
        version,
        user,
    } = *question;
    let Party::User {
        tenant: own_tenant,
        user: own_name,
    } = author
    else {
        return Ok(Err(DenialReason::NotAUser));
    };
    if own_tenant != tenant {
        return Ok(Err(DenialReason::WrongTenant));
    }
    if own_name != user {
        return Ok(Err(DenialReason::UserMismatch));
    }
    if !queries::may(state, tenant, dataset, Role::Reader, user)? {
        return Ok(Err(DenialReason::NotAReader));
    }
    if !queries::dataset(state, tenant, dataset)?.is_some_and(|dataset| dataset.active) {
        return Ok(Err(DenialReason::DatasetInactive));
    }
    let Some(latest) = queries::latest_version(state, tenant, dataset, document)? else {
        return Ok(Err(DenialReason::UnknownDocument));
    };
    let version = if version == 0 { latest } else { version };
    if version > latest {
        return Ok(Err(DenialReason::UnknownVersion));
    }
    if queries::erased(state, tenant, dataset, document, version)?.is_some() {
        return Ok(Err(DenialReason::Erased));
    }
    let PossibleKey(wrapped_key) = require(state, &keys::wrapped_key(tenant, dataset, document, version))?;
    Ok(Ok(AllowedRead { version, wrapped_key }))
}
