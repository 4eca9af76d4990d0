//! `kill -9` of any process at any time loses nothing that was acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use client::{Client, Error};
use golden_record::{Body, Outcome, TxId};
use proto::coordinator::ReencryptRequest;
use proto::coordinator::coordinator_service_client::CoordinatorServiceClient;
use quorate::cluster::COORDINATOR;
use threshold::encoding::Canonical;
use tokio::task::JoinHandle;

use crate::world::{PAUSE, World, connect, read, until, world, write};

/// What was acknowledged to somebody.
#[derive(Debug, Clone)]
enum Acknowledged {
    Written { document: String, tx_id: TxId },
    Read { approve_id: TxId, nodes: Vec<String> },
}

/// A writer and two readers who go on whatever happens.
struct Stream {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Vec<Acknowledged>>>,
}

impl Stream {
    async fn start(world: &World) -> Self {
        world.write("e4/first", &content("e4/first")).await;
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = Vec::new();
        for reader in [None, Some(("alice", &world.alice)), Some(("bob", &world.bob))] {
            let client = world
                .client(reader.map_or(&world.alice, |(_, identity)| identity))
                .await;
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            let user = reader.map(|(user, _)| user);
            tasks.push(tokio::spawn(async move {
                let mut done = Vec::new();
                for number in 0_u32.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    match step(&client, user, number).await {
                        Ok(acknowledged) => {
                            done.push(acknowledged);
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                        // Nobody there at the moment.
                        Err(Error::Unavailable { .. } | Error::Refused { .. } | Error::TooFew { .. }) => {
                            tokio::time::sleep(PAUSE).await
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                done
            }));
        }
        Self { stop, count, tasks }
    }

    /// Waits until this many more were acknowledged.
    async fn goes_on(&self, more: usize) {
        let goal = self.count.load(Ordering::Relaxed) + more;
        until("more is acknowledged", async || {
            (self.count.load(Ordering::Relaxed) >= goal || self.tasks.iter().any(JoinHandle::is_finished))
                .then_some(())
        })
        .await;
    }

    async fn end(self) -> Vec<Acknowledged> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for task in self.tasks {
            all.extend(task.await.unwrap());
        }
        all
    }
}

fn content(document: &str) -> Vec<u8> {
    format!("the content of {document}").into_bytes()
}

async fn step(client: &Client, reader: Option<&str>, number: u32) -> Result<Acknowledged, Error> {
    let Some(user) = reader else {
        let document = format!("e4/{number}");
        let report = write(client, &document, &content(&document)).await?;
        return Ok(Acknowledged::Written {
            document,
            tx_id: report.tx_id,
        });
    };
    let (got, report) = read(client, user, "e4/first").await?;
    assert_eq!(got, content("e4/first"));
    Ok(Acknowledged::Read {
        approve_id: report.approve_id,
        nodes: report
            .released_by
            .iter()
            .map(|(_, name)| name.to_string())
            .collect(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e4_kill_9_of_each_kind_and_of_all_at_once_loses_nothing_acknowledged() {
    let mut world = world().await;
    let stream = Stream::start(&world).await;
    for victim in [
        "crypto-1",
        "endorser-north",
        "coordinator",
        "endorser-south",
        "crypto-4",
    ] {
        stream.goes_on(4).await;
        world.cluster.kill(victim).unwrap();
        if victim != "coordinator" {
            // Nobody waits for its return.
            stream.goes_on(4).await;
        }
        world.cluster.start_one(victim).await.unwrap();
    }
    for _ in 0..2 {
        stream.goes_on(6).await;
        for name in world.names() {
            world.cluster.kill(&name).unwrap();
        }
        world.heal().await;
    }
    stream.goes_on(6).await;
    let acknowledged = stream.end().await;
    check(&world, &acknowledged).await;
}

async fn check(world: &World, acknowledged: &[Acknowledged]) {
    let auditor = world.client(&world.cluster.auditor().unwrap()).await;
    let alice = world.client(&world.alice).await;
    let log = auditor.verified_log().await.unwrap();
    let with = |wanted: fn(&Outcome) -> bool| -> BTreeSet<TxId> {
        let lines = log.lines.iter().filter(|line| wanted(&line.entry.outcome));
        lines.map(|line| line.entry.transaction.tx_id()).collect()
    };
    let applied = with(|outcome| *outcome == Outcome::Applied);
    let approved = with(|outcome| matches!(outcome, Outcome::Approved { .. }));
    for one in acknowledged {
        match one {
            Acknowledged::Written { document, tx_id } => {
                assert!(applied.contains(tx_id), "{document} is not in the log");
                let (got, _) = read(&alice, "alice", document).await.unwrap();
                assert_eq!(got, content(document));
            }
            Acknowledged::Read { approve_id, nodes } => {
                assert!(
                    approved.contains(approve_id),
                    "the read {approve_id} is not in the log"
                );
                for node in nodes {
                    let journalled = world.releases(node).iter().any(|r| r.approve_id == *approve_id);
                    assert!(
                        journalled,
                        "{node} released for {approve_id} and has not journalled it"
                    );
                }
            }
        }
    }
    let reads = acknowledged
        .iter()
        .filter(|one| matches!(one, Acknowledged::Read { .. }))
        .count();
    assert!(reads > 0 && reads < acknowledged.len(), "both kinds were tried");
    // Of whatever any node released for, the approval is on the chain.
    for release in world.all_releases().into_iter().flatten() {
        let again = auditor.prove(&release.approve_id).await.unwrap().line;
        assert!(
            matches!(again.entry.outcome, Outcome::Approved { write_id, .. } if write_id == release.write_id)
        );
    }
}

#[tokio::test]
async fn p13_a_coordinator_killed_between_answer_and_receipt_records_the_receipt() {
    let mut world = world().await;
    world.write("p13/receipt", b"released and not recorded").await;
    let asked = world.ask(&world.alice, "alice", "p13/receipt", Duration::from_secs(30));
    let approved = world.approvals(&asked).await;
    // Without a quorum of endorsers nothing gets onto the chain.
    for endorser in ["endorser-north", "endorser-south"] {
        world.cluster.kill(endorser).unwrap();
    }
    let profile = &world.cluster.profile().coordinators[0];
    let channel = connect(&profile.address, &profile.identity, &world.alice);
    let answer = CoordinatorServiceClient::new(channel)
        .reencrypt(ReencryptRequest {
            wrapped_key: approved.wrapped.to_bytes(),
            certificates: approved.certificates,
            manifest_digest: Vec::new(),
        })
        .await
        .unwrap()
        .into_inner();
    world.cluster.kill(COORDINATOR).unwrap();

    world.heal().await;
    let auditor = world.client(&world.cluster.auditor().unwrap()).await;
    let approve_id = asked.transaction.tx_id();
    // A node that was asked twice says that it repeats itself, and such a statement has a transaction of its own.
    let log = until("every receipt is on the chain", async || {
        let log = auditor.await_receipt(&approve_id).await.ok()?;
        let recorded: Vec<Vec<u8>> = log
            .lines
            .iter()
            .flat_map(|line| match &line.entry.transaction.body {
                Body::RecordReleases { releases } if line.entry.outcome == Outcome::Applied => {
                    releases.as_slice()
                }
                _ => &[],
            })
            .map(Canonical::to_bytes)
            .collect();
        let all = answer
            .statements
            .iter()
            .all(|statement| recorded.contains(statement));
        all.then_some(log)
    })
    .await;
    // Every endorser that was asked has proven how long its log is.
    assert!(log.faults.is_empty() && log.compared >= 3, "{:?}", log.faults);
}
