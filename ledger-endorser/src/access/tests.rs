use golden_record::{Body, Role, Transaction};

use super::*;
use crate::{
    common::{World, key, name, public},
    ledger::Ledger,
    store::Snapshot,
    testing::{NOW_MS, commit, founded},
};

/// Everything a read needs, another tenant, and a user without a role.
fn laid(world: &World) -> Ledger {
    let ledger = founded(world);
    commit(&ledger, &[world.create_tenant("south", &key("south"))], NOW_MS);
    commit(&ledger, &[world.create_user("nobody", &key("nobody"))], NOW_MS);
    ledger
}

fn of(snapshot: &Snapshot, who: &ed25519_dalek::SigningKey) -> Option<Access> {
    Access::of(snapshot, &who.verifying_key().to_bytes()).unwrap()
}

fn user(user: &str, key: &ed25519_dalek::SigningKey) -> Access {
    Access::User {
        tenant: name("north"),
        user: name(user),
        key: public(key),
    }
}

#[test]
fn each_party_sees_its_part() {
    let world = World::new(NOW_MS);
    let snapshot = laid(&world).store().snapshot().unwrap();
    for who in [&world.admin, &world.coordinator, &world.auditor] {
        assert_eq!(of(&snapshot, who), Some(Access::All));
    }
    assert_eq!(
        of(&snapshot, &world.tenant_admin),
        Some(Access::Tenant(name("north")))
    );
    assert_eq!(of(&snapshot, &world.reader), Some(user("reader", &world.reader)));
    assert_eq!(of(&snapshot, &key("south")), Some(Access::Tenant(name("south"))));
    assert_eq!(of(&snapshot, &key("stranger")), None);
    assert_eq!(of(&snapshot, &World::validator("alpha")), None);
}

#[test]
fn a_retired_key_sees_nothing() {
    let world = World::new(NOW_MS);
    let ledger = laid(&world);
    let revocation = world.sign(
        &world.tenant_admin,
        Body::RevokeUser {
            tenant: name("north"),
            user: name("reader"),
            expected: None,
        },
    );
    commit(&ledger, &[revocation], NOW_MS);
    let snapshot = ledger.store().snapshot().unwrap();
    assert_eq!(of(&snapshot, &world.reader), None);
    // But how its own last words ended.
    let reader = world.reader.verifying_key().to_bytes();
    let sees =
        |key: &[u8; 32], transaction: &Transaction| Access::of_retired(&snapshot, key, transaction).unwrap();
    assert!(sees(&reader, &world.request_read()));
    assert!(!sees(&reader, &world.write_document("other", 1)));
    let stranger = world.request_read_by("reader", &key("stranger"), NOW_MS + 1);
    assert!(!sees(&key("stranger").verifying_key().to_bytes(), &stranger));
    assert!(!sees(
        &world.writer.verifying_key().to_bytes(),
        &world.write_document("other", 1)
    ));
}

#[test]
fn a_key_that_is_no_point_sees_nothing() {
    let world = World::new(NOW_MS);
    let snapshot = founded(&world).store().snapshot().unwrap();
    assert_eq!(Access::of(&snapshot, &[0xff; 32]).unwrap(), None);
}

#[test]
fn a_tenant_does_not_see_another() {
    let world = World::new(NOW_MS);
    let snapshot = laid(&world).store().snapshot().unwrap();
    let read: Transaction = world.request_read();
    let (north, south) = (Access::Tenant(name("north")), Access::Tenant(name("south")));
    let covers = |access: &Access, one: &Transaction| access.covers_transaction(&snapshot, one).unwrap();
    assert!(covers(&north, &read) && covers(&Access::All, &read) && !covers(&south, &read));
    let dataset = |access: &Access| access.covers(&snapshot, &name("north"), &name("loans")).unwrap();
    assert!(dataset(&north) && dataset(&Access::All) && !dataset(&south));
    let of_nobody = world.publish_committee();
    assert!(covers(&Access::All, &of_nobody) && !covers(&north, &of_nobody));
}

#[test]
fn a_user_sees_the_datasets_in_which_it_has_a_role() {
    let world = World::new(NOW_MS);
    let ledger = laid(&world);
    let (writer, reader, nobody) = (
        user("writer", &world.writer),
        user("reader", &world.reader),
        user("nobody", &key("nobody")),
    );
    let (dataset, document) = (world.create_dataset(), world.write_document("other", 1));
    let sees = |access: &Access| {
        let snapshot = ledger.store().snapshot().unwrap();
        let found = access.covers(&snapshot, &name("north"), &name("loans")).unwrap();
        for transaction in [&dataset, &document] {
            let author =
                *access == user("writer", &world.writer) && transaction.author == public(&world.writer);
            assert_eq!(
                access.covers_transaction(&snapshot, transaction).unwrap(),
                found || author
            );
        }
        assert!(
            !access
                .covers(&snapshot, &name("north"), &name("another"))
                .unwrap()
        );
        assert!(!access.covers(&snapshot, &name("south"), &name("loans")).unwrap());
        found
    };
    assert!(sees(&writer) && sees(&reader));
    assert!(!sees(&nobody), "a user of the tenant without a role");
    commit(&ledger, &[world.revoke_reader()], NOW_MS);
    assert!(!sees(&reader), "a role that is revoked");
    let grant = Body::Grant {
        tenant: name("north"),
        dataset: name("loans"),
        user: name("nobody"),
        role: Role::Owner,
        expected: None,
    };
    commit(&ledger, &[world.sign(&world.tenant_admin, grant)], NOW_MS);
    assert!(sees(&nobody));
}

#[test]
fn a_user_sees_what_it_has_written_and_what_is_about_it() {
    let world = World::new(NOW_MS);
    let snapshot = laid(&world).store().snapshot().unwrap();
    let nobody = user("nobody", &key("nobody"));
    let covers = |one: &Transaction| nobody.covers_transaction(&snapshot, one).unwrap();
    let denied = world.request_read_by("nobody", &key("nobody"), NOW_MS + 60_000);
    assert!(covers(&denied) && !covers(&world.request_read()));
    assert!(covers(&world.create_user("nobody", &key("nobody"))));
    assert!(!covers(&world.create_user("somebody", &key("somebody"))));
    assert!(!covers(&world.create_tenant("north", &world.tenant_admin)));
}
