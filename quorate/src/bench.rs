//! What complete authorised reads cost, on a whole cluster of processes on this machine.
//!
//! A read here is everything that a reader does: a fresh key pair, a signed request to all endorsers, consensus and
//! their disks, certificates checked, the coordinator, the crypto nodes' checks and journals, every share and statement
//! verified, the data key opened, the content decrypted and compared.

mod load;
mod measure;

use std::time::Duration;

use serde_json::{Map, Value, json};

use self::load::Load;
use self::measure::{Latencies, cores};
use crate::cli::BenchArgs;
use crate::cluster::process::processor_time;
use crate::cluster::{Cluster, Seat};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Before anything is measured.
const WARM_UP: Duration = Duration::from_secs(3);
/// One at a time.
const SINGLE: Duration = Duration::from_secs(10);
/// How many bare transactions at once when many are asked for.
const SUBMITTERS: u64 = 256;

/// Runs all phases on a cluster in a temporary directory and prints the figures.
pub(crate) async fn run(output: Output, arguments: &BenchArgs) -> Outcome {
    let directory = tempfile::Builder::new().prefix("quorate-bench-").tempdir()?;
    let progress = output.progress("starting");
    let say = |what: &str| progress.say(what);
    let cluster = Cluster::start(&directory.path().join("cluster"), &say).await?;
    say("preparing a document");
    let load = Load::prepare(&cluster).await?;
    say("warming up");
    load.reads(arguments.readers, WARM_UP).await;
    say("bare transactions, one at a time");
    let commits = load.commits(SINGLE).await;
    say("reads, one at a time");
    let single = load.reads(1, SINGLE).await;
    say(&format!(
        "reads, {} at a time, for {} s",
        arguments.readers, arguments.seconds
    ));
    let window = Duration::from_secs(arguments.seconds);
    let before = Processor::of(&cluster)?;
    let many = load.reads(arguments.readers, window).await;
    let used = Processor::of(&cluster)?;
    if arguments.transactions > 0 {
        say(&format!("{} transactions", arguments.transactions));
        load.fill(arguments.transactions, SUBMITTERS).await;
    }
    say("measuring memory");
    let memory = Memory::of(&cluster)?;
    drop(progress);
    let errors = commits.errors() + single.errors() + many.errors();
    let figures = [
        ("single_p50_ms", json!(single.percentile_ms(50.0))),
        ("single_p99_ms", json!(single.percentile_ms(99.0))),
        ("single_reads", json!(single.count())),
        ("commit_p50_ms", json!(commits.percentile_ms(50.0))),
        ("commit_p99_ms", json!(commits.percentile_ms(99.0))),
        ("single_to_commit", json!(ratio(&single, &commits))),
        ("reads_per_second", json!(many.per_second(window))),
        ("p50_ms", json!(many.percentile_ms(50.0))),
        ("p99_ms", json!(many.percentile_ms(99.0))),
        ("reads", json!(many.count())),
        ("errors", json!(errors)),
        (
            "first_error",
            json!(
                many.first_error()
                    .or(single.first_error())
                    .or(commits.first_error())
            ),
        ),
        ("wrapped_key_bytes", json!(load.wrapped_key_bytes())),
        ("crypto_node_rss_mb", json!(memory.node)),
        ("endorser_rss_mb", json!(memory.endorser)),
        ("coordinator_rss_mb", json!(memory.coordinator)),
        (
            "nodes_cpu_ms_per_read",
            json!(per_read(used.nodes - before.nodes, &many)),
        ),
        (
            "endorsers_cpu_ms_per_read",
            json!(per_read(used.endorsers - before.endorsers, &many)),
        ),
        (
            "coordinator_cpu_ms_per_read",
            json!(per_read(used.coordinator - before.coordinator, &many)),
        ),
        (
            "client_cpu_ms_per_read",
            json!(per_read(used.client - before.client, &many)),
        ),
        ("readers", json!(arguments.readers)),
        ("seconds", json!(arguments.seconds)),
        ("log_size", json!(load.log_size().await?)),
        ("cores", json!(cores())),
        ("optimised", json!(!cfg!(debug_assertions))),
    ];
    cluster.shutdown().await?;
    let text: Vec<String> = figures
        .iter()
        .map(|(name, figure)| format!("{name:20} {figure}"))
        .collect();
    let value: Map<String, Value> = figures
        .into_iter()
        .map(|(name, figure)| (name.to_owned(), figure))
        .collect();
    output.result(&Value::Object(value), &text.join("\n"))?;
    if errors == 0 {
        return Ok(());
    }
    Err(Failure::error(
        format!("{errors} operations failed"),
        "see first_error in the output",
    ))
}

/// The largest of each kind of process, in units of 10^6 bytes.
struct Memory {
    node: f64,
    endorser: f64,
    coordinator: f64,
}

impl Memory {
    fn of(cluster: &Cluster) -> Outcome<Self> {
        let layout = cluster.layout();
        let largest = |seats: &[Seat]| -> Outcome<f64> {
            let sizes = seats
                .iter()
                .map(|seat| cluster.rss(&seat.name))
                .collect::<Outcome<Vec<u64>>>()?;
            Ok(measure::megabytes(sizes.into_iter().max().unwrap_or(0)))
        };
        Ok(Self {
            node: largest(&layout.nodes)?,
            endorser: largest(&layout.endorsers)?,
            coordinator: largest(std::slice::from_ref(&layout.coordinator))?,
        })
    }
}

/// Processor time of all processes of each kind together.
struct Processor {
    nodes: Duration,
    endorsers: Duration,
    coordinator: Duration,
    client: Duration,
}

impl Processor {
    fn of(cluster: &Cluster) -> Outcome<Self> {
        let layout = cluster.layout();
        let sum = |seats: &[Seat]| -> Outcome<Duration> {
            seats.iter().map(|seat| cluster.processor_time(&seat.name)).sum()
        };
        Ok(Self {
            nodes: sum(&layout.nodes)?,
            endorsers: sum(&layout.endorsers)?,
            coordinator: sum(std::slice::from_ref(&layout.coordinator))?,
            client: processor_time(std::process::id())?,
        })
    }
}

fn per_read(time: Duration, reads: &Latencies) -> f64 {
    measure::rounded(time.as_secs_f64() * 1000.0 / reads.count().max(1) as f64)
}

fn ratio(single: &Latencies, commits: &Latencies) -> f64 {
    measure::rounded(single.percentile_ms(50.0) / commits.percentile_ms(50.0).max(0.001))
}
