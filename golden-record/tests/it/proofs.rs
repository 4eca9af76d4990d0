//! Proofs that an entry is on the chain, checked with nothing but the genesis.

use golden_record::merkle::{ProofError, consistency_proof, inclusion_proof, verify_consistency};
use golden_record::queries::LogNodes;
use golden_record::{
    DenialReason, Entry, EntryProof, EntryProofError, EvidenceError, FinalityEvidence, Outcome, Role,
};
use threshold::encoding::Canonical;

use crate::evidence::evidence;
use crate::support::{World, grant, revoke};

/// A chain whose block `height` has three entries, with two blocks after it.
fn chain() -> (World, usize) {
    let mut world = World::ready(9);
    let wish = world.read("nora", "q3", 1);
    let denied = world.sign_read("nora", wish);
    let granted = world.sign("olga", grant("reports", "nora", Role::Reader));
    let wish = world.read("rita", "q3", 1);
    let approved = world.sign_read("rita", wish);
    world.add(&[denied, granted, approved]);
    let height = world.blocks.len() - 1;
    world.must("olga", revoke("reports", "nora", Role::Reader));
    world.add(&[]);
    (world, height)
}

/// The proof of the `position`-th entry of a block, by the evidence of the newest block.
fn prove(world: &World, height: usize, position: u64) -> (Entry, EntryProof) {
    let header = world.blocks[height].header();
    let index = header.first_index() + position;
    let last = world.blocks.last().unwrap().hash();
    let proof = EntryProof {
        index,
        path: inclusion_proof(&LogNodes(&world.state), index, header.log_size).unwrap(),
        headers: world.blocks[height..]
            .iter()
            .map(|block| block.header().clone())
            .collect(),
        evidence: evidence(&world.genesis, last.0, &[0, 2, 3]),
    };
    (world.blocks[height].entries()[position as usize].clone(), proof)
}

#[test]
fn every_entry_is_proved() {
    let (world, _) = chain();
    for height in 1..world.blocks.len() {
        for position in 0..u64::from(world.blocks[height].header().entries) {
            let (entry, proof) = prove(&world, height, position);
            assert_eq!(
                proof.verify(&world.genesis, &entry).unwrap(),
                world.blocks[height].header()
            );
            assert_eq!(EntryProof::from_bytes(&proof.to_bytes()), Ok(proof));
        }
    }
}

#[test]
fn every_size_extends_every_smaller_one() {
    let (world, _) = chain();
    let nodes = LogNodes(&world.state);
    for (old, new) in world
        .blocks
        .iter()
        .flat_map(|old| world.blocks.iter().map(move |new| (old, new)))
    {
        let (old, new) = (old.header(), new.header());
        if old.log_size <= new.log_size {
            let path = consistency_proof(&nodes, old.log_size, new.log_size).unwrap();
            verify_consistency(old.log_size, new.log_size, &path, &old.log_root, &new.log_root).unwrap();
        }
    }
}

#[test]
fn e8_another_entry_outcome_or_place_is_refused() {
    let (world, height) = chain();
    let (entry, proof) = prove(&world, height, 0);
    let (other, _) = prove(&world, height, 1);
    let refused = proof.verify(&world.genesis, &other);
    assert!(matches!(
        refused,
        Err(EntryProofError::Inclusion(ProofError::WrongRoot))
    ));
    assert_eq!(entry.outcome, Outcome::Denied(DenialReason::NotAReader));
    let praised = Entry {
        outcome: Outcome::Applied,
        ..entry.clone()
    };
    let refused = proof.verify(&world.genesis, &praised);
    assert!(matches!(
        refused,
        Err(EntryProofError::Inclusion(ProofError::WrongRoot))
    ));
    let moved = EntryProof {
        index: proof.index + 1,
        ..proof.clone()
    };
    assert!(matches!(
        moved.verify(&world.genesis, &entry),
        Err(EntryProofError::Inclusion(_))
    ));
}

#[test]
fn an_entry_belongs_to_the_first_header() {
    let (world, height) = chain();
    let (entry, proof) = prove(&world, height, 0);
    // The same entry is in the log of the next block too, but that is not its block.
    let later = &world.blocks[height + 1];
    let path = inclusion_proof(&LogNodes(&world.state), proof.index, later.header().log_size).unwrap();
    let headers = proof.headers[1..].to_vec();
    let shifted = EntryProof {
        path,
        headers,
        ..proof.clone()
    };
    assert!(matches!(
        shifted.verify(&world.genesis, &entry),
        Err(EntryProofError::WrongBlock { .. })
    ));
    let past = EntryProof {
        index: world.blocks[height].header().log_size,
        ..proof
    };
    assert!(matches!(
        past.verify(&world.genesis, &entry),
        Err(EntryProofError::WrongBlock { .. })
    ));
}

#[test]
fn the_headers_are_an_unbroken_chain() {
    let (world, height) = chain();
    let (entry, proof) = prove(&world, height, 0);
    let mut gap = proof.clone();
    gap.headers.remove(1);
    assert!(matches!(
        gap.verify(&world.genesis, &entry),
        Err(EntryProofError::BrokenChain)
    ));
    let mut changed = proof.clone();
    changed.headers[0].time_ms += 1;
    assert!(matches!(
        changed.verify(&world.genesis, &entry),
        Err(EntryProofError::BrokenChain)
    ));
    let mut reordered = proof.clone();
    reordered.headers.swap(0, 1);
    assert!(matches!(
        reordered.verify(&world.genesis, &entry),
        Err(EntryProofError::BrokenChain)
    ));
    let none = EntryProof {
        headers: Vec::new(),
        ..proof.clone()
    };
    assert!(matches!(
        none.verify(&world.genesis, &entry),
        Err(EntryProofError::Headers)
    ));
    let many = EntryProof {
        headers: vec![proof.headers[0].clone(); golden_record::MAX_HEADERS + 1],
        ..proof.clone()
    };
    assert!(matches!(
        many.verify(&world.genesis, &entry),
        Err(EntryProofError::Headers)
    ));
    assert!(EntryProof::from_bytes(&many.to_bytes()).is_err());
    let mut foreign = proof;
    foreign.headers[2].chain_id.0[0] ^= 1;
    assert!(matches!(
        foreign.verify(&world.genesis, &entry),
        Err(EntryProofError::WrongChain)
    ));
}

#[test]
fn e12_a_claim_without_votes_is_refused() {
    let (world, height) = chain();
    let (entry, proof) = prove(&world, height, 0);
    let last = world.blocks.last().unwrap().hash();
    let two = EntryProof {
        evidence: evidence(&world.genesis, last.0, &[0, 1]),
        ..proof.clone()
    };
    let refused = two.verify(&world.genesis, &entry);
    assert!(matches!(
        refused,
        Err(EntryProofError::Evidence(EvidenceError::TooFew { .. }))
    ));
    // True votes for an older block.
    let older = world.blocks[height - 1].hash();
    let stale = EntryProof {
        evidence: evidence(&world.genesis, older.0, &[0, 1, 2]),
        ..proof.clone()
    };
    assert!(matches!(
        stale.verify(&world.genesis, &entry),
        Err(EntryProofError::WrongPayload)
    ));
    // Votes relabelled for this one.
    let relabelled = FinalityEvidence {
        payload: last.0,
        ..stale.evidence
    };
    let forged = EntryProof {
        evidence: relabelled,
        ..proof
    };
    let refused = forged.verify(&world.genesis, &entry);
    assert!(matches!(
        refused,
        Err(EntryProofError::Evidence(EvidenceError::Signature(0)))
    ));
}
