//! Checks that stand behind others: each is reached here by somebody who has got past the ones before it.

use golden_record::merkle::{ProofError, leaf_hash, node_hash, verify_consistency};
use golden_record::queries::{self, LogNodes};
use golden_record::{
    AdmissionError, BlockDecodeError, Changes, DocumentVersion, Entry, EntryProof, EntryProofError, Genesis,
    Limits, MAX_INLINE, MAX_MATERIAL, MAX_TRANSACTION_BYTES, MemoryState, Outcome, RejectionReason, Role,
    StateError, Transaction, VerifiedTransaction, admissible, keys,
};
use threshold::encoding::{Canonical, DecodeError, Writer};
use threshold::ids::{BlockHash, ChainId};

use crate::bounds::refused_block;
use crate::evidence::evidence;
use crate::support::{START_MS, World, create_tenant, document, genesis_with, key, name, revoke};

#[test]
fn p12_a_transaction_in_a_block_is_bounded_before_it_is_read() {
    let mut body = Writer::new();
    body.u32(1);
    body.count(MAX_TRANSACTION_BYTES + 1);
    assert_eq!(
        refused_block(&body.finish(), 1),
        BlockDecodeError::Malformed(DecodeError::TooLong("field"))
    );
    let mut entry = Writer::new();
    entry.count(MAX_TRANSACTION_BYTES + 1);
    assert_eq!(
        Entry::from_bytes(&entry.finish()),
        Err(DecodeError::TooLong("field"))
    );
}

#[test]
fn d13_a_verified_transaction_of_another_chain_is_not_admissible() {
    // The same parties in another installation: the author is known on both chains.
    let other = Genesis::new(
        name("other-net"),
        START_MS,
        World::empty(40).genesis.organisations().to_vec(),
        Vec::new(),
        Vec::new(),
        Limits::default(),
    )
    .unwrap();
    let transaction = World::begin(other, 40).sign("admin-0", create_tenant("acme"));
    let verified = VerifiedTransaction::verify(transaction).unwrap();
    let world = World::empty(40);
    assert_ne!(verified.transaction().chain_id, world.genesis.chain_id());
    assert_eq!(
        admissible(&world.state, &verified, START_MS),
        Err(AdmissionError::WrongChain)
    );
}

#[test]
fn the_headers_of_a_proof_have_heights_that_follow() {
    // A header that names the right parent, and a height too far ahead.
    let mut world = World::ready(41);
    world.add(&[]);
    let [first, second] = &world.blocks[world.blocks.len() - 2..] else {
        unreachable!()
    };
    let mut skipping = second.header().clone();
    skipping.height += 1;
    assert_eq!(skipping.parent, first.hash());
    let proof = EntryProof {
        index: first.header().first_index(),
        path: Vec::new(),
        headers: vec![first.header().clone(), skipping.clone()],
        evidence: evidence(&world.genesis, skipping.hash().0, &[0, 1, 2]),
    };
    assert!(matches!(
        proof.verify(&world.genesis, &first.entries()[0]),
        Err(EntryProofError::BrokenChain)
    ));
}

#[test]
fn p12_the_path_of_a_proof_is_bounded() {
    let world = World::ready(42);
    let last = world.blocks.last().unwrap();
    let proof = EntryProof {
        index: 0,
        path: vec![[0; 32]; 65],
        headers: vec![last.header().clone()],
        evidence: evidence(&world.genesis, last.hash().0, &[0, 1, 2]),
    };
    assert_eq!(
        EntryProof::from_bytes(&proof.to_bytes()),
        Err(DecodeError::TooLong("field"))
    );
}

#[test]
fn e8_a_proof_that_ends_early_says_nothing_of_a_larger_tree() {
    let [one, two] = [b"one", b"two"].map(|entry| leaf_hash(entry));
    let root = node_hash(&one, &two);
    assert!(verify_consistency(1, 2, &[two], &one, &root).is_ok());
    for larger in [3, 4, 1 << 40] {
        let refused = verify_consistency(1, larger, &[two], &one, &root);
        assert!(matches!(refused, Err(ProofError::WrongLength)), "{refused:?}");
    }
}

#[test]
fn p12_a_stored_version_is_bounded_as_a_written_one_is() {
    let version = World::ready(43).version("q3", 1).unwrap();
    for longer in [
        DocumentVersion {
            material: vec![0; MAX_MATERIAL + 1],
            ..version.clone()
        },
        DocumentVersion {
            inline: Some(vec![0; MAX_INLINE + 1]),
            ..version.clone()
        },
    ] {
        assert_eq!(
            DocumentVersion::from_bytes(&longer.to_bytes()),
            Err(DecodeError::TooLong("field"))
        );
    }
}

/// The state with one value exchanged.
fn damaged(world: &World, key: Vec<u8>, value: Vec<u8>) -> MemoryState {
    let (mut state, mut changes) = (world.state.clone(), Changes::new());
    changes.put(key, value);
    state.apply(&changes);
    state
}

#[test]
fn a_damaged_state_is_named_and_not_read() {
    let world = World::ready(44);
    let mut peaks = Writer::new();
    peaks.u64(u64::MAX);
    peaks.count(65);
    let mut empty = Writer::new();
    empty.u64(0);
    empty.count(0);
    empty.u8(0);
    for (bytes, error) in [
        (peaks.finish(), DecodeError::TooLong("field")),
        (empty.finish(), DecodeError::Trailing),
    ] {
        let state = damaged(&world, keys::FRONTIER.to_vec(), bytes);
        assert_eq!(
            queries::frontier(&state),
            Err(StateError::corrupt(keys::FRONTIER, error))
        );
    }

    let (tenant, dataset, q3) = (name("acme"), name("reports"), document("q3"));
    let latest = keys::latest(&tenant, &dataset, &q3);
    let state = damaged(&world, latest.clone(), vec![0; 9]);
    assert_eq!(
        queries::latest_version(&state, &tenant, &dataset, &q3),
        Err(StateError::corrupt(&latest, DecodeError::Trailing))
    );

    let node = keys::log_node(0, 0);
    let state = damaged(&world, node, vec![0; 33]);
    let read = golden_record::merkle::NodeReader::node(&LogNodes(&state), 0, 0);
    assert!(matches!(read, Err(StateError::Corrupt { .. })), "{read:?}");
}

#[test]
fn unknown_outcomes_are_refused() {
    for unknown in [0, 7, 0xff] {
        assert_eq!(
            Outcome::from_bytes(&[unknown]),
            Err(DecodeError::Invalid("outcome"))
        );
    }
}

#[test]
fn a_role_is_revoked_of_a_user_who_exists() {
    let mut world = World::ready(45);
    let outcome = world.one("olga", revoke("reports", "nobody", Role::Reader));
    assert_eq!(outcome, Outcome::Rejected(RejectionReason::UnknownUser));
}

#[test]
fn p12_ids_that_expire_at_once_are_forgotten_a_few_in_each_block() {
    // A block of at most 4 entries forgets at most 4 + 256 ids.
    let limits = Limits {
        max_block_entries: 4,
        ..Limits::default()
    };
    let mut world = World::begin(genesis_with(limits), 46);
    let (chain_id, expires_ms) = (world.genesis.chain_id(), START_MS + 60_000);
    for block in 0..70_u8 {
        let transactions: Vec<_> = (0..4_u8)
            .map(|entry| {
                let nonce = std::array::from_fn(|i| [block, entry][i % 2]);
                Transaction::sign(
                    chain_id,
                    &key("admin-0"),
                    nonce,
                    expires_ms,
                    create_tenant("acme"),
                )
            })
            .collect();
        world.add(&transactions);
    }
    let remembered = |world: &World| world.state.range(b"tx/").count();
    assert_eq!(remembered(&world), 280);
    world.time_ms = expires_ms + 2_000;
    world.add(&[]);
    assert_eq!(remembered(&world), 20);
    world.add(&[]);
    assert_eq!(remembered(&world), 0);
}

#[test]
fn every_field_of_a_header_is_hashed() {
    let header = World::ready(47).header;
    let changes: [fn(&mut golden_record::Header); 9] = [
        |h| h.chain_id = ChainId([9; 32]),
        |h| h.height += 1,
        |h| h.parent = BlockHash([9; 32]),
        |h| h.time_ms += 1,
        |h| h.entries += 1,
        |h| h.body_hash = [9; 32],
        |h| h.log_size += 1,
        |h| h.log_root = [9; 32],
        |h| h.state_digest = [9; 32],
    ];
    let mut hashes = std::collections::BTreeSet::from([header.hash()]);
    for change in changes {
        let mut changed = header.clone();
        change(&mut changed);
        assert!(hashes.insert(changed.hash()));
    }
}

#[test]
fn every_field_of_a_transaction_is_in_its_id() {
    let honest = World::empty(48).sign("admin-0", create_tenant("acme"));
    let changes: [fn(&mut Transaction); 5] = [
        |t| t.chain_id = ChainId([9; 32]),
        |t| t.author = crate::support::public("admin-1"),
        |t| t.nonce[0] ^= 1,
        |t| t.expires_ms += 1,
        |t| t.body = create_tenant("other"),
    ];
    let mut ids = std::collections::BTreeSet::from([honest.tx_id()]);
    for change in changes {
        let mut changed = honest.clone();
        change(&mut changed);
        assert!(ids.insert(changed.tx_id()));
        assert_eq!(
            VerifiedTransaction::verify(changed).unwrap_err(),
            golden_record::TransactionError::Signature
        );
    }
}
