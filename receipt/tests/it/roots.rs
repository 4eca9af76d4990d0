//! The file of pinned roots.

use std::collections::BTreeSet;

use golden_record::Genesis;
use receipt::{MAX_ROOTS, PinnedRoots, RootsError};

use crate::support::{Scene, pinned_approval};

#[test]
fn roots_go_round() {
    let scene = Scene::new();
    assert_eq!(
        PinnedRoots::from_json(scene.roots.to_json().as_bytes()),
        Ok(scene.roots)
    );
}

#[test]
fn roots_of_two_chains_or_with_one_version_twice_are_refused() {
    let scene = Scene::new();
    let genesis = &scene.genesis;
    let none = BTreeSet::new;
    let twice = vec![pinned_approval(genesis, 1), pinned_approval(genesis, 1)];
    assert_eq!(
        PinnedRoots::new(genesis.clone(), twice, none()),
        Err(RootsError::Repeated(1))
    );
    let later = Genesis::new(
        genesis.installation().clone(),
        genesis.created_ms() + 1,
        genesis.organisations().to_vec(),
        genesis.coordinators().to_vec(),
        genesis.auditors().to_vec(),
        genesis.limits(),
    )
    .unwrap();
    let foreign = vec![pinned_approval(&later, 3)];
    assert_eq!(
        PinnedRoots::new(genesis.clone(), foreign, none()),
        Err(RootsError::OtherChain(3))
    );
}

#[test]
fn p12_only_the_documented_json_is_read() {
    let scene = Scene::new();
    let json = scene.roots.to_json();
    let refused = |text: &str| PinnedRoots::from_json(text.as_bytes()).expect_err(text);
    assert_eq!(refused(&" ".repeat(MAX_ROOTS + 1)), RootsError::TooLong);
    assert!(matches!(refused(""), RootsError::Json(_)));
    assert!(matches!(
        refused(&json.replacen('{', "{\"more\": 1,", 1)),
        RootsError::Json(_)
    ));
    assert_eq!(
        refused(&json.replacen("\"version\": 1", "\"version\": 2", 1)),
        RootsError::Version(2)
    );
    let chain_id = scene.genesis.chain_id().to_string();
    for (from, to, field) in [
        (chain_id.as_str(), "00", "chain_id"),
        (chain_id.as_str(), &"00".repeat(32), "chain_id"),
        ("\"genesis\": \"01", "\"genesis\": \"02", "genesis"),
        ("\"genesis\": \"01", "\"genesis\": \"x1", "genesis"),
        ("OUTOF(3, north", "OUTOF(9, north", "policy"),
        ("OUTOF(3, north", "OUTOF(3, nobody", "approvals"),
        ("\"name\": \"north\"", "\"name\": \"no rth\"", "organisation"),
        ("\"root\": \"30", "\"root\": \"31", "root"),
        (
            "\"committees\": [\n    \"",
            "\"committees\": [\n    \"0",
            "committees",
        ),
    ] {
        assert!(json.contains(from), "{from}");
        let error = refused(&json.replacen(from, to, 1));
        assert!(
            matches!(&error, RootsError::Field { field: named, .. } if *named == field),
            "{error}"
        );
    }
}
