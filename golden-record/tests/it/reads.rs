//! Read requests: approved or denied, and recorded either way.

use golden_record::Outcome::{Approved, Denied};
use golden_record::{Body, DenialReason, Role, Transaction, TransactionError, VerifiedTransaction, queries};
use threshold::encoding::{Canonical, DecodeError};

use crate::support::{ReadWish, World, committee, grant, key, revoke, set_active};

#[test]
fn an_approved_read_is_on_record_with_what_it_opens() {
    let mut world = World::ready(4);
    let wish = world.read("rita", "q3", 1);
    let q = wish.reader.public();
    let (approve_id, outcome) = world.one_read("rita", wish);
    let written = world.version("q3", 1).unwrap().wrapped_key.unwrap();
    let (write_id, key_id) = (written.write_id(), committee("first").manifest.key_id());
    let version = 1;
    assert_eq!(
        outcome,
        Approved {
            version,
            write_id,
            key_id
        }
    );
    let record = queries::read_record(&world.state, &approve_id).unwrap().unwrap();
    assert_eq!(
        (record.write_id, record.key_id, record.q),
        (write_id, key_id, *q.as_bytes())
    );
    assert_eq!(
        (record.height, record.log_index),
        (world.header.height, world.header.first_index())
    );
    let place = queries::transaction(&world.state, &approve_id).unwrap().unwrap();
    assert_eq!((place.height, place.log_index), (record.height, record.log_index));
}

#[test]
fn a_denied_read_is_on_record_with_its_reason() {
    let mut world = World::ready(4);
    let size = world.header.log_size;
    let wish = world.read("nora", "q3", 1);
    let (id, outcome) = world.one_read("nora", wish);
    assert_eq!(outcome, Denied(DenialReason::NotAReader));
    assert_eq!(world.header.log_size, size + 1);
    let entry = &world.blocks.last().unwrap().entries()[0];
    assert_eq!((entry.transaction.tx_id(), entry.outcome), (id, outcome));
    assert_eq!(queries::read_record(&world.state, &id).unwrap(), None);
}

#[test]
fn the_first_reason_in_order_is_the_one() {
    let mut world = World::ready(4);
    let decide = |world: &mut World, who: &str, wish: ReadWish| world.one_read(who, wish).1;
    // Everything is wrong, then one thing less each time.
    let wish = world.read_in("other", "none", "nora", "none", 9);
    assert_eq!(
        decide(&mut world, "acme-admin", wish),
        Denied(DenialReason::NotAUser)
    );
    let wish = world.read_in("other", "none", "nora", "none", 9);
    assert_eq!(
        decide(&mut world, "rita", wish),
        Denied(DenialReason::WrongTenant)
    );
    let wish = world.read_in("acme", "none", "nora", "none", 9);
    assert_eq!(
        decide(&mut world, "rita", wish),
        Denied(DenialReason::UserMismatch)
    );
    let wish = world.read_in("acme", "none", "rita", "none", 9);
    assert_eq!(decide(&mut world, "rita", wish), Denied(DenialReason::NotAReader));
    world.must("olga", set_active("reports", false));
    let wish = world.read("rita", "none", 9);
    assert_eq!(
        decide(&mut world, "rita", wish),
        Denied(DenialReason::DatasetInactive)
    );
    world.must("olga", set_active("reports", true));
    let wish = world.read("rita", "none", 9);
    assert_eq!(
        decide(&mut world, "rita", wish),
        Denied(DenialReason::UnknownDocument)
    );
    let wish = world.read("rita", "q3", 9);
    assert_eq!(
        decide(&mut world, "rita", wish),
        Denied(DenialReason::UnknownVersion)
    );
    let wish = world.read("rita", "q3", 1);
    assert!(matches!(decide(&mut world, "rita", wish), Approved { .. }));
}

#[test]
fn a_read_of_the_latest_is_of_the_latest_when_it_is_decided() {
    let mut world = World::ready(4);
    let (early, late) = (world.read("rita", "q3", 0), world.read("rita", "q3", 0));
    let second = world.write("reports", "q3", 2);
    let transactions = [
        world.sign_read("rita", early),
        world.sign("wendy", second),
        world.sign_read("rita", late),
    ];
    let outcomes = world.add(&transactions);
    for (place, expected) in [(0, 1), (2, 2)] {
        let Approved {
            version, write_id, ..
        } = outcomes[place]
        else {
            panic!("approved: {}", outcomes[place])
        };
        assert_eq!(version, expected);
        let written = world.version("q3", expected).unwrap().wrapped_key.unwrap();
        assert_eq!(write_id, written.write_id());
        let id = transactions[place].tx_id();
        let record = queries::read_record(&world.state, &id).unwrap().unwrap();
        assert_eq!((record.version, record.write_id), (expected, write_id));
    }
    // An earlier version can be read as before, and what does not exist has no latest version.
    let wish = world.read("rita", "q3", 1);
    assert!(matches!(
        world.one_read("rita", wish).1,
        Approved { version: 1, .. }
    ));
    let wish = world.read("rita", "none", 0);
    assert_eq!(
        world.one_read("rita", wish).1,
        Denied(DenialReason::UnknownDocument)
    );
}

#[test]
fn a_read_can_be_decided_without_being_asked() {
    let mut world = World::ready(4);
    let wish = world.read("rita", "q3", 0);
    let question = golden_record::ReadQuestion::of(&wish.body).unwrap();
    let decide = |world: &World, who| {
        queries::decide_read(&world.state, &crate::support::public(who), &question).unwrap()
    };
    assert_eq!(decide(&world, "rita").unwrap().version, 1);
    assert_eq!(decide(&world, "nora"), Err(DenialReason::UserMismatch));
    assert_eq!(decide(&world, "stranger"), Err(DenialReason::NotAUser));
    world.must("olga", revoke("reports", "rita", Role::Reader));
    assert_eq!(decide(&world, "rita"), Err(DenialReason::NotAReader));
}

#[test]
fn a_revoked_reader_reads_no_more_and_a_granted_one_does() {
    let mut world = World::ready(4);
    world.must("olga", revoke("reports", "rita", Role::Reader));
    let wish = world.read("rita", "q3", 1);
    assert_eq!(world.one_read("rita", wish).1, Denied(DenialReason::NotAReader));
    world.must("olga", grant("reports", "nora", Role::Reader));
    let wish = world.read("nora", "q3", 1);
    assert!(matches!(world.one_read("nora", wish).1, Approved { .. }));
}

#[test]
fn a_revocation_earlier_in_the_block_counts() {
    let mut world = World::ready(4);
    let revocation = world.sign("olga", revoke("reports", "rita", Role::Reader));
    let wish = world.read("rita", "q3", 1);
    let request = world.sign_read("rita", wish);
    let outcomes = world.add(&[revocation, request]);
    assert_eq!(outcomes[1], Denied(DenialReason::NotAReader));
}

#[test]
fn c1_a_reader_key_must_be_shown_to_be_held() {
    let mut world = World::ready(4);
    let wish = world.read("rita", "q3", 1);
    let other = world.read("rita", "q3", 1);
    let good = world.sign_read("rita", wish);
    VerifiedTransaction::verify(good.clone()).unwrap();

    let without = Transaction {
        possession: None,
        ..good.clone()
    };
    assert_eq!(
        VerifiedTransaction::verify(without.clone()).unwrap_err(),
        TransactionError::PossessionMisplaced
    );
    assert!(Transaction::parse(&without.to_bytes()).is_err());

    // Another request's proof, and the author's own signature in its place.
    let foreign = Transaction {
        possession: world.sign_read("rita", other).possession,
        ..good.clone()
    };
    assert_eq!(
        VerifiedTransaction::verify(foreign).unwrap_err(),
        TransactionError::Possession
    );
    let own = Transaction {
        possession: Some(good.signature),
        ..good.clone()
    };
    assert_eq!(
        VerifiedTransaction::verify(own).unwrap_err(),
        TransactionError::Possession
    );

    // Somebody else's key as Q: the wish is signed, the proof cannot be.
    let ReadWish { mut body, reader } = world.read("rita", "q3", 1);
    if let Body::RequestRead { q, .. } = &mut body {
        *q = crate::support::public("victim");
    }
    let claimed = world.sign_read("rita", ReadWish { body, reader });
    assert_eq!(
        VerifiedTransaction::verify(claimed).unwrap_err(),
        TransactionError::Possession
    );
}

#[test]
fn only_a_read_request_proves_possession() {
    let mut world = World::ready(4);
    let mut transaction = world.sign("olga", grant("reports", "nora", Role::Reader));
    transaction.possession = Some(transaction.signature);
    let refused = VerifiedTransaction::verify(transaction.clone()).unwrap_err();
    assert_eq!(refused, TransactionError::PossessionMisplaced);
    assert!(Transaction::parse(&transaction.to_bytes()).is_err());
}

#[test]
fn c2_c3_a_reader_key_outside_the_group_does_not_parse() {
    let mut world = World::ready(4);
    let wish = world.read("rita", "q3", 1);
    let q = *wish.reader.public().as_bytes();
    let bytes = world.sign_read("rita", wish).to_bytes();
    let at = bytes.windows(32).position(|window| window == q).unwrap();
    let identity = curve25519_dalek::constants::EIGHT_TORSION[0].compress();
    let torsion = curve25519_dalek::constants::EIGHT_TORSION[1];
    let mixed = curve25519_dalek::edwards::CompressedEdwardsY(q)
        .decompress()
        .unwrap()
        + torsion;
    for bad in [identity, torsion.compress(), mixed.compress()] {
        let mut bytes = bytes.clone();
        bytes[at..at + 32].copy_from_slice(bad.as_bytes());
        let refused = Transaction::parse(&bytes).unwrap_err();
        assert_eq!(
            refused,
            TransactionError::Malformed(DecodeError::Invalid("public key"))
        );
    }
}

#[test]
fn a_purpose_is_short_and_one_line() {
    let mut world = World::ready(4);
    let cases = [
        ("x".repeat(257), DecodeError::TooLong("purpose")),
        ("two\nlines".to_owned(), DecodeError::Invalid("purpose")),
        ("\u{1b}[2J".to_owned(), DecodeError::Invalid("purpose")),
    ];
    for (text, expected) in cases {
        let ReadWish { mut body, reader } = world.read("rita", "q3", 1);
        if let Body::RequestRead { purpose, .. } = &mut body {
            *purpose = text;
        }
        let transaction = world.sign_read("rita", ReadWish { body, reader });
        let refused = VerifiedTransaction::verify(transaction).unwrap_err();
        assert_eq!(refused, TransactionError::Malformed(expected));
    }
}

#[test]
fn the_author_signs_the_request() {
    let mut world = World::ready(4);
    let wish = world.read("rita", "q3", 1);
    let mut forged = world.sign_read("nora", wish);
    forged.author = threshold::signature::PublicKey::of(&key("rita"));
    assert_eq!(
        VerifiedTransaction::verify(forged).unwrap_err(),
        TransactionError::Signature
    );
}
