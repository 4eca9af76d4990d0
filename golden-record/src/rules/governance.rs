//! What the organisations decide together.

use sha2::{Digest, Sha256};
use threshold::encoding::Canonical;
use threshold::name::Name;
use threshold::signature::PublicKey;

use super::{Step, Stop, ensure};
use crate::body::{Body, Change};
use crate::outcome::{Outcome, RejectionReason};
use crate::records::{Organisations, Party};
use crate::state::StateError;
use crate::{keys, queries};

impl Step<'_> {
    /// Confirms a change, and makes it with the last confirmation that it needs. Everything is checked each time, so
    /// that what cannot be done is not confirmed, and what no longer can be is not done.
    ///
    /// Every change begins another revision: what was confirmed before it has to be confirmed again.
    pub(super) fn govern(&mut self, body: &Body, revision: u64, change: &Change) -> Result<Outcome, Stop> {
        let organisation = self.require_organisation_admin()?;
        let mut organisations = queries::organisations(self.state)?;
        ensure(organisations.revision == revision, RejectionReason::StaleVersion)?;
        let before = std::mem::take(&mut self.changes);
        self.change(change, &mut organisations)?;
        let changed = std::mem::replace(&mut self.changes, before);
        let proposal = Sha256::digest(body.to_bytes()).into();
        let outcome = self.confirm(&proposal, &organisation)?;
        if outcome == Outcome::Applied {
            organisations.revision = revision.saturating_add(1);
            self.changes.extend(changed);
            self.changes
                .put(keys::ORGANISATIONS.to_vec(), organisations.to_bytes());
        }
        Ok(outcome)
    }

    fn change(&mut self, change: &Change, organisations: &mut Organisations) -> Result<(), Stop> {
        match change {
            Change::ReplaceAdmin { organisation, key } => {
                self.replace_admin(organisations, organisation, key)
            }
            Change::RevokeAdmin { organisation } => self.revoke_admin(organisations, organisation),
            Change::ReplaceCertificate {
                organisation,
                certificate,
            } => replace_certificate(organisations, organisation, certificate),
            Change::AddCoordinator { key } => self.give_key(key, &Party::Coordinator),
            Change::RemoveCoordinator { key } => self.remove(key, &Party::Coordinator),
            Change::AddAuditor { key } => self.give_key(key, &Party::Auditor),
            Change::RemoveAuditor { key } => self.remove(key, &Party::Auditor),
            Change::ReplaceTenantAdmin { tenant, key } => self.replace_tenant_admin(tenant, key, None),
            Change::AddOrganisation {
                organisation,
                address,
            } => self.add_organisation(organisations, organisation, address),
            Change::RemoveOrganisation { organisation } => {
                self.remove_organisation(organisations, organisation)
            }
            Change::ReplaceEndorser {
                organisation,
                validator,
                address,
            } => self.replace_endorser(organisations, organisation, validator, address),
        }
    }

    fn replace_admin(
        &mut self,
        organisations: &mut Organisations,
        organisation: &Name,
        key: &PublicKey,
    ) -> Result<(), Stop> {
        let found = organisations
            .members
            .iter_mut()
            .find(|one| one.name == *organisation);
        let found = found.ok_or(RejectionReason::UnknownOrganisation)?;
        self.give_key(
            key,
            &Party::OrganisationAdmin {
                organisation: organisation.clone(),
            },
        )?;
        self.retire(&found.admin);
        found.admin = *key;
        Ok(())
    }

    /// As many must keep an admin as it takes to give one back.
    fn revoke_admin(&mut self, organisations: &Organisations, organisation: &Name) -> Result<(), Stop> {
        let found = organisations.members.iter().find(|one| one.name == *organisation);
        let found = found.ok_or(RejectionReason::UnknownOrganisation)?;
        ensure(self.is_admin(&found.admin)?, RejectionReason::AlreadyRevoked)?;
        let left = self.admins_without(organisations, organisation)?;
        ensure(left >= organisations.needed(), RejectionReason::TooFewAdmins)?;
        self.retire(&found.admin);
        Ok(())
    }

    /// How many of the other organisations have an admin.
    pub(super) fn admins_without(
        &self,
        organisations: &Organisations,
        organisation: &Name,
    ) -> Result<usize, StateError> {
        let mut left = 0;
        for other in &organisations.members {
            if other.name != *organisation && self.is_admin(&other.admin)? {
                left += 1;
            }
        }
        Ok(left)
    }

    fn is_admin(&self, key: &PublicKey) -> Result<bool, StateError> {
        let holder = queries::party(self.state, key)?;
        Ok(matches!(holder, Some(Party::OrganisationAdmin { .. })))
    }

    fn remove(&mut self, key: &PublicKey, holder: &Party) -> Result<(), Stop> {
        let found = queries::party(self.state, key)?;
        ensure(found.as_ref() == Some(holder), RejectionReason::UnknownKey)?;
        self.retire(key);
        Ok(())
    }
}

fn replace_certificate(
    organisations: &mut Organisations,
    organisation: &Name,
    certificate: &[u8],
) -> Result<(), Stop> {
    let known = organisations.members.iter().any(|one| one.name == *organisation);
    ensure(known, RejectionReason::UnknownOrganisation)?;
    let taken = organisations
        .members
        .iter()
        .any(|one| one.ca_certificate == certificate);
    ensure(
        !certificate.is_empty() && !taken,
        RejectionReason::InvalidCertificate,
    )?;
    for one in &mut organisations.members {
        if one.name == *organisation {
            one.ca_certificate = certificate.to_vec();
        }
    }
    Ok(())
}
