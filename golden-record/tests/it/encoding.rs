//! Bytes from strangers: whatever they are, they end as a value or as an error.

use golden_record::{
    Block, Body, Change, Configuration, DocumentVersion, Encryption, Entry, EntryProof, FinalityEvidence,
    Genesis, Header, Transaction, VerifiedBlock, VerifiedTransaction,
};
use proptest::prelude::*;
use threshold::encoding::Canonical;

use crate::bodies::{configure, erase, govern, link, revoke_user, rotate, rotate_admin, target};
use crate::support::{World, committee, create_tenant, create_user, grant, revoke, set_active};
use golden_record::{Role, Storage};

/// One transaction of every kind, and the world they are for.
pub fn one_of_each() -> (World, Vec<Transaction>) {
    let mut world = World::ready(10);
    let release = world.approved(1);
    let open = Configuration {
        encryption: Encryption::Platform,
        storage: Storage::Outside,
        permissions: false,
        fixed: true,
    };
    let certificate = Change::ReplaceCertificate {
        organisation: crate::support::name("org-0"),
        certificate: b"another certificate".to_vec(),
    };
    let bodies = [
        (
            "admin-0",
            Body::PublishCommittee {
                manifest: committee("second"),
            },
        ),
        ("admin-0", create_tenant("third")),
        ("acme-admin", create_user("acme", "frank")),
        ("acme-admin", world.create_dataset("second")),
        ("olga", grant("reports", "nora", Role::Reader)),
        ("olga", revoke("reports", "nora", Role::Reader)),
        ("olga", set_active("reports", true)),
        ("wendy", world.write("reports", "q3", 2)),
        (
            "coordinator",
            Body::RecordReleases {
                releases: vec![release],
            },
        ),
        ("rita", rotate("rita", "rita's new key")),
        ("acme-admin", revoke_user("nora")),
        ("acme-admin", rotate_admin("acme's new admin")),
        ("olga", configure("reports", open)),
        ("olga", erase("reports", "q3", 1)),
        ("wendy", link(1, Some(target("reports", "q3", 2)))),
        ("admin-0", govern(1, certificate)),
    ];
    let mut transactions: Vec<_> = bodies
        .into_iter()
        .map(|(who, body)| world.sign(who, body))
        .collect();
    let wish = world.read("rita", "q3", 1);
    transactions.insert(0, world.sign_read("rita", wish));
    (world, transactions)
}

#[test]
fn every_kind_goes_both_ways() {
    let (mut world, transactions) = one_of_each();
    for transaction in &transactions {
        let bytes = transaction.to_bytes();
        assert_eq!(
            &Transaction::parse(&bytes).unwrap(),
            transaction,
            "{}",
            transaction.body.kind()
        );
        let verified = VerifiedTransaction::verify(transaction.clone()).unwrap();
        assert_eq!(verified.encoded_len(), bytes.len());
        assert_eq!(*verified.digest(), transaction.digest());
        assert_eq!(verified.id(), transaction.tx_id());
    }
    let kinds: std::collections::BTreeSet<_> = transactions.iter().map(|one| one.body.kind()).collect();
    assert_eq!(kinds.len(), 17);
    world.add(&transactions);
    let block = world.blocks.last().unwrap();
    assert_eq!(&Block::from_bytes(&block.to_bytes()).unwrap(), block);
    for entry in block.entries() {
        assert_eq!(&Entry::from_bytes(&entry.to_bytes()).unwrap(), entry);
    }
    let version = world.version("q3", 2).unwrap();
    assert_eq!(DocumentVersion::from_bytes(&version.to_bytes()).unwrap(), version);
}

#[test]
fn every_truncation_is_refused() {
    let (_, transactions) = one_of_each();
    for transaction in transactions {
        let bytes = transaction.to_bytes();
        for length in 0..bytes.len() {
            assert!(Transaction::parse(&bytes[..length]).is_err());
        }
        let longer = [bytes, vec![0]].concat();
        assert!(Transaction::parse(&longer).is_err());
    }
}

#[test]
fn sets_are_encoded_ascending_only() {
    let mut world = World::ready(10);
    let Body::CreateDataset {
        tenant,
        dataset,
        writers,
        readers,
        configuration,
        ..
    } = world.create_dataset("second")
    else {
        unreachable!()
    };
    let owners = crate::support::names(&["aa", "bb"]);
    let body = Body::CreateDataset {
        tenant,
        dataset,
        owners,
        writers,
        readers,
        configuration,
    };
    let bytes = world.sign("acme-admin", body).to_bytes();
    let at = bytes
        .windows(12)
        .position(|window| window == b"\0\0\0\x02aa\0\0\0\x02bb")
        .unwrap();
    for names in [b"bbaa", b"aaaa"] {
        let mut changed = bytes.clone();
        changed[at + 4..at + 6].copy_from_slice(&names[..2]);
        changed[at + 10..at + 12].copy_from_slice(&names[2..]);
        assert!(Transaction::parse(&changed).is_err());
    }
}

#[test]
fn a_giant_is_refused_before_it_is_parsed() {
    let bytes = vec![0xff; golden_record::MAX_TRANSACTION_BYTES + 1];
    assert_eq!(
        Transaction::parse(&bytes),
        Err(golden_record::TransactionError::TooLarge)
    );
}

/// Nothing panics, and what is accepted is written back as it came.
fn survive<T: Canonical>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes);
    }
}

fn survive_all(bytes: &[u8]) {
    survive::<Transaction>(bytes);
    survive::<Body>(bytes);
    survive::<Entry>(bytes);
    survive::<Header>(bytes);
    survive::<Genesis>(bytes);
    survive::<FinalityEvidence>(bytes);
    survive::<EntryProof>(bytes);
    survive::<DocumentVersion>(bytes);
    let _ = Block::inspect(bytes);
    if let Ok(block) = Block::from_bytes(bytes) {
        assert_eq!(block.to_bytes(), bytes);
    }
    let _ = VerifiedBlock::from_bytes(bytes, &|_| None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn p12_random_bytes_end_as_errors(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        survive_all(&bytes);
        // The same behind a plausible beginning.
        survive_all(&[&[1, 1][..], &bytes].concat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn p12_no_flipped_bit_is_accepted(kind in 0usize..17, place in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (_, transactions) = one_of_each();
        let mut bytes = transactions[kind].to_bytes();
        let at = place.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let accepted = Transaction::parse(&bytes).and_then(VerifiedTransaction::verify);
        prop_assert!(accepted.is_err(), "byte {at} of {}", transactions[kind].body.kind());
    }

    #[test]
    fn p12_a_damaged_block_is_refused(place in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (mut world, transactions) = one_of_each();
        world.add(&transactions);
        let block = world.blocks.pop().unwrap();
        let mut bytes = block.to_bytes();
        let at = place.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let same = Block::inspect(&bytes).is_ok_and(|header| header.hash() == block.hash());
        prop_assert!(!same);
        survive_all(&bytes);
    }
}
