//! Writes, with one endorser that lies about them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::time::Duration;

use golden_record::{Body, Outcome};
use quorate_client::{Client, Error, Recorded};
use support::{Behaviour, REJECTED, World};
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
    assert_eq!(write(&client).await.unwrap_err().code(), "unavailable");
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
        for recorded in written {
            client.prove(&recorded.unwrap().tx_id).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(44), all).await.unwrap();
}
