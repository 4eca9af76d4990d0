//! Recording receipts.

use std::collections::BTreeMap;

use threshold::ids::ManifestDigest;
use threshold::statement::ReleaseStatement;

use super::{Step, Stop, ensure};
use crate::outcome::RejectionReason;
use crate::queries::{exists, find};
use crate::records::{Party, Seat};
use crate::{keys, queries};

/// The seats met in one receipt: most are met many times, and parsing a key is costly.
type Seats = BTreeMap<(ManifestDigest, u16), Seat>;

impl Step<'_> {
    /// Records what crypto nodes have signed. One that does not hold rejects all, so that an applied receipt
    /// stands for every statement in it.
    pub(super) fn record_releases(&mut self, releases: &[ReleaseStatement]) -> Result<(), Stop> {
        ensure(
            matches!(self.author, Party::Coordinator),
            RejectionReason::NotCoordinator,
        )?;
        let mut seats = Seats::new();
        releases
            .iter()
            .try_for_each(|release| self.record_release(release, &mut seats))
    }

    fn record_release(&mut self, release: &ReleaseStatement, seats: &mut Seats) -> Result<(), Stop> {
        let read = queries::read_record(self.state, &release.approve_id)?;
        let read = read.ok_or(RejectionReason::UnknownApproval)?;
        let matches = read.q == *release.q.as_bytes() && read.write_id == release.write_id;
        ensure(matches, RejectionReason::ReleaseMismatch)?;
        let seat = self.seat(release, seats)?;
        ensure(seat.key_id == read.key_id, RejectionReason::CommitteeMismatch)?;
        let key = keys::release(&release.approve_id, &release.manifest_digest, release.index.get());
        let recorded = self.changes.get(&key).is_some() || exists(self.state, &key)?;
        ensure(!recorded, RejectionReason::DuplicateRelease)?;
        let signed = release.verify(&seat.identity).is_ok();
        ensure(signed, RejectionReason::InvalidStatement)?;
        self.changes.put(key, self.place.log_index.to_be_bytes().to_vec());
        Ok(())
    }

    /// Who sits where the statement says, in the published committee that it names.
    fn seat(&self, release: &ReleaseStatement, seats: &mut Seats) -> Result<Seat, Stop> {
        let place = (release.manifest_digest, release.index.get());
        if let Some(seat) = seats.get(&place) {
            return Ok(*seat);
        }
        let published = exists(self.state, &keys::committee_digest(&place.0))?;
        ensure(published, RejectionReason::UnknownCommittee)?;
        let seat = find::<Seat>(self.state, &keys::seat(&place.0, place.1))?;
        let seat = seat.ok_or(RejectionReason::UnknownNode)?;
        seats.insert(place, seat);
        Ok(seat)
    }
}
