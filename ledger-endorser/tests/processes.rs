//! The endorsers as processes of their own, killed without warning.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;
mod network;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_ledger_endorser as ledger_endorser;

use ledger_endorser::Config;
use network::Network;

/// A process that does not outlive its test.
struct Process(Child);

impl Process {
    fn start(network: &Network, index: usize) -> Self {
        let config: Config = network.config(index);
        let path = config.keys.join("../endorser.toml");
        std::fs::write(&path, toml::to_string(&config).unwrap()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-ledger-endorser"));
        command.arg("--config").arg(path).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// SIGKILL, and nothing else.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn p15_the_daemons_own_program_forbids_core_dumps_first() {
    let network = Network::new();
    let process = Process::start(&network, 0);
    let core = || {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.0.id())).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core file size"));
        let words: Vec<String> = line
            .unwrap()
            .split_whitespace()
            .skip(4)
            .map(str::to_owned)
            .collect();
        words.join(" ")
    };
    let started = Instant::now();
    while core() != "0 0 bytes" {
        assert!(started.elapsed() < Duration::from_secs(120), "{}", core());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_killed_all_at_once_they_have_everything_they_acknowledged() {
    let network = Network::new();
    let start = || {
        (0..4)
            .map(|index| Process::start(&network, index))
            .collect::<Vec<_>>()
    };
    let mut processes = start();
    network.lay_foundation().await;
    let read = network.world.request_read();
    let answer = network
        .until("it is final", async || network.request_read(0, &read).await.ok())
        .await;
    let before = answer.entry.unwrap();
    // Acknowledged by one endorser a moment ago.
    processes.iter_mut().for_each(Process::kill);

    let mut processes = start();
    let after = network
        .until("it is there", async || network.request_read(0, &read).await.ok())
        .await;
    assert_eq!(after.entry.unwrap(), before);
    assert!(after.approval.is_some());

    // One that is killed while the others go on catches up.
    processes[2].kill();
    let next = network.world.request_read();
    let answer = network
        .until("the three go on", async || {
            network.request_read(3, &next).await.ok()
        })
        .await;
    let entry = answer.entry.unwrap();
    processes[2] = Process::start(&network, 2);
    let there = network
        .until("it caught up", async || network.request_read(2, &next).await.ok())
        .await;
    assert_eq!(there.entry.unwrap(), entry);
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_killed_one_after_the_other_and_all_at_once_while_an_epoch_ends_they_go_on_in_the_next() {
    let mut network = Network::new();
    let fifth = network.add("epsilon");
    let start = |network: &Network| {
        (0..5)
            .map(|index| Process::start(network, index))
            .collect::<Vec<_>>()
    };
    let mut processes = start(&network);
    network.lay_foundation().await;
    let joins = network.joins(fifth);
    network.govern(1, &joins, &["alpha", "beta", "gamma"], 0).await;
    for (victim, process) in processes.iter_mut().enumerate() {
        process.kill();
        *process = Process::start(&network, victim);
        network
            .until("it is back", async || network.status(victim).await)
            .await;
    }
    processes.iter_mut().for_each(Process::kill);
    let _processes = start(&network);
    for index in 0..5 {
        network.until_in(index, 1, true).await;
    }
    let read = network.world.request_read();
    for index in 0..5 {
        let answer = network
            .until("it is approved", async || {
                network.request_read(index, &read).await.ok()
            })
            .await;
        assert!(answer.approval.is_some());
    }
}
