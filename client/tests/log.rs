//! The whole log, from endorsers of which one lies, and against what was verified before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use golden_record::{Outcome, RejectionReason};
use quorate_client::{Error, Party};
use support::{Behaviour, Chain, World};

/// Every place, because the order in which endorsers are asked must not matter.
const PLACES: std::ops::Range<usize> = 0..4;

#[tokio::test]
async fn the_log_is_verified_and_says_with_whom_it_was_compared() {
    let world = World::start(7).await;
    let log = world.client().await.verified_log().await.unwrap();
    assert_eq!((log.lines.len(), log.header.log_size), (7, 7));
    assert!(log.compared >= 3);
    assert_eq!(log.faults, []);
}

#[tokio::test]
async fn e2_p10_an_old_prefix_from_one_endorser_is_not_taken() {
    let world = World::start(9).await;
    for place in PLACES {
        world.behave(place, Behaviour::Old(5));
        let log = world.client().await.verified_log().await.unwrap();
        assert_eq!(log.lines.len(), 9, "the liar is endorser {place}");
        world.behave(place, Behaviour::Honest);
    }
}

#[tokio::test]
async fn e2_a_size_that_is_only_claimed_keeps_nobody_from_the_log() {
    let world = World::start(4).await;
    for place in PLACES {
        for lie in [Behaviour::Claims(1_000_000), Behaviour::Forges(1_000_000)] {
            let forged = matches!(lie, Behaviour::Forges(_));
            world.behave(place, lie);
            let log = world.client().await.verified_log().await.unwrap();
            assert_eq!(log.lines.len(), 4);
            // Three of four answers are enough, so that a liar that comes last may not be noticed.
            if forged && let Some(fault) = log.faults.first() {
                let organisation = support::ORGANISATIONS[place].parse().unwrap();
                assert_eq!(fault.party, Party::Endorser(organisation));
                assert_eq!(fault.check, "status");
            }
            world.behave(place, Behaviour::Honest);
        }
    }
}

#[tokio::test]
async fn e2_an_endless_log_is_read_no_further_than_it_is_proven() {
    let world = World::start(4).await;
    let asked = Arc::new(AtomicUsize::new(0));
    world.behave(0, Behaviour::Endless(Arc::clone(&asked)));
    let log = world.client().await.verified_log().await.unwrap();
    assert_eq!(log.lines.len(), 4);
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn p3_an_endorser_that_rewrites_an_entry_is_named_and_stops_nobody() {
    let world = World::start(4).await;
    world.behave(0, Behaviour::Rewrites(1));
    let log = world.client().await.verified_log().await.unwrap();
    assert_eq!(log.lines.len(), 4);
    let named: Vec<_> = log
        .faults
        .iter()
        .map(|fault| (fault.party.clone(), fault.check))
        .collect();
    assert_eq!(named, [(Party::Endorser("north".parse().unwrap()), "log")]);
}

#[tokio::test]
async fn dead_endorsers_are_passed_over() {
    let world = World::start(3).await;
    let client = world.client().await;
    for place in [0, 1, 2] {
        world.behave(place, Behaviour::Down);
    }
    let log = client.verified_log().await.unwrap();
    assert_eq!((log.lines.len(), log.compared), (3, 1));
    world.behave(3, Behaviour::Down);
    assert_eq!(client.verified_log().await.unwrap_err().code(), "unavailable");
}

#[tokio::test]
async fn p10_a_log_that_all_cut_short_later_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(8).await;
    world.auditor(folder.path()).await.verified_log().await.unwrap();
    world.all_behave(&Behaviour::Old(6));
    // Who remembers nothing cannot know.
    assert_eq!(world.client().await.verified_log().await.unwrap().lines.len(), 6);
    let error = world
        .auditor(folder.path())
        .await
        .verified_log()
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Behind {
                size: 6,
                proven: 8,
                ..
            }
        ),
        "{error}"
    );
    world.all_behave(&Behaviour::Honest);
    assert_eq!(
        world
            .auditor(folder.path())
            .await
            .verified_log()
            .await
            .unwrap()
            .lines
            .len(),
        8
    );
}

/// The same validators have signed another history from entry 5 on, longer than the first.
fn forked(chain: &Chain) -> Chain {
    let mut forked = chain.cut(5);
    for number in 50..60 {
        forked.append(number, Outcome::Rejected(RejectionReason::TenantExists));
    }
    forked
}

#[tokio::test]
async fn p10_two_checkpoints_that_fork_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(8).await;
    // One keeps what it has verified in a directory, the other as long as it lives.
    let clients = [world.auditor(folder.path()).await, world.client().await];
    for client in &clients {
        client.verified_log().await.unwrap();
    }
    world.all_behave(&Behaviour::Shows(forked(&world.chain())));
    let [auditor, mortal] = clients;
    for client in [auditor, mortal, world.auditor(folder.path()).await] {
        let error = client.verified_log().await.unwrap_err();
        assert!(
            matches!(&error, Error::Forked { earlier, header, .. } if earlier.size == 8 && header.log_size == 15),
            "{error}"
        );
        assert!(error.is_no());
    }
}

#[tokio::test]
async fn p10_a_damaged_checkpoint_stops_the_audit() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(3).await;
    world.auditor(folder.path()).await.verified_log().await.unwrap();
    let name = format!("{}.checkpoint", world.chain().genesis.chain_id());
    let path = folder.path().join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[1..]).unwrap();
    let error = world
        .auditor(folder.path())
        .await
        .verified_log()
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Checkpoint { path: named } if *named == path),
        "{error}"
    );
}

/// Waited for until its deadline, it would take 15 seconds.
#[tokio::test]
async fn p3_an_endorser_that_stalls_keeps_nobody_from_the_log() {
    let world = World::start(4).await;
    let client = world.client().await;
    world.behave(0, Behaviour::Stalls);
    let in_time = tokio::time::timeout(Duration::from_secs(14), client.verified_log()).await;
    assert_eq!(in_time.unwrap().unwrap().lines.len(), 4);
}
