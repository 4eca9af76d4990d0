//! Links between documents: created, changed and ended by versions, with nothing in them that is encrypted.

use threshold::encoding::Canonical;
use threshold::name::{DocumentName, Name};

use super::{Step, Stop, ensure};
use crate::body::{Body, LinkTarget, Role};
use crate::outcome::RejectionReason;
use crate::records::{LinkVersion, Party};
use crate::{keys, queries};

impl Step<'_> {
    /// Adds the next version of a link.
    pub(super) fn put_link(&mut self, body: &Body) -> Result<(), Stop> {
        let Some(record) = self.new_link_version(body)? else {
            return Ok(());
        };
        let LinkVersion {
            tenant,
            dataset,
            link,
            version,
            ..
        } = &record;
        let found = queries::dataset(self.state, tenant, dataset)?;
        let found = found.ok_or(RejectionReason::UnknownDataset)?;
        ensure(found.active, RejectionReason::DatasetInactive)?;
        let latest = queries::latest_link(self.state, tenant, dataset, link)?.unwrap_or(0);
        let next = latest.checked_add(1);
        ensure(next == Some(*version), RejectionReason::VersionNotNext)?;
        match &record.target {
            Some(target) => self.require_ends(&record, target)?,
            None => self.require_begun(&record, latest)?,
        }
        self.changes.put(
            keys::latest_link(tenant, dataset, link),
            version.to_be_bytes().to_vec(),
        );
        self.changes.put(
            keys::link_version(tenant, dataset, link, *version),
            record.to_bytes(),
        );
        Ok(())
    }

    /// The record as it would be, once its author is known to be a writer.
    fn new_link_version(&self, body: &Body) -> Result<Option<LinkVersion>, Stop> {
        let Body::PutLink {
            tenant,
            dataset,
            link,
            version,
            relation,
            source,
            target,
        } = body
        else {
            return Ok(None);
        };
        let Party::User { tenant: own, user } = self.author else {
            return Err(RejectionReason::NotAWriter.into());
        };
        ensure(own == tenant, RejectionReason::WrongTenant)?;
        let writes = queries::may(self.state, tenant, dataset, Role::Writer, user)?;
        ensure(writes, RejectionReason::NotAWriter)?;
        Ok(Some(LinkVersion {
            tenant: tenant.clone(),
            dataset: dataset.clone(),
            link: link.clone(),
            version: *version,
            relation: relation.clone(),
            source: source.clone(),
            target: target.clone(),
            writer: user.clone(),
            height: self.place.height,
            log_index: self.place.log_index,
            time_ms: self.place.time_ms,
        }))
    }

    /// Only what points somewhere ends, and it ends as what it was: an erasure does not keep it from that.
    fn require_begun(&self, record: &LinkVersion, latest: u64) -> Result<(), Stop> {
        let LinkVersion {
            tenant,
            dataset,
            link,
            ..
        } = record;
        let before = queries::link_version(self.state, tenant, dataset, link, latest)?;
        let before = before.filter(|before| before.target.is_some());
        let before = before.ok_or(RejectionReason::LinkEnded)?;
        let same = before.source == record.source && before.relation == record.relation;
        ensure(same, RejectionReason::LinkMismatch)
    }

    /// Whoever has no role where the link points does not learn from it what is there.
    fn require_ends(&self, record: &LinkVersion, target: &LinkTarget) -> Result<(), Stop> {
        let LinkVersion {
            tenant,
            dataset,
            source,
            writer,
            ..
        } = record;
        self.require_document(tenant, dataset, &source.document, source.version)?;
        let mut has_role = false;
        for role in Role::ALL {
            has_role |= queries::may(self.state, tenant, &target.dataset, role, writer)?;
        }
        ensure(has_role, RejectionReason::NoRoleInTarget)?;
        self.require_document(tenant, &target.dataset, &target.document, target.version)
    }

    /// A document, or a version of it, that is there and is not erased.
    fn require_document(
        &self,
        tenant: &Name,
        dataset: &Name,
        document: &DocumentName,
        version: u64,
    ) -> Result<(), Stop> {
        let latest = queries::latest_version(self.state, tenant, dataset, document)?;
        let latest = latest.ok_or(RejectionReason::UnknownDocument)?;
        ensure(version <= latest, RejectionReason::UnknownVersion)?;
        let erased = queries::erased(self.state, tenant, dataset, document, version)?;
        ensure(erased.is_none(), RejectionReason::DocumentErased)
    }
}
