//! Who may see what of the log.
//!
//! One rule: auditors, organisations' admins and coordinators see everything; a tenant's admin and users see what
//! concerns their tenant; everybody else sees nothing. Keys are those that the chain knows, proven in the TLS
//! handshake.

#[cfg(test)]
mod tests;

use golden_record::{Body, Party, StateError, StateReader, queries};
use threshold::{name::Name, signature::PublicKey};

use crate::store::tenant_of;

/// What a peer may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The whole log.
    All,
    /// What concerns this tenant.
    Tenant(Name),
}

impl Access {
    /// What the holder of `key` may see; nothing for a key that the chain does not know, or knows as a
    /// validator's, which has no business here.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn of(state: &dyn StateReader, key: &[u8; 32]) -> Result<Option<Self>, StateError> {
        let Ok(key) = PublicKey::from_bytes(key) else {
            return Ok(None);
        };
        Ok(queries::party(state, &key)?.and_then(|party| match party {
            Party::OrganisationAdmin { .. } | Party::Coordinator | Party::Auditor => Some(Self::All),
            Party::TenantAdmin { tenant } | Party::User { tenant, .. } => Some(Self::Tenant(tenant)),
            Party::Validator { .. } => None,
        }))
    }

    /// Whether it covers a tenant.
    #[must_use]
    pub fn covers(&self, tenant: &Name) -> bool {
        match self {
            Self::All => true,
            Self::Tenant(own) => own == tenant,
        }
    }

    /// Whether it covers a transaction.
    #[must_use]
    pub fn covers_body(&self, body: &Body) -> bool {
        *self == Self::All || tenant_of(body).is_some_and(|tenant| self.covers(tenant))
    }
}
