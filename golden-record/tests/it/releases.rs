//! Receipts: only of approved reads, by the right node, once.

use golden_record::Outcome::{Applied, Rejected};
use golden_record::VerifiedTransaction;
use golden_record::{Body, MAX_RELEASES, RejectionReason as Reason, TransactionError, TxId, queries};
use threshold::committee::{ParticipantIndex, SignedManifest};
use threshold::encoding::DecodeError;
use threshold::ids::{ApproveId, ManifestDigest, WriteId};
use threshold::statement::ReleaseStatement;

use crate::support::{World, committee, key, public};

fn record(releases: &[ReleaseStatement]) -> Body {
    Body::RecordReleases {
        releases: releases.to_vec(),
    }
}

/// The statement changed, and signed again by the node.
fn resigned(statement: ReleaseStatement) -> ReleaseStatement {
    statement.sign(&key("first node-1"))
}

#[test]
fn many_releases_of_many_reads_in_one_receipt() {
    let mut world = World::ready(5);
    let first = world.approved(1);
    let second = world.approved(3);
    let third = world.statement(first.approve_id, 2);
    assert_eq!(world.one("coordinator", record(&[first, second, third])), Applied);
    let index = world.header.first_index();
    for (approve_id, node, expected) in [
        (first.approve_id, 1, Some(index)),
        (first.approve_id, 2, Some(index)),
        (first.approve_id, 3, None),
        (second.approve_id, 3, Some(index)),
    ] {
        assert_eq!(
            queries::release(&world.state, &approve_id, &first.manifest_digest, node).unwrap(),
            expected
        );
    }
}

#[test]
fn e12_p1_a_release_of_a_read_that_was_not_approved_is_refused() {
    let mut world = World::ready(5);
    let good = world.approved(1);
    let unheard = resigned(ReleaseStatement {
        approve_id: ApproveId([1; 32]),
        ..good
    });
    assert_eq!(
        world.one("coordinator", record(&[unheard])),
        Rejected(Reason::UnknownApproval)
    );
    // A denied read is on the chain, and is no approval.
    let wish = world.read("nora", "q3", 1);
    let (denied, _): (TxId, _) = world.one_read("nora", wish);
    let released = resigned(ReleaseStatement {
        approve_id: denied,
        ..good
    });
    assert_eq!(
        world.one("coordinator", record(&[released])),
        Rejected(Reason::UnknownApproval)
    );
    // One bad statement rejects the receipt, and nothing of it stays.
    assert_eq!(
        world.one("coordinator", record(&[good, unheard])),
        Rejected(Reason::UnknownApproval)
    );
    assert_eq!(
        queries::release(&world.state, &good.approve_id, &good.manifest_digest, 1).unwrap(),
        None
    );
}

#[test]
fn a_release_is_of_what_was_approved_to_whom_it_was() {
    let mut world = World::ready(5);
    let good = world.approved(1);
    let other_key = resigned(ReleaseStatement {
        write_id: WriteId([1; 32]),
        ..good
    });
    let other_reader = resigned(ReleaseStatement {
        q: public("thief"),
        ..good
    });
    for statement in [other_key, other_reader] {
        assert_eq!(
            world.one("coordinator", record(&[statement])),
            Rejected(Reason::ReleaseMismatch)
        );
    }
}

#[test]
fn a_release_is_by_a_seat_of_the_published_committee() {
    let mut world = World::ready(5);
    let good = world.approved(1);
    let unknown = resigned(ReleaseStatement {
        manifest_digest: ManifestDigest([1; 32]),
        ..good
    });
    assert_eq!(
        world.one("coordinator", record(&[unknown])),
        Rejected(Reason::UnknownCommittee)
    );
    let no_seat = resigned(ReleaseStatement {
        index: ParticipantIndex::new(4).unwrap(),
        ..good
    });
    assert_eq!(
        world.one("coordinator", record(&[no_seat])),
        Rejected(Reason::UnknownNode)
    );
    let second = committee("second");
    let manifest_digest = second.manifest.digest();
    world.publish(&second);
    let other = ReleaseStatement {
        manifest_digest,
        ..good
    }
    .sign(&key("second node-1"));
    assert_eq!(
        world.one("coordinator", record(&[other])),
        Rejected(Reason::CommitteeMismatch)
    );
}

#[test]
fn p1_a_seat_of_an_earlier_committee_keeps_no_release_of_a_later_one_out() {
    let mut world = World::ready(5);
    let earlier = world.approved(1);
    let manifest = committee("first").manifest;
    let manifest = manifest
        .next(manifest.threshold(), manifest.members().to_vec())
        .unwrap();
    let manifest_digest = manifest.digest();
    let signatures = (1..=3).map(|seat| manifest.sign(&key(&format!("first node-{seat}"))));
    let signatures = signatures.collect();
    world.publish(&SignedManifest { manifest, signatures });
    let later = ReleaseStatement {
        manifest_digest,
        ..earlier
    }
    .sign(&key("first node-1"));
    for release in [earlier, later] {
        assert_eq!(world.one("coordinator", record(&[release])), Applied);
        assert_eq!(
            world.one("coordinator", record(&[release])),
            Rejected(Reason::DuplicateRelease)
        );
    }
}

#[test]
fn a_release_is_signed_by_the_node_itself() {
    let mut world = World::ready(5);
    let good = world.approved(1);
    let by_another = good.sign(&key("first node-2"));
    let by_the_coordinator = good.sign(&key("coordinator"));
    let changed = ReleaseStatement {
        journal_position: 6,
        ..good
    };
    for statement in [by_another, by_the_coordinator, changed] {
        assert_eq!(
            world.one("coordinator", record(&[statement])),
            Rejected(Reason::InvalidStatement)
        );
    }
    assert_eq!(world.one("coordinator", record(&[good])), Applied);
}

#[test]
fn a_release_is_recorded_once() {
    let mut world = World::ready(5);
    let good = world.approved(1);
    assert_eq!(
        world.one("coordinator", record(&[good, good])),
        Rejected(Reason::DuplicateRelease)
    );
    assert_eq!(world.one("coordinator", record(&[good])), Applied);
    let repeat = resigned(ReleaseStatement {
        repeat: true,
        journal_position: 7,
        ..good
    });
    for statement in [good, repeat] {
        assert_eq!(
            world.one("coordinator", record(&[statement])),
            Rejected(Reason::DuplicateRelease)
        );
    }
}

#[test]
fn a_receipt_holds_one_to_128_releases() {
    let mut world = World::ready(5);
    let good = world.approved(1);
    let empty = world.sign("coordinator", record(&[]));
    let refused = VerifiedTransaction::verify(empty).unwrap_err();
    assert_eq!(
        refused,
        TransactionError::Malformed(DecodeError::Invalid("releases"))
    );
    let many = world.sign("coordinator", record(&vec![good; MAX_RELEASES + 1]));
    let refused = VerifiedTransaction::verify(many).unwrap_err();
    assert_eq!(
        refused,
        TransactionError::Malformed(DecodeError::TooLong("releases"))
    );
    VerifiedTransaction::verify(world.sign("coordinator", record(&[good; MAX_RELEASES]))).unwrap();
}
