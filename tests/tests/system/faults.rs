//! What each of the two quorums can lose, it can lose at any moment.

use std::fs;

use crate::world::{World, read, refusal, world};

#[tokio::test]
async fn p3_any_two_hung_crypto_nodes_do_not_stop_reads() {
    let world = world().await;
    world.write("p3/hung", b"three of five").await;
    let bob = world.client(&world.bob).await;
    let nodes = world.nodes();
    for (place, first) in nodes.iter().enumerate() {
        for second in &nodes[place + 1..] {
            let _hung = [world.hang(first), world.hang(second)];
            let (content, report) = read(&bob, "bob", "p3/hung")
                .await
                .unwrap_or_else(|error| panic!("{first} and {second} hang: {error}"));
            assert_eq!(content, b"three of five");
            let by: Vec<String> = report
                .released_by
                .iter()
                .map(|(_, name)| name.to_string())
                .collect();
            assert!(!by.contains(first) && !by.contains(second), "{by:?}");
        }
    }
}

#[tokio::test]
async fn p3_any_two_killed_crypto_nodes_do_not_stop_reads_and_three_do() {
    let mut world = world().await;
    world.write("p3/killed", b"three of five").await;
    let bob = world.client(&world.bob).await;
    for pair in [
        ["crypto-1", "crypto-2"],
        ["crypto-3", "crypto-4"],
        ["crypto-5", "crypto-1"],
    ] {
        for node in pair {
            world.cluster.kill(node).unwrap();
        }
        let (content, _) = read(&bob, "bob", "p3/killed").await.unwrap();
        assert_eq!(content, b"three of five");
        if pair[0] == "crypto-5" {
            // One more than can be lost: an error in bounded time, and the quorum is back with the node.
            world.cluster.kill("crypto-2").unwrap();
            read(&bob, "bob", "p3/killed").await.unwrap_err();
        }
        world.heal().await;
    }
    read(&bob, "bob", "p3/killed").await.unwrap();
}

/// They answer, and have nothing: other than dead ones, they are asked at once and refuse.
#[tokio::test]
async fn p3_two_crypto_nodes_that_have_lost_their_disks_do_not_stop_reads_and_three_do() {
    let mut world = World::new("wiped").await;
    world.write("p3/wiped", b"three of five").await;
    let bob = world.client(&world.bob).await;
    let approved = world.approved("p3/wiped").await;
    let request = world.request(&approved.certificates, &approved.wrapped).await;
    for (lost, node) in ["crypto-4", "crypto-1", "crypto-3"].into_iter().enumerate() {
        world.cluster.kill(node).unwrap();
        fs::remove_dir_all(world.cluster.paths().data(node)).unwrap();
        world.cluster.start_one(node).await.unwrap();
        let refused = world.share(node, &request).await.unwrap_err();
        assert_eq!(refusal(&refused), "no_key");
        // The coordinator asks others first after a while: it is to meet each of them.
        for _ in 0..5 {
            let answer = read(&bob, "bob", "p3/wiped").await;
            if lost < 2 {
                let (content, report) = answer.unwrap_or_else(|error| panic!("without {node}: {error}"));
                assert_eq!(content, b"three of five");
                assert!(report.released_by.iter().all(|(_, name)| name.as_str() != node));
            } else {
                // One more than can be lost: an error in bounded time.
                answer.unwrap_err();
                break;
            }
        }
    }
    world.cluster.shutdown().await.unwrap();
}

#[tokio::test]
async fn p3_any_dead_or_hung_endorser_does_not_stop_writes_or_reads() {
    let mut world = world().await;
    let (alice, bob) = (world.client(&world.alice).await, world.client(&world.bob).await);
    for organisation in ["north", "east", "south", "west"] {
        let endorser = format!("endorser-{organisation}");
        let document = format!("p3/without-{organisation}");
        let hung = world.hang(&endorser);
        crate::world::write(&alice, &document, b"three of four")
            .await
            .unwrap();
        let (_, report) = read(&bob, "bob", &document).await.unwrap();
        assert!(
            report
                .approved_by
                .iter()
                .all(|name| name.as_str() != organisation)
        );
        drop(hung);
        world.cluster.kill(&endorser).unwrap();
        let (content, _) = read(&bob, "bob", &document).await.unwrap();
        assert_eq!(content, b"three of four");
        world.cluster.start_one(&endorser).await.unwrap();
    }
}
