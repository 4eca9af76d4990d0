//! Erased documents: their history stays, their keys are never approved again.

use golden_record::Outcome::{Applied, Approved, Denied, Rejected};
use golden_record::{Body, DenialReason, Outcome, RejectionReason as Reason, queries};

use crate::bodies::erase;
use crate::support::{World, document, name};

fn read(world: &mut World, version: u64) -> Outcome {
    let wish = world.read("rita", "q3", version);
    world.one_read("rita", wish).1
}

fn two_versions() -> World {
    let mut world = World::ready(22);
    let body = world.write("reports", "q3", 2);
    world.must("wendy", body);
    world
}

#[test]
fn an_erased_version_is_read_no_more_and_the_others_are() {
    let mut world = two_versions();
    world.must("olga", erase("reports", "q3", 2));
    assert_eq!(read(&mut world, 2), Denied(DenialReason::Erased));
    // The latest is erased: an older one is not put in its place.
    assert_eq!(read(&mut world, 0), Denied(DenialReason::Erased));
    assert!(matches!(read(&mut world, 1), Approved { .. }));
    let body = world.write("reports", "q3", 3);
    assert_eq!(world.one("wendy", body), Applied);
    assert!(matches!(read(&mut world, 0), Approved { version: 3, .. }));
    assert_eq!(read(&mut world, 2), Denied(DenialReason::Erased));
}

#[test]
fn an_erased_document_ends() {
    let mut world = two_versions();
    world.must("acme-admin", erase("reports", "q3", 0));
    for version in [0, 1, 2] {
        assert_eq!(read(&mut world, version), Denied(DenialReason::Erased));
    }
    let body = world.write("reports", "q3", 3);
    assert_eq!(world.one("wendy", body), Rejected(Reason::DocumentErased));
    for version in [0, 1] {
        assert_eq!(
            world.one("olga", erase("reports", "q3", version)),
            Rejected(Reason::DocumentErased)
        );
    }
}

#[test]
fn the_history_of_an_erased_document_stays() {
    let mut world = two_versions();
    let wish = world.read("rita", "q3", 1);
    let (approve_id, _) = world.one_read("rita", wish);
    let release = world.statement(approve_id, 1);
    let written = world.version("q3", 1);
    world.must("olga", erase("reports", "q3", 0));
    assert_eq!(world.version("q3", 1), written);
    assert!(queries::read_record(&world.state, &approve_id).unwrap().is_some());
    let (tenant, dataset, document) = (name("acme"), name("reports"), document("q3"));
    let erasure = queries::erased(&world.state, &tenant, &dataset, &document, 1)
        .unwrap()
        .unwrap();
    assert_eq!(
        (erasure.height, erasure.log_index),
        (world.header.height, world.header.first_index())
    );
    // What a node released before is still to be recorded.
    let releases = vec![release];
    assert_eq!(
        world.one("coordinator", Body::RecordReleases { releases }),
        Applied
    );
}

#[test]
fn an_approved_read_of_what_is_erased_since_is_allowed_no_longer() {
    let mut world = two_versions();
    let wish = world.read("rita", "q3", 1);
    let question = golden_record::ReadQuestion::of(&wish.body).unwrap();
    let rita = crate::support::public("rita");
    world.must("olga", erase("reports", "q3", 1));
    assert_eq!(
        queries::decide_read(&world.state, &rita, &question).unwrap(),
        Err(DenialReason::Erased)
    );
}

#[test]
fn only_what_is_there_is_erased_and_once() {
    let mut world = two_versions();
    let cases = [
        (erase("nothing", "q3", 1), Reason::UnknownDataset),
        (erase("reports", "none", 1), Reason::UnknownDocument),
        (erase("reports", "q3", 3), Reason::UnknownVersion),
        (erase("reports", "q3", u64::MAX), Reason::UnknownVersion),
    ];
    for (body, reason) in cases {
        assert_eq!(world.one("acme-admin", body), Rejected(reason));
    }
    assert_eq!(world.one("olga", erase("reports", "q3", 1)), Applied);
    assert_eq!(
        world.one("olga", erase("reports", "q3", 1)),
        Rejected(Reason::DocumentErased)
    );
}

#[test]
fn a_name_with_digits_erases_no_other_document() {
    let mut world = World::ready(22);
    let nested = "q3/00000000000000000001";
    let body = world.write("reports", nested, 1);
    world.must("wendy", body);
    world.must("olga", erase("reports", nested, 0));
    assert!(matches!(read(&mut world, 1), Approved { .. }));
}
