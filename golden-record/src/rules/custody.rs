//! Publishing custody keys.

use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;

use super::{Step, Stop, ensure};
use crate::keys;
use crate::outcome::{Outcome, RejectionReason};
use crate::queries::exists;
use crate::records::Seat;

impl Step<'_> {
    /// Makes a custody key usable, once enough organisations have published the same committee. That its members
    /// have signed it is not enough: whoever knows X can make up members and public shares for it, who would sign.
    ///
    /// Another committee of a published key is refused: handing a key over needs the old committee's consent,
    /// which a manifest of the new one does not carry.
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
        let published = exists(self.state, &keys::committee(&key_id))?;
        ensure(!published, RejectionReason::KeyAlreadyPublished)?;
        let outcome = self.confirm(digest.as_bytes(), &organisation)?;
        if outcome == Outcome::Applied {
            self.put_committee(signed);
        }
        Ok(outcome)
    }

    fn put_committee(&mut self, signed: &SignedManifest) {
        let (digest, key_id) = (signed.manifest.digest(), signed.manifest.key_id());
        self.changes.put(keys::committee(&key_id), signed.to_bytes());
        self.changes
            .put(keys::committee_digest(&digest), key_id.to_bytes());
        for member in signed.manifest.members() {
            let seat = Seat {
                key_id,
                identity: member.identity,
            };
            self.changes
                .put(keys::seat(&digest, member.index.get()), seat.to_bytes());
        }
        self.changes
            .put(keys::NEWEST_COMMITTEE.to_vec(), key_id.to_bytes());
    }
}
