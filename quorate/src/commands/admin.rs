//! Tenants, users, datasets, permissions.

use std::collections::BTreeSet;
use std::sync::Arc;

use client::{Client, Recorded};
use golden_record::Role;
use serde_json::json;
use service::identity::Identity;
use threshold::name::Name;
use threshold::signature::PublicKey;

use super::{Context, parse, parse_dataset};
use crate::cli::{DatasetCommand, GrantArgs, RoleArg, TenantCommand, UserCommand};
use crate::failure::Outcome;
use crate::keyring::Owner;

pub(super) async fn tenant(context: &Context, command: TenantCommand) -> Outcome {
    let TenantCommand::Create { tenant } = command;
    let name: Name = parse("tenant", &tenant)?;
    let client = context.client_as(&Owner::Admin).await?;
    let key = new_key(context, &Owner::TenantAdmin(tenant.clone()))?;
    let recorded = client.create_tenant(name, public(&key)).await?;
    done(
        context,
        &recorded,
        &format!("tenant {tenant} created; its administrator's key is in the keyring"),
    )
}

pub(super) async fn user(context: &Context, command: UserCommand) -> Outcome {
    let UserCommand::Create { tenant, user } = command;
    let (tenant_name, user_name) = (parse("tenant", &tenant)?, parse("user", &user)?);
    let client = context.client_as(&Owner::TenantAdmin(tenant.clone())).await?;
    let key = new_key(context, &Owner::User(tenant.clone(), user.clone()))?;
    let recorded = client.create_user(tenant_name, user_name, public(&key)).await?;
    done(
        context,
        &recorded,
        &format!("user {user} of tenant {tenant} created; the key is in the keyring"),
    )
}

pub(super) async fn dataset(context: &Context, command: DatasetCommand) -> Outcome {
    let DatasetCommand::Create {
        dataset,
        owner,
        writer,
        reader,
    } = command;
    let (tenant, name) = parse_dataset(&dataset)?;
    let client = context.client_as(&Owner::TenantAdmin(tenant.to_string())).await?;
    let recorded = client
        .create_dataset(tenant, name, names(&owner)?, names(&writer)?, names(&reader)?)
        .await?;
    done(context, &recorded, &format!("dataset {dataset} created"))
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
    let owner = match &arguments.signer {
        Some(signer) => Owner::User(tenant.to_string(), signer.clone()),
        None => Owner::TenantAdmin(tenant.to_string()),
    };
    Ok((context.client_as(&owner).await?, tenant, dataset, user))
}

/// The key made for this name earlier, when an earlier attempt got no further, or a new one.
fn new_key(context: &Context, owner: &Owner) -> Outcome<Arc<Identity>> {
    let keyring = context.keyring();
    if keyring.has(owner) {
        keyring.open(owner)
    } else {
        keyring.create(owner)
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
