//! Receipts, from the nodes' statements to the ledger.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::collections::BTreeSet;

use quorate_coordinator::LimitsConfig;
use support::{Cluster, FakeEndorser, T, eventually};
use threshold::encoding::Canonical;
use threshold::ids::ApproveId;
use threshold::statement::ReleaseStatement;

fn recorded(endorsers: &[FakeEndorser]) -> Vec<ReleaseStatement> {
    endorsers.iter().flat_map(FakeEndorser::recorded).collect()
}

fn approvals(statements: &[ReleaseStatement]) -> BTreeSet<ApproveId> {
    statements.iter().map(|statement| statement.approve_id).collect()
}

async fn settled(cluster: &Cluster) {
    eventually("no receipt is pending", async || {
        cluster.status().await.receipts_pending == 0
    })
    .await;
}

#[tokio::test]
async fn every_statement_of_a_read_reaches_the_ledger_once() {
    let cluster = Cluster::start().await;
    let read = cluster.read();
    let response = cluster.reencrypt(&read).await.unwrap();
    settled(&cluster).await;
    let mut expected: Vec<Vec<u8>> = response.statements.clone();
    let mut found: Vec<Vec<u8>> = recorded(&cluster.endorsers)
        .iter()
        .map(Canonical::to_bytes)
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    // The same read once more: the chain takes one release of each node for an approval.
    cluster.reencrypt(&read).await.unwrap();
    settled(&cluster).await;
    let distinct: BTreeSet<_> = recorded(&cluster.endorsers)
        .iter()
        .map(|release| (release.approve_id, release.index))
        .collect();
    assert_eq!(recorded(&cluster.endorsers).len(), distinct.len());
}

#[tokio::test]
async fn many_reads_share_a_transaction_that_the_coordinator_signs() {
    let limits = LimitsConfig {
        receipts_flush_ms: 500,
        ..Default::default()
    };
    let cluster = Cluster::start_with(limits).await;
    cluster.ready().await;
    let reads: Vec<_> = (0..8).map(|_| cluster.read()).collect();
    futures::future::join_all(reads.iter().map(|read| cluster.reencrypt(read))).await;
    settled(&cluster).await;
    let transactions: Vec<_> = cluster
        .endorsers
        .iter()
        .flat_map(FakeEndorser::transactions)
        .collect();
    assert!(
        transactions.len() < reads.len(),
        "{} transactions",
        transactions.len()
    );
    for transaction in transactions {
        golden_record::VerifiedTransaction::verify(transaction).unwrap();
    }
    assert_eq!(approvals(&recorded(&cluster.endorsers)).len(), reads.len());
}

#[tokio::test]
async fn receipts_wait_for_endorsers_that_are_down_and_reads_do_not() {
    let mut cluster = Cluster::start().await;
    cluster.ready().await;
    for endorser in &mut cluster.endorsers {
        endorser.kill().await;
    }
    let read = cluster.read();
    read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
    assert_eq!(cluster.status().await.receipts_pending, u32::from(T));
    cluster.endorsers[1].restart().await;
    settled(&cluster).await;
    assert_eq!(recorded(&cluster.endorsers[1..]).len(), usize::from(T));
}

#[tokio::test]
async fn an_endorser_that_begins_answers_and_ends_none_holds_up_no_receipt() {
    let mut cluster = Cluster::start().await;
    cluster.ready().await;
    cluster.endorsers[0].stall().await;
    let read = cluster.read();
    read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
    settled(&cluster).await;
    assert_eq!(recorded(&cluster.endorsers[1..]).len(), usize::from(T));
}

#[tokio::test]
async fn one_rejected_statement_does_not_take_the_others_with_it() {
    let limits = LimitsConfig {
        receipts_flush_ms: 500,
        ..Default::default()
    };
    let cluster = Cluster::start_with(limits).await;
    cluster.ready().await;
    let reads: Vec<_> = (0..4).map(|_| cluster.read()).collect();
    for endorser in &cluster.endorsers {
        endorser.poison(reads[1].approve_id);
    }
    futures::future::join_all(reads.iter().map(|read| cluster.reencrypt(read))).await;
    settled(&cluster).await;
    let expected: BTreeSet<_> = [0, 2, 3].map(|place: usize| reads[place].approve_id).into();
    assert_eq!(approvals(&recorded(&cluster.endorsers)), expected);
}

#[tokio::test]
async fn stopping_drains_what_waits() {
    let limits = LimitsConfig {
        receipts_flush_ms: 3_600_000,
        ..Default::default()
    };
    let mut cluster = Cluster::start_with(limits).await;
    let read = cluster.read();
    cluster.reencrypt(&read).await.unwrap();
    assert!(recorded(&cluster.endorsers).is_empty());
    cluster.stop().await;
    assert_eq!(recorded(&cluster.endorsers).len(), usize::from(T));
}

#[tokio::test]
async fn p13_receipts_survive_the_end_of_the_coordinator() {
    let limits = LimitsConfig {
        drain_ms: 1,
        ..Default::default()
    };
    let mut cluster = Cluster::start_with(limits).await;
    cluster.ready().await;
    for endorser in &mut cluster.endorsers {
        endorser.kill().await;
    }
    let read = cluster.read();
    cluster.reencrypt(&read).await.unwrap();
    cluster.stop().await;
    for endorser in &mut cluster.endorsers {
        endorser.restart().await;
    }
    assert!(recorded(&cluster.endorsers).is_empty());
    cluster.restart().await;
    settled(&cluster).await;
    assert_eq!(recorded(&cluster.endorsers).len(), usize::from(T));
}
