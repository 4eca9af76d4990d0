use rand_core::OsRng;
use service::Identity;
use threshold::testing::TestCommittee;

use super::*;
use crate::config::Peer;

fn committee() -> TestCommittee {
    TestCommittee::generate(2, 3, &mut OsRng).unwrap()
}

fn nodes(committee: &TestCommittee) -> Vec<Arc<Node>> {
    let own = Identity::ephemeral("coordinator").unwrap();
    let node = |member: &Member| {
        let name = member.name.to_string();
        let peer = Peer {
            name,
            identity: member.identity,
            address: member.address.clone(),
        };
        Arc::new(Node::new(&peer, &own).unwrap())
    };
    committee.manifest().members().iter().map(node).collect()
}

#[tokio::test]
async fn the_configured_nodes_are_a_committee_in_any_order() {
    let test = committee();
    let mut nodes = nodes(&test);
    nodes.reverse();
    let committee = Committee::new(test.signed.clone(), &nodes).unwrap();
    for (member, node) in committee.seats() {
        assert_eq!(member.identity, node.identity);
    }
    assert_eq!(committee.needed(), 2);
}

#[tokio::test]
async fn a_manifest_that_a_member_has_not_signed_is_refused() {
    let test = committee();
    let mut signed = test.signed.clone();
    signed.signatures[1] = signed.signatures[0];
    let refused = Committee::new(signed, &nodes(&test)).unwrap_err();
    assert!(
        matches!(refused, CommitteeRefused::Manifest(ManifestError::Signature(index)) if index.get() == 2)
    );
}

#[tokio::test]
async fn a_committee_with_a_stranger_is_refused() {
    let (test, other) = (committee(), committee());
    let mut nodes = nodes(&test);
    nodes[2] = self::nodes(&other)[2].clone();
    let refused = Committee::new(test.signed.clone(), &nodes).unwrap_err();
    assert!(matches!(refused, CommitteeRefused::Stranger(index, _) if index.get() == 3));
}

#[tokio::test]
async fn a_node_that_is_configured_and_no_member_is_none_of_its_nodes() {
    let (test, other) = (committee(), committee());
    let mut nodes = nodes(&test);
    nodes.extend(self::nodes(&other).into_iter().take(1));
    let committee = Committee::new(test.signed.clone(), &nodes).unwrap();
    assert_eq!(committee.seats().count(), 3);
}

#[test]
fn a_committee_counts_when_more_endorsers_give_it_than_can_lie() {
    let enough = |endorsers| (0..=endorsers).find(|givers| is_believed(*givers, endorsers));
    assert_eq!([1, 3, 4, 6, 7, 10].map(enough), [1, 1, 2, 2, 3, 4].map(Some));
}

#[test]
fn of_one_epoch_another_manifest_replaces_the_known_one_and_an_earlier_epoch_none() {
    let (known, other) = (committee(), committee());
    let (known, other) = (known.manifest(), other.manifest());
    assert_eq!(known.epoch(), other.epoch());
    assert!(replaces(other, known) && !replaces(known, known));
}
