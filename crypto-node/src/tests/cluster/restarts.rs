//! What a node makes of its own disk when it starts again.

use super::{Cluster, phase};
use crate::ceremony::message::Body;
use crate::ceremony::record::{Phase, Record};
use crate::node::run_with;
use crate::store::{Change, Store};
use proto::custody::CeremonyPhase;
use std::sync::Arc;
use std::time::Duration;
use threshold::committee::ParticipantIndex;
use threshold::encoding::Canonical;

/// Node 2 died when its canary had opened and its confirmation was not yet on disk; node 1 had confirmed. Both
/// come back, and node 2 needs the share of node 1 once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_a16_a_node_that_has_confirmed_answers_canaries_after_a_restart() {
    let mut cluster = Cluster::start(2).await;
    for node in 1..=2 {
        cluster.stop_node(node).await;
    }
    // No confirmation arrives: what is sent instead is not signed, and dropped.
    let honest = cluster.seams.tamper.replace(Arc::new(|_, mut message| {
        if matches!(message.body, Body::Confirm) {
            message.body = Body::Join;
        }
        message
    }));
    for node in 1..=2 {
        cluster.start_node(node).await;
    }
    let id = cluster.propose(1, 2).await;
    cluster.join(2, &id).await;
    for node in 1..=2 {
        let confirmed = |status: &proto::custody::GetNodeStatusResponse| {
            let ceremony = status.ceremony.as_ref();
            ceremony.is_some_and(|ceremony| ceremony.members[node - 1].confirmed)
        };
        let status = cluster.until(node, confirmed).await;
        assert_eq!(phase(&status), CeremonyPhase::Canary);
        cluster.stop_node(node).await;
    }
    cluster.seams.tamper = honest;

    // The node's last tasks let go of the database a moment after it has ended.
    let path = cluster.configs[1].directory.join("ceremonies.redb");
    let store = loop {
        match Store::open(&path) {
            Ok(store) => break store,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let (ceremony, bytes) = store.newest().unwrap().unwrap();
    let mut record = Record::from_bytes(&bytes).unwrap();
    assert_eq!(record.phase, Phase::Canary);
    assert!(
        record
            .confirms
            .remove(&ParticipantIndex::new(2).unwrap())
            .is_some()
    );
    let change = Change {
        ceremony,
        record: record.to_bytes(),
        displaced: None,
        doubt: None,
        active: false,
    };
    store.apply(&change).unwrap();
    drop(store);

    for node in 1..=2 {
        cluster.start_node(node).await;
    }
    for node in 1..=2 {
        cluster
            .until(node, |status| phase(status) == CeremonyPhase::Done)
            .await;
    }
    cluster.end().await;
}

/// With t = n every share is needed, and node 2 gives node 1 a wrong one: the ceremony ends, and names it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_p9_a_wrong_canary_share_ends_the_ceremony_and_names_its_sender() {
    let mut cluster = Cluster::start(2).await;
    cluster.stop_node(2).await;
    let honest = cluster.seams.tamper.replace(Arc::new(|_, mut message| {
        if let Body::CanaryShare(share) = &message.body {
            // Under another index the proof does not hold.
            let mut bytes = share.to_bytes();
            bytes[3] = 1;
            message.body = Body::CanaryShare(Box::new(Canonical::from_bytes(&bytes).unwrap()));
        }
        message
    }));
    cluster.start_node(2).await;
    let id = cluster.propose(1, 2).await;
    cluster.join(2, &id).await;
    for node in 1..=2 {
        let status = cluster
            .until(node, |status| phase(status) == CeremonyPhase::Aborted)
            .await;
        let reason = status.ceremony.unwrap().reason;
        assert!(reason.contains("do not verify: 2"), "{reason}");
    }
    cluster.stop_node(2).await;
    cluster.seams.tamper = honest;
    cluster.start_node(2).await;
    cluster.generate(2, 2).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_p10_a_node_with_a_key_does_not_start_without_its_journal() {
    let mut cluster = Cluster::start(2).await;
    let signed = cluster.generate(1, 2).await;
    cluster.stop_node(1).await;
    let journal = cluster.configs[0].directory.join("journal");
    let kept = std::fs::read(&journal).unwrap();
    std::fs::remove_file(&journal).unwrap();

    let never = std::future::pending();
    let started = run_with(cluster.configs[0].clone(), never, cluster.seams.clone());
    let refused = tokio::time::timeout(super::LIMIT, started)
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        refused.to_string().starts_with("journal: it does not know"),
        "{refused}"
    );

    std::fs::write(&journal, kept).unwrap();
    cluster.start_node(1).await;
    cluster
        .until(1, |status| status.manifest == signed.to_bytes())
        .await;
    cluster.end().await;
}
