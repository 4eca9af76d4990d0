//! An organisation joins with its endorser, another leaves, and reads go on all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use client::{Client, Mirror};
use golden_record::{Change, Organisation, Outcome};
use ledger_endorser::setup::{PublicParts, create_keys, public_parts};
use receipt::{PinnedRoots, Verdict};
use service::identity::Identity;
use service::seal::Passphrase;
use tempfile::TempDir;
use threshold::signature::PublicKey;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::world::{World, name, read, until};

/// The endorser of another organisation, in this process.
struct Fifth {
    parts: PublicParts,
    address: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
    _folder: TempDir,
}

impl Fifth {
    fn start(world: &World) -> Self {
        let folder = TempDir::new().unwrap();
        let paths = world.cluster.paths();
        let (keys, data) = (folder.path().join("keys"), folder.path().join("data"));
        let passphrase_file = paths.passphrase("endorser-north");
        let passphrase = Passphrase::from_file(&passphrase_file).unwrap();
        let created_ms = world.cluster.layout().created_ms;
        let parts = create_keys(&keys, &data, &name("centre"), &passphrase, created_ms).unwrap();
        let ports = service::ports::free(3).unwrap();
        let peers = world.cluster.layout().endorsers.iter().map(|seat| {
            let of = public_parts(&paths.keys(&seat.name)).unwrap();
            (hex::encode(of.validator), seat.consensus.unwrap().to_string())
        });
        let config = ledger_endorser::Config {
            organisation: "centre".into(),
            listen: ports[0],
            operations: ports[1],
            consensus_listen: ports[2],
            directory: data,
            keys,
            passphrase_file,
            genesis: paths.genesis(),
            peers: peers.collect(),
            certificate_lifetime_seconds: 120,
            policy_version: 1,
            limits: ledger_endorser::Limits::default(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(ledger_endorser::run(config, async {
            let _ = stopped.await;
        }));
        Self {
            parts,
            address: ports[2].to_string(),
            stop,
            task,
            _folder: folder,
        }
    }
}

fn public(identity: &Identity) -> PublicKey {
    PublicKey::from_bytes(&identity.public_key()).unwrap()
}

/// Confirmed by one organisation after the other.
async fn decide(world: &World, admins: &[Arc<Identity>], change: &Change) {
    let mut last = None;
    for admin in admins {
        let client = world.client(admin).await;
        let revision = client.organisations_revision().await.unwrap();
        let recorded = client.govern(revision, change.clone()).await.unwrap();
        last = Some(recorded.entry.outcome);
    }
    assert_eq!(last, Some(Outcome::Applied), "{change:?}");
}

/// Waits until these organisations' endorsers, and only these of the profile's, decide in an epoch.
async fn until_epoch(client: &Client, epoch: u64, deciding: &[&str]) {
    until("the epoch has begun", async || {
        let statuses = client.endorser_statuses().await;
        let there = statuses.iter().all(|(organisation, status)| {
            let decides = deciding.contains(&organisation.as_str());
            status.as_ref().is_ok_and(|status| {
                status.epoch == epoch && status.is_endorser == decides && status.votes == decides
            })
        });
        (there && client.epochs().newest() == epoch).then_some(())
    })
    .await;
}

#[tokio::test]
async fn e10_an_auditor_with_the_old_roots_verifies_reads_after_endorsers_have_joined_and_left() {
    let world = World::new("endorsers").await;
    world.write("endorsers/report", b"read all along").await;
    let auditor = world.client(&world.cluster.auditor().unwrap()).await;
    let roots = auditor.pinned_roots().await.unwrap();
    let folder = TempDir::new().unwrap();
    let mirror = || Mirror::new(folder.path().join("mirror"), roots.genesis().clone());
    mirror().update(&auditor).await.unwrap();

    // Somebody reads, again and again, from before the first change until after the last.
    let alice = world.client(&world.alice).await;
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let reader = {
        let (alice, stop, reads) = (alice.clone(), Arc::clone(&stop), Arc::clone(&reads));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let (content, _) = read(&alice, "alice", "endorsers/report").await.unwrap();
                assert_eq!(content, b"read all along");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        })
    };

    let fifth = Fifth::start(&world);
    let admin = |organisation: &str| world.cluster.admin(organisation).unwrap();
    let centre = Arc::new(Identity::ephemeral("centre").unwrap());
    let joins = Change::AddOrganisation {
        organisation: Organisation {
            name: name("centre"),
            validator: PublicKey::from_bytes(&fifth.parts.validator).unwrap(),
            admin: public(&centre),
            ca_certificate: fifth.parts.ca_certificate.clone(),
        },
        address: fifth.address.parse().unwrap(),
    };
    decide(&world, &[admin("north"), admin("east"), admin("south")], &joins).await;
    until_epoch(&auditor, 1, &["north", "east", "south", "west"]).await;
    let (_, joined) = read(&alice, "alice", "endorsers/report").await.unwrap();
    let joined = alice.receipt(&joined).await.unwrap();

    // Whoever joined decides with the others: without it the four that are needed would not be there.
    let leaves = Change::RemoveOrganisation {
        organisation: name("north"),
    };
    decide(
        &world,
        &[admin("east"), admin("south"), admin("west"), centre],
        &leaves,
    )
    .await;
    until_epoch(&auditor, 2, &["east", "south", "west"]).await;
    let before = reads.load(Ordering::Relaxed);
    until("reads go on", async || {
        (reads.load(Ordering::Relaxed) > before + 3).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    reader.await.unwrap();

    let (_, report) = read(&alice, "alice", "endorsers/report").await.unwrap();
    assert!(report.approved_by.iter().all(|one| one.as_str() != "north"));
    let left = alice.receipt(&report).await.unwrap();
    for (receipt, epoch) in [(&joined, 1), (&left, 2)] {
        assert_eq!(receipt.handovers.len(), epoch);
        assert_eq!(receipt.proof.evidence.epoch, epoch as u64);
        let text = receipt.to_text();
        assert!(text.len() < 32_000, "{}", text.len());
        receipt::verify(text.as_bytes(), &roots).unwrap();
    }
    // Without the handover nobody can tell, and a false one is one.
    let mut bare = left.clone();
    bare.handovers.pop();
    let judged = bare.verify(&roots).unwrap_err();
    assert_eq!(judged.verdict, Verdict::CannotTell, "{judged}");
    // Roots that were exported since know it by themselves.
    let newest = auditor.pinned_roots().await.unwrap().to_json();
    let newest = PinnedRoots::from_json(newest.as_bytes()).unwrap();
    assert_eq!(newest.epochs().newest(), 2);
    bare.verify(&newest).unwrap();
    let mut forged = left.clone();
    forged.handovers[1].proof.evidence.signatures[0].1.0[40] ^= 1;
    let judged = forged.verify(&roots).unwrap_err();
    assert_eq!(judged.verdict, Verdict::Invalid, "{judged}");

    // The log from the beginning, and the mirror from before, by somebody who begins with the genesis.
    let log = auditor.verified_log().await.unwrap();
    assert!(log.lines.len() > reads.load(Ordering::Relaxed));
    mirror().update(&auditor).await.unwrap();
    let contents = mirror().check().unwrap();
    assert!(contents.size() >= u64::try_from(log.lines.len()).unwrap());
    fifth.stop.send(()).unwrap();
    fifth.task.await.unwrap().unwrap();
}
