//! Organisations and their endorsers come, go and change keys.
//!
//! An organisation decides with the others from the change on, or no more. Its endorser votes from the next epoch on, or
//! until then: that begins [`EPOCH_DELAY`] blocks after the one with the change, so that this block is final, and every
//! endorser knows where its epoch ends, before anybody could vote for a block beyond.

use threshold::encoding::Canonical;
use threshold::name::Name;
use threshold::signature::PublicKey;

use super::{Step, Stop, ensure};
use crate::address::Address;
use crate::genesis::{MAX_PARTIES, Organisation};
use crate::outcome::RejectionReason;
use crate::records::{Endorser, Epoch, Organisations, Party};
use crate::{keys, queries};

/// So many blocks are between the one that decides on an epoch and the epoch's first.
pub const EPOCH_DELAY: u64 = 32;

/// With fewer endorsers, not a single one may be dishonest.
pub const MIN_ENDORSERS: usize = 4;

impl Step<'_> {
    pub(super) fn add_organisation(
        &mut self,
        organisations: &mut Organisations,
        organisation: &Organisation,
        address: &Address,
    ) -> Result<(), Stop> {
        self.require_no_pending_epoch()?;
        let members = &mut organisations.members;
        let known = members.iter().any(|one| one.name == organisation.name);
        ensure(!known, RejectionReason::OrganisationExists)?;
        ensure(members.len() < MAX_PARTIES, RejectionReason::TooManyOrganisations)?;
        let certificate = &organisation.ca_certificate;
        let taken = members.iter().any(|one| one.ca_certificate == *certificate);
        ensure(
            !certificate.is_empty() && !taken,
            RejectionReason::InvalidCertificate,
        )?;
        ensure(
            organisation.validator != organisation.admin,
            RejectionReason::KeyInUse,
        )?;
        self.give_validator(&organisation.name, &organisation.validator)?;
        self.give_key(
            &organisation.admin,
            &Party::OrganisationAdmin {
                organisation: organisation.name.clone(),
            },
        )?;
        members.push(organisation.clone());
        self.begin_epoch(organisations, Some((&organisation.name, address)))
    }

    /// As many endorsers must stay as make the failure of one bearable, and as many admins as it takes to decide.
    pub(super) fn remove_organisation(
        &mut self,
        organisations: &mut Organisations,
        organisation: &Name,
    ) -> Result<(), Stop> {
        self.require_no_pending_epoch()?;
        let found = organisations.members.iter().find(|one| one.name == *organisation);
        let found = found.ok_or(RejectionReason::UnknownOrganisation)?.clone();
        let admins = self.admins_without(organisations, organisation)?;
        organisations.members.retain(|one| one.name != *organisation);
        ensure(
            organisations.members.len() >= MIN_ENDORSERS,
            RejectionReason::TooFewEndorsers,
        )?;
        ensure(admins >= organisations.needed(), RejectionReason::TooFewAdmins)?;
        self.retire(&found.admin);
        self.retire(&found.validator);
        self.begin_epoch(organisations, None)
    }

    pub(super) fn replace_endorser(
        &mut self,
        organisations: &mut Organisations,
        organisation: &Name,
        validator: &PublicKey,
        address: &Address,
    ) -> Result<(), Stop> {
        self.require_no_pending_epoch()?;
        let found = organisations
            .members
            .iter_mut()
            .find(|one| one.name == *organisation);
        let found = found.ok_or(RejectionReason::UnknownOrganisation)?;
        if found.validator == *validator {
            let before = self.address_of(organisation)?;
            ensure(
                before.as_ref() != Some(address),
                RejectionReason::EndorserUnchanged,
            )?;
        } else {
            self.give_validator(organisation, validator)?;
            self.retire(&found.validator);
            found.validator = *validator;
        }
        self.begin_epoch(organisations, Some((organisation, address)))
    }

    fn give_validator(&mut self, organisation: &Name, key: &PublicKey) -> Result<(), Stop> {
        self.give_key(
            key,
            &Party::Validator {
                organisation: organisation.clone(),
            },
        )
    }

    /// One change at a time: the newest epoch has begun.
    fn require_no_pending_epoch(&self) -> Result<(), Stop> {
        let newest = queries::newest_epoch(self.state)?;
        let begun = queries::epoch_of(self.state, self.place.height)? == newest;
        ensure(begun, RejectionReason::EpochPending)
    }

    /// Where an endorser listens, as far as the chain has been told.
    fn address_of(&self, organisation: &Name) -> Result<Option<Address>, Stop> {
        let newest = queries::epoch(self.state, queries::newest_epoch(self.state)?)?;
        let endorsers = newest.map_or(Vec::new(), |epoch| epoch.endorsers);
        let found = endorsers
            .into_iter()
            .find(|one| one.organisation == *organisation);
        Ok(found.and_then(|one| one.address))
    }

    /// The next epoch, of the endorsers of these organisations, one of which has said where it is.
    fn begin_epoch(
        &mut self,
        organisations: &Organisations,
        told: Option<(&Name, &Address)>,
    ) -> Result<(), Stop> {
        let number = queries::newest_epoch(self.state)?.saturating_add(1);
        let mut endorsers = Vec::with_capacity(organisations.members.len());
        for one in &organisations.members {
            let address = match told {
                Some((name, address)) if *name == one.name => Some(address.clone()),
                _ => self.address_of(&one.name)?,
            };
            endorsers.push(Endorser {
                organisation: one.name.clone(),
                validator: one.validator,
                address,
            });
        }
        let epoch = Epoch {
            first: first_height(self.place.height),
            log_index: self.place.log_index,
            endorsers,
        };
        self.changes.put(keys::epoch(number), epoch.to_bytes());
        self.changes
            .put(keys::NEWEST_EPOCH.to_vec(), number.to_be_bytes().to_vec());
        Ok(())
    }
}

/// The first height of the epoch that a block at this height decides on.
pub(crate) fn first_height(decided: u64) -> u64 {
    decided.saturating_add(EPOCH_DELAY).saturating_add(1)
}
