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
use support::{Behaviour, Cluster, FakeEndorser, T, eventually, late_after, unhurried};
use threshold::encoding::Canonical;
use threshold::ids::ApproveId;
use threshold::statement::ReleaseStatement;
use tonic::Code;

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
    // t nodes have released alike: nobody need be asked whether it was approved.
    assert!(cluster.endorsers.iter().all(|endorser| endorser.looked_up() == 0));
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
async fn a_statement_that_comes_after_the_answer_is_recorded_too() {
    let cluster = Cluster::start_with(late_after(100)).await;
    cluster.ready().await;
    cluster.behave(&[1], Behaviour::Late(700));
    let read = cluster.read();
    read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
    eventually("all who released are on the record", async || {
        recorded(&cluster.endorsers).len() == cluster.asked().iter().sum::<usize>()
    })
    .await;
    assert!(recorded(&cluster.endorsers).len() > usize::from(T));
}

/// As a coordinator that does not know what another one, or it before it was stopped, has recorded.
#[tokio::test]
async fn p13_a_release_that_is_on_the_chain_already_counts_as_recorded() {
    let mut cluster = Cluster::start().await;
    cluster.ready().await;
    let read = cluster.read();
    cluster.reencrypt(&read).await.unwrap();
    settled(&cluster).await;
    let before = recorded(&cluster.endorsers);
    cluster.stop().await;
    // Without its memory of the newest ones.
    cluster.restart().await;
    cluster.ready().await;
    cluster.reencrypt(&read).await.unwrap();
    settled(&cluster).await;
    let metrics = cluster.metrics().await;
    let count = |outcome: &str| {
        let name = format!("quorate_coordinator_receipts_total{{code=\"{outcome}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |count| count.parse::<usize>().unwrap())
    };
    assert_eq!(
        (count("recorded"), count("rejected")),
        (usize::from(T), 0),
        "{metrics}"
    );
    let mut after = recorded(&cluster.endorsers);
    after.retain(|release| !before.contains(release));
    assert_eq!(after, []);
}

#[tokio::test]
async fn many_reads_share_a_transaction_that_the_coordinator_signs() {
    let mut cluster = Cluster::start_with(at_the_end()).await;
    cluster.ready().await;
    let reads: Vec<_> = (0..8).map(|_| cluster.read()).collect();
    futures::future::join_all(reads.iter().map(|read| cluster.reencrypt(read))).await;
    cluster.stop().await;
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
        ..unhurried()
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

/// Nothing is sent before the coordinator stops, and then together what may go together.
fn at_the_end() -> LimitsConfig {
    LimitsConfig {
        receipts_flush_ms: 3_600_000,
        ..unhurried()
    }
}

/// A read for which the first node releases, and no other.
async fn released_by_one_alone(cluster: &Cluster, read: &support::ApprovedRead) {
    cluster.behave(&[2, 3, 4, 5], Behaviour::Refuses("policy_unsatisfied"));
    cluster.reencrypt(read).await.unwrap_err();
    cluster.behave(&[2, 3, 4, 5], Behaviour::Honest);
}

/// For which reads each transaction has releases that the first endorser has got.
fn reads_of_each(cluster: &Cluster) -> Vec<BTreeSet<ApproveId>> {
    let transactions = cluster.endorsers[0].transactions().into_iter();
    let reads = transactions.map(|transaction| match transaction.body {
        golden_record::Body::RecordReleases { releases } => approvals(&releases),
        _ => panic!("not a receipt"),
    });
    in_any_order(reads.collect())
}

fn in_any_order(mut sets: Vec<BTreeSet<ApproveId>>) -> Vec<BTreeSet<ApproveId>> {
    sets.sort();
    sets
}

/// Releases for two reads that nobody approved, one after the other. When the second is with the ledger, all that was
/// doubtful before the first has been looked up.
async fn all_is_looked_up(cluster: &Cluster) -> Vec<BTreeSet<ApproveId>> {
    let mut fakes = Vec::new();
    for _ in 0..2 {
        let fake = cluster.unapproved_read();
        released_by_one_alone(cluster, &fake).await;
        let alone = BTreeSet::from([fake.approve_id]);
        eventually("the release is with the ledger", async || {
            reads_of_each(cluster).contains(&alone)
        })
        .await;
        fakes.push(alone);
    }
    fakes
}

#[tokio::test]
async fn a_release_for_a_read_that_nobody_approved_spoils_no_batch() {
    let mut cluster = Cluster::start_with(at_the_end()).await;
    cluster.ready().await;
    let fake = cluster.unapproved_read();
    for endorser in &cluster.endorsers {
        endorser.poison(fake.approve_id);
    }
    released_by_one_alone(&cluster, &fake).await;
    let reads: Vec<_> = (0..4).map(|_| cluster.read()).collect();
    for read in &reads {
        cluster.reencrypt(read).await.unwrap();
    }
    cluster.stop().await;
    let good: BTreeSet<_> = reads.iter().map(|read| read.approve_id).collect();
    // One transaction is rejected, and one with all the others is not.
    assert_eq!(
        reads_of_each(&cluster),
        in_any_order(vec![[fake.approve_id].into(), good.clone()])
    );
    assert_eq!(approvals(&recorded(&cluster.endorsers)), good);
}

#[tokio::test]
async fn releases_for_a_read_that_is_approved_share_a_transaction_however_few_they_are() {
    let mut cluster = Cluster::start_with(at_the_end()).await;
    cluster.ready().await;
    let reads: Vec<_> = (0..2).map(|_| cluster.read()).collect();
    for read in &reads {
        released_by_one_alone(&cluster, read).await;
    }
    let mut expected = all_is_looked_up(&cluster).await;
    cluster.stop().await;
    expected.push(reads.iter().map(|read| read.approve_id).collect());
    assert_eq!(reads_of_each(&cluster), in_any_order(expected));
}

#[tokio::test]
async fn one_endorser_cannot_vouch_for_a_read_that_nobody_approved() {
    let organisations = ["north", "south", "east", "west"];
    let mut cluster = Cluster::start_with_endorsers(at_the_end(), &organisations).await;
    cluster.ready().await;
    let fake = cluster.unapproved_read();
    cluster.endorsers[0].approve(&fake);
    for endorser in &cluster.endorsers {
        endorser.poison(fake.approve_id);
    }
    released_by_one_alone(&cluster, &fake).await;
    let read = cluster.read();
    cluster.reencrypt(&read).await.unwrap();
    cluster.stop().await;
    assert_eq!(
        reads_of_each(&cluster),
        in_any_order(vec![[fake.approve_id].into(), [read.approve_id].into()])
    );
}

#[tokio::test]
async fn a_release_for_another_reader_than_the_approved_one_spoils_no_batch() {
    let mut cluster = Cluster::start_with(at_the_end()).await;
    cluster.ready().await;
    let (approved, mut fake) = (cluster.read(), cluster.unapproved_read());
    // A certificate that names an approved read, and the liar's own document and key.
    fake.certify_as(approved.approve_id);
    for endorser in &cluster.endorsers {
        endorser.poison(approved.approve_id);
    }
    released_by_one_alone(&cluster, &fake).await;
    let read = cluster.read();
    cluster.reencrypt(&read).await.unwrap();
    cluster.stop().await;
    assert_eq!(
        reads_of_each(&cluster),
        in_any_order(vec![[approved.approve_id].into(), [read.approve_id].into()])
    );
}

#[tokio::test]
async fn releases_that_may_be_on_the_chain_already_spoil_no_batch() {
    let mut cluster = Cluster::start_with(at_the_end()).await;
    cluster.ready().await;
    let (repeated, read) = (cluster.read(), cluster.read());
    // As when another coordinator has been given the same read.
    cluster.behave(&[1, 2, 3, 4, 5], Behaviour::Repeats);
    cluster.reencrypt(&repeated).await.unwrap();
    cluster.behave(&[1, 2, 3, 4, 5], Behaviour::Honest);
    cluster.reencrypt(&read).await.unwrap();
    // What is merely looked up would now wait for company.
    let mut expected = all_is_looked_up(&cluster).await;
    cluster.stop().await;
    expected.extend([[repeated.approve_id].into(), [read.approve_id].into()]);
    assert_eq!(reads_of_each(&cluster), in_any_order(expected));
}

#[tokio::test]
async fn p3_one_endorser_that_refuses_receipts_stops_none() {
    for code in [Code::InvalidArgument, Code::PermissionDenied, Code::Internal] {
        let cluster = Cluster::start().await;
        cluster.ready().await;
        cluster.endorsers[0].refuse(code, "a lie");
        cluster.reencrypt(&cluster.read()).await.unwrap();
        settled(&cluster).await;
        assert_eq!(recorded(&cluster.endorsers[1..]).len(), usize::from(T));
    }
}

#[tokio::test]
async fn stopping_drains_what_waits() {
    let limits = LimitsConfig {
        receipts_flush_ms: 3_600_000,
        ..unhurried()
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
        ..unhurried()
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
