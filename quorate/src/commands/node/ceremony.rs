//! The verbs of a ceremony: propose, join, accept, reject, execute, abort.

use proto::custody::{
    AbortCeremonyRequest, CeremonyKind, ExecuteCeremonyRequest, JoinCeremonyRequest, ProposeCeremonyRequest,
    RetireEpochRequest,
};
use serde_json::json;

use super::connect;
use crate::cli::{CeremonyArgs, NodeArgs, ProposeArgs};
use crate::cluster::operator::Operator;
use crate::commands::Context;
use crate::failure::{Failure, Outcome};

pub(super) async fn propose(context: &Context, arguments: &ProposeArgs) -> Outcome {
    let what = &arguments.what;
    let kind = match (&what.repair, what.refresh || what.reshare) {
        (Some(_), _) => CeremonyKind::Repair,
        (None, true) => CeremonyKind::Resharing,
        (None, false) => CeremonyKind::KeyGeneration,
    };
    if what.refresh && (arguments.threshold.is_some() || !arguments.members.is_empty()) {
        return Err(Failure::error(
            "a refresh keeps members and threshold",
            "use --reshare to change them",
        ));
    }
    let mut operator = connect(context, &arguments.node)?;
    let message = ProposeCeremonyRequest {
        kind: kind.into(),
        threshold: arguments.threshold.unwrap_or(0).into(),
        members: arguments.members.clone(),
        lost: what.repair.clone().unwrap_or_default(),
    };
    let answer = operator
        .rpc
        .propose_ceremony(message)
        .await
        .map_err(|status| operator.failed(&status))?;
    let id = hex::encode(answer.into_inner().ceremony_id);
    let text = format!(
        "ceremony {id} proposed; every operator looks at it with `quorate node status`, compares the id by telephone, and \
         joins or accepts"
    );
    context.output.result(&json!({ "ceremony_id": id }), &text)
}

pub(super) async fn join(context: &Context, arguments: &CeremonyArgs) -> Outcome {
    let mut operator = connect(context, &arguments.node)?;
    let ceremony_id = ceremony_id(&mut operator, &arguments.ceremony).await?;
    let id = hex::encode(&ceremony_id);
    // The key that the profile pins, for a node that holds no share of it.
    let key_id = context.profile()?.key_id.as_deref().map(hex::decode);
    let key_id = key_id
        .transpose()
        .map_err(anyhow::Error::from)?
        .unwrap_or_default();
    operator
        .rpc
        .join_ceremony(JoinCeremonyRequest { ceremony_id, key_id })
        .await
        .map_err(|status| operator.failed(&status))?;
    context.output.result(
        &json!({ "ceremony_id": id, "joined": true }),
        &format!("joined {id}"),
    )
}

pub(super) async fn execute(context: &Context, arguments: &CeremonyArgs, without: Vec<String>) -> Outcome {
    let mut operator = connect(context, &arguments.node)?;
    let ceremony_id = ceremony_id(&mut operator, &arguments.ceremony).await?;
    let id = hex::encode(&ceremony_id);
    operator
        .rpc
        .execute_ceremony(ExecuteCeremonyRequest { ceremony_id, without })
        .await
        .map_err(|status| operator.failed(&status))?;
    context.output.result(
        &json!({ "ceremony_id": id, "executed": true }),
        &format!("begun {id}"),
    )
}

/// Rejecting is giving up before anything was promised; what it means for the others, they know by the member's role.
pub(super) async fn abort(context: &Context, arguments: &CeremonyArgs, done: &str) -> Outcome {
    let mut operator = connect(context, &arguments.node)?;
    let ceremony_id = ceremony_id(&mut operator, &arguments.ceremony).await?;
    let id = hex::encode(&ceremony_id);
    operator
        .rpc
        .abort_ceremony(AbortCeremonyRequest { ceremony_id })
        .await
        .map_err(|status| operator.failed(&status))?;
    context
        .output
        .result(&json!({ "ceremony_id": id, done: true }), &format!("{done} {id}"))
}

/// What waits for seats that never answer ends with the operator's word.
pub(super) async fn retire(context: &Context, node: &NodeArgs, epoch: u32) -> Outcome {
    let mut operator = connect(context, node)?;
    operator
        .rpc
        .retire_epoch(RetireEpochRequest { epoch })
        .await
        .map_err(|status| operator.failed(&status))?;
    context.output.result(
        &json!({ "epoch": epoch, "destroyed": true }),
        &format!("the share of epoch {epoch} is destroyed"),
    )
}

/// Whoever consents says to what: what a node shows by then may be another than what the operator has compared.
async fn ceremony_id(operator: &mut Operator, given: &str) -> Outcome<Vec<u8>> {
    let text = given.to_ascii_lowercase();
    let is_id = text.bytes().all(|byte| byte.is_ascii_hexdigit()) && (SHORTEST..=64).contains(&text.len());
    if !is_id {
        return Err(Failure::error(
            format!("{given:?} is not a ceremony's id, nor how one begins"),
            "copy it from `quorate node status`, at least 8 digits",
        ));
    }
    if let Some(id) = hex::decode(&text).ok().filter(|id| id.len() == 32) {
        return Ok(id);
    }
    let shown = operator.status().await?.ceremony;
    let shown = shown.map(|ceremony| ceremony.ceremony_id);
    shown
        .filter(|id| hex::encode(id).starts_with(&text))
        .ok_or_else(|| {
            Failure::error(
                format!("the node shows no ceremony whose id begins with {text}"),
                "compare with `quorate node status`, or give the whole id",
            )
        })
}

/// Fewer digits are too easily those of another ceremony.
const SHORTEST: usize = 8;
