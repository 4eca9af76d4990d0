//! Data on standard output, as a table for a person or JSON for a program; messages on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome, Verdict};

/// Where a command's words go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// JSON or text.
    #[must_use]
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether `--json` was given.
    #[must_use]
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// One result: the value with `--json`, else the text.
    pub fn result(self, value: &Value, text: &str) -> Outcome {
        if self.json {
            self.line(&pretty(value))
        } else {
            self.line(text)
        }
    }

    /// Rows: a JSON array of objects, else a table.
    pub fn table(self, headings: &[&str], rows: &[Vec<String>], values: &[Value]) -> Outcome {
        if self.json {
            return self.line(&pretty(&Value::Array(values.to_vec())));
        }
        self.line(&render(headings, rows))
    }

    /// One line of data.
    pub fn line(self, text: &str) -> Outcome {
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            // The reader of a pipe may leave early, as `head` does.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(Failure::from),
        }
    }

    /// A message for the person at the terminal.
    pub fn message(self, text: &str) {
        // Nothing sensible is left to do when standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A progress line on standard error for what takes longer than a second; silent when nobody looks.
    #[must_use]
    pub fn progress(self, what: &str) -> Progress {
        let bar = ProgressBar::new_spinner();
        if !io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress(bar)
    }

    /// Prints how a command failed.
    pub fn failure(self, failure: &Failure) {
        if self.json {
            let status = match failure.verdict {
                Verdict::Error => "error",
                Verdict::No => "no",
            };
            let value = json!({
                "status": status, "code": failure.code, "message": failure.message, "next": failure.next,
            });
            self.message(&pretty(&value));
            return;
        }
        let head = match failure.verdict {
            Verdict::Error => "error",
            Verdict::No => "no",
        };
        self.message(&format!("{head}: {}", failure.message));
        self.message(&format!("next: {}", failure.next));
    }
}

/// A running progress line; it disappears when dropped.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Says what is being done now.
    pub fn say(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A table as text.
pub(crate) fn render(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    table.to_string()
}

/// Text from the ledger or a peer, made harmless for a terminal: control characters are escaped.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// Milliseconds since the Unix epoch, as RFC 3339 in UTC.
pub(crate) fn timestamp(time_ms: u64) -> String {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;
    let seconds = i64::try_from(time_ms / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| time_ms.to_string())
}

/// A size for a person.
pub(crate) fn size(bytes: u64) -> String {
    const STEP: u64 = 1024;
    match bytes {
        0..STEP => format!("{bytes} B"),
        STEP..1_048_576 => format!("{} KiB", bytes / STEP),
        _ => format!("{} MiB", bytes / (STEP * STEP)),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}
