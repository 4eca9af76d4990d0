//! Deciding reads.

use threshold::encoding::Canonical;

use super::Step;
use crate::body::{Body, Role};
use crate::outcome::{DenialReason, Outcome};
use crate::queries::find;
use crate::records::{Party, ReadRecord, WrappedKeyId};
use crate::state::StateError;
use crate::verified::VerifiedTransaction;
use crate::{keys, queries};

impl Step<'_> {
    /// Approves or denies a read; both are recorded. The checks are made in the order of [`DenialReason`].
    pub(super) fn request_read(
        &mut self,
        body: &Body,
        transaction: &VerifiedTransaction,
    ) -> Result<Outcome, StateError> {
        let WrappedKeyId { write_id, key_id } = match self.decide(body)? {
            Ok(wrapped_key) => wrapped_key,
            Err(reason) => return Ok(Outcome::Denied(reason)),
        };
        let Body::RequestRead {
            tenant,
            dataset,
            document,
            version,
            user,
            q,
            ..
        } = body
        else {
            return Ok(Outcome::Denied(DenialReason::NotAUser));
        };
        let record = ReadRecord {
            tenant: tenant.clone(),
            dataset: dataset.clone(),
            document: document.clone(),
            version: *version,
            user: user.clone(),
            q: *q.as_bytes(),
            write_id,
            key_id,
            height: self.place.height,
            log_index: self.place.log_index,
            time_ms: self.place.time_ms,
            expires_ms: transaction.transaction().expires_ms,
        };
        self.changes.put(keys::read(&transaction.id()), record.to_bytes());
        Ok(Outcome::Approved { write_id, key_id })
    }

    fn decide(&self, body: &Body) -> Result<Result<WrappedKeyId, DenialReason>, StateError> {
        let Body::RequestRead {
            tenant,
            dataset,
            document,
            version,
            user,
            ..
        } = body
        else {
            return Ok(Err(DenialReason::NotAUser));
        };
        let Party::User {
            tenant: own_tenant,
            user: own_name,
        } = self.author
        else {
            return Ok(Err(DenialReason::NotAUser));
        };
        if own_tenant != tenant {
            return Ok(Err(DenialReason::WrongTenant));
        }
        if own_name != user {
            return Ok(Err(DenialReason::UserMismatch));
        }
        if !queries::has_role(self.state, tenant, dataset, Role::Reader, user)? {
            return Ok(Err(DenialReason::NotAReader));
        }
        if !queries::dataset(self.state, tenant, dataset)?.is_some_and(|dataset| dataset.active) {
            return Ok(Err(DenialReason::DatasetInactive));
        }
        if queries::latest_version(self.state, tenant, dataset, document)?.is_none() {
            return Ok(Err(DenialReason::UnknownDocument));
        }
        let found = find(
            self.state,
            &keys::wrapped_key(tenant, dataset, document, *version),
        )?;
        Ok(found.ok_or(DenialReason::UnknownVersion))
    }
}
