//! The report of a ceremony: saved, checked, and shown to the chain's organisations.

use std::path::Path;

use client::NodeProfile;
use crypto_node::ceremony::plan::Party;
use crypto_node::ceremony::report::{Checked, Report, Verdict};
use proto::custody::ReportCeremonyRequest;
use serde_json::json;

use super::{connect, read_aloud};
use crate::cli::{NodeArgs, ReportArgs};
use crate::commands::{Context, write_new};
use crate::failure::{Failure, Outcome};
use crate::keyring::Owner;
use crate::output::printable;

pub(super) async fn run(context: &Context, arguments: &ReportArgs) -> Outcome {
    match (&arguments.check, &arguments.node, &arguments.out) {
        (Some(file), ..) => show(context, file, &checked(context, file)?),
        (None, Some(node), Some(out)) => save(context, &NodeArgs { node: node.clone() }, out).await,
        _ => Err(Failure::error(
            "nothing is to be done",
            "name a node and a file, or a report to check",
        )),
    }
}

async fn save(context: &Context, node: &NodeArgs, out: &Path) -> Outcome {
    let mut operator = connect(context, node)?;
    let answer = operator.rpc.report_ceremony(ReportCeremonyRequest {}).await;
    let bytes = answer
        .map_err(|status| operator.failed(&status))?
        .into_inner()
        .report;
    let report = check(context, out, &bytes)?;
    write_new(out, &bytes)?;
    show(context, out, &report)
}

/// An organisation confirms a committee that its own people have compared with the crypto nodes' operators. A manifest with all
/// signatures is not enough: each seat of a ceremony that was given up late has one.
pub(super) async fn publish(context: &Context, file: &Path) -> Outcome {
    let report = checked(context, file)?;
    let signed = report.manifest().cloned().ok_or_else(|| {
        Failure::no(
            "not_done",
            format!("{}: this ceremony was given up", file.display()),
            "publish the report of one that is done",
        )
    })?;
    let (epoch, digest) = (signed.manifest.epoch(), signed.manifest.digest());
    let client = context.client_as(&Owner::Admin).await?;
    let recorded = client.publish_committee(signed).await?;
    let published = recorded.entry.outcome.succeeded();
    let state = if published {
        "published"
    } else {
        "confirmed; more organisations have to"
    };
    context.output.result(
        &json!({ "epoch": epoch, "digest": digest.to_string(), "published": published }),
        &format!("epoch {epoch}, digest {digest}: {state}"),
    )
}

fn checked(context: &Context, file: &Path) -> Outcome<Checked> {
    let bytes = std::fs::read(file).map_err(|error| {
        Failure::error(
            format!("{}: {error}", file.display()),
            "save a report with `quorate node report --node NAME --out FILE`",
        )
    })?;
    check(context, file, &bytes)
}

/// What a report shows is shown by the nodes of the profile, or by strangers.
fn check(context: &Context, file: &Path, bytes: &[u8]) -> Outcome<Checked> {
    let no = |why: String| {
        Failure::no(
            "report",
            format!("{}: {why}", file.display()),
            "save a report with `quorate node report`, from a node that was there",
        )
    };
    let report = Report::from_bytes(bytes).map_err(|error| no(error.to_string()))?;
    let report = report.check().map_err(|error| no(error.to_string()))?;
    let profile = context.profile()?;
    let known = |party: &Party| {
        let same = |node: &NodeProfile| {
            node.name == party.name.as_str() && node.identity == hex::encode(party.identity.to_bytes())
        };
        profile.nodes.iter().any(same)
    };
    if let Some((stranger, ..)) = report.parties.iter().find(|(party, ..)| !known(party)) {
        return Err(no(format!(
            "{} with key {} is none of the nodes of the profile",
            stranger.name, stranger.identity
        )));
    }
    let key = report
        .manifest()
        .map(|signed| signed.manifest.key_id().to_string());
    if let (Some(pinned), Some(key)) = (&profile.key_id, key)
        && *pinned != key
    {
        return Err(no(format!(
            "it is about key {key}, and the profile's is {pinned}"
        )));
    }
    Ok(report)
}

fn show(context: &Context, file: &Path, report: &Checked) -> Outcome {
    let account = &report.account;
    let name = |who| account.plan.name_of(&who);
    let (verdict, reason, culprit) = match &account.verdict {
        Verdict::Done(_) => ("done", None, None),
        Verdict::Aborted { reason, culprit, .. } => ("aborted", Some(printable(reason)), culprit.map(name)),
    };
    let proven = report.proven_culprit.map(name);
    let manifest = report
        .manifest()
        .map(|signed| signed.manifest.digest().to_string());
    if context.output.is_json() {
        let party = |(party, signed, needed): &(Party, bool, bool)| {
            json!({
                "name": party.name.as_str(), "identity": party.identity.to_string(), "signed": signed, "needed": needed,
            })
        };
        let faults = account.faults.iter();
        let faults = faults.map(|(who, what)| json!({ "name": name(*who), "what": what }));
        let value = json!({
            "file": file, "ceremony_id": account.plan.id().to_string(), "what": account.plan.what(), "verdict": verdict,
            "reason": reason, "culprit": culprit, "proven_culprit": proven, "manifest": manifest,
            "transcript": account.transcript.map(hex::encode), "reporter": report.reporter.name.as_str(),
            "time_ms": account.time_ms, "members": report.parties.iter().map(party).collect::<Vec<_>>(),
            "excluded": faults.collect::<Vec<_>>(),
        });
        return context.output.result(&value, "");
    }
    let mut lines = vec![
        format!("ceremony  {} {verdict}", account.plan.id()),
        format!("          to {}", printable(&account.plan.what())),
    ];
    lines.extend(
        account
            .transcript
            .map(|digest| format!("aloud     {}", read_aloud(&digest))),
    );
    lines.extend(manifest.map(|digest| format!("manifest  {digest}")));
    lines.extend(reason.map(|reason| format!("          {reason}")));
    lines.extend(
        culprit.map(|culprit| format!("culprit   {culprit}, by the word of {}", report.reporter.name)),
    );
    lines.extend(proven.map(|culprit| format!("proven    {culprit}, by what is in the report")));
    for (who, what) in &account.faults {
        lines.push(format!("left out  {}: {}", name(*who), printable(what)));
    }
    for (party, signed, needed) in &report.parties {
        let tick = match (signed, needed) {
            (true, _) => "[x]",
            (false, true) => "[ ]",
            (false, false) => "   ",
        };
        lines.push(format!("          {tick} signed  {}", party.name));
    }
    lines.push(format!("reported  by {}", report.reporter.name));
    context.output.line(&lines.join("\n"))
}
