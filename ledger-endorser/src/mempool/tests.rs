use super::*;
use crate::{
    common::{self, World, key},
    testing::{NOW_MS, pending},
};

const fn room(transactions: usize, bytes: usize) -> Room {
    Room { transactions, bytes }
}

const LIMITS: MempoolLimits = MempoolLimits {
    pool: room(4, 1 << 20),
    author: room(3, 1 << 19),
    tenant: room(3, 1 << 19),
};

fn tenant(world: &World, name: &str) -> Pending {
    pending(&world.create_tenant(name, &key(name)))
}

fn selected(pool: &Mempool, most: usize, bytes: usize) -> Vec<TxId> {
    pool.select(most, bytes, |_| true)
        .iter()
        .map(|pending| pending.transaction.id())
        .collect()
}

#[test]
fn what_arrives_first_is_selected_first_and_once() {
    let (world, pool) = (World::new(NOW_MS), Mempool::new(LIMITS));
    let (first, second) = (tenant(&world, "a"), tenant(&world, "b"));
    assert_eq!(pool.insert(first.clone()), Ok(Inserted::New));
    assert_eq!(pool.insert(second.clone()), Ok(Inserted::New));
    assert_eq!(pool.insert(first.clone()), Ok(Inserted::Waiting));
    assert_eq!(selected(&pool, 10, usize::MAX), [first.id(), second.id()]);
    assert_eq!(selected(&pool, 1, usize::MAX), [first.id()]);
    assert_eq!(selected(&pool, 10, first.bytes.len()), [first.id()]);
    assert_eq!(pool.size(), (2, first.bytes.len() + second.bytes.len()));
    assert_eq!(pool.find(first.transaction.digest()).unwrap().id(), first.id());
    assert_eq!(pool.get(&second.id()).unwrap().id(), second.id());
}

#[test]
fn a_large_transaction_does_not_hold_up_a_small_one() {
    let (world, pool) = (World::new(NOW_MS), Mempool::new(LIMITS));
    let (large, small) = (pending(&world.publish_committee()), tenant(&world, "a"));
    pool.insert(large.clone()).unwrap();
    pool.insert(small.clone()).unwrap();
    assert!(small.bytes.len() < large.bytes.len());
    assert_eq!(selected(&pool, 10, large.bytes.len() - 1), [small.id()]);
}

#[test]
fn one_author_cannot_fill_the_pool() {
    let (world, pool) = (World::new(NOW_MS), Mempool::new(LIMITS));
    for name in ["a", "b", "c"] {
        pool.insert(tenant(&world, name)).unwrap();
    }
    assert_eq!(pool.insert(tenant(&world, "d")), Err(Full::Author));
    pool.insert(pending(&world.create_user("reader", &world.reader)))
        .unwrap();
    assert_eq!(
        pool.insert(pending(&world.write_document("x", 1))),
        Err(Full::Pool)
    );
}

/// Of an author of its own.
fn held(world: &World, name: &str, tenant: Option<&str>, peer: Option<u8>) -> Pending {
    let pending = pending(&world.sign(&key(name), world.create_tenant(name, &key(name)).body));
    Pending {
        holder: Holder {
            tenant: tenant.map(common::name),
            peer: peer.map(|peer| [peer; 32]),
            ..pending.holder
        },
        ..pending
    }
}

#[test]
fn p12_one_tenant_with_many_users_cannot_fill_the_pool() {
    let world = World::new(NOW_MS);
    let pool = Mempool::new(MempoolLimits {
        pool: room(8, 1 << 20),
        ..LIMITS
    });
    let of_north: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .map(|user| held(&world, user, Some("north"), None))
        .collect();
    for pending in &of_north[..3] {
        pool.insert(pending.clone()).unwrap();
    }
    let fourth = &of_north[3];
    assert_eq!(
        pool.check_room(&fourth.holder, fourth.bytes.len()),
        Err(Full::Tenant)
    );
    assert_eq!(pool.insert(fourth.clone()), Err(Full::Tenant));
    let of_south = held(&world, "e", Some("south"), None);
    assert_eq!(pool.insert(of_south.clone()), Ok(Inserted::New));
    // What leaves makes room for its own tenant.
    pool.discard(&of_south.id());
    pool.discard(&of_north[0].id());
    assert_eq!(pool.insert(fourth.clone()), Ok(Inserted::New));
}

#[test]
fn p12_tenants_together_leave_room_for_coordinators_and_admins() {
    let world = World::new(NOW_MS);
    let of = |tenant| held(&world, tenant, Some(tenant), None);
    let one = of("a").bytes.len();
    let in_bytes = MempoolLimits {
        pool: room(100, 4 * one + 3),
        ..LIMITS
    };
    for limits in [LIMITS, in_bytes] {
        let pool = Mempool::new(limits);
        for tenant in ["a", "b", "c"] {
            assert_eq!(pool.insert(of(tenant)), Ok(Inserted::New));
        }
        assert_eq!(pool.insert(of("d")), Err(Full::Pool));
        assert_eq!(pool.insert(held(&world, "e", None, None)), Ok(Inserted::New));
    }
}

#[test]
fn p12_one_fellow_endorser_cannot_fill_the_pool() {
    let world = World::new(NOW_MS);
    let pool = Mempool::new(MempoolLimits {
        pool: room(6, 1 << 20),
        ..LIMITS
    });
    pool.share_among(2);
    for author in ["a", "b", "c"] {
        pool.insert(held(&world, author, None, Some(1))).unwrap();
    }
    assert_eq!(pool.insert(held(&world, "d", None, Some(1))), Err(Full::Peer));
    let of_a_client = held(&world, "d", None, None);
    assert_eq!(pool.insert(of_a_client.clone()), Ok(Inserted::New));
    pool.discard(&of_a_client.id());
    assert_eq!(pool.insert(held(&world, "d", None, Some(2))), Ok(Inserted::New));
    // A third has joined: for each there is less.
    pool.share_among(3);
    assert_eq!(pool.insert(held(&world, "e", None, Some(2))), Ok(Inserted::New));
    assert_eq!(pool.insert(held(&world, "f", None, Some(2))), Err(Full::Peer));
}

#[test]
fn bytes_are_bounded_as_a_whole_and_for_each_author() {
    let world = World::new(NOW_MS);
    let one = tenant(&world, "a");
    let of_author = MempoolLimits {
        author: room(3, 2 * one.bytes.len() - 1),
        ..LIMITS
    };
    let pool = Mempool::new(of_author);
    pool.insert(one.clone()).unwrap();
    assert_eq!(pool.insert(tenant(&world, "b")), Err(Full::Author));
    let in_all = MempoolLimits {
        pool: room(4, one.bytes.len() - 1),
        ..LIMITS
    };
    assert_eq!(Mempool::new(in_all).insert(one), Err(Full::Pool));
}

#[test]
fn what_is_committed_makes_room_and_does_not_come_back() {
    let (world, pool) = (World::new(NOW_MS), Mempool::new(LIMITS));
    let all: Vec<_> = ["a", "b", "c"].iter().map(|name| tenant(&world, name)).collect();
    for pending in &all {
        pool.insert(pending.clone()).unwrap();
    }
    pool.committed([all[1].id()]);
    assert_eq!(pool.insert(all[1].clone()), Ok(Inserted::Committed));
    assert!(pool.knows(&all[1].id()) && pool.get(&all[1].id()).is_none());
    assert!(pool.find(all[1].transaction.digest()).is_none());
    assert_eq!(selected(&pool, 10, usize::MAX), [all[0].id(), all[2].id()]);
    assert_eq!(pool.insert(tenant(&world, "d")), Ok(Inserted::New));
}

#[test]
fn e5_the_expired_leave_at_their_very_time() {
    let (world, pool) = (World::new(NOW_MS), Mempool::new(LIMITS));
    let body = |name: &str| world.create_tenant(name, &key(name)).body;
    let soon = pending(&world.sign_until(&world.admin, body("a"), NOW_MS + 10));
    let later = pending(&world.sign_until(&world.admin, body("b"), NOW_MS + 11));
    pool.insert(soon.clone()).unwrap();
    pool.insert(later.clone()).unwrap();
    assert_eq!(pool.expire(NOW_MS + 9), []);
    assert_eq!(pool.expire(NOW_MS + 10), [soon.id()]);
    assert_eq!(selected(&pool, 10, usize::MAX), [later.id()]);
    pool.discard(&later.id());
    assert_eq!(pool.size(), (0, 0));
}

#[test]
fn the_memory_of_the_committed_is_bounded() {
    let pool = Mempool::new(LIMITS);
    let id = |number: usize| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        TxId::from(bytes)
    };
    pool.committed((0..=REMEMBERED).map(id));
    assert!(!pool.knows(&id(0)) && pool.knows(&id(1)) && pool.knows(&id(REMEMBERED)));
}

#[tokio::test]
async fn whoever_waits_hears_of_an_arrival() {
    let (world, pool) = (World::new(NOW_MS), Mempool::new(LIMITS));
    let arrival = pool.arrival();
    tokio::pin!(arrival);
    arrival.as_mut().enable();
    pool.insert(tenant(&world, "a")).unwrap();
    arrival.await;
}
