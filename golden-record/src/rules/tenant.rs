//! Tenants and their users.

use threshold::encoding::Canonical;
use threshold::name::Name;
use threshold::signature::PublicKey;

use super::{Step, Stop, ensure};
use crate::outcome::RejectionReason;
use crate::records::{Party, Tenant, User};
use crate::{keys, queries};

impl Step<'_> {
    pub(super) fn create_tenant(&mut self, tenant: &Name, admin: &PublicKey) -> Result<(), Stop> {
        let is_admin = matches!(self.author, Party::OrganisationAdmin { .. });
        ensure(is_admin, RejectionReason::NotOrganisationAdmin)?;
        let exists = queries::tenant(self.state, tenant)?.is_some();
        ensure(!exists, RejectionReason::TenantExists)?;
        self.give_key(
            admin,
            &Party::TenantAdmin {
                tenant: tenant.clone(),
            },
        )?;
        self.changes
            .put(keys::tenant(tenant), Tenant { admin: *admin }.to_bytes());
        Ok(())
    }

    pub(super) fn create_user(&mut self, tenant: &Name, user: &Name, key: &PublicKey) -> Result<(), Stop> {
        self.require_tenant_admin(tenant)?;
        let exists = queries::user(self.state, tenant, user)?.is_some();
        ensure(!exists, RejectionReason::UserExists)?;
        self.give_key(
            key,
            &Party::User {
                tenant: tenant.clone(),
                user: user.clone(),
            },
        )?;
        self.changes
            .put(keys::user(tenant, user), User { key: *key }.to_bytes());
        Ok(())
    }

    /// The author must be the admin of this tenant. Another tenant's learns only that this one is not its own.
    pub(super) fn require_tenant_admin(&self, tenant: &Name) -> Result<(), Stop> {
        match self.author {
            Party::TenantAdmin { tenant: own } if own == tenant => Ok(()),
            Party::TenantAdmin { .. } => Err(RejectionReason::WrongTenant.into()),
            _ => Err(RejectionReason::NotTenantAdmin.into()),
        }
    }

    /// Registers the holder of a key. One key, one holder: an author is known by its key alone, and a user of two
    /// tenants could be taken for the other.
    fn give_key(&mut self, key: &PublicKey, holder: &Party) -> Result<(), Stop> {
        let taken = queries::party(self.state, key)?.is_some();
        ensure(!taken, RejectionReason::KeyInUse)?;
        self.changes.put(keys::party(key), holder.to_bytes());
        Ok(())
    }
}
