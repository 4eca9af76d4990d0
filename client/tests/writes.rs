//! Writes, with one endorser that lies about them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use golden_record::{Body, Configuration, Dataset, Outcome, RejectionReason, Role, Storage};
use quorate_client::{Client, Error, ReadRequest, Recorded, WriteReport, WriteRequest};
use support::{Behaviour, REJECTED, World};
use threshold::name::Name;
use tonic::Code;

async fn write(client: &Client) -> Result<Recorded, Error> {
    let body = Body::CreateTenant {
        tenant: "acme".parse().unwrap(),
        admin: client.public_key(),
    };
    client.apply(body).await
}

#[tokio::test]
async fn p3_whatever_one_endorser_says_of_a_write_does_not_stop_it() {
    let world = World::start(2).await;
    let client = world.client().await;
    let lies = [
        Behaviour::Refuses(Code::InvalidArgument, "malformed"),
        Behaviour::Refuses(Code::FailedPrecondition, "expired"),
        Behaviour::Refuses(Code::Unauthenticated, "invalid_signature"),
        Behaviour::Refuses(Code::PermissionDenied, "unknown_author"),
        Behaviour::Refuses(Code::Internal, "endorser_failed"),
        Behaviour::Pretends(Outcome::Applied),
        Behaviour::Pretends(REJECTED),
        Behaviour::Mistakes,
    ];
    for lie in lies {
        // Whichever is asked first, sooner or later it is the liar.
        for place in 0..4 {
            world.behave(place, lie.clone());
            for _ in 0..4 {
                let recorded = write(&client).await.unwrap();
                assert!(world.chain().find(&recorded.tx_id).is_some());
            }
            world.behave(place, Behaviour::Honest);
        }
    }
}

#[tokio::test]
async fn what_more_refuse_alike_than_can_lie_is_refused() {
    let world = World::start(2).await;
    let client = world.client().await;
    world.all_behave(&Behaviour::Refuses(Code::FailedPrecondition, "expired"));
    assert_eq!(write(&client).await.unwrap_err().code(), "refused");
    world.all_behave(&Behaviour::Refuses(Code::PermissionDenied, "unknown_author"));
    assert_eq!(write(&client).await.unwrap_err().code(), "forbidden");
    assert_eq!(world.chain().entries.len(), 2);
}

#[tokio::test]
async fn a_rejection_that_more_endorsers_than_can_lie_tell_is_believed() {
    let world = World::start(2).await;
    let client = world.client().await;
    for place in [0, 1, 2] {
        world.behave(place, Behaviour::Pretends(REJECTED));
    }
    world.behave(3, Behaviour::Down);
    assert!(matches!(
        write(&client).await.unwrap_err(),
        Error::Rejected { .. }
    ));
}

/// Asked one after the other until its deadline, each of those that stall would take 15 seconds.
#[tokio::test]
async fn p3_endorsers_that_stall_are_not_waited_for() {
    let world = World::start(2).await;
    for place in 0..3 {
        world.behave(place, Behaviour::Stalls);
    }
    let all = async {
        let client = world.client().await;
        let written = futures::future::join_all((0..8).map(|_| write(&client))).await;
        let written: Vec<_> = written.into_iter().map(Result::unwrap).collect();
        client.prove(&written[0].tx_id).await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(44), all).await.unwrap();
}

/// A dataset whose objects are in this place.
fn dataset(storage: Storage) -> Dataset {
    Dataset {
        version: 1,
        active: true,
        configuration: Configuration {
            storage,
            ..Configuration::default()
        },
        owners: 1,
    }
}

/// Endorsers that have a dataset whose objects are never on the chain.
async fn outside() -> World {
    let world = World::readable().await;
    world.chain.lock().unwrap().dataset = Some(dataset(Storage::Outside));
    world
}

async fn write_small_document(client: &Client) -> Result<WriteReport, Error> {
    let asked = WriteRequest {
        tenant: "north".parse().unwrap(),
        dataset: "loans".parse().unwrap(),
        document: "small".parse().unwrap(),
        name: "small".into(),
        content_type: String::new(),
    };
    client
        .write(&asked, &mut &b"what is to be erased some day"[..])
        .await
}

async fn permissions(client: &Client) -> Result<Dataset, Error> {
    let (tenant, dataset) = ("north".parse().unwrap(), "loans".parse().unwrap());
    let found = client.permissions(&tenant, &dataset, Role::Writer, None).await?;
    Ok(found.1)
}

/// What is on the chain is there for ever, rejected or not.
#[tokio::test]
async fn p3_one_endorser_brings_no_object_onto_the_chain_that_is_to_stay_outside() {
    let world = outside().await;
    let client = world.client().await;
    let lies = [
        Behaviour::Keeps(Code::NotFound),
        Behaviour::Keeps(Code::PermissionDenied),
        Behaviour::Keeps(Code::Internal),
        Behaviour::Configures(dataset(Storage::Chain)),
        Behaviour::Claims(1_000_000),
        Behaviour::Claims(1),
        Behaviour::Old(1),
        Behaviour::Down,
    ];
    for lie in lies {
        for place in 0..4 {
            world.behave(place, lie.clone());
            assert_eq!(permissions(&client).await.unwrap(), dataset(Storage::Outside));
            let report = write_small_document(&client).await.unwrap();
            assert!(!report.on_chain);
            let chain = world.chain();
            let entry = &chain.entries[chain.find(&report.tx_id).unwrap()];
            assert!(matches!(
                &entry.transaction.body,
                Body::WriteDocument { inline: None, .. }
            ));
            world.behave(place, Behaviour::Honest);
        }
    }
}

/// Only one honest endorser has the newest block, and a liar names no or any height: the others come to it.
#[tokio::test]
async fn p3_endorsers_that_are_a_block_behind_are_asked_for_a_dataset_again() {
    let world = outside().await;
    let client = world.client().await;
    for lie in [Behaviour::Keeps(Code::NotFound), Behaviour::Claims(1_000_000)] {
        for ahead in 0..4 {
            let lags = || {
                for place in (0..4).filter(|place| *place != ahead) {
                    world.behave(place, Behaviour::Lags(Arc::new(AtomicUsize::new(5))));
                }
                world.behave((ahead + 3) % 4, lie.clone());
            };
            lags();
            assert_eq!(permissions(&client).await.unwrap(), dataset(Storage::Outside));
            lags();
            assert!(!write_small_document(&client).await.unwrap().on_chain);
            world.all_behave(&Behaviour::Honest);
        }
    }
}

#[tokio::test]
async fn one_endorsers_word_that_there_is_no_such_dataset_is_not_enough() {
    let world = outside().await;
    let client = world.client().await;
    for (code, refusal) in [
        (Code::NotFound, "not_found"),
        (Code::PermissionDenied, "forbidden"),
    ] {
        world.all_behave(&Behaviour::Down);
        world.behave(1, Behaviour::Keeps(code));
        assert_eq!(permissions(&client).await.unwrap_err().code(), "too_few_answers");
        world.behave(3, Behaviour::Keeps(code));
        assert_eq!(permissions(&client).await.unwrap_err().code(), refusal);
    }
}

/// Who may not see the dataset may not write: that is on the record, without the content.
#[tokio::test]
async fn a_write_to_a_dataset_that_nobody_shows_brings_nothing_of_the_content_onto_the_chain() {
    let world = World::readable().await;
    let client = world.client().await;
    assert!(!write_small_document(&client).await.unwrap().on_chain);
}

#[tokio::test]
async fn the_object_of_a_rejected_write_is_not_kept() {
    let world = outside().await;
    let client = world.client().await;
    let kept = || world.objects.path().read_dir().unwrap().count();
    write_small_document(&client).await.unwrap();
    assert_eq!(kept(), 1);
    let rejected = Outcome::Rejected(RejectionReason::VersionNotNext);
    world.all_behave(&Behaviour::Pretends(rejected));
    assert!(matches!(
        write_small_document(&client).await.unwrap_err(),
        Error::Rejected { .. }
    ));
    assert_eq!(kept(), 1);
    // It may be recorded all the same when nobody says what became of it.
    world.all_behave(&Behaviour::Refuses(Code::Internal, "endorser_failed"));
    write_small_document(&client).await.unwrap_err();
    assert_eq!(kept(), 2);
}

/// Waited for until its deadline, it would take 15 seconds.
#[tokio::test]
async fn p3_an_endorser_that_stalls_is_not_waited_for_about_a_dataset() {
    let world = outside().await;
    let client = world.client().await;
    for place in 0..4 {
        world.behave(place, Behaviour::Stalls);
        let in_time = tokio::time::timeout(Duration::from_secs(14), permissions(&client)).await;
        assert_eq!(in_time.unwrap().unwrap(), dataset(Storage::Outside));
        world.behave(place, Behaviour::Honest);
    }
}

/// The caller's own mistake is said before anybody is asked, who would all refuse.
#[tokio::test]
async fn what_is_longer_than_it_can_be_is_asked_of_nobody() {
    let world = World::readable().await;
    let client = world.client().await;
    let users: BTreeSet<Name> = (0..65)
        .map(|number| format!("user-{number}").parse().unwrap())
        .collect();
    let (tenant, name) = ("north".parse().unwrap(), "many".parse().unwrap());
    let owners = [Name::new("alice").unwrap()].into();
    let created = client.create_dataset(tenant, name, owners, BTreeSet::new(), users);
    let error = created.await.unwrap_err();
    assert!(
        matches!(&error, Error::Request(why) if why.contains("readers")),
        "{error}"
    );
    for purpose in ["p".repeat(257), "one line\nand another".into()] {
        let asked = ReadRequest {
            tenant: "north".parse().unwrap(),
            dataset: "loans".parse().unwrap(),
            document: "contract".parse().unwrap(),
            version: None,
            user: "alice".parse().unwrap(),
            purpose,
        };
        let error = client.read(&asked).await.unwrap_err();
        assert!(
            matches!(&error, Error::Request(why) if why.contains("purpose")),
            "{error}"
        );
    }
    assert_eq!(world.chain().entries.len(), 2);
}
