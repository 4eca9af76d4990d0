//! An endorser that has lost its disk, but not its keys.

use std::fs;

use crate::world::{read, until, world};

#[tokio::test]
async fn e10_a_wiped_endorser_catches_up_from_its_peers_and_verifies() {
    let mut world = world().await;
    for number in 0..3 {
        world.write(&format!("e10/{number}"), b"from the others").await;
    }
    let auditor_key = world.cluster.auditor().unwrap();
    let others = world.client(&auditor_key).await.verified_log().await.unwrap();
    world.cluster.kill("endorser-west").unwrap();
    let data = world.cluster.paths().data("endorser-west");
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    world.cluster.start_one("endorser-west").await.unwrap();

    // A client that knows no other endorser: everything that it verifies comes from this one.
    let mut profile = world.cluster.profile().clone();
    profile
        .endorsers
        .retain(|endorser| endorser.organisation == "west");
    let auditor = until("it has the chain", async || {
        let auditor = client::Client::connect(profile.clone(), auditor_key.clone())
            .await
            .ok()?;
        let log = auditor.verified_log().await.ok()?;
        (log.lines.len() >= others.lines.len()).then_some(auditor)
    })
    .await;
    let log = auditor.verified_log().await.unwrap();
    assert_eq!(log.lines[..others.lines.len()], others.lines[..]);

    // It votes again when the chain is past all that it can have voted on and forgotten, and not before.
    for number in 3..20 {
        world.write(&format!("e10/{number}"), b"a block more").await;
    }
    // With it, one of the others may be missing.
    world.cluster.kill("endorser-north").unwrap();
    let alice = until("somebody answers", async || {
        world.cluster.client(world.alice.clone()).await.ok()
    })
    .await;
    let report = until("it approves", async || {
        read(&alice, "alice", "e10/1")
            .await
            .ok()
            .map(|(_, report)| report)
    })
    .await;
    assert!(report.approved_by.iter().any(|name| name.as_str() == "west"));
    world.heal().await;
}
