//! From the genesis to the endorsers of today, and who has no say any more.

use ed25519_dalek::{Signer, SigningKey};
use golden_record::merkle::inclusion_proof;
use golden_record::queries::{self, LogNodes};
use golden_record::{
    Change, Checkpoint, CheckpointError, EPOCH_DELAY, Endorsers, Entry, EntryProof, EntryProofError, Epochs,
    EvidenceError, FinalityEvidence, Handover, HandoverError, Header, Outcome, SignedCheckpoint,
    StateEndorsers, Transaction, finalize_message,
};
use threshold::encoding::Canonical;
use threshold::signature::{PublicKey, Signature};

use crate::bodies::govern;
use crate::endorsers::{add, made, remove, replace, until_it_begins};
use crate::support::{World, create_tenant, key, name};

/// Votes for a block by these validators of an epoch.
fn votes(world: &World, epoch: u64, height: u64, voters: &[&str]) -> FinalityEvidence {
    votes_for(world, epoch, world.blocks[height as usize].hash().0, voters)
}

fn votes_for(world: &World, epoch: u64, payload: [u8; 32], voters: &[&str]) -> FinalityEvidence {
    let state = StateEndorsers {
        genesis: &world.genesis,
        state: &world.state,
    };
    let set = state.of_epoch(epoch).unwrap();
    let message = finalize_message(&world.genesis.chain_id(), epoch, 9, 8, &payload);
    let mut signatures: Vec<(u16, Signature)> = voters
        .iter()
        .map(|voter| {
            let signing: SigningKey = key(voter);
            let place = set
                .members()
                .iter()
                .position(|(_, one)| *one == PublicKey::of(&signing));
            (
                place.unwrap() as u16,
                Signature(signing.sign(&message).to_bytes()),
            )
        })
        .collect();
    signatures.sort_by_key(|(place, _)| *place);
    FinalityEvidence {
        epoch,
        view: 9,
        parent_view: 8,
        payload,
        signatures,
    }
}

const FIRST: [&str; 3] = ["validator-0", "validator-1", "validator-2"];
const SECOND: [&str; 4] = ["validator-0", "validator-1", "validator-2", "validator-4"];
const THIRD: [&str; 3] = ["validator-2", "validator-3", "validator-4"];

/// An entry with its proof by the votes for the block at `last`.
fn prove(world: &World, index: u64, epoch: u64, last: u64, voters: &[&str]) -> (Entry, EntryProof) {
    let holds = |block: &&golden_record::Block| block.header().log_size > index;
    let block = world.blocks.iter().find(holds).unwrap();
    let header = block.header();
    let headers = &world.blocks[header.height as usize..=last as usize];
    let proof = EntryProof {
        index,
        path: inclusion_proof(&LogNodes(&world.state), index, header.log_size).unwrap(),
        headers: headers.iter().map(|block| block.header().clone()).collect(),
        evidence: votes(world, epoch, last, voters),
    };
    let entry = block.entries()[(index - header.first_index()) as usize].clone();
    (entry, proof)
}

/// The handover to an epoch, made final by the voters of the one before with the block at `last`.
fn handover(world: &World, to: u64, last: u64, voters: &[&str]) -> Handover {
    let epoch = queries::epoch(&world.state, to).unwrap().unwrap();
    let (entry, proof) = prove(world, epoch.log_index, to - 1, last, voters);
    Handover { entry, proof }
}

/// A fifth organisation has joined, then the first has left, and the chain has gone on a while.
fn history() -> World {
    let mut world = World::ready(60);
    made(&mut world, &add(4));
    until_it_begins(&mut world);
    made(&mut world, &remove(0));
    until_it_begins(&mut world);
    for tenant in ["third", "fourth"] {
        world.must("admin-1", create_tenant(tenant));
    }
    world
}

fn first_of(world: &World, epoch: u64) -> u64 {
    queries::epoch(&world.state, epoch).unwrap().unwrap().first
}

fn decided(world: &World, epoch: u64) -> u64 {
    first_of(world, epoch) - EPOCH_DELAY - 1
}

/// Everybody who has only the genesis, and the handovers.
fn led(world: &World) -> Epochs {
    let mut epochs = Epochs::new(world.genesis.clone());
    let last = first_of(world, 1) - 1;
    epochs.advance(handover(world, 1, last, &FIRST)).unwrap();
    epochs
        .advance(handover(world, 2, decided(world, 2) + 3, &SECOND))
        .unwrap();
    epochs
}

#[test]
fn the_genesis_and_the_handovers_give_what_the_state_has() {
    let world = history();
    let epochs = led(&world);
    let state = StateEndorsers {
        genesis: &world.genesis,
        state: &world.state,
    };
    assert_eq!(epochs.newest(), 2);
    assert_eq!(epochs.known(), state.known());
    assert_eq!(epochs.known().len(), 3);
    let names: Vec<_> = epochs
        .endorsers()
        .members()
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    assert!(!names.contains(&name("org-0")) && names.contains(&name("org-4")));
    let handovers = epochs.handovers_to(2);
    assert_eq!(handovers.len(), 2);
    assert_eq!(epochs.handovers_to(1), &handovers[..1]);
    for handover in handovers {
        let bytes = handover.to_bytes();
        assert_eq!(Handover::from_bytes(&bytes).unwrap(), *handover);
        assert!(bytes.len() < 16 << 10, "{}", bytes.len());
    }
}

#[test]
fn an_entry_of_every_epoch_is_proved_by_that_epochs_endorsers_and_no_others() {
    let world = history();
    let epochs = led(&world);
    let (one, two) = (first_of(&world, 1), first_of(&world, 2));
    let newest = world.header.height;
    let index = world.header.log_size - 1;
    for (index, epoch, last, voters) in [
        (0, 0, one - 1, &FIRST[..]),
        (
            queries::epoch(&world.state, 2).unwrap().unwrap().log_index,
            1,
            two - 1,
            &SECOND,
        ),
        (index, 2, newest, &THIRD),
    ] {
        let (entry, proof) = prove(&world, index, epoch, last, voters);
        proof.verify(&epochs, &entry).unwrap();
        // Whoever has only the genesis cannot tell.
        let alone = proof.verify(&world.genesis, &entry);
        match epoch {
            0 => assert!(alone.is_ok()),
            _ => assert!(
                matches!(alone, Err(EntryProofError::Evidence(EvidenceError::UnknownEpoch(unknown))) if unknown == epoch)
            ),
        }
    }
    // A whole quorum of the first set, which has handed over, votes on.
    for (epoch, voters) in [(0, &FIRST[..]), (1, &SECOND)] {
        let (entry, proof) = prove(&world, index, epoch, newest, voters);
        let refused = proof.verify(&epochs, &entry);
        assert!(
            matches!(
                refused,
                Err(EntryProofError::Evidence(EvidenceError::OtherEpoch { .. }))
            ),
            "{refused:?}"
        );
    }
    // And nobody votes before their time.
    let (entry, proof) = prove(&world, 0, 2, one - 1, &THIRD);
    let refused = proof.verify(&epochs, &entry);
    assert!(matches!(
        refused,
        Err(EntryProofError::Evidence(EvidenceError::OtherEpoch { .. }))
    ));
}

#[test]
fn fewer_than_the_quorum_of_the_larger_set_are_too_few() {
    let world = history();
    let epochs = led(&world);
    let last = first_of(&world, 2) - 1;
    let (entry, proof) = prove(&world, 0, 1, last, &SECOND[..3]);
    let refused = proof.verify(&epochs, &entry);
    assert!(matches!(
        refused,
        Err(EntryProofError::Evidence(EvidenceError::TooFew {
            given: 3,
            needed: 4
        }))
    ));
}

#[test]
fn a_handover_is_of_the_newest_epoch_and_its_own_endorsers() {
    let world = history();
    let new = || Epochs::new(world.genesis.clone());
    let one = first_of(&world, 1);
    let good = handover(&world, 1, decided(&world, 1), &FIRST);
    new().advance(good.clone()).unwrap();

    // Too few, or none of those that hand over.
    let few = handover(&world, 1, decided(&world, 1), &FIRST[..2]);
    assert!(matches!(new().advance(few), Err(HandoverError::Proof(_))));
    let mut forged = good.clone();
    forged.proof.evidence = votes(&world, 2, decided(&world, 1), &THIRD);
    forged.proof.evidence.epoch = 0;
    assert!(matches!(new().advance(forged), Err(HandoverError::Proof(_))));

    // The second before the first; the first twice.
    let second = handover(&world, 2, decided(&world, 2), &SECOND);
    assert!(matches!(
        new().advance(second.clone()),
        Err(HandoverError::WrongEpoch(0))
    ));
    let mut epochs = new();
    epochs.advance(good.clone()).unwrap();
    assert!(matches!(
        epochs.advance(good.clone()),
        Err(HandoverError::WrongEpoch(1))
    ));
    // The first again, by votes of the second epoch: it was decided before that began.
    let again = {
        let epoch = queries::epoch(&world.state, 1).unwrap().unwrap();
        let (entry, proof) = prove(&world, epoch.log_index, 1, one, &SECOND);
        Handover { entry, proof }
    };
    assert!(matches!(epochs.advance(again), Err(HandoverError::WrongEpoch(1))));

    // A block after the last one of the epoch, by those who have handed over.
    let late = handover(&world, 1, one, &FIRST);
    assert!(matches!(new().advance(late), Err(HandoverError::WrongEpoch(0))));
    assert_eq!(epochs.newest(), 1);
}

#[test]
fn nothing_but_the_change_that_was_made_hands_over() {
    let world = history();
    let new = || Epochs::new(world.genesis.clone());
    let index = queries::epoch(&world.state, 1).unwrap().unwrap().log_index;
    let last = decided(&world, 1);
    // A confirmation before enough had confirmed, and a transaction of another kind.
    for other in [index - 1, 0] {
        let (entry, proof) = prove(&world, other, 0, last, &FIRST);
        proof.verify(&world.genesis, &entry).unwrap();
        let refused = new().advance(Handover { entry, proof });
        assert!(matches!(refused, Err(HandoverError::NoChange)));
    }
    // Praised to be done, and another organisation put in.
    let (entry, proof) = prove(&world, index - 1, 0, last, &FIRST);
    let praised = Entry {
        outcome: Outcome::Applied,
        ..entry
    };
    let refused = new().advance(Handover {
        entry: praised,
        proof,
    });
    assert!(matches!(
        refused,
        Err(HandoverError::Proof(EntryProofError::Inclusion(_)))
    ));
    let mut other = handover(&world, 1, last, &FIRST);
    other.entry.transaction.body = crate::bodies::govern(1, add(5));
    assert!(matches!(
        new().advance(other),
        Err(HandoverError::Proof(EntryProofError::Inclusion(_)))
    ));
}

#[test]
fn no_changed_byte_of_a_handover_is_accepted() {
    let world = history();
    let bytes = handover(&world, 1, decided(&world, 1), &FIRST).to_bytes();
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        let learned = Handover::from_bytes(&changed)
            .map_err(|_| ())
            .and_then(|handover| {
                Epochs::new(world.genesis.clone())
                    .advance(handover)
                    .map_err(|_| ())
            });
        assert!(learned.is_err(), "byte {place}");
    }
}

#[test]
fn a_checkpoint_is_signed_by_a_quorum_of_one_epoch() {
    let world = history();
    let epochs = led(&world);
    let signed = |by: &[(&str, &str)]| {
        let mut signed = SignedCheckpoint::unsigned(Checkpoint::of(&world.header)).unwrap();
        for (organisation, validator) in by {
            signed.sign(&name(organisation), &key(validator)).unwrap();
        }
        signed
    };
    let third = [
        ("org-2", "validator-2"),
        ("org-3", "validator-3"),
        ("org-4", "validator-4"),
    ];
    assert_eq!(signed(&third).verify(&epochs).unwrap().organisations.len(), 3);
    assert!(signed(&third).verify(&world.genesis).is_err());
    // Three of the first and of the last set are no quorum of either when they are not of one.
    let mixed = [
        ("org-0", "validator-0"),
        ("org-3", "validator-3"),
        ("org-4", "validator-4"),
    ];
    assert!(matches!(
        signed(&mixed).verify(&epochs),
        Err(CheckpointError::TooFew { given: 2, needed: 3 })
    ));
    assert_eq!(signed(&mixed).signers(&epochs).unwrap().organisations.len(), 3);
}

#[test]
fn e10_those_who_have_handed_over_sign_no_later_checkpoint() {
    let world = history();
    let epochs = led(&world);
    let of = |size: u64, by: &[usize]| {
        let checkpoint = Checkpoint {
            size,
            ..Checkpoint::of(&world.header)
        };
        let mut signed = SignedCheckpoint::unsigned(checkpoint).unwrap();
        for place in by {
            let (organisation, validator) = (format!("org-{place}"), format!("validator-{place}"));
            signed.sign(&name(&organisation), &key(&validator)).unwrap();
        }
        signed
    };
    // Whoever knows of no handover takes the first for those of today.
    let today = world.header.log_size;
    let first = [0, 1, 2];
    assert!(of(today, &first).verify(&world.genesis).is_ok());
    assert!(matches!(
        of(today, &first).verify(&epochs),
        Err(CheckpointError::TooFew { given: 2, needed: 3 })
    ));
    assert!(of(today, &first).verify_kept(&epochs).is_ok());
    let handed_over = epochs.of_epoch(1).unwrap().decided().unwrap();
    assert!(of(handed_over + 1, &first).verify(&epochs).is_ok());
    assert!(of(handed_over + 2, &first).verify(&epochs).is_err());
    // Those of today sign any.
    assert!(of(1, &[2, 3, 4]).verify(&epochs).is_ok());
}

#[test]
fn a_change_that_does_not_fit_the_endorsers_hands_over_to_nobody() {
    let world = history();
    let first = |change: Change| {
        let body = govern(1, change);
        let entry = Entry {
            transaction: Transaction::sign(world.genesis.chain_id(), &key("admin-1"), [7; 16], 1, body),
            outcome: Outcome::Applied,
        };
        let header = Header {
            height: 10,
            entries: 1,
            log_size: 1,
            log_root: entry.leaf_hash(),
            ..world.header.clone()
        };
        let proof = EntryProof {
            index: 0,
            path: Vec::new(),
            evidence: votes_for(&world, 0, header.hash().0, &FIRST),
            headers: vec![header],
        };
        Epochs::new(world.genesis.clone()).advance(Handover { entry, proof })
    };
    assert!(first(add(4)).is_ok());
    for misfit in [add(0), remove(4), replace(4, "validator-9", "a.example:1")] {
        assert!(matches!(first(misfit), Err(HandoverError::Misfit)));
    }
}
