use super::*;
use crate::committee::MAX_MEMBERS;
use crate::testing::TestRng;
use proptest::prelude::*;
use vsss_rs::curve25519::WrappedScalar;
use vsss_rs::{IdentifierPrimeField, ReadableShareSet, ValuePrimeField, shamir};

type Share = (
    IdentifierPrimeField<WrappedScalar>,
    ValuePrimeField<WrappedScalar>,
);

fn index(i: u16) -> ParticipantIndex {
    ParticipantIndex::new(i).unwrap()
}

fn evaluate(polynomial: &[Scalar], at: Scalar) -> Scalar {
    polynomial
        .iter()
        .rev()
        .fold(Scalar::ZERO, |sum, coefficient| sum * at + coefficient)
}

#[test]
fn equal_indices_determine_nothing() {
    assert_eq!(coefficients(&[index(2), index(3), index(2)], Scalar::ZERO), None);
}

#[test]
fn one_index_is_a_constant() {
    assert_eq!(coefficients(&[index(9)], Scalar::ZERO), Some(vec![Scalar::ONE]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same shares, combined here and by an independent library.
    #[test]
    fn combination_agrees_with_vsss(seed in "[a-z]{8}", t in 2..8_usize, more in 0..6_usize) {
        let secret = Scalar::random(&mut TestRng::new(&seed));
        let value = IdentifierPrimeField(WrappedScalar(secret));
        let shares: Vec<Share> =
            shamir::split_secret(t, t + more, &value, TestRng::new(&seed)).unwrap();
        let chosen = &shares[more..];
        prop_assert_eq!(chosen.combine().unwrap().0.0, secret);
        let indices: Vec<_> = (more + 1..=more + t).map(|i| index(u16::try_from(i).unwrap())).collect();
        let lambda = coefficients(&indices, Scalar::ZERO).unwrap();
        let sum: Scalar = lambda.iter().zip(chosen).map(|(lambda, share)| lambda * share.1.0.0).sum();
        prop_assert_eq!(sum, secret);
    }

    #[test]
    fn a_polynomial_is_determined_everywhere(
        seed in "[a-z]{8}",
        indices in prop::collection::btree_set(1..=MAX_MEMBERS, 1..12),
        at: u64,
    ) {
        let mut rng = TestRng::new(&seed);
        let polynomial: Vec<_> = indices.iter().map(|_| Scalar::random(&mut rng)).collect();
        let indices: Vec<_> = indices.into_iter().map(index).collect();
        let at = Scalar::from(at);
        let lambda = coefficients(&indices, at).unwrap();
        let values = indices.iter().map(|i| evaluate(&polynomial, i.scalar()));
        let sum: Scalar = lambda.iter().zip(values).map(|(lambda, value)| lambda * value).sum();
        prop_assert_eq!(sum, evaluate(&polynomial, at));
    }
}
