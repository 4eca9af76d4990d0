use std::sync::Arc;

use golden_record::{DenialReason, Outcome, RejectionReason, Transaction};
use threshold::encoding::Canonical;

use super::*;
use crate::{
    common::World,
    testing::{NOW_MS, commit, founded, id, ledger, offer, propose, votes},
    waiters::Committed,
};

fn outcome(ledger: &Ledger, transaction: &Transaction) -> Option<Outcome> {
    let snapshot = ledger.store().snapshot().unwrap();
    Committed::find(&snapshot, id(transaction))
        .unwrap()
        .map(|committed| committed.entry().outcome)
}

#[test]
fn e11_replicas_come_to_the_same_state() {
    let world = World::new(NOW_MS);
    let (leader, follower) = (ledger(&world), ledger(&world));
    for transaction in world.foundation() {
        let block = commit(&leader, &[transaction], NOW_MS);
        let ground = follower.ground(&[]).unwrap();
        follower.check(&block, &ground).unwrap();
        follower.apply(vec![(block, None)]).unwrap();
    }
    let read = world.request_read();
    let block = commit(&leader, std::slice::from_ref(&read), NOW_MS);
    // A block that was never seen as a proposal is executed when it is final.
    follower.apply(vec![(block, None)]).unwrap();
    assert_eq!(leader.store().tip(), follower.store().tip());
    assert!(matches!(
        outcome(&follower, &read),
        Some(Outcome::Approved { .. })
    ));
}

#[test]
fn verdicts_are_recorded_whatever_they_are() {
    let world = World::new(NOW_MS);
    let ledger = founded(&world);
    let denied = world.request_read_by("writer", &world.writer, NOW_MS + 1_000);
    let rejected = world.create_tenant("north", &world.auditor);
    let duplicate = world.create_tenant("north", &crate::common::key("somebody"));
    commit(&ledger, &[denied.clone(), duplicate.clone()], NOW_MS);
    assert_eq!(
        outcome(&ledger, &denied),
        Some(Outcome::Denied(DenialReason::NotAReader))
    );
    assert_eq!(
        outcome(&ledger, &duplicate),
        Some(Outcome::Rejected(RejectionReason::TenantExists))
    );
    assert_eq!(outcome(&ledger, &rejected), None);
}

#[test]
fn final_blocks_that_come_again_change_nothing() {
    let world = World::new(NOW_MS);
    let ledger = ledger(&world);
    let block = commit(&ledger, &world.foundation()[..2], NOW_MS);
    let tip = ledger.store().tip();
    ledger.apply(vec![(Arc::clone(&block), None)]).unwrap();
    ledger.apply(vec![(block, None)]).unwrap();
    assert_eq!(ledger.store().tip(), tip);
}

#[test]
fn a_batch_of_final_blocks_is_one_step() {
    let world = World::new(NOW_MS);
    let (leader, follower) = (ledger(&world), ledger(&world));
    let blocks: Vec<_> = world
        .foundation()
        .into_iter()
        .map(|transaction| commit(&leader, &[transaction], NOW_MS))
        .collect();
    // What is there already may come along.
    follower.apply(vec![(Arc::clone(&blocks[0]), None)]).unwrap();
    follower
        .apply(blocks.into_iter().map(|block| (block, None)).collect())
        .unwrap();
    assert_eq!(leader.store().tip(), follower.store().tip());
}

#[test]
fn a_transaction_in_an_ancestor_is_not_proposed_again() {
    let world = World::new(NOW_MS);
    let ledger = ledger(&world);
    let tenant = world.create_tenant("north", &world.tenant_admin);
    offer(&ledger, std::slice::from_ref(&tenant));
    let parent = propose(&ledger, NOW_MS);
    let ground = ledger.ground(&[Arc::clone(&parent)]).unwrap();
    assert_eq!(ground.parent().height, 1);
    assert!(ledger.build(&ground, NOW_MS, false).unwrap().is_none());
    let empty: Arc<[u8]> = ledger.build(&ground, NOW_MS, true).unwrap().unwrap().into();
    assert_eq!(Block::from_bytes(&empty).unwrap().entries().len(), 0);
    ledger.apply(vec![(parent, None), (empty, None)]).unwrap();
    assert_eq!(ledger.store().tip().header.log_size, 1);
}

#[test]
fn a_block_that_repeats_an_ancestors_transaction_is_refused() {
    let world = World::new(NOW_MS);
    let (honest, liar) = (ledger(&world), ledger(&world));
    let tenant = world.create_tenant("north", &world.tenant_admin);
    offer(&honest, std::slice::from_ref(&tenant));
    let parent = propose(&honest, NOW_MS);
    // The liar puts an empty block in the parent's place, and so the transaction into the child.
    let other_parent = propose(&liar, NOW_MS);
    offer(&liar, std::slice::from_ref(&tenant));
    let child = liar
        .build(&liar.ground(&[other_parent]).unwrap(), NOW_MS, false)
        .unwrap()
        .unwrap();
    let forged = graft(&child, &parent);
    let refused = honest.check(&forged, &honest.ground(&[parent]).unwrap());
    assert!(
        matches!(
            refused,
            Err(LedgerError::Block(BlockError::NotAdmissible {
                position: 0,
                error: golden_record::AdmissionError::AlreadyIncluded
            }))
        ),
        "{refused:?}"
    );
}

/// The block with another parent, its header otherwise as it was.
fn graft(block: &[u8], parent: &[u8]) -> Vec<u8> {
    let (header, parent) = (Block::inspect(block).unwrap(), Block::inspect(parent).unwrap());
    let body = &block[header.to_bytes().len()..];
    [
        Header {
            parent: parent.hash(),
            ..header
        }
        .to_bytes()
        .as_slice(),
        body,
    ]
    .concat()
}

#[test]
fn e6_a_leader_that_lies_about_an_outcome_gets_no_vote() {
    let world = World::new(NOW_MS);
    let ledger = founded(&world);
    let denied = world.request_read_by("writer", &world.writer, NOW_MS + 1_000);
    offer(&ledger, &[denied]);
    let honest = propose(&ledger, NOW_MS);
    let block = Block::from_bytes(&honest).unwrap();
    let entry = block.entries()[0].clone();
    let lie = Outcome::Approved {
        version: 1,
        write_id: [1; 32].into(),
        key_id: [2; 32].into(),
    };
    let forged = reseal(&block, entry.transaction, lie);
    let refused = ledger.check(&forged, &ledger.ground(&[]).unwrap());
    assert!(
        matches!(
            refused,
            Err(LedgerError::Block(BlockError::WrongOutcome { position: 0, .. }))
        ),
        "{refused:?}"
    );
}

/// The block with one entry, under a header that binds it.
fn reseal(block: &Block, transaction: Transaction, outcome: Outcome) -> Vec<u8> {
    use threshold::transcript::{Domain, Transcript};

    let entry = golden_record::Entry { transaction, outcome };
    let body = [&1u32.to_be_bytes(), entry.to_bytes().as_slice()].concat();
    let body_hash = Transcript::new(Domain::BlockBody)
        .append("entries", &body)
        .digest();
    [
        Header {
            body_hash,
            ..block.header().clone()
        }
        .to_bytes(),
        body,
    ]
    .concat()
}

#[test]
fn a_block_with_a_changed_byte_is_refused() {
    let world = World::new(NOW_MS);
    let ledger = ledger(&world);
    offer(&ledger, &world.foundation()[1..2]);
    let block = propose(&ledger, NOW_MS);
    let fresh = crate::testing::ledger(&world);
    // Another time makes another block, as good as this one.
    let time = 74..82;
    for position in (0..block.len()).filter(|position| !time.contains(position)) {
        let mut changed = block.to_vec();
        changed[position] ^= 1;
        assert!(
            fresh.check(&changed, &fresh.ground(&[]).unwrap()).is_err(),
            "byte {position}"
        );
    }
    fresh.check(&block, &fresh.ground(&[]).unwrap()).unwrap();
}

#[test]
fn e10_evidence_that_does_not_hold_is_not_kept() {
    let world = World::new(NOW_MS);
    let (honest, ledger) = (ledger(&world), ledger(&world));
    let block = commit(&honest, &world.foundation()[1..2], NOW_MS);
    let too_few = votes(&world, &block, 2);
    let refused = ledger.apply(vec![(Arc::clone(&block), Some(too_few))]);
    assert!(
        matches!(refused, Err(LedgerError::Evidence { height: 1, .. })),
        "{refused:?}"
    );
    let of_another = votes(&world, &world.genesis.block().0.to_bytes(), 3);
    assert!(
        ledger
            .apply(vec![(Arc::clone(&block), Some(of_another))])
            .is_err()
    );
    assert_eq!(ledger.store().tip().header.height, 0);
    let enough = votes(&world, &block, 3);
    ledger.apply(vec![(block, Some(enough))]).unwrap();
    assert_eq!(
        ledger
            .store()
            .snapshot()
            .unwrap()
            .newest_evidence()
            .unwrap()
            .unwrap()
            .0,
        1
    );
}

#[test]
fn ancestors_that_do_not_lead_to_the_parent_are_refused() {
    let world = World::new(NOW_MS);
    let ledger = ledger(&world);
    offer(&ledger, &world.foundation()[1..2]);
    let first = propose(&ledger, NOW_MS);
    let ground = ledger.ground(&[Arc::clone(&first)]).unwrap();
    let second: Arc<[u8]> = ledger.build(&ground, NOW_MS, true).unwrap().unwrap().into();
    assert!(matches!(ledger.ground(&[second]), Err(LedgerError::Ancestry)));
    // What has become durable meanwhile is skipped.
    ledger.apply(vec![(Arc::clone(&first), None)]).unwrap();
    assert_eq!(ledger.ground(&[first]).unwrap().parent().height, 1);
}

#[tokio::test]
async fn whoever_waits_is_told_after_it_is_durable() {
    let world = World::new(NOW_MS);
    let ledger = ledger(&world);
    let tenant = world.create_tenant("north", &world.tenant_admin);
    let gone = ledger.waiters().wait_for(id(&tenant)).unwrap();
    drop(gone);
    let waiting = ledger.waiters().wait_for(id(&tenant)).unwrap();
    commit(&ledger, std::slice::from_ref(&tenant), NOW_MS);
    let committed = waiting.await.unwrap();
    assert_eq!(
        (committed.index, committed.height, committed.time_ms),
        (0, 1, NOW_MS)
    );
    assert_eq!(committed.block_hash, ledger.store().tip().hash);
    assert_eq!(committed.entry().transaction, tenant);
    assert_eq!(committed.entry().outcome, Outcome::Applied);
    assert!(ledger.waiters().is_empty());
}

#[tokio::test]
async fn e5_who_waits_for_what_has_expired_is_told() {
    let world = World::new(NOW_MS);
    let ledger = ledger(&world);
    let body = world.create_tenant("north", &world.tenant_admin).body;
    let late = world.sign_until(&world.admin, body, NOW_MS + 10);
    offer(&ledger, std::slice::from_ref(&late));
    let waiting = ledger.waiters().wait_for(id(&late)).unwrap();
    // A censoring leader's block, from another mempool.
    let empty = propose(&crate::testing::ledger(&world), NOW_MS + 10);
    ledger.apply(vec![(empty, None)]).unwrap();
    assert!(waiting.await.is_err());
    assert_eq!(ledger.mempool().size(), (0, 0));
}

#[test]
fn what_no_block_will_take_leaves_the_mempool() {
    let world = World::new(NOW_MS);
    let ledger = ledger(&world);
    let tenant = world.create_tenant("north", &world.tenant_admin);
    let unknown = world.create_user("reader", &world.reader);
    let expired = world.sign_until(&world.admin, tenant.body.clone(), NOW_MS);
    offer(&ledger, &[expired.clone(), unknown.clone()]);
    let ground = ledger.ground(&[]).unwrap();
    assert!(ledger.build(&ground, NOW_MS, false).unwrap().is_none());
    assert!(ledger.mempool().get(&id(&expired)).is_none());
    // The author may become known by a block that is on its way.
    assert!(ledger.mempool().get(&id(&unknown)).is_some());
}
