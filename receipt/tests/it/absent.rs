//! What is not there cannot be told; what is there is still checked.

use std::collections::BTreeSet;

use golden_record::Genesis;
use receipt::{PinnedRoots, Receipt, StepOutcome, Verdict};

use crate::support::{Scene, pinned_approval};

#[test]
fn without_a_part_its_steps_cannot_be_told() {
    let scene = Scene::new();
    let without = |change: fn(&mut Receipt)| scene.cannot_tell(change);
    assert_eq!(
        without(|receipt| receipt.wrapped_key = None),
        ["wrapped_key", "approval", "shares"]
    );
    assert_eq!(without(|receipt| receipt.certificates.clear()), ["approval"]);
    assert_eq!(
        without(|receipt| receipt.committee = None),
        ["committee", "shares", "statements"]
    );
    assert_eq!(
        without(|receipt| receipt.shares.clear()),
        ["shares", "statements"]
    );
    assert_eq!(
        without(|receipt| receipt.statements.clear()),
        ["approval", "statements"]
    );
    let nothing = without(|receipt| {
        receipt.wrapped_key = None;
        receipt.certificates.clear();
        receipt.committee = None;
        receipt.shares.clear();
        receipt.statements.clear();
    });
    assert_eq!(
        nothing,
        ["wrapped_key", "approval", "committee", "shares", "statements"]
    );
}

#[test]
fn a_lie_is_found_beside_what_is_absent() {
    let scene = Scene::new();
    let failed = scene.fails(|receipt| {
        receipt.certificates.clear();
        receipt.statements[1].time_ms += 1;
    });
    assert_eq!(failed, "statements");
    let failed = scene.fails(|receipt| {
        receipt.shares.clear();
        receipt.statements[1].time_ms += 1;
    });
    assert_eq!(failed, "statements");
}

#[test]
fn what_is_not_pinned_cannot_be_told() {
    let scene = Scene::new();
    let ends = |roots: &PinnedRoots| {
        let judged = scene.approved.verify(roots).unwrap_err();
        assert_eq!(judged.verdict, Verdict::CannotTell, "{judged}");
        let codes: Vec<&str> = judged.reasons().map(|step| step.code).collect();
        let holding = judged
            .steps
            .iter()
            .filter(|step| step.outcome == StepOutcome::Holds);
        (codes, holding.count())
    };
    let genesis = &scene.genesis;
    let committees = BTreeSet::from([scene.nodes.manifest().digest()]);
    let second = PinnedRoots::new(
        genesis.clone(),
        vec![pinned_approval(genesis, 2)],
        committees.clone(),
    )
    .unwrap();
    assert_eq!(ends(&second), (vec!["approval"], 10));
    let no_committee = PinnedRoots::new(
        genesis.clone(),
        vec![pinned_approval(genesis, 1)],
        BTreeSet::new(),
    )
    .unwrap();
    assert_eq!(ends(&no_committee), (vec!["committee"], 10));
    // Another installation's roots say nothing at all.
    let other = Genesis::new(
        "other".parse().unwrap(),
        genesis.created_ms(),
        genesis.organisations().to_vec(),
        genesis.coordinators().to_vec(),
        genesis.auditors().to_vec(),
        genesis.limits(),
    )
    .unwrap();
    let approvals = vec![pinned_approval(&other, 1)];
    let foreign = PinnedRoots::new(other, approvals, committees).unwrap();
    assert_eq!(ends(&foreign), (vec!["chain"], 0));
}

#[test]
fn d15_the_votes_of_endorsers_that_are_not_pinned_cannot_be_told() {
    let scene = Scene::new();
    let codes = scene.cannot_tell(|receipt| receipt.proof.evidence.epoch = 1);
    assert_eq!(codes, ["finality"]);
}
