//! The operator of a crypto node: status, and consent to ceremonies.

use client::NodeProfile;
use proto::custody::{CeremonyPhase, CeremonyStatus, GetNodeStatusResponse, MemberStatus};
use serde_json::json;
use service::identity::Identity;
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;

mod ceremony;
mod diagnose;
mod report;
mod seal;

use super::Context;
use crate::cli::{NodeArgs, NodeCommand};
use crate::cluster::operator::{self, Operator};
use crate::failure::{Failure, Outcome};
use crate::keyring;

pub(super) async fn run(context: &Context, command: NodeCommand) -> Outcome {
    match command {
        NodeCommand::Status(node) => status(context, &node).await,
        NodeCommand::Diagnose(node) => diagnose::run(context, &node).await,
        NodeCommand::Propose(arguments) => ceremony::propose(context, &arguments).await,
        NodeCommand::Join(arguments) | NodeCommand::Accept(arguments) => {
            ceremony::join(context, &arguments).await
        }
        NodeCommand::Reject(arguments) => ceremony::abort(context, &arguments, "rejected").await,
        NodeCommand::Execute { ceremony, without } => ceremony::execute(context, &ceremony, without).await,
        NodeCommand::Abort(arguments) => ceremony::abort(context, &arguments, "aborted").await,
        NodeCommand::Committee { node, out } => committee(context, &node, &out).await,
        NodeCommand::Publish { report } => report::publish(context, &report).await,
        NodeCommand::Report(arguments) => report::run(context, &arguments).await,
        NodeCommand::Retire { node, epoch } => ceremony::retire(context, &node, epoch).await,
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
        let value = json!({
            "name": status.name, "index": status.index, "key_id": key_id,
            "epoch": key.as_ref().map(|manifest| manifest.epoch()),
            "threshold": key.as_ref().map(|manifest| manifest.threshold().to_string()),
            "journal_entries": status.journal_entries, "journal_head": hex::encode(&status.journal_head),
            "serves_epoch": (status.serves_epoch > 0).then_some(status.serves_epoch),
            "ceremony": ceremony.map(|ceremony| json!({
                "ceremony_id": hex::encode(&ceremony.ceremony_id), "phase": phase, "threshold": ceremony.threshold,
                "what": ceremony.what, "deadline_ms": ceremony.deadline_ms, "excluded": ceremony.excluded,
                "transcript": hex::encode(&ceremony.transcript), "reason": ceremony.reason,
                "members": ceremony.members.iter().map(member_json).collect::<Vec<_>>(),
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
    if status.serves_epoch > 0 {
        lines.push(format!(
            "serves    epoch {} too, until the new one is on the chain and used",
            status.serves_epoch
        ));
    }
    if let (Some(ceremony), Some(phase)) = (&status.ceremony, phase) {
        describe_ceremony(ceremony, phase, &mut lines);
    }
    lines.join("\n")
}

fn member_json(member: &MemberStatus) -> serde_json::Value {
    json!({
        "index": member.index, "dealer": member.dealer, "name": member.name, "joined": member.joined,
        "rejected": member.rejected, "confirmed": member.confirmed, "needed": member.needed,
    })
}

/// The ceremony, with a box to tick for each member, and what to read aloud.
fn describe_ceremony(ceremony: &CeremonyStatus, phase: &str, lines: &mut Vec<String>) {
    use crate::output::printable;
    lines.push(format!(
        "ceremony  {} {phase}",
        hex::encode(&ceremony.ceremony_id)
    ));
    lines.push(format!("          to {}", printable(&ceremony.what)));
    if !ceremony.transcript.is_empty() {
        lines.push(format!("aloud     {}", read_aloud(&ceremony.transcript)));
    }
    if !ceremony.reason.is_empty() {
        lines.push(format!("          {}", printable(&ceremony.reason)));
    }
    for excluded in &ceremony.excluded {
        lines.push(format!("left out  {}", printable(excluded)));
    }
    for member in &ceremony.members {
        let tick = |done| if done { "[x]" } else { "[ ]" };
        let consent = if member.rejected {
            "[-]"
        } else {
            tick(member.joined)
        };
        let confirmed = match member.needed {
            true => tick(member.confirmed),
            false => "   ",
        };
        let role = match (member.index, member.dealer) {
            (0, dealer) => format!("deals as {dealer}"),
            (seat, 0) => format!("seat {seat}"),
            (seat, dealer) => format!("seat {seat}, deals as {dealer}"),
        };
        let name = printable(&member.name);
        lines.push(format!(
            "          {consent} joined {confirmed} confirmed  {name} ({role})"
        ));
    }
}

/// A digest in groups of four digits, as it is read over the telephone.
fn read_aloud(digest: &[u8]) -> String {
    let groups = digest.chunks(2).map(hex::encode);
    groups.collect::<Vec<_>>().join(" ")
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
    let passphrase = keyring::known_passphrase(&key.with_file_name("passphrase"))?;
    let identity = Identity::load(key, &passphrase).map_err(anyhow::Error::from)?;
    Ok((found.clone(), identity))
}
