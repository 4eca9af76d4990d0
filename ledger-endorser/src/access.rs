//! Who may see what of the log.
//!
//! One rule: auditors, organisations' admins and coordinators see everything; a tenant's admin sees what concerns its
//! tenant; a user sees what it has written itself, what concerns it, and what concerns the datasets in which it has a
//! role now; a key that is retired sees the single transactions that it has signed, so that its holder learns how the
//! one ended that retired it; everybody else sees nothing. Keys are those that the chain knows, proven in the TLS handshake.

#[cfg(test)]
mod tests;

use golden_record::{Party, Role, StateError, StateReader, Transaction, queries};
use threshold::{name::Name, signature::PublicKey};

/// What a peer may see.
#[expect(clippy::large_enum_variant, reason = "one lives as long as a request")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The whole log.
    All,
    /// What concerns this tenant.
    Tenant(Name),
    /// What concerns this user of a tenant.
    User {
        /// The tenant.
        tenant: Name,
        /// The user.
        user: Name,
        /// Its key.
        key: PublicKey,
    },
}

impl Access {
    /// What the holder of `key` may see; nothing for a key that the chain does not know, that nobody holds any more, or
    /// that is a validator's, which has no business here.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn of(state: &dyn StateReader, key: &[u8; 32]) -> Result<Option<Self>, StateError> {
        let Ok(key) = PublicKey::from_bytes(key) else {
            return Ok(None);
        };
        Ok(queries::party(state, &key)?.and_then(|party| match party {
            Party::OrganisationAdmin { .. } | Party::Coordinator | Party::Auditor => Some(Self::All),
            Party::TenantAdmin { tenant } => Some(Self::Tenant(tenant)),
            Party::User { tenant, user } => Some(Self::User { tenant, user, key }),
            Party::Validator { .. } | Party::Retired => None,
        }))
    }

    /// Whether a key that is retired has signed this transaction.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn of_retired(
        state: &dyn StateReader,
        key: &[u8; 32],
        transaction: &Transaction,
    ) -> Result<bool, StateError> {
        let author = &transaction.author;
        Ok(author.as_bytes() == key && queries::party(state, author)? == Some(Party::Retired))
    }

    /// The tenant whose part of the log is all that it covers.
    #[must_use]
    pub fn tenant(&self) -> Option<&Name> {
        match self {
            Self::All => None,
            Self::Tenant(tenant) | Self::User { tenant, .. } => Some(tenant),
        }
    }

    /// Whether it covers a dataset, with its documents.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn covers(&self, state: &dyn StateReader, tenant: &Name, dataset: &Name) -> Result<bool, StateError> {
        let Self::User {
            tenant: own, user, ..
        } = self
        else {
            return Ok(self.tenant().is_none_or(|own| own == tenant));
        };
        if own != tenant {
            return Ok(false);
        }
        for role in Role::ALL {
            if queries::may(state, tenant, dataset, role, user)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether it covers a transaction.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn covers_transaction(
        &self,
        state: &dyn StateReader,
        transaction: &Transaction,
    ) -> Result<bool, StateError> {
        let body = &transaction.body;
        match (self, body.tenant()) {
            (Self::All, _) => Ok(true),
            (Self::User { key, .. }, _) if transaction.author == *key => Ok(true),
            (_, None) => Ok(false),
            (Self::Tenant(own), Some(tenant)) => Ok(own == tenant),
            (
                Self::User {
                    tenant: own, user, ..
                },
                Some(tenant),
            ) => {
                let is_about_it = own == tenant && body.user() == Some(user);
                match body.dataset() {
                    Some(dataset) if !is_about_it => self.covers(state, tenant, dataset),
                    _ => Ok(is_about_it),
                }
            }
        }
    }
}
