use super::*;
use crate::testing::TestRng;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::Scalar;

fn key() -> SigningKey {
    SigningKey::generate(&mut TestRng::new("signature"))
}

#[test]
fn a_signature_is_for_one_key_one_domain_and_one_message() {
    let key = key();
    let public = PublicKey::of(&key);
    let signature = sign(&key, Domain::Statement, b"message");
    assert_eq!(public.verify(Domain::Statement, b"message", &signature), Ok(()));
    assert_eq!(
        public.verify(Domain::Manifest, b"message", &signature),
        Err(SignatureError)
    );
    assert_eq!(
        public.verify(Domain::Statement, b"massage", &signature),
        Err(SignatureError)
    );
    let other = PublicKey::of(&SigningKey::from_bytes(&[7; 32]));
    assert_eq!(
        other.verify(Domain::Statement, b"message", &signature),
        Err(SignatureError)
    );
}

#[test]
fn what_is_signed_is_the_documented_digest() {
    use ed25519_dalek::Verifier;
    let key = key();
    let signature = sign(&key, Domain::Transaction, b"message");
    let digest = Transcript::new(Domain::Transaction)
        .append("message", b"message")
        .digest();
    let plain = ed25519_dalek::Signature::from_bytes(&signature.0);
    assert!(key.verifying_key().verify(&digest, &plain).is_ok());
    assert_eq!(PublicKey::of(&key).verify_raw(&digest, &signature), Ok(()));
}

#[test]
fn d3_keys_of_small_or_mixed_order_are_refused() {
    for torsion in EIGHT_TORSION {
        assert!(PublicKey::from_bytes(torsion.compress().as_bytes()).is_err());
    }
    let mixed = ED25519_BASEPOINT_POINT + EIGHT_TORSION[1];
    assert_eq!(
        PublicKey::from_bytes(mixed.compress().as_bytes()),
        Err(PointError::Torsion)
    );
    assert_eq!(PublicKey::from_bytes(&[0xff; 32]), Err(PointError::Encoding));
}

#[test]
fn a_signature_with_its_scalar_plus_the_order_is_refused() {
    let key = key();
    let mut signature = sign(&key, Domain::Statement, b"message");
    let scalar: [u8; 32] = signature.0[32..].try_into().unwrap();
    // s + l as integers: add (l - 1) and 1 byte by byte.
    let order_less_one = (-Scalar::ONE).to_bytes();
    let mut carry = 1_u16;
    for (i, byte) in scalar.iter().enumerate() {
        let sum = u16::from(*byte) + u16::from(order_less_one[i]) + carry;
        signature.0[32 + i] = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    let public = PublicKey::of(&key);
    assert_eq!(
        public.verify(Domain::Statement, b"message", &signature),
        Err(SignatureError)
    );
}

#[test]
fn keys_go_both_ways_as_text_and_bytes() {
    let public = PublicKey::of(&key());
    assert_eq!(public.to_string().parse::<PublicKey>(), Ok(public));
    assert_eq!(PublicKey::from_bytes(public.as_bytes()), Ok(public));
    assert_eq!(public.to_point().as_bytes(), public.as_bytes());
    assert_eq!(PublicKey::from(public.to_point()), public);
}

#[test]
fn a9_a_remembered_key_does_not_let_another_in() {
    for seed in 0..=255_u8 {
        let good = PublicKey::of(&SigningKey::from_bytes(&[seed; 32]));
        for _ in 0..2 {
            assert_eq!(PublicKey::from_bytes(good.as_bytes()), Ok(good));
        }
        let mixed = good.to_point().as_edwards() + EIGHT_TORSION[1];
        let mut same_slot = mixed.compress().to_bytes();
        assert_eq!(PublicKey::from_bytes(&same_slot), Err(PointError::Torsion));
        same_slot[0] = good.as_bytes()[0];
        assert!(PublicKey::from_bytes(&same_slot) != Ok(good));
    }
}

#[test]
fn d3_a_commitment_of_small_order_is_refused() {
    use sha2::{Digest, Sha512};
    // R is the identity and s = k·a: the equation holds, and nothing was committed to.
    let key = key();
    let public = PublicKey::of(&key);
    let r = EIGHT_TORSION[0].compress().to_bytes();
    let k = Scalar::from_hash(
        Sha512::new()
            .chain_update(r)
            .chain_update(public.as_bytes())
            .chain_update(b"message"),
    );
    let s = k * key.to_scalar();
    assert_eq!(
        ED25519_BASEPOINT_POINT * s,
        public.to_point().as_edwards() * k,
        "the equation holds"
    );
    let mut signature = Signature([0; 64]);
    signature.0[..32].copy_from_slice(&r);
    signature.0[32..].copy_from_slice(s.as_bytes());
    assert_eq!(public.verify_raw(b"message", &signature), Err(SignatureError));
}
