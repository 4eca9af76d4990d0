//! What each of the two quorums can lose, it can lose at any moment.

use crate::world::{read, world};

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
