//! Receipts that are valid, and the frozen one.
//!
//! `vectors/` was generated once. To change the format on purpose, delete its files, run
//! `QUORATE_WRITE_VECTORS=1 cargo test -p quorate-receipt vector`, and say so in the change.

use std::path::PathBuf;

use receipt::{PinnedRoots, Receipt, StepOutcome, verify};

use crate::support::{Scene, checkpoint};

fn codes(receipt: &Receipt, roots: &PinnedRoots) -> Vec<&'static str> {
    let report = receipt.verify(roots).unwrap();
    assert!(report.steps.iter().all(|step| step.outcome == StepOutcome::Holds));
    report.steps.iter().map(|step| step.code).collect()
}

#[test]
fn an_approved_read_is_valid_in_every_step() {
    let scene = Scene::new();
    let expected = [
        "chain",
        "request",
        "inclusion",
        "finality",
        "checkpoint",
        "verdict",
        "wrapped_key",
        "approval",
        "committee",
        "shares",
        "statements",
    ];
    assert_eq!(codes(&scene.approved, &scene.roots), expected);
}

#[test]
fn a_denied_read_is_valid_without_a_release() {
    let scene = Scene::new();
    let expected = [
        "chain",
        "request",
        "inclusion",
        "finality",
        "checkpoint",
        "verdict",
    ];
    assert_eq!(codes(&scene.denied, &scene.roots), expected);
}

#[test]
fn the_checkpoint_may_be_absent_and_the_votes_may_be_for_the_block_itself() {
    let scene = Scene::new();
    let mut receipt = scene.approved.clone();
    receipt.checkpoint = None;
    assert!(!codes(&receipt, &scene.roots).contains(&"checkpoint"));
    receipt.proof.headers.truncate(1);
    let hash = scene.header().hash().0;
    receipt.proof.evidence = crate::support::evidence(&scene.genesis, hash, &["north", "east", "south"]);
    receipt.checkpoint = Some(checkpoint(scene.header(), &crate::support::ORGANISATIONS));
    assert!(codes(&receipt, &scene.roots).contains(&"checkpoint"));
}

#[test]
fn more_shares_and_approvals_than_needed_are_valid() {
    let mut scene = Scene::new();
    scene.approved.shares = (1..=5).map(|seat| scene.share(seat)).collect();
    scene.approved.statements = scene.statements(|_| {});
    scene.approved.certificates = scene.certificates(&crate::support::ORGANISATIONS, |_| {});
    codes(&scene.approved, &scene.roots);
}

#[test]
fn a_repeat_is_a_release_too() {
    let mut scene = Scene::new();
    scene.approved.statements = scene.statements(|statement| statement.repeat = true);
    codes(&scene.approved, &scene.roots);
}

#[test]
fn the_summary_is_for_people() {
    let scene = Scene::new();
    let text = scene.approved.to_text();
    let summary: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("-----"))
        .collect();
    for line in [
        "Quorate read receipt, version 1",
        "Document: acme/reports/2026/q3.pdf, version 1",
        "User: rita of acme",
        "Purpose: \"closing of the \\\"third\\\" quarter, \\u{fc}ber Nacht\"",
        "Verdict: approved",
        "Recorded: 2027-01-15T08:00:11.000Z, block 11, log entry 11",
        "Released: 2027-01-15T08:00:25.003Z by crypto node 3 (node-3)",
        "Parts: 1 entry, 1 proof, 1 checkpoint, 1 wrapped key, 3 certificate, 1 committee, 3 share, 3 statement",
    ] {
        assert!(summary.contains(&line), "{line} in {summary:#?}");
    }
    assert!(
        scene
            .denied
            .to_text()
            .contains("\nVerdict: denied: not_a_reader\n")
    );
}

#[test]
fn the_receipt_of_a_standard_cluster_is_under_16_kb() {
    let mut scene = Scene::new();
    // A log of a million entries has a path of 20 hashes.
    scene.approved.proof.path = vec![[7; 32]; 20];
    let length = scene.approved.to_text().len();
    assert!(length < 16_000, "{length}");
}

/// The frozen receipts, made again from their seeds and checked from their bytes alone.
#[test]
fn the_vectors_are_as_committed() {
    let scene = Scene::new();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors");
    for (file, generated) in [
        ("roots.json", scene.roots.to_json()),
        ("approved.txt", scene.approved.to_text()),
        ("denied.txt", scene.denied.to_text()),
    ] {
        let path = folder.join(file);
        if std::env::var_os("QUORATE_WRITE_VECTORS").is_some() && !path.exists() {
            std::fs::write(&path, &generated).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), generated, "{file}");
    }
    let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
    let roots = PinnedRoots::from_json(&read("roots.json")).unwrap();
    assert!(verify(&read("approved.txt"), &roots).is_ok());
    assert!(verify(&read("denied.txt"), &roots).is_ok());
}
