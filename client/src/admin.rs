//! What administrators do: tenants, users, datasets, permissions, the committee.

use std::collections::BTreeSet;

use golden_record::{Body, Role};
use threshold::committee::SignedManifest;
use threshold::name::Name;
use threshold::signature::PublicKey;

use crate::Client;
use crate::error::Error;
use crate::submit::Recorded;

impl Client {
    /// Confirms a committee for an organisation; by its administrator. It is on the chain when enough have: the outcome
    /// says so, or how many are missing.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn publish_committee(&self, manifest: SignedManifest) -> Result<Recorded, Error> {
        self.apply(Body::PublishCommittee { manifest }).await
    }

    /// Creates a tenant; by an organisation's administrator.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn create_tenant(&self, tenant: Name, admin: PublicKey) -> Result<Recorded, Error> {
        self.apply(Body::CreateTenant { tenant, admin }).await
    }

    /// Creates a user; by the tenant's administrator.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn create_user(&self, tenant: Name, user: Name, key: PublicKey) -> Result<Recorded, Error> {
        self.apply(Body::CreateUser { tenant, user, key }).await
    }

    /// Creates a dataset; by the tenant's administrator.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn create_dataset(
        &self,
        tenant: Name,
        dataset: Name,
        owners: BTreeSet<Name>,
        writers: BTreeSet<Name>,
        readers: BTreeSet<Name>,
    ) -> Result<Recorded, Error> {
        self.apply(Body::CreateDataset {
            tenant,
            dataset,
            owners,
            writers,
            readers,
        })
        .await
    }

    /// Gives a user a role; by an owner or the tenant's administrator.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn grant(
        &self,
        tenant: Name,
        dataset: Name,
        user: Name,
        role: Role,
    ) -> Result<Recorded, Error> {
        self.apply(Body::Grant {
            tenant,
            dataset,
            user,
            role,
        })
        .await
    }

    /// Takes a role away; by an owner or the tenant's administrator.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn revoke(
        &self,
        tenant: Name,
        dataset: Name,
        user: Name,
        role: Role,
    ) -> Result<Recorded, Error> {
        self.apply(Body::Revoke {
            tenant,
            dataset,
            user,
            role,
        })
        .await
    }
}
