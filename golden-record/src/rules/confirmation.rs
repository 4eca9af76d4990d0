//! What one organisation alone may not decide: it takes effect when as many have confirmed it as make a block final.

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::name::Name;

use super::{Step, Stop, ensure};
use crate::merkle::Hash;
use crate::outcome::{Outcome, RejectionReason};
use crate::records::Party;
use crate::{keys, queries};

/// How many organisations have confirmed a proposal.
struct Confirmations(u32);

impl Canonical for Confirmations {
    fn encode(&self, writer: &mut Writer) {
        writer.u32(self.0);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.u32()?))
    }
}

impl Step<'_> {
    /// The author must be an organisation's admin; of which one.
    pub(super) fn require_organisation_admin(&self) -> Result<Name, Stop> {
        match self.author {
            Party::OrganisationAdmin { organisation } => Ok(organisation.clone()),
            _ => Err(RejectionReason::NotOrganisationAdmin.into()),
        }
    }

    /// Counts the organisation as confirming a proposal: [`Outcome::Applied`] when it is the one that makes enough, and
    /// only then is the proposal carried out.
    ///
    /// Confirmations are of the organisations as they are: those given under another revision do not count.
    pub(super) fn confirm(&mut self, proposal: &Hash, organisation: &Name) -> Result<Outcome, Stop> {
        let organisations = queries::organisations(self.state)?;
        let revision = organisations.revision;
        let own = keys::confirmation(revision, proposal, organisation);
        let given = queries::exists(self.state, &own)?;
        ensure(!given, RejectionReason::AlreadyConfirmed)?;
        let count_key = keys::confirmations(revision, proposal);
        let before = queries::find::<Confirmations>(self.state, &count_key)?.map_or(0, |count| count.0);
        let count = Confirmations(before.saturating_add(1));
        self.changes.put(own, Vec::new());
        self.changes.put(count_key, count.to_bytes());
        let needed = organisations.needed();
        if usize::try_from(count.0).is_ok_and(|confirmed| confirmed >= needed) {
            Ok(Outcome::Applied)
        } else {
            Ok(Outcome::Pending {
                confirmed: u16::try_from(count.0).unwrap_or(u16::MAX),
                needed: u16::try_from(needed).unwrap_or(u16::MAX),
            })
        }
    }
}
