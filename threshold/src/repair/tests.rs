//! Repair, honest and attacked.

use super::rounds::Sum;
use super::*;
use crate::committee::ParticipantIndex;
use crate::dkg::round2;
use crate::encoding::{Canonical, DecodeError};
use crate::feldman::CommitmentError;
use crate::group::PointError;
use crate::message::{Envelope, MessageError};
use crate::secret::{KeyShare, SecretScalar};
use crate::testing::{TestCommittee, TestRng};
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::SigningKey;
use frost_ed25519::keys::repairable::{Delta, repair_share_part2};
use proptest::prelude::*;
use zeroize::Zeroizing;

mod helpers;

/// A repair after every helper's part 1.
struct Run {
    committee: TestCommittee,
    repair: Repair,
    commitments: Vec<SignedMessage>,
    /// By sender, then by recipient, both as places among the helpers.
    parts: Vec<Vec<SignedMessage>>,
}

fn index(i: u16) -> ParticipantIndex {
    ParticipantIndex::new(i).unwrap()
}

impl Run {
    fn start((t, n): (u16, u16), lost: u16, helpers: &[u16]) -> Self {
        let mut rng = TestRng::new("repair");
        let committee = TestCommittee::generate(t, n, &mut rng).unwrap();
        let helpers: Vec<_> = helpers.iter().copied().map(index).collect();
        let repair = Repair::new([7; 32], committee.signed.clone(), index(lost), helpers).unwrap();
        let started = repair.helpers().iter().map(|helper| {
            let at = helper.position();
            part1(
                &repair,
                &committee.shares[at],
                &committee.identities[at],
                &mut rng,
            )
            .unwrap()
        });
        let (commitments, parts) = started.unzip();
        Self {
            committee,
            repair,
            commitments,
            parts,
        }
    }

    /// Three of five; member 2 lost its share, and 1, 4 and 5 help.
    fn usual() -> Self {
        Self::start((3, 5), 2, &[1, 4, 5])
    }

    fn identity(&self, member: u16) -> &SigningKey {
        &self.committee.identities[usize::from(member) - 1]
    }

    fn commitments(&self) -> Vec<SignedMessage> {
        self.commitments.iter().map(SignedMessage::duplicate).collect()
    }

    /// The parts for the helper at a place.
    fn parts_for(&self, place: usize) -> Vec<SignedMessage> {
        self.parts.iter().map(|parts| parts[place].duplicate()).collect()
    }

    fn sums(&self) -> Vec<SignedMessage> {
        (0..self.repair.helpers().len())
            .map(|place| {
                let identity = self.identity(self.repair.helpers()[place].get());
                part2(&self.repair, self.commitments(), self.parts_for(place), identity).unwrap()
            })
            .collect()
    }

    fn finish(&self, sums: Vec<SignedMessage>) -> Result<KeyShare, RepairError> {
        let lost = self.identity(self.repair.lost().get());
        part3(&self.repair, self.commitments(), sums, lost)
    }

    fn say(&self, helper: u16, to: Option<u16>, kind: Kind, payload: Vec<u8>) -> SignedMessage {
        let envelope = Envelope {
            ceremony: self.repair.id(),
            sender: index(helper),
            recipient: to.map(index),
            kind,
        };
        SignedMessage::sign(envelope, Zeroizing::new(payload), self.identity(helper))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Any t others give any member its share again.
    #[test]
    fn any_t_others_repair_any_share(
        (t, n) in (2..=5_u16).prop_flat_map(|t| (Just(t), t + 1..=7)),
        lost in 0..7_u16,
        skip in 0..7_usize,
    ) {
        let lost = lost % n + 1;
        let others = (1..=n).filter(|member| *member != lost);
        let mut helpers: Vec<u16> = others.cycle().skip(skip).take(t.into()).collect();
        helpers.sort_unstable();
        let run = Run::start((t, n), lost, &helpers);
        let repaired = run.finish(run.sums()).unwrap();
        let before = run.committee.share(index(lost)).unwrap();
        prop_assert_eq!(repaired.index(), before.index());
        prop_assert_eq!(repaired.secret().expose(), before.secret().expose());
        prop_assert_eq!(repaired.manifest_digest(), before.manifest_digest());
    }

    #[test]
    fn p12_random_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut prefixed = vec![1, 1];
        prefixed.extend(&bytes);
        prop_assert!(Repair::from_bytes(&prefixed).is_err());
        prop_assert!(SignedMessage::from_bytes(&bytes).is_err());
        prop_assert!(Evidence::from_bytes(&bytes).is_err());
        drop(Sum::from_bytes(&prefixed));
    }
}

#[test]
fn the_sums_are_those_of_frosts_repairable_scheme() {
    let run = Run::usual();
    for (place, sum) in run.sums().iter().enumerate() {
        let deltas: Vec<Delta> = run
            .parts_for(place)
            .iter()
            .map(|part| Delta::deserialize(&part.payload()[2..]).unwrap())
            .collect();
        assert_eq!(repair_share_part2(&deltas).serialize(), sum.payload()[2..34]);
    }
}

#[test]
fn p2_what_the_member_gets_is_its_own_share_and_no_other() {
    // Neither a sum nor a part is a helper's share, or its share times its coefficient.
    let run = Run::usual();
    let messages = run.sums().into_iter().chain(run.parts_for(0));
    let seen: Vec<Vec<u8>> = messages
        .map(|message| message.payload()[2..34].to_vec())
        .collect();
    for helper in run.repair.helpers() {
        let secret = run.committee.share(*helper).unwrap().secret().expose();
        let weighted = run.repair.lambda(*helper).unwrap() * secret;
        assert!(!seen.contains(&secret.to_bytes().to_vec()));
        assert!(!seen.contains(&weighted.to_bytes().to_vec()));
    }
}

#[test]
fn a18_two_repairs_of_one_share_have_no_part_in_common() {
    let run = Run::usual();
    let mut rng = TestRng::new("again");
    let (share, identity) = (&run.committee.shares[0], run.identity(1));
    let (_, again) = part1(&run.repair, share, identity, &mut rng).unwrap();
    for (first, second) in run.parts[0].iter().zip(&again) {
        assert_ne!(first.payload(), second.payload());
    }
}

#[test]
fn a8_a12_the_helpers_are_t_other_members_in_order() {
    let run = Run::usual();
    let propose = |lost, helpers: &[u16]| {
        let helpers = helpers.iter().copied().map(index).collect();
        Repair::new([7; 32], run.committee.signed.clone(), index(lost), helpers)
    };
    let refused = Err(ProposalError::Helpers { needed: 3 });
    for helpers in [
        &[1, 4][..],
        &[1, 3, 4, 5],
        &[],
        &[1, 1, 4],
        &[4, 1, 5],
        &[1, 2, 4],
    ] {
        assert_eq!(propose(2, helpers), refused, "{helpers:?}");
    }
    assert_eq!(
        propose(6, &[1, 4, 5]),
        Err(ProposalError::UnknownMember(index(6)))
    );
    assert_eq!(
        propose(2, &[1, 4, 6]),
        Err(ProposalError::UnknownMember(index(6)))
    );
    assert_eq!(propose(2, &[1, 4, 5]).as_ref(), Ok(&run.repair));
    let mut unsigned = run.committee.signed.clone();
    unsigned.signatures.swap(0, 1);
    let refused = Repair::new([7; 32], unsigned, index(2), vec![index(1), index(4), index(5)]);
    assert!(matches!(refused, Err(ProposalError::Manifest(_))));
}

#[test]
fn a_repair_goes_both_ways_and_every_flipped_byte_counts() {
    let run = Run::start((2, 3), 2, &[1, 3]);
    let bytes = run.repair.to_bytes();
    assert_eq!(Repair::from_bytes(&bytes).as_ref(), Ok(&run.repair));
    for position in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1;
        let other = Repair::from_bytes(&flipped);
        assert!(
            other.is_err() || other.unwrap().id() != run.repair.id(),
            "byte {position}"
        );
    }
}

#[test]
fn the_id_binds_nonce_manifest_lost_index_and_helpers() {
    let run = Run::usual();
    let signed = || run.committee.signed.clone();
    let other = TestCommittee::generate(3, 5, &mut TestRng::new("other key")).unwrap();
    let helpers = |list: [u16; 3]| list.map(index).to_vec();
    let ids = [
        Repair::new([7; 32], signed(), index(2), helpers([1, 4, 5])),
        Repair::new([8; 32], signed(), index(2), helpers([1, 4, 5])),
        Repair::new([7; 32], other.signed, index(2), helpers([1, 4, 5])),
        Repair::new([7; 32], signed(), index(3), helpers([1, 4, 5])),
        Repair::new([7; 32], signed(), index(2), helpers([1, 3, 5])),
    ]
    .map(|repair| repair.unwrap().id());
    assert_eq!(ids[0], run.repair.id());
    assert_eq!(std::collections::BTreeSet::from(ids).len(), 5);
}

#[test]
fn only_helpers_help_and_only_the_loser_is_helped() {
    let run = Run::usual();
    let mut rng = TestRng::new("stranger");
    let start = |member: u16, identity: u16, rng: &mut TestRng| {
        let share = &run.committee.shares[usize::from(member) - 1];
        part1(&run.repair, share, run.identity(identity), rng).unwrap_err()
    };
    // A member that is no helper, and a helper with another's share.
    assert_eq!(start(3, 3, &mut rng), RepairError::NotAHelper);
    assert_eq!(start(4, 1, &mut rng), RepairError::NotAHelper);
    let refused = part2(&run.repair, run.commitments(), run.parts_for(0), run.identity(3));
    assert_eq!(refused.unwrap_err(), RepairError::NotAHelper);
    let refused = part3(&run.repair, run.commitments(), run.sums(), run.identity(1));
    assert_eq!(refused.unwrap_err(), RepairError::NotTheLost);
    // Nor do others speak.
    let unknown = MessageError::UnknownSender {
        sender: index(3),
        kind: Kind::Commitments,
    };
    let message = run.say(3, None, Kind::Commitments, Vec::new());
    assert_eq!(message.verify(&run.repair), Err(unknown.into()));
}

#[test]
fn b5_p8_a_share_of_another_epoch_does_not_help() {
    let run = Run::usual();
    let manifest = run.committee.manifest();
    let next = manifest
        .next(manifest.threshold(), manifest.members().to_vec())
        .unwrap();
    let bytes = run.committee.shares[0].to_secret_bytes();
    let mut moved = bytes.to_vec();
    moved[2..34].copy_from_slice(next.digest().as_bytes());
    let share = KeyShare::from_secret_bytes(&moved, &next).unwrap();
    let refused = part1(&run.repair, &share, run.identity(1), &mut TestRng::new("p8")).unwrap_err();
    assert_eq!(refused, RepairError::OtherManifest);
}

#[test]
fn a10_a11_messages_of_another_repair_are_refused() {
    let run = Run::usual();
    let helpers = run.repair.helpers().to_vec();
    let other = Repair::new([8; 32], run.committee.signed.clone(), index(2), helpers).unwrap();
    let message = &run.commitments[0];
    assert_eq!(message.verify(&other), Err(MessageError::OtherCeremony.into()));
    let mut bytes = message.to_bytes();
    bytes[..32].copy_from_slice(other.id().as_bytes());
    let renamed = SignedMessage::from_bytes(&bytes).unwrap();
    let forged = MessageError::Forged { claimed: index(1) };
    assert_eq!(renamed.verify(&other), Err(forged.into()));
}

#[test]
fn p15_parts_and_sums_do_not_print() {
    let run = Run::usual();
    let sums = run.sums();
    let parsed = Sum::from_bytes(sums[0].payload()).unwrap();
    let secret = &sums[0].payload()[2..34];
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let printed = format!("{parsed:?} {:?}", sums[0]);
    assert!(printed.contains("redacted"));
    assert!(!printed.contains(&hex) && !printed.contains(&format!("{secret:?}")));
}
