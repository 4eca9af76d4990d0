//! Tenants, users, datasets, permissions.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;

use client::{Client, Error, Recorded};
use golden_record::{Configuration, Role, Storage};
use serde_json::json;
use service::identity::Identity;
use threshold::name::Name;
use threshold::signature::PublicKey;

use super::{Context, parse, parse_dataset, parse_document};
use crate::cli::{
    ActivityArgs, ConfigureArgs, DatasetCommand, EraseArgs, GrantArgs, RoleArg, StorageArg, SwitchArg,
    TenantCommand, UserCommand,
};
use crate::failure::{Failure, Outcome};
use crate::keyring::{Keyring, Owner};

pub(super) async fn tenant(context: &Context, command: TenantCommand) -> Outcome {
    match command {
        TenantCommand::Create { tenant } => {
            let name: Name = parse("tenant", &tenant)?;
            let client = context.client_as(&Owner::Admin).await?;
            let key = NewKey::of(context, Owner::TenantAdmin(tenant.clone()))?;
            let created = client.create_tenant(name, key.public()).await;
            let recorded = key.unless_rejected(created)?;
            let text = format!("tenant {tenant} created; its administrator's key is in the keyring");
            done(context, &recorded, &text)
        }
        TenantCommand::Rotate { tenant } => {
            let name: Name = parse("tenant", &tenant)?;
            let owner = Owner::TenantAdmin(tenant);
            if finishes(context, &owner).await? {
                return Ok(());
            }
            let client = context.client_as(&owner).await?;
            let key = context.keyring().next(&owner)?;
            let recorded = client.rotate_tenant_admin(name, public(&key)).await?;
            rotated(context, &owner, &recorded)
        }
    }
}

pub(super) async fn user(context: &Context, command: UserCommand) -> Outcome {
    match command {
        UserCommand::Create { tenant, user } => {
            let (tenant_name, user_name) = (parse("tenant", &tenant)?, parse("user", &user)?);
            let client = context.client_as(&Owner::TenantAdmin(tenant.clone())).await?;
            let key = NewKey::of(context, Owner::User(tenant.clone(), user.clone()))?;
            let created = client.create_user(tenant_name, user_name, key.public()).await;
            let recorded = key.unless_rejected(created)?;
            let text = format!("user {user} of tenant {tenant} created; the key is in the keyring");
            done(context, &recorded, &text)
        }
        UserCommand::Rotate {
            tenant,
            user,
            by_admin,
        } => {
            let (tenant_name, user_name) = (parse("tenant", &tenant)?, parse("user", &user)?);
            let owner = Owner::User(tenant.clone(), user);
            let signer = if by_admin {
                Owner::TenantAdmin(tenant)
            } else {
                owner.clone()
            };
            if finishes(context, &owner).await? {
                return Ok(());
            }
            let client = context.client_as(&signer).await?;
            let key = context.keyring().next(&owner)?;
            let recorded = client
                .rotate_user_key(tenant_name, user_name, public(&key))
                .await?;
            rotated(context, &owner, &recorded)
        }
        UserCommand::Revoke { tenant, user } => {
            let (tenant_name, user_name) = (parse("tenant", &tenant)?, parse("user", &user)?);
            let client = context.client_as(&Owner::TenantAdmin(tenant.clone())).await?;
            let recorded = client.revoke_user(tenant_name, user_name).await?;
            done(
                context,
                &recorded,
                &format!("user {user} of tenant {tenant} has no key any more"),
            )
        }
    }
}

/// Whether an earlier attempt, which ended between the chain's change and the keyring's, was all that this one was to do:
/// then the chain knows the key that follows, which nobody else has.
async fn finishes(context: &Context, owner: &Owner) -> Outcome<bool> {
    let keyring = context.keyring();
    if !keyring.has_next(owner)
        || !context
            .client_with(keyring.next(owner)?)
            .await?
            .is_known()
            .await?
    {
        return Ok(false);
    }
    keyring.advance(owner)?;
    let text = format!("{owner} had a new key already, since an earlier attempt; it is in its place now");
    context
        .output
        .result(&json!({ "status": "already_applied" }), &text)?;
    Ok(true)
}

fn rotated(context: &Context, owner: &Owner, recorded: &Recorded) -> Outcome {
    context.keyring().advance(owner)?;
    let text = format!("{owner} has a new key, which is in the keyring; the old one is retired");
    done(context, recorded, &text)
}

pub(super) async fn dataset(context: &Context, command: DatasetCommand) -> Outcome {
    match command {
        DatasetCommand::Create {
            dataset,
            owner,
            writer,
            reader,
        } => {
            let (tenant, name) = parse_dataset(&dataset)?;
            let client = context.client_as(&Owner::TenantAdmin(tenant.to_string())).await?;
            let recorded = client
                .create_dataset(tenant, name, names(&owner)?, names(&writer)?, names(&reader)?)
                .await?;
            done(context, &recorded, &format!("dataset {dataset} created"))
        }
        DatasetCommand::Show { dataset, height } => show(context, &dataset, height).await,
        DatasetCommand::Configure(arguments) => configure(context, &arguments).await,
        DatasetCommand::Activate(arguments) => set_active(context, &arguments, true).await,
        DatasetCommand::Deactivate(arguments) => set_active(context, &arguments, false).await,
    }
}

async fn show(context: &Context, dataset: &str, height: Option<u64>) -> Outcome {
    let (tenant, name) = parse_dataset(dataset)?;
    let client = context.client(Some(&tenant)).await?;
    // All roles as they were after one block.
    let (height, record, owners) = client.permissions(&tenant, &name, Role::Owner, height).await?;
    let (_, _, writers) = client
        .permissions(&tenant, &name, Role::Writer, Some(height))
        .await?;
    let (_, _, readers) = client
        .permissions(&tenant, &name, Role::Reader, Some(height))
        .await?;
    let texts = |names: &BTreeSet<Name>| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let Configuration {
        encryption,
        storage,
        permissions,
        fixed,
    } = record.configuration;
    if context.output.is_json() {
        let value = json!({
            "dataset": dataset, "height": height, "version": record.version, "active": record.active,
            "configuration": {
                "encryption": encryption.as_str(), "storage": storage.as_str(), "permissions": permissions, "fixed": fixed,
            },
            "owners": texts(&owners), "writers": texts(&writers), "readers": texts(&readers),
        });
        return context.output.result(&value, "");
    }
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let rows = [
        ("dataset", dataset.to_owned()),
        ("at height", height.to_string()),
        ("version", record.version.to_string()),
        ("active", yes(record.active)),
        ("encryption", encryption.to_string()),
        ("storage", storage.to_string()),
        (
            "permissions",
            if permissions {
                "on"
            } else {
                "off: every user of the tenant writes and reads"
            }
            .to_owned(),
        ),
        ("configuration fixed", yes(fixed)),
        ("owners", texts(&owners).join(", ")),
        ("writers", texts(&writers).join(", ")),
        ("readers", texts(&readers).join(", ")),
    ];
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    context.output.table(&["", ""], &rows, &[])
}

async fn configure(context: &Context, arguments: &ConfigureArgs) -> Outcome {
    let (tenant, dataset) = parse_dataset(&arguments.dataset)?;
    let user = context.user(&tenant, arguments.signer.as_deref())?;
    let client = context
        .client_as(&Owner::User(tenant.to_string(), user.to_string()))
        .await?;
    let (_, record, _) = client.permissions(&tenant, &dataset, Role::Owner, None).await?;
    let mut configuration = record.configuration;
    if let Some(storage) = arguments.storage {
        configuration.storage = match storage {
            StorageArg::Chain => Storage::Chain,
            StorageArg::Outside => Storage::Outside,
        };
    }
    if let Some(switch) = arguments.permissions {
        configuration.permissions = switch == SwitchArg::On;
    }
    configuration.fixed |= arguments.fix;
    // Of the version that was looked at: a change by another owner meanwhile is not undone unseen.
    let recorded = client
        .configure_dataset(tenant, dataset, configuration, Some(record.version))
        .await?;
    let text = format!("dataset {} has its new configuration", arguments.dataset);
    done(context, &recorded, &text)
}

async fn set_active(context: &Context, arguments: &ActivityArgs, active: bool) -> Outcome {
    let (tenant, dataset) = parse_dataset(&arguments.dataset)?;
    let client = context
        .client_as(&owner_or_admin(&tenant, arguments.signer.as_deref()))
        .await?;
    let recorded = client.set_dataset_active(tenant, dataset, active).await?;
    let what = if active {
        "can be written and read"
    } else {
        "cannot be written or read"
    };
    done(
        context,
        &recorded,
        &format!("documents of {} {what} now", arguments.dataset),
    )
}

pub(super) async fn erase(context: &Context, arguments: &EraseArgs) -> Outcome {
    let (tenant, dataset, document) = parse_document(&arguments.document)?;
    let what = match arguments.version {
        Some(version) => format!("version {version} of {}", arguments.document),
        None => format!("{} with all its versions", arguments.document),
    };
    if !arguments.yes {
        return Err(Failure::error(
            format!("this erases {what}: nobody will ever be approved to read it again"),
            "add --yes if that is what you want",
        ));
    }
    let client = context
        .client_as(&owner_or_admin(&tenant, arguments.signer.as_deref()))
        .await?;
    let version = arguments.version.map_or(0, NonZeroU64::get);
    let recorded = client.erase_document(tenant, dataset, document, version).await?;
    let text =
        format!("{what} is erased; an object outside the chain is still to be deleted by whoever keeps it");
    done(context, &recorded, &text)
}

pub(super) async fn grant(context: &Context, arguments: &GrantArgs) -> Outcome {
    let (client, tenant, dataset, user) = permission(context, arguments).await?;
    let role = role(arguments.role);
    let recorded = client.grant(tenant, dataset, user, role).await?;
    done(
        context,
        &recorded,
        &format!("{} is now a {role} of {}", arguments.user, arguments.dataset),
    )
}

pub(super) async fn revoke(context: &Context, arguments: &GrantArgs) -> Outcome {
    let (client, tenant, dataset, user) = permission(context, arguments).await?;
    let role = role(arguments.role);
    let recorded = client.revoke(tenant, dataset, user, role).await?;
    done(
        context,
        &recorded,
        &format!(
            "{} is no longer a {role} of {}",
            arguments.user, arguments.dataset
        ),
    )
}

async fn permission(context: &Context, arguments: &GrantArgs) -> Outcome<(Client, Name, Name, Name)> {
    let (tenant, dataset) = parse_dataset(&arguments.dataset)?;
    let user = parse("user", &arguments.user)?;
    let owner = owner_or_admin(&tenant, arguments.signer.as_deref());
    Ok((context.client_as(&owner).await?, tenant, dataset, user))
}

/// The named owner of a dataset, or else the tenant's administrator.
fn owner_or_admin(tenant: &Name, signer: Option<&str>) -> Owner {
    match signer {
        Some(signer) => Owner::User(tenant.to_string(), signer.to_owned()),
        None => Owner::TenantAdmin(tenant.to_string()),
    }
}

/// The key of somebody who is about to be created.
struct NewKey {
    keyring: Keyring,
    owner: Owner,
    identity: Arc<Identity>,
    /// Made now, and not by an earlier attempt, of which nobody knows what became.
    is_fresh: bool,
}

impl NewKey {
    /// The key made for this name earlier, when an earlier attempt got no further, or a new one.
    fn of(context: &Context, owner: Owner) -> Outcome<Self> {
        let keyring = context.keyring();
        let is_fresh = !keyring.has(&owner);
        let identity = if is_fresh {
            keyring.create(&owner)?
        } else {
            keyring.open(&owner)?
        };
        Ok(Self {
            keyring,
            owner,
            identity,
            is_fresh,
        })
    }

    fn public(&self) -> PublicKey {
        public(&self.identity)
    }

    /// A key that the chain has rejected is nobody's: commands would find it, and sign with it in vain.
    fn unless_rejected(self, created: Result<Recorded, Error>) -> Outcome<Recorded> {
        if self.is_fresh && matches!(created, Err(Error::Rejected { .. })) {
            self.keyring.remove(&self.owner, &self.identity.public_key())?;
        }
        Ok(created?)
    }
}

fn public(identity: &Identity) -> PublicKey {
    PublicKey::of(identity.signing_key())
}

fn names(texts: &[String]) -> Outcome<BTreeSet<Name>> {
    texts.iter().map(|text| parse("user", text)).collect()
}

fn role(role: RoleArg) -> Role {
    match role {
        RoleArg::Owner => Role::Owner,
        RoleArg::Writer => Role::Writer,
        RoleArg::Reader => Role::Reader,
    }
}

fn done(context: &Context, recorded: &Recorded, text: &str) -> Outcome {
    let value = json!({
        "status": "applied",
        "tx_id": recorded.tx_id.to_string(),
        "index": recorded.index,
        "height": recorded.height,
        "time_ms": recorded.time_ms,
    });
    context.output.result(
        &value,
        &format!("{text} (log entry {}, {})", recorded.index, recorded.tx_id),
    )
}
