//! What shows that a ceremony is done, and each way in which it does not. One member that could make such a proof of its own
//! ceremony would evict whom it likes.

use super::resharing::{key, with_key};
use super::simulation::{Simulation, index, name, number, who};
use crate::ceremony::machine::NotTaken;
use crate::ceremony::message::{Body, Message, MessageError, Proof};
use crate::ceremony::plan::Plan;
use crate::ceremony::record::{Phase, Record};
use crate::ceremony::report::{Account, Report, Verdict};
use rand_core::OsRng;
use threshold::committee::{CommitteeManifest, Member, SignedManifest, Threshold};
use threshold::dkg::{Ceremony, Seat};
use threshold::group::Point;
use threshold::repair::Repair;
use threshold::reshare::Resharing;

/// These members with public shares on a line through the key: nobody knows a share, and the manifest holds.
fn members(public_key: &Point, members: &[usize]) -> Vec<Member> {
    let mut share = *public_key.as_edwards();
    let member = |(place, member): (usize, &usize)| {
        share += Point::base().as_edwards();
        Member {
            index: index(place + 1),
            name: name(*member),
            identity: who(*member),
            address: format!("127.0.0.1:{}", 6999 + member),
            public_share: Point::from_bytes(&share.compress().to_bytes()).unwrap(),
        }
    };
    members.iter().enumerate().map(member).collect()
}

fn seats(members: &[usize]) -> Vec<Seat> {
    let seat = |(place, member): (usize, &usize)| Seat {
        index: index(place + 1),
        name: name(*member),
        identity: who(*member),
        address: format!("127.0.0.1:{}", 6999 + member),
    };
    members.iter().enumerate().map(seat).collect()
}

/// Signed by all its members, and confirmed by everybody whose confirmation counts when these have dealt.
fn proof(plan: &Plan, manifest: CommitteeManifest, dealers: &[usize]) -> Proof {
    let dealers: Vec<_> = dealers.iter().map(|dealer| index(*dealer)).collect();
    let signs = |member: &Member| manifest.sign(&key(number(&member.identity)));
    let signatures = manifest.members().iter().map(signs).collect();
    let mut record = Record::new(plan.clone(), who(3), 0);
    record.counted.clone_from(&dealers);
    let confirm = Body::Confirm {
        manifest: manifest.digest(),
        dealers: dealers.clone(),
    };
    let confirms = |who| *Message::new(plan.id(), confirm.clone(), &key(number(&who))).signature();
    Proof {
        confirmations: record.confirmers().into_iter().map(confirms).collect(),
        signed: SignedManifest { manifest, signatures },
        dealers,
    }
}

fn holds(plan: &Plan, proof: &Proof) -> bool {
    let taken = Record::new(plan.clone(), who(3), 0).take_proof(proof);
    assert!(
        matches!(taken, Ok(()) | Err(MessageError::BadSignature)),
        "{taken:?}"
    );
    taken.is_ok()
}

fn threshold(t: u16, n: u16) -> Threshold {
    Threshold::new(t, n).unwrap()
}

/// Members 1 to 3 have a key of which two shares are needed; the plan hands it to members 3 and 4 alone.
pub(super) struct Eviction {
    pub(super) committee: Simulation,
    old: CommitteeManifest,
    pub(super) plan: Plan,
}

impl Eviction {
    pub(super) fn new() -> Self {
        let committee = with_key(4, 2, 3, 1);
        let old = committee.members[0].active.clone().unwrap();
        let plan = Resharing::new([1; 32], old.clone(), threshold(2, 2), seats(&[3, 4])).unwrap();
        Self {
            committee,
            old: old.manifest,
            plan: Plan::Resharing(Box::new(plan)),
        }
    }

    /// What tells a member of the end; all who count have signed it.
    pub(super) fn ended(&self, dealers: &[usize]) -> Message {
        let proof = Box::new(proof(&self.plan, self.next(2, &[3, 4]), dealers));
        let plan = Box::new(self.plan.clone());
        Message::new(self.plan.id(), Body::Ended { plan, proof }, &key(3))
    }

    fn next(&self, t: u16, identities: &[usize]) -> CommitteeManifest {
        let n = u16::try_from(identities.len()).unwrap();
        let members = members(self.old.public_key(), identities);
        self.old.next(threshold(t, n), members).unwrap()
    }
}

#[test]
fn a15_p6_fewer_than_t_dealers_hand_the_key_to_nobody() {
    let eviction = Eviction::new();
    let manifest = eviction.next(2, &[3, 4]);
    let Eviction {
        mut committee, plan, ..
    } = eviction;
    let now_ms = committee.now_ms;
    // Nobody else's word is needed for these: of member 3 and whoever it takes in.
    for dealers in [&[][..], &[3]] {
        let proof = proof(&plan, manifest.clone(), dealers);
        assert_eq!(proof.confirmations.len(), 2);
        assert!(!holds(&plan, &proof), "{dealers:?}");
        let ended = Body::Ended {
            plan: Box::new(plan.clone()),
            proof: Box::new(proof.clone()),
        };
        let ended = Message::new(plan.id(), ended, &key(3));
        let refused = committee.machine(1).message(&who(3), ended, now_ms, &mut OsRng);
        assert!(matches!(
            refused,
            Err(NotTaken::Wrong(MessageError::BadSignature))
        ));
        committee.tick(0);
        assert_eq!(committee.machine(1).record().unwrap().phase, Phase::Active);
        assert!(committee.members[0].key.is_some(), "member 1 is evicted");
        let account = Account {
            plan: plan.clone(),
            time_ms: 7,
            transcript: None,
            faults: Vec::new(),
            verdict: Verdict::Done(proof),
        };
        let report = Message::new(plan.id(), Body::Account(Box::new(account)), &key(3));
        assert!(Report::new(report).unwrap().check().is_err(), "{dealers:?}");
    }
    // With t dealers, all of whom confirm, it is done.
    assert!(holds(&plan, &proof(&plan, manifest, &[2, 3])));
}

#[test]
fn a15_p6_dealers_that_are_none_or_count_twice_hand_the_key_to_nobody() {
    let eviction = Eviction::new();
    let (plan, manifest) = (&eviction.plan, eviction.next(2, &[3, 4]));
    assert!(holds(plan, &proof(plan, manifest.clone(), &[2, 3])));
    for dealers in [[3, 3], [3, 2], [3, 4], [3, 9]] {
        assert!(
            !holds(plan, &proof(plan, manifest.clone(), &dealers)),
            "{dealers:?}"
        );
    }
}

#[test]
fn a15_p6_a_proof_shows_the_end_of_its_own_plan_only() {
    let eviction = Eviction::new();
    let (plan, old) = (&eviction.plan, &eviction.old);
    let shown = |manifest| holds(plan, &proof(plan, manifest, &[2, 3]));
    assert!(shown(eviction.next(2, &[3, 4])));
    // Other members, or the same in other places, or another threshold.
    assert!(!shown(eviction.next(2, &[3, 2])) && !shown(eviction.next(2, &[4, 3])));
    let three = Resharing::new(
        [1; 32],
        eviction.committee.members[0].active.clone().unwrap(),
        threshold(2, 3),
        seats(&[2, 3, 4]),
    );
    let three = Plan::Resharing(Box::new(three.unwrap()));
    assert!(holds(
        &three,
        &proof(&three, eviction.next(2, &[2, 3, 4]), &[2, 3])
    ));
    assert!(!holds(
        &three,
        &proof(&three, eviction.next(3, &[2, 3, 4]), &[2, 3])
    ));
    // Another key, and an epoch after one that never was.
    let another = members(&Point::base(), &[3, 4]);
    assert!(!shown(
        CommitteeManifest::first(Point::base(), threshold(2, 2), another).unwrap()
    ));
    let same = members(old.public_key(), &[1, 2, 3]);
    let forked = CommitteeManifest::first(*old.public_key(), old.threshold(), same).unwrap();
    let after = members(old.public_key(), &[3, 4]);
    assert!(!shown(forked.next(threshold(2, 2), after).unwrap()));
}

#[test]
fn p6_a_proof_of_a_generation_or_a_repair_has_its_own_manifest_and_no_dealers() {
    let eviction = Eviction::new();
    let (old, signed) = (
        &eviction.old,
        eviction.committee.members[0].active.clone().unwrap(),
    );
    let generation = Ceremony::new([1; 32], threshold(2, 3), seats(&[1, 2, 3])).unwrap();
    let generation = Plan::Generation(generation);
    let first = members(&Point::base(), &[1, 2, 3]);
    let first = CommitteeManifest::first(Point::base(), threshold(2, 3), first).unwrap();
    assert!(holds(&generation, &proof(&generation, first.clone(), &[])));
    assert!(!holds(&generation, &proof(&generation, first, &[1, 2])));
    assert!(!holds(
        &generation,
        &proof(&generation, eviction.next(2, &[1, 2, 3]), &[])
    ));

    let repair = Repair::new([1; 32], signed, index(3), vec![index(1), index(2)]).unwrap();
    let repair = Plan::Repair(Box::new(repair));
    assert!(holds(&repair, &proof(&repair, old.clone(), &[])));
    assert!(!holds(&repair, &proof(&repair, old.clone(), &[1])));
    let same = members(old.public_key(), &[1, 2, 3]);
    let other = CommitteeManifest::first(*old.public_key(), old.threshold(), same).unwrap();
    assert!(!holds(&repair, &proof(&repair, other, &[])));
}
