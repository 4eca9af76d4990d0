//! What a resharing among n members costs each of them, in time and bytes: `… --example resharing_cost -- 22 32`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

use quorate_threshold::encoding::Canonical;
use quorate_threshold::reshare::{Agreement, Received, Resharing, SignedMessage, deal};
use quorate_threshold::signature::PublicKey;
use quorate_threshold::testing::{TestCommittee, TestRng};
use std::time::Instant;

fn copy(messages: &[&SignedMessage]) -> Vec<SignedMessage> {
    let copy = |message: &&SignedMessage| SignedMessage::from_bytes(&message.to_secret_bytes()).unwrap();
    messages.iter().map(copy).collect()
}

fn main() {
    let numbers: Vec<u16> = std::env::args().skip(1).map(|arg| arg.parse().unwrap()).collect();
    let (t, n) = (numbers[0], numbers[1]);
    let mut rng = TestRng::new("cost");
    let start = Instant::now();
    let old = TestCommittee::generate(t, n, &mut rng).unwrap();
    println!("key generation, everybody's part: {:?}", start.elapsed());
    let (threshold, seats) = (old.manifest().threshold(), old.ceremony.seats().to_vec());
    let resharing = Resharing::new([1; 32], old.signed.clone(), threshold, seats).unwrap();
    let whole = Instant::now();
    let dealt: Vec<_> = old
        .shares
        .iter()
        .zip(&old.identities)
        .map(|(share, identity)| deal(&resharing, share, identity, &mut rng).unwrap())
        .collect();
    println!("deal, one dealer: {:?}", whole.elapsed() / n.into());
    let (mut received, mut reports) = (Vec::new(), Vec::new());
    let start = Instant::now();
    for (seat, identity) in old.identities.iter().enumerate() {
        let messages: Vec<&SignedMessage> = dealt.iter().flat_map(|(all, each)| [all, &each[seat]]).collect();
        let seat = Received::collect(&resharing, &PublicKey::of(identity), copy(&messages)).unwrap();
        reports.push(seat.report(&resharing, identity).unwrap());
        received.push(seat);
    }
    println!("collect and report, one seat: {:?}", start.elapsed() / n.into());
    let (mut agreements, mut confirmations) = (Vec::new(), Vec::new());
    let start = Instant::now();
    for (seat, identity) in received.into_iter().zip(&old.identities) {
        let reports: Vec<&SignedMessage> = reports.iter().collect();
        let agreement = Agreement::reach(&resharing, seat, copy(&reports)).unwrap();
        confirmations.push(agreement.confirm(identity).unwrap());
        agreements.push(agreement);
    }
    println!("reach and confirm, one seat: {:?}", start.elapsed() / n.into());
    let start = Instant::now();
    for agreement in &agreements {
        let confirmations: Vec<&SignedMessage> = confirmations.iter().collect();
        agreement.conclude(copy(&confirmations)).unwrap();
    }
    println!("conclude, one seat: {:?}", start.elapsed() / n.into());
    println!("resharing, everybody's part: {:?}", whole.elapsed());
    let bytes = |message: &SignedMessage| message.to_bytes().len();
    println!(
        "bytes: commitments {}, share {}, report {}, confirmation {}",
        bytes(&dealt[0].0),
        bytes(&dealt[0].1[0]),
        bytes(&reports[0]),
        bytes(&confirmations[0])
    );
}
