//! Read receipts, verified by the program with nothing running.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use client::Error;
use receipt::{PinnedRoots, Receipt};
use serde_json::Value;
use tempfile::TempDir;

use crate::world::{World, read, world};

/// A folder with the pinned roots, in which somebody verifies receipts who has nothing else.
struct Court(TempDir);

impl Court {
    fn new(roots: &PinnedRoots) -> Self {
        let court = Self(TempDir::new().unwrap());
        court.put("roots.json", &roots.to_json());
        court
    }

    fn put(&self, file: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(file);
        fs::write(&path, text).unwrap();
        path
    }

    /// The exit status of `quorate audit verify`, and what it says in JSON.
    fn verify(&self, receipt: &Path) -> (i32, Value) {
        let output = Command::new(env!("CARGO_BIN_EXE_quorate-under-test"))
            .args(["audit", "verify", "--json"])
            .arg(receipt)
            .env("QUORATE_HOME", self.0.path())
            .output()
            .unwrap();
        let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code().unwrap(), said)
    }

    /// The receipt ends with this status, because of this step.
    fn judges(&self, text: &str, status: i32, verdict: &str, step: &str) {
        let (code, said) = self.verify(&self.put("receipt", text));
        assert_eq!(
            (code, said["verdict"].as_str()),
            (status, Some(verdict)),
            "{step}: {said}"
        );
        let steps = said["steps"].as_array().unwrap();
        let decisive = steps.iter().find(|one| one["outcome"] != "holds");
        let decisive = decisive.map_or("", |one| one["step"].as_str().unwrap());
        assert_eq!(decisive, step, "{said}");
    }
}

/// What an honest read, a denied one, and the chain give.
struct Receipts {
    approved: Receipt,
    denied: Receipt,
    from_the_chain: Receipt,
    roots: PinnedRoots,
}

async fn receipts(world: &World) -> Receipts {
    world.write("receipts/report", b"for the record").await;
    let alice = world.client(&world.alice).await;
    let (_, report) = read(&alice, "alice", "receipts/report").await.unwrap();
    let mallory = world.client(&world.mallory).await;
    let Err(Error::Denied { tx_id, .. }) = read(&mallory, "mallory", "receipts/report").await else {
        panic!("mallory reads");
    };
    let auditor = world.client(&world.cluster.auditor().unwrap()).await;
    auditor.await_receipt(&report.approve_id).await.unwrap();
    Receipts {
        approved: alice.receipt(&report).await.unwrap(),
        denied: mallory.recorded_receipt(&tx_id).await.unwrap(),
        from_the_chain: auditor.recorded_receipt(&report.approve_id).await.unwrap(),
        roots: auditor.pinned_roots().await.unwrap(),
    }
}

#[tokio::test]
async fn e8_receipts_verify_with_everything_stopped_and_each_damage_has_its_exit_status() {
    let mut world = world().await;
    let made = receipts(&world).await;
    for name in world.names() {
        world.cluster.kill(&name).unwrap();
    }
    let court = Court::new(&made.roots);
    let text = made.approved.to_text();
    assert!(text.len() < 16_000, "{}", text.len());
    court.judges(&text, 0, "valid", "");
    court.judges(&made.denied.to_text(), 0, "valid", "");

    // What the chain has: the statements and no approvals; nothing that is false.
    assert!(made.from_the_chain.statements.len() >= 3);
    court.judges(&made.from_the_chain.to_text(), 1, "cannot_tell", "approval");

    let invalid = |text: &str, step: &str| court.judges(text, 2, "invalid", step);
    invalid("no receipt at all", "form");
    invalid(&text.replacen("Verdict: approved", "Verdict: denied", 1), "form");
    invalid(&text[..text.len() / 2], "form");
    let changed = |change: fn(&mut Receipt)| {
        let mut receipt = made.approved.clone();
        change(&mut receipt);
        receipt.to_text()
    };
    invalid(
        &changed(|receipt| receipt.entry.transaction.nonce[0] ^= 1),
        "request",
    );
    invalid(&changed(|receipt| receipt.proof.index ^= 1), "inclusion");
    invalid(
        &changed(|receipt| receipt.proof.evidence.signatures[0].1.0[40] ^= 1),
        "finality",
    );
    invalid(&changed(|receipt| receipt.certificates.truncate(1)), "approval");
    invalid(&changed(|receipt| receipt.shares.truncate(2)), "shares");
    invalid(
        &changed(|receipt| receipt.statements[0].journal_position += 1),
        "statements",
    );
    let cannot_tell = |text: &str, step: &str| court.judges(text, 1, "cannot_tell", step);
    cannot_tell(&changed(|receipt| receipt.wrapped_key = None), "wrapped_key");
    cannot_tell(&changed(|receipt| receipt.committee = None), "committee");
    cannot_tell(&changed(|receipt| receipt.proof.evidence.epoch = 9), "finality");

    // Without the file, or without roots, nothing is judged.
    assert_eq!(court.verify(&court.0.path().join("nothing")).0, 1);
    fs::remove_file(court.0.path().join("roots.json")).unwrap();
    assert_eq!(court.verify(&court.put("receipt", &text)).0, 1);
}
