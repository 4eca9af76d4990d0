//! Writing documents.

use sha2::{Digest, Sha256};
use threshold::encoding::Canonical;

use super::{Step, Stop, ensure};
use crate::body::{Body, Configuration, Encryption, MUST_INLINE, Role, Storage};
use crate::outcome::RejectionReason;
use crate::queries::exists;
use crate::records::{DocumentVersion, Party, PossibleKey, WrappedKeyId};
use crate::{keys, queries};

impl Step<'_> {
    /// Adds the next version of a document.
    pub(super) fn write_document(&mut self, body: &Body, flaw: Option<RejectionReason>) -> Result<(), Stop> {
        let Some(record) = self.new_version(body)? else {
            return Ok(());
        };
        let configuration = self.require_active(&record)?;
        self.require_next_version(&record)?;
        let wraps = configuration.encryption == Encryption::Threshold;
        ensure(
            wraps == record.wrapped_key.is_some(),
            RejectionReason::WrongEncryption,
        )?;
        self.require_own_wrapped_key(&record)?;
        flaw.map_or(Ok(()), |reason| Err(Stop::Rejected(reason)))?;
        require_place(configuration.storage, &record)?;
        require_stated_object(&record)?;
        let DocumentVersion {
            tenant,
            dataset,
            document,
            version,
            ..
        } = &record;
        self.changes.put(
            keys::latest(tenant, dataset, document),
            version.to_be_bytes().to_vec(),
        );
        self.changes.put(
            keys::document_version(tenant, dataset, document, *version),
            record.to_bytes(),
        );
        let wrapped_key = PossibleKey(record.wrapped_key.as_ref().map(|wrapped_key| WrappedKeyId {
            write_id: wrapped_key.write_id(),
            key_id: wrapped_key.key_id(),
        }));
        self.changes.put(
            keys::wrapped_key(tenant, dataset, document, *version),
            wrapped_key.to_bytes(),
        );
        Ok(())
    }

    /// The record as it would be, once its author is known to be a writer.
    fn new_version(&self, body: &Body) -> Result<Option<DocumentVersion>, Stop> {
        let Body::WriteDocument {
            tenant,
            dataset,
            document,
            version,
            wrapped_key,
            material,
            checksum,
            size,
            inline,
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
        Ok(Some(DocumentVersion {
            tenant: tenant.clone(),
            dataset: dataset.clone(),
            document: document.clone(),
            version: *version,
            wrapped_key: wrapped_key.clone(),
            material: material.clone(),
            checksum: *checksum,
            size: *size,
            inline: inline.clone(),
            writer: user.clone(),
            height: self.place.height,
            log_index: self.place.log_index,
            time_ms: self.place.time_ms,
        }))
    }

    fn require_active(&self, record: &DocumentVersion) -> Result<Configuration, Stop> {
        let dataset = queries::dataset(self.state, &record.tenant, &record.dataset)?;
        let dataset = dataset.ok_or(RejectionReason::UnknownDataset)?;
        ensure(dataset.active, RejectionReason::DatasetInactive)?;
        Ok(dataset.configuration)
    }

    fn require_next_version(&self, record: &DocumentVersion) -> Result<(), Stop> {
        let erased = queries::erased(self.state, &record.tenant, &record.dataset, &record.document, 0)?;
        ensure(erased.is_none(), RejectionReason::DocumentErased)?;
        let latest = queries::latest_version(self.state, &record.tenant, &record.dataset, &record.document)?;
        let next = latest.unwrap_or(0).checked_add(1);
        ensure(next == Some(record.version), RejectionReason::VersionNotNext)
    }

    /// A wrapped key is for this version and for a key of this chain. With its proof, which binds its label, this
    /// keeps anybody from registering another document's U as their own and reading it.
    fn require_own_wrapped_key(&self, record: &DocumentVersion) -> Result<(), Stop> {
        let Some(wrapped_key) = &record.wrapped_key else {
            return Ok(());
        };
        let label = record.label(self.place.installation);
        ensure(*wrapped_key.label() == label, RejectionReason::LabelMismatch)?;
        let published = exists(self.state, &keys::committee(&wrapped_key.key_id()))?;
        ensure(published, RejectionReason::UnknownCustodyKey)
    }
}

/// The object is on the chain when it is small and the dataset keeps its objects there, and never when it does not.
fn require_place(storage: Storage, record: &DocumentVersion) -> Result<(), Stop> {
    let holds = match storage {
        Storage::Chain => record.inline.is_some() || record.size > MUST_INLINE,
        Storage::Outside => record.inline.is_none(),
    };
    ensure(holds, RejectionReason::WrongStorage)
}

fn require_stated_object(record: &DocumentVersion) -> Result<(), Stop> {
    let Some(object) = &record.inline else {
        return Ok(());
    };
    let size_holds = u64::try_from(object.len()).is_ok_and(|size| size == record.size);
    let checksum: [u8; 32] = Sha256::digest(object).into();
    ensure(
        size_holds && checksum == record.checksum,
        RejectionReason::ObjectMismatch,
    )
}
