//! Checkpoints: a quorum of the endorsers of the genesis, the chain's own log, the exact text.
//!
//! `vectors/checkpoint.json` was generated once. To change the format on purpose, delete it, run
//! `QUORATE_WRITE_VECTORS=1 cargo test -p quorate-golden-record checkpoint`, and say so in the change.

use std::path::PathBuf;

use golden_record::merkle::{consistency_proof, inclusion_proof, leaf_hash, verify_consistency};
use golden_record::queries::LogNodes;
use golden_record::{
    Checkpoint, CheckpointError, Genesis, NoteError, SignedCheckpoint, TlogProof, TlogProofError,
    checkpoint_keys, log_origin,
};
use serde::{Deserialize, Serialize};
use threshold::encoding::Canonical;
use threshold::ids::ChainId;

use crate::support::{World, key, name};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Vector {
    genesis: String,
    vkeys: Vec<String>,
    checkpoint: String,
    entry: String,
    tlog_proof: String,
}

/// The checkpoint of the newest block, by these organisations.
fn signed(world: &World, by: &[usize]) -> SignedCheckpoint {
    let mut checkpoint = SignedCheckpoint::unsigned(Checkpoint::of(&world.header)).unwrap();
    for index in by {
        let validator = key(&format!("validator-{index}"));
        checkpoint
            .sign(&name(&format!("org-{index}")), &validator)
            .unwrap();
    }
    checkpoint
}

fn proof(world: &World, index: u64) -> TlogProof {
    TlogProof {
        index,
        path: inclusion_proof(&LogNodes(&world.state), index, world.header.log_size).unwrap(),
        checkpoint: signed(world, &[0, 1, 3]),
    }
}

fn entry(world: &World, index: u64) -> Vec<u8> {
    let mut all = world.blocks.iter().flat_map(|block| block.indexed_entries());
    all.find(|(at, _)| *at == index).unwrap().1.to_bytes()
}

fn vkeys(genesis: &Genesis) -> Vec<String> {
    let keys = checkpoint_keys(genesis).unwrap();
    keys.iter().map(|(_, key)| key.vkey()).collect()
}

#[test]
fn the_vector_is_as_committed() {
    let world = World::ready(31);
    let generated = Vector {
        genesis: hex::encode(world.genesis.to_bytes()),
        vkeys: vkeys(&world.genesis),
        checkpoint: signed(&world, &[0, 1, 2, 3]).to_text(),
        entry: hex::encode(entry(&world, 5)),
        tlog_proof: proof(&world, 5).to_text(),
    };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/checkpoint.json");
    if std::env::var_os("QUORATE_WRITE_VECTORS").is_some() && !path.exists() {
        std::fs::write(&path, serde_json::to_string_pretty(&generated).unwrap() + "\n").unwrap();
    }
    let text = std::fs::read_to_string(path).expect("vectors/checkpoint.json is committed");
    let committed: Vector = serde_json::from_str(&text).unwrap();
    assert_eq!(generated, committed);
    // And from the committed bytes alone.
    let genesis = Genesis::from_bytes(&hex::decode(&committed.genesis).unwrap()).unwrap();
    let checkpoint = SignedCheckpoint::parse(committed.checkpoint.as_bytes()).unwrap();
    assert_eq!(checkpoint.verify(&genesis).unwrap().organisations.len(), 4);
    let proof = TlogProof::parse(&committed.tlog_proof).unwrap();
    let leaf = leaf_hash(&hex::decode(&committed.entry).unwrap());
    assert!(proof.verify(&genesis, &leaf).is_ok());
}

#[test]
fn the_text_is_the_documented_one() {
    let checkpoint = Checkpoint {
        origin: log_origin(&ChainId([0xab; 32])),
        size: 17,
        root: [0; 32],
    };
    let expected = format!(
        "quorate/{}\n17\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "ab".repeat(32)
    );
    assert_eq!(checkpoint.text(), expected);
}

#[test]
fn a_quorum_of_the_endorsers_makes_a_checkpoint() {
    let world = World::ready(31);
    for by in [&[0, 1, 2][..], &[3, 1, 0], &[0, 1, 2, 3]] {
        let checkpoint = signed(&world, by);
        let signers = checkpoint.verify(&world.genesis).unwrap();
        assert_eq!((signers.organisations.len(), signers.unknown), (by.len(), 0));
        assert_eq!(
            SignedCheckpoint::parse(checkpoint.to_text().as_bytes()),
            Ok(checkpoint)
        );
    }
}

#[test]
fn e2_fewer_endorsers_do_not() {
    let world = World::ready(31);
    for by in [&[][..], &[0], &[2, 3]] {
        let refused = signed(&world, by).verify(&world.genesis);
        let (given, needed) = (by.len(), 3);
        assert_eq!(refused, Err(CheckpointError::TooFew { given, needed }));
    }
}

#[test]
fn d2_p11_an_endorser_counts_once() {
    let world = World::ready(31);
    let twice = signed(&world, &[0, 1, 1]).verify(&world.genesis);
    assert!(matches!(
        twice,
        Err(CheckpointError::Note(NoteError::Repeated(_)))
    ));
    // Under another's name, with its own key: a key that nobody knows, and nobody counts.
    let mut borrowed = signed(&world, &[0, 1]);
    borrowed.sign(&name("org-2"), &key("validator-1")).unwrap();
    let (given, needed) = (2, 3);
    assert_eq!(
        borrowed.verify(&world.genesis),
        Err(CheckpointError::TooFew { given, needed })
    );
    assert_eq!(borrowed.signers(&world.genesis).unwrap().unknown, 1);
}

#[test]
fn a_witness_may_sign_beside_the_endorsers() {
    let world = World::ready(31);
    let mut checkpoint = signed(&world, &[0, 1, 2]);
    checkpoint.sign(&name("witness"), &key("witness")).unwrap();
    assert_eq!(checkpoint.verify(&world.genesis).unwrap().unknown, 1);
}

#[test]
fn the_checkpoint_of_another_chain_is_refused() {
    let world = World::ready(31);
    let origin = log_origin(&ChainId([1; 32]));
    let foreign = Checkpoint {
        origin: origin.clone(),
        ..Checkpoint::of(&world.header)
    };
    let mut checkpoint = SignedCheckpoint::unsigned(foreign).unwrap();
    for index in 0..4 {
        let validator = key(&format!("validator-{index}"));
        checkpoint
            .sign(&name(&format!("org-{index}")), &validator)
            .unwrap();
    }
    assert_eq!(
        checkpoint.verify(&world.genesis),
        Err(CheckpointError::WrongOrigin(origin))
    );
}

#[test]
fn a_vote_is_no_signature_on_a_checkpoint() {
    // The vote for the very block whose log it is, in the place of a note signature.
    let world = World::ready(31);
    let evidence = crate::evidence::evidence(&world.genesis, world.header.hash().0, &[0, 1, 2]);
    let text = signed(&world, &[0, 1, 2]).to_text();
    let vote = evidence.signatures[0].1;
    let validators = world.genesis.validators();
    let checkpoint = Checkpoint::of(&world.header).text();
    assert!(validators[0].verify_raw(checkpoint.as_bytes(), &vote).is_err());
    assert!(
        text.starts_with("qu"),
        "and what is signed begins unlike anything that the engine signs"
    );
}

#[test]
fn e8_no_flipped_bit_keeps_a_quorum_of_exactly_enough() {
    let world = World::ready(31);
    let good = signed(&world, &[0, 1, 3]).to_text().into_bytes();
    for place in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[place] ^= 1 << bit;
            let accepted =
                SignedCheckpoint::parse(&bad).is_ok_and(|read| read.verify(&world.genesis).is_ok());
            assert!(!accepted, "byte {place}, bit {bit}");
        }
    }
}

#[test]
fn p12_only_the_exact_three_lines_are_a_checkpoint() {
    let world = World::ready(31);
    let good = signed(&world, &[0]).to_text();
    let size = format!("\n{}\n", world.header.log_size);
    let bad = [
        good.replacen(&size, &format!("\n0{}\n", world.header.log_size), 1),
        good.replacen(&size, "\n+7\n", 1),
        good.replacen(&size, "\n-7\n", 1),
        good.replacen(&size, "\n18446744073709551616\n", 1),
        good.replacen(&size, "\n\n", 1),
        good.replacen("=\n\n", "=\nextension\n\n", 1),
        good.replacen("=\n\n", "\n\n", 1),
        good.replacen("quorate/", "", 1)
            .replacen(&world.genesis.chain_id().to_string(), "", 1),
        good.replacen(&size, "\n", 1),
    ];
    for text in bad {
        assert_eq!(
            SignedCheckpoint::parse(text.as_bytes()),
            Err(CheckpointError::Text),
            "{text}"
        );
    }
    for origin in ["", "two\nlines"] {
        let checkpoint = Checkpoint {
            origin: origin.into(),
            ..Checkpoint::of(&world.header)
        };
        assert_eq!(SignedCheckpoint::unsigned(checkpoint), Err(CheckpointError::Text));
    }
}

#[test]
fn e2_two_checkpoints_show_whether_one_extends_the_other() {
    let mut world = World::ready(31);
    let old = signed(&world, &[0, 1, 2]);
    let fork = world.clone();
    world.must(
        "olga",
        crate::support::grant("reports", "nora", golden_record::Role::Reader),
    );
    let new = signed(&world, &[0, 1, 2]);
    let path = consistency_proof(
        &LogNodes(&world.state),
        old.checkpoint().size,
        new.checkpoint().size,
    )
    .unwrap();
    let extends = |old: &Checkpoint, new: &Checkpoint| {
        verify_consistency(old.size, new.size, &path, &old.root, &new.root).is_ok()
    };
    assert!(extends(old.checkpoint(), new.checkpoint()));
    // The same size, another last entry: what a forked log gives.
    let mut forked = fork;
    forked.must(
        "olga",
        crate::support::grant("reports", "nora", golden_record::Role::Writer),
    );
    let other = signed(&forked, &[1, 2, 3]);
    assert_eq!(other.checkpoint().size, new.checkpoint().size);
    assert!(!extends(old.checkpoint(), other.checkpoint()));
    let mut joined = new.clone();
    joined.merge(&other);
    assert_eq!(joined, new, "signatures on a fork are not taken over");
    joined.merge(&signed(&world, &[2, 3]));
    assert_eq!(joined.verify(&world.genesis).unwrap().organisations.len(), 4);
}

#[test]
fn e8_a_tlog_proof_is_of_one_entry_in_one_place() {
    let world = World::ready(31);
    for index in 0..world.header.log_size {
        let proof = proof(&world, index);
        let leaf = leaf_hash(&entry(&world, index));
        assert!(proof.verify(&world.genesis, &leaf).is_ok());
        let read = TlogProof::parse(&proof.to_text()).unwrap();
        assert_eq!(read, proof);
        let elsewhere = TlogProof {
            index: (index + 1) % world.header.log_size,
            ..proof.clone()
        };
        assert!(matches!(
            elsewhere.verify(&world.genesis, &leaf),
            Err(TlogProofError::Inclusion(_))
        ));
        let few = TlogProof {
            checkpoint: signed(&world, &[0, 1]),
            ..proof
        };
        assert!(matches!(
            few.verify(&world.genesis, &leaf),
            Err(TlogProofError::Checkpoint(CheckpointError::TooFew { .. }))
        ));
    }
}

#[test]
fn p12_only_the_exact_lines_are_a_tlog_proof() {
    let world = World::ready(31);
    let good = proof(&world, 5).to_text();
    assert!(TlogProof::parse(&good).is_ok());
    let hash_line = good.lines().nth(2).unwrap().to_owned() + "\n";
    let bad = [
        String::new(),
        good.replacen("@v1", "@v2", 1),
        good.replacen("index 5", "index 05", 1),
        good.replacen("index 5", "index +5", 1),
        good.replacen("index 5", "extra AAAA\nindex 5", 1),
        good.replacen("index 5\n", "", 1),
        good.replacen(&hash_line, &hash_line.replacen('=', "", 1), 1),
        good.replacen(&hash_line, &hash_line.repeat(65), 1),
        good.replacen("\n\n", "\n\n\n", 1),
        "x".repeat(1 << 20),
    ];
    for text in bad {
        assert!(
            TlogProof::parse(&text).is_err(),
            "{}",
            &text[..text.len().min(300)]
        );
    }
}
