//! Publishing custody keys: what no single organisation may do.

use golden_record::Outcome::{Applied, Pending, Rejected};
use golden_record::{Body, RejectionReason as Reason, queries};
use threshold::committee::{CommitteeManifest, SignedManifest};

use crate::support::{World, committee, key, public};

fn publish(manifest: &SignedManifest) -> Body {
    Body::PublishCommittee {
        manifest: manifest.clone(),
    }
}

/// Members that somebody has made up for the key of `honest`, all of whom sign.
fn made_up(honest: &SignedManifest) -> SignedManifest {
    let mut members = honest.manifest.members().to_vec();
    for member in &mut members {
        member.identity = public(&format!("false {}", member.index));
    }
    let manifest = CommitteeManifest::first(
        *honest.manifest.public_key(),
        honest.manifest.threshold(),
        members,
    )
    .unwrap();
    let signatures = manifest
        .members()
        .iter()
        .map(|member| manifest.sign(&key(&format!("false {}", member.index))))
        .collect();
    SignedManifest { manifest, signatures }
}

#[test]
fn one_organisation_cannot_register_a_made_up_committee_for_a_known_key() {
    let mut world = World::empty(2);
    let honest = committee("first");
    let lie = made_up(&honest);
    let pending = |confirmed| Pending { confirmed, needed: 3 };
    // The liar is first, and its manifest verifies.
    lie.verify().unwrap();
    assert_eq!(world.one("admin-3", publish(&lie)), pending(1));
    let digest = lie.manifest.digest();
    assert_eq!(queries::newest_committee(&world.state).unwrap(), None);
    assert_eq!(queries::committee_by_digest(&world.state, &digest).unwrap(), None);
    // It neither counts for the true one nor stands in its way.
    world.publish(&honest);
    assert_eq!(queries::newest_committee(&world.state).unwrap(), Some(honest));
    assert_eq!(
        world.one("admin-0", publish(&lie)),
        Rejected(Reason::KeyAlreadyPublished)
    );
}

#[test]
fn an_organisation_is_counted_once() {
    let mut world = World::empty(2);
    let body = publish(&committee("first"));
    let pending = |confirmed| Pending { confirmed, needed: 3 };
    assert_eq!(world.one("admin-0", body.clone()), pending(1));
    for _ in 0..3 {
        assert_eq!(
            world.one("admin-0", body.clone()),
            Rejected(Reason::AlreadyConfirmed)
        );
    }
    assert_eq!(world.one("admin-1", body.clone()), pending(2));
    assert_eq!(queries::newest_committee(&world.state).unwrap(), None);
    assert_eq!(world.one("admin-2", body), Applied);
    assert!(queries::newest_committee(&world.state).unwrap().is_some());
}

#[test]
fn confirmations_in_one_block_add_up() {
    let mut world = World::empty(2);
    let body = publish(&committee("first"));
    let transactions: Vec<_> = ["admin-3", "admin-1", "admin-0", "admin-2"]
        .into_iter()
        .map(|who| world.sign(who, body.clone()))
        .collect();
    let pending = |confirmed| Pending { confirmed, needed: 3 };
    assert_eq!(
        world.add(&transactions),
        [
            pending(1),
            pending(2),
            Applied,
            Rejected(Reason::DuplicateCommittee)
        ]
    );
}
