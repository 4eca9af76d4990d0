//! Searches among endorsers of which one lies.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use golden_record::{Filter, Outcome, RejectionReason};
use quorate_client::{Client, Error, Party};
use support::{Behaviour, ORGANISATIONS, World};

const PLACES: std::ops::Range<usize> = 0..4;

/// Ten entries, of which every third was rejected.
async fn world() -> World {
    let world = World::start(0).await;
    for number in 0..10 {
        let outcome = match number % 3 {
            0 => Outcome::Rejected(RejectionReason::TenantExists),
            _ => Outcome::Applied,
        };
        world.chain.lock().unwrap().append(number, outcome);
    }
    world
}

fn rejected() -> Filter {
    Filter {
        verdict: Some("rejected".parse().unwrap()),
        ..Filter::default()
    }
}

async fn found(client: &Client, filter: &Filter, most: usize) -> Vec<u64> {
    let found = client.search(filter, 0, most).await.unwrap();
    assert!(found.compared >= 2);
    found.lines.iter().map(|line| line.index).collect()
}

fn party(place: usize) -> Party {
    Party::Endorser(ORGANISATIONS[place].parse().unwrap())
}

#[tokio::test]
async fn what_is_found_is_all_that_matches_in_pages_of_any_size() {
    let world = world().await;
    let client = world.client().await;
    assert_eq!(found(&client, &rejected(), 100).await, [0, 3, 6, 9]);
    let late = Filter {
        since_ms: Some(5),
        ..rejected()
    };
    assert_eq!(found(&client, &late, 100).await, [6, 9]);
    let whole = client.search(&rejected(), 0, 4).await.unwrap();
    assert!(!whole.complete || whole.searched_to == 10);
    let first = client.search(&rejected(), 0, 3).await.unwrap();
    assert_eq!(
        (first.lines.len(), first.searched_to, first.complete),
        (3, 9, false)
    );
    let rest = client.search(&rejected(), first.searched_to, 3).await.unwrap();
    assert_eq!(
        (rest.lines.len(), rest.lines[0].index, rest.complete),
        (1, 9, true)
    );
    assert_eq!(rest.faults, []);
}

#[tokio::test]
async fn one_that_leaves_an_entry_out_hides_nothing_and_is_named() {
    let world = world().await;
    // Three answers are enough, so that a liar may come too late to be named.
    let mut named = false;
    for place in PLACES {
        world.behave(place, Behaviour::LeavesOut(6));
        for _ in 0..20 {
            let found = world.client().await.search(&rejected(), 0, 100).await.unwrap();
            let indices: Vec<u64> = found.lines.iter().map(|line| line.index).collect();
            assert_eq!(indices, [0, 3, 6, 9]);
            for fault in &found.faults {
                assert_eq!((&fault.party, fault.check), (&party(place), "search"));
                named = true;
            }
        }
        world.behave(place, Behaviour::Honest);
    }
    assert!(named);
}

#[tokio::test]
async fn e8_what_does_not_match_or_is_not_proven_is_not_taken() {
    let world = world().await;
    for place in PLACES {
        // With two away, the liar's is one of the answers.
        let away = [(place + 1) % 4, (place + 2) % 4];
        for lie in [
            Behaviour::Adds(4),
            Behaviour::Mislays,
            Behaviour::Repeats,
            Behaviour::Floods,
            Behaviour::Votes,
            Behaviour::Forges(12),
            Behaviour::Shows(world.chain().cut(0)),
        ] {
            for other in away {
                world.behave(other, Behaviour::Down);
            }
            let shown_nothing = matches!(lie, Behaviour::Shows(_));
            world.behave(place, lie);
            if shown_nothing {
                // Two have answered, and nobody but the one has looked: which of them lies nobody can say.
                let error = world.client().await.search(&rejected(), 0, 3).await.unwrap_err();
                assert!(matches!(error, Error::TooFew { .. }), "{error}");
                for any in PLACES {
                    world.behave(any, Behaviour::Honest);
                }
                continue;
            }
            // The one that floods gives all four.
            let found = world.client().await.search(&rejected(), 0, 3).await.unwrap();
            assert_eq!((found.lines.len(), found.compared), (3, 1));
            assert!(!found.faults.is_empty());
            for fault in found.faults {
                assert_eq!((fault.party, fault.check), (party(place), "search"));
            }
            for any in PLACES {
                world.behave(any, Behaviour::Honest);
            }
        }
    }
}

#[tokio::test]
async fn an_index_that_is_still_made_delays_nobody_unless_all_are() {
    let world = world().await;
    world.behave(0, Behaviour::Indexes);
    assert_eq!(found(&world.client().await, &rejected(), 100).await.len(), 4);
    world.all_behave(&Behaviour::Indexes);
    let error = world
        .client()
        .await
        .search(&rejected(), 0, 100)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TooFew { .. }), "{error}");
}

#[tokio::test]
async fn p10_a_search_in_a_log_that_was_cut_or_rewritten_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let world = world().await;
    let auditor = world.auditor(folder.path()).await;
    auditor.search(&rejected(), 0, 1).await.unwrap();
    world.all_behave(&Behaviour::Old(8));
    let error = auditor.search(&rejected(), 0, 100).await.unwrap_err();
    assert!(matches!(error, Error::Behind { proven: 10, .. }), "{error}");
    let mut rewritten = world.chain().cut(6);
    for number in 30..39 {
        rewritten.append(number, Outcome::Applied);
    }
    world.all_behave(&Behaviour::Shows(rewritten));
    let error = auditor.search(&rejected(), 0, 100).await.unwrap_err();
    assert!(matches!(error, Error::Forked { .. }), "{error}");
}

#[tokio::test]
async fn an_entry_that_only_its_finders_word_makes_the_users_is_not_dropped_while_one_is_behind() {
    let world = world().await;
    let of_user = Filter {
        user: Some(("acme".parse().unwrap(), "alice".parse().unwrap())),
        ..rejected()
    };
    // Of the three that answer one lies, and one has not come so far.
    world.behave(0, Behaviour::LeavesOut(9));
    world.behave(1, Behaviour::Old(9));
    world.behave(3, Behaviour::Down);
    let search = async || world.client().await.search(&of_user, 0, 100).await;
    let error = search().await.unwrap_err();
    assert!(matches!(error, Error::TooFew { .. }), "{error}");
    // What is before it is found, and that this is not all is said.
    let first = world.client().await.search(&of_user, 0, 3).await.unwrap();
    assert_eq!((first.lines.len(), first.complete), (3, false));
    world.behave(1, Behaviour::Honest);
    let found = search().await.unwrap();
    let indices: Vec<u64> = found.lines.iter().map(|line| line.index).collect();
    assert_eq!((indices.as_slice(), found.complete), (&[0, 3, 6, 9][..], true));
    // One that gives what the others have looked at and do not give convinces nobody, and holds nobody up.
    world.behave(0, Behaviour::LeavesOut(3));
    world.behave(1, Behaviour::LeavesOut(3));
    let found = search().await.unwrap();
    let indices: Vec<u64> = found.lines.iter().map(|line| line.index).collect();
    assert_eq!((indices.as_slice(), found.complete), (&[0, 6, 9][..], true));
}

#[tokio::test]
async fn a_false_time_makes_nobody_a_liar_and_adds_nothing() {
    let world = world().await;
    let late = Filter {
        since_ms: Some(5),
        ..rejected()
    };
    // The liar's is one of three answers.
    world.behave(0, Behaviour::Dates(3, 8));
    world.behave(3, Behaviour::Down);
    for _ in 0..5 {
        let found = world.client().await.search(&late, 0, 100).await.unwrap();
        let indices: Vec<u64> = found.lines.iter().map(|line| line.index).collect();
        assert_eq!((indices.as_slice(), found.complete), (&[6, 9][..], true));
        assert_eq!(found.faults, []);
    }
}
