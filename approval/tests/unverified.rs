//! Reading what a certificate says without asking who says it: the form is checked all the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use quorate_approval::oid::Extension;
use quorate_approval::{ApprovalFields, CertificateFault, DerFault, MAX_CERTIFICATE_SIZE, read_unverified};
use support::{Fixture, Forge, common_name, key_identifier, spki, tlv};

fn read(change: impl FnOnce(&mut Forge)) -> Result<ApprovalFields, CertificateFault> {
    read_unverified(&Fixture::new().forge().with(change).build())
}

#[test]
fn issuer_time_and_signature_are_not_looked_at() {
    let fixture = Fixture::new();
    let changes: [fn(&mut Forge); 4] = [
        |_| {},
        |forge| forge.signer = [66; 32],
        |forge| forge.issuer = common_name("a stranger"),
        |forge| forge.not_after = support::utc_time("270115080001Z"),
    ];
    for change in changes {
        let read = read_unverified(&fixture.forge().with(change).build());
        assert_eq!(read.as_ref(), Ok(&fixture.fields));
    }
}

#[test]
fn d16_the_size_is_bounded_before_anything_is_parsed() {
    assert_eq!(read_unverified(&[]), Err(CertificateFault::Size));
    let large = vec![0x30; MAX_CERTIFICATE_SIZE + 1];
    assert_eq!(read_unverified(&large), Err(CertificateFault::Size));
}

#[test]
fn d6_what_is_not_strict_der_is_not_read() {
    let mut certificate = Fixture::new().issue(0);
    certificate.push(0);
    assert_eq!(
        read_unverified(&certificate),
        Err(CertificateFault::Der(DerFault::Trailing))
    );
}

#[test]
fn the_form_is_the_profiles() {
    assert_eq!(
        read(|forge| forge.serial = vec![0]),
        Err(CertificateFault::Serial)
    );
    assert_eq!(
        read(|forge| forge.extensions.swap(5, 6)),
        Err(CertificateFault::ExtensionOrder)
    );
    assert_eq!(
        read(|forge| forge.extension(Extension::WriteId).value = tlv(4, &[1; 31])),
        Err(CertificateFault::ExtensionValue(Extension::WriteId))
    );
    assert_eq!(
        read(|forge| forge.subject = common_name("someone")),
        Err(CertificateFault::SubjectName)
    );
}

#[test]
fn d17_the_bytes_are_the_one_form_of_the_fields() {
    let mut retagged = Fixture::new().issue(0);
    let outer_algorithm = retagged.len() - 64 - 3 - 7;
    retagged[outer_algorithm] = 0xb0;
    assert_eq!(read_unverified(&retagged), Err(CertificateFault::NotCanonical));
}

#[test]
fn c2_a_weak_reader_key_is_not_read() {
    let identity: [u8; 32] = std::array::from_fn(|i| u8::from(i == 0));
    let weak = read(|forge| {
        forge.spki = spki(&identity);
        forge.extension(Extension::ReaderKey).value = tlv(4, &identity);
        forge.extension(Extension::SubjectKeyIdentifier).value = tlv(4, &key_identifier(&spki(&identity)));
    });
    assert_eq!(weak, Err(CertificateFault::ReaderKey));
}
