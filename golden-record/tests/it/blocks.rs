//! Building blocks, checking them, and standing on ancestors that are not final.

use std::collections::BTreeMap;
use std::sync::Arc;

use golden_record::Outcome::{self, Applied};
use golden_record::{
    AdmissionError, Block, BlockDecodeError, BlockError, ExecuteError, Header, Limits, MemoryState, Overlay,
    Role, StateError, StateReader, TimeError, Transaction, TransactionError, VerifiedBlock,
    VerifiedTransaction, admit, check_time, execute, verify_block,
};
use proptest::prelude::*;

use crate::support::{START_MS, World, create_tenant, create_user, genesis_with, grant, key, set_active};

fn nothing_known(_: &[u8; 32]) -> Option<VerifiedTransaction> {
    None
}

/// A block after the world's newest, with its header and entries as `change` leaves them.
fn forged(world: &World, block: &Block, change: impl Fn(&mut Header)) -> Result<(), BlockError> {
    let mut header = block.header().clone();
    change(&mut header);
    let mut bytes = threshold::encoding::Canonical::to_bytes(&header);
    let body_at = threshold::encoding::Canonical::to_bytes(block.header()).len();
    bytes.extend_from_slice(&block.to_bytes()[body_at..]);
    let verified = VerifiedBlock::from_bytes(&bytes, &nothing_known)?;
    verify_block(&world.header, &world.state, &verified).map(|_| ())
}

#[test]
fn every_field_of_the_header_is_checked() {
    let mut world = World::ready(6);
    let transaction = world.sign("olga", grant("reports", "nora", Role::Reader));
    let block = world.build(&[transaction]).block;
    assert_eq!(forged(&world, &block, |_| {}), Ok(()));
    let wrong = |change: fn(&mut Header)| forged(&world, &block, change).unwrap_err();
    assert_eq!(wrong(|header| header.chain_id.0[0] ^= 1), BlockError::WrongParent);
    assert_eq!(wrong(|header| header.height += 1), BlockError::WrongParent);
    assert_eq!(wrong(|header| header.parent.0[0] ^= 1), BlockError::WrongParent);
    assert_eq!(
        wrong(|header| header.time_ms = START_MS),
        BlockError::Execute(ExecuteError::Time(TimeError::BeforeParent))
    );
    assert_eq!(
        wrong(|header| header.entries += 1),
        BlockError::Malformed(BlockDecodeError::Body)
    );
    assert_eq!(
        wrong(|header| header.body_hash[0] ^= 1),
        BlockError::Malformed(BlockDecodeError::Body)
    );
    assert_eq!(
        wrong(|header| header.log_size += 1),
        BlockError::WrongHeader("log size")
    );
    assert_eq!(
        wrong(|header| header.log_root[0] ^= 1),
        BlockError::WrongHeader("log root")
    );
    assert_eq!(
        wrong(|header| header.state_digest[0] ^= 1),
        BlockError::WrongHeader("state digest")
    );
    // The time is bound by the state only through what depends on it; the hash covers it in any case.
    let mut later = block.header().clone();
    later.time_ms += 1;
    assert_ne!(later.hash(), block.hash());
}

#[test]
fn a_wrong_outcome_is_not_voted_for() {
    let mut world = World::ready(6);
    let wish = world.read("nora", "q3", 1);
    let request = world.sign_read("nora", wish);
    let block = world.build(&[request]).block;
    // The same block with the denial turned into an approval, hashed anew.
    let mut entries = block.entries().to_vec();
    let written = world.version("q3", 1).unwrap().wrapped_key.unwrap();
    let approved = Outcome::Approved {
        version: 1,
        write_id: written.write_id(),
        key_id: written.key_id(),
    };
    let computed = entries[0].outcome;
    entries[0].outcome = approved;
    let bytes = rebuilt(&block, &entries);
    let verified = VerifiedBlock::from_bytes(&bytes, &nothing_known).unwrap();
    let refused = verify_block(&world.header, &world.state, &verified).unwrap_err();
    assert_eq!(
        refused,
        BlockError::WrongOutcome {
            position: 0,
            claimed: Box::new(approved),
            computed: Box::new(computed),
        }
    );
}

/// A block with other entries, and a header whose count and body hash fit them.
fn rebuilt(block: &Block, entries: &[golden_record::Entry]) -> Vec<u8> {
    use threshold::encoding::{Canonical, Writer};
    use threshold::transcript::{Domain, Transcript};
    let mut body = Writer::new();
    body.list(entries);
    let body = body.finish();
    let mut header = block.header().clone();
    header.log_size = header.first_index() + entries.len() as u64;
    header.entries = entries.len() as u32;
    header.body_hash = Transcript::new(Domain::BlockBody)
        .append("entries", &body)
        .digest();
    let mut bytes = header.to_bytes();
    bytes.extend_from_slice(&body);
    bytes
}

#[test]
fn a_badly_signed_transaction_never_enters_a_block() {
    let mut world = World::ready(6);
    let good = world.sign("olga", grant("reports", "nora", Role::Reader));
    let block = world.build(std::slice::from_ref(&good)).block;
    let mut entries = block.entries().to_vec();
    entries[0].transaction.signature.0[3] ^= 1;
    let bytes = rebuilt(&block, &entries);
    let expected = BlockError::Transaction {
        position: 0,
        error: TransactionError::Signature,
    };
    assert_eq!(
        VerifiedBlock::from_bytes(&bytes, &nothing_known).unwrap_err(),
        expected
    );
    let parsed = Block::from_bytes(&bytes).unwrap();
    assert_eq!(
        VerifiedBlock::verify(parsed, &nothing_known).unwrap_err(),
        expected
    );

    // A cache that knows the good one under its id must not vouch for other signatures: it is asked by a digest
    // of all the bytes, and an answer for other bytes is not believed.
    let cached = VerifiedTransaction::verify(good).unwrap();
    let careless = |_: &[u8; 32]| Some(cached.clone());
    assert_eq!(
        VerifiedBlock::from_bytes(&bytes, &careless).unwrap_err(),
        expected
    );
}

#[test]
fn a_known_transaction_is_not_checked_again() {
    let mut world = World::ready(6);
    let transaction = world.sign("olga", grant("reports", "nora", Role::Reader));
    let cached = VerifiedTransaction::verify(transaction.clone()).unwrap();
    let block = world.build(&[transaction]).block;
    let asked = std::cell::Cell::new(0);
    let known = |digest: &[u8; 32]| {
        asked.set(asked.get() + 1);
        (digest == cached.digest()).then(|| cached.clone())
    };
    for verified in [
        VerifiedBlock::from_bytes(&block.to_bytes(), &known).unwrap(),
        VerifiedBlock::verify(block.clone(), &known).unwrap(),
    ] {
        assert!(std::ptr::eq(
            verified.transactions()[0].transaction(),
            cached.transaction()
        ));
        assert_eq!(verified.block(), &block);
    }
    assert_eq!(asked.get(), 2);
}

#[test]
fn d11_a_transaction_is_included_once() {
    let mut world = World::ready(6);
    let wish = world.read("rita", "q3", 1);
    let request = world.sign_read("rita", wish);
    // Twice in one proposal: the second is left out.
    let executed = world.build(&[request.clone(), request.clone()]);
    assert_eq!(executed.block.entries().len(), 1);
    assert_eq!(executed.dropped[0].error, AdmissionError::AlreadyIncluded);
    // In a block that has it twice.
    let entry = executed.block.entries()[0].clone();
    let bytes = rebuilt(&executed.block, &[entry.clone(), entry]);
    let verified = VerifiedBlock::from_bytes(&bytes, &nothing_known).unwrap();
    let refused = verify_block(&world.header, &world.state, &verified).unwrap_err();
    let expected = BlockError::NotAdmissible {
        position: 1,
        error: AdmissionError::AlreadyIncluded,
    };
    assert_eq!(refused, expected);
    // In an ancestor that is not final.
    let parent = executed.block.header().clone();
    let overlay = Overlay::new(&world.state, vec![Arc::new(executed.changes)]);
    let again = vec![VerifiedTransaction::verify(request.clone()).unwrap()];
    let next = execute(&parent, &overlay, world.time_ms + 5, again).unwrap();
    assert_eq!(next.block.entries().len(), 0);
    assert_eq!(next.dropped[0].error, AdmissionError::AlreadyIncluded);
    let refused = admit(&overlay, request, world.time_ms).unwrap_err();
    assert_eq!(refused, AdmissionError::AlreadyIncluded);
}

#[test]
fn one_wish_signed_twice_is_one_transaction() {
    let mut world = World::ready(6);
    let good = world.sign("olga", grant("reports", "nora", Role::Reader));
    let other = Transaction {
        signature: threshold::signature::Signature([7; 64]),
        ..good.clone()
    };
    assert_eq!(good.tx_id(), other.tx_id());
    assert_ne!(good.digest(), other.digest());
}

#[test]
fn what_may_not_enter_is_dropped_and_leaves_no_trace() {
    let world = World::ready(6);
    let body = || grant("reports", "nora", Role::Reader);
    let (chain, time) = (world.genesis.chain_id(), world.time_ms);
    let lifetime = world.genesis.limits().max_lifetime_ms;
    let sign =
        |who: &str, chain, expires_ms| Transaction::sign(chain, &key(who), [1; 16], expires_ms, body());
    let cases = [
        (
            sign("olga", threshold::ids::ChainId([1; 32]), time + 1000),
            AdmissionError::WrongChain,
        ),
        (sign("olga", chain, time), AdmissionError::Expired),
        (
            sign("olga", chain, time + lifetime + 1),
            AdmissionError::LifetimeTooLong,
        ),
        (
            sign("stranger", chain, time + 1000),
            AdmissionError::UnknownAuthor,
        ),
        (
            sign("auditor", chain, time + 1000),
            AdmissionError::AuthorMayNotWrite,
        ),
        (
            sign("validator-0", chain, time + 1000),
            AdmissionError::AuthorMayNotWrite,
        ),
    ];
    let before = world.build(&[]).changes;
    for (transaction, expected) in cases {
        let executed = world.build(std::slice::from_ref(&transaction));
        assert_eq!(executed.block.entries(), []);
        assert_eq!(executed.dropped[0].error, expected);
        assert_eq!(executed.changes, before);
        assert_eq!(admit(&world.state, transaction, time).unwrap_err(), expected);
    }
    // Within the limits, to the millisecond.
    for expires_ms in [time + 1, time + lifetime] {
        let transaction = sign("olga", chain, expires_ms);
        assert_eq!(world.build(std::slice::from_ref(&transaction)).dropped, []);
        admit(&world.state, transaction, time).unwrap();
    }
    let mut forged = sign("olga", chain, time + 1000);
    forged.signature.0[0] ^= 1;
    let refused = admit(&world.state, forged, time).unwrap_err();
    assert_eq!(refused, AdmissionError::Transaction(TransactionError::Signature));
    assert_eq!(refused.code(), "invalid_signature");
}

#[test]
fn a_full_block_leaves_the_rest_for_the_next() {
    let limits = Limits {
        max_block_entries: 2,
        ..Limits::default()
    };
    let mut world = World::begin(genesis_with(limits), 6);
    let transactions: Vec<_> = ["a", "b", "c"]
        .map(|tenant| world.sign("admin-0", create_tenant(tenant)))
        .into();
    let executed = world.build(&transactions);
    assert_eq!(executed.block.entries().len(), 2);
    assert_eq!(executed.dropped[0].error, AdmissionError::BlockFull);
    assert!(executed.dropped[0].error.may_pass_later());
    // A proposer that ignores the limit is refused.
    let roomy = World::begin(genesis_with(Limits::default()), 6);
    let chain = roomy.genesis.chain_id();
    assert_ne!(
        chain,
        world.genesis.chain_id(),
        "limits are part of the chain's identity"
    );

    let bytes = 70_000;
    let limits = Limits {
        max_block_bytes: bytes,
        ..Limits::default()
    };
    let mut world = World::begin(genesis_with(limits), 6);
    let transactions: Vec<_> = (0..400)
        .map(|index| world.sign("admin-0", create_tenant(&format!("tenant-{index}"))))
        .collect();
    let executed = world.build(&transactions);
    assert!(executed.block.to_bytes().len() <= bytes as usize + 500);
    assert!(executed.block.entries().len() > 200);
    assert!(
        executed
            .dropped
            .iter()
            .all(|dropped| dropped.error == AdmissionError::BlockFull)
    );
    world.check(&executed.block);
}

#[test]
fn a_block_over_the_limits_is_refused() {
    let limits = Limits {
        max_block_entries: 1,
        ..Limits::default()
    };
    let mut world = World::begin(genesis_with(limits), 6);
    let transactions: Vec<_> = ["a", "b"]
        .map(|tenant| world.sign("admin-0", create_tenant(tenant)))
        .into();
    let first = world.build(&transactions[..1]).block;
    let second = world.build(&transactions[1..]).block;
    let both = [first.entries()[0].clone(), second.entries()[0].clone()];
    let verified = VerifiedBlock::from_bytes(&rebuilt(&first, &both), &nothing_known).unwrap();
    assert_eq!(
        verify_block(&world.header, &world.state, &verified).unwrap_err(),
        BlockError::TooLarge
    );
}

#[test]
fn time_never_runs_backwards_nor_far_ahead() {
    let world = World::ready(6);
    let parent = &world.header;
    assert_eq!(check_time(parent, parent.time_ms, parent.time_ms, 0), Ok(()));
    assert_eq!(
        check_time(parent, parent.time_ms - 1, parent.time_ms, 0),
        Err(TimeError::BeforeParent)
    );
    assert_eq!(
        check_time(parent, parent.time_ms + 501, parent.time_ms, 500),
        Err(TimeError::Ahead)
    );
    assert_eq!(
        check_time(parent, parent.time_ms + 500, parent.time_ms, 500),
        Ok(())
    );
    // A proposer whose clock is behind takes its parent's time.
    let executed = execute(parent, &world.state, 5, Vec::new()).unwrap();
    assert_eq!(executed.block.header().time_ms, parent.time_ms);
}

#[test]
fn a_state_that_is_not_the_parents_is_noticed() {
    let mut world = World::ready(6);
    let old = world.header.clone();
    world.must("olga", set_active("reports", false));
    let refused = execute(&old, &world.state, world.time_ms, Vec::new()).unwrap_err();
    assert_eq!(refused, ExecuteError::WrongState);
}

#[test]
fn two_endorsers_with_different_state_cannot_agree() {
    let mut world = World::ready(6);
    let honest = world.clone();
    // One endorser's disk says that nora is a reader.
    let mut changes = golden_record::Changes::new();
    let (tenant, dataset, user) = (
        crate::support::name("acme"),
        crate::support::name("reports"),
        crate::support::name("nora"),
    );
    changes.put(
        golden_record::keys::role(&tenant, &dataset, Role::Reader, &user),
        Vec::new(),
    );
    world.state.apply(&changes);
    let wish = world.read("nora", "q3", 1);
    let request = world.sign_read("nora", wish);
    let block = world.build(&[request]).block;
    let verified = VerifiedBlock::from_bytes(&block.to_bytes(), &nothing_known).unwrap();
    let refused = verify_block(&honest.header, &honest.state, &verified).unwrap_err();
    assert!(matches!(refused, BlockError::WrongOutcome { .. }));
}

/// A store that fails at the n-th read.
struct Failing<'a>(&'a MemoryState, std::cell::Cell<usize>);

impl StateReader for Failing<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        match self.1.get() {
            0 => Err(StateError::Store("the disk is gone".to_owned())),
            left => {
                self.1.set(left - 1);
                self.0.get(key)
            }
        }
    }
}

#[test]
fn a_failing_store_is_never_taken_for_an_answer() {
    let mut world = World::ready(6);
    let wish = world.read("rita", "q3", 1);
    let request = VerifiedTransaction::verify(world.sign_read("rita", wish)).unwrap();
    let good = execute(&world.header, &world.state, world.time_ms, vec![request.clone()]).unwrap();
    let mut failures = 0;
    for reads in 0.. {
        let failing = Failing(&world.state, reads.into());
        match execute(&world.header, &failing, world.time_ms, vec![request.clone()]) {
            Ok(executed) => {
                assert_eq!(executed, good);
                break;
            }
            Err(error) => {
                assert!(matches!(error, ExecuteError::State(StateError::Store(_))));
                failures += 1;
            }
        }
    }
    assert!(failures > 10);
}

#[test]
fn a_damaged_value_is_named() {
    let mut world = World::ready(6);
    let transaction = world.sign("olga", create_user("acme", "frank"));
    let verified = VerifiedTransaction::verify(transaction).unwrap();
    let mut changes = golden_record::Changes::new();
    changes.put(
        golden_record::keys::party(&crate::support::public("olga")),
        vec![99],
    );
    world.state.apply(&changes);
    let error = execute(&world.header, &world.state, world.time_ms, vec![verified]).unwrap_err();
    assert!(
        matches!(error, ExecuteError::State(StateError::Corrupt { key, .. }) if key.starts_with("party/"))
    );
}

#[test]
fn inspection_binds_every_byte() {
    let mut world = World::ready(6);
    let transaction = world.sign("olga", grant("reports", "nora", Role::Reader));
    let block = world.build(&[transaction]).block;
    let bytes = block.to_bytes();
    assert_eq!(&Block::inspect(&bytes).unwrap(), block.header());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let other_hash = Block::inspect(&changed).is_ok_and(|header| header.hash() != block.hash());
        assert!(other_hash || Block::inspect(&changed).is_err(), "byte {at}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(Block::inspect(&longer).is_err());
    assert!(Block::inspect(&bytes[..bytes.len() - 1]).is_err());
    assert_eq!(Block::from_bytes(&bytes).unwrap(), block);
}

/// Executes the same transactions in blocks cut at `cuts`, on final state or on a stack of pending changes.
fn run(
    base: &World,
    transactions: &[Transaction],
    cuts: &[usize],
    overlay: bool,
) -> (Vec<Header>, MemoryState) {
    let mut world = base.clone();
    let (mut headers, mut pending) = (Vec::new(), Vec::new());
    let mut start = 0;
    for end in cuts.iter().copied().chain([transactions.len()]) {
        let part = transactions[start..end].iter().cloned();
        let part: Vec<_> = part
            .map(|one| VerifiedTransaction::verify(one).unwrap())
            .collect();
        start = end;
        let state = Overlay::new(&world.state, pending.clone());
        let executed = execute(&world.header, &state, base.time_ms, part).unwrap();
        world.header = executed.block.header().clone();
        headers.push(world.header.clone());
        if overlay {
            pending.push(Arc::new(executed.changes));
        } else {
            world.state.apply(&executed.changes);
        }
    }
    for changes in pending {
        world.state.apply(&changes);
    }
    (headers, world.state)
}

/// A handful of transactions that depend on each other, some of which are rejected.
fn related(world: &mut World) -> Vec<Transaction> {
    let mut all = Vec::new();
    for round in 0..3 {
        all.push(world.sign("olga", grant("reports", "nora", Role::Reader)));
        let wish = world.read("nora", "q3", 1);
        all.push(world.sign_read("nora", wish));
        all.push(world.sign("acme-admin", create_user("acme", &format!("user-{round}"))));
        let body = world.write("reports", "q3", 2 + round);
        all.push(world.sign("wendy", body));
        let wish = world.read("rita", "q3", 2 + round);
        all.push(world.sign_read("rita", wish));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn execution_is_the_same_twice_and_on_any_overlay(mut cuts in proptest::collection::vec(0usize..=15, 0..5)) {
        cuts.sort_unstable();
        let mut world = World::ready(6);
        let transactions = related(&mut world);
        let once = run(&world, &transactions, &cuts, false);
        prop_assert_eq!(&once, &run(&world, &transactions, &cuts, false));
        prop_assert_eq!(&once, &run(&world, &transactions, &cuts, true));
        // However it is cut, the log is the same and so are the facts; only heights differ.
        let whole = run(&world, &transactions, &[], false);
        prop_assert_eq!(once.0.last().unwrap().log_size, whole.0.last().unwrap().log_size);
        let facts = |state: &MemoryState| -> BTreeMap<Vec<u8>, Vec<u8>> {
            [&b"role/"[..], b"user/", b"party/", b"dataset/", b"latest/"]
                .into_iter()
                .flat_map(|prefix| state.range(prefix).map(|(key, value)| (key.to_vec(), value.to_vec())))
                .collect()
        };
        prop_assert_eq!(facts(&once.1), facts(&whole.1));
        prop_assert_eq!(once.0.last().unwrap().log_root, whole.0.last().unwrap().log_root);
    }
}

#[test]
fn outcomes_do_not_depend_on_where_blocks_are_cut() {
    let mut world = World::ready(6);
    let transactions = related(&mut world);
    let mut together = world.clone();
    let together = together.add(&transactions);
    let apart: Vec<_> = transactions
        .iter()
        .map(|one| world.add(std::slice::from_ref(one))[0])
        .collect();
    assert_eq!(together, apart);
    assert_eq!(together[0], Applied);
}
