//! The file of pinned roots.

use std::collections::BTreeSet;

use golden_record::{Body, Change, Entry, EntryProof, Genesis, Handover, Header, Outcome, Transaction};
use receipt::{MAX_ROOTS, PinnedRoots, RootsError};

use crate::support::{Scene, evidence, failed_step, key, name, pinned_approval, public};

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

const VOTERS: [&str; 3] = ["north", "south", "west"];

/// North's endorser gets another key; decided on with the block of this height.
fn handover(scene: &Scene, validator: &str, height: u64) -> Handover {
    let change = Change::ReplaceEndorser {
        organisation: name("north"),
        validator: public(validator),
        address: "north.example:7000".parse().unwrap(),
    };
    let body = Body::Govern { revision: 1, change };
    let entry = Entry {
        transaction: Transaction::sign(scene.genesis.chain_id(), &key("east admin"), [7; 16], 1, body),
        outcome: Outcome::Applied,
    };
    let header = Header {
        height,
        entries: 1,
        log_size: 1,
        log_root: entry.leaf_hash(),
        ..scene.header().clone()
    };
    let proof = EntryProof {
        index: 0,
        path: Vec::new(),
        evidence: evidence(&scene.genesis, header.hash().0, &VOTERS),
        headers: vec![header],
    };
    Handover { entry, proof }
}

#[test]
fn e10_roots_that_know_a_handover_do_not_believe_those_who_have_handed_over() {
    let mut scene = Scene::new();
    let told = scene.roots.clone();
    let handed = told
        .clone()
        .with_handovers(vec![handover(&scene, "new", 10)])
        .unwrap();
    let json = handed.to_json();
    assert_eq!(PinnedRoots::from_json(json.as_bytes()), Ok(handed.clone()));
    // A quorum of the first endorsers puts a read into a block of long after they have handed over.
    let mut forged = scene.denied.clone();
    let mut late = forged.proof.headers[0].clone();
    late.height += 100;
    forged.checkpoint = None;
    forged.proof.evidence = evidence(&scene.genesis, late.hash().0, &VOTERS);
    forged.proof.headers = vec![late];
    assert!(forged.verify(&told).is_ok());
    scene.roots = handed.clone();
    assert_eq!(failed_step(&scene.judge_receipt(&forged)), "finality");
    // What is from before is as good as it was.
    scene.denied.verify(&handed).unwrap();
    scene.approved.verify(&handed).unwrap();
    // To others than those pinned nobody has handed over.
    let mut elsewhere = scene.denied.clone();
    elsewhere.handovers = vec![handover(&scene, "other", 10)];
    assert!(elsewhere.verify(&told).is_ok());
    assert_eq!(failed_step(&scene.judge_receipt(&elsewhere)), "endorsers");
    // One that does not lead to the next epoch is none.
    let twice = told.with_handovers(vec![handover(&scene, "new", 10), handover(&scene, "new", 10)]);
    assert!(matches!(
        twice,
        Err(RootsError::Field {
            field: "handovers",
            ..
        })
    ));
}

#[test]
fn a_receipt_holds_as_many_handovers_as_it_has_room_for() {
    let scene = Scene::new();
    let mut receipt = scene.denied.clone();
    receipt.handovers = vec![handover(&scene, "new", 10); 100];
    let text = receipt.to_text();
    assert_eq!(receipt::Receipt::parse(text.as_bytes()).unwrap(), receipt);
}
