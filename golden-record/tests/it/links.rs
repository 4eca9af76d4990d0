//! Links between documents: versioned, and proved by what is in the clear.

use golden_record::Outcome::{Applied, Rejected};
use golden_record::{Body, LinkVersion, RejectionReason as Reason, Role, queries};

use crate::bodies::{erase, link, target};
use crate::support::{World, grant, name, set_active};

/// With a second dataset, in which `wendy` reads and `q4` is a document; and one in which she has no role.
fn world() -> World {
    let mut world = World::ready(23);
    for dataset in ["annexes", "secrets"] {
        world.must("acme-admin", world.create_dataset(dataset));
        let body = world.write(dataset, "q4", 1);
        world.must("wendy", body);
        world.must("olga", crate::support::revoke(dataset, "wendy", Role::Writer));
    }
    world.must("olga", grant("annexes", "wendy", Role::Reader));
    world
}

fn found(world: &World, version: u64) -> Option<LinkVersion> {
    let (tenant, dataset, link) = (name("acme"), name("reports"), name("annex"));
    queries::link_version(&world.state, &tenant, &dataset, &link, version).unwrap()
}

fn changed(body: Body, change: impl Fn(&mut Body)) -> Body {
    let mut body = body;
    change(&mut body);
    body
}

#[test]
fn a_link_is_created_changed_and_ended_by_versions() {
    let mut world = world();
    world.must("wendy", link(1, Some(target("annexes", "q4", 1))));
    world.must("wendy", link(2, Some(target("annexes", "q4", 0))));
    world.must("wendy", link(3, None));
    world.must("wendy", link(4, Some(target("reports", "q3", 1))));
    let targets: Vec<_> = (1..=4)
        .map(|version| found(&world, version).unwrap().target)
        .collect();
    assert_eq!(
        targets,
        [
            Some(target("annexes", "q4", 1)),
            Some(target("annexes", "q4", 0)),
            None,
            Some(target("reports", "q3", 1)),
        ]
    );
    let latest = queries::latest_link(&world.state, &name("acme"), &name("reports"), &name("annex"));
    assert_eq!(latest.unwrap(), Some(4));
    let newest = found(&world, 4).unwrap();
    assert_eq!(
        (newest.height, newest.writer),
        (world.header.height, name("wendy"))
    );
    assert_eq!(found(&world, 5), None);
}

#[test]
fn a_stale_or_repeated_version_is_refused() {
    let mut world = world();
    let body = |version| link(version, Some(target("annexes", "q4", 1)));
    for version in [2, u64::MAX] {
        assert_eq!(
            world.one("wendy", body(version)),
            Rejected(Reason::VersionNotNext)
        );
    }
    world.must("wendy", body(1));
    for version in [1, 3] {
        assert_eq!(
            world.one("wendy", body(version)),
            Rejected(Reason::VersionNotNext)
        );
    }
}

#[test]
fn both_ends_are_there_and_not_erased() {
    let mut world = world();
    let good = || link(1, Some(target("annexes", "q4", 1)));
    let source = |to: &str, at: u64| {
        changed(good(), |body| {
            if let Body::PutLink { source, .. } = body {
                (source.document, source.version) = (crate::support::document(to), at);
            }
        })
    };
    let cases = [
        (source("none", 0), Reason::UnknownDocument),
        (source("q3", 2), Reason::UnknownVersion),
        (
            link(1, Some(target("annexes", "none", 0))),
            Reason::UnknownDocument,
        ),
        (link(1, Some(target("annexes", "q4", 2))), Reason::UnknownVersion),
    ];
    for (body, reason) in cases {
        assert_eq!(world.one("wendy", body), Rejected(reason));
    }
    world.must("olga", erase("annexes", "q4", 1));
    assert_eq!(world.one("wendy", good()), Rejected(Reason::DocumentErased));
    world.must("olga", erase("reports", "q3", 0));
    assert_eq!(
        world.one("wendy", link(1, Some(target("annexes", "q4", 0)))),
        Rejected(Reason::DocumentErased)
    );
}

#[test]
fn a_link_tells_nothing_of_a_dataset_in_which_its_author_has_no_role() {
    let mut world = world();
    for (dataset, document, version) in [("secrets", "q4", 1), ("secrets", "none", 9), ("nothing", "q4", 1)] {
        let body = link(1, Some(target(dataset, document, version)));
        assert_eq!(world.one("wendy", body), Rejected(Reason::NoRoleInTarget));
    }
}

#[test]
fn only_a_link_that_points_somewhere_ends_and_as_what_it_was() {
    let mut world = world();
    assert_eq!(world.one("wendy", link(1, None)), Rejected(Reason::LinkEnded));
    world.must("wendy", link(1, Some(target("annexes", "q4", 1))));
    let other = changed(link(2, None), |body| {
        if let Body::PutLink { relation, .. } = body {
            *relation = name("is-something-else");
        }
    });
    assert_eq!(world.one("wendy", other), Rejected(Reason::LinkMismatch));
    // An erasure of an end keeps no link from ending.
    world.must("olga", erase("reports", "q3", 0));
    assert_eq!(world.one("wendy", link(2, None)), Applied);
    assert_eq!(world.one("wendy", link(3, None)), Rejected(Reason::LinkEnded));
}

#[test]
fn a_dataset_that_is_switched_off_gets_no_links() {
    let mut world = world();
    world.must("olga", set_active("reports", false));
    assert_eq!(
        world.one("wendy", link(1, Some(target("annexes", "q4", 1)))),
        Rejected(Reason::DatasetInactive)
    );
}
