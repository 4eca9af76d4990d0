use super::*;
use crate::testing::TestRng;
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use proptest::prelude::*;

fn index(i: u16) -> ParticipantIndex {
    ParticipantIndex::new(i).unwrap()
}

fn dealt(t: u16, n: u16, seed: &str) -> (SecretScalar, Threshold, Dealt) {
    let mut rng = TestRng::new(seed);
    let secret = SecretScalar::random(&mut rng);
    let threshold = Threshold::new(t, n).unwrap();
    let dealt = deal(&secret, threshold, &mut rng).unwrap();
    (secret, threshold, dealt)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_share_fits_its_own_index_and_no_other(
        seed in "[a-z]{8}", t in 2..9_u16, more in 0..6_u16, other in 1..=64_u16,
    ) {
        let (secret, threshold, dealt) = dealt(t, t + more, &seed);
        let commitments = Commitments::parse(&dealt.commitments, threshold).unwrap();
        let constant = ED25519_BASEPOINT_POINT * secret.expose();
        prop_assert_eq!(commitments.constant().unwrap().as_edwards(), &constant);
        prop_assert_eq!(dealt.shares.len(), usize::from(t + more));
        for (i, share) in threshold.indices().zip(&dealt.shares) {
            prop_assert!(commitments.fit(i, share));
            prop_assert_eq!(commitments.fit(index(other), share), index(other) == i);
        }
    }

    #[test]
    fn a_small_multiple_is_a_multiple(factor: u16) {
        let expected = ED25519_BASEPOINT_POINT * Scalar::from(factor);
        prop_assert_eq!(times(&ED25519_BASEPOINT_POINT, factor), expected);
    }
}

#[test]
fn a18_two_sharings_of_one_secret_have_no_coefficient_in_common() {
    let mut rng = TestRng::new("fresh");
    let secret = SecretScalar::random(&mut rng);
    let threshold = Threshold::new(5, 5).unwrap();
    let first = deal(&secret, threshold, &mut rng).unwrap();
    let second = deal(&secret, threshold, &mut rng).unwrap();
    let pairs = first.commitments.iter().zip(&second.commitments);
    let equal: Vec<bool> = pairs.map(|(a, b)| a == b).collect();
    assert_eq!(equal, [true, false, false, false, false], "only the secret's");
}

#[test]
fn the_count_is_checked_before_any_point() {
    let threshold = Threshold::new(3, 5).unwrap();
    for found in [0, 1, 2, 4, 64] {
        let error = Commitments::parse(&vec![[0xff; 32]; found], threshold).unwrap_err();
        assert_eq!(error, CommitmentError::Count { expected: 3, found });
    }
}

#[test]
fn a_sum_of_lower_degree_is_none() {
    let (_, threshold, first) = dealt(2, 2, "degree");
    let first = Commitments::parse(&first.commitments, threshold).unwrap();
    let mut opposite = first.clone();
    opposite.0[1] = Point::from_subgroup(-first.0[1].as_edwards()).unwrap();
    let one = Scalar::ONE;
    assert_eq!(Commitments::combine(&[&first, &opposite], &[one, one]), None);
    assert!(Commitments::combine(&[&first, &opposite], &[one, one + one]).is_some());
    assert_eq!(Commitments::combine(&[], &[]), None);
}

#[test]
fn p15_a_share_in_the_librarys_hands_does_not_print() {
    let share = WipedShare::with_identifier_and_value(
        IdentifierPrimeField(WrappedScalar(Scalar::ONE)),
        IdentifierPrimeField(WrappedScalar(Scalar::from(0xdead_beef_u32))),
    );
    assert!(!format!("{share:?}").contains("ef"), "{share:?}");
}
