//! Dependencies run downwards only, and what must not know a secret does not name one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

/// Each folder, and those of ours that it may depend on; what is not named here is refused.
const ALLOWED: &[(&str, &[&str])] = &[
    ("threshold", &[]),
    ("consensus", &[]),
    ("service", &[]),
    ("envelope", &["threshold"]),
    ("approval", &["threshold"]),
    ("golden-record", &["threshold"]),
    ("receipt", &["threshold", "approval", "golden-record"]),
    ("proto", &["threshold", "golden-record"]),
    ("crypto-node", &["threshold", "approval", "proto", "service"]),
    (
        "ledger-endorser",
        &[
            "threshold",
            "approval",
            "golden-record",
            "consensus",
            "proto",
            "service",
        ],
    ),
    (
        "coordinator",
        &["threshold", "approval", "golden-record", "proto", "service"],
    ),
    (
        "client",
        &[
            "threshold",
            "approval",
            "envelope",
            "golden-record",
            "receipt",
            "proto",
            "service",
        ],
    ),
];

/// The pure crates compute; these would let them do input or output.
const IMPURE: &[&str] = &["tokio", "tonic", "redb", "sled", "rustls", "axum", "tracing"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// Folder of each of our packages with the names of what it depends on outside tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        let folder = manifest
            .parent()
            .unwrap()
            .strip_prefix(root())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let names = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|d| d["kind"].as_str() != Some("dev"))
            .map(|d| {
                d["name"]
                    .as_str()
                    .unwrap()
                    .trim_start_matches("quorate-")
                    .to_owned()
            })
            .collect();
        found.insert(folder, names);
    }
    found
}

#[test]
fn dependencies_run_downwards_only() {
    let found = dependencies();
    let ours: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    for (folder, allowed) in ALLOWED {
        for name in found[*folder].iter().filter(|name| ours.contains(name.as_str())) {
            assert!(
                allowed.contains(&name.as_str()),
                "{folder} must not depend on {name}"
            );
        }
    }
}

#[test]
fn the_pure_crates_do_no_input_or_output() {
    let found = dependencies();
    for folder in ["threshold", "envelope", "approval", "golden-record", "receipt"] {
        for name in IMPURE {
            assert!(
                !found[folder].contains(*name),
                "{folder} must not depend on {name}"
            );
        }
    }
}

#[test]
fn only_the_consensus_crate_names_the_engine() {
    for (folder, names) in dependencies() {
        if folder != "consensus" {
            assert!(
                !names.iter().any(|n| n.starts_with("commonware")),
                "{folder} names the engine"
            );
        }
    }
}

#[test]
fn a_crypto_node_never_links_the_engine() {
    let out = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "-p",
            "quorate-crypto-node",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let tree = String::from_utf8(out.stdout).unwrap();
    assert!(tree.contains("quorate-threshold"));
    assert!(
        !tree.contains("commonware"),
        "the engine is in one process with a key share"
    );
}

#[test]
fn coordinator_and_endorser_never_name_a_share_or_a_data_key() {
    for folder in ["coordinator", "ledger-endorser"] {
        let mut seen = 0;
        for file in sources(&root().join(folder).join("src")) {
            seen += 1;
            let text = std::fs::read_to_string(&file).unwrap();
            // A daemon's own tests play the other parties, shares included; its product code does not.
            if file.components().any(|c| c.as_os_str() == "tests") || file.ends_with("tests.rs") {
                continue;
            }
            for secret in ["KeyShare", "DataKey", "ReaderKey", "ObjectKey"] {
                assert!(!text.contains(secret), "{} names {secret}", file.display());
            }
        }
        assert!(seen > 0);
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

/// Each folder has one sentence: in its manifest, in its `lib.rs`, and in the README.
#[test]
fn each_folder_has_one_sentence() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for (folder, _) in ALLOWED
        .iter()
        .chain(&[("quorate", &[] as &[&str]), ("tests", &[]), ("benches", &[])])
    {
        let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let line = manifest
            .lines()
            .find(|l| l.starts_with("description = "))
            .unwrap();
        let sentence = line.trim_start_matches("description = ").trim_matches('"');
        let lib = std::fs::read_to_string(root().join(folder).join("src/lib.rs")).unwrap();
        let head: String = lib
            .lines()
            .take_while(|l| l.starts_with("//!"))
            .map(|l| l.trim_start_matches("//!"))
            .collect();
        assert!(
            head.contains(sentence),
            "{folder}/src/lib.rs does not begin with: {sentence}"
        );
        assert!(
            readme.contains(sentence),
            "README.md does not say of {folder}: {sentence}"
        );
    }
}
