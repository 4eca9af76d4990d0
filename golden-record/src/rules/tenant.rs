//! Tenants and their users.

use threshold::encoding::Canonical;
use threshold::name::Name;
use threshold::signature::PublicKey;

use super::{Step, Stop, ensure, ensure_expected};
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
        self.changes.put(
            keys::tenant(tenant),
            Tenant {
                version: 1,
                admin: *admin,
            }
            .to_bytes(),
        );
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
        self.changes.put(
            keys::user(tenant, user),
            User {
                version: 1,
                key: Some(*key),
            }
            .to_bytes(),
        );
        Ok(())
    }

    /// Replaces a user's key. The old one authors nothing from here on, not even later in this block.
    pub(super) fn rotate_user_key(
        &mut self,
        tenant: &Name,
        user: &Name,
        key: &PublicKey,
        expected: Option<u64>,
    ) -> Result<(), Stop> {
        match self.author {
            Party::TenantAdmin { tenant: own } | Party::User { tenant: own, .. } if own != tenant => {
                return Err(RejectionReason::WrongTenant.into());
            }
            Party::TenantAdmin { .. } => {}
            Party::User { user: own, .. } if own == user => {}
            _ => return Err(RejectionReason::NotUserOrAdmin.into()),
        }
        let record = queries::user(self.state, tenant, user)?.ok_or(RejectionReason::UnknownUser)?;
        ensure_expected(expected, record.version)?;
        self.give_key(
            key,
            &Party::User {
                tenant: tenant.clone(),
                user: user.clone(),
            },
        )?;
        if let Some(old) = record.key {
            self.retire(&old);
        }
        self.put_user(tenant, user, record.version, Some(*key));
        Ok(())
    }

    pub(super) fn revoke_user(
        &mut self,
        tenant: &Name,
        user: &Name,
        expected: Option<u64>,
    ) -> Result<(), Stop> {
        self.require_tenant_admin(tenant)?;
        let record = queries::user(self.state, tenant, user)?.ok_or(RejectionReason::UnknownUser)?;
        ensure_expected(expected, record.version)?;
        let old = record.key.ok_or(RejectionReason::AlreadyRevoked)?;
        self.retire(&old);
        self.put_user(tenant, user, record.version, None);
        Ok(())
    }

    pub(super) fn rotate_tenant_admin(
        &mut self,
        tenant: &Name,
        key: &PublicKey,
        expected: Option<u64>,
    ) -> Result<(), Stop> {
        self.require_tenant_admin(tenant)?;
        self.replace_tenant_admin(tenant, key, expected)
    }

    /// Gives a tenant's administration to the holder of another key.
    pub(super) fn replace_tenant_admin(
        &mut self,
        tenant: &Name,
        key: &PublicKey,
        expected: Option<u64>,
    ) -> Result<(), Stop> {
        let record = queries::tenant(self.state, tenant)?.ok_or(RejectionReason::UnknownTenant)?;
        ensure_expected(expected, record.version)?;
        self.give_key(
            key,
            &Party::TenantAdmin {
                tenant: tenant.clone(),
            },
        )?;
        self.retire(&record.admin);
        let record = Tenant {
            version: record.version.saturating_add(1),
            admin: *key,
        };
        self.changes.put(keys::tenant(tenant), record.to_bytes());
        Ok(())
    }

    fn put_user(&mut self, tenant: &Name, user: &Name, version: u64, key: Option<PublicKey>) {
        let version = version.saturating_add(1);
        self.changes
            .put(keys::user(tenant, user), User { version, key }.to_bytes());
    }

    /// The key authors nothing any more, and nobody can be given it again: what it has signed stays its holder's.
    pub(super) fn retire(&mut self, key: &PublicKey) {
        self.changes.put(keys::party(key), Party::Retired.to_bytes());
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
    pub(super) fn give_key(&mut self, key: &PublicKey, holder: &Party) -> Result<(), Stop> {
        let taken = queries::party(self.state, key)?.is_some();
        ensure(!taken, RejectionReason::KeyInUse)?;
        self.changes.put(keys::party(key), holder.to_bytes());
        Ok(())
    }
}
