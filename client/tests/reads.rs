//! Whole reads, with two coordinators of which the first brings nothing that is of use.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::time::Duration;

use quorate_client::{Error, Party, ReadReport, ReadRequest};
use support::{Answers, CONTENT, World};

async fn read(world: &World) -> Result<ReadReport, Error> {
    let asked = ReadRequest {
        tenant: "north".parse().unwrap(),
        dataset: "loans".parse().unwrap(),
        document: "contract".parse().unwrap(),
        version: None,
        user: "alice".parse().unwrap(),
        purpose: "a test".into(),
    };
    let (content, report) = world.client().await.read(&asked).await?.into_vec()?;
    assert_eq!(content, CONTENT);
    Ok(report)
}

fn node(seat: u16) -> Party {
    Party::CryptoNode(seat, format!("node-{seat}").parse().unwrap())
}

fn coordinator(name: &str) -> Party {
    Party::Coordinator(name.parse().unwrap())
}

/// Who is named for what, in any order.
fn named(report: &ReadReport) -> Vec<(String, &'static str)> {
    let mut named: Vec<_> = report
        .faults
        .iter()
        .map(|fault| (fault.party.to_string(), fault.check))
        .collect();
    named.sort();
    named
}

#[tokio::test]
async fn p9_what_one_coordinators_answer_shows_is_told_with_that_of_the_next() {
    let world = World::readable().await;
    // The first says that it missed node 2, the second that it missed node 5.
    let reported = |seat| (node(seat).to_string(), "reported_unreachable");
    assert_eq!(named(&read(&world).await.unwrap()), [reported(2)]);

    world.coordinators[0].answer(Answers::WithALiar);
    let report = read(&world).await.unwrap();
    let liar = (node(3).to_string(), "share_proof");
    assert_eq!(named(&report), [reported(2), liar.clone(), reported(5)]);
    let shown = report.faults.iter().find(|fault| fault.check == "share_proof");
    assert!(!shown.unwrap().evidence.is_empty());

    world.coordinators[0].answer(Answers::Nonsense);
    let lied = (coordinator("first").to_string(), "answer");
    assert_eq!(named(&read(&world).await.unwrap()), [lied, reported(5)]);

    // Who is not there has done nothing wrong.
    world.coordinators[0].answer(Answers::Not);
    assert_eq!(named(&read(&world).await.unwrap()), [reported(5)]);

    // Who takes the question and never answers is listened to, and not waited for.
    world.coordinators[0].answer(Answers::Stalls);
    let in_time = tokio::time::timeout(Duration::from_secs(14), read(&world)).await;
    assert_eq!(named(&in_time.unwrap().unwrap()), [reported(5)]);

    // When the last brings nothing either, what the first one showed is not lost.
    world.coordinators[0].answer(Answers::WithALiar);
    world.coordinators[1].answer(Answers::Not);
    let Err(Error::TooFew { faults, .. }) = read(&world).await else {
        panic!("read")
    };
    let shown: Vec<_> = faults
        .iter()
        .map(|fault| (fault.party.to_string(), fault.check))
        .collect();
    assert!(shown.contains(&liar), "{shown:?}");
}
