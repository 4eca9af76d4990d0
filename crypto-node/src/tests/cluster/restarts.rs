//! What a node makes of its own disk when it starts again.

use super::{Cluster, phase};
use crate::ceremony::evidence;
use crate::ceremony::message::{Body, CanaryShare, Evidence, Message};
use crate::ceremony::plan::Plan;
use crate::ceremony::record::{Phase, Record};
use crate::ceremony::tests::simulation::key_of;
use crate::node::run_with;
use crate::store::{Change, Store};
use proto::custody::CeremonyPhase;
use std::sync::Arc;
use threshold::encoding::Canonical;
use threshold::signature::PublicKey;

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
        if matches!(message.body, Body::Confirm { .. }) {
            message.body = Body::Join { deals: false };
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

    let store = Store::open(&cluster.configs[1].directory.join("ceremonies.redb")).unwrap();
    let (ceremony, bytes) = store.newest().unwrap().unwrap();
    let mut record = Record::from_bytes(&bytes).unwrap();
    assert_eq!(record.phase, Phase::Canary);
    assert!(record.confirms.remove(&key_of(&cluster.identities[1])).is_some());
    let change = Change {
        ceremony,
        record: record.to_bytes(),
        others: Vec::new(),
        past: Vec::new(),
        doubt: None,
        active: None,
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
    let key = cluster.identities[1].signing_key().clone();
    let liar = key_of(&cluster.identities[1]);
    let Some(evidence) = lied_about_a_canary(&mut cluster, move |mut answer| {
        // Under another index the proof does not hold.
        let mut bytes = answer.share.to_bytes();
        bytes[3] = 1;
        answer.share = Canonical::from_bytes(&bytes).unwrap();
        answer
    })
    .await
    else {
        panic!("nothing that a third party could check");
    };
    assert!(matches!(evidence.0, Evidence::BadCanary { .. }));
    assert_eq!(evidence::culprit(&evidence.0, &evidence.1), Ok(liar));
    // Whoever says that it was asked something else is named by the word of who asked.
    let other = PublicKey::of(&key);
    let nothing = lied_about_a_canary(&mut cluster, move |mut answer| {
        answer.q = other;
        answer
    });
    assert!(nothing.await.is_none());
    cluster.generate(2, 2).await;
    cluster.end().await;
}

/// What node 1 has against node 2, which it names, after this answer to its canary. Node 2 is honest afterwards.
async fn lied_about_a_canary(
    cluster: &mut Cluster,
    lie: impl Fn(CanaryShare) -> CanaryShare + Send + Sync + 'static,
) -> Option<(Evidence, Plan)> {
    let key = cluster.identities[1].signing_key().clone();
    cluster.stop_node(2).await;
    let honest = cluster.seams.tamper.replace(Arc::new(move |_, message| {
        let Body::CanaryShare(answer) = &message.body else {
            return message;
        };
        let body = Body::CanaryShare(Box::new(lie(answer.as_ref().clone())));
        Message::new(message.ceremony, body, &key)
    }));
    cluster.start_node(2).await;
    let id = cluster.propose(1, 2).await;
    cluster.join(2, &id).await;
    for node in 1..=2 {
        let status = cluster
            .until(node, |status| phase(status) == CeremonyPhase::Aborted)
            .await;
        let reason = status.ceremony.unwrap().reason;
        assert!(reason.contains("do not verify: node-2"), "{reason}");
    }
    cluster.stop_node(1).await;
    let store = Store::open(&cluster.configs[0].directory.join("ceremonies.redb")).unwrap();
    let (_, bytes) = store.newest().unwrap().unwrap();
    drop(store);
    let record = Record::from_bytes(&bytes).unwrap();
    assert_eq!(record.culprit, Some(key_of(&cluster.identities[1])));
    cluster.stop_node(2).await;
    cluster.seams.tamper = honest;
    cluster.start_node(1).await;
    cluster.start_node(2).await;
    match record.abort.unwrap().body {
        Body::Abort { evidence, .. } => evidence.map(|evidence| (evidence, record.plan)),
        other => panic!("{other:?}"),
    }
}

impl Cluster {
    /// Why node 1 does not start.
    pub(super) async fn refusal(&self) -> String {
        let never = std::future::pending();
        let started = run_with(self.configs[0].clone(), never, self.seams.clone());
        let refused = tokio::time::timeout(super::LIMIT, started).await.unwrap();
        refused.unwrap_err().to_string()
    }
}

/// What the node says has to be in its configuration.
fn accepted(refusal: &str) -> Option<String> {
    let (_, rest) = refusal.split_once("journal.accepted = \"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_p10_a_node_with_a_key_does_not_start_without_its_journal() {
    let mut cluster = Cluster::start(2).await;
    let signed = cluster.generate(1, 2).await;
    cluster.stop_node(1).await;
    let journal = cluster.configs[0].directory.join("journal");
    let kept = std::fs::read(&journal).unwrap();
    std::fs::remove_file(&journal).unwrap();
    let refusal = cluster.refusal().await;
    assert!(refusal.contains("it has 0 entries"), "{refusal}");
    // Not even when the operator accepts an empty one: the key belongs to the journal that recorded it.
    cluster.configs[0].journal.accepted = accepted(&refusal);
    let refusal = cluster.refusal().await;
    assert!(refusal.starts_with("journal: it does not know"), "{refusal}");

    std::fs::write(&journal, kept).unwrap();
    cluster.configs[0].journal.accepted = None;
    cluster.start_node(1).await;
    cluster
        .until(1, |status| status.manifest == signed.to_bytes())
        .await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p10_a_directory_that_was_put_back_does_not_start() {
    let mut cluster = Cluster::start(2).await;
    // The mark is on another disk.
    let mark = cluster.folder.path().join("marks").join("node-1");
    std::fs::create_dir(mark.parent().unwrap()).unwrap();
    cluster.stop_node(1).await;
    let own = cluster.configs[0].directory.join("journal.mark");
    std::fs::rename(own, &mark).unwrap();
    cluster.configs[0].journal.mark_file = Some(mark.clone());
    let journal = cluster.configs[0].directory.join("journal");
    let old = std::fs::read(&journal).unwrap();
    cluster.start_node(1).await;
    cluster.stop_node(1).await;
    assert!(std::fs::metadata(&journal).unwrap().len() > old.len() as u64);

    std::fs::write(&journal, old).unwrap();
    let refusal = cluster.refusal().await;
    assert!(
        refusal.contains("when it was marked") && refusal.contains("Put the newest copy back"),
        "{refusal}"
    );
    cluster.configs[0].journal.accepted = accepted(&refusal);
    cluster.start_node(1).await;
    cluster.stop_node(1).await;
    // Once: it is not to let the next old copy be taken.
    let refusal = cluster.refusal().await;
    assert!(
        refusal.contains("journal.accepted is in the configuration: remove it"),
        "{refusal}"
    );
    cluster.configs[0].journal.accepted = None;
    cluster.start_node(1).await;
    cluster.stop_node(1).await;
    std::fs::remove_file(mark).unwrap();
    let refusal = cluster.refusal().await;
    assert!(refusal.contains("its mark is missing"), "{refusal}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_ends_when_what_runs_beside_it_does() {
    let mut cluster = Cluster::start(2).await;
    cluster.stop_node(1).await;
    cluster.seams.fails = true;
    let refusal = cluster.refusal().await;
    assert_eq!(refusal, "a task ended by itself: a mistake");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_ends_when_a_step_of_a_ceremony_panics() {
    let mut cluster = Cluster::start(2).await;
    cluster.stop_node(1).await;
    cluster.seams.tamper = Some(Arc::new(|_, _| panic!("a mistake")));
    cluster.start_node(1).await;
    let mut operator = cluster.operator(1);
    let request = proto::custody::ProposeCeremonyRequest {
        kind: proto::custody::CeremonyKind::KeyGeneration.into(),
        threshold: 2,
        ..Default::default()
    };
    // Whoever asked does not wait for the answer.
    let proposed = tokio::spawn(async move { drop(operator.propose_ceremony(request).await) });
    let running = cluster.running[0].take().unwrap();
    let ended = tokio::time::timeout(super::LIMIT, running.ended).await.unwrap();
    let ended = ended.unwrap().unwrap_err().to_string();
    assert!(
        ended.starts_with("the carrying out of ceremonies ended by itself: a step of a ceremony panicked"),
        "{ended}"
    );
    proposed.abort();
    cluster.end().await;
}
