use super::*;
use curve25519_dalek::constants::EIGHT_TORSION;
use proptest::prelude::*;
use sha2::{Digest, Sha512};

#[test]
fn a9_every_point_of_small_order_is_refused() {
    for (i, torsion) in EIGHT_TORSION.iter().enumerate() {
        let expected = if i == 0 {
            PointError::Identity
        } else {
            PointError::Torsion
        };
        assert_eq!(
            Point::from_bytes(torsion.compress().as_bytes()),
            Err(expected),
            "torsion {i}"
        );
    }
}

#[test]
fn a9_every_point_of_mixed_order_is_refused() {
    for torsion in EIGHT_TORSION.iter().skip(1) {
        let mixed = ED25519_BASEPOINT_POINT * Scalar::from(12_345_u64) + torsion;
        // These pass the test for small order, which is why that test is not enough.
        assert!(!mixed.is_small_order());
        assert_eq!(
            Point::from_bytes(mixed.compress().as_bytes()),
            Err(PointError::Torsion)
        );
    }
}

#[test]
fn a9_every_non_canonical_encoding_is_refused() {
    // y in p .. 2^255 - 1, with either sign, and the two encodings of x = 0 with its sign set.
    let mut found = 0;
    for low in 0xed..=0xff_u8 {
        for high in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            bytes[0] = low;
            bytes[31] = high;
            found += usize::from(CompressedEdwardsY(bytes).decompress().is_some());
            assert_eq!(
                Point::from_bytes(&bytes),
                Err(PointError::Encoding),
                "{bytes:02x?}"
            );
        }
    }
    for y in [EIGHT_TORSION[0], EIGHT_TORSION[4]] {
        let mut bytes = y.compress().to_bytes();
        bytes[31] |= 0x80;
        found += usize::from(CompressedEdwardsY(bytes).decompress().is_some());
        assert_eq!(Point::from_bytes(&bytes), Err(PointError::Encoding));
    }
    assert_eq!(found, 26, "decompression alone takes all of these");
}

#[test]
fn the_second_generator_is_derived_again() {
    // By hand, from the documentation.
    let mut counter = 0_u32;
    let point = loop {
        let mut hash = Sha512::new();
        hash.update([30]);
        hash.update(b"quorate-v1-edwards25519-sha512");
        hash.update([16]);
        hash.update(b"second-generator");
        hash.update([1, 7]);
        hash.update(b"counter");
        hash.update([0, 0, 0, 4]);
        hash.update(counter.to_be_bytes());
        hash.update([2]);
        let candidate: [u8; 32] = hash.finalize()[..32].try_into().unwrap();
        match CompressedEdwardsY(candidate).decompress() {
            Some(point) if point.compress().0 == candidate => break point * Scalar::from(8_u8),
            _ => counter += 1,
        }
    };
    let b2 = second_generator();
    assert_eq!(&point, b2.as_edwards());
    assert_eq!(Point::from_bytes(b2.as_bytes()), Ok(b2));
    assert_ne!(b2, Point::base());
    let scalar = Scalar::from(77_u8);
    assert_eq!(second_generator_table() * &scalar, b2.as_edwards() * scalar);
}

#[test]
fn scalars_must_be_below_the_group_order() {
    // l itself, and l + 1.
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut next = order;
    next[0] += 1;
    let mut last = order;
    last[0] -= 1;
    assert_eq!(
        decode_scalar(&mut Reader::new(&order)),
        Err(DecodeError::Invalid("scalar"))
    );
    assert_eq!(
        decode_scalar(&mut Reader::new(&next)),
        Err(DecodeError::Invalid("scalar"))
    );
    assert_eq!(decode_scalar(&mut Reader::new(&last)), Ok(-Scalar::ONE));
}

proptest! {
    #[test]
    fn multiples_of_the_base_go_both_ways(seed: [u8; 32]) {
        let scalar = Scalar::from_bytes_mod_order(seed);
        prop_assume!(scalar != Scalar::ZERO);
        let point = Point::from_subgroup(ED25519_BASEPOINT_POINT * scalar).unwrap();
        prop_assert_eq!(Point::from_bytes(point.as_bytes()), Ok(point));
        prop_assert_eq!(point.to_string().parse::<Point>(), Ok(point));
    }

    #[test]
    fn random_bytes_agree_with_the_library(bytes: [u8; 32]) {
        let accepted = Point::from_bytes(&bytes).is_ok();
        let expected = CompressedEdwardsY(bytes)
            .decompress()
            .is_some_and(|p| p.is_torsion_free() && p != EdwardsPoint::identity() && p.compress().0 == bytes);
        prop_assert_eq!(accepted, expected);
    }
}

#[test]
fn a7_a_computed_point_is_not_the_identity_either() {
    assert_eq!(
        Point::from_subgroup(EdwardsPoint::identity()),
        Err(PointError::Identity)
    );
}
