//! What administrators do: tenants, users, datasets, permissions, the committee.

use std::collections::BTreeSet;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use golden_record::{Body, Change, Configuration, Dataset, Filter, Role};
use proto::field;
use proto::ledger::GetPermissionsRequest;
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;
use threshold::name::{DocumentName, Name};
use threshold::signature::PublicKey;
use tonic::Code;

use crate::Client;
use crate::alike::Alike;
use crate::connection::{CATCH_UP_ATTEMPTS, CATCH_UP_PAUSE, Endorser, request, whole};
use crate::error::{Error, Fault, Party};
use crate::submit::Recorded;

/// A height, the dataset as it was then, and who had the role that was asked for.
type Permissions = (u64, Dataset, BTreeSet<Name>);

/// What endorsers are compared by here.
const DATASET: &str = "dataset";

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
    /// endorsers than can lie; with the height. An endorser that is a block behind is asked again.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Forbidden`], when more say so than can lie; too few endorsers that say the same.
    pub async fn permissions(
        &self,
        tenant: &Name,
        dataset: &Name,
        role: Role,
        height: Option<u64>,
    ) -> Result<Permissions, Error> {
        let height = match height {
            Some(height) => height,
            None => match self.newest_permissions(tenant, dataset, role).await? {
                Newest::Agreed(permissions) => return Ok(permissions),
                Newest::At(height) => height,
            },
        };
        let mut asked = self.ask_permissions(tenant, dataset, role, height);
        let mut found = Alike::new(DATASET, self.tolerated());
        while let Some((party, answer)) = asked.next().await {
            if let Some(agreed) = found.take(party, comparable(answer)) {
                return Ok(agreed);
            }
        }
        Err(found.too_few())
    }

    /// Waits for all endorsers but those that may fail: so what was confirmed to this client a moment ago is in it. They
    /// need not be at the same height; then it is one that not only liars name.
    async fn newest_permissions(&self, tenant: &Name, dataset: &Name, role: Role) -> Result<Newest, Error> {
        let mut asked = self.ask_permissions(tenant, dataset, role, 0);
        let tolerated = self.tolerated();
        let enough = asked.len().saturating_sub(tolerated).max(tolerated + 1);
        let (mut heights, mut answered) = (Vec::new(), 0);
        let mut found = Alike::new(DATASET, tolerated);
        let mut agreed: Vec<Permissions> = Vec::new();
        while answered < enough
            && let Some((party, answer)) = asked.next().await
        {
            if let Ok((height, ..)) = &answer {
                heights.push(*height);
            }
            let about_it = matches!(answer, Ok(_) | Err(Error::NotFound(_) | Error::Forbidden(_)));
            answered += usize::from(about_it);
            agreed.extend(found.take(party, comparable(answer)));
        }
        heights.sort_unstable_by(|a, b| b.cmp(a));
        let height = *heights.get(tolerated).ok_or_else(|| found.too_few())?;
        let agreed = agreed.into_iter().find(|(at, ..)| *at == height);
        Ok(agreed.map_or(Newest::At(height), Newest::Agreed))
    }

    fn ask_permissions<'a>(
        &'a self,
        tenant: &'a Name,
        dataset: &'a Name,
        role: Role,
        height: u64,
    ) -> FuturesUnordered<impl Future<Output = (Party, Result<Permissions, Error>)> + 'a> {
        let ask = move |endorser: &'a Endorser| async move {
            let answer = permissions_of(endorser, tenant, dataset, role, height).await;
            (endorser.party(), answer)
        };
        self.0.endorsers.iter().map(ask).collect()
    }
}

/// What the endorsers say of the permissions as they are.
enum Newest {
    /// More than can lie say the same.
    Agreed(Permissions),
    /// They are at different heights; each honest one comes to this one, or has.
    At(u64),
}

/// With the bytes by which answers are compared.
fn comparable(answer: Result<Permissions, Error>) -> Result<(Vec<u8>, Permissions), Error> {
    answer.map(|permissions| {
        let (height, dataset, users) = &permissions;
        let mut bytes = height.to_be_bytes().to_vec();
        bytes.extend(dataset.to_bytes());
        for user in users {
            bytes.push(b' ');
            bytes.extend(user.as_str().as_bytes());
        }
        (bytes, permissions)
    })
}

/// One endorser's answer, once it has come so far: to one that is a block behind, the dataset, the height or whoever asks is
/// unknown.
async fn permissions_of(
    endorser: &Endorser,
    tenant: &Name,
    dataset: &Name,
    role: Role,
    height: u64,
) -> Result<Permissions, Error> {
    let mut attempt = 1;
    loop {
        let answer = permissions_now(endorser, tenant, dataset, role, height).await;
        let may_be_behind = matches!(answer, Err(Error::NotFound(_) | Error::Forbidden(_)));
        if attempt == CATCH_UP_ATTEMPTS || !may_be_behind {
            return answer;
        }
        attempt += 1;
        tokio::time::sleep(CATCH_UP_PAUSE).await;
    }
}

async fn permissions_now(
    endorser: &Endorser,
    tenant: &Name,
    dataset: &Name,
    role: Role,
    height: u64,
) -> Result<Permissions, Error> {
    let lied = |what: String| Error::from(Fault::new(endorser.party(), DATASET, what, &[]));
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
