//! A copy of the log on the auditor's own disk.

use client::Mirror;
use golden_record::Genesis;
use receipt::PinnedRoots;
use serde_json::json;

use super::super::documents::{faults, warn};
use super::super::{Context, receipts};
use super::VERIFIED;
use crate::cli::AuditMirrorArgs;
use crate::failure::{Failure, Outcome};

pub(super) async fn run(context: &Context, arguments: &AuditMirrorArgs) -> Outcome {
    if arguments.check {
        return check(context, arguments);
    }
    let client = context.client(None).await?;
    let progress = context
        .output
        .progress("reading the mirror again, and copying what is new");
    let mirror = Mirror::new(&arguments.dir, client.genesis()).remembered_in(&context.checkpoints());
    let mirrored = mirror.update(&client).await?;
    drop(progress);
    let value = json!({
        "directory": arguments.dir.display().to_string(),
        "before": mirrored.before,
        "size": mirrored.size,
        "root": hex::encode(mirrored.checkpoint.signed.checkpoint().root),
        "signatures": mirrored.checkpoint.signatures,
        "endorsers": mirrored.checkpoint.endorsers,
        "faults": faults(mirrored.faults.iter().chain(&mirrored.checkpoint.faults)),
        "verdict": VERIFIED,
    });
    let text = format!(
        "{} lines in {}: {} were read again and hold, {} are new; {} of {} endorsers have signed the root {}",
        mirrored.size,
        arguments.dir.display(),
        mirrored.before,
        mirrored.size - mirrored.before,
        mirrored.checkpoint.signatures,
        mirrored.checkpoint.endorsers,
        hex::encode(mirrored.checkpoint.signed.checkpoint().root)
    );
    context.output.result(&value, &text)?;
    warn(context, &mirrored.faults);
    warn(context, &mirrored.checkpoint.faults);
    Ok(())
}

/// Touches no network.
fn check(context: &Context, arguments: &AuditMirrorArgs) -> Outcome {
    let roots: PinnedRoots = receipts::pinned(context, arguments.roots.as_ref())?;
    let genesis: Genesis = roots.genesis().clone();
    let contents = Mirror::new(&arguments.dir, genesis)
        .remembered_in(&context.checkpoints())
        .check()?;
    let Some(checkpoint) = &contents.checkpoint else {
        return Err(Failure::no(
            "mirror_empty",
            format!("there is no mirror in {}", arguments.dir.display()),
            "name the directory of the mirror; `quorate audit mirror DIR` begins one",
        ));
    };
    let root = hex::encode(checkpoint.checkpoint().root);
    let value = json!({
        "size": contents.size(), "root": root, "signatures": checkpoint.signature_count(), "verdict": VERIFIED,
    });
    let text = format!(
        "all {} lines hold: they hash to the root {root}, which {} endorsers have signed",
        contents.size(),
        checkpoint.signature_count()
    );
    context.output.result(&value, &text)
}
