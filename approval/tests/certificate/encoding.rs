//! The bytes: one form, whole, of a bounded size.

use quorate_approval::DerFault;

use crate::support::{ED25519_OID, Fixture, ForgedExtension, algorithm, seq, tlv};
use crate::{Fault, fault};

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
    let mut retagged = algorithm(&ED25519_OID);
    retagged[0] = 0xb0;
    assert_eq!(
        fault(|forge| forge.inner_algorithm = retagged),
        Fault::NotCanonical
    );
}
