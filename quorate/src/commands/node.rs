//! The operator of a crypto node: status, and consent to ceremonies.

use client::NodeProfile;
use proto::custody::{
    AbortCeremonyRequest, CeremonyPhase, GetNodeStatusResponse, JoinCeremonyRequest,
    ProposeKeyGenerationRequest,
};
use serde_json::json;
use service::identity::Identity;
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;

mod seal;

use super::Context;
use crate::cli::{NodeArgs, NodeCommand};
use crate::cluster::operator::{self, Operator};
use crate::failure::{Failure, Outcome};
use crate::keyring;

pub(super) async fn run(context: &Context, command: NodeCommand) -> Outcome {
    match command {
        NodeCommand::Status(node) => status(context, &node).await,
        NodeCommand::Propose { node, threshold } => {
            let mut operator = connect(context, &node)?;
            let message = ProposeKeyGenerationRequest {
                threshold: threshold.into(),
            };
            let answer = operator
                .rpc
                .propose_key_generation(message)
                .await
                .map_err(|s| operator.failed(&s))?;
            let id = hex::encode(answer.into_inner().ceremony_id);
            let text =
                format!("ceremony {id} proposed; every operator joins with `quorate node join --node NAME`");
            context.output.result(&json!({ "ceremony_id": id }), &text)
        }
        NodeCommand::Join { node, ceremony } => {
            let mut operator = connect(context, &node)?;
            let ceremony_id = ceremony_id(&mut operator, ceremony).await?;
            let id = hex::encode(&ceremony_id);
            operator
                .rpc
                .join_ceremony(JoinCeremonyRequest { ceremony_id })
                .await
                .map_err(|s| operator.failed(&s))?;
            context.output.result(
                &json!({ "ceremony_id": id, "joined": true }),
                &format!("joined {id}"),
            )
        }
        NodeCommand::Abort { node, ceremony } => {
            let mut operator = connect(context, &node)?;
            let ceremony_id = ceremony_id(&mut operator, ceremony).await?;
            let id = hex::encode(&ceremony_id);
            operator
                .rpc
                .abort_ceremony(AbortCeremonyRequest { ceremony_id })
                .await
                .map_err(|s| operator.failed(&s))?;
            context.output.result(
                &json!({ "ceremony_id": id, "aborted": true }),
                &format!("aborted {id}"),
            )
        }
        NodeCommand::Committee { node, out } => committee(context, &node, &out).await,
        NodeCommand::Unseal(arguments) => seal::unseal(context, &arguments).await,
        NodeCommand::Reseal(arguments) => seal::reseal(context, &arguments),
    }
}

async fn committee(context: &Context, node: &NodeArgs, out: &std::path::Path) -> Outcome {
    let status = connect(context, node)?.status().await?;
    let signed = SignedManifest::from_bytes(&status.manifest)
        .ok()
        .filter(|signed| signed.verify().is_ok())
        .ok_or_else(|| {
            Failure::error(
                format!("crypto node {} has no key in use", node.node),
                "ask a member whose node has one",
            )
        })?;
    let manifest = &signed.manifest;
    super::write_new(out, &status.manifest)?;
    let (key, epoch) = (manifest.key_id().to_string(), manifest.epoch());
    context.output.result(
        &json!({ "key_id": key, "epoch": epoch, "digest": manifest.digest().to_string(), "file": out }),
        &format!(
            "{}: key {key}, epoch {epoch}, digest {}",
            out.display(),
            manifest.digest()
        ),
    )
}

async fn status(context: &Context, node: &NodeArgs) -> Outcome {
    let mut operator = connect(context, node)?;
    let status = operator.status().await?;
    let key = SignedManifest::from_bytes(&status.manifest)
        .ok()
        .map(|signed| signed.manifest);
    let key_id = key.as_ref().map(|manifest| manifest.key_id().to_string());
    let ceremony = status.ceremony.as_ref();
    let phase = ceremony.map(|ceremony| phase(ceremony.phase()));
    if context.output.is_json() {
        let members: Vec<_> = ceremony
            .map(|ceremony| ceremony.members.as_slice())
            .unwrap_or_default()
            .iter()
            .map(|member| {
                json!({
                    "index": member.index, "name": member.name, "joined": member.joined,
                    "confirmed": member.confirmed,
                })
            })
            .collect();
        let value = json!({
            "name": status.name, "index": status.index, "key_id": key_id,
            "epoch": key.as_ref().map(|manifest| manifest.epoch()),
            "threshold": key.as_ref().map(|manifest| manifest.threshold().to_string()),
            "journal_entries": status.journal_entries, "journal_head": hex::encode(&status.journal_head),
            "ceremony": ceremony.map(|ceremony| json!({
                "ceremony_id": hex::encode(&ceremony.ceremony_id), "phase": phase, "threshold": ceremony.threshold,
                "transcript": hex::encode(&ceremony.transcript), "reason": ceremony.reason, "members": members,
            })),
        });
        return context.output.result(&value, "");
    }
    context.output.line(&describe(&status, key_id.as_deref(), phase))
}

fn describe(status: &GetNodeStatusResponse, key_id: Option<&str>, phase: Option<&str>) -> String {
    let mut lines = vec![
        format!("node      {} (seat {})", status.name, status.index),
        format!("key       {}", key_id.unwrap_or("none yet")),
        format!(
            "journal   {} entries, head {}",
            status.journal_entries,
            hex::encode(&status.journal_head)
        ),
    ];
    if let (Some(ceremony), Some(phase)) = (&status.ceremony, phase) {
        lines.push(format!(
            "ceremony  {} {phase}",
            hex::encode(&ceremony.ceremony_id)
        ));
        if !ceremony.reason.is_empty() {
            lines.push(format!(
                "          {}",
                crate::output::printable(&ceremony.reason)
            ));
        }
        for member in &ceremony.members {
            let tick = |done| if done { "[x]" } else { "[ ]" };
            lines.push(format!(
                "          {} joined {} confirmed  {} ({})",
                tick(member.joined),
                tick(member.confirmed),
                crate::output::printable(&member.name),
                member.index
            ));
        }
    }
    lines.join("\n")
}

fn phase(phase: CeremonyPhase) -> &'static str {
    match phase {
        CeremonyPhase::Unspecified => "unknown",
        CeremonyPhase::Proposed => "proposed",
        CeremonyPhase::Committing => "committing",
        CeremonyPhase::Dealing => "dealing",
        CeremonyPhase::Confirming => "confirming",
        CeremonyPhase::Canary => "canary",
        CeremonyPhase::Done => "done",
        CeremonyPhase::Aborted => "aborted",
    }
}

fn connect(context: &Context, node: &NodeArgs) -> Outcome<Operator> {
    let (found, identity) = operator_of(context, node)?;
    operator::connect(&found.name, &found.address, &found.identity, &identity)
}

/// The node's entry in the profile, and its operator's key.
fn operator_of(context: &Context, node: &NodeArgs) -> Outcome<(NodeProfile, Identity)> {
    let profile = context.profile()?;
    let found = profile
        .nodes
        .iter()
        .find(|known| known.name == node.node)
        .ok_or_else(|| {
            let names: Vec<&str> = profile.nodes.iter().map(|known| known.name.as_str()).collect();
            Failure::error(
                format!("the profile has no crypto node {}", node.node),
                format!("use one of: {}", names.join(", ")),
            )
        })?;
    let key = found.operator_key.as_ref().ok_or_else(|| {
        Failure::error(
            format!("the profile names no operator key for {}", node.node),
            "put `operator_key` beside the node in the profile: the path of the operator's sealed key",
        )
    })?;
    // An operator's key lies beside the passphrase file that it is sealed with.
    let passphrase = keyring::passphrase(&key.with_file_name("passphrase"))?;
    let identity = Identity::load(key, &passphrase).map_err(anyhow::Error::from)?;
    Ok((found.clone(), identity))
}

async fn ceremony_id(operator: &mut Operator, given: Option<String>) -> Outcome<Vec<u8>> {
    if let Some(text) = given {
        return hex::decode(&text).map_err(|_| {
            Failure::error(
                format!("{text:?} is not a ceremony's id"),
                "copy it from `quorate node status`",
            )
        });
    }
    let ceremony = operator.status().await?.ceremony;
    ceremony.map(|ceremony| ceremony.ceremony_id).ok_or_else(|| {
        Failure::error(
            "the node knows of no ceremony",
            "propose one with `quorate node propose`",
        )
    })
}
