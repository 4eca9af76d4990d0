//! Searches of the log, and exports of what they find.

use std::io::Write;

use client::{Client, Found};
use golden_record::{Filter, Within};
use serde_json::{Value, json};
use threshold::name::{DocumentName, Name};

use super::super::documents::{faults, warn};
use super::super::log_line::LogLine;
use super::super::{Context, parse};
use super::{require_compared, time, verdict_name};
use crate::cli::{AuditExportArgs, AuditSearchArgs, ExportFormat, FilterArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{printable, render, timestamp};

/// Transactions that are looked for at once when all are wanted.
const STEP: usize = 1_000;

pub(super) async fn search(context: &Context, arguments: &AuditSearchArgs) -> Outcome {
    let filter = filter(&arguments.filter)?;
    let client = context.client(filter.within.tenant()).await?;
    let progress = context.output.progress("searching");
    let found = client
        .search(&filter, arguments.from, arguments.limit.max(1))
        .await?;
    drop(progress);
    let lines: Vec<LogLine> = found.lines.iter().map(LogLine::new).collect();
    let rows: Vec<Vec<String>> = lines.iter().map(LogLine::row).collect();
    let values: Vec<Value> = lines.iter().map(LogLine::value).collect();
    let value = json!({
        "entries": values,
        "complete": found.complete,
        "searched_to": found.searched_to,
        "compared": found.compared,
        "endorsers": endorsers(&client),
        "faults": faults(&found.faults),
        "verdict": verdict_name(endorsers(&client), found.compared),
    });
    let table = render(&["entry", "time", "what", "outcome", "transaction"], &rows);
    context.output.result(&value, &table)?;
    context.output.message(&verdict(&found));
    if !found.complete {
        context.output.message(&format!(
            "there may be more: go on with --from {}, or look for all with `quorate audit export`",
            found.searched_to
        ));
    }
    warn(context, &found.faults);
    require_compared(endorsers(&client), found.compared)
}

pub(super) async fn export(context: &Context, arguments: &AuditExportArgs) -> Outcome {
    let filter = filter(&arguments.filter)?;
    if let Some(path) = &arguments.output {
        super::super::receipts::check_free(path, arguments.force)?;
    }
    let format = arguments.format.unwrap_or(match context.output.is_json() {
        true => ExportFormat::Json,
        false => ExportFormat::Ndjson,
    });
    let client = context.client(filter.within.tenant()).await?;
    let progress = context.output.progress("searching");
    match &arguments.output {
        None => {
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            match all(context, &client, &filter, format, &mut out).await {
                // The reader of a pipe may leave early, as `head` does.
                Err(failure) if failure.code == BROKEN_PIPE => return Ok(()),
                ended => require_compared(endorsers(&client), ended?.compared)?,
            }
        }
        Some(path) => {
            // Whole or not at all: what is half written is not taken for an export.
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or_else(|| std::path::Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            let exported = all(context, &client, &filter, format, &mut file).await?;
            file.as_file().sync_all()?;
            file.persist(path)
                .map_err(|error| Failure::from(error.error).while_doing(&path.display().to_string()))?;
            if context.output.is_json() {
                let value = json!({ "export": path.display().to_string(), "entries": exported.count });
                context.output.result(&value, "")?;
            }
            require_compared(endorsers(&client), exported.compared)?;
        }
    }
    drop(progress);
    Ok(())
}

const BROKEN_PIPE: &str = "broken_pipe";

fn endorsers(client: &Client) -> usize {
    client.epochs().endorsers().members().len()
}

/// What was exported.
struct Exported {
    count: usize,
    /// How many endorsers were compared at least.
    compared: usize,
}

/// Writes all that is found, as it is found; a table needs all of them first.
async fn all(
    context: &Context,
    client: &Client,
    filter: &Filter,
    format: ExportFormat,
    out: &mut impl Write,
) -> Outcome<Exported> {
    let mut export = Export::begin(format, out)?;
    let (mut from, mut count, mut compared, mut until) = (0, 0, usize::MAX, None);
    let mut faults = Vec::new();
    loop {
        let found = client.search(filter, from, STEP).await?;
        // What is recorded meanwhile is for the next export.
        let until = *until.get_or_insert(found.header.log_size);
        for line in found.lines.iter().filter(|line| line.index < until) {
            export.line(&LogLine::new(line))?;
            count += 1;
        }
        compared = compared.min(found.compared);
        faults.extend(found.faults);
        if found.complete || found.searched_to >= until {
            break;
        }
        from = found.searched_to;
    }
    export.end()?;
    context.output.message(&format!(
        "verified: {count} entries, each by its Merkle path to a block that 2f+1 validators have signed"
    ));
    warn(context, &faults);
    Ok(Exported { count, compared })
}

/// What an export has of each entry.
const COLUMNS: [&str; 16] = [
    "index", "height", "time", "time_ms", "tx_id", "author", "kind", "outcome", "reason", "tenant",
    "dataset", "document", "version", "user", "purpose", "what",
];

struct Export<'w, W: Write> {
    format: ExportFormat,
    out: &'w mut W,
    rows: Vec<Vec<String>>,
    first: bool,
}

impl<'w, W: Write> Export<'w, W> {
    fn begin(format: ExportFormat, out: &'w mut W) -> Outcome<Self> {
        let mut export = Self {
            format,
            out,
            rows: Vec::new(),
            first: true,
        };
        match format {
            ExportFormat::Json => export.put("[")?,
            ExportFormat::Csv => export.put(&csv(COLUMNS.map(str::to_owned)))?,
            ExportFormat::Table | ExportFormat::Ndjson => {}
        }
        Ok(export)
    }

    fn line(&mut self, line: &LogLine) -> Outcome {
        match self.format {
            ExportFormat::Table => self.rows.push(line.row()),
            ExportFormat::Ndjson => self.put(&format!("{}\n", line.value()))?,
            ExportFormat::Json => {
                let comma = if self.first { "\n" } else { ",\n" };
                self.put(&format!("{comma}{}", line.value()))?;
            }
            ExportFormat::Csv => {
                let value = line.value();
                self.put(&csv(COLUMNS.map(|column| cell(&value, column))))?;
            }
        }
        self.first = false;
        Ok(())
    }

    fn end(mut self) -> Outcome {
        match self.format {
            ExportFormat::Table => {
                let rows = std::mem::take(&mut self.rows);
                let table = render(&["entry", "time", "what", "outcome", "transaction"], &rows);
                self.put(&format!("{table}\n"))?;
            }
            ExportFormat::Json => self.put("\n]\n")?,
            ExportFormat::Csv | ExportFormat::Ndjson => {}
        }
        self.out.flush().map_err(failed)
    }

    fn put(&mut self, text: &str) -> Outcome {
        self.out.write_all(text.as_bytes()).map_err(failed)
    }
}

fn failed(error: std::io::Error) -> Failure {
    let broken = error.kind() == std::io::ErrorKind::BrokenPipe;
    let mut failure = Failure::from(error);
    if broken {
        failure.code = BROKEN_PIPE.into();
    }
    failure
}

fn cell(value: &Value, column: &str) -> String {
    match value.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A line of RFC 4180. What a spreadsheet would take for a formula is made text: purposes are whatever their users wrote.
fn csv(cells: [String; COLUMNS.len()]) -> String {
    let quoted = cells.map(|cell| {
        let cell = printable(&cell);
        let guard = if cell.starts_with(['=', '+', '-', '@']) {
            "'"
        } else {
            ""
        };
        format!("\"{guard}{}\"", cell.replace('"', "\"\""))
    });
    format!("{}\r\n", quoted.join(","))
}

/// What was verified, in one sentence.
fn verdict(found: &Found) -> String {
    format!(
        "verified: {} entries are in the log of {} entries with the root {} in block {} of {}; searched before entry {}",
        found.lines.len(),
        found.header.log_size,
        hex::encode(found.header.log_root),
        found.header.height,
        timestamp(found.header.time_ms),
        found.searched_to
    )
}

fn filter(arguments: &FilterArgs) -> Outcome<Filter> {
    let within = within(arguments.within.as_deref())?;
    let user = match (&arguments.user, within.tenant()) {
        (Some(user), Some(tenant)) => Some((tenant.clone(), parse("user", user)?)),
        _ => None,
    };
    let now_ms = super::now_ms();
    let at = |text: &Option<String>| text.as_deref().map(|text| time::parse(text, now_ms)).transpose();
    Ok(Filter {
        within,
        user,
        kind: arguments
            .kind
            .as_deref()
            .map(|kind| parse("kind", kind))
            .transpose()?,
        verdict: arguments
            .verdict
            .as_deref()
            .map(|verdict| parse("verdict", verdict))
            .transpose()?,
        since_ms: at(&arguments.since)?,
        until_ms: at(&arguments.until)?,
    })
}

fn within(text: Option<&str>) -> Outcome<Within> {
    let mut parts = text.into_iter().flat_map(|text| text.splitn(3, '/'));
    let tenant: Option<Name> = parts.next().map(|part| parse("tenant", part)).transpose()?;
    let dataset: Option<Name> = parts.next().map(|part| parse("dataset", part)).transpose()?;
    let document: Option<DocumentName> = parts.next().map(|part| parse("document", part)).transpose()?;
    // Each has the one before it.
    Ok(Within::new(tenant, dataset, document).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_log_is_named_by_its_path() {
        let document: DocumentName = "2026/q3.pdf".parse().unwrap();
        let name = |text: &str| text.parse::<Name>().unwrap();
        assert_eq!(within(None).unwrap(), Within::Everything);
        assert_eq!(within(Some("acme")).unwrap(), Within::Tenant(name("acme")));
        assert_eq!(
            within(Some("acme/reports")).unwrap(),
            Within::Dataset(name("acme"), name("reports"))
        );
        assert_eq!(
            within(Some("acme/reports/2026/q3.pdf")).unwrap(),
            Within::Document(name("acme"), name("reports"), document)
        );
        for wrong in ["", "acme/", "/reports", "a b", "acme/reports/"] {
            assert!(within(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_csv_cell_is_neither_two_cells_nor_a_formula() {
        let mut cells = COLUMNS.map(|_| String::new());
        cells[0] = "a,\"b\"".into();
        cells[1] = "=HYPERLINK(1)".into();
        cells[2] = "line\r\nfeed".into();
        let line = csv(cells);
        assert!(line.starts_with("\"a,\"\"b\"\"\",\"'=HYPERLINK(1)\",\"line\\r\\nfeed\",\"\","));
        assert_eq!(line.matches("\r\n").count(), 1);
    }
}
