//! What only a certificate made on purpose has: each check here is hidden behind another one for most others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use quorate_approval::oid::Extension;
use quorate_approval::{CertificateFault as Fault, Refusal};
use support::{Fixture, LIFETIME_S, NOW_MS, authority, key_identifier, spki, tlv};

#[test]
fn d5_a_signature_without_its_last_bit_is_refused() {
    // Strict DER wants unused bits to be zero: of some serial numbers' signatures the last bit is.
    let fixture = Fixture::new();
    let forge = (1..=0xff_u8)
        .map(|serial| fixture.forge().with(|forge| forge.serial = vec![0x42, serial]))
        .find(|forge| forge.build().last().unwrap().trailing_zeros() >= 1)
        .unwrap();
    let cut = forge.with(|forge| forge.unused_bits = 1).build();
    assert_eq!(fixture.fault(&cut), Fault::SignatureLength);
}

#[test]
fn the_authority_key_identifier_ends_with_the_identifier() {
    let fixture = Fixture::new();
    let identifier = key_identifier(&spki(authority(0).public_key().as_bytes()));
    let value = [&[0x30, 0x16], tlv(0x80, &identifier).as_slice(), &[0]].concat();
    let longer = fixture
        .forge()
        .with(|forge| forge.extension(Extension::AuthorityKeyIdentifier).value = value)
        .build();
    assert_eq!(
        fixture.fault(&longer),
        Fault::ExtensionValue(Extension::AuthorityKeyIdentifier)
    );
}

#[test]
fn d10_an_approval_begins_when_its_last_certificate_does() {
    let fixture = Fixture::new();
    let mut certificates = fixture.issue_all(&[0, 1]);
    // A clock that is ahead, within the allowed skew of 5 seconds.
    let ahead = authority(2).issue(&fixture.fields, NOW_MS + 3000, LIFETIME_S);
    certificates.push(ahead.unwrap());
    let approved = fixture.check(&certificates).unwrap();
    assert_eq!(approved.still_valid(NOW_MS - 2000), Ok(()));
    assert_eq!(approved.still_valid(NOW_MS - 3000), Err(Refusal::NoLongerValid));
}
