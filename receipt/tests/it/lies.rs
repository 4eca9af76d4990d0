//! Receipts that are well made and false: each check, and what slips through without it.

use golden_record::{Body, DenialReason, Entry, EntryProof, Header, Outcome, SignedCheckpoint, Transaction};
use receipt::Receipt;
use threshold::committee::ParticipantIndex;
use threshold::encoding::Canonical;
use threshold::ids::{ApproveId, BlockHash, ChainId, KeyId, ManifestDigest, WriteId};
use threshold::reencrypt::{Context, ReaderKey, reencrypt};
use threshold::secret::DataKey;
use threshold::signature::PublicKey;
use threshold::testing::{TestCommittee, TestRng};
use threshold::wrap::{WrappedKey, wrap};

use crate::support::{ORGANISATIONS, Scene, checkpoint, evidence, failed_step, key, name};

/// Signs the request again, as rita and her reader's key, after a change.
fn sign_again(scene: &Scene, transaction: &mut Transaction) {
    let body = transaction.body.clone();
    let (nonce, expires_ms) = (transaction.nonce, transaction.expires_ms);
    *transaction = Transaction::sign_read(
        transaction.chain_id,
        &key("rita"),
        &scene.reader,
        nonce,
        expires_ms,
        body,
    );
}

#[test]
fn parts_of_two_chains_are_refused() {
    let scene = Scene::new();
    let foreign = ChainId([1; 32]);
    let mut other_request = scene.approved.clone();
    other_request.entry.transaction.chain_id = foreign;
    assert_eq!(failed_step(&scene.judge_receipt(&other_request)), "chain");
    assert_eq!(
        scene.fails(|receipt| receipt.proof.headers[1].chain_id = foreign),
        "chain"
    );
    let mut header = scene.header().clone();
    header.chain_id = foreign;
    let other_checkpoint = checkpoint(&header, &ORGANISATIONS);
    assert_eq!(
        scene.fails(|receipt| receipt.checkpoint = Some(other_checkpoint.clone())),
        "chain"
    );
}

#[test]
fn a_request_that_its_author_has_not_signed_is_refused() {
    let scene = Scene::new();
    let other = &scene.denied.entry.transaction;
    assert_eq!(
        scene.fails(|receipt| receipt.entry.transaction.signature = other.signature),
        "request"
    );
    // Nor without the signature of the key that reads.
    assert_eq!(
        scene.fails(|receipt| receipt.entry.transaction.possession = other.possession),
        "request"
    );
}

#[test]
fn another_kind_of_entry_is_no_read() {
    let scene = Scene::new();
    let grant = scene.entries[0].clone();
    let index = 0;
    let proof = scene.prove(index, 1);
    let mut receipt = scene.approved.clone();
    (receipt.entry, receipt.proof, receipt.checkpoint) = (grant, proof, None);
    assert_eq!(failed_step(&scene.judge_receipt(&receipt)), "request");
}

#[test]
fn a_request_or_verdict_that_is_not_in_the_log_is_refused() {
    let scene = Scene::new();
    // The denied read, called approved.
    let outcome = scene.approved.entry.outcome;
    let mut receipt = scene.approved.clone();
    (receipt.entry, receipt.proof) = (scene.denied.entry.clone(), scene.denied.proof.clone());
    receipt.entry.outcome = outcome;
    assert_eq!(failed_step(&scene.judge_receipt(&receipt)), "inclusion");
    // The approved one, called denied.
    let mut receipt = scene.denied.clone();
    (receipt.entry, receipt.proof) = (scene.approved.entry.clone(), scene.approved.proof.clone());
    receipt.entry.outcome = Outcome::Denied(DenialReason::NotAReader);
    assert_eq!(failed_step(&scene.judge_receipt(&receipt)), "inclusion");
    // Another purpose, signed again.
    let mut receipt = scene.approved.clone();
    if let Body::RequestRead { purpose, .. } = &mut receipt.entry.transaction.body {
        *purpose = "another".into();
    }
    sign_again(&scene, &mut receipt.entry.transaction);
    assert_eq!(failed_step(&scene.judge_receipt(&receipt)), "inclusion");
    // Another place in the log.
    assert_eq!(scene.fails(|receipt| receipt.proof.index -= 1), "inclusion");
    // A block of another log.
    assert_eq!(
        scene.fails(|receipt| receipt.proof.headers[0].log_root = [1; 32]),
        "inclusion"
    );
    assert_eq!(
        scene.fails(|receipt| receipt.proof.headers[1].parent = BlockHash([1; 32])),
        "inclusion"
    );
    assert_eq!(scene.fails(|receipt| receipt.proof.headers.clear()), "inclusion");
}

#[test]
fn e6_a_block_that_too_few_have_voted_for_is_refused() {
    let scene = Scene::new();
    let last = scene.headers.last().unwrap().hash().0;
    let two = evidence(&scene.genesis, last, &["north", "west"]);
    assert_eq!(
        scene.fails(|receipt| receipt.proof.evidence = two.clone()),
        "finality"
    );
    let stale = evidence(&scene.genesis, scene.header().hash().0, &ORGANISATIONS);
    assert_eq!(
        scene.fails(|receipt| receipt.proof.evidence = stale.clone()),
        "finality"
    );
    let relabelled = golden_record::FinalityEvidence {
        payload: last,
        ..stale
    };
    assert_eq!(
        scene.fails(|receipt| receipt.proof.evidence = relabelled.clone()),
        "finality"
    );
}

#[test]
fn a_checkpoint_must_be_of_this_log_and_signed_by_a_quorum_and_nobody_else() {
    let scene = Scene::new();
    let with = |signed: &SignedCheckpoint| scene.fails(|receipt| receipt.checkpoint = Some(signed.clone()));
    assert_eq!(
        with(&checkpoint(scene.header(), &["north", "east"])),
        "checkpoint"
    );
    assert_eq!(with(&checkpoint(&scene.headers[3], &ORGANISATIONS)), "checkpoint");
    let mut forked = scene.header().clone();
    forked.log_root = [1; 32];
    assert_eq!(with(&checkpoint(&forked, &ORGANISATIONS)), "checkpoint");
    let mut witnessed = checkpoint(scene.header(), &ORGANISATIONS);
    witnessed.sign(&name("witness"), &key("witness")).unwrap();
    assert_eq!(with(&witnessed), "checkpoint");
    let mut forged = checkpoint(scene.header(), &["north", "east", "west"]);
    forged.sign(&name("south"), &key("eve")).unwrap();
    assert_eq!(with(&forged), "checkpoint");
}

#[test]
fn a_denied_read_with_a_release_is_refused() {
    let scene = Scene::new();
    let approved = &scene.approved;
    let adding: [fn(&mut Receipt, &Receipt); 5] = [
        |receipt, approved| receipt.wrapped_key.clone_from(&approved.wrapped_key),
        |receipt, approved| receipt.certificates.clone_from(&approved.certificates),
        |receipt, approved| receipt.committee.clone_from(&approved.committee),
        |receipt, approved| receipt.shares.clone_from(&approved.shares),
        |receipt, approved| receipt.statements.clone_from(&approved.statements),
    ];
    for add in adding {
        let mut receipt = scene.denied.clone();
        add(&mut receipt, approved);
        assert_eq!(failed_step(&scene.judge_receipt(&receipt)), "verdict");
    }
}

#[test]
fn c4_another_wrapped_key_is_refused() {
    let scene = Scene::new();
    let mut rng = TestRng::new("another");
    let key = scene.nodes.manifest().custody_key();
    // Of the same document, made by somebody else: not the one on the chain.
    let other = wrap(key, &scene.label(1), &DataKey::from_bytes([1; 32]), &mut rng).unwrap();
    assert_eq!(
        scene.fails(|receipt| receipt.wrapped_key = Some(other.clone())),
        "wrapped_key"
    );
}

#[test]
fn d1_d2_approvals_that_do_not_satisfy_the_policy_are_refused() {
    let scene = Scene::new();
    let with =
        |certificates: Vec<Vec<u8>>| scene.fails(|receipt| receipt.certificates.clone_from(&certificates));
    assert_eq!(with(scene.certificates(&["north", "east"], |_| {})), "approval");
    assert_eq!(
        with(scene.certificates(&["north", "east", "east"], |_| {})),
        "approval"
    );
    assert_eq!(
        with(scene.certificates(&["north", "east", "eve"], |_| {})),
        "approval"
    );
    assert_eq!(with(vec![vec![7; 900]]), "approval");
}

#[test]
fn d13_approvals_of_anything_else_are_refused() {
    let scene = Scene::new();
    let all = ["north", "east", "west"];
    let other_q = ReaderKey::generate(&mut TestRng::new("q")).public();
    let changed = [
        scene.certificates(&all, |fields| fields.approve_id = ApproveId([1; 32])),
        scene.certificates(&all, |fields| fields.write_id = WriteId([1; 32])),
        scene.certificates(&all, |fields| fields.q = other_q),
        scene.certificates(&all, |fields| fields.key_id = KeyId([1; 32])),
        scene.certificates(&all, |fields| fields.label.version = 2),
        scene.certificates(&all, |fields| fields.chain_id = ChainId([1; 32])),
        scene.certificates(&all, |fields| fields.height += 1),
        scene.certificates(&all, |fields| fields.block_hash = BlockHash([1; 32])),
    ];
    for certificates in changed {
        assert_eq!(
            scene.fails(|receipt| receipt.certificates.clone_from(&certificates)),
            "approval"
        );
    }
    // Two that agree and one of another version of the policy.
    let mut mixed = scene.certificates(&["north", "east"], |_| {});
    mixed.extend(scene.certificates(&["west"], |fields| fields.policy_version = 2));
    assert_eq!(
        scene.fails(|receipt| receipt.certificates.clone_from(&mixed)),
        "approval"
    );
}

#[test]
fn d9_a_release_outside_the_approvals_time_is_refused() {
    let scene = Scene::new();
    for (late, seat) in [(1_000_000, 1), (1_000_000, 4)] {
        let statements = scene.statements(|statement| {
            if statement.index.get() == seat {
                statement.time_ms += late;
            }
        });
        assert_eq!(
            scene.fails(|receipt| receipt.statements.clone_from(&statements)),
            "approval"
        );
    }
    let early = scene.statements(|statement| statement.time_ms -= 60_000);
    assert_eq!(
        scene.fails(|receipt| receipt.statements.clone_from(&early)),
        "approval"
    );
}

#[test]
fn b3_another_committee_is_refused() {
    let scene = Scene::new();
    let other = TestCommittee::generate(3, 5, &mut TestRng::new("other")).unwrap();
    assert_eq!(
        scene.fails(|receipt| receipt.committee = Some(other.signed.clone())),
        "committee"
    );
    let mut unsigned = scene.nodes.signed.clone();
    unsigned.signatures[2] = unsigned.signatures[1];
    assert_eq!(
        scene.fails(|receipt| receipt.committee = Some(unsigned.clone())),
        "committee"
    );
}

#[test]
fn c11_shares_that_are_too_few_or_repeated_are_refused() {
    let scene = Scene::new();
    let keep = |count: usize| {
        scene.fails(|receipt| {
            receipt.shares.truncate(count);
            receipt.statements.truncate(count);
        })
    };
    assert_eq!(keep(2), "shares");
    assert_eq!(keep(1), "shares");
    assert_eq!(
        scene.fails(|receipt| receipt.shares[2] = receipt.shares[1]),
        "shares"
    );
    assert_eq!(
        scene.fails(|receipt| {
            let (share, statement) = (receipt.shares[0], receipt.statements[0]);
            receipt.shares.push(share);
            receipt.statements.push(statement);
        }),
        "shares"
    );
}

#[test]
fn c5_a_share_of_another_read_is_refused() {
    let scene = Scene::new();
    let index = ParticipantIndex::new(1).unwrap();
    let share = scene.nodes.share(index).unwrap();
    let mut rng = TestRng::new("another read");
    let q = ReaderKey::generate(&mut rng).public();
    let approve_id = scene.approved.entry.transaction.tx_id();
    for (approve_id, q) in [(ApproveId([1; 32]), scene.reader.public()), (approve_id, q)] {
        let context = Context::new(scene.nodes.manifest(), &scene.wrapped, approve_id, &q).unwrap();
        let other = reencrypt(share, &context, &mut rng).unwrap();
        assert_eq!(scene.fails(|receipt| receipt.shares[0] = other), "shares");
    }
}

#[test]
fn p9_a_statement_must_be_its_nodes_own_and_about_this_release() {
    let scene = Scene::new();
    let q: PublicKey = ReaderKey::generate(&mut TestRng::new("q")).public();
    let changed = [
        scene.statements(|statement| statement.manifest_digest = ManifestDigest([1; 32])),
        scene.statements(|statement| statement.approve_id = ApproveId([1; 32])),
        scene.statements(|statement| statement.write_id = WriteId([1; 32])),
        scene.statements(|statement| statement.q = q),
        scene.statements(|statement| statement.share_digest = [1; 32]),
    ];
    for statements in changed {
        assert_eq!(
            scene.fails(|receipt| receipt.statements.clone_from(&statements)),
            "statements"
        );
    }
    assert_eq!(
        scene.fails(|receipt| receipt.statements[1].journal_position += 1),
        "statements"
    );
    assert_eq!(scene.fails(|receipt| receipt.statements.swap(0, 1)), "statements");
    assert_eq!(
        scene.fails(|receipt| receipt.statements.truncate(2)),
        "statements"
    );
    assert_eq!(
        scene.fails(|receipt| {
            let statement = receipt.statements[0];
            receipt.statements.push(statement);
        }),
        "statements"
    );
    let ninth = ParticipantIndex::new(9).unwrap();
    assert_eq!(
        scene.fails(|receipt| receipt.statements[0].index = ninth),
        "statements"
    );
}

/// A receipt of what the endorsers have recorded together although it is not true.
fn recorded_by_liars(scene: &Scene, entry: Entry) -> Receipt {
    let header = Header {
        entries: 1,
        log_size: 1,
        log_root: entry.leaf_hash(),
        ..scene.header().clone()
    };
    let mut receipt = scene.approved.clone();
    receipt.proof = EntryProof {
        index: 0,
        path: Vec::new(),
        evidence: evidence(&scene.genesis, header.hash().0, &ORGANISATIONS),
        headers: vec![header],
    };
    (receipt.entry, receipt.checkpoint) = (entry, None);
    receipt
}

#[test]
fn c6_even_all_endorsers_together_do_not_make_another_wrapped_key_the_documents() {
    let scene = Scene::new();
    let approved = |write: WriteId, key: KeyId| {
        let mut entry = scene.approved.entry.clone();
        if let Outcome::Approved { write_id, key_id, .. } = &mut entry.outcome {
            (*write_id, *key_id) = (write, key);
        }
        entry
    };
    let refused = |wrapped: WrappedKey, key_id: KeyId, why: &str| {
        let mut receipt = recorded_by_liars(&scene, approved(wrapped.write_id(), key_id));
        receipt.wrapped_key = Some(wrapped);
        let judged = scene.judge_receipt(&receipt);
        assert_eq!(failed_step(&judged), "wrapped_key");
        assert!(judged.to_string().contains(why), "{judged}");
    };
    let key = scene.nodes.manifest().custody_key();
    let data_key = DataKey::from_bytes([1; 32]);
    let other = wrap(key, &scene.label(2), &data_key, &mut TestRng::new("version 2")).unwrap();
    refused(other, key.key_id(), "which was not asked for");
    refused(
        scene.wrapped.clone(),
        KeyId([1; 32]),
        "not the one that the ledger approved",
    );
    // The last scalar before the ciphertext of 80 bytes: its response.
    let mut bytes = scene.wrapped.to_bytes();
    let place = bytes.len() - 80 - 32;
    bytes[place] ^= 1;
    let unproven = WrappedKey::from_bytes(&bytes).unwrap();
    refused(unproven, key.key_id(), "proof does not hold");
}

#[test]
fn a_request_to_read_is_approved_permitted_or_denied_and_nothing_else() {
    let scene = Scene::new();
    let pending = Outcome::Pending {
        confirmed: 1,
        needed: 3,
    };
    for outcome in [Outcome::Applied, pending] {
        let entry = Entry {
            outcome,
            ..scene.approved.entry.clone()
        };
        let judged = scene.judge_receipt(&recorded_by_liars(&scene, entry));
        assert_eq!(failed_step(&judged), "verdict");
    }
}

#[test]
fn a_verdict_about_another_version_than_was_asked_for_is_refused() {
    let scene = Scene::new();
    let mut entry = scene.approved.entry.clone();
    if let Outcome::Approved { version, .. } = &mut entry.outcome {
        *version = 2;
    }
    let judged = scene.judge_receipt(&recorded_by_liars(&scene, entry.clone()));
    assert_eq!(failed_step(&judged), "verdict");
    entry.outcome = Outcome::Permitted { version: 2 };
    let judged = scene.judge_receipt(&bare(recorded_by_liars(&scene, entry)));
    assert_eq!(failed_step(&judged), "verdict");
}

/// Without a release.
fn bare(receipt: Receipt) -> Receipt {
    Receipt {
        wrapped_key: None,
        certificates: Vec::new(),
        committee: None,
        shares: Vec::new(),
        statements: Vec::new(),
        ..receipt
    }
}

#[test]
fn a_read_that_needed_no_key_is_valid_and_releases_none() {
    let scene = Scene::new();
    let entry = Entry {
        outcome: Outcome::Permitted { version: 1 },
        ..scene.approved.entry.clone()
    };
    let released = recorded_by_liars(&scene, entry);
    assert!(bare(released.clone()).verify(&scene.roots).is_ok());
    assert_eq!(failed_step(&scene.judge_receipt(&released)), "verdict");
}

#[test]
fn the_latest_version_is_the_one_of_the_verdict() {
    let mut scene = Scene::new();
    let mut entry = scene.approved.entry.clone();
    if let Body::RequestRead { version, .. } = &mut entry.transaction.body {
        *version = 0;
    }
    sign_again(&scene, &mut entry.transaction);
    let made = recorded_by_liars(&scene, entry);
    // Everything again for the request that names no version, in its block.
    scene.approved.entry = made.entry.clone();
    let last = scene.headers.len() - 2;
    scene.headers[last] = made.proof.headers[0].clone();
    scene.approved.proof = made.proof;
    scene.approved.checkpoint = None;
    scene.approved.shares = [1, 3, 4].iter().map(|seat| scene.share(*seat)).collect();
    scene.approved.statements = scene.statements(|_| {});
    scene.approved.certificates = scene.certificates(&["north", "east", "west"], |_| {});
    assert!(scene.approved.verify(&scene.roots).is_ok());
    assert!(scene.approved.to_text().contains("q3.pdf, version 1\n"));
}
