//! The life of the custody key on real processes: refreshed, handed over, repaired, with reads all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proto::custody::{CeremonyKind, ProposeCeremonyRequest};

use crate::world::{World, read, until};

fn resharing(threshold: u32, members: &[String]) -> ProposeCeremonyRequest {
    ProposeCeremonyRequest {
        kind: CeremonyKind::Resharing.into(),
        threshold,
        members: members.to_vec(),
        lost: String::new(),
    }
}

impl World {
    /// Waits until no node has a share of an old epoch any more; reads make it so.
    async fn until_retired(&self, document: &str) {
        let client = self.client(&self.alice).await;
        until("every old share is destroyed", async || {
            read(&client, "alice", document).await.unwrap();
            for node in self.nodes() {
                if self.node_status(&node).await.serves_epoch != 0 {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b4_p7_p8_the_key_is_refreshed_handed_over_and_repaired_while_it_is_read() {
    let mut world = World::new("lifecycle").await;
    let nodes = world.nodes();
    world.write("before.txt", b"written before").await;

    // Somebody reads all the time, and never fails.
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (client, stop) = (world.client(&world.bob).await, Arc::clone(&stop));
        tokio::spawn(async move {
            let mut reads = 0;
            while !stop.load(Ordering::Relaxed) {
                let (content, _) = read(&client, "bob", "before.txt").await.unwrap();
                assert_eq!(content, b"written before");
                reads += 1;
            }
            reads
        })
    };

    let first = world.manifest().await;
    let refreshed = world
        .cluster
        .run_ceremony(&nodes[1], resharing(0, &[]))
        .await
        .unwrap();
    assert!(refreshed.manifest.follows(&first.manifest).is_ok());
    world.cluster.publish_key().await.unwrap();
    world.until_retired("before.txt").await;

    // To three of the five, two of whom are needed, in another order; and back.
    let three = [&nodes[3], &nodes[1], &nodes[4]].map(Clone::clone);
    let fewer = world
        .cluster
        .run_ceremony(&nodes[0], resharing(2, &three))
        .await
        .unwrap();
    assert_eq!(fewer.manifest.threshold().to_string(), "2 of 3");
    world.cluster.publish_key().await.unwrap();
    world.until_retired("before.txt").await;
    world.write("between.txt", b"written between").await;
    let all = world
        .cluster
        .run_ceremony(&nodes[4], resharing(3, &nodes))
        .await
        .unwrap();
    assert_eq!(
        (
            all.manifest.threshold().to_string().as_str(),
            all.manifest.epoch()
        ),
        ("3 of 5", 4)
    );
    world.cluster.publish_key().await.unwrap();
    world.until_retired("between.txt").await;

    stop.store(true, Ordering::Relaxed);
    let reads = reader.await.unwrap();
    assert!(reads > 0, "nothing was read meanwhile");

    // A node loses its disk, and gets its share again.
    let lost = &nodes[2];
    world.cluster.kill(lost).unwrap();
    std::fs::remove_dir_all(world.cluster.paths().data(lost)).unwrap();
    world.cluster.start_one(lost).await.unwrap();
    assert!(world.node_status(lost).await.manifest.is_empty());
    let repair = ProposeCeremonyRequest {
        kind: CeremonyKind::Repair.into(),
        lost: lost.clone(),
        ..ProposeCeremonyRequest::default()
    };
    let repaired = world.cluster.run_ceremony(&nodes[0], repair).await.unwrap();
    assert_eq!(repaired, all);
    // Its share is needed when two others are gone.
    for node in [&nodes[0], &nodes[1]] {
        world.cluster.stop(node).await.unwrap();
    }
    let client = world.client(&world.alice).await;
    let (content, report) = read(&client, "alice", "before.txt").await.unwrap();
    assert_eq!(content, b"written before");
    assert!(
        report.released_by.iter().any(|(_, name)| name.as_str() == lost),
        "{report:?}"
    );
    world.cluster.shutdown().await.unwrap();
}
