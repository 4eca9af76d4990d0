//! Erasing documents.

use threshold::encoding::Canonical;
use threshold::name::{DocumentName, Name};

use super::{Step, Stop, ensure};
use crate::outcome::RejectionReason;
use crate::records::Erasure;
use crate::{keys, queries};

impl Step<'_> {
    /// Marks a version, or with version 0 the whole document, as erased for ever: no read of it is approved again, and
    /// a document that is erased as a whole gets no version again. The record of what was written and read stays.
    pub(super) fn erase_document(
        &mut self,
        tenant: &Name,
        dataset: &Name,
        document: &DocumentName,
        version: u64,
    ) -> Result<(), Stop> {
        self.require_managed_dataset(tenant, dataset)?;
        let latest = queries::latest_version(self.state, tenant, dataset, document)?;
        let latest = latest.ok_or(RejectionReason::UnknownDocument)?;
        ensure(version <= latest, RejectionReason::UnknownVersion)?;
        let erased = queries::erased(self.state, tenant, dataset, document, version)?;
        ensure(erased.is_none(), RejectionReason::DocumentErased)?;
        let erasure = Erasure {
            height: self.place.height,
            log_index: self.place.log_index,
        };
        self.changes.put(
            keys::erased(tenant, dataset, document, version),
            erasure.to_bytes(),
        );
        Ok(())
    }
}
