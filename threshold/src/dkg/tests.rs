//! Key generation, honest and attacked.

use super::message::Envelope;
use super::*;
use crate::committee::{CommitteeManifest, ParticipantIndex, Threshold};
use crate::encoding::{Canonical, DecodeError};
use crate::group::{Point, PointError};
use crate::secret::{KeyShare, SecretScalar};
use crate::signature::PublicKey;
use crate::testing::{TestCommittee, TestRng, ceremony, copy};
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

mod complaint;
mod equality;
mod messages;
mod packages;
mod shares;

/// A ceremony after everybody's round 1.
struct Run {
    ceremony: Ceremony,
    identities: Vec<SigningKey>,
    secrets: Vec<round1::SecretPackage>,
    commitments: Vec<SignedMessage>,
}

impl Run {
    fn start(t: u16, n: u16) -> Self {
        let mut rng = TestRng::new("run");
        let (ceremony, identities) = ceremony(t, n, &mut rng).unwrap();
        let started = identities
            .iter()
            .map(|identity| part1(&ceremony, identity, &mut rng).unwrap());
        let (secrets, commitments) = started.unzip();
        Self {
            ceremony,
            identities,
            secrets,
            commitments,
        }
    }

    fn commitments(&self) -> Vec<SignedMessage> {
        self.commitments
            .iter()
            .map(|message| copy(message).unwrap())
            .collect()
    }

    /// The round-1 package of a seat, counted from 1.
    fn package(&self, seat: u16) -> round1::Package {
        round1::Package::from_bytes(self.commitments[usize::from(seat) - 1].payload()).unwrap()
    }

    /// What everybody has if a seat commits to something else.
    fn with_package(&self, seat: u16, package: &round1::Package) -> Vec<SignedMessage> {
        let mut messages = self.commitments();
        messages[usize::from(seat) - 1] = self.say(seat, None, Kind::Round1, package.to_bytes());
        messages
    }

    fn say(&self, seat: u16, to: Option<u16>, kind: Kind, payload: Vec<u8>) -> SignedMessage {
        let recipient = to.map(index);
        let envelope = Envelope {
            ceremony: self.ceremony.id(),
            sender: index(seat),
            recipient,
            kind,
        };
        SignedMessage::sign(
            envelope,
            Zeroizing::new(payload),
            &self.identities[usize::from(seat) - 1],
        )
    }

    fn agree(&self, messages: Vec<SignedMessage>) -> Result<Agreement, DkgError> {
        let round1 = Round1::collect(&self.ceremony, messages)?;
        let report = |identity| round1.report(&self.ceremony, identity);
        let reports = self.identities.iter().map(report).collect::<Result<_, _>>()?;
        Agreement::reach(&self.ceremony, round1, reports)
    }
}

fn index(i: u16) -> ParticipantIndex {
    ParticipantIndex::new(i).unwrap()
}

#[test]
fn p6_everybody_ends_with_one_key_and_shares_of_it() {
    for (t, n) in [(2, 2), (2, 3), (3, 5), (5, 5)] {
        let committee = TestCommittee::generate(t, n, &mut TestRng::new("honest")).unwrap();
        assert_eq!(committee.signed.verify(), Ok(()));
        assert_eq!(committee.manifest().epoch(), 1);
        // Any t shares interpolate to one x with X = x·B; the manifest's own check is that t - 1 do not fix it.
        let last: Vec<&KeyShare> = committee.shares.iter().rev().take(t.into()).collect();
        let indices: Vec<_> = last.iter().map(|share| share.index()).collect();
        let lambda = crate::interpolation::coefficients(&indices, Scalar::ZERO).unwrap();
        let x: Scalar = lambda
            .iter()
            .zip(&last)
            .map(|(l, share)| l * share.secret().expose())
            .sum();
        assert_eq!(
            &(ED25519_BASEPOINT_POINT * x),
            committee.manifest().public_key().as_edwards()
        );
    }
}

#[test]
fn p6_the_degree_is_exactly_t_less_one() {
    let committee = TestCommittee::generate(3, 5, &mut TestRng::new("degree")).unwrap();
    let manifest = committee.manifest();
    let lower = Threshold::new(2, 5).unwrap();
    let lowered = CommitteeManifest::first(*manifest.public_key(), lower, manifest.members().to_vec());
    assert!(lowered.is_err());
}

#[test]
fn p6_all_members_compute_the_same_manifest() {
    let mut run = Run::start(2, 3);
    let agreement = run.agree(run.commitments()).unwrap();
    let mut dealt = Vec::new();
    let mut remaining = Vec::new();
    for (secret, identity) in run.secrets.drain(..).zip(&run.identities) {
        let (secret, messages) = part2(secret, &agreement, identity).unwrap();
        remaining.push(secret);
        dealt.extend(messages);
    }
    let digests = remaining
        .into_iter()
        .zip(run.ceremony.threshold().indices())
        .map(|(secret, me)| {
            let mine = dealt.iter().filter(|message| message.recipient() == Some(me));
            let (share, manifest) = part3(
                secret,
                &agreement,
                mine.map(|message| copy(message).unwrap()).collect(),
            )
            .unwrap();
            assert_eq!(share.index(), me);
            manifest.digest()
        });
    let digests: std::collections::BTreeSet<_> = digests.collect();
    assert_eq!(digests.len(), 1);
}

#[test]
fn a8_a12_seats_are_numbered_and_distinct() {
    let (honest, _) = ceremony(2, 3, &mut TestRng::new("seats")).unwrap();
    let rebuild = |change: fn(&mut Vec<Seat>)| {
        let mut seats = honest.seats().to_vec();
        change(&mut seats);
        Ceremony::new(*honest.nonce(), honest.threshold(), seats)
    };
    assert_eq!(rebuild(|_| {}).unwrap(), honest);
    assert_eq!(rebuild(|seats| drop(seats.pop())), Err(CeremonyError::Indices));
    assert_eq!(
        rebuild(|seats| seats[2].index = seats[0].index),
        Err(CeremonyError::Indices)
    );
    assert_eq!(
        rebuild(|seats| seats[2].identity = seats[0].identity),
        Err(CeremonyError::DuplicateIdentity(index(3)))
    );
    assert_eq!(
        rebuild(|seats| seats[2].name = seats[0].name.clone()),
        Err(CeremonyError::DuplicateName(index(3)))
    );
    assert_eq!(
        rebuild(|seats| seats[1].address.clear()),
        Err(CeremonyError::Address(index(2)))
    );
    assert_eq!(Ceremony::from_bytes(&honest.to_bytes()), Ok(honest));
}

#[test]
fn the_ceremony_id_binds_nonce_threshold_and_seats() {
    let (honest, _) = ceremony(2, 3, &mut TestRng::new("seats")).unwrap();
    let seats = honest.seats().to_vec();
    let other_nonce = Ceremony::new([7; 32], honest.threshold(), seats.clone()).unwrap();
    let other_threshold =
        Ceremony::new(*honest.nonce(), Threshold::new(3, 3).unwrap(), seats.clone()).unwrap();
    let mut moved = seats;
    moved[0].address = "127.0.0.1:1".to_owned();
    let other_seat = Ceremony::new(*honest.nonce(), honest.threshold(), moved).unwrap();
    let ids = [&honest, &other_nonce, &other_threshold, &other_seat].map(Ceremony::id);
    assert_eq!(std::collections::BTreeSet::from(ids).len(), 4);
}

#[test]
fn only_a_seat_takes_part() {
    let run = Run::start(2, 3);
    let stranger = SigningKey::from_bytes(&[9; 32]);
    let refused = part1(&run.ceremony, &stranger, &mut TestRng::new("stranger")).unwrap_err();
    assert_eq!(refused, DkgError::NotASeat);
    let round1 = Round1::collect(&run.ceremony, run.commitments()).unwrap();
    assert_eq!(
        round1.report(&run.ceremony, &stranger).unwrap_err(),
        DkgError::NotASeat
    );
}
