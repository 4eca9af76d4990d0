//! How the cluster is doing, as seen from here.

use client::{CoordinatorStatus, EndorserStatus, Error};
use serde_json::{Value, json};
use threshold::name::Name;

use super::Context;
use crate::failure::{Failure, Outcome};
use crate::output::{printable, timestamp};

pub(super) async fn run(context: &Context) -> Outcome {
    let client = context.client(None).await?;
    let progress = context.output.progress("asking endorsers and coordinators");
    let (endorsers, coordinators) = (
        client.endorser_statuses().await,
        client.coordinator_statuses().await,
    );
    drop(progress);
    let mut lines = Lines::default();
    for (organisation, status) in &endorsers {
        lines.endorser(organisation, status);
    }
    for (name, status) in &coordinators {
        lines.coordinator(name, status);
    }
    context
        .output
        .table(&["who", "", "condition"], &lines.rows, &lines.values)?;
    if lines.down == 0 {
        return Ok(());
    }
    Err(Failure::error(
        format!(
            "{} of the cluster's members do not answer as they should",
            lines.down
        ),
        "restart those that are named above, or read their logs; the others go on meanwhile",
    ))
}

#[derive(Default)]
struct Lines {
    rows: Vec<Vec<String>>,
    values: Vec<Value>,
    down: usize,
}

impl Lines {
    fn endorser(&mut self, organisation: &Name, status: &Result<EndorserStatus, Error>) {
        let who = format!("endorser of {organisation}");
        match status {
            Ok(status) => {
                let header = &status.header;
                let standing = match (status.is_endorser, status.votes) {
                    (true, true) => String::new(),
                    (true, false) => ", does not vote yet".to_owned(),
                    (false, _) => format!(", no endorser of epoch {}", status.epoch),
                };
                let text = format!(
                    "block {} of {}, {} entries, {} peers, {} waiting{standing}",
                    header.height,
                    timestamp(header.time_ms),
                    header.log_size,
                    status.peers_connected,
                    status.pending
                );
                let value = json!({
                    "who": who, "kind": "endorser", "up": true, "height": header.height,
                    "time_ms": header.time_ms, "log_size": header.log_size,
                    "peers_connected": status.peers_connected, "pending": status.pending,
                    "epoch": status.epoch, "is_endorser": status.is_endorser, "votes": status.votes,
                });
                self.up(who, text, value);
            }
            Err(error) => self.down(who, "endorser", &error.to_string()),
        }
    }

    fn coordinator(&mut self, name: &Name, status: &Result<CoordinatorStatus, Error>) {
        let who = format!("coordinator {name}");
        let status = match status {
            Ok(status) => status,
            Err(error) => return self.down(who, "coordinator", &error.to_string()),
        };
        let text = format!("{} receipts waiting", status.receipts_pending);
        let value = json!({
            "who": who, "kind": "coordinator", "up": true, "receipts_pending": status.receipts_pending,
        });
        self.up(who, text, value);
        for node in &status.nodes {
            let who = format!("crypto node {} ({})", node.index, printable(&node.name));
            if !node.reachable {
                self.down(who, "crypto_node", "the coordinator cannot reach it");
                continue;
            }
            let speed = match node.latency_seconds {
                0.0 => "not asked yet".to_owned(),
                seconds => format!("answers in {:.1} ms", seconds * 1000.0),
            };
            let text = format!("{speed}, {} invalid answers", node.invalid_answers);
            let value = json!({
                "who": who, "kind": "crypto_node", "up": true, "latency_seconds": node.latency_seconds,
                "invalid_answers_total": node.invalid_answers,
            });
            self.up(who, text, value);
        }
    }

    fn up(&mut self, who: String, text: String, value: Value) {
        self.rows.push(vec![who, "up".to_owned(), text]);
        self.values.push(value);
    }

    fn down(&mut self, who: String, kind: &str, reason: &str) {
        self.down += 1;
        self.values
            .push(json!({ "who": who, "kind": kind, "up": false, "reason": reason }));
        self.rows.push(vec![who, "DOWN".to_owned(), reason.to_owned()]);
    }
}
