//! Datasets and who may do what in them.

use std::collections::BTreeSet;

use threshold::encoding::Canonical;
use threshold::name::Name;

use super::{Step, Stop, ensure, ensure_expected};
use crate::body::{Configuration, Role};
use crate::outcome::RejectionReason;
use crate::records::{Dataset, Party};
use crate::{keys, queries};

impl Step<'_> {
    /// `members` are the owners, the writers and the readers, as in [`Role::ALL`].
    pub(super) fn create_dataset(
        &mut self,
        tenant: &Name,
        dataset: &Name,
        members: [&BTreeSet<Name>; 3],
        configuration: Configuration,
    ) -> Result<(), Stop> {
        self.require_tenant_admin(tenant)?;
        let exists = queries::dataset(self.state, tenant, dataset)?.is_some();
        ensure(!exists, RejectionReason::DatasetExists)?;
        let [owners, ..] = members;
        ensure(!owners.is_empty(), RejectionReason::NoOwner)?;
        for (role, users) in Role::ALL.into_iter().zip(members) {
            for user in users {
                self.require_user(tenant, user)?;
                self.put_role(tenant, dataset, role, user);
            }
        }
        let record = Dataset {
            version: 0,
            active: true,
            configuration,
            owners: u64::try_from(owners.len()).unwrap_or(u64::MAX),
        };
        self.put_next(tenant, dataset, record);
        Ok(())
    }

    pub(super) fn grant(
        &mut self,
        [tenant, dataset, user]: [&Name; 3],
        role: Role,
        expected: Option<u64>,
    ) -> Result<(), Stop> {
        let mut record = self.require_managed_dataset(tenant, dataset)?;
        ensure_expected(expected, record.version)?;
        self.require_user(tenant, user)?;
        let has = queries::has_role(self.state, tenant, dataset, role, user)?;
        ensure(!has, RejectionReason::AlreadyGranted)?;
        self.put_role(tenant, dataset, role, user);
        if role == Role::Owner {
            record.owners = record.owners.saturating_add(1);
        }
        self.put_next(tenant, dataset, record);
        Ok(())
    }

    pub(super) fn revoke(
        &mut self,
        [tenant, dataset, user]: [&Name; 3],
        role: Role,
        expected: Option<u64>,
    ) -> Result<(), Stop> {
        let mut record = self.require_managed_dataset(tenant, dataset)?;
        ensure_expected(expected, record.version)?;
        self.require_user(tenant, user)?;
        let has = queries::has_role(self.state, tenant, dataset, role, user)?;
        ensure(has, RejectionReason::NotGranted)?;
        if role == Role::Owner {
            ensure(record.owners > 1, RejectionReason::LastOwner)?;
            record.owners -= 1;
        }
        self.put_next(tenant, dataset, record);
        self.changes.remove(keys::role(tenant, dataset, role, user));
        Ok(())
    }

    pub(super) fn set_dataset_active(
        &mut self,
        tenant: &Name,
        dataset: &Name,
        active: bool,
        expected: Option<u64>,
    ) -> Result<(), Stop> {
        let record = self.require_managed_dataset(tenant, dataset)?;
        ensure_expected(expected, record.version)?;
        ensure(record.active != active, RejectionReason::ActivityUnchanged)?;
        self.put_next(tenant, dataset, Dataset { active, ..record });
        Ok(())
    }

    /// By the owners alone: what a dataset is for is theirs to say, not the administration's.
    pub(super) fn configure_dataset(
        &mut self,
        tenant: &Name,
        dataset: &Name,
        configuration: Configuration,
        expected: Option<u64>,
    ) -> Result<(), Stop> {
        let Party::User { tenant: own, user } = self.author else {
            return Err(RejectionReason::NotOwner.into());
        };
        ensure(own == tenant, RejectionReason::WrongTenant)?;
        let owns = queries::has_role(self.state, tenant, dataset, Role::Owner, user)?;
        ensure(owns, RejectionReason::NotOwner)?;
        let record = queries::dataset(self.state, tenant, dataset)?;
        let record = record.ok_or(RejectionReason::UnknownDataset)?;
        ensure_expected(expected, record.version)?;
        ensure(!record.configuration.fixed, RejectionReason::ConfigurationFixed)?;
        let changes = record.configuration != configuration;
        ensure(changes, RejectionReason::ConfigurationUnchanged)?;
        self.put_next(
            tenant,
            dataset,
            Dataset {
                configuration,
                ..record
            },
        );
        Ok(())
    }

    /// The author must be the tenant's admin or an owner of the dataset. Whoever is neither does not learn
    /// whether the dataset exists.
    pub(super) fn require_managed_dataset(&self, tenant: &Name, dataset: &Name) -> Result<Dataset, Stop> {
        match self.author {
            Party::TenantAdmin { tenant: own } | Party::User { tenant: own, .. } if own != tenant => {
                return Err(RejectionReason::WrongTenant.into());
            }
            Party::TenantAdmin { .. } => {}
            Party::User { user, .. } => {
                let owns = queries::has_role(self.state, tenant, dataset, Role::Owner, user)?;
                ensure(owns, RejectionReason::NotDatasetOwner)?;
            }
            _ => return Err(RejectionReason::NotDatasetOwner.into()),
        }
        let record = queries::dataset(self.state, tenant, dataset)?;
        record.ok_or(Stop::Rejected(RejectionReason::UnknownDataset))
    }

    fn require_user(&self, tenant: &Name, user: &Name) -> Result<(), Stop> {
        let exists = queries::user(self.state, tenant, user)?.is_some();
        ensure(exists, RejectionReason::UnknownUser)
    }

    fn put_role(&mut self, tenant: &Name, dataset: &Name, role: Role, user: &Name) {
        self.changes
            .put(keys::role(tenant, dataset, role, user), Vec::new());
    }

    /// Writes a dataset's next version.
    fn put_next(&mut self, tenant: &Name, dataset: &Name, mut record: Dataset) {
        record.version = record.version.saturating_add(1);
        self.changes
            .put(keys::dataset(tenant, dataset), record.to_bytes());
    }
}
