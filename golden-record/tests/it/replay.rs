//! Ids are remembered until they expire, and forgotten a few at a time.

use golden_record::{AdmissionError, Transaction, admit, queries};

use crate::support::{World, create_tenant, grant, key};
use golden_record::Role;

fn remembered(world: &World) -> usize {
    world.state.range(b"tx/").count()
}

/// An empty block at this time.
fn advance(world: &mut World, time_ms: u64) {
    world.time_ms = time_ms;
    world.add(&[]);
}

#[test]
fn an_id_is_remembered_until_it_expires_and_then_forgotten() {
    let mut world = World::empty(7);
    let transaction = world.sign("admin-0", create_tenant("acme"));
    let (id, expires_ms) = (transaction.tx_id(), transaction.expires_ms);
    world.add(std::slice::from_ref(&transaction));
    advance(&mut world, expires_ms - 50);
    assert!(queries::transaction(&world.state, &id).unwrap().is_some());
    let refused = admit(&world.state, transaction.clone(), world.time_ms).unwrap_err();
    assert_eq!(refused, AdmissionError::AlreadyIncluded);
    // Once expired it cannot come again, remembered or not.
    advance(&mut world, expires_ms);
    assert_eq!(
        admit(&world.state, transaction.clone(), world.time_ms).unwrap_err(),
        AdmissionError::Expired
    );
    // The second in which it expired is over: it is forgotten.
    advance(&mut world, expires_ms + 2_000);
    assert_eq!(remembered(&world), 0);
    assert_eq!(world.state.range(b"expiry/").count(), 1, "the cursor alone");
    assert_eq!(
        admit(&world.state, transaction, world.time_ms).unwrap_err(),
        AdmissionError::Expired
    );
}

#[test]
fn a_clock_behind_the_chain_admits_nothing_expired() {
    let mut world = World::empty(7);
    let transaction = world.sign("admin-0", create_tenant("acme"));
    advance(&mut world, transaction.expires_ms);
    let refused = admit(&world.state, transaction, 5).unwrap_err();
    assert_eq!(refused, AdmissionError::Expired);
}

#[test]
fn ids_that_expire_in_one_second_are_all_forgotten() {
    let mut world = World::ready(7);
    let chain_id = world.genesis.chain_id();
    let expires_ms = world.time_ms + 30_000;
    let transactions: Vec<_> = (0..40u8)
        .map(|nonce| {
            let body = grant("reports", "nora", Role::Reader);
            Transaction::sign(chain_id, &key("olga"), [nonce; 16], expires_ms, body)
        })
        .collect();
    let before = remembered(&world);
    world.add(&transactions);
    assert_eq!(remembered(&world), before + 40);
    let end = world.time_ms + 120_000;
    advance(&mut world, end);
    assert_eq!(remembered(&world), 0);
}

#[test]
fn forgetting_is_bounded_work_and_catches_up() {
    let mut world = World::empty(7);
    let limits = world.genesis.limits();
    let chain_id = world.genesis.chain_id();
    let lifetime = limits.max_lifetime_ms;
    // One id far ahead keeps the walk from skipping to the present.
    let expires_ms = world.time_ms + lifetime;
    let body = create_tenant("acme");
    world.add(&[Transaction::sign(
        chain_id,
        &key("admin-0"),
        [0; 16],
        expires_ms,
        body,
    )]);
    let end = expires_ms + 10_000;
    advance(&mut world, end);
    let mut blocks = 1;
    while remembered(&world) > 0 {
        advance(&mut world, end);
        blocks += 1;
        assert!(blocks < 10);
    }
    assert!(blocks > 1, "600 empty seconds are not walked in one block");
    // With nothing remembered, a day's silence is one step.
    let tomorrow = end + 86_400_000;
    advance(&mut world, tomorrow);
    let transaction = world.sign("admin-0", create_tenant("next"));
    world.add(&[transaction]);
    advance(&mut world, tomorrow + 62_000);
    assert_eq!(remembered(&world), 0);
}
