use super::*;
use crate::testing::{TestRng, label};
use curve25519_dalek::constants::EIGHT_TORSION;
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

/// A field, and how it is changed.
type Change<T> = (&'static str, fn(&mut T));

/// A custody key in one hand, as no installation has it.
fn custody(seed: &str) -> (Scalar, CustodyKey) {
    let x = Scalar::random(&mut TestRng::new(seed));
    (
        x,
        CustodyKey::new(Point::from_subgroup(ED25519_BASEPOINT_TABLE * &x).unwrap()),
    )
}

fn wrapped() -> (Scalar, DataKey, WrappedKey) {
    let mut rng = TestRng::new("wrap");
    let (x, key) = custody("x");
    let data_key = DataKey::generate(&mut rng);
    let wrapped = wrap(&key, &label("q3/report.pdf", 1).unwrap(), &data_key, &mut rng).unwrap();
    (x, data_key, wrapped)
}

fn opened(x: &Scalar, wrapped: &WrappedKey) -> Option<[u8; 32]> {
    let shared = (wrapped.u.as_edwards() * x).compress().to_bytes();
    wrapped.open(&shared).map(|key| *key.expose())
}

#[test]
fn what_is_wrapped_verifies_and_opens() {
    let (x, data_key, wrapped) = wrapped();
    assert_eq!(wrapped.verify(), Ok(()));
    assert_eq!(opened(&x, &wrapped), Some(*data_key.expose()));
    assert_eq!(opened(&(x + Scalar::ONE), &wrapped), None);
    assert_eq!(WrappedKey::from_bytes(&wrapped.to_bytes()).as_ref(), Ok(&wrapped));
    let by_hand: [u8; 32] = Sha256::digest(wrapped.to_bytes()).into();
    assert_eq!(wrapped.write_id(), WriteId(by_hand));
}

#[test]
fn the_longest_names_stay_within_the_limit() {
    let name = |c: &str| crate::name::Name::new(&c.repeat(48)).unwrap();
    let label = Label {
        installation: name("i"),
        tenant: name("t"),
        dataset: name("d"),
        document: crate::name::DocumentName::new(&"o".repeat(96)).unwrap(),
        version: u64::MAX,
    };
    let mut rng = TestRng::new("long");
    let wrapped = wrap(&custody("x").1, &label, &DataKey::generate(&mut rng), &mut rng).unwrap();
    assert_eq!(wrapped.to_bytes().len(), 508);
    assert!(wrapped.to_bytes().len() <= MAX_WRAPPED_KEY);
}

#[test]
fn c9_every_hashed_field_of_the_wrapping_proof_counts() {
    let (_, _, wrapped) = wrapped();
    let (w, w2) = ([1; 32], [2; 32]);
    let honest = wrapped.challenge(&w, &w2);
    let changes: [Change<WrappedKey>; 9] = [
        ("key id", |k| k.key_id.0[0] ^= 1),
        ("c", |k| k.c[79] ^= 1),
        ("installation", |k| {
            k.label.installation = crate::name::Name::new("other").unwrap()
        }),
        ("tenant", |k| {
            k.label.tenant = crate::name::Name::new("other").unwrap()
        }),
        ("dataset", |k| {
            k.label.dataset = crate::name::Name::new("other").unwrap()
        }),
        ("document", |k| {
            k.label.document = crate::name::DocumentName::new("other").unwrap()
        }),
        ("version", |k| k.label.version += 1),
        ("U", |k| k.u = Point::base()),
        ("U2", |k| k.u2 = Point::base()),
    ];
    for (field, change) in changes {
        let mut changed = wrapped.clone();
        change(&mut changed);
        assert_ne!(changed.challenge(&w, &w2), honest, "{field} is not hashed");
        assert_eq!(changed.verify(), Err(WrapError::Proof), "{field}");
    }
    assert_ne!(wrapped.challenge(&w2, &w2), honest, "W is not hashed");
    assert_ne!(wrapped.challenge(&w, &w), honest, "W2 is not hashed");
}

#[test]
fn c6_a_copied_u_under_another_label_is_refused() {
    let (_, _, victim) = wrapped();
    // The thief copies U and everything else into a document of its own.
    let mut stolen = victim.clone();
    stolen.label = label("mine", 1).unwrap();
    assert_eq!(stolen.verify(), Err(WrapError::Proof));
    // It makes a proof for what it can: it knows d in U' = U + d·B, not the logarithm of U'.
    let mut mauled = victim.clone();
    let d = Scalar::from(5_u8);
    mauled.u = Point::from_subgroup(victim.u.as_edwards() + ED25519_BASEPOINT_TABLE * &d).unwrap();
    mauled.u2 = Point::from_subgroup(victim.u2.as_edwards() + second_generator_table() * &d).unwrap();
    mauled.label = label("mine", 1).unwrap();
    assert_eq!(mauled.verify(), Err(WrapError::Proof));
    mauled.f = victim.f + victim.e * d;
    assert_eq!(mauled.verify(), Err(WrapError::Proof));
}

#[test]
fn c6_a_proof_needs_the_same_exponent_in_both_generators() {
    // The prover knows r and r2, but they differ: U2 is not r·B2.
    let (_, _, mut forged) = wrapped();
    let (r, r2, s) = (Scalar::from(11_u8), Scalar::from(12_u8), Scalar::from(13_u8));
    forged.u = Point::from_subgroup(ED25519_BASEPOINT_TABLE * &r).unwrap();
    forged.u2 = Point::from_subgroup(second_generator_table() * &r2).unwrap();
    let w = (ED25519_BASEPOINT_TABLE * &s).compress();
    let w2 = (second_generator_table() * &s).compress();
    forged.e = forged.challenge(w.as_bytes(), w2.as_bytes());
    forged.f = s + forged.e * r;
    assert_eq!(forged.verify(), Err(WrapError::Proof));
    forged.f = s + forged.e * r2;
    assert_eq!(forged.verify(), Err(WrapError::Proof));
    // With one exponent the same steps make a proof.
    forged.u2 = Point::from_subgroup(second_generator_table() * &r).unwrap();
    forged.e = forged.challenge(w.as_bytes(), w2.as_bytes());
    forged.f = s + forged.e * r;
    assert_eq!(forged.verify(), Ok(()));
}

#[test]
fn c16_no_second_key_passes_the_commitment() {
    let (x, _, wrapped) = wrapped();
    // Whatever the cipher says, another K has another commitment.
    let mut other = wrapped.clone();
    other.c[0] ^= 1;
    assert_eq!(opened(&x, &other), None);
    let shared = (wrapped.u.as_edwards() * x).compress().to_bytes();
    let sealed = |shared: &[u8; 32]| {
        Sealed::new(shared, wrapped.key_id, &wrapped.label, &wrapped.u)
            .unwrap()
            .seal(&DataKey::from_bytes([0; 32]))
            .unwrap()
    };
    assert_ne!(sealed(&shared)[..32], sealed(&[9; 32])[..32]);
}

#[test]
fn the_label_and_the_key_are_in_the_key_schedule() {
    let (x, _, wrapped) = wrapped();
    let mut other = wrapped.clone();
    other.label.version += 1;
    assert_eq!(opened(&x, &other), None);
    let mut other = wrapped.clone();
    other.key_id.0[5] ^= 1;
    assert_eq!(opened(&x, &other), None);
}

/// A generator that always returns the same.
struct Stuck;

impl RngCore for Stuck {
    fn next_u32(&mut self) -> u32 {
        4
    }
    fn next_u64(&mut self) -> u64 {
        4
    }
    fn fill_bytes(&mut self, destination: &mut [u8]) {
        destination.fill(4);
    }
    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(destination);
        Ok(())
    }
}

impl CryptoRng for Stuck {}

#[test]
fn a_stuck_generator_does_not_repeat_a_stream() {
    let (_, key) = custody("x");
    let (a, b) = (label("a", 1).unwrap(), label("b", 1).unwrap());
    let (one, two) = (DataKey::from_bytes([1; 32]), DataKey::from_bytes([2; 32]));
    let us: std::collections::BTreeSet<[u8; 32]> = [(&a, &one), (&a, &two), (&b, &one), (&b, &two)]
        .into_iter()
        .map(|(label, data_key)| *wrap(&key, label, data_key, &mut Stuck).unwrap().u.as_bytes())
        .collect();
    assert_eq!(us.len(), 4);
}

#[test]
fn c10_every_input_of_the_exponents_counts() {
    let (label, data_key) = (label("a", 1).unwrap(), DataKey::from_bytes([1; 32]));
    let wrapped = |seed, rng: &str| {
        let key = custody(seed).1;
        wrap(&key, &label, &data_key, &mut TestRng::new(rng)).unwrap()
    };
    let one = wrapped("x", "one");
    assert_ne!(one.u, wrapped("x", "two").u, "fresh randomness");
    let stuck = |seed| wrap(&custody(seed).1, &label, &data_key, &mut Stuck).unwrap();
    assert_ne!(stuck("x").u, stuck("y").u, "the custody key");
    // Were s and r one exponent, f = s + e·r would give it away.
    let guess = one.f * (one.e + Scalar::ONE).invert();
    assert_ne!(&(ED25519_BASEPOINT_TABLE * &guess), one.u.as_edwards());
}

#[test]
fn c6_a_changed_ciphertext_or_tag_does_not_open() {
    let (x, _, wrapped) = wrapped();
    for at in 0..SEALED_LENGTH {
        let mut changed = wrapped.clone();
        changed.c[at] ^= 1;
        assert_eq!(opened(&x, &changed), None, "byte {at}");
    }
}

#[test]
fn c9_every_input_of_the_key_schedule_counts() {
    let (_, _, wrapped) = wrapped();
    let commitment = |shared: [u8; 32], key_id, label: &Label, u: &Point| {
        let sealed = Sealed::new(&shared, key_id, label, u).unwrap();
        let sealed = sealed.seal(&DataKey::from_bytes([0; 32])).unwrap();
        sealed[..32].to_vec()
    };
    let (key_id, label, u) = (wrapped.key_id, &wrapped.label, &wrapped.u);
    let mut other = label.clone();
    other.version += 1;
    let all = [
        commitment([1; 32], key_id, label, u),
        commitment([2; 32], key_id, label, u),
        commitment([1; 32], KeyId([3; 32]), label, u),
        commitment([1; 32], key_id, &other, u),
        commitment([1; 32], key_id, label, &Point::base()),
    ];
    assert_eq!(std::collections::BTreeSet::from(all).len(), 5);
}

#[test]
fn every_flipped_byte_of_a_wrapped_key_is_refused() {
    let (_, _, wrapped) = wrapped();
    let bytes = wrapped.to_bytes();
    for position in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut flipped = bytes.clone();
            flipped[position] ^= bit;
            let accepted = WrappedKey::from_bytes(&flipped).is_ok_and(|wrapped| wrapped.verify().is_ok());
            assert!(!accepted, "byte {position} bit {bit}");
        }
    }
}

#[test]
fn c2_u_and_u2_outside_the_prime_order_group_are_refused() {
    // A forger could find a challenge that is a multiple of eight, with which the proof holds of a U with torsion.
    let (_, _, wrapped) = wrapped();
    let bytes = wrapped.to_bytes();
    let u = 4 + 32 + wrapped.label.to_bytes().len();
    for at in [u, u + 32] {
        let honest: [u8; 32] = bytes[at..at + 32].try_into().unwrap();
        let honest = *Point::from_bytes(&honest).unwrap().as_edwards();
        for torsion in &EIGHT_TORSION[1..] {
            for point in [*torsion, honest + torsion] {
                let mut changed = bytes.clone();
                changed[at..at + 32].copy_from_slice(&point.compress().to_bytes());
                assert_eq!(
                    WrappedKey::from_bytes(&changed),
                    Err(DecodeError::Invalid("point"))
                );
            }
        }
    }
}

#[test]
fn points_and_scalars_are_parsed_strictly() {
    let (_, _, wrapped) = wrapped();
    let bytes = wrapped.to_bytes();
    let u = 4 + 32 + wrapped.label.to_bytes().len();
    for (at, error) in [
        (u, "point"),
        (u + 32, "point"),
        (u + 64, "scalar"),
        (u + 96, "scalar"),
    ] {
        let mut changed = bytes.clone();
        // The identity as a point, l + something as a scalar.
        changed[at..at + 32].copy_from_slice(&if error == "point" {
            let mut identity = [0; 32];
            identity[0] = 1;
            identity
        } else {
            [0x1f; 32]
        });
        assert_eq!(WrappedKey::from_bytes(&changed), Err(DecodeError::Invalid(error)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_data_key_and_label_go_both_ways(
        seed in "[a-z]{8}", document in "[a-z0-9.]{1,20}(/[a-z0-9.]{1,20}){0,2}", version: u64, data: [u8; 32],
    ) {
        let (x, key) = custody("x");
        let label = label(&document, version).unwrap();
        let wrapped = wrap(&key, &label, &DataKey::from_bytes(data), &mut TestRng::new(&seed)).unwrap();
        let back = WrappedKey::from_bytes(&wrapped.to_bytes()).unwrap();
        prop_assert_eq!(&back, &wrapped);
        prop_assert_eq!(back.verify(), Ok(()));
        prop_assert_eq!(opened(&x, &back), Some(data));
    }

    #[test]
    fn p12_random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..520)) {
        prop_assert!(WrappedKey::from_bytes(&bytes).is_err());
        let mut prefixed = b"QW\x01\x01".to_vec();
        prefixed.extend(bytes);
        prop_assert!(WrappedKey::from_bytes(&prefixed).is_err());
    }
}
