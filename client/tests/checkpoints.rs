//! Checkpoints that the endorsers have signed, of which one lies, and against what was verified before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::time::Duration;

use golden_record::{Outcome, RejectionReason, SignedCheckpoint};
use quorate_client::{EQUIVOCATION, Error, Party};
use support::{Behaviour, Chain, ORGANISATIONS, World};

/// Every place, because the order in which endorsers are asked must not matter.
const PLACES: std::ops::Range<usize> = 0..4;

fn party(place: usize) -> Party {
    Party::Endorser(ORGANISATIONS[place].parse().unwrap())
}

/// The same validators have signed another history from entry 5 on.
fn forked(chain: &Chain) -> Chain {
    let mut forked = chain.cut(5);
    for number in 50..60 {
        forked.append(number, Outcome::Rejected(RejectionReason::TenantExists));
    }
    forked
}

#[tokio::test]
async fn a_checkpoint_is_signed_by_a_quorum_and_verifies_for_anybody() {
    let world = World::start(7).await;
    let checkpoint = world.client().await.signed_checkpoint().await.unwrap();
    assert_eq!(
        (checkpoint.signed.checkpoint().size, checkpoint.header.log_size),
        (7, 7)
    );
    assert!(checkpoint.signatures >= 3);
    assert_eq!(checkpoint.faults, []);
    let read = SignedCheckpoint::parse(checkpoint.signed.to_text().as_bytes()).unwrap();
    let signers = read.verify(&world.chain().genesis).unwrap();
    assert_eq!(signers.organisations.len(), checkpoint.signatures);
}

#[tokio::test]
async fn one_endorser_that_is_dead_stops_no_checkpoint_and_two_do() {
    let world = World::start(3).await;
    let client = world.client().await;
    world.behave(1, Behaviour::Down);
    assert_eq!(client.signed_checkpoint().await.unwrap().signatures, 3);
    world.behave(2, Behaviour::Down);
    let error = client.signed_checkpoint().await.unwrap_err();
    assert!(matches!(&error, Error::TooFew { .. }), "{error}");
}

#[tokio::test]
async fn e1_an_endorser_that_signs_another_root_or_for_another_is_not_counted() {
    let world = World::start(8).await;
    // With one of the honest three away, the liar would be needed.
    for place in PLACES {
        let away = (place + 1) % 4;
        world.behave(away, Behaviour::Down);
        for lie in [
            Behaviour::Signs(forked(&world.chain())),
            Behaviour::SignsWith((place + 2) % 4),
            Behaviour::Relays((place + 2) % 4),
        ] {
            let check = match &lie {
                Behaviour::Signs(_) => EQUIVOCATION,
                _ => "checkpoint",
            };
            world.behave(place, lie);
            let error = world.client().await.signed_checkpoint().await.unwrap_err();
            let Error::TooFew { faults, .. } = &error else {
                panic!("{error}")
            };
            let named = faults.iter().find(|fault| fault.check == check).unwrap();
            assert_eq!(named.party, party(place));
            assert!(!named.evidence.is_empty());
        }
        world.behave(place, Behaviour::Honest);
        world.behave(away, Behaviour::Honest);
    }
}

#[tokio::test]
async fn p10_a_checkpoint_that_continues_none_of_before_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(8).await;
    let auditor = world.auditor(folder.path()).await;
    auditor.signed_checkpoint().await.unwrap();
    // As long as before, longer, and shorter.
    for (size, longer) in [(8, true), (15, true), (6, false)] {
        world.all_behave(&Behaviour::Shows(forked(&world.chain()).cut(size)));
        for client in [&auditor, &world.auditor(folder.path()).await] {
            let error = client.signed_checkpoint().await.unwrap_err();
            match error {
                Error::Forked { earlier, header, .. } if longer => {
                    assert_eq!((earlier.size, header.log_size), (8, size as u64));
                }
                Error::Behind { proven: 8, .. } if !longer => {}
                error => panic!("{size}: {error}"),
            }
        }
    }
    world.all_behave(&Behaviour::Honest);
    assert_eq!(auditor.signed_checkpoint().await.unwrap().header.log_size, 8);
}

#[tokio::test]
async fn p10_one_endorser_with_a_wrong_proof_of_consistency_raises_no_alarm() {
    let world = World::start(5).await;
    for place in PLACES {
        let client = world.client().await;
        client.signed_checkpoint().await.unwrap();
        world
            .chain
            .lock()
            .unwrap()
            .append(90 + u8::try_from(place).unwrap(), Outcome::Applied);
        world.behave(place, Behaviour::Twists);
        let checkpoint = client.signed_checkpoint().await.unwrap();
        for fault in &checkpoint.faults {
            assert_eq!((&fault.party, fault.check), (&party(place), "consistency"));
        }
        // The first one is asked first.
        assert_eq!(checkpoint.faults.len(), usize::from(place == 0));
        world.behave(place, Behaviour::Honest);
    }
}

#[tokio::test]
async fn e10_an_endorser_that_hands_over_to_whom_it_likes_is_named_and_stops_nobody() {
    let world = World::start(4).await;
    for (handovers, check) in [(vec![], "status"), (vec![b"to me".to_vec()], "handover")] {
        world.behave(1, Behaviour::HandsOver(handovers));
        let client = world.client().await;
        let statuses = client.endorser_statuses().await;
        for (place, (_, status)) in statuses.iter().enumerate() {
            match status {
                Err(Error::Lied(fault)) if place == 1 => assert_eq!(fault.check, check),
                status => assert!(place != 1 && status.is_ok(), "{place}: {status:?}"),
            }
        }
        assert_eq!(client.epochs().newest(), 0);
        assert!(client.signed_checkpoint().await.unwrap().signatures >= 3);
    }
}

/// Waited for until its deadline, it would take 15 seconds.
#[tokio::test]
async fn p3_an_endorser_that_stalls_keeps_nobody_from_a_checkpoint_that_continues_another() {
    let world = World::start(4).await;
    let client = world.client().await;
    client.signed_checkpoint().await.unwrap();
    world.chain.lock().unwrap().append(9, Outcome::Applied);
    world.behave(0, Behaviour::Stalls);
    let in_time = tokio::time::timeout(Duration::from_secs(14), client.signed_checkpoint()).await;
    assert_eq!(in_time.unwrap().unwrap().header.log_size, 5);
}
