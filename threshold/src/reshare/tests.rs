//! Resharing, honest and attacked.

use super::*;
use crate::committee::{CommitteeManifest, ParticipantIndex, SignedManifest, Threshold};
use crate::dkg::{CeremonyError, Seat, round2};
use crate::encoding::{Canonical, DecodeError};
use crate::feldman::CommitmentError;
use crate::group::PointError;
use crate::interpolation;
use crate::message::{Attestation, Envelope, MessageError};
use crate::name::Name;
use crate::secret::{KeyShare, SecretScalar};
use crate::signature::PublicKey;
use crate::testing::{TestCommittee, TestRng};
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use zeroize::Zeroizing;

mod binding;
mod dealers;
mod epochs;
mod evidence;
mod seats;

/// A resharing after everybody has dealt.
struct Run {
    old: TestCommittee,
    resharing: Resharing,
    /// Each new seat's identity, in order. The first ones are old members'.
    identities: Vec<SigningKey>,
    commitments: Vec<SignedMessage>,
    /// By dealer, then by seat.
    shares: Vec<Vec<SignedMessage>>,
}

fn index(i: u16) -> ParticipantIndex {
    ParticipantIndex::new(i).unwrap()
}

fn seats(identities: &[SigningKey]) -> Vec<Seat> {
    (1..)
        .zip(identities)
        .map(|(i, identity)| Seat {
            index: index(i),
            name: Name::new(&format!("seat-{i}")).unwrap(),
            identity: PublicKey::of(identity),
            address: format!("127.0.0.1:{}", 7200 + i),
        })
        .collect()
}

impl Run {
    /// `t` of `n` hand over to `t2` of `n2`, of whom `overlap` are old members, in the opposite order.
    fn start((t, n): (u16, u16), (t2, n2): (u16, u16), overlap: usize) -> Self {
        let mut rng = TestRng::new("reshare");
        let old = TestCommittee::generate(t, n, &mut rng).unwrap();
        let stay = old.identities.iter().rev().take(overlap).cloned();
        let join = (overlap..usize::from(n2)).map(|_| SigningKey::generate(&mut rng));
        let identities: Vec<SigningKey> = stay.chain(join).collect();
        let threshold = Threshold::new(t2, n2).unwrap();
        let resharing = Resharing::new([7; 32], old.signed.clone(), threshold, seats(&identities)).unwrap();
        let dealt = old.shares.iter().zip(&old.identities);
        let (commitments, shares) = dealt
            .map(|(share, identity)| deal(&resharing, share, identity, &mut rng).unwrap())
            .unzip();
        Self {
            old,
            resharing,
            identities,
            commitments,
            shares,
        }
    }

    /// Three of five hand over to two of four, two of whom stay.
    fn usual() -> Self {
        Self::start((3, 5), (2, 4), 2)
    }

    /// What a seat receives if all goes well.
    fn sent_to(&self, seat: u16) -> Vec<SignedMessage> {
        let shares = self.shares.iter().map(|shares| &shares[usize::from(seat) - 1]);
        self.commitments
            .iter()
            .chain(shares)
            .map(SignedMessage::duplicate)
            .collect()
    }

    fn receive(&self, seat: u16, messages: Vec<SignedMessage>) -> Received {
        let identity = PublicKey::of(&self.identities[usize::from(seat) - 1]);
        Received::collect(&self.resharing, &identity, messages).unwrap()
    }

    /// What every seat has received, where `change` changes what is on its way to a seat.
    fn received(&self, change: impl Fn(u16, &mut Vec<SignedMessage>)) -> Vec<Received> {
        let seats = 1..=self.resharing.threshold().n();
        seats
            .map(|seat| {
                let mut messages = self.sent_to(seat);
                change(seat, &mut messages);
                self.receive(seat, messages)
            })
            .collect()
    }

    fn reports(&self, received: &[Received]) -> Vec<SignedMessage> {
        let pairs = received.iter().zip(&self.identities);
        pairs
            .map(|(received, identity)| received.report(&self.resharing, identity).unwrap())
            .collect()
    }

    /// Everybody's conclusion.
    fn reach(&self, received: Vec<Received>) -> Vec<Result<Agreement, ReshareError>> {
        let reports = self.reports(&received);
        self.reach_with(received, &reports)
    }

    fn reach_with(
        &self,
        received: Vec<Received>,
        reports: &[SignedMessage],
    ) -> Vec<Result<Agreement, ReshareError>> {
        let copies = || reports.iter().map(SignedMessage::duplicate).collect();
        received
            .into_iter()
            .map(|received| Agreement::reach(&self.resharing, received, copies()))
            .collect()
    }

    /// Everybody's conclusion, which is the same.
    fn agree(&self, change: impl Fn(u16, &mut Vec<SignedMessage>)) -> Vec<Agreement> {
        let reached = self.reach(self.received(change));
        reached.into_iter().map(Result::unwrap).collect()
    }

    fn conclude(&self, agreements: &[Agreement]) -> SignedManifest {
        let confirmations = self.confirmations(agreements);
        let copies = || confirmations.iter().map(SignedMessage::duplicate).collect();
        let concluded: Vec<SignedManifest> = agreements
            .iter()
            .map(|agreement| agreement.conclude(copies()).unwrap())
            .collect();
        assert!(concluded.windows(2).all(|pair| pair[0] == pair[1]));
        concluded.into_iter().next().unwrap()
    }

    fn confirmations(&self, agreements: &[Agreement]) -> Vec<SignedMessage> {
        let pairs = agreements.iter().zip(&self.identities);
        pairs
            .map(|(agreement, identity)| agreement.confirm(identity).unwrap())
            .collect()
    }

    fn say(&self, party: Party, to: Option<u16>, kind: Kind, payload: Vec<u8>) -> SignedMessage {
        let (sender, identity) = match party {
            Party::Dealer(index) => (index, &self.old.identities[index.position()]),
            Party::Receiver(index) => (index, &self.identities[index.position()]),
        };
        let envelope = Envelope {
            ceremony: self.resharing.id(),
            sender,
            recipient: to.map(index),
            kind,
        };
        SignedMessage::sign(envelope, Zeroizing::new(payload), identity)
    }

    /// What a dealer committed to.
    fn package(&self, dealer: u16) -> Package {
        Package::from_bytes(self.commitments[usize::from(dealer) - 1].payload()).unwrap()
    }
}

/// Puts a message in the place of the one with the same sender and kind.
fn replace(messages: &mut [SignedMessage], with: &SignedMessage) {
    for message in messages {
        if message.sender() == with.sender() && message.kind() == with.kind() {
            *message = with.duplicate();
        }
    }
}

fn remove(messages: &mut Vec<SignedMessage>, dealer: u16) {
    messages.retain(|message| message.sender() != index(dealer));
}

/// The secret that these shares hold together.
fn secret(shares: &[&KeyShare]) -> Scalar {
    let indices: Vec<_> = shares.iter().map(|share| share.index()).collect();
    let lambda = interpolation::coefficients(&indices, Scalar::ZERO).unwrap();
    let terms = lambda
        .iter()
        .zip(shares)
        .map(|(l, share)| l * share.secret().expose());
    terms.sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any committee hands over to any other, with any overlap and any t or more of its members dealing.
    #[test]
    fn b2_b4_p6_any_committee_hands_over_to_any_other(
        (t, n) in (2..=5_u16).prop_flat_map(|t| (Just(t), t..=6)),
        (t2, n2) in (2..=5_u16).prop_flat_map(|t| (Just(t), t..=6)),
        overlap in 0..=6_usize,
        absent in 0..=4_usize,
    ) {
        let run = Run::start((t, n), (t2, n2), overlap.min(n.into()).min(n2.into()));
        let absent = absent.min(usize::from(n - t));
        let agreements = run.agree(|_, messages| {
            messages.retain(|message| message.sender().position() >= absent);
        });
        let signed = run.conclude(&agreements);
        let (old, new) = (run.old.manifest(), &signed.manifest);
        prop_assert_eq!(signed.verify(), Ok(()));
        prop_assert_eq!(new.follows(old), Ok(()));
        prop_assert_eq!((new.public_key(), new.key_id()), (old.public_key(), old.key_id()));
        prop_assert_eq!(new.threshold(), run.resharing.threshold());
        prop_assert_eq!(agreements[0].dealers().len(), usize::from(n) - absent);
        prop_assert_eq!(agreements[0].excluded().len(), absent);
        let shares: Vec<&KeyShare> = agreements.iter().map(|a| a.share().unwrap()).collect();
        // Any t of the new shares hold the key; the first and the last t, here.
        let t2 = usize::from(t2);
        for chosen in [&shares[..t2], &shares[shares.len() - t2..]] {
            prop_assert_eq!(&(ED25519_BASEPOINT_POINT * secret(chosen)), old.public_key().as_edwards());
        }
        // One less hold something else: the degree is exact.
        prop_assert_ne!(&(ED25519_BASEPOINT_POINT * secret(&shares[..t2 - 1])), old.public_key().as_edwards());
    }

    #[test]
    fn p12_random_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut prefixed = vec![1, 1];
        prefixed.extend(&bytes);
        let mut verdicts = vec![1, 1, 0, 0, 0, 3];
        verdicts.extend(&bytes);
        prop_assert!(Resharing::from_bytes(&prefixed).is_err());
        prop_assert!(SignedMessage::from_bytes(&bytes).is_err());
        prop_assert!(Confirmation::from_bytes(&prefixed).is_err());
        // Three verdicts of one byte, 0, are a report.
        prop_assert!(bytes == [0; 3] || Report::from_bytes(&verdicts).is_err());
        prop_assert!(Evidence::from_bytes(&bytes).is_err());
    }
}

#[test]
fn a_refresh_keeps_the_committee_and_changes_every_share() {
    let old = TestCommittee::generate(2, 3, &mut TestRng::new("refresh")).unwrap();
    let mut rng = TestRng::new("refreshing");
    let resharing = Resharing::new(
        [1; 32],
        old.signed.clone(),
        old.manifest().threshold(),
        old.ceremony.seats().to_vec(),
    )
    .unwrap();
    let refreshed = crate::testing::reshare(
        &resharing,
        &old.shares,
        &old.identities,
        &old.identities,
        &mut rng,
    );
    let refreshed = refreshed.unwrap();
    assert_eq!(refreshed.signed.manifest.follows(old.manifest()), Ok(()));
    for (before, after) in old.shares.iter().zip(&refreshed.shares) {
        assert_eq!(before.index(), after.index());
        assert_ne!(before.public_share(), after.public_share());
    }
}

#[test]
fn p6_an_observer_comes_to_the_same_manifest_without_a_share() {
    let run = Run::usual();
    let agreements = run.agree(|_, _| {});
    let reports = run.reports(&run.received(|_, _| {}));
    let observed = |messages: &[SignedMessage]| {
        let messages = messages.iter().map(SignedMessage::duplicate).collect();
        let reports = reports.iter().map(SignedMessage::duplicate).collect();
        Agreement::reach(
            &run.resharing,
            Received::observe(&run.resharing, messages)?,
            reports,
        )
    };
    let agreement = observed(&run.commitments).unwrap();
    assert_eq!(agreement.manifest(), agreements[0].manifest());
    assert!(agreement.share().is_none());
    let signed = agreement.conclude(run.confirmations(&agreements)).unwrap();
    assert_eq!(signed.verify(), Ok(()));
    assert!(agreement.share().is_none());
    // It needs the commitments of every dealer that counts.
    let lacking = observed(&run.commitments[1..]).unwrap_err();
    assert_eq!(lacking, MessageError::Missing(vec![index(1)]).into());
}

#[test]
fn p2_t_less_one_dealers_and_seats_do_not_have_the_key() {
    // What t - 1 old and t' - 1 new members know together: their old shares, what they dealt, what they were dealt.
    let run = Run::start((3, 5), (3, 5), 0);
    let agreements = run.agree(|_, _| {});
    let x = run.old.manifest().public_key().as_edwards();
    let old: Vec<&KeyShare> = run.old.shares[..2].iter().collect();
    let new: Vec<&KeyShare> = agreements[..2].iter().map(|a| a.share().unwrap()).collect();
    for chosen in [&old[..], &new[..], &[old[0], new[1]], &[old[1], new[0]]] {
        assert_ne!(&(ED25519_BASEPOINT_POINT * secret(chosen)), x);
    }
    // Nor does one old share more make up for a new one that is missing.
    assert_ne!(
        &(ED25519_BASEPOINT_POINT * secret(&[new[0], new[1], &run.old.shares[2]])),
        x
    );
}
