use golden_record::Transaction;

use super::*;
use crate::{
    common::{World, key, name},
    testing::{NOW_MS, commit, founded},
};

fn of(world: &World, who: &ed25519_dalek::SigningKey) -> Option<Access> {
    let ledger = founded(world);
    commit(&ledger, &[world.create_tenant("south", &key("south"))], NOW_MS);
    Access::of(
        &ledger.store().snapshot().unwrap(),
        &who.verifying_key().to_bytes(),
    )
    .unwrap()
}

#[test]
fn each_party_sees_its_part() {
    let world = World::new(NOW_MS);
    for who in [&world.admin, &world.coordinator, &world.auditor] {
        assert_eq!(of(&world, who), Some(Access::All));
    }
    for who in [&world.tenant_admin, &world.writer, &world.reader] {
        assert_eq!(of(&world, who), Some(Access::Tenant(name("north"))));
    }
    assert_eq!(of(&world, &key("south")), Some(Access::Tenant(name("south"))));
    assert_eq!(of(&world, &key("stranger")), None);
    assert_eq!(of(&world, &World::validator("alpha")), None);
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
    let read: Transaction = world.request_read();
    let (north, south) = (Access::Tenant(name("north")), Access::Tenant(name("south")));
    assert!(north.covers_body(&read.body) && Access::All.covers_body(&read.body));
    assert!(!south.covers_body(&read.body) && !south.covers(&name("north")));
    let of_nobody = world.publish_committee().body;
    assert!(Access::All.covers_body(&of_nobody) && !north.covers_body(&of_nobody));
}
