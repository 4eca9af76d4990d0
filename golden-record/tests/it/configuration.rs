//! How datasets treat their documents, and who says so.

use golden_record::Outcome::{Applied, Approved, Denied, Permitted, Rejected};
use golden_record::{
    Body, Configuration, DenialReason, Encryption, RejectionReason as Reason, Role, Storage, queries,
};

use crate::bodies::{configure, expecting};
use crate::support::{World, grant, name, revoke, set_active};

fn configured(configuration: Configuration) -> World {
    let mut world = World::ready(21);
    world.must("olga", configure("reports", configuration));
    world
}

fn outside(world: &mut World, document: &str, version: u64) -> Body {
    let mut body = world.write("reports", document, version);
    if let Body::WriteDocument { inline, .. } = &mut body {
        *inline = None;
    }
    body
}

#[test]
fn each_encryption_asks_for_its_kind_of_document() {
    for encryption in Encryption::ALL {
        let configuration = Configuration {
            encryption,
            ..Configuration::default()
        };
        let mut world = World::ready(21);
        if encryption != Encryption::Threshold {
            world.must("olga", configure("reports", configuration));
        }
        let (wrapped, open) = (
            world.write("reports", "q4", 1),
            world.write_open("reports", "q4", 1),
        );
        let (right, wrong) = match encryption {
            Encryption::Threshold => (wrapped, open),
            Encryption::None | Encryption::Platform => (open, wrapped),
        };
        assert_eq!(
            world.one("wendy", wrong),
            Rejected(Reason::WrongEncryption),
            "{encryption}"
        );
        assert_eq!(world.one("wendy", right), Applied, "{encryption}");
    }
}

#[test]
fn a_document_without_a_wrapped_key_is_permitted_and_on_record() {
    let mut world = configured(Configuration {
        encryption: Encryption::None,
        ..Configuration::default()
    });
    let body = world.write_open("reports", "q3", 2);
    world.must("wendy", body);
    let wish = world.read("rita", "q3", 0);
    let (id, outcome) = world.one_read("rita", wish);
    assert_eq!(outcome, Permitted { version: 2 });
    // There is nothing that a crypto node could release for it.
    assert_eq!(queries::read_record(&world.state, &id).unwrap(), None);
    let wish = world.read("nora", "q3", 2);
    assert_eq!(world.one_read("nora", wish).1, Denied(DenialReason::NotAReader));
    // What was written before stays as it was written.
    let wish = world.read("rita", "q3", 1);
    assert!(matches!(
        world.one_read("rita", wish).1,
        Approved { version: 1, .. }
    ));
}

#[test]
fn objects_are_where_the_dataset_keeps_them() {
    let mut world = World::ready(21);
    let body = outside(&mut world, "q4", 1);
    assert_eq!(world.one("wendy", body), Rejected(Reason::WrongStorage));
    // A large one need not be on the chain.
    for (bytes, expected) in [
        (golden_record::MUST_INLINE, Rejected(Reason::WrongStorage)),
        (golden_record::MUST_INLINE + 1, Applied),
    ] {
        let mut body = outside(&mut world, "q4", 1);
        if let Body::WriteDocument { size, .. } = &mut body {
            *size = bytes;
        }
        assert_eq!(world.one("wendy", body), expected);
    }

    let mut world = configured(Configuration {
        storage: Storage::Outside,
        ..Configuration::default()
    });
    let body = world.write("reports", "q4", 1);
    assert_eq!(world.one("wendy", body), Rejected(Reason::WrongStorage));
    let body = outside(&mut world, "q4", 1);
    assert_eq!(world.one("wendy", body), Applied);
}

#[test]
fn without_permissions_every_user_of_the_tenant_reads_and_writes() {
    let mut world = configured(Configuration {
        permissions: false,
        ..Configuration::default()
    });
    let body = world.write("reports", "q3", 2);
    assert_eq!(world.one("nora", body), Applied);
    let wish = world.read("nora", "q3", 2);
    assert!(matches!(world.one_read("nora", wish).1, Approved { .. }));
    // Owners are owners still, and the other tenant another one.
    assert_eq!(
        world.one("nora", grant("reports", "nora", Role::Owner)),
        Rejected(Reason::NotDatasetOwner)
    );
    let wish = world.read("eve", "q3", 2);
    assert_eq!(world.one_read("eve", wish).1, Denied(DenialReason::WrongTenant));
    // A dataset that does not exist is open to nobody.
    let wish = world.read_in("acme", "nothing", "nora", "q3", 1);
    assert_eq!(world.one_read("nora", wish).1, Denied(DenialReason::NotAReader));
}

#[test]
fn what_is_fixed_stays() {
    let fixed = Configuration {
        fixed: true,
        ..Configuration::default()
    };
    let mut world = configured(fixed);
    for configuration in [Configuration::default(), fixed] {
        assert_eq!(
            world.one("olga", configure("reports", configuration)),
            Rejected(Reason::ConfigurationFixed)
        );
    }
    // Roles are not a part of it.
    assert_eq!(world.one("olga", grant("reports", "nora", Role::Reader)), Applied);
}

#[test]
fn a_configuration_that_changes_nothing_is_refused() {
    let mut world = World::ready(21);
    assert_eq!(
        world.one("olga", configure("reports", Configuration::default())),
        Rejected(Reason::ConfigurationUnchanged)
    );
}

#[test]
fn every_change_of_a_dataset_is_a_version_of_it() {
    let mut world = World::ready(21);
    let version = |world: &World| {
        let found = queries::dataset(&world.state, &name("acme"), &name("reports"));
        found.unwrap().unwrap().version
    };
    let open = Configuration {
        permissions: false,
        ..Configuration::default()
    };
    let steps = [
        grant("reports", "nora", Role::Reader),
        revoke("reports", "nora", Role::Reader),
        grant("reports", "nora", Role::Owner),
        revoke("reports", "nora", Role::Owner),
        set_active("reports", false),
        configure("reports", open),
    ];
    for (body, before) in steps.into_iter().zip(1..) {
        assert_eq!(version(&world), before);
        for stale in [0, before - 1, before + 1] {
            if stale != before {
                assert_eq!(
                    world.one("olga", expecting(body.clone(), stale)),
                    Rejected(Reason::StaleVersion),
                    "{}",
                    body.kind()
                );
            }
        }
        assert_eq!(version(&world), before, "a rejection changes nothing");
        assert_eq!(world.one("olga", expecting(body, before)), Applied);
    }
    assert_eq!(version(&world), 7);
}
