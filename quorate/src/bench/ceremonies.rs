//! What ceremonies take, on whole clusters of processes on this machine, and what reads notice of them.

use std::time::{Duration, Instant};

use proto::custody::{CeremonyKind, ProposeCeremonyRequest};
use serde_json::{Value, json};

use super::load::{Faults, Load};
use super::measure::{Latencies, cores, rounded};
use crate::cli::{BenchPlace, CeremoniesArgs};
use crate::cluster::{Cluster, Say, Size};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// How long reads are measured without a ceremony.
const QUIET: Duration = Duration::from_secs(5);
/// Before anything is measured.
const WARM_UP: Duration = Duration::from_secs(2);

/// Runs all sizes, each on a cluster of its own, and prints a list with the figures of each.
pub(crate) async fn run(output: Output, arguments: &CeremoniesArgs) -> Outcome {
    let progress = output.progress("starting");
    let say = |what: &str| progress.say(what);
    let mut figures = Vec::new();
    for nodes in &arguments.sizes {
        let size = Size {
            nodes: *nodes,
            threshold: nodes / 2 + 1,
        };
        figures.push(one(size, arguments.rounds, &arguments.place, &say).await?);
    }
    drop(progress);
    let text: Vec<String> = figures.iter().map(Value::to_string).collect();
    output.result(&Value::Array(figures), &text.join("\n"))
}

/// One reader reads all the time while the key is handed over again and again, and each epoch put on the chain.
async fn one(size: Size, rounds: u16, place: &BenchPlace, say: Say<'_>) -> Outcome<Value> {
    let directory = super::disk::directory(place)?;
    let mut cluster = Cluster::prepare(&directory.path().join("cluster"), size, say)?;
    cluster.start_all(say).await?;
    say(&format!("generating a key with {} nodes", size.nodes));
    let mut operators = cluster.operators()?;
    let begun = Instant::now();
    cluster.generate(&mut operators).await?;
    let generation = begun.elapsed();
    cluster.ensure_key(say).await?;
    let load = Load::prepare(&cluster).await?;
    load.reads(1, WARM_UP, Faults::None).await;
    say("reads, with no ceremony");
    let quiet = load.reads(1, QUIET, Faults::None).await;
    say(&format!("{rounds} resharings among {} nodes", size.nodes));
    let first = cluster.layout().nodes.first().map(|seat| seat.name.clone());
    let first = first.unwrap_or_default();
    let resharings = async {
        let mut took = Vec::new();
        for _ in 0..rounds {
            let proposal = ProposeCeremonyRequest {
                kind: CeremonyKind::Resharing.into(),
                ..ProposeCeremonyRequest::default()
            };
            let begun = Instant::now();
            cluster.run_ceremony_by(&mut operators, &first, proposal).await?;
            took.push(begun.elapsed());
            cluster.publish_key().await?;
            cluster.until_read().await?;
        }
        took.sort_unstable();
        let median = took.get(took.len() / 2).copied();
        median.ok_or_else(|| Failure::error("no resharing was run", "ask for at least one"))
    };
    let (resharing, busy) = load.reads_during(resharings).await;
    let resharing = resharing?;
    cluster.shutdown().await?;
    let mut figures = figures(size, generation, resharing, &quiet.whole, &busy.whole);
    if let Some(figures) = figures.as_object_mut() {
        let file_system = super::disk::file_system(directory.path())?;
        figures.insert("file_system".into(), json!(file_system));
    }
    Ok(figures)
}

/// What is printed of one committee: `quiet` and `busy` are the reads without and during ceremonies.
fn figures(
    size: Size,
    generation: Duration,
    resharing: Duration,
    quiet: &Latencies,
    busy: &Latencies,
) -> Value {
    let ratio = busy.percentile_ms(50.0) / quiet.percentile_ms(50.0).max(0.001);
    json!({
        "n": size.nodes, "t": size.threshold,
        "dkg_seconds": rounded(generation.as_secs_f64()),
        "reshare_seconds": rounded(resharing.as_secs_f64()),
        "read_p50_ratio": rounded(ratio),
        "read_errors": quiet.errors() + busy.errors(),
        "reads": busy.count(),
        "first_error": quiet.first_error().or(busy.first_error()),
        "cores": cores(),
        "optimised": !cfg!(debug_assertions),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_figures_that_were_asked_for_are_printed() {
        let size = Size {
            nodes: 16,
            threshold: 9,
        };
        let reads = |ms| {
            let results = [Ok(Duration::from_millis(ms)), Err("refused".to_owned())];
            Latencies::collect(Duration::from_secs(1), results)
        };
        let figures = figures(
            size,
            Duration::from_secs(3),
            Duration::from_secs(4),
            &reads(30),
            &reads(60),
        );
        for (name, figure) in [
            ("n", json!(16)),
            ("t", json!(9)),
            ("dkg_seconds", json!(3.0)),
            ("reshare_seconds", json!(4.0)),
            ("read_p50_ratio", json!(2.0)),
            ("read_errors", json!(2)),
            ("reads", json!(1)),
            ("first_error", json!("refused")),
        ] {
            assert_eq!(figures[name], figure, "{name}");
        }
    }
}
