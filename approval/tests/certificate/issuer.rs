//! Who issued it, with which key, for what.

use quorate_approval::DerFault;
use quorate_approval::oid::Extension;

use crate::support::{
    ED25519_OID, Fixture, Forge, ORGANISATIONS, algorithm, authority, common_name, key_identifier,
    public_key, root, root_name, seed, seq, spki, tlv,
};
use crate::{Fault, fault};

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
    let with_null = seq(&[&tlv(6, &ED25519_OID), &[5, 0]]);
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
