//! Whom it is about: the approval, and the reader's key.

use quorate_approval::check_certificate;
use quorate_approval::oid::Extension;

use crate::support::{
    Fixture, Forge, NOW_MS, algorithm, attributes, common_name, key_identifier, public_key, seq, spki, tlv,
};
use crate::{Fault, fault};

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
