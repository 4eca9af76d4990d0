//! What fellow nodes deliver and is refused: told to them, and in the journal.

use super::Cluster;
use crate::ceremony::message::{Body, Message};
use crate::journal::{Disk, Entry, Event, Journal};
use proto::custody::DeliverRequest;
use proto::custody::ceremony_service_client::CeremonyServiceClient;
use service::Identity;
use std::collections::BTreeMap;
use threshold::encoding::Canonical;
use threshold::ids::CeremonyId;
use tonic::{Code, Status};

/// Delivers to node 1 over a connection of this identity.
async fn deliver(cluster: &Cluster, from: &Identity, message: Vec<u8>) -> Status {
    CeremonyServiceClient::new(cluster.channel(1, from))
        .deliver(DeliverRequest { message })
        .await
        .unwrap_err()
}

/// The refusals in the journal of node 1, which is stopped: whose, why, how many.
fn recorded(cluster: &Cluster) -> BTreeMap<([u8; 32], String), u32> {
    let mut found = BTreeMap::new();
    let disk = Disk::open(&cluster.configs[0].directory.join("journal")).unwrap();
    let visit = |entry: &Entry, _: &[u8; 32]| {
        if let Event::Refusals {
            count, code, peer, ..
        } = &entry.event
        {
            *found.entry((*peer, code.clone())).or_default() += count;
        }
    };
    let identity = cluster.identities[0].public_key();
    drop(Journal::open(disk, &identity, None, visit, |_| ()).unwrap());
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a13_a_foreign_message_is_refused_on_a_real_connection_and_in_the_journal() {
    let mut cluster = Cluster::start(3).await;
    let second = cluster.identities[1].clone();
    let (third, stranger) = (
        &cluster.identities[2],
        Identity::from_seed("stranger", &[9; 32]).unwrap(),
    );
    let join = |who: &Identity| {
        let body = Body::Join { deals: false };
        Message::new(CeremonyId([7; 32]), body, who.signing_key())
    };
    // Node 2 delivers what another node says, and what somebody says whom nobody knows.
    for foreign in [join(third), join(&stranger)] {
        let refused = deliver(&cluster, &second, foreign.to_bytes()).await;
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(
            refused.message().contains("is not the peer that delivered it"),
            "{refused}"
        );
    }
    // Its own of another ceremony, and no message at all.
    let mut changed = join(&second);
    changed.ceremony = CeremonyId([8; 32]);
    let refused = deliver(&cluster, &second, changed.to_bytes()).await;
    assert_eq!(refused.code(), Code::InvalidArgument);
    let refused = deliver(&cluster, &second, b"no message".to_vec()).await;
    assert!(refused.message().starts_with("refused: malformed"), "{refused}");
    // A coordinator has nothing to deliver.
    let coordinator = cluster.coordinator.clone();
    let refused = deliver(&cluster, &coordinator, join(&coordinator).to_bytes()).await;
    assert_eq!(refused.code(), Code::PermissionDenied);
    // Too early is not wrong, and nothing to hold against anybody.
    let third = third.clone();
    let early = deliver(&cluster, &third, join(&third).to_bytes()).await;
    assert_eq!(early.code(), Code::FailedPrecondition);

    cluster.stop_node(1).await;
    let (second, coordinator) = (second.public_key(), coordinator.public_key());
    let expected = [
        ((second, "ceremony_message".to_owned()), 3),
        ((second, "malformed".to_owned()), 1),
        ((coordinator, "wrong_role".to_owned()), 1),
    ];
    assert_eq!(recorded(&cluster), expected.into());
    cluster.end().await;
}

/// What was delivered is carried out although the member hung up; so no more of it is begun than has room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p12_a_member_that_hangs_up_does_not_pile_up_deliveries() {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    let mut cluster = Cluster::start(3).await;
    cluster.stop_node(1).await;
    // Node 1 stands still while it carries out what its operator wants.
    let (closed, gate) = std::sync::mpsc::channel::<()>();
    let (gate, stands) = (Mutex::new(gate), Arc::new(AtomicBool::new(false)));
    let entered = Arc::clone(&stands);
    cluster.seams.tamper = Some(Arc::new(move |_, message| {
        entered.store(true, Ordering::SeqCst);
        // It opens when nobody holds the other end any more.
        let _ = gate.lock().unwrap().recv();
        message
    }));
    cluster.start_node(1).await;
    let mut operator = cluster.operator(1);
    let request = proto::custody::ProposeCeremonyRequest {
        kind: proto::custody::CeremonyKind::KeyGeneration.into(),
        threshold: 2,
        ..Default::default()
    };
    let proposed = tokio::spawn(async move { operator.propose_ceremony(request).await });
    let pause = std::time::Duration::from_millis(10);
    let standing = async {
        while !stands.load(Ordering::SeqCst) {
            tokio::time::sleep(pause).await;
        }
    };
    tokio::time::timeout(super::LIMIT, standing).await.unwrap();
    let second = cluster.identities[1].clone();
    let body = Body::Join { deals: false };
    let message = Message::new(CeremonyId([7; 32]), body, second.signing_key()).to_bytes();
    let channel = cluster.channel(1, &second);
    let deliver = || {
        let (mut client, message) = (CeremonyServiceClient::new(channel.clone()), message.clone());
        tokio::spawn(async move { client.deliver(DeliverRequest { message }).await })
    };
    let refused = async {
        loop {
            let mut delivered = deliver();
            // It hangs up.
            if let Ok(answer) = tokio::time::timeout(20 * pause, &mut delivered).await {
                return answer.unwrap().unwrap_err();
            }
            delivered.abort();
        }
    };
    let refused = tokio::time::timeout(super::LIMIT, refused).await.unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    drop(closed);
    proposed.await.unwrap().unwrap();
    let taken = async {
        while deliver().await.unwrap().unwrap_err().code() != Code::FailedPrecondition {
            tokio::time::sleep(pause).await;
        }
    };
    tokio::time::timeout(super::LIMIT, taken).await.unwrap();
    cluster.end().await;
}
