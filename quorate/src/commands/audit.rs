//! The log, verified before it is printed.

mod mirror;
mod reconcile;
mod search;
mod time;
mod watch;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use client::{Checkpoints, Client, VerifiedLog};
use golden_record::TxId;
use serde_json::{Value, json};

use super::documents::{faults, warn};
use super::{Context, log_line, parse, receipts};
use crate::cli::{AuditCommand, AuditLogArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, timestamp};

pub(super) async fn run(context: &Context, command: AuditCommand) -> Outcome {
    match command {
        AuditCommand::Log(arguments) => log(context, &arguments).await,
        AuditCommand::Search(arguments) => search::search(context, &arguments).await,
        AuditCommand::Export(arguments) => search::export(context, &arguments).await,
        AuditCommand::Watch(arguments) => watch::run(context, &arguments).await,
        AuditCommand::Mirror(arguments) => mirror::run(context, &arguments).await,
        AuditCommand::Reconcile(arguments) => reconcile::run(context, &arguments).await,
        AuditCommand::Checkpoint => checkpoint(context).await,
        AuditCommand::Get { tx_id } => get(context, &tx_id).await,
        AuditCommand::Receipt(arguments) => receipts::recorded(context, &arguments).await,
        AuditCommand::Roots(arguments) => receipts::roots(context, &arguments).await,
        AuditCommand::Verify(arguments) => receipts::verify(context, &arguments),
    }
}

async fn log(context: &Context, arguments: &AuditLogArgs) -> Outcome {
    let client = context.client(None).await?;
    let progress = context.output.progress("fetching and verifying the log");
    let log = client.verified_log().await?;
    drop(progress);
    if context.output.is_json() {
        let value = log_value(&log, arguments.reads, arguments.last);
        context.output.result(&value, "")?;
    } else {
        print(context.output, &log, arguments.reads, arguments.last)?;
    }
    context.output.message(&verdict(&log));
    warn(context, &log.faults);
    require_compared(log.validators, log.compared)
}

/// The log with all that was verified of it, for programs.
fn log_value(log: &VerifiedLog, reads: bool, last: Option<usize>) -> Value {
    let lines = lines(log, reads, last);
    json!({
        "entries": lines.iter().map(log_line::LogLine::value).collect::<Vec<_>>(),
        "log_size": log.header.log_size,
        "root": hex::encode(log.header.log_root),
        "height": log.header.height,
        "signatures": log.signatures,
        "validators": log.validators,
        "compared": log.compared,
        "faults": faults(&log.faults),
        "verdict": verdict_name(log.validators, log.compared),
    })
}

async fn get(context: &Context, tx_id: &str) -> Outcome {
    let tx_id: TxId = parse("transaction", tx_id)?;
    let proven = context.client(None).await?.prove(&tx_id).await?;
    let line = log_line::LogLine::new(&proven.line);
    let value = json!({ "entry": line.value(), "proof": hex::encode(&proven.proof), "verified": true });
    let text = format!("{}\n  {}", line.headline(), line.what);
    context.output.result(&value, &text)?;
    context.output.message(
        "verified: the entry is in the log, by its Merkle path to a block that 2f+1 validators have signed",
    );
    Ok(())
}

async fn checkpoint(context: &Context) -> Outcome {
    let checkpoint = context.client(None).await?.signed_checkpoint().await?;
    let text = checkpoint.signed.to_text();
    let value = json!({
        "checkpoint": text,
        "log_size": checkpoint.header.log_size,
        "root": hex::encode(checkpoint.header.log_root),
        "signatures": checkpoint.signatures,
        "endorsers": checkpoint.endorsers,
        "faults": faults(&checkpoint.faults),
        "verdict": VERIFIED,
    });
    context.output.result(&value, text.trim_end())?;
    context.output.message(&format!(
        "verified: {} of {} endorsers have signed it, and it continues what was verified here before",
        checkpoint.signatures, checkpoint.endorsers
    ));
    warn(context, &checkpoint.faults);
    Ok(())
}

/// A client as for every look, with checkpoints of its own.
async fn connect_with(context: &Context, directory: &Path) -> Result<Client, client::Error> {
    let failed = |failure: Failure| client::Error::Request(failure.message);
    let profile = context.profile().map_err(failed)?;
    let identity = context.looker(None).map_err(failed)?;
    Client::connect_with(profile, identity, Checkpoints::in_directory(directory)).await
}

/// What to say when too few endorsers have been compared: of 3f+1, f may lie.
fn too_few_compared(endorsers: usize, compared: usize) -> Option<String> {
    (compared <= endorsers.saturating_sub(1) / 3).then(|| {
        format!("only {compared} of {endorsers} endorsers were compared, so that something may be left out")
    })
}

/// The verdict on what was verified.
const VERIFIED: &str = "verified";

/// The verdict on what was verified, and compared with so many of the endorsers.
fn verdict_name(endorsers: usize, compared: usize) -> &'static str {
    match too_few_compared(endorsers, compared) {
        None => VERIFIED,
        Some(_) => "too_few_compared",
    }
}

/// One cannot tell whether something is left out: exit status 1.
fn require_compared(endorsers: usize, compared: usize) -> Outcome {
    match too_few_compared(endorsers, compared) {
        None => Ok(()),
        Some(why) => Err(Failure::error(
            why,
            "run it again when more of the endorsers can be reached",
        )),
    }
}

fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// Those lines of the log that are wanted.
fn lines(log: &VerifiedLog, reads: bool, last: Option<usize>) -> Vec<log_line::LogLine> {
    let mut lines: Vec<log_line::LogLine> = log.lines.iter().map(log_line::LogLine::new).collect();
    if reads {
        lines.retain(|line| line.is_about_reads);
    }
    if let Some(last) = last {
        lines.drain(..lines.len().saturating_sub(last));
    }
    lines
}

/// The log as a table.
pub(crate) fn print(output: Output, log: &VerifiedLog, reads: bool, last: Option<usize>) -> Outcome {
    let lines = lines(log, reads, last);
    let rows: Vec<Vec<String>> = lines.iter().map(log_line::LogLine::row).collect();
    let values: Vec<Value> = lines.iter().map(log_line::LogLine::value).collect();
    output.table(
        &["entry", "time", "what", "outcome", "transaction"],
        &rows,
        &values,
    )
}

/// What was verified, in one sentence.
pub(crate) fn verdict(log: &VerifiedLog) -> String {
    format!(
        "verified: {} entries hash to the root {} in block {} of {}, which {} of {} validators have signed",
        log.lines.len(),
        hex::encode(log.header.log_root),
        log.header.height,
        timestamp(log.header.time_ms),
        log.signatures,
        log.validators
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_no_more_endorsers_compared_than_may_lie_one_cannot_tell() {
        for (endorsers, compared) in [(4, 0), (4, 1), (7, 2), (1, 0)] {
            assert_eq!(require_compared(endorsers, compared).unwrap_err().exit_code(), 1);
            assert_eq!(verdict_name(endorsers, compared), "too_few_compared");
        }
        for (endorsers, compared) in [(4, 2), (7, 3), (1, 1)] {
            require_compared(endorsers, compared).unwrap();
            assert_eq!(verdict_name(endorsers, compared), "verified");
        }
    }
}
