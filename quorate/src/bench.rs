//! What complete authorised reads cost, on a whole cluster of processes on this machine.
//!
//! A read here is everything that a reader does: a fresh key pair, a signed request to all endorsers, consensus and
//! their disks, certificates checked, the coordinator, the crypto nodes' checks and journals, every share and statement
//! verified, the data key opened, the content decrypted and compared.

pub(crate) mod ceremonies;
mod disk;
mod ledger;
mod load;
mod measure;

use std::time::Duration;

use serde_json::{Map, Value, json};

pub(crate) use self::ledger::run as ledger;
use self::load::{Faults, Load, Reads};
use self::measure::{Latencies, cores};
use crate::cli::BenchArgs;
use crate::cluster::process::processor_time;
use crate::cluster::{Cluster, Layout, Say, Seat};
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
    let directory = disk::directory(&arguments.place)?;
    let progress = output.progress("starting");
    let say = |what: &str| progress.say(what);
    let mut cluster = Cluster::start(&directory.path().join("cluster"), &say).await?;
    say("preparing a document");
    let load = Load::prepare(&cluster).await?;
    let measured = Measured::phases(&mut cluster, &load, arguments, &say).await?;
    let figures = figures(
        &measured,
        load.wrapped_key_bytes(),
        load.log_size().await?,
        &disk::file_system(directory.path())?,
        arguments,
    );
    drop(progress);
    cluster.shutdown().await?;
    let text: Vec<String> = figures
        .iter()
        .map(|(name, figure)| format!("{name:28} {figure}"))
        .collect();
    let value: Map<String, Value> = figures
        .into_iter()
        .map(|(name, figure)| (name.to_owned(), figure))
        .collect();
    output.result(&Value::Object(value), &text.join("\n"))?;
    match measured.errors() {
        0 => Ok(()),
        errors => Err(Failure::error(
            format!("{errors} operations failed"),
            "see first_error in the output",
        )),
    }
}

/// All that is printed, in this order.
fn figures(
    measured: &Measured,
    wrapped_key_bytes: usize,
    log_size: u64,
    file_system: &str,
    arguments: &BenchArgs,
) -> Vec<(&'static str, Value)> {
    let mut figures = measured.figures();
    figures.extend([
        ("wrapped_key_bytes", json!(wrapped_key_bytes)),
        ("readers", json!(arguments.readers)),
        ("seconds", json!(arguments.seconds)),
        ("log_size", json!(log_size)),
        ("file_system", json!(file_system)),
        ("cores", json!(cores())),
        ("optimised", json!(!cfg!(debug_assertions))),
    ]);
    figures
}

/// What the phases gave.
struct Measured {
    warm_up: Reads,
    commits: Latencies,
    single: Reads,
    many: Reads,
    filled: Latencies,
    /// One at a time, with as many crypto nodes killed as a read can do without, and one endorser.
    faulty: Reads,
    /// Processor time that the phase with many readers took.
    used: Processor,
    memory: Memory,
}

impl Measured {
    async fn phases(
        cluster: &mut Cluster,
        load: &Load,
        arguments: &BenchArgs,
        say: Say<'_>,
    ) -> Outcome<Self> {
        say("warming up");
        let warm_up = load.reads(arguments.readers, WARM_UP, Faults::None).await;
        say("bare transactions, one at a time");
        let commits = load.commits(SINGLE).await;
        say("reads, one at a time");
        let single = load.reads(1, SINGLE, Faults::None).await;
        say(&format!(
            "reads, {} at a time, for {} s",
            arguments.readers, arguments.seconds
        ));
        let before = Processor::of(cluster)?;
        let many = load
            .reads(
                arguments.readers,
                Duration::from_secs(arguments.seconds),
                Faults::None,
            )
            .await;
        let used = Processor::of(cluster)?.since(&before);
        let mut filled = Latencies::default();
        if arguments.transactions > 0 {
            say(&format!("{} transactions", arguments.transactions));
            filled = load.fill(arguments.transactions, SUBMITTERS).await;
        }
        say("measuring memory");
        let memory = Memory::of(cluster)?;
        say("reads, one at a time, with two crypto nodes and an endorser killed");
        let killed = faults(cluster.layout());
        killed.iter().try_for_each(|name| cluster.kill(name))?;
        let faulty = load.reads(1, SINGLE, Faults::Expected).await;
        Ok(Self {
            warm_up,
            commits,
            single,
            many,
            filled,
            faulty,
            used,
            memory,
        })
    }

    /// Of the warm-up only the errors count.
    fn latencies(&self) -> [&Latencies; 6] {
        [
            &self.warm_up.whole,
            &self.commits,
            &self.single.whole,
            &self.many.whole,
            &self.filled,
            &self.faulty.whole,
        ]
    }

    fn errors(&self) -> usize {
        self.latencies().iter().map(|phase| phase.errors()).sum()
    }

    fn figures(&self) -> Vec<(&'static str, Value)> {
        let Self {
            warm_up,
            commits,
            single,
            many,
            filled,
            faulty,
            used,
            memory,
        } = self;
        let reads = many.whole.count();
        let first_error = self.latencies().iter().find_map(|phase| phase.first_error());
        vec![
            ("single_p50_ms", json!(single.whole.percentile_ms(50.0))),
            ("single_p99_ms", json!(single.whole.percentile_ms(99.0))),
            ("single_reads", json!(single.whole.count())),
            ("commit_p50_ms", json!(commits.percentile_ms(50.0))),
            ("commit_p99_ms", json!(commits.percentile_ms(99.0))),
            ("single_to_commit", json!(ratio(&single.whole, commits))),
            ("faulty_p50_ms", json!(faulty.whole.percentile_ms(50.0))),
            ("faulty_p99_ms", json!(faulty.whole.percentile_ms(99.0))),
            ("faulty_reads", json!(faulty.whole.count())),
            ("reads_per_second", json!(many.whole.per_second())),
            ("p50_ms", json!(many.whole.percentile_ms(50.0))),
            ("p99_ms", json!(many.whole.percentile_ms(99.0))),
            ("approval_p50_ms", json!(many.approval.percentile_ms(50.0))),
            ("release_p50_ms", json!(many.release.percentile_ms(50.0))),
            ("reads", json!(reads)),
            ("transactions_per_second", json!(filled.per_second())),
            ("errors", json!(self.errors())),
            ("warm_up_errors", json!(warm_up.whole.errors())),
            ("first_error", json!(first_error)),
            ("crypto_node_rss_mb", json!(memory.node)),
            ("endorser_rss_mb", json!(memory.endorser)),
            ("coordinator_rss_mb", json!(memory.coordinator)),
            (
                "nodes_cpu_ms_per_read",
                json!(measure::each_ms(used.nodes, reads)),
            ),
            (
                "endorsers_cpu_ms_per_read",
                json!(measure::each_ms(used.endorsers, reads)),
            ),
            (
                "coordinator_cpu_ms_per_read",
                json!(measure::each_ms(used.coordinator, reads)),
            ),
            (
                "client_cpu_ms_per_read",
                json!(measure::each_ms(used.client, reads)),
            ),
        ]
    }
}

/// Who is killed before the last phase.
fn faults(layout: &Layout) -> Vec<String> {
    let spare = layout.nodes.len().saturating_sub(layout.threshold.into());
    let nodes = layout.nodes.iter().take(spare);
    let names = nodes.chain(layout.endorsers.iter().take(1));
    names.map(|seat| seat.name.clone()).collect()
}

/// The most that any process of each kind has ever held since it started, in units of 10^6 bytes.
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
                .map(|seat| cluster.peak_memory(&seat.name))
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

    fn since(self, before: &Self) -> Self {
        Self {
            nodes: self.nodes - before.nodes,
            endorsers: self.endorsers - before.endorsers,
            coordinator: self.coordinator - before.coordinator,
            client: self.client - before.client,
        }
    }
}

fn ratio(single: &Latencies, commits: &Latencies) -> f64 {
    measure::rounded(single.percentile_ms(50.0) / commits.percentile_ms(50.0).max(0.001))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::BenchPlace;

    fn latencies(ms: u64) -> Latencies {
        Latencies::collect(Duration::from_secs(1), [Ok(Duration::from_millis(ms))])
    }

    fn reads(whole: u64) -> Reads {
        Reads {
            whole: latencies(whole),
            approval: latencies(11),
            release: latencies(12),
        }
    }

    #[test]
    fn all_figures_that_were_asked_for_are_printed_each_from_its_phase() {
        let measured = Measured {
            warm_up: reads(1),
            commits: latencies(20),
            single: reads(30),
            many: reads(40),
            filled: Latencies::collect(Duration::from_secs(1), [Err("full".to_owned())]),
            faulty: reads(50),
            used: Processor {
                nodes: Duration::from_millis(5),
                endorsers: Duration::from_millis(6),
                coordinator: Duration::from_millis(7),
                client: Duration::from_millis(8),
            },
            memory: Memory {
                node: 50.0,
                endorser: 160.0,
                coordinator: 40.0,
            },
        };
        let arguments = BenchArgs {
            seconds: 20,
            readers: 96,
            transactions: 0,
            place: BenchPlace::default(),
        };
        let figures: Map<String, Value> = figures(&measured, 289, 1000, "ext4", &arguments)
            .into_iter()
            .map(|(name, figure)| (name.to_owned(), figure))
            .collect();
        for (name, figure) in [
            ("single_p50_ms", json!(30.0)),
            ("single_p99_ms", json!(30.0)),
            ("commit_p50_ms", json!(20.0)),
            ("single_to_commit", json!(1.5)),
            ("faulty_p50_ms", json!(50.0)),
            ("faulty_p99_ms", json!(50.0)),
            ("reads_per_second", json!(1.0)),
            ("p50_ms", json!(40.0)),
            ("p99_ms", json!(40.0)),
            ("approval_p50_ms", json!(11.0)),
            ("release_p50_ms", json!(12.0)),
            ("errors", json!(1)),
            ("first_error", json!("full")),
            ("wrapped_key_bytes", json!(289)),
            ("file_system", json!("ext4")),
            ("crypto_node_rss_mb", json!(50.0)),
            ("endorser_rss_mb", json!(160.0)),
            ("nodes_cpu_ms_per_read", json!(5.0)),
        ] {
            assert_eq!(figures.get(name), Some(&figure), "{name}");
        }
    }
}
