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
