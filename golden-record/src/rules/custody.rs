//! Publishing custody keys.

use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;

use super::{Step, Stop, ensure};
use crate::outcome::{Outcome, RejectionReason};
use crate::queries::exists;
use crate::records::Seat;
use crate::{keys, queries};

impl Step<'_> {
    /// Makes a custody key usable, once enough organisations have published the same committee. That its members
    /// have signed it is not enough: whoever knows X can make up members and public shares for it, who would sign.
    ///
    /// A published key is handed over in the same way, to the committee that follows the newest one. That the old one has
    /// consented, a manifest of the new one does not show: the organisations confirm it.
    pub(super) fn publish_committee(
        &mut self,
        signed: &SignedManifest,
        flaw: Option<RejectionReason>,
    ) -> Result<Outcome, Stop> {
        let organisation = self.require_organisation_admin()?;
        flaw.map_or(Ok(()), |reason| Err(Stop::Rejected(reason)))?;
        let (digest, key_id) = (signed.manifest.digest(), signed.manifest.key_id());
        let same = exists(self.state, &keys::committee_digest(&digest))?;
        ensure(!same, RejectionReason::DuplicateCommittee)?;
        let before = queries::committee(self.state, &key_id)?;
        let is_next = before
            .as_ref()
            .is_none_or(|before| signed.manifest.follows(&before.manifest).is_ok());
        ensure(is_next, RejectionReason::KeyAlreadyPublished)?;
        let outcome = self.confirm(digest.as_bytes(), &organisation)?;
        if outcome == Outcome::Applied {
            self.put_committee(signed);
            if before.is_none() {
                self.changes
                    .put(keys::NEWEST_COMMITTEE.to_vec(), key_id.to_bytes());
            }
        }
        Ok(outcome)
    }

    fn put_committee(&mut self, signed: &SignedManifest) {
        let (digest, key_id) = (signed.manifest.digest(), signed.manifest.key_id());
        self.changes.put(keys::committee(&key_id), digest.to_bytes());
        self.changes
            .put(keys::committee_digest(&digest), signed.to_bytes());
        for member in signed.manifest.members() {
            let seat = Seat {
                key_id,
                identity: member.identity,
            };
            self.changes
                .put(keys::seat(&digest, member.index.get()), seat.to_bytes());
        }
    }
}
