//! What administrators do: tenants, users, datasets, permissions, the committee.

use std::collections::BTreeSet;

use golden_record::{Body, Change, Configuration, Dataset, Filter, Role};
use proto::field;
use proto::ledger::GetPermissionsRequest;
use threshold::committee::SignedManifest;
use threshold::name::{DocumentName, Name};
use threshold::signature::PublicKey;
use tonic::Code;

use crate::Client;
use crate::connection::{Endorser, request, whole};
use crate::error::{Error, Fault};
use crate::submit::Recorded;

/// A height, the dataset as it was then, and who had the role that was asked for.
type Permissions = (u64, Dataset, BTreeSet<Name>);

/// More pages of names than this, an endorser makes up.
const MAX_PAGES: usize = 1 << 10;

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

    /// Creates a dataset, threshold-encrypted and with permissions; by the tenant's administrator. Its owners may configure
    /// it otherwise.
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
        let configuration = Configuration::default();
        self.apply(Body::CreateDataset {
            tenant,
            dataset,
            owners,
            writers,
            readers,
            configuration,
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
            expected: None,
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
            expected: None,
        })
        .await
    }

    /// Gives a user another key; by the user itself or the tenant's administrator.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn rotate_user_key(&self, tenant: Name, user: Name, key: PublicKey) -> Result<Recorded, Error> {
        self.apply(Body::RotateUserKey {
            tenant,
            user,
            key,
            expected: None,
        })
        .await
    }

    /// Takes a user's key away; by the tenant's administrator.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn revoke_user(&self, tenant: Name, user: Name) -> Result<Recorded, Error> {
        self.apply(Body::RevokeUser {
            tenant,
            user,
            expected: None,
        })
        .await
    }

    /// Gives the tenant's administration to another key; by the tenant's administrator.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn rotate_tenant_admin(&self, tenant: Name, key: PublicKey) -> Result<Recorded, Error> {
        self.apply(Body::RotateTenantAdmin {
            tenant,
            key,
            expected: None,
        })
        .await
    }

    /// Lets documents of a dataset be written and read, or not; by an owner or the tenant's administrator.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn set_dataset_active(
        &self,
        tenant: Name,
        dataset: Name,
        active: bool,
    ) -> Result<Recorded, Error> {
        self.apply(Body::SetDatasetActive {
            tenant,
            dataset,
            active,
            expected: None,
        })
        .await
    }

    /// Changes how a dataset treats its documents from now on; by an owner. `expected` is the version of the dataset
    /// that the owner has seen.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn configure_dataset(
        &self,
        tenant: Name,
        dataset: Name,
        configuration: Configuration,
        expected: Option<u64>,
    ) -> Result<Recorded, Error> {
        self.apply(Body::ConfigureDataset {
            tenant,
            dataset,
            configuration,
            expected,
        })
        .await
    }

    /// Erases a version of a document, or with version 0 the whole document; by an owner or the tenant's administrator.
    /// An object outside the chain is erased where it is, by whoever keeps it.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn erase_document(
        &self,
        tenant: Name,
        dataset: Name,
        document: DocumentName,
        version: u64,
    ) -> Result<Recorded, Error> {
        self.apply(Body::EraseDocument {
            tenant,
            dataset,
            document,
            version,
        })
        .await
    }

    /// Confirms a change for an organisation; by its administrator. It is made when enough have: the outcome says so, or
    /// how many are missing. `revision` is that of the organisations as they are.
    ///
    /// # Errors
    /// As [`Client::apply`].
    pub async fn govern(&self, revision: u64, change: Change) -> Result<Recorded, Error> {
        self.apply(Body::Govern { revision, change }).await
    }

    /// The revision of the organisations: one more than the changes that the log has. For those who see the whole log.
    ///
    /// # Errors
    /// As [`Client::search`].
    pub async fn organisations_revision(&self) -> Result<u64, Error> {
        let filter = Filter {
            kind: "govern".parse().ok(),
            verdict: "applied".parse().ok(),
            ..Filter::default()
        };
        let found = self.search(&filter, 0, usize::MAX).await?;
        Ok(u64::try_from(found.lines.len())
            .unwrap_or(u64::MAX)
            .saturating_add(1))
    }

    /// A dataset and who has a role in it, as they are, or as they were after the block at a height, by the word of more
    /// endorsers than can lie; with the height.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there was no such dataset; [`Error::Forbidden`]; too few endorsers that say the same.
    pub async fn permissions(
        &self,
        tenant: &Name,
        dataset: &Name,
        role: Role,
        height: Option<u64>,
    ) -> Result<Permissions, Error> {
        let mut answer = Err(Error::Request("the profile names no endorser".into()));
        // Whoever is asked first names the height when none is given, and may lie: one of these turns begins with an
        // honest one.
        for first in 0..=self.tolerated() {
            answer = self.permissions_from(first, tenant, dataset, role, height).await;
            if answer.is_ok() || height.is_some() {
                break;
            }
        }
        answer
    }

    async fn permissions_from(
        &self,
        first: usize,
        tenant: &Name,
        dataset: &Name,
        role: Role,
        height: Option<u64>,
    ) -> Result<Permissions, Error> {
        let mut height = height.unwrap_or(0);
        let mut given: Vec<Permissions> = Vec::new();
        let (mut faults, mut refusal) = (Vec::new(), None);
        let endorsers = &self.0.endorsers;
        for endorser in endorsers.iter().cycle().skip(first).take(endorsers.len()) {
            match permissions_of(endorser, tenant, dataset, role, height).await {
                Ok(answer) => {
                    height = answer.0;
                    given.push(answer);
                }
                Err(error @ (Error::NotFound(_) | Error::Forbidden(_))) => refusal = Some(error),
                Err(error) => faults.push(Fault::instead_of_an_answer(endorser.party(), error)),
            }
            let alike =
                |one: &&Permissions| given.iter().filter(|other| other == one).count() > self.tolerated();
            if let Some(agreed) = given.iter().find(alike) {
                return Ok(agreed.clone());
            }
        }
        Err(refusal.unwrap_or(Error::TooFew {
            needed: format!("the permissions of {tenant}/{dataset}"),
            faults,
        }))
    }
}

async fn permissions_of(
    endorser: &Endorser,
    tenant: &Name,
    dataset: &Name,
    role: Role,
    height: u64,
) -> Result<Permissions, Error> {
    let lied = |what: String| Error::from(Fault::new(endorser.party(), "permissions", what, &[]));
    let mut message = GetPermissionsRequest {
        tenant: tenant.to_string(),
        dataset: dataset.to_string(),
        role: role.to_string(),
        height,
        after: String::new(),
    };
    let mut users = BTreeSet::new();
    for _ in 0..MAX_PAGES {
        let answer = match whole(endorser.rpc().get_permissions(request(message.clone()))).await {
            Ok(answer) => answer,
            Err(status) if status.code() == Code::NotFound => {
                return Err(Error::NotFound(format!("dataset {tenant}/{dataset}")));
            }
            Err(status) if status.code() == Code::PermissionDenied => {
                return Err(Error::Forbidden(endorser.party()));
            }
            Err(status) => return Err(endorser.failed(&status)),
        };
        if height != 0 && answer.height != height {
            return Err(lied(format!("answered for height {}", answer.height)));
        }
        let record: Dataset =
            field::parse("dataset", &answer.dataset).map_err(|error| lied(format!("gave a bad {error}")))?;
        for user in &answer.users {
            users.insert(field::text("user", user).map_err(|error| lied(format!("gave a bad {error}")))?);
        }
        if answer.next.is_empty() {
            return Ok((answer.height, record, users));
        }
        if answer.next <= message.after {
            return Err(lied("gave a page that leads nowhere".into()));
        }
        (message.after, message.height) = (answer.next, answer.height);
    }
    Err(lied("gave more pages than there can be".into()))
}
