//! The life of a share between real nodes: refreshed and reshared under reads, repaired, and refused when it is old.

use super::{Cluster, phase};
use proto::custody::custody_service_client::CustodyServiceClient;
use proto::custody::operator_service_client::OperatorServiceClient;
use proto::custody::{
    CeremonyKind, CeremonyPhase, CheckLevel, DiagnoseRequest, ProposeCeremonyRequest, ReencryptRequest,
};
use rand_core::OsRng;
use std::collections::BTreeSet;
use std::time::Duration;
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;
use threshold::ids::ApproveId;
use threshold::reencrypt::{Context, ReaderKey, ReencryptionShare, combine, open, verify_share};
use threshold::wrap::WrappedKey;
use tonic::Status;

pub(super) fn resharing(threshold: u32, members: &[usize]) -> ProposeCeremonyRequest {
    ProposeCeremonyRequest {
        kind: CeremonyKind::Resharing.into(),
        threshold,
        members: members.iter().map(|member| format!("node-{member}")).collect(),
        lost: String::new(),
    }
}

pub(super) fn repair(lost: usize) -> ProposeCeremonyRequest {
    ProposeCeremonyRequest {
        kind: CeremonyKind::Repair.into(),
        lost: format!("node-{lost}"),
        ..ProposeCeremonyRequest::default()
    }
}

impl Cluster {
    /// Runs a ceremony with everybody whom it concerns, and gives the manifest that the node then has.
    async fn run(
        &mut self,
        node: usize,
        parties: &[usize],
        request: ProposeCeremonyRequest,
    ) -> SignedManifest {
        let id = self.wish(node, request).await;
        for party in parties {
            self.join(*party, &id).await;
        }
        for party in parties {
            let done = |status: &proto::custody::GetNodeStatusResponse| {
                let ours = status
                    .ceremony
                    .as_ref()
                    .is_some_and(|ceremony| ceremony.ceremony_id == id);
                assert_ne!(
                    (ours, phase(status)),
                    (true, CeremonyPhase::Aborted),
                    "{status:?}"
                );
                ours && phase(status) == CeremonyPhase::Done
            };
            self.until(*party, done).await;
        }
        let status = self.until(node, |_| true).await;
        SignedManifest::from_bytes(&status.manifest).unwrap()
    }

    async fn share(
        &self,
        node: usize,
        signed: &SignedManifest,
        wrapped: &WrappedKey,
        reader: &ReaderKey,
        approve: u8,
    ) -> Result<ReencryptionShare, Status> {
        let request = ReencryptRequest {
            wrapped_key: wrapped.to_bytes(),
            certificates: super::certificates(wrapped, reader, approve, self.now_ms()),
            manifest_digest: signed.manifest.digest().as_bytes().to_vec(),
        };
        let mut custody = CustodyServiceClient::new(self.channel(node, &self.coordinator));
        let answer = custody.reencrypt(request).await?.into_inner();
        Ok(ReencryptionShare::from_bytes(&answer.share).unwrap())
    }

    /// An approved read with the shares of these nodes.
    pub(super) async fn read(
        &self,
        nodes: &[usize],
        signed: &SignedManifest,
        wrapped: &WrappedKey,
        approve: u8,
    ) {
        let reader = ReaderKey::generate(&mut OsRng);
        let context = Context::new(
            &signed.manifest,
            wrapped,
            ApproveId([approve; 32]),
            &reader.public(),
        )
        .unwrap();
        let mut shares = Vec::new();
        for node in nodes {
            let share = self
                .share(*node, signed, wrapped, &reader, approve)
                .await
                .unwrap();
            shares.push(verify_share(&context, &share).unwrap());
        }
        let opened = open(&reader, &combine(&context, &shares).unwrap(), wrapped).unwrap();
        assert_eq!(opened.expose(), &[9; 32]);
    }

    /// Every node refuses the epoch, as one that it is no longer, or never was, in.
    async fn all_refuse(&self, nodes: &[usize], signed: &SignedManifest, wrapped: &WrappedKey, approve: u8) {
        let reader = ReaderKey::generate(&mut OsRng);
        for node in nodes {
            let refused = self
                .share(*node, signed, wrapped, &reader, approve)
                .await
                .unwrap_err();
            let text = refused.message();
            assert!(
                text.contains("stale_manifest") || text.contains("no_key"),
                "node {node}: {text}"
            );
        }
    }

    pub(super) fn share_files(&self, node: usize) -> BTreeSet<String> {
        let folder = self.configs[node - 1].directory.join("shares");
        let entries = std::fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    pub(super) async fn until_retired(&mut self, nodes: &[usize]) {
        for node in nodes {
            self.until(*node, |status| status.serves_epoch == 0).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p8_b5_b8_shares_are_refreshed_under_reads_and_the_old_ones_are_destroyed() {
    let mut cluster = Cluster::start(3).await;
    let old = cluster.generate(1, 2).await;
    let wrapped = super::wrapped(old.manifest.custody_key(), "a");
    cluster.read(&[1, 2], &old, &wrapped, 1).await;
    let old_file = cluster.share_files(3);
    let kept = cluster.configs[2]
        .directory
        .join("shares")
        .join(old_file.first().unwrap());
    let old_bytes = std::fs::read(&kept).unwrap();

    let new = cluster.run(2, &[1, 2, 3], resharing(0, &[])).await;
    assert!(new.manifest.follows(&old.manifest).is_ok());
    assert_eq!(new.manifest.threshold(), old.manifest.threshold());
    // Until the new epoch is used, both serve: for as long as the chain does not have it, and beyond a restart.
    cluster.read(&[1, 3], &old, &wrapped, 2).await;
    cluster.stop_node(3).await;
    cluster.start_node(3).await;
    assert_eq!(cluster.until(3, |_| true).await.serves_epoch, 1);
    cluster.read(&[2, 3], &old, &wrapped, 3).await;

    cluster.read(&[2, 3], &new, &wrapped, 4).await;
    cluster.until_retired(&[1, 2, 3]).await;
    cluster.all_refuse(&[1, 2, 3], &old, &wrapped, 5).await;
    cluster.read(&[1, 2], &new, &wrapped, 6).await;
    for node in 1..=3 {
        assert_eq!(
            cluster.share_files(node).len(),
            1,
            "node {node} keeps an old share"
        );
        assert!(cluster.share_files(node).is_disjoint(&old_file));
    }

    // An old share that is put back is nobody's.
    cluster.stop_node(3).await;
    std::fs::write(&kept, &old_bytes).unwrap();
    cluster.start_node(3).await;
    cluster.all_refuse(&[3], &old, &wrapped, 7).await;
    cluster.read(&[1, 3], &new, &wrapped, 8).await;

    // A node that died in the middle of destroying it finishes that when it starts, with whatever was never written whole.
    cluster.stop_node(3).await;
    set_back_to_destroying(&cluster.configs[2].directory.join("ceremonies.redb"), &kept);
    std::fs::write(&kept, &old_bytes).unwrap();
    std::fs::write(kept.with_file_name(".0a.share.77-1.tmp"), &old_bytes).unwrap();
    cluster.start_node(3).await;
    assert_eq!(cluster.share_files(3).len(), 1);
    cluster.read(&[2, 3], &new, &wrapped, 9).await;
    cluster.end().await;
}

/// As if the store did not know yet that the old share is gone.
fn set_back_to_destroying(store: &std::path::Path, kept: &std::path::Path) {
    use crate::store::{Before, Change, Store};
    let store = Store::open(store).unwrap();
    let (new, record) = store.active().unwrap().unwrap();
    let name = kept.file_stem().unwrap().to_str().unwrap();
    let old = threshold::ids::CeremonyId(hex::decode(name).unwrap().try_into().unwrap());
    let old_record = store.record(old).unwrap().unwrap();
    for (ceremony, record) in [(old, old_record), (new, record)] {
        let change = Change {
            ceremony,
            record,
            others: Vec::new(),
            past: Vec::new(),
            doubt: None,
            active: Some(Before::Serves),
        };
        store.apply(&change).unwrap();
    }
    assert_eq!(store.before().unwrap().unwrap().0, old);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_an_old_share_that_cannot_be_read_does_not_keep_the_node_from_starting() {
    let mut cluster = Cluster::start(3).await;
    let old = cluster.generate(1, 2).await;
    let wrapped = super::wrapped(old.manifest.custody_key(), "a");
    let old_file = cluster.share_files(3).pop_first().unwrap();
    let new = cluster.run(2, &[1, 2, 3], resharing(0, &[])).await;
    cluster.stop_node(3).await;
    let path = cluster.configs[2].directory.join("shares").join(old_file);
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::write(&path, vec![0; usize::try_from(length).unwrap()]).unwrap();
    cluster.start_node(3).await;
    // It is there all the same, and said to be.
    assert_eq!(cluster.until(3, |_| true).await.serves_epoch, 1);
    cluster.read(&[1, 3], &new, &wrapped, 1).await;
    cluster.until_retired(&[1, 2, 3]).await;
    assert!(!path.exists());
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b5_p8_old_ceremonies_and_an_old_share_beside_the_live_journal_do_not_start() {
    let mut cluster = Cluster::start(3).await;
    let _ = cluster.generate(1, 2).await;
    cluster.stop_node(1).await;
    let directory = cluster.configs[0].directory.clone();
    let share = directory
        .join("shares")
        .join(cluster.share_files(1).pop_first().unwrap());
    let files = [directory.join("ceremonies.redb"), share];
    let old = files.clone().map(|file| std::fs::read(file).unwrap());
    cluster.start_node(1).await;
    let _ = cluster.run(2, &[1, 2, 3], resharing(0, &[])).await;
    cluster.stop_node(1).await;
    for (file, bytes) in files.iter().zip(old) {
        std::fs::write(file, bytes).unwrap();
    }
    let refusal = cluster.refusal().await;
    assert!(refusal.starts_with("journal: it does not know"), "{refusal}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b4_another_committee_with_another_threshold_reads_what_was_wrapped_before() {
    let mut cluster = Cluster::start(5).await;
    // Three of them have a key; two do not know it yet.
    let members = ["node-1", "node-2", "node-3"].map(str::to_owned).to_vec();
    let generation = ProposeCeremonyRequest {
        kind: CeremonyKind::KeyGeneration.into(),
        threshold: 2,
        members,
        lost: String::new(),
    };
    let old = cluster.run(1, &[1, 2, 3], generation).await;
    cluster.key_id = old.manifest.key_id().to_bytes();
    let wrapped = super::wrapped(old.manifest.custody_key(), "a");
    cluster.read(&[1, 3], &old, &wrapped, 1).await;

    let _ = cluster
        .run(2, &[1, 2, 3, 4, 5], resharing(3, &[5, 4, 3, 2]))
        .await;
    let status = cluster.until(4, |status| !status.manifest.is_empty()).await;
    let new = SignedManifest::from_bytes(&status.manifest).unwrap();
    assert_eq!(
        (new.manifest.threshold().t(), new.manifest.threshold().n()),
        (3, 4)
    );
    assert!(new.manifest.follows(&old.manifest).is_ok());
    cluster.read(&[1, 2], &old, &wrapped, 2).await;
    cluster.read(&[3, 4, 5], &new, &wrapped, 3).await;
    cluster.until_retired(&[1, 2, 3, 4, 5]).await;
    assert!(cluster.share_files(1).is_empty(), "whoever left keeps its share");
    cluster.all_refuse(&[1, 2, 3], &old, &wrapped, 4).await;
    // All of it outlives a restart.
    for node in 1..=5 {
        cluster.stop_node(node).await;
        cluster.start_node(node).await;
    }
    cluster.read(&[2, 4, 5], &new, &wrapped, 5).await;
    cluster.all_refuse(&[1], &new, &wrapped, 6).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_was_wiped_gets_its_share_again() {
    let mut cluster = Cluster::start(3).await;
    let signed = cluster.generate(1, 2).await;
    let wrapped = super::wrapped(signed.manifest.custody_key(), "a");
    cluster.stop_node(3).await;
    let directory = cluster.configs[2].directory.clone();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        // The identity is kept elsewhere, or restored.
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else if !path.ends_with("identity") {
            std::fs::remove_file(path).unwrap();
        }
    }
    cluster.start_node(3).await;
    cluster.all_refuse(&[3], &signed, &wrapped, 1).await;
    let repaired = cluster.run(1, &[1, 2, 3], repair(3)).await;
    assert_eq!(repaired, signed);
    cluster.read(&[2, 3], &signed, &wrapped, 2).await;
    cluster.stop_node(3).await;
    cluster.start_node(3).await;
    cluster.read(&[1, 3], &signed, &wrapped, 3).await;
    cluster.end().await;
}

/// The points at which a node is stopped: its messages of these kinds never leave it, as if it had died before they did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_a16_a_node_that_dies_at_any_step_of_a_refresh_leaves_all_or_nothing() {
    use crate::ceremony::message::Body;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let mut cluster = Cluster::start(3).await;
    let mut signed = cluster.generate(1, 2).await;
    let wrapped = super::wrapped(signed.manifest.custody_key(), "a");
    for (step, approve) in [2_usize, 3, 4, 5, 6].into_iter().zip(10..) {
        // Node 3 is cut off when it would say what belongs to this step, and killed.
        cluster.stop_node(3).await;
        let reached = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&reached);
        let honest = cluster.seams.tamper.replace(Arc::new(move |_, mut message| {
            let own = match &message.body {
                Body::Join { .. } => 1,
                Body::Round(_) => 2,
                Body::Sign { .. } => 4,
                Body::Confirm { .. } => 5,
                Body::Done(_) => 6,
                _ => return message,
            };
            let own = if own == 2 && seen.load(Ordering::SeqCst) >= 2 {
                3
            } else {
                own
            };
            seen.fetch_max(own, Ordering::SeqCst);
            if own >= step {
                // What was signed no longer matches: nobody takes it.
                message.body = Body::Execute { dealers: Vec::new() };
            }
            message
        }));
        cluster.start_node(3).await;
        let id = cluster.wish(1, resharing(0, &[])).await;
        cluster.join(2, &id).await;
        cluster.join(3, &id).await;
        let at_step = async {
            while reached.load(Ordering::SeqCst) < step {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // A step that it does not come to at all is reached by the others without it.
        let _ = tokio::time::timeout(Duration::from_secs(5), at_step).await;
        let running = cluster.running[2].take().unwrap();
        running.ended.abort();
        let _ = running.ended.await;
        cluster.seams.tamper = honest;
        cluster.until_free(3).await;
        cluster.start_node(3).await;
        let mut ended = Vec::new();
        for node in 1..=3 {
            let over = |status: &proto::custody::GetNodeStatusResponse| {
                let live = status
                    .ceremony
                    .as_ref()
                    .is_some_and(|ceremony| ceremony.ceremony_id == id);
                live && matches!(phase(status), CeremonyPhase::Done | CeremonyPhase::Aborted)
            };
            ended.push(cluster.until(node, over).await.manifest);
        }
        assert!(
            ended.windows(2).all(|pair| pair[0] == pair[1]),
            "step {step}: two epochs"
        );
        signed = SignedManifest::from_bytes(&ended[0]).unwrap();
        cluster.read(&[2, 3], &signed, &wrapped, approve).await;
        cluster.until_retired(&[1, 2, 3]).await;
        signed = cluster.run(3, &[1, 2, 3], resharing(0, &[])).await;
        cluster.read(&[1, 3], &signed, &wrapped, approve + 100).await;
        cluster.until_retired(&[1, 2, 3]).await;
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_a_node_says_who_is_gone_to_its_operator_and_in_its_metrics() {
    let mut cluster = Cluster::start(3).await;
    let diagnosed = async |cluster: &Cluster| {
        let answer = cluster.operator(1).diagnose(DiagnoseRequest {}).await.unwrap();
        answer.into_inner().checks
    };
    let no_key = diagnosed(&cluster).await;
    let key = no_key.iter().find(|check| check.name == "key").unwrap();
    assert!(
        key.level() == CheckLevel::Error && !key.advice.is_empty(),
        "{key:?}"
    );
    cluster.generate(1, 2).await;
    for check in diagnosed(&cluster).await {
        assert!(
            check.level() == CheckLevel::Ok && check.advice.is_empty(),
            "{check:?}"
        );
    }
    let text = cluster.operations(1, "/metrics").await;
    for line in [
        "members_reachable 3",
        "quorum_margin 1",
        "alarm{check=\"quorum\"} 0",
    ] {
        assert!(
            text.contains(&format!("quorate_crypto_node_{line}\n")),
            "{line}: {text}"
        );
    }
    cluster.stop_node(3).await;
    let checks = diagnosed(&cluster).await;
    let quorum = checks.iter().find(|check| check.name == "quorum").unwrap();
    assert!(
        quorum.level() == CheckLevel::Error && quorum.part_of == "key",
        "{quorum:?}"
    );
    assert!(quorum.found.contains("silent: node-3"), "{quorum:?}");
    let text = cluster.operations(1, "/metrics").await;
    for line in [
        "members_reachable 2",
        "quorum_margin 0",
        "alarm{check=\"quorum\"} 2",
    ] {
        assert!(
            text.contains(&format!("quorate_crypto_node_{line}\n")),
            "{line}: {text}"
        );
    }
    // A coordinator is told nothing of it.
    let coordinator = cluster.channel(1, &cluster.coordinator);
    let refused = OperatorServiceClient::new(coordinator)
        .diagnose(DiagnoseRequest {})
        .await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::PermissionDenied);
    cluster.end().await;
}
