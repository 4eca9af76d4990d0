//! The state at any height: as it was when that height was the newest.

use golden_record::{
    Changes, Configuration, DenialReason, MemoryState, Outcome, ReadQuestion, Role, StateAt, StateReader,
    keys, queries,
};

use crate::bodies::{configure, erase, revoke_user, rotate};
use crate::support::{World, grant, name, public, revoke, set_active};

/// A chain on which everything changes that can.
fn busy() -> World {
    let mut world = World::ready(25);
    let open = Configuration {
        permissions: false,
        ..Configuration::default()
    };
    for (who, body) in [
        ("olga", grant("reports", "nora", Role::Reader)),
        ("olga", revoke("reports", "rita", Role::Reader)),
        ("olga", grant("reports", "rita", Role::Reader)),
        ("olga", set_active("reports", false)),
        ("olga", set_active("reports", true)),
        ("olga", configure("reports", open)),
        ("nora", rotate("nora", "nora's new key")),
    ] {
        world.must(who, body);
    }
    let body = world.write("reports", "q3", 2);
    world.must("wendy", body);
    world.must("olga", erase("reports", "q3", 1));
    world.must("acme-admin", revoke_user("rita"));
    world
}

/// The states as they were, one for each height.
fn states(world: &World) -> Vec<MemoryState> {
    let mut state = MemoryState::new();
    let after = |changes: &Changes| {
        state.apply(changes);
        state.clone()
    };
    world.changes.iter().map(after).collect()
}

#[test]
fn every_key_with_a_history_is_as_it_was_at_every_height() {
    let world = busy();
    let keys: Vec<_> = world
        .state
        .range(keys::HISTORY_PREFIX)
        .map(|(key, _)| key[keys::HISTORY_PREFIX.len()..].to_vec())
        .collect();
    assert!(keys.len() > 20, "{}", keys.len());
    let states = states(&world);
    for (height, state) in (0..).zip(&states) {
        let past = StateAt::new(&world.state, height);
        for key in &keys {
            assert_eq!(
                past.get(key).unwrap(),
                state.get(key).unwrap(),
                "{} at {height}",
                key.escape_ascii()
            );
        }
    }
    // And nothing that changes in place is left out.
    for state in &states {
        for (key, value) in state.range(b"") {
            let changed = world.state.get(key).unwrap().as_deref() != Some(value);
            let of_the_log = [
                &b"chain/"[..],
                b"log/",
                b"expiry/",
                b"tx/",
                b"history/",
                b"confirmed/",
            ]
            .iter()
            .any(|prefix| key.starts_with(prefix));
            assert!(
                !changed || of_the_log || keys::has_history(key),
                "{}",
                key.escape_ascii()
            );
        }
    }
}

#[test]
fn a_read_is_decided_as_it_was_at_every_height() {
    let mut world = busy();
    let wishes = [
        ("rita", world.read("rita", "q3", 0)),
        ("rita", world.read("rita", "q3", 1)),
        ("rita", world.read("rita", "q3", 2)),
        ("nora", world.read("nora", "q3", 1)),
        ("eve", world.read("eve", "q3", 1)),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for (height, state) in (0..).zip(states(&world)) {
        for (who, wish) in &wishes {
            let question = ReadQuestion::of(&wish.body).unwrap();
            let then = queries::decide_read(&state, &public(who), &question).unwrap();
            let past = StateAt::new(&world.state, height);
            let now = queries::decide_read(&past, &public(who), &question).unwrap();
            assert_eq!(now, then, "{who} at {height}");
            seen.insert(then.err());
        }
    }
    for reason in [
        DenialReason::NotAUser,
        DenialReason::NotAReader,
        DenialReason::DatasetInactive,
        DenialReason::UnknownVersion,
        DenialReason::Erased,
    ] {
        assert!(seen.contains(&Some(reason)), "{reason}");
    }
    assert!(seen.contains(&None));
}

#[test]
fn changes_within_one_block_leave_what_the_block_left() {
    let mut world = World::ready(25);
    let before = world.header.height;
    let transactions = [
        world.sign("olga", grant("reports", "nora", Role::Reader)),
        world.sign("olga", revoke("reports", "nora", Role::Reader)),
        world.sign("olga", grant("reports", "nora", Role::Reader)),
        world.sign("olga", revoke("reports", "rita", Role::Reader)),
    ];
    assert_eq!(world.add(&transactions), [Outcome::Applied; 4]);
    let has = |user: &str, height| {
        let past = StateAt::new(&world.state, height);
        let (tenant, dataset) = (name("acme"), name("reports"));
        queries::has_role(&past, &tenant, &dataset, Role::Reader, &name(user)).unwrap()
    };
    assert_eq!((has("nora", before), has("rita", before)), (false, true));
    assert_eq!((has("nora", before + 1), has("rita", before + 1)), (true, false));
    let dataset = |height| {
        let past = StateAt::new(&world.state, height);
        queries::dataset(&past, &name("acme"), &name("reports")).unwrap()
    };
    assert_eq!(dataset(before).unwrap().version, 1);
    assert_eq!(dataset(before + 1).unwrap().version, 5);
    assert_eq!(dataset(0), None);
}

#[test]
fn a_rejected_transaction_leaves_no_history() {
    let mut world = World::ready(25);
    let key = keys::history(&keys::dataset(&name("acme"), &name("reports")));
    let before = world.state.get(&key).unwrap();
    world.one("nora", grant("reports", "nora", Role::Reader));
    assert_eq!(world.state.get(&key).unwrap(), before);
}

#[test]
fn a_history_with_a_gap_is_damage_and_not_an_answer() {
    struct Gap<'a>(&'a MemoryState);
    impl StateReader for Gap<'_> {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, golden_record::StateError> {
            if key.starts_with(b"past/") {
                Ok(None)
            } else {
                self.0.get(key)
            }
        }
    }
    let world = busy();
    let gap = Gap(&world.state);
    let past = StateAt::new(&gap, world.header.height);
    assert!(queries::dataset(&past, &name("acme"), &name("reports")).is_err());
}
