use std::{sync::Arc, time::Duration};

use consensus::Application as _;
use futures::FutureExt as _;

use super::*;
use crate::{
    common::World,
    testing::{self, commit, offer, propose},
};

const SOON: Duration = Duration::from_millis(5);
const NEVER: Duration = Duration::from_secs(3_600);

struct Setting {
    world: World,
    ledger: Arc<Ledger>,
    clock: Clock,
    replica: Replica,
    inbox: Arc<Inbox>,
}

fn setting(idle_block: Duration) -> Setting {
    let world = World::new(Clock::system().now_ms());
    let ledger = Arc::new(testing::ledger(&world));
    let clock = Clock::system();
    let inbox = Arc::new(Inbox::default());
    let replica = Replica::new(
        Arc::clone(&ledger),
        clock.clone(),
        Handle::current(),
        idle_block,
        Arc::clone(&inbox),
    );
    Setting {
        world,
        ledger,
        clock,
        replica,
        inbox,
    }
}

/// A block that another replica of the same chain proposes.
fn of_another(world: &World, time_ms: u64) -> BlockBytes {
    let other = testing::ledger(world);
    offer(&other, &[world.create_tenant("north", &world.tenant_admin)]);
    propose(&other, time_ms)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_chain_gets_an_empty_block_after_a_while() {
    let setting = setting(SOON);
    let bytes = setting.replica.propose(Vec::new(), 0).await.unwrap();
    let block = Block::from_bytes(&bytes).unwrap();
    assert!(block.entries().is_empty());
    assert_eq!(block.header().height, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_arrives_ends_the_wait() {
    let setting = setting(NEVER);
    let mut proposal = setting.replica.propose(Vec::new(), 0);
    assert!((&mut proposal).now_or_never().is_none());
    offer(
        &setting.ledger,
        &[setting.world.create_tenant("north", &setting.world.tenant_admin)],
    );
    let bytes = proposal.await.unwrap();
    assert_eq!(Block::from_bytes(&bytes).unwrap().entries().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_a_pending_ancestor_does_not_end_the_wait() {
    let setting = setting(SOON);
    offer(
        &setting.ledger,
        &[setting.world.create_tenant("north", &setting.world.tenant_admin)],
    );
    let parent: BlockBytes = setting.replica.propose(Vec::new(), 0).await.unwrap().into();
    let child = setting.replica.propose(vec![parent], 0).await.unwrap();
    let child = Block::from_bytes(&child).unwrap();
    assert_eq!((child.header().height, child.entries().len()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_block_is_voted_for_and_a_bad_one_never() {
    let setting = setting(SOON);
    let good = of_another(&setting.world, setting.world.now_ms);
    assert!(setting.replica.verify(Arc::clone(&good), Vec::new(), 0).await);
    // A transaction changed under a header that binds it is badly signed.
    let mut bad = good.to_vec();
    *bad.last_mut().unwrap() ^= 1;
    assert!(!setting.replica.verify(bad.into(), Vec::new(), 0).await);
    let before_parent = of_another(&setting.world, setting.world.now_ms);
    let mut early = before_parent.to_vec();
    early[74..82].copy_from_slice(&(setting.world.now_ms - 1).to_be_bytes());
    assert!(!setting.replica.verify(early.into(), Vec::new(), 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn e10_a_block_of_another_epoch_is_neither_proposed_nor_voted_for() {
    let setting = setting(SOON);
    let block = of_another(&setting.world, setting.world.now_ms);
    assert!(!setting.replica.verify(Arc::clone(&block), Vec::new(), 1).await);
    assert!(setting.replica.propose(Vec::new(), 1).await.is_none());
    assert!(setting.replica.verify(block, Vec::new(), 0).await);
    assert!(setting.replica.propose(Vec::new(), 0).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn d10_a_block_from_the_future_waits_for_the_clock() {
    let setting = setting(SOON);
    let ahead_ms = setting.ledger.limits().clock_skew_ms + 60_000;
    let block = of_another(&setting.world, setting.clock.now_ms() + ahead_ms);
    let mut verdict = setting.replica.verify(block, Vec::new(), 0);
    assert!((&mut verdict).now_or_never().is_none());
    setting.clock.set_offset_ms(60_000 + 1_000);
    assert!(verdict.await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_final_is_durable_and_known() {
    let setting = setting(SOON);
    let block = of_another(&setting.world, setting.world.now_ms);
    setting
        .replica
        .finalized(vec![(Arc::clone(&block), None)])
        .unwrap();
    assert_eq!(setting.replica.applied_height(), 1);
    setting.replica.finalized(vec![(block, None)]).unwrap();
    assert_eq!(setting.replica.applied_height(), 1);
    let skipped = {
        let other = testing::ledger(&setting.world);
        commit(&other, &[], setting.world.now_ms);
        commit(&other, &[], setting.world.now_ms);
        propose(&other, setting.world.now_ms)
    };
    assert!(setting.replica.finalized(vec![(skipped, None)]).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_was_applied_meanwhile_is_judged_by_what_is_final() {
    let setting = setting(SOON);
    let (first, second) = (
        of_another(&setting.world, setting.world.now_ms),
        of_another(&setting.world, setting.world.now_ms + 1),
    );
    setting
        .replica
        .finalized(vec![(Arc::clone(&first), None)])
        .unwrap();
    // The state is the one after the block now, and says nothing about the block itself.
    assert!(setting.replica.verify(first, Vec::new(), 0).await);
    assert!(!setting.replica.verify(second, Vec::new(), 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_whose_parent_is_not_there_is_not_called_invalid() {
    let setting = setting(SOON);
    let (parent, child) = {
        let other = testing::ledger(&setting.world);
        let parent = commit(&other, &[], setting.world.now_ms);
        (parent, propose(&other, setting.world.now_ms))
    };
    let mut verdict = setting.replica.verify(child, Vec::new(), 0);
    assert!((&mut verdict).now_or_never().is_none());
    setting.replica.finalized(vec![(parent, None)]).unwrap();
    assert!(verdict.await);
}

#[tokio::test(flavor = "multi_thread")]
async fn gossip_waits_in_the_inbox() {
    let setting = setting(SOON);
    setting.replica.received([1; 32], vec![7]);
    assert_eq!(setting.inbox.take(), Some(([1; 32], vec![7])));
}
