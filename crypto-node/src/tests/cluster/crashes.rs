//! A node that dies at each of a ceremony's durable writes, is started again, and dies in the next ceremony, too.

use super::lifecycle::{repair, resharing};
use super::{Cluster, LIMIT, phase};
use crate::ceremony::driver::crash::Crash;
use futures::FutureExt;
use proto::custody::{
    CeremonyKind, CeremonyPhase, GetNodeStatusResponse, JoinCeremonyRequest, ProposeCeremonyRequest,
};
use std::time::Duration;
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;

const PAUSE: Duration = Duration::from_millis(5);

/// Whether no ceremony is under way at a node, as far as it knows.
fn is_idle(status: &GetNodeStatusResponse) -> bool {
    let over = [
        CeremonyPhase::Unspecified,
        CeremonyPhase::Done,
        CeremonyPhase::Aborted,
    ];
    over.contains(&phase(status))
}

impl Cluster {
    /// Has the ceremony proposed and consented to, and goes on until it is over everywhere or the victim has died at its k-th
    /// durable write. Then it is started again, and goes on. Says whether it died.
    async fn dies(
        &mut self,
        victim: usize,
        k: u32,
        proposer: usize,
        parties: &[usize],
        wish: ProposeCeremonyRequest,
    ) -> bool {
        self.stop_node(victim).await;
        let crash = Crash::new();
        self.seams.crash = Some(crash.clone());
        self.start_node(victim).await;
        self.seams.crash = None;
        crash.arm(k);
        let stopped = async {
            while !crash.has_stopped() {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let ran = async {
            let _ = self.wish(proposer, wish).await;
            self.go_on(parties).await;
        };
        tokio::select! {
            () = tokio::time::timeout(LIMIT, stopped).map(drop) => {}
            () = ran => {}
        }
        if !crash.disarm() {
            return false;
        }
        let running = self.running[victim - 1].take().unwrap();
        running.ended.abort();
        let _ = running.ended.await;
        self.until_free(victim).await;
        self.start_node(victim).await;
        self.go_on(parties).await;
        true
    }

    /// Every operator consents to what is proposed, until no ceremony is under way.
    async fn go_on(&mut self, parties: &[usize]) {
        let mut seen = Vec::new();
        let quiet = async {
            loop {
                let mut idle = true;
                seen.clear();
                for party in parties {
                    let status = self.until(*party, |_| true).await;
                    idle &= is_idle(&status);
                    seen.push(status.ceremony.clone());
                    let Some(ceremony) = status.ceremony.filter(|ceremony| {
                        let own = ceremony.members.iter().find(|member| member.name == status.name);
                        ceremony.phase() == CeremonyPhase::Proposed && own.is_some_and(|own| !own.joined)
                    }) else {
                        continue;
                    };
                    let request = JoinCeremonyRequest {
                        ceremony_id: ceremony.ceremony_id,
                        key_id: self.key_id.clone(),
                    };
                    // It may have been given up since.
                    let _ = self.operator(*party).join_ceremony(request).await;
                }
                if idle {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let quiet = tokio::time::timeout(LIMIT, quiet).await;
        assert!(quiet.is_ok(), "the ceremony does not end: {seen:#?}");
    }

    /// The manifest that these nodes have in common.
    async fn manifest_of(&mut self, nodes: &[usize], case: &str) -> Option<SignedManifest> {
        let mut found = Vec::new();
        for node in nodes {
            found.push(self.until(*node, |_| true).await.manifest);
        }
        assert!(
            found.windows(2).all(|pair| pair[0] == pair[1]),
            "{case}: not the same key"
        );
        (!found[0].is_empty()).then(|| SignedManifest::from_bytes(&found[0]).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_p7_a16_a_node_that_dies_at_any_write_of_a_key_generation_leaves_all_or_nothing() {
    let mut fresh = None;
    let (mut completed, mut aborted) = (0, 0);
    for proposer in [1, 2] {
        for k in 1.. {
            let mut cluster = match fresh.take() {
                Some(cluster) => cluster,
                None => Cluster::start(2).await,
            };
            let wish = ProposeCeremonyRequest {
                kind: CeremonyKind::KeyGeneration.into(),
                threshold: 2,
                ..ProposeCeremonyRequest::default()
            };
            let case = format!("proposed by {proposer}, at {k}");
            let died = cluster.dies(1, k, proposer, &[1, 2], wish).await;
            if cluster.manifest_of(&[1, 2], &case).await.is_some() {
                completed += 1;
                // It outlives another start.
                cluster.stop_node(1).await;
                cluster.start_node(1).await;
                cluster.end().await;
            } else {
                aborted += 1;
                fresh = Some(cluster);
            }
            if !died {
                assert!(k > 6 && fresh.is_none(), "{case}");
                break;
            }
        }
    }
    assert!(
        completed > 4 && aborted > 4,
        "{completed} completed, {aborted} aborted"
    );
}

/// Three of four have the key and hand it on: one comes, one goes, two stay, and one of each in turn dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b6_p7_a16_a_node_that_dies_at_any_write_of_a_resharing_leaves_all_or_nothing() {
    const ALL: [usize; 4] = [1, 2, 3, 4];
    let mut cluster = Cluster::start(4).await;
    let generation = ProposeCeremonyRequest {
        kind: CeremonyKind::KeyGeneration.into(),
        threshold: 2,
        members: ["node-1", "node-2", "node-3"].map(str::to_owned).to_vec(),
        lost: String::new(),
    };
    let _ = cluster.wish(1, generation).await;
    cluster.go_on(&[1, 2, 3]).await;
    let mut now = cluster.manifest_of(&[1, 2, 3], "generated").await.unwrap();
    cluster.key_id = now.manifest.key_id().to_bytes();
    let wrapped = super::wrapped(now.manifest.custody_key(), "a");
    // Who leaves, two who stay, who comes; whoever leaves first proposes.
    let mut turn = ALL;
    let mut approve = 0;
    for (role, proposer) in [(0, 0), (1, 0), (3, 2)] {
        for k in 1.. {
            let [leaves, one, other, comes] = turn;
            let (victim, proposer) = (turn[role], turn[proposer]);
            let case = format!("{victim} of {turn:?} at {k}");
            let wish = resharing(2, &[one, other, comes]);
            let died = cluster.dies(victim, k, proposer, &ALL, wish).await;
            let handed_over = !cluster.until(comes, |_| true).await.manifest.is_empty();
            let holders = if handed_over {
                [one, other, comes]
            } else {
                [leaves, one, other]
            };
            let then = cluster.manifest_of(&holders, &case).await.unwrap();
            approve += 1;
            cluster.read(&holders[1..], &then, &wrapped, approve).await;
            assert_eq!(then != now, handed_over, "{case}");
            if handed_over {
                assert!(then.manifest.follows(&now.manifest).is_ok(), "{case}");
                cluster.until_retired(&ALL).await;
                assert!(
                    cluster.until(leaves, |_| true).await.manifest.is_empty(),
                    "{case}"
                );
                turn.rotate_left(1);
                now = then;
            }
            if !died {
                assert!(handed_over && k > 6, "{case}");
                break;
            }
        }
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_a16_a_node_that_dies_at_any_write_of_its_repair_can_be_repaired_again() {
    let mut cluster = Cluster::start(3).await;
    let signed = cluster.generate(1, 2).await;
    let wrapped = super::wrapped(signed.manifest.custody_key(), "a");
    let old = cluster.configs[2].directory.clone();
    let copy = cluster.folder.path().join("copy");
    cluster.stop_node(3).await;
    copy_all(&old, &copy);
    cluster.start_node(3).await;
    let refreshed = cluster.wish(1, resharing(0, &[])).await;
    drop(refreshed);
    cluster.go_on(&[1, 2, 3]).await;
    let now = cluster.manifest_of(&[1, 2, 3], "refreshed").await.unwrap();
    cluster.read(&[1, 2], &now, &wrapped, 1).await;
    cluster.until_retired(&[1, 2, 3]).await;
    for k in 1.. {
        // Node 3 is in the epoch before, with that epoch's share.
        if cluster.until(3, |_| true).await.manifest == now.to_bytes() {
            cluster.stop_node(3).await;
            std::fs::remove_dir_all(&old).unwrap();
            copy_all(&copy, &old);
            cluster.start_node(3).await;
        }
        let died = cluster.dies(3, k, 1, &[1, 2, 3], repair(3)).await;
        if cluster.until(3, |_| true).await.manifest == now.to_bytes() {
            cluster
                .read(&[2, 3], &now, &wrapped, u8::try_from(k).unwrap() + 1)
                .await;
            assert_eq!(
                cluster.share_files(3).len(),
                1,
                "at {k}: its old share is still there"
            );
        }
        if !died {
            assert!(k > 4);
            break;
        }
    }
    assert_eq!(cluster.manifest_of(&[1, 2, 3], "repaired").await, Some(now));
    cluster.end().await;
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = entry
            .map(|entry| (entry.path(), to.join(entry.file_name())))
            .unwrap();
        if path.is_dir() {
            copy_all(&path, &target);
        } else {
            std::fs::copy(path, target).unwrap();
        }
    }
}
