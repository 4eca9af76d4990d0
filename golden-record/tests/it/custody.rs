//! Publishing custody keys: what no single organisation may do.

use golden_record::Outcome::{Applied, Pending, Rejected};
use golden_record::{Body, RejectionReason as Reason, queries};
use threshold::committee::{CommitteeManifest, Member, SignedManifest};

use crate::support::{World, committee, key, public};

fn publish(manifest: &SignedManifest) -> Body {
    Body::PublishCommittee {
        manifest: manifest.clone(),
    }
}

/// Other members for the same public shares.
fn others(honest: &SignedManifest) -> Vec<Member> {
    let mut members = honest.manifest.members().to_vec();
    for member in &mut members {
        member.identity = public(&format!("other {}", member.index));
    }
    members
}

/// The manifest of such members, all of whom sign.
fn signed(manifest: CommitteeManifest) -> SignedManifest {
    let signatures = manifest
        .members()
        .iter()
        .map(|member| manifest.sign(&key(&format!("other {}", member.index))))
        .collect();
    SignedManifest { manifest, signatures }
}

/// Members that somebody has made up for the key of `honest`.
fn made_up(honest: &SignedManifest) -> SignedManifest {
    let manifest = &honest.manifest;
    let members = others(honest);
    signed(CommitteeManifest::first(*manifest.public_key(), manifest.threshold(), members).unwrap())
}

/// The next committee of the same key.
fn next(before: &SignedManifest) -> SignedManifest {
    let manifest = &before.manifest;
    signed(manifest.next(manifest.threshold(), others(before)).unwrap())
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

#[test]
fn a_key_is_handed_over_to_the_next_epoch_and_no_other() {
    let mut world = World::ready(2);
    let (first, second) = (committee("first"), committee("second"));
    world.publish(&second);
    let after = next(&first);
    // The same epoch, one too far, and the next one of another committee.
    for other in [made_up(&first), next(&after), next(&made_up(&first))] {
        assert_eq!(
            world.one("admin-0", publish(&other)),
            Rejected(Reason::KeyAlreadyPublished)
        );
    }
    let key_id = first.manifest.key_id();
    let height = world.header.height;
    world.publish(&after);
    let committee_of = |state: &dyn golden_record::StateReader| queries::committee(state, &key_id).unwrap();
    assert_eq!(committee_of(&world.state), Some(after.clone()));
    let past = golden_record::StateAt::new(&world.state, height);
    assert_eq!(committee_of(&past), Some(first.clone()));
    // Both are known by their digests, and the key that was published last is the newest one still.
    for manifest in [&first, &after] {
        let digest = manifest.manifest.digest();
        let found = queries::committee_by_digest(&world.state, &digest).unwrap();
        assert_eq!(found.as_ref(), Some(manifest));
    }
    assert_eq!(queries::newest_committee(&world.state).unwrap(), Some(second));
    assert_eq!(
        world.one("admin-0", publish(&first)),
        Rejected(Reason::DuplicateCommittee)
    );
    // What is wrapped under the key is read on.
    let wish = world.read("rita", "q3", 1);
    assert!(world.one_read("rita", wish).1.succeeded());
}
