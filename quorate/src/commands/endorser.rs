//! The endorsers: who decides on the chain, and how that changes.

use std::path::Path;

use golden_record::{Address, Change, Endorsers as _, Organisation, Outcome as Recorded};
use ledger_endorser::setup::{PublicParts, create_keys, parse_public_parts};
use serde_json::json;
use service::Passphrase;
use threshold::name::Name;
use threshold::signature::PublicKey;

use super::{Context, parse};
use crate::cli::EndorserCommand;
use crate::failure::{Failure, Outcome};
use crate::keyring::Owner;

pub(super) async fn run(context: &Context, command: EndorserCommand) -> Outcome {
    match command {
        EndorserCommand::List => list(context).await,
        EndorserCommand::Keys {
            organisation,
            keys,
            directory,
            passphrase_file,
        } => new_keys(context, &organisation, &keys, &directory, &passphrase_file),
        EndorserCommand::Add {
            public,
            admin,
            address,
        } => {
            let parts = public_parts(&public)?;
            let organisation = Organisation {
                name: parts.organisation.clone(),
                validator: key("the validator's key", &parts.validator)?,
                admin: parse("administrator's key", &admin)?,
                ca_certificate: parts.ca_certificate,
            };
            let address: Address = parse("address", &address)?;
            let what = format!("{} joins with its endorser at {address}", parts.organisation);
            let change = Change::AddOrganisation {
                organisation,
                address,
            };
            confirm(context, change, &what).await
        }
        EndorserCommand::Remove { organisation } => {
            let organisation: Name = parse("organisation", &organisation)?;
            let what = format!("{organisation} leaves with its endorser");
            confirm(context, Change::RemoveOrganisation { organisation }, &what).await
        }
        EndorserCommand::Replace { public, address } => {
            let parts = public_parts(&public)?;
            let address: Address = parse("address", &address)?;
            let what = format!("the endorser of {} is the one at {address}", parts.organisation);
            let change = Change::ReplaceEndorser {
                organisation: parts.organisation.clone(),
                validator: key("the validator's key", &parts.validator)?,
                address,
            };
            confirm(context, change, &what).await
        }
    }
}

/// Who decides in the newest epoch that the endorsers prove, and what each says of itself.
async fn list(context: &Context) -> Outcome {
    let client = context.client(None).await?;
    let statuses = client.endorser_statuses().await;
    let epochs = client.epochs();
    let (number, set) = (epochs.newest(), epochs.endorsers());
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    let gone = epochs
        .known()
        .into_iter()
        .rev()
        .skip(1)
        .flat_map(|set| set.members().to_vec());
    let mut shown: Vec<Name> = Vec::new();
    let present = set.members().iter().cloned().map(|one| (one, true));
    for ((organisation, validator), decides) in present.chain(gone.map(|one| (one, false))) {
        if shown.contains(&organisation) {
            continue;
        }
        shown.push(organisation.clone());
        let told = statuses.iter().find(|(name, _)| *name == organisation);
        let says = match told {
            None => "not in the profile".to_owned(),
            Some((_, Err(error))) => error.to_string(),
            Some((_, Ok(status))) if status.votes => format!("votes in epoch {}", status.epoch),
            Some((_, Ok(status))) if status.is_endorser => {
                format!("follows epoch {}, before it votes", status.epoch)
            }
            Some((_, Ok(status))) => format!("is no endorser of epoch {}", status.epoch),
        };
        let place = if decides { "decides" } else { "has left" };
        values.push(json!({
            "organisation": organisation.as_str(), "validator": validator.to_string(), "decides": decides,
            "epoch": number, "first_block": set.first(), "says": says,
        }));
        rows.push(vec![
            organisation.to_string(),
            place.to_owned(),
            validator.to_string(),
            says,
        ]);
    }
    context.output.message(&format!(
        "epoch {number}, since block {}; {} of {} decide",
        set.first(),
        set.needed(),
        set.members().len()
    ));
    context.output.table(
        &["organisation", "", "votes with", "says of itself"],
        &rows,
        &values,
    )
}

fn new_keys(
    context: &Context,
    organisation: &str,
    keys: &Path,
    directory: &Path,
    passphrase: &Path,
) -> Outcome {
    let organisation: Name = parse("organisation", organisation)?;
    let passphrase = Passphrase::from_file(passphrase).map_err(anyhow::Error::from)?;
    let parts = create_keys(keys, directory, &organisation, &passphrase, client_now_ms());
    let parts = parts.map_err(anyhow::Error::from)?;
    let public = keys.join("public.toml");
    context.output.result(
        &json!({
            "organisation": organisation.as_str(), "identity": hex::encode(parts.identity),
            "validator": hex::encode(parts.validator), "public": public.display().to_string(),
        }),
        &format!(
            "{organisation} has keys for an endorser; give {} to the other organisations",
            public.display()
        ),
    )
}

/// Confirms a change under the present revision, which the log gives.
async fn confirm(context: &Context, change: Change, what: &str) -> Outcome {
    let client = context.client_as(&Owner::Admin).await?;
    let revision = client.organisations_revision().await?;
    let recorded = client.govern(revision, change).await?;
    let made = recorded.entry.outcome == Recorded::Applied;
    let text = match recorded.entry.outcome {
        Recorded::Pending { confirmed, needed } => {
            format!("{what}: confirmed by {confirmed} of the {needed} organisations that it takes")
        }
        _ => format!("{what}: decided, in force in some 33 blocks"),
    };
    context.output.result(
        &json!({
            "tx_id": recorded.tx_id.to_string(), "height": recorded.height, "revision": revision,
            "outcome": recorded.entry.outcome.kind(), "made": made,
        }),
        &text,
    )
}

fn public_parts(file: &Path) -> Outcome<PublicParts> {
    parse_public_parts(file).map_err(|error| {
        Failure::error(
            error.to_string(),
            "give the public.toml that `quorate endorser keys` has written",
        )
    })
}

fn key(what: &'static str, bytes: &[u8; 32]) -> Outcome<PublicKey> {
    PublicKey::from_bytes(bytes)
        .map_err(|error| Failure::error(format!("{what}: {error}"), "ask for the file again"))
}

fn client_now_ms() -> u64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(elapsed.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
