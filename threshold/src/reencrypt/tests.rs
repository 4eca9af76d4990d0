//! One read, honest and attacked.

use super::share::Commitment;
use super::*;
use crate::committee::{CommitteeManifest, ParticipantIndex};
use crate::encoding::{Canonical, DecodeError};
use crate::group::Point;
use crate::ids::{ApproveId, KeyId, ManifestDigest, WriteId};
use crate::interpolation;
use crate::secret::DataKey;
use crate::signature::PublicKey;
use crate::testing::{TestCommittee, TestRng, label};
use crate::wrap::{WrappedKey, wrap};
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use proptest::prelude::*;
use rand_core::{CryptoRng, RngCore};

mod attacks;
mod proofs;

/// A field, and how it is changed.
type Change<T> = (&'static str, fn(&mut T));

/// A committee, a wrapped key and a reader who is to have it.
struct Read {
    committee: TestCommittee,
    data_key: DataKey,
    wrapped: WrappedKey,
    reader: ReaderKey,
    approve_id: ApproveId,
    rng: TestRng,
}

impl Read {
    fn new(t: u16, n: u16) -> Self {
        let mut rng = TestRng::new("read");
        let committee = TestCommittee::generate(t, n, &mut rng).unwrap();
        let data_key = DataKey::generate(&mut rng);
        let key = committee.manifest().custody_key();
        let wrapped = wrap(key, &label("report", 1).unwrap(), &data_key, &mut rng).unwrap();
        let reader = ReaderKey::generate(&mut rng);
        Self {
            committee,
            data_key,
            wrapped,
            reader,
            approve_id: ApproveId([0xaa; 32]),
            rng,
        }
    }

    fn manifest(&self) -> &CommitteeManifest {
        self.committee.manifest()
    }

    fn context(&self) -> Context<'_> {
        self.context_with(&self.reader.public())
    }

    fn context_with(&self, q: &PublicKey) -> Context<'_> {
        Context::new(self.manifest(), &self.wrapped, self.approve_id, q).unwrap()
    }

    /// The shares of these members, counted from 1.
    fn shares(&self, context: &Context<'_>, members: &[u16]) -> Vec<ReencryptionShare> {
        let mut rng = self.rng.clone();
        let answer =
            |i: &u16| reencrypt(self.committee.share(index(*i)).unwrap(), context, &mut rng).unwrap();
        members.iter().map(answer).collect()
    }

    fn verified(&self, context: &Context<'_>, members: &[u16]) -> Vec<VerifiedShare> {
        let shares = self.shares(context, members);
        shares
            .iter()
            .map(|share| verify_share(context, share).unwrap())
            .collect()
    }
}

fn index(i: u16) -> ParticipantIndex {
    ParticipantIndex::new(i).unwrap()
}

/// A generator that always returns the same bytes.
struct Stuck;

impl RngCore for Stuck {
    fn next_u32(&mut self) -> u32 {
        0
    }
    fn next_u64(&mut self) -> u64 {
        0
    }
    fn fill_bytes(&mut self, destination: &mut [u8]) {
        destination.fill(0);
    }
    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(destination);
        Ok(())
    }
}

impl CryptoRng for Stuck {}

#[test]
fn any_t_members_open_the_key_for_the_reader() {
    let read = Read::new(3, 5);
    let context = read.context();
    for members in [[1, 2, 3], [5, 3, 1], [2, 4, 5]] {
        let reencryption = combine(&context, &read.verified(&context, &members)).unwrap();
        let opened = open(&read.reader, &reencryption, &read.wrapped).unwrap();
        assert_eq!(opened.expose(), read.data_key.expose());
        assert_eq!(
            Reencryption::from_bytes(&reencryption.to_bytes()),
            Ok(reencryption)
        );
    }
}

#[test]
fn what_combines_is_an_encryption_under_q_and_nobody_elses() {
    let read = Read::new(2, 3);
    let context = read.context();
    let reencryption = combine(&context, &read.verified(&context, &[1, 3])).unwrap();
    let other = ReaderKey::generate(&mut TestRng::new("other reader"));
    assert_eq!(open(&other, &reencryption, &read.wrapped).unwrap_err(), OpenError);
}

#[test]
fn p2_fewer_than_t_shares_do_not_open() {
    let read = Read::new(3, 5);
    let context = read.context();
    let two = read.verified(&context, &[1, 2]);
    assert_eq!(
        combine(&context, &two).unwrap_err(),
        CombineError::Count { needed: 3, found: 2 }
    );
    // Interpolating them all the same gives nothing.
    let lambda = interpolation::coefficients(&[index(1), index(2)], Scalar::ZERO).unwrap();
    let sum = |part: fn(&VerifiedShare) -> &EdwardsPoint| {
        let sum = lambda
            .iter()
            .zip(&two)
            .map(|(lambda, share)| part(share) * lambda)
            .sum();
        Point::from_subgroup(sum).unwrap()
    };
    let forced = Reencryption {
        r: sum(|s| s.share.r.as_edwards()),
        d: sum(|s| s.share.d.as_edwards()),
    };
    assert_eq!(open(&read.reader, &forced, &read.wrapped).unwrap_err(), OpenError);
}

#[test]
fn p2_t_less_one_key_shares_do_not_decrypt() {
    let read = Read::new(3, 5);
    let lambda = interpolation::coefficients(&[index(1), index(2)], Scalar::ZERO).unwrap();
    let x: Scalar = lambda
        .iter()
        .zip(&read.committee.shares)
        .map(|(l, s)| l * s.secret().expose())
        .sum();
    let shared = (read.wrapped.u().as_edwards() * x).compress().to_bytes();
    assert!(read.wrapped.open(&shared).is_none());
    // With one more share the same steps do.
    let indices = [index(1), index(2), index(3)];
    let lambda = interpolation::coefficients(&indices, Scalar::ZERO).unwrap();
    let x: Scalar = lambda
        .iter()
        .zip(&read.committee.shares)
        .map(|(l, s)| l * s.secret().expose())
        .sum();
    let shared = (read.wrapped.u().as_edwards() * x).compress().to_bytes();
    assert!(read.wrapped.open(&shared).is_some());
}

#[test]
fn c11_combine_takes_exactly_t_distinct_members() {
    let read = Read::new(3, 5);
    let context = read.context();
    let all = read.verified(&context, &[1, 2, 3, 4, 5]);
    let count = |found| CombineError::Count { needed: 3, found };
    assert_eq!(combine(&context, &[]).unwrap_err(), count(0));
    assert_eq!(combine(&context, &all[..2]).unwrap_err(), count(2));
    assert_eq!(combine(&context, &all).unwrap_err(), count(5));
    assert_eq!(combine(&context, &vec![all[0]; 200]).unwrap_err(), count(200));
    let twice = [all[0], all[1], all[0]];
    assert_eq!(
        combine(&context, &twice).unwrap_err(),
        CombineError::Duplicate(index(1))
    );
    // Unsorted is no fault.
    assert!(combine(&context, &[all[4], all[0], all[2]]).is_ok());
}

#[test]
fn c11_two_answers_of_one_member_count_once() {
    let read = Read::new(2, 3);
    let context = read.context();
    let mut rng = TestRng::new("again");
    let share = read.committee.share(index(1)).unwrap();
    let answers = [(); 2].map(|()| reencrypt(share, &context, &mut rng).unwrap());
    assert_ne!(answers[0], answers[1]);
    let (verified, culprits) = verify_shares(&context, &answers, &mut rng);
    assert_eq!((verified.len(), culprits.len()), (2, 0));
    assert_eq!(
        combine(&context, &verified).unwrap_err(),
        CombineError::Duplicate(index(1))
    );
}

#[test]
fn shares_go_both_ways() {
    let read = Read::new(2, 3);
    let share = read.shares(&read.context(), &[2])[0];
    let bytes = share.to_bytes();
    assert_eq!(bytes.len(), ReencryptionShare::LENGTH);
    assert_eq!(ReencryptionShare::from_bytes(&bytes), Ok(share));
    assert_ne!(share.digest(), read.shares(&read.context(), &[1])[0].digest());
}

#[test]
fn every_flipped_byte_of_a_share_is_refused() {
    let read = Read::new(2, 3);
    let context = read.context();
    let bytes = read.shares(&context, &[2])[0].to_bytes();
    for position in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut flipped = bytes.clone();
            flipped[position] ^= bit;
            let accepted =
                ReencryptionShare::from_bytes(&flipped).is_ok_and(|s| verify_share(&context, &s).is_ok());
            assert!(!accepted, "byte {position} bit {bit}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn p12_random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..240)) {
        prop_assert!(ReencryptionShare::from_bytes(&bytes).is_err());
        prop_assert!(Reencryption::from_bytes(&bytes).is_err());
        let mut prefixed = vec![1, 1, 0, 1];
        prefixed.extend(bytes);
        prop_assert!(ReencryptionShare::from_bytes(&prefixed).is_err());
    }
}
