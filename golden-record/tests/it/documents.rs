//! Writing documents: versions, labels, proofs and sizes.

use golden_record::Outcome::{Applied, Rejected};
use golden_record::{
    Body, MAX_INLINE, MAX_MATERIAL, RejectionReason as Reason, Transaction, TransactionError,
    VerifiedTransaction,
};
use threshold::encoding::{Canonical, DecodeError};
use threshold::wrap::WrappedKey;

use crate::support::{World, document, name};

#[test]
fn a_document_grows_by_one_version_at_a_time() {
    let mut world = World::ready(3);
    for version in [1, 3, u64::MAX] {
        let body = world.write("reports", "q3", version);
        assert_eq!(
            world.one("wendy", body),
            Rejected(Reason::VersionNotNext),
            "{version}"
        );
    }
    let body = world.write("reports", "q3", 2);
    assert_eq!(world.one("wendy", body), Applied);
    let body = world.write("reports", "new", 2);
    assert_eq!(world.one("wendy", body), Rejected(Reason::VersionNotNext));
    let (first, second) = (world.version("q3", 1).unwrap(), world.version("q3", 2).unwrap());
    assert_eq!((first.version, second.version), (1, 2));
    assert_eq!(second.height, world.header.height - 1);
    assert_eq!(second.writer, name("wendy"));
    assert_eq!(world.version("q3", 3), None);
}

#[test]
fn a_slash_in_a_name_confuses_no_version() {
    let mut world = World::ready(3);
    let nested = "q3/00000000000000000002";
    let body = world.write("reports", nested, 1);
    assert_eq!(world.one("wendy", body), Applied);
    assert_eq!(world.version("q3", 2), None);
    assert_eq!(world.version(nested, 1).unwrap().document, document(nested));
}

#[test]
fn c6_a_wrapped_key_for_another_document_is_refused() {
    let mut world = World::ready(3);
    let own = world.label("reports", "mine", 1);
    let foreign = [
        threshold::label::Label {
            installation: name("other-net"),
            ..own.clone()
        },
        threshold::label::Label {
            tenant: name("other"),
            ..own.clone()
        },
        threshold::label::Label {
            dataset: name("secrets"),
            ..own.clone()
        },
        threshold::label::Label {
            document: document("q3"),
            ..own.clone()
        },
        threshold::label::Label { version: 2, ..own },
    ];
    for label in foreign {
        let wrapped = world.wrapped("first", &label);
        let body = World::write_with("reports", "mine", 1, wrapped);
        assert_eq!(
            world.one("wendy", body),
            Rejected(Reason::LabelMismatch),
            "{label}"
        );
    }
}

#[test]
fn c6_a_stolen_wrapped_key_with_a_new_label_is_refused() {
    let mut world = World::ready(3);
    // q3's wrapped key with the label of a document of the thief's own: U is unchanged, so whoever could read
    // the new document could open q3. Only the proof stands in the way.
    let stolen = world.version("q3", 1).unwrap().wrapped_key.unwrap();
    let bytes = stolen.to_bytes();
    let (old, new) = (b"\x00\x00\x00\x02q3", b"\x00\x00\x00\x02q4");
    let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
    let mut relabelled = bytes.clone();
    relabelled[at..at + new.len()].copy_from_slice(new);
    let relabelled = WrappedKey::from_bytes(&relabelled).unwrap();
    assert_eq!(relabelled.label(), &world.label("reports", "q4", 1));
    assert_eq!(relabelled.u(), stolen.u());
    let body = World::write_with("reports", "q4", 1, relabelled);
    assert_eq!(world.one("wendy", body), Rejected(Reason::InvalidProof));
}

#[test]
fn c6_a_changed_ciphertext_is_refused() {
    let mut world = World::ready(3);
    let label = world.label("reports", "q4", 1);
    let mut bytes = world.wrapped("first", &label).to_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    let body = World::write_with("reports", "q4", 1, WrappedKey::from_bytes(&bytes).unwrap());
    assert_eq!(world.one("wendy", body), Rejected(Reason::InvalidProof));
}

#[test]
fn a_wrapped_key_is_under_a_published_custody_key() {
    let mut world = World::ready(3);
    let label = world.label("reports", "q4", 1);
    let wrapped = world.wrapped("second", &label);
    let body = World::write_with("reports", "q4", 1, wrapped);
    assert_eq!(
        world.one("wendy", body.clone()),
        Rejected(Reason::UnknownCustodyKey)
    );
    let manifest = crate::support::committee("second");
    world.publish(&manifest);
    assert_eq!(world.one("wendy", body), Applied);
}

#[test]
fn an_inline_object_is_the_stated_one() {
    let mut world = World::ready(3);
    let change = |body: &Body, change: fn(&mut u64, &mut [u8; 32], &mut Option<Vec<u8>>)| {
        let mut body = body.clone();
        if let Body::WriteDocument {
            size,
            checksum,
            inline,
            ..
        } = &mut body
        {
            change(size, checksum, inline);
        }
        body
    };
    let good = world.write("reports", "q4", 1);
    let wrong_size = change(&good, |size, _, _| *size += 1);
    let wrong_checksum = change(&good, |_, checksum, _| checksum[0] ^= 1);
    let wrong_object = change(&good, |_, _, inline| inline.as_mut().unwrap()[0] ^= 1);
    for body in [wrong_size, wrong_checksum, wrong_object] {
        assert_eq!(world.one("wendy", body), Rejected(Reason::ObjectMismatch));
    }
    let elsewhere = change(&good, |size, _, inline| (*size, *inline) = (1 << 40, None));
    assert_eq!(world.one("wendy", elsewhere), Applied);
}

/// A transaction that can be built but not encoded is refused in both forms.
fn refuse_both_ways(world: &mut World, body: Body, expected: DecodeError) {
    let transaction = world.sign("wendy", body);
    assert!(matches!(
        Transaction::parse(&transaction.to_bytes()),
        Err(TransactionError::Malformed(_))
    ));
    let refused = VerifiedTransaction::verify(transaction).unwrap_err();
    assert_eq!(refused, TransactionError::Malformed(expected));
}

#[test]
fn oversize_fields_never_enter_a_block() {
    let mut world = World::ready(3);
    let good = world.write("reports", "q4", 1);
    let mut body = good.clone();
    if let Body::WriteDocument { material, .. } = &mut body {
        *material = vec![0; MAX_MATERIAL + 1];
    }
    refuse_both_ways(&mut world, body, DecodeError::TooLong("material"));
    let mut body = good.clone();
    if let Body::WriteDocument { inline, .. } = &mut body {
        *inline = Some(vec![0; MAX_INLINE + 1]);
    }
    refuse_both_ways(&mut world, body, DecodeError::TooLong("inline object"));
    let mut body = good;
    if let Body::WriteDocument { version, .. } = &mut body {
        *version = 0;
    }
    refuse_both_ways(&mut world, body, DecodeError::Invalid("version"));
}

#[test]
fn the_largest_document_fits() {
    let mut world = World::ready(3);
    let mut body = world.write("reports", "q4", 1);
    if let Body::WriteDocument {
        material,
        inline,
        size,
        checksum,
        ..
    } = &mut body
    {
        *material = vec![1; MAX_MATERIAL];
        let object = vec![2; MAX_INLINE];
        *size = MAX_INLINE as u64;
        *checksum = sha2::Digest::finalize(sha2::Digest::chain_update(
            <sha2::Sha256 as sha2::Digest>::new(),
            &object,
        ))
        .into();
        *inline = Some(object);
    }
    assert_eq!(world.one("wendy", body), Applied);
}

#[test]
fn no_kind_takes_more_than_its_limit() {
    use golden_record::{Change, LinkSource, MAX_INITIAL_MEMBERS, MAX_RELEASES};

    let mut world = World::ready(3);
    let many: std::collections::BTreeSet<_> = (0..=MAX_INITIAL_MEMBERS)
        .map(|number| name(&format!("user-{number}")))
        .collect();
    for field in ["owners", "writers", "readers"] {
        let mut body = world.create_dataset("second");
        if let Body::CreateDataset {
            owners,
            writers,
            readers,
            ..
        } = &mut body
        {
            *match field {
                "owners" => owners,
                "writers" => writers,
                _ => readers,
            } = many.clone();
        }
        refuse_both_ways(&mut world, body, DecodeError::TooLong(field));
    }
    let releases = vec![world.approved(1); MAX_RELEASES + 1];
    let body = Body::RecordReleases { releases };
    refuse_both_ways(&mut world, body, DecodeError::TooLong("releases"));
    let change = Change::ReplaceCertificate {
        organisation: name("org-0"),
        certificate: vec![0; 2049],
    };
    let body = Body::Govern { revision: 1, change };
    refuse_both_ways(&mut world, body, DecodeError::TooLong("certificate"));
    let body = Body::PutLink {
        tenant: name("acme"),
        dataset: name("reports"),
        link: name("annex"),
        version: 0,
        relation: name("is-annex-of"),
        source: LinkSource {
            document: document("q3"),
            version: 1,
        },
        target: None,
    };
    refuse_both_ways(&mut world, body, DecodeError::Invalid("version"));
}
