//! Read receipts: written, exported, and verified with nothing running.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use client::{Client, ReadReport};
use golden_record::TxId;
use receipt::{MAX_RECEIPT, MAX_ROOTS, NotValid, PinnedRoots, Receipt, Step, StepOutcome, Verdict};
use serde_json::{Value, json};
use service::files::{Secrecy, write_atomically};

use super::{Context, parse};
use crate::cli::{AuditReceiptArgs, AuditRootsArgs, AuditVerifyArgs};
use crate::failure::{Failure, Outcome};
use crate::output::printable;

/// Refuses to replace a file that nobody said to replace.
pub(super) fn check_free(path: &Path, force: bool) -> Outcome {
    if path.exists() && !force {
        return Err(Failure::error(
            format!("{} exists already", path.display()),
            "choose another file, or replace it with --force",
        ));
    }
    Ok(())
}

/// Writes the receipt of a read that this client has just made.
pub(super) async fn of_read(
    context: &Context,
    client: &Client,
    report: &ReadReport,
    path: &Path,
    force: bool,
) -> Outcome {
    let progress = context.output.progress("collecting the receipt");
    let receipt = client.receipt(report).await?;
    let checked = receipt.verify(&client.pinned_roots().await?);
    drop(progress);
    write(context, &receipt, path, force)?;
    checked.map(|_| ()).map_err(|why| {
        Failure::error(
            format!("the read succeeded, and its receipt does not verify: {why}"),
            "keep the receipt, and show it to the operator of whoever it names",
        )
    })
}

/// Writes what the endorsers have of a receipt.
pub(super) async fn of_recorded(
    context: &Context,
    client: &Client,
    tx_id: &TxId,
    path: &Path,
    force: bool,
) -> Outcome {
    let progress = context.output.progress("collecting the receipt");
    let receipt = client.recorded_receipt(tx_id).await?;
    drop(progress);
    write(context, &receipt, path, force)
}

pub(super) async fn recorded(context: &Context, arguments: &AuditReceiptArgs) -> Outcome {
    let tx_id: TxId = parse("transaction", &arguments.tx_id)?;
    check_free(&arguments.output, arguments.force)?;
    let client = context.client(None).await?;
    of_recorded(context, &client, &tx_id, &arguments.output, arguments.force).await?;
    let value = json!({ "receipt": arguments.output.display().to_string(), "request": arguments.tx_id });
    if context.output.is_json() {
        return context.output.result(&value, "");
    }
    Ok(())
}

pub(super) async fn roots(context: &Context, arguments: &AuditRootsArgs) -> Outcome {
    let path = roots_path(context, arguments.output.as_ref());
    check_free(&path, arguments.force)?;
    let roots = context.client(None).await?.pinned_roots().await?;
    put(&path, &roots.to_json(), arguments.force)?;
    context.output.message(&format!(
        "wrote the roots of chain {} to {}; keep the file where nobody else can change it",
        roots.genesis().chain_id(),
        path.display()
    ));
    if context.output.is_json() {
        let value = json!({
            "roots": path.display().to_string(), "chain_id": roots.genesis().chain_id().to_string(),
        });
        return context.output.result(&value, "");
    }
    Ok(())
}

/// Touches no network and no profile.
pub(super) fn verify(context: &Context, arguments: &AuditVerifyArgs) -> Outcome {
    let roots = pinned(context, arguments.roots.as_ref())?;
    let bytes = read(&arguments.file, MAX_RECEIPT)?;
    match receipt::verify(&bytes, &roots) {
        Ok((_, report)) => {
            let text = explained("valid", &report.steps, arguments.explain);
            context.output.result(&value("valid", &report.steps), &text)
        }
        Err(why) => {
            let (name, failure) = ending(&why);
            if context.output.is_json() || arguments.explain {
                let text = explained(name, &why.steps, arguments.explain);
                context.output.result(&value(name, &why.steps), &text)?;
            }
            Err(failure)
        }
    }
}

/// The pinned roots of a file.
pub(super) fn pinned(context: &Context, named: Option<&PathBuf>) -> Outcome<PinnedRoots> {
    let path = roots_path(context, named);
    let roots = read(&path, MAX_ROOTS).map_err(|failure| Failure {
        next: "export them with `quorate audit roots`, or say where they are with --roots".into(),
        ..failure
    })?;
    PinnedRoots::from_json(&roots).map_err(|error| {
        Failure::error(
            format!("{}: {error}", path.display()),
            "export the roots again with `quorate audit roots`",
        )
    })
}

fn ending(why: &NotValid) -> (&'static str, Failure) {
    let text = printable(&why.to_string());
    match why.verdict {
        Verdict::Invalid => (
            "invalid",
            Failure::no(
                "invalid_receipt",
                text,
                "do not rely on it; ask whoever gave it to you for another copy",
            ),
        ),
        Verdict::CannotTell => (
            "cannot_tell",
            Failure {
                code: "cannot_tell".into(),
                ..Failure::error(
                    text,
                    "get what is missing: the reader's own receipt, or newer roots",
                )
            },
        ),
    }
}

/// The verdict, and each step with its mark: holds, fails, cannot be told.
fn explained(verdict: &str, steps: &[Step], every_step: bool) -> String {
    let mut lines = vec![verdict.replace('_', " ")];
    for step in steps.iter().filter(|_| every_step) {
        let mark = match step.outcome {
            StepOutcome::Holds => 'x',
            StepOutcome::Fails => ' ',
            StepOutcome::CannotTell => '?',
        };
        lines.push(format!("[{mark}] {}: {}", step.code, printable(&step.text)));
    }
    lines.join("\n")
}

fn value(verdict: &str, steps: &[Step]) -> Value {
    let steps: Vec<Value> = steps
        .iter()
        .map(|step| {
            let outcome = match step.outcome {
                StepOutcome::Holds => "holds",
                StepOutcome::Fails => "fails",
                StepOutcome::CannotTell => "cannot_tell",
            };
            json!({ "step": step.code, "outcome": outcome, "text": step.text })
        })
        .collect();
    json!({ "verdict": verdict, "steps": steps })
}

fn roots_path(context: &Context, named: Option<&PathBuf>) -> PathBuf {
    named
        .cloned()
        .unwrap_or_else(|| context.home.path().join("roots.json"))
}

fn write(context: &Context, receipt: &Receipt, path: &Path, force: bool) -> Outcome {
    put(path, &receipt.to_text(), force)?;
    context.output.message(&format!(
        "receipt in {}; anybody who has the roots verifies it with `quorate audit verify`",
        path.display()
    ));
    Ok(())
}

fn put(path: &Path, text: &str, force: bool) -> Outcome {
    check_free(path, force)?;
    write_atomically(path, text.as_bytes(), Secrecy::Public)
        .map_err(|error| Failure::from(error).while_doing(&format!("writing {}", path.display())))
}

/// One byte more than may be there is enough to know that it is too long.
fn read(path: &Path, most: usize) -> Outcome<Vec<u8>> {
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|error| {
            Failure::error(
                format!("cannot read {}: {error}", path.display()),
                "check the path",
            )
        })?;
    Ok(bytes)
}
