//! The log, verified before it is printed.

use client::VerifiedLog;
use golden_record::TxId;
use serde_json::{Value, json};

use super::documents::warn;
use super::{Context, log_line, parse, receipts};
use crate::cli::{AuditCommand, AuditLogArgs};
use crate::failure::Outcome;
use crate::output::{Output, timestamp};

pub(super) async fn run(context: &Context, command: AuditCommand) -> Outcome {
    match command {
        AuditCommand::Log(arguments) => log(context, &arguments).await,
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
    print(context.output, &log, arguments.reads, arguments.last)?;
    context.output.message(&verdict(&log));
    if let Some(warning) = warning(&log) {
        context.output.message(&warning);
    }
    warn(context, &log.faults);
    Ok(())
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

/// The log as a table.
pub(crate) fn print(output: Output, log: &VerifiedLog, reads: bool, last: Option<usize>) -> Outcome {
    let mut lines: Vec<log_line::LogLine> = log.lines.iter().map(log_line::LogLine::new).collect();
    if reads {
        lines.retain(|line| line.is_about_reads);
    }
    if let Some(last) = last {
        lines.drain(..lines.len().saturating_sub(last));
    }
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

/// What to know of a log that too few endorsers have been compared with: of 3f+1 validators, f may lie.
fn warning(log: &VerifiedLog) -> Option<String> {
    let tolerated = log.validators.saturating_sub(1) / 3;
    (log.compared <= tolerated).then(|| {
        format!(
            "warning: only {} of {} endorsers said how long the log is, so that newer entries may be withheld; run it again \
             when more of them can be reached",
            log.compared, log.validators
        )
    })
}
