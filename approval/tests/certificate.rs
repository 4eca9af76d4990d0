//! One certificate that departs from the profile by one thing, signed by the real CA, is refused for that thing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use quorate_approval::CertificateFault as Fault;
use quorate_approval::oid::Extension;
use quorate_approval::{DerFault, Limits, MAX_CERTIFICATE_SIZE, check_certificate};
use support::{
    Fixture, Forge, ForgedExtension, NOW_MS, ORGANISATIONS, algorithm, attributes, authority, common_name,
    key_identifier, public_key, root, root_name, seed, seq, spki, tlv, utc_time,
};

/// Build with one change and say what it is refused for.
fn fault(change: impl FnOnce(&mut Forge)) -> Fault {
    let fixture = Fixture::new();
    fixture.fault(&fixture.forge().with(change).build())
}

#[test]
fn the_forge_itself_is_accepted() {
    let fixture = Fixture::new();
    let certificate = fixture.forge().build();
    assert!(check_certificate(&certificate, &fixture.trust, NOW_MS, &fixture.limits).is_ok());
}

#[test]
fn d1_an_evil_authority_with_the_same_names_and_identifiers_is_refused() {
    // Everything is as the real authority writes it, down to name, key identifier and serial; only the key is another.
    assert_eq!(fault(|forge| forge.signer = [66; 32]), Fault::Signature);
    let evil_identifier = seq(&[&tlv(0x80, &key_identifier(&spki(public_key(66).as_bytes())))]);
    assert_eq!(
        fault(|forge| {
            forge.signer = [66; 32];
            forge.extension(Extension::AuthorityKeyIdentifier).value = evil_identifier;
        }),
        Fault::UnknownIssuer
    );
}

#[test]
fn d1_a_certificate_of_one_root_does_not_pass_as_anothers() {
    // Signed by organisation 0, pointing to organisation 3 in both ways.
    let fixture = Fixture::new();
    let certificate = Forge::new(&fixture.fields, 3)
        .with(|forge| forge.signer = seed(0))
        .build();
    assert_eq!(fixture.fault(&certificate), Fault::Signature);
}

#[test]
fn d1_the_issuer_name_is_the_pinned_roots() {
    assert_eq!(
        fault(|forge| forge.issuer = root_name(ORGANISATIONS[1])),
        Fault::IssuerName
    );
    assert_eq!(fault(|forge| forge.issuer = root_name("Bank")), Fault::IssuerName);
}

#[test]
fn d4_a_ca_certificate_is_not_an_approval() {
    let fixture = Fixture::new();
    assert_eq!(
        fixture.fault(&root(0)),
        Fault::MissingExtension(Extension::AuthorityKeyIdentifier)
    );
    assert_eq!(
        fault(|forge| forge.extension(Extension::BasicConstraints).value = seq(&[&[1, 1, 0xff]])),
        Fault::BasicConstraints
    );
    assert_eq!(
        fault(|forge| forge.extension(Extension::BasicConstraints).value = seq(&[&tlv(2, &[0])])),
        Fault::BasicConstraints
    );
}

#[test]
fn d4_a_leaf_that_may_sign_certificates_is_refused() {
    for usage in [[3, 2, 2, 0x84], [3, 2, 2, 0x04], [3, 2, 6, 0xc0], [3, 2, 6, 0x40]] {
        assert_eq!(
            fault(|forge| forge.extension(Extension::KeyUsage).value = usage.to_vec()),
            Fault::KeyUsage
        );
    }
}

#[test]
fn d4_the_extended_key_usage_is_the_approvals_alone() {
    let client_auth = tlv(6, &[0x2b, 6, 1, 5, 5, 7, 3, 2]);
    let ours = tlv(6, &[0x2b, 6, 1, 4, 1, 0x81, 0xfd, 0x59, 0x51, 2, 1]);
    let any = tlv(6, &[0x55, 0x1d, 0x25, 0]);
    for usages in [vec![&client_auth], vec![&ours, &client_auth], vec![&any], vec![]] {
        let value = tlv(0x30, &usages.into_iter().flatten().copied().collect::<Vec<u8>>());
        assert_eq!(
            fault(|forge| forge.extension(Extension::ExtendedKeyUsage).value = value),
            Fault::ExtendedKeyUsage
        );
    }
}

#[test]
fn d4_an_approval_issued_under_another_approval_is_refused() {
    // The "intermediate" is a good approval whose key Q the attacker holds.
    let fixture = Fixture::new();
    let certificate = fixture
        .forge()
        .with(|forge| {
            forge.signer = [2; 32];
            forge.issuer = common_name(&fixture.fields.approve_id.to_string());
            let identifier = key_identifier(&spki(fixture.fields.q.as_bytes()));
            forge.extension(Extension::AuthorityKeyIdentifier).value = seq(&[&tlv(0x80, &identifier)]);
        })
        .build();
    assert_eq!(fixture.fault(&certificate), Fault::UnknownIssuer);
}

#[test]
fn d5_both_algorithms_are_ed25519_without_parameters() {
    let with_null = seq(&[&tlv(6, &support::ED25519_OID), &[5, 0]]);
    let ed448 = algorithm(&[0x2b, 0x65, 0x71]);
    let ecdsa = algorithm(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]);
    for other in [with_null, ed448, ecdsa] {
        assert_eq!(
            fault(|forge| forge.inner_algorithm = other.clone()),
            Fault::SignatureAlgorithm
        );
        assert_eq!(
            fault(|forge| forge.outer_algorithm = other.clone()),
            Fault::SignatureAlgorithm
        );
        assert_eq!(
            fault(|forge| {
                forge.inner_algorithm = other.clone();
                forge.outer_algorithm = other;
            }),
            Fault::SignatureAlgorithm
        );
    }
}

#[test]
fn d5_a_signature_has_64_whole_bytes() {
    assert_eq!(fault(|forge| forge.signature_length = 63), Fault::SignatureLength);
    assert_eq!(fault(|forge| forge.signature_length = 0), Fault::SignatureLength);
    assert_eq!(
        fault(|forge| forge.signature_tail = vec![0]),
        Fault::SignatureLength
    );
    // 65 bytes with eight unused bits in the last would be 64: not in DER.
    assert_eq!(
        fault(|forge| {
            forge.signature_tail = vec![0];
            forge.unused_bits = 7;
        }),
        Fault::SignatureLength
    );
    assert_eq!(fault(|forge| forge.unused_bits = 8), Fault::Der(DerFault::Value));
}

#[test]
fn d6_bytes_around_or_other_lengths_within_are_refused() {
    let fixture = Fixture::new();
    let good = fixture.issue(0);
    let appended = [good.as_slice(), &[0]].concat();
    assert_eq!(fixture.fault(&appended), Fault::Der(DerFault::Trailing));
    assert_eq!(
        fixture.fault(&[good.as_slice(), &good].concat()),
        Fault::Der(DerFault::Trailing)
    );
    assert_eq!(
        fixture.fault(&good[..good.len() - 1]),
        Fault::Der(DerFault::Truncated)
    );
    // The same certificate with a three-byte outer length, and with an indefinite one.
    let long = [&[0x30, 0x83, 0], &good[2..]].concat();
    assert_eq!(fixture.fault(&long), Fault::Der(DerFault::Length));
    let indefinite = [&[0x30, 0x80], &good[4..], &[0, 0]].concat();
    assert_eq!(fixture.fault(&indefinite), Fault::Der(DerFault::Length));
    // A non-minimal length inside the signed part, properly signed.
    assert_eq!(
        fault(|forge| forge.version = vec![0xa0, 0x81, 3, 2, 1, 2]),
        Fault::Der(DerFault::Length)
    );
}

#[test]
fn d6_a_pem_or_other_bytes_in_place_of_der_are_refused() {
    let fixture = Fixture::new();
    let pem = quorate_approval::pem::encode(&fixture.issue(0));
    assert!(matches!(fixture.fault(pem.as_bytes()), Fault::Der(_)));
    assert_eq!(fixture.fault(&[]), Fault::Size);
    assert_eq!(fixture.fault(&seq(&[])), Fault::NotX509);
    assert_eq!(fixture.fault(&seq(&[&seq(&[])])), Fault::NotX509);
}

#[test]
fn d7_each_extension_is_demanded_once_with_its_criticality() {
    for (place, extension) in Extension::ALL.into_iter().enumerate() {
        assert_eq!(
            fault(|forge| {
                forge.extensions.remove(place);
            }),
            Fault::MissingExtension(extension)
        );
        assert_eq!(
            fault(|forge| forge.extensions.push(forge.extensions[place].clone())),
            Fault::DuplicateExtension(extension)
        );
        assert_eq!(
            fault(|forge| forge.extensions[place].critical = !extension.critical()),
            Fault::ExtensionCriticality(extension)
        );
    }
    assert_eq!(
        fault(|forge| forge.extensions.clear()),
        Fault::MissingExtension(Extension::AuthorityKeyIdentifier)
    );
}

#[test]
fn d7_a_second_extension_with_another_value_wins_nothing() {
    for first in [true, false] {
        assert_eq!(
            fault(|forge| {
                let mut other = forge.extension(Extension::WriteId).clone();
                other.value = tlv(4, &[0; 32]);
                let place = if first { 0 } else { forge.extensions.len() };
                forge.extensions.insert(place, other);
            }),
            Fault::DuplicateExtension(Extension::WriteId)
        );
    }
}

#[test]
fn d7_the_order_of_extensions_is_the_profiles() {
    for place in 1..Extension::ALL.len() {
        assert_eq!(
            fault(|forge| forge.extensions.swap(place - 1, place)),
            Fault::ExtensionOrder
        );
    }
}

#[test]
fn d7_unknown_extensions_are_refused_critical_or_not() {
    for critical in [true, false] {
        for oid in [
            &[0x2b, 6, 1, 4, 1, 0x81, 0xfd, 0x59, 0x51, 1, 10][..],
            &[0x55, 0x1d, 0x11],
        ] {
            let extra = ForgedExtension {
                oid: oid.to_vec(),
                critical,
                value: tlv(4, &[1]),
            };
            assert_eq!(
                fault(|forge| forge.extensions.push(extra)),
                Fault::UnknownExtension { critical }
            );
        }
    }
}

#[test]
fn d7_empty_and_oversize_extensions_are_refused() {
    for extension in Extension::ALL
        .into_iter()
        .filter(|extension| extension.component().is_some())
    {
        assert_eq!(
            fault(|forge| forge.extension(extension).value = vec![]),
            Fault::ExtensionValue(extension)
        );
    }
    let padding = MAX_CERTIFICATE_SIZE;
    assert_eq!(
        fault(|forge| forge.extension(Extension::Label).value = tlv(4, &vec![0; padding])),
        Fault::Size
    );
    assert_eq!(
        fault(|forge| forge.extension(Extension::Label).value = tlv(4, &vec![0; 2000])),
        Fault::ExtensionValue(Extension::Label)
    );
}

#[test]
fn d8_values_have_one_form_and_one_length() {
    use Extension::*;
    for extension in [WriteId, ReaderKey, ApproveId, KeyId, ChainId, BlockHash] {
        for value in [
            tlv(4, &[7; 31]),
            tlv(4, &[7; 33]),
            tlv(4, &[]),
            [tlv(4, &[7; 32]), vec![0]].concat(),
            tlv(0x0c, &[7; 32]),
            vec![7; 32],
        ] {
            assert_eq!(
                fault(|forge| forge.extension(extension).value = value),
                Fault::ExtensionValue(extension)
            );
        }
    }
    for extension in [Height, PolicyVersion] {
        for value in [
            tlv(2, &[0, 7]),
            tlv(2, &[0x80]),
            tlv(2, &[1; 9]),
            tlv(2, &[]),
            tlv(4, &[7]),
            vec![7],
        ] {
            assert_eq!(
                fault(|forge| forge.extension(extension).value = value),
                Fault::ExtensionValue(extension)
            );
        }
    }
    assert_eq!(
        fault(|forge| forge.extension(PolicyVersion).value = tlv(2, &[1, 0, 0, 0, 7])),
        Fault::ExtensionValue(PolicyVersion)
    );
}

#[test]
fn d8_bytes_cannot_be_shifted_between_the_fields_of_a_label() {
    use threshold::encoding::Canonical;
    let label = support::label().to_bytes();
    let appended = [label.as_slice(), &[0]].concat();
    let mut shifted = label.clone();
    // One byte from the tenant's length to the dataset's: the names run into each other's length prefixes.
    shifted[11] -= 1;
    for value in [appended, label[..label.len() - 1].to_vec(), shifted] {
        assert_eq!(
            fault(|forge| forge.extension(Extension::Label).value = tlv(4, &value)),
            Fault::ExtensionValue(Extension::Label)
        );
    }
}

#[test]
fn d9_validity_is_inclusive_to_the_second() {
    let mut fixture = Fixture::new();
    fixture.limits = Limits {
        max_lifetime_s: 120,
        max_skew_s: 0,
    };
    let certificate = fixture.issue(0);
    let at = |now_ms: u64, limits: &Limits| {
        check_certificate(&certificate, &fixture.trust, now_ms, limits).map(|_| ())
    };
    let end = NOW_MS + 60_000;
    for skew in [0, 1, 5] {
        let limits = Limits {
            max_skew_s: skew,
            ..fixture.limits
        };
        assert_eq!(at(NOW_MS - skew * 1000, &limits), Ok(()));
        assert_eq!(at(NOW_MS - skew * 1000 - 1, &limits), Err(Fault::NotYetValid));
        assert_eq!(at(NOW_MS - skew * 1000 - 1000, &limits), Err(Fault::NotYetValid));
        assert_eq!(at(end + skew * 1000, &limits), Ok(()));
        assert_eq!(at(end + skew * 1000 + 999, &limits), Ok(()));
        assert_eq!(at(end + skew * 1000 + 1000, &limits), Err(Fault::Expired));
    }
    assert_eq!(at(0, &fixture.limits), Err(Fault::NotYetValid));
    assert_eq!(at(u64::MAX, &fixture.limits), Err(Fault::Expired));
}

#[test]
fn d9_an_interval_that_ends_before_it_begins_is_refused() {
    assert_eq!(
        fault(|forge| forge.not_after = utc_time("270115075959Z")),
        Fault::Validity
    );
    assert_eq!(
        fault(|forge| forge.not_before = utc_time("500101000000Z")),
        Fault::Validity
    );
    // UTCTime of year 50 is 1950, before which there is nothing to be valid in.
    assert_eq!(
        fault(|forge| forge.not_after = utc_time("500101000000Z")),
        Fault::Validity
    );
}

#[test]
fn d9_a_longer_lifetime_than_allowed_is_refused() {
    assert_eq!(
        fault(|forge| forge.not_after = utc_time("270115080201Z")),
        Fault::Lifetime
    );
    assert_eq!(
        fault(|forge| forge.not_after = utc_time("491231235959Z")),
        Fault::Lifetime
    );
    let forever = tlv(0x18, b"99991231235959Z");
    assert_eq!(fault(|forge| forge.not_after = forever), Fault::Lifetime);
    let fixture = Fixture::new();
    let longest = fixture
        .forge()
        .with(|forge| forge.not_after = utc_time("270115080200Z"))
        .build();
    assert!(check_certificate(&longest, &fixture.trust, NOW_MS, &fixture.limits).is_ok());
}

#[test]
fn d9_times_in_other_forms_are_refused() {
    for time in [
        utc_time("270115080100+0000"),
        utc_time("2701150801Z"),
        tlv(0x18, b"20270115080100Z"),
        tlv(0x18, b"20270115080100.0Z"),
    ] {
        assert_eq!(fault(|forge| forge.not_after = time), Fault::Der(DerFault::Value));
    }
    assert_eq!(
        fault(|forge| forge.not_after = utc_time("270230080100Z")),
        Fault::NotX509
    );
}

#[test]
fn d9_the_turn_to_2050_changes_the_encoding_and_nothing_else() {
    use quorate_approval::{Authority, TrustBundle, TrustedOrganisation};
    let new_year_ms = 2_524_608_000_000;
    let mut fixture = Fixture::new();
    let root = Authority::generate(&support::name("bank"), &seed(0), new_year_ms - 1_000_000_000).unwrap();
    let bank = TrustedOrganisation::new(support::name("bank"), &root).unwrap();
    let policy = "bank".parse().unwrap();
    fixture.trust =
        TrustBundle::new(7, [0xc4; 32].into(), support::name("test"), vec![bank], policy).unwrap();
    let authority = Authority::from_seed(&seed(0), &root).unwrap();
    let certificate = authority
        .issue(&fixture.fields, new_year_ms - 30_000, 60)
        .unwrap();
    let find = |bytes: &[u8]| certificate.windows(bytes.len()).any(|window| window == bytes);
    assert!(find(&utc_time("491231235930Z")) && find(&tlv(0x18, b"20500101000030Z")));
    assert!(
        fixture
            .check_at(std::slice::from_ref(&certificate), new_year_ms)
            .is_ok()
    );
    assert!(fixture.check_at(&[certificate], new_year_ms + 36_000).is_err());
}

#[test]
fn d9_under_a_root_that_is_not_valid_now_nothing_is_accepted() {
    let fixture = Fixture::new();
    let years = 11 * 365 * 86_400_000;
    for now_ms in [NOW_MS + years, NOW_MS - 2 * 3_600_000] {
        let certificate = authority(0).issue(&fixture.fields, now_ms, 60).unwrap();
        assert_eq!(
            check_certificate(&certificate, &fixture.trust, now_ms, &fixture.limits),
            Err(Fault::RootNotValid)
        );
    }
}

#[test]
fn the_subject_is_the_approve_id_and_nothing_else() {
    let fields = Fixture::new().fields;
    let id = fields.approve_id.to_string();
    for subject in [
        common_name(&id.to_uppercase()),
        common_name(&id[..63]),
        common_name(&"00".repeat(32)),
        common_name(""),
        attributes(&[(3, id.as_str()), (3, id.as_str())]),
        attributes(&[(10, "bank"), (3, id.as_str())]),
        attributes(&[(10, id.as_str())]),
        seq(&[]),
        seq(&[&tlv(
            0x31,
            &seq(&[&tlv(6, &[0x55, 4, 3]), &tlv(0x13, id.as_bytes())]),
        )]),
    ] {
        assert_eq!(fault(|forge| forge.subject = subject), Fault::SubjectName);
    }
}

#[test]
fn c5_the_subject_key_is_q_in_every_place() {
    let other = spki(public_key(3).as_bytes());
    assert_eq!(fault(|forge| forge.spki = other.clone()), Fault::SubjectKey);
    assert_eq!(
        fault(|forge| forge.extension(Extension::ReaderKey).value = tlv(4, public_key(3).as_bytes())),
        Fault::SubjectKey
    );
    let x25519 = seq(&[
        &algorithm(&[0x2b, 0x65, 0x6e]),
        &tlv(3, &[&[0], public_key(2).as_bytes().as_slice()].concat()),
    ]);
    assert_eq!(fault(|forge| forge.spki = x25519), Fault::SubjectKey);
    assert_eq!(
        fault(
            |forge| forge.extension(Extension::SubjectKeyIdentifier).value = tlv(4, &key_identifier(&other))
        ),
        Fault::SubjectKeyIdentifier
    );
}

#[test]
fn c2_a_weak_reader_key_is_refused() {
    let identity = {
        let mut bytes = [0; 32];
        bytes[0] = 1;
        bytes
    };
    let order_four = [0; 32];
    let order_eight = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
    let order_eight: [u8; 32] = hex::decode(order_eight).unwrap().try_into().unwrap();
    // p + 1: the identity, not in canonical form.
    let non_canonical = {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xee;
        bytes[31] = 0x7f;
        bytes
    };
    let not_on_the_curve = {
        let mut bytes = [0; 32];
        bytes[0] = 2;
        bytes
    };
    for weak in [
        identity,
        order_four,
        order_eight,
        non_canonical,
        not_on_the_curve,
        mixed_order(),
    ] {
        let certificate = |forge: &mut Forge| {
            forge.spki = spki(&weak);
            forge.extension(Extension::ReaderKey).value = tlv(4, &weak);
            forge.extension(Extension::SubjectKeyIdentifier).value = tlv(4, &key_identifier(&spki(&weak)));
        };
        // In a set the others state another Q, so here only the certificate by itself.
        let fixture = Fixture::new();
        let certificate = fixture.forge().with(certificate).build();
        let alone = check_certificate(&certificate, &fixture.trust, NOW_MS, &fixture.limits);
        assert_eq!(alone, Err(Fault::ReaderKey), "{}", hex::encode(weak));
    }
}

/// A good key plus a point of order two: (x, y) becomes (-x, -y).
fn mixed_order() -> [u8; 32] {
    let mut borrow = 0i32;
    let good = public_key(2);
    let y = good.as_bytes();
    // p - y, little-endian, with the sign of -x.
    let mut bytes = [0u8; 32];
    for (i, byte) in bytes.iter_mut().enumerate() {
        let p = match i {
            0 => 0xed,
            31 => 0x7f,
            _ => 0xff,
        };
        let digit = if i == 31 { y[i] & 0x7f } else { y[i] };
        let difference = p - i32::from(digit) - borrow;
        borrow = i32::from(difference < 0);
        *byte = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    bytes[31] |= !y[31] & 0x80;
    bytes
}

#[test]
fn version_serial_and_unique_identifiers_are_checked() {
    assert_eq!(fault(|forge| forge.version = vec![]), Fault::Version);
    assert_eq!(
        fault(|forge| forge.version = tlv(0xa0, &tlv(2, &[1]))),
        Fault::Version
    );
    assert_eq!(fault(|forge| forge.serial = vec![0]), Fault::Serial);
    assert_eq!(fault(|forge| forge.serial = vec![0x80]), Fault::Serial);
    assert_eq!(fault(|forge| forge.serial = vec![0x42; 21]), Fault::Serial);
    assert_eq!(
        fault(|forge| forge.unique_identifiers = tlv(0x81, &[0, 1])),
        Fault::UniqueIdentifier
    );
    assert_eq!(
        fault(|forge| forge.unique_identifiers = tlv(0x82, &[0, 1])),
        Fault::UniqueIdentifier
    );
}

#[test]
fn d16_thousands_of_extensions_do_not_reach_the_parser() {
    let extra = ForgedExtension {
        oid: vec![0x2a, 3],
        critical: false,
        value: vec![5, 0],
    };
    assert_eq!(
        fault(|forge| forge.extensions.extend(vec![extra; 4000])),
        Fault::Size
    );
}

#[test]
fn the_authority_key_identifier_has_one_form() {
    let identifier = key_identifier(&spki(authority(0).public_key().as_bytes()));
    let with_serial = seq(&[&tlv(0x80, &identifier), &tlv(0x82, &[1])]);
    for value in [
        with_serial,
        seq(&[]),
        tlv(4, &identifier),
        seq(&[&tlv(0x80, &identifier[..19])]),
    ] {
        assert_eq!(
            fault(|forge| forge.extension(Extension::AuthorityKeyIdentifier).value = value),
            Fault::ExtensionValue(Extension::AuthorityKeyIdentifier)
        );
    }
}

#[test]
fn d17_the_unsigned_outer_algorithm_has_one_form() {
    let fixture = Fixture::new();
    let good = fixture.issue(0);
    // Anybody can change these seven bytes of a good certificate without touching what is signed.
    let outer = good.len() - 64 - 3 - 7;
    let mut retagged = good;
    assert_eq!(retagged[outer], 0x30);
    retagged[outer] = 0xb0;
    assert_eq!(fixture.fault(&retagged), Fault::NotCanonical);
}

#[test]
fn d17_a_tag_that_the_parser_does_not_look_at_has_one_form() {
    let mut retagged = algorithm(&support::ED25519_OID);
    retagged[0] = 0xb0;
    assert_eq!(
        fault(|forge| forge.inner_algorithm = retagged),
        Fault::NotCanonical
    );
}
