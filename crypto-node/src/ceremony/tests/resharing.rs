//! Resharing and refresh: every committee to every other, every crash, every liar.

use super::simulation::{Crash, Simulation, WINDOW_MS, index, name, number, resharing, who};
use crate::ceremony::evidence::culprit;
use crate::ceremony::machine::{CommandError, Outcome, Wish};
use crate::ceremony::message::{Body, Evidence, Message, Round};
use crate::ceremony::plan::Plan;
use crate::ceremony::record::Phase;
use ed25519_dalek::SigningKey;
use rand_core::OsRng;
use std::collections::BTreeSet;
use threshold::canary::Canary;
use threshold::encoding::Canonical;
use threshold::ids::CeremonyId;
use threshold::name::Name;
use threshold::reencrypt::{VerifiedShare, verify_share};
use threshold::reshare::{Kind, Resharing, deal};

pub(super) fn key(member: usize) -> SigningKey {
    SigningKey::from_bytes(&[u8::try_from(member).unwrap(); 32])
}

/// Members 1 to `n` of `all` have a key, `t` of whom are needed.
pub(super) fn with_key(all: usize, t: u16, n: usize, seed: u64) -> Simulation {
    let mut committee = Simulation::new(all, seed);
    let members = (1..=n).map(name).collect();
    let id = committee.wish(
        1,
        &Wish::Generate {
            threshold: t,
            members,
        },
    );
    committee.run_on(id);
    let signed = committee.members[0].active.clone().unwrap();
    committee.key_id = Some(signed.manifest.key_id());
    committee
}

impl Simulation {
    /// The newest epoch is published, and every seat answers a read.
    pub(super) fn read_everywhere(&mut self) {
        for member in 1..=self.members.len() {
            if self.is_up(member) && self.members[member - 1].key.is_some() {
                let out = self.machine(member).used_new_epoch();
                self.carry_out(member, out);
            }
        }
        self.settle();
    }

    fn epoch(&self, member: usize) -> u32 {
        let active = self.members[member - 1].active.as_ref();
        active.map_or(0, |signed| signed.manifest.epoch())
    }

    /// That a key wrapped to the public key opens with the shares of these members, all of one epoch.
    fn opens_with(&self, members: &[usize], before: bool) -> bool {
        let guard = |member: usize| {
            let member = &self.members[member - 1];
            let guard = if before { &member.before } else { &member.key };
            guard.clone().unwrap()
        };
        let first = guard(members[0]);
        let manifest = first.manifest();
        let installation = Name::new("test").unwrap();
        let canary = Canary::release(manifest, &installation, CeremonyId([3; 32]), &mut OsRng).unwrap();
        let context = canary.context(manifest).unwrap();
        let shares: Vec<VerifiedShare> = members
            .iter()
            .filter_map(|member| {
                let wrapped = canary.wrapped().clone();
                let proven = crate::share::ProvenCanary::prove(
                    wrapped,
                    canary.reader(),
                    &installation,
                    CeremonyId([3; 32]),
                );
                let share = guard(*member)
                    .reencrypt_canary(&proven.unwrap(), &mut OsRng)
                    .unwrap();
                verify_share(&context, &share).ok()
            })
            .collect();
        canary.check(manifest, &shares).is_ok()
    }

    /// Whether all who are members of the newest epoch have it, each with its share, and everybody else knows of it.
    fn all_follow(&self, parties: &[usize], case: &str) -> bool {
        let epochs: BTreeSet<Option<Vec<u8>>> = parties
            .iter()
            .map(|member| self.members[member - 1].active.as_ref().map(Canonical::to_bytes))
            .collect();
        let seen: Vec<_> = parties.iter().map(|member| self.epoch(*member)).collect();
        let newest = seen.iter().max().copied().unwrap_or_default();
        let behind = parties.iter().filter(|member| self.epoch(**member) != newest);
        // Whoever joins anew has nothing before it has the new epoch.
        assert!(
            epochs.len() == 1
                || behind
                    .clone()
                    .all(|member| self.epoch(*member) == 0 && newest == 1),
            "{case}: {seen:?}, {:?}",
            self.phases()
        );
        for member in parties {
            let Some(signed) = &self.members[member - 1].active else {
                continue;
            };
            if signed.manifest.member_by_identity(&who(*member)).is_some() {
                self.share(*member);
            }
        }
        newest > 1
    }
}

#[test]
fn b4_any_committee_hands_over_to_any_other() {
    // Old t of n, new t of members: refreshed, raised, lowered, with all, some and none of the old ones.
    let cases: [(u16, usize, u16, &[usize]); 6] = [
        (3, 5, 3, &[1, 2, 3, 4, 5]),
        (2, 3, 4, &[3, 2, 1, 4, 5]),
        (3, 5, 2, &[2, 4]),
        (2, 3, 2, &[4, 5, 6]),
        (3, 4, 3, &[4, 5, 6]),
        (2, 2, 2, &[1, 3]),
    ];
    for (seed, (t, n, new_t, members)) in (0..).zip(cases) {
        let mut committee = with_key(6, t, n, seed);
        let old = committee.members[0].active.clone().unwrap().manifest;
        let id = committee.wish(1 + usize::try_from(seed).unwrap() % n, &resharing(new_t, members));
        committee.run_on(id);
        let parties: BTreeSet<usize> = (1..=n).chain(members.iter().copied()).collect();
        let parties: Vec<usize> = parties.into_iter().collect();
        let case = format!("{t} of {n} to {new_t} of {members:?}");
        assert!(
            committee.all_follow(&parties, &case),
            "{case}: {:?}",
            committee.phases()
        );
        let new = committee.members[0].active.clone().unwrap().manifest;
        assert!(
            new.follows(&old).is_ok() && new.public_key() == old.public_key(),
            "{case}"
        );
        assert!(committee.opens_with(&members[..new_t.into()], false), "{case}");
        // Both epochs serve until the new one is used, and then only the new one.
        let before: Vec<usize> = (1..=t.into()).collect();
        assert!(committee.opens_with(&before, true), "{case}");
        for user in &members[..new_t.into()] {
            let out = committee.machine(*user).used_new_epoch();
            committee.carry_out(*user, out);
        }
        committee.settle();
        for member in &parties {
            let shares = committee.members[member - 1].disk.shares.len();
            assert_eq!(
                shares,
                usize::from(members.contains(member)),
                "{case}: member {member}"
            );
            assert!(
                committee.members[member - 1].before.is_none(),
                "{case}: member {member}"
            );
        }
        // And again, from there.
        let id = committee.wish(members[0], &resharing(0, &[]));
        committee.run_on(id);
        assert!(committee.all_follow(members, &case), "{case}");
        assert_eq!(committee.epoch(members[0]), 3, "{case}");
    }
}

/// Kills a member at every point of a resharing, restarts it, and looks at what everybody holds.
fn crash_everywhere(victim: usize, how: Crash, members: &[usize], late: bool) {
    let (mut completed, mut aborted) = (0, 0);
    let parties = [1, 2, 3, 4];
    for at in 0.. {
        let case = format!("{how:?} of {victim} at {at}");
        let mut committee = with_key(4, 2, 3, at);
        committee.crash = Some((committee.carried_out + at, victim, how));
        let id = committee.wish(1, &resharing(2, members));
        committee.run_on(id);
        if committee.crash.take().is_some() {
            break;
        }
        committee.settle();
        if late {
            committee.tick(WINDOW_MS);
            committee.settle();
        }
        committee.restart(victim);
        committee.run_on(id);
        committee.tick(WINDOW_MS);
        committee.settle();
        let concerned: Vec<usize> = parties
            .into_iter()
            .filter(|member| *member < 4 || members.contains(&4))
            .collect();
        if committee.all_follow(&concerned, &case) {
            assert!(committee.opens_with(&members[..2], false), "{case}");
            completed += 1;
        } else {
            assert!(committee.opens_with(&[2, 3], false), "{case}: the old epoch");
            aborted += 1;
        }
        // Reads work in one epoch or the other, and a new ceremony can be started.
        let holder = (1..=4)
            .find(|member| committee.members[member - 1].key.is_some())
            .unwrap();
        committee.read_everywhere();
        let next = committee.wish(holder, &resharing(2, &[1, 2, 3]));
        committee.run_on(next);
        assert!(
            committee.opens_with(&[1, 3], false),
            "{case}: no new ceremony, {:?}",
            committee.phases()
        );
    }
    // A share that is stored and not recorded always ends in an abort.
    assert!(
        aborted > 0 && (completed > 0 || how == Crash::AfterShare),
        "{aborted} aborted, {completed} completed"
    );
}

#[test]
fn b6_p7_a16_a_crash_of_a_seat_anywhere_leaves_all_or_nothing() {
    crash_everywhere(1, Crash::BeforeStoring, &[1, 2, 3], false);
    crash_everywhere(3, Crash::AfterStoring, &[1, 2, 3], false);
    crash_everywhere(2, Crash::AfterShare, &[1, 2, 3], false);
}

#[test]
fn b6_p7_a16_a_crash_of_whoever_comes_anywhere_leaves_all_or_nothing() {
    crash_everywhere(4, Crash::AfterStoring, &[2, 3, 4], false);
    crash_everywhere(4, Crash::BeforeStoring, &[2, 3, 4], true);
}

#[test]
fn b6_p7_a16_a_crash_of_whoever_leaves_anywhere_leaves_all_or_nothing() {
    crash_everywhere(1, Crash::AfterStoring, &[2, 3, 4], false);
    crash_everywhere(1, Crash::BeforeStoring, &[2, 3, 4], true);
}

#[test]
fn a15_an_old_member_that_is_away_is_not_waited_for_and_follows_when_it_comes_back() {
    let mut committee = with_key(4, 2, 3, 3);
    committee.kill(1);
    let id = committee.wish(2, &resharing(2, &[2, 3, 4]));
    committee.run_on(id);
    assert_eq!(
        committee.phases()[1],
        Some(Phase::Proposed),
        "it waits for member 1"
    );
    let not_its = committee.machine(3).execute(id, &[], &mut OsRng).unwrap_err();
    assert_eq!(not_its, CommandError::NotProposer(id));
    let too_few = committee
        .machine(2)
        .execute(id, &[name(3)], &mut OsRng)
        .unwrap_err();
    assert_eq!(too_few, CommandError::TooFewDealers { needed: 2, found: 1 });
    let out = committee.machine(2).execute(id, &[], &mut OsRng).unwrap();
    committee.carry_out(2, out);
    committee.settle();
    assert!(committee.all_follow(&[2, 3, 4], "without member 1"));
    committee.restart(1);
    committee.settle();
    assert!(committee.all_follow(&[1, 2, 3, 4], "with member 1"));
    assert!(committee.members[0].key.is_none() && committee.members[0].before.is_some());
}

#[test]
fn a15_a_dealer_that_falls_silent_is_left_out_after_a_while() {
    let mut committee = with_key(4, 2, 4, 8);
    committee.lost = Some(Box::new(|from, _, message| {
        from == who(4) && matches!(message.body, Body::Round(_))
    }));
    let id = committee.wish(1, &resharing(2, &[1, 2, 3]));
    committee.run_on(id);
    assert_eq!(committee.phases()[0], Some(Phase::Running));
    committee.tick(WINDOW_MS / 2);
    committee.settle();
    assert!(committee.all_follow(&[1, 2, 3], "without member 4's dealing"));
    let record = committee.machine(1).record().unwrap();
    let faults: Vec<_> = record
        .faults
        .iter()
        .map(|fault| (fault.who, fault.evidence.is_some()))
        .collect();
    assert_eq!(faults, [(who(4), false)]);
}

/// The resharing that is proposed, as everybody on the way sees it.
fn proposed(message: &Message) -> Option<Resharing> {
    match &message.body {
        Body::Propose { plan, .. } => match plan.as_ref() {
            Plan::Resharing(resharing) => Some(resharing.as_ref().clone()),
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn b1_p9_a_dealer_with_a_wrong_share_is_named_with_evidence_and_left_out() {
    let mut committee = with_key(4, 2, 4, 5);
    let share = committee.share(4);
    let mut resharing_now = None;
    let mut other = None;
    committee.tamper = Some(Box::new(move |from, to, message| {
        resharing_now = proposed(&message).or(resharing_now.take());
        let Body::Round(round) = &message.body else {
            return message;
        };
        let (Some(plan), true) = (&resharing_now, from == who(4) && number(&to) == 2) else {
            return message;
        };
        if round
            .unpack::<Kind>()
            .is_ok_and(|round| round.kind() == Kind::Share)
        {
            // From another polynomial, and as properly signed.
            let shares = other.get_or_insert_with(|| deal(plan, &share, &key(4), &mut OsRng).unwrap().1);
            let wrong = shares
                .iter()
                .find(|share| share.recipient() == Some(index(2)))
                .unwrap();
            return Message::new(message.ceremony, Body::Round(Round::pack(wrong)), &key(4));
        }
        message
    }));
    let id = committee.wish(1, &resharing(2, &[1, 2, 3]));
    committee.run_on(id);
    assert!(committee.all_follow(&[1, 2, 3], "without member 4's dealing"));
    for member in 1..=3 {
        let record = committee.machine(member).record().unwrap();
        let fault = record.faults.first().expect("nobody is named");
        let evidence = Evidence::from_bytes(&fault.evidence.as_ref().unwrap().to_bytes()).unwrap();
        assert_eq!(
            culprit(&evidence, &record.plan).unwrap(),
            who(4),
            "at member {member}"
        );
    }
    assert!(committee.opens_with(&[1, 2], false));
}

#[test]
fn b6_p9_a_seat_whose_reports_differ_stops_the_resharing_and_is_named_with_evidence() {
    let mut committee = with_key(3, 2, 3, 5);
    committee.tamper = Some(Box::new(|from, to, message| {
        let Body::Round(round) = &message.body else {
            return message;
        };
        let report = round
            .unpack::<Kind>()
            .is_ok_and(|round| round.kind() == Kind::Report);
        if from != who(3) || to != who(1) || !report {
            return message;
        }
        // To member 1 it says that nothing came at all.
        Message::new(message.ceremony, Body::Round(empty_report(round)), &key(3))
    }));
    let id = committee.wish(1, &resharing(2, &[]));
    committee.run_on(id);
    committee.tick(WINDOW_MS);
    committee.settle();
    assert!(!committee.all_follow(&[1, 2, 3], "a liar"));
    let named = (1..=2).filter(|member| {
        let record = committee.members[member - 1]
            .machine
            .as_ref()
            .unwrap()
            .record()
            .unwrap();
        record.culprit == Some(who(3))
    });
    assert!(named.count() > 0, "nobody is named");
    assert!(committee.opens_with(&[1, 2], false), "the old epoch");
}

/// A report of seat 3 in the same ceremony in which no dealer counts but the first two.
fn empty_report(round: &Round) -> Round {
    let honest = round.unpack::<Kind>().unwrap();
    let mut bytes = honest.to_bytes();
    // Envelope (37), payload length (4), version, suite, count (4), then verdicts of 97 bytes: the last becomes "nothing".
    let last = 37 + 4 + 2 + 4 + 2 * 97;
    bytes[last] = 0;
    bytes.drain(last + 1..last + 97);
    let length = u32::try_from(2 + 4 + 2 * 97 + 1).unwrap();
    bytes[37..41].copy_from_slice(&length.to_be_bytes());
    let payload = bytes[41..41 + usize::try_from(length).unwrap()].to_vec();
    let signature = sign_again(&bytes[..37], &payload);
    let at = bytes.len() - 64;
    bytes[at..].copy_from_slice(&signature);
    Round::pack(&threshold::reshare::SignedMessage::from_bytes(&bytes).unwrap())
}

fn sign_again(envelope: &[u8], payload: &[u8]) -> [u8; 64] {
    use threshold::transcript::{Domain, Transcript};
    let digest = Transcript::new(Domain::CeremonyPayload)
        .append("payload", payload)
        .digest();
    let signed = [envelope, digest.as_slice()].concat();
    threshold::signature::sign(&key(3), Domain::CeremonyMessage, &signed).0
}

#[test]
fn b5_p8_a_member_whose_disk_was_put_back_takes_part_in_nothing_and_is_repaired() {
    let mut committee = with_key(3, 2, 3, 2);
    let old = committee.disk_of(3);
    let id = committee.wish(1, &resharing(2, &[]));
    committee.run_on(id);
    assert!(committee.all_follow(&[1, 2, 3], "refreshed"));
    committee.kill(3);
    committee.put_disk_back(3, old);
    committee.restart(3);
    committee.settle();
    assert_eq!((committee.epoch(1), committee.epoch(3)), (2, 1));
    committee.read_everywhere();
    // Its old share does not deal, nor does it take part in what starts from an epoch that it does not know.
    let id = committee.wish(1, &resharing(2, &[]));
    committee.run_on(id);
    committee.settle();
    let record = committee.machine(1).record().unwrap();
    assert_eq!(record.phase, Phase::Aborted);
    assert!(record.reason.contains("is in epoch 1"), "{}", record.reason);
    let repair = Wish::Repair {
        lost: name(3),
        helpers: Vec::new(),
    };
    let id = committee.wish(1, &repair);
    committee.run_on(id);
    assert!(committee.all_follow(&[1, 2, 3], "repaired"));
    assert!(committee.members[2].before.is_none());
    assert!(committee.opens_with(&[2, 3], false));
}

#[test]
fn a_wiped_member_gets_its_share_again_from_t_others() {
    let mut committee = with_key(5, 3, 5, 6);
    let lost = committee.share(4).public_share().to_owned();
    committee.wipe(4);
    committee.settle();
    let repair = Wish::Repair {
        lost: name(4),
        helpers: vec![name(5), name(1), name(3)],
    };
    let id = committee.wish(5, &repair);
    committee.run_on(id);
    assert!(committee.members[3].key.is_some(), "{:?}", committee.phases());
    assert_eq!(*committee.share(4).public_share(), lost);
    assert!(committee.opens_with(&[2, 4, 5], false));
    for helper in [1, 3, 5] {
        assert_eq!(committee.machine(helper).record().unwrap().phase, Phase::Active);
        committee.restart(helper);
        assert_eq!(committee.epoch(helper), 1);
        assert!(committee.members[helper - 1].key.is_some());
    }
    // It is a member like any other.
    let id = committee.wish(4, &resharing(2, &[]));
    committee.run_on(id);
    assert!(committee.all_follow(&[1, 2, 3, 4, 5], "refreshed"));
}

#[test]
fn p7_a_repair_that_is_cut_short_anywhere_changes_nobodys_share_and_can_be_repeated() {
    for victim in [1, 3] {
        let (mut completed, mut aborted) = (0, 0);
        for at in 0.. {
            let mut committee = with_key(3, 2, 3, at);
            committee.wipe(3);
            committee.settle();
            committee.crash = Some((committee.carried_out + at, victim, Crash::AfterStoring));
            let wish = Wish::Repair {
                lost: name(3),
                helpers: Vec::new(),
            };
            let id = committee.wish(1, &wish);
            committee.run_on(id);
            if committee.crash.take().is_some() {
                break;
            }
            committee.restart(victim);
            committee.run_on(id);
            committee.tick(WINDOW_MS);
            committee.settle();
            if committee.members[2].key.is_some() {
                completed += 1;
            } else {
                aborted += 1;
                let id = committee.wish(2, &wish);
                committee.run_on(id);
            }
            assert!(
                committee.opens_with(&[1, 3], false),
                "victim {victim} at {at}: {:?}",
                committee.phases()
            );
        }
        assert!(
            aborted > 0 && completed > 0,
            "{aborted} aborted, {completed} completed"
        );
    }
}

#[test]
fn p9_a_helper_with_a_wrong_part_is_named_with_evidence() {
    use threshold::repair::{Kind as Step, Repair, part1};
    let mut committee = with_key(3, 2, 3, 4);
    let share = committee.share(2);
    committee.wipe(3);
    committee.settle();
    let mut repair: Option<Repair> = None;
    committee.tamper = Some(Box::new(move |from, _, message| {
        if let Body::Propose { plan, .. } = &message.body
            && let Plan::Repair(proposed) = plan.as_ref()
        {
            repair = Some(proposed.as_ref().clone());
        }
        let Body::Round(round) = &message.body else {
            return message;
        };
        if from != who(2)
            || round
                .unpack::<Step>()
                .is_ok_and(|round| round.kind() != Step::Part)
        {
            return message;
        }
        let parts = part1(repair.as_ref().unwrap(), &share, &key(2), &mut OsRng)
            .unwrap()
            .1;
        let wrong = parts
            .iter()
            .find(|part| part.recipient() == Some(index(1)))
            .unwrap();
        Message::new(message.ceremony, Body::Round(Round::pack(wrong)), &key(2))
    }));
    let id = committee.wish(
        1,
        &Wish::Repair {
            lost: name(3),
            helpers: Vec::new(),
        },
    );
    committee.run_on(id);
    for member in [1, 3] {
        let record = committee.machine(member).record().unwrap();
        assert_eq!(
            (record.phase, record.culprit),
            (Phase::Aborted, Some(who(2))),
            "at member {member}"
        );
    }
    let abort = committee.machine(1).record().unwrap().abort.clone().unwrap();
    let Body::Abort {
        evidence: Some(evidence),
        ..
    } = abort.body
    else {
        panic!("no evidence")
    };
    let plan = committee.machine(3).record().unwrap().plan.clone();
    assert_eq!(culprit(&evidence, &plan).unwrap(), who(2));
    committee.tamper = None;
    let id = committee.wish(
        1,
        &Wish::Repair {
            lost: name(3),
            helpers: Vec::new(),
        },
    );
    committee.run_on(id);
    assert!(committee.opens_with(&[1, 3], false));
}

#[test]
fn b4_whoever_has_no_share_joins_only_with_the_key_that_its_operator_was_told() {
    let mut committee = with_key(4, 2, 3, 7);
    let id = committee.wish(1, &resharing(2, &[1, 2, 4]));
    committee.settle();
    let told = committee.key_id;
    for wrong in [None, Some(threshold::ids::KeyId([9; 32]))] {
        let mut out = Outcome::default();
        let refused = committee.machine(4).join(id, wrong, &mut OsRng, &mut out);
        assert_eq!(refused.unwrap_err(), CommandError::OtherKey(id, told.unwrap()));
    }
    committee.run_on(id);
    assert!(committee.all_follow(&[1, 2, 3, 4], "joined"));
}

#[test]
fn b6_of_two_resharings_at_once_one_wins_on_all() {
    for seed in 0..10 {
        let mut committee = with_key(4, 2, 3, seed);
        let first = committee.wish(1, &resharing(2, &[1, 2, 4]));
        let second = committee.wish(2, &resharing(3, &[1, 2, 3, 4]));
        committee.settle();
        let stays = first.min(second);
        committee.run_on(stays);
        committee.tick(0);
        committee.settle();
        assert!(
            committee.all_follow(&[1, 2, 3, 4], &format!("seed {seed}")),
            "{:?}",
            committee.phases()
        );
        let phases = committee.phases();
        assert!(
            phases.iter().all(|phase| *phase == Some(Phase::Active)),
            "seed {seed}: {phases:?}"
        );
    }
}

#[test]
fn an_old_member_that_refuses_does_not_deal_and_does_not_stop_the_others() {
    let mut committee = with_key(4, 2, 3, 1);
    let id = committee.wish(2, &resharing(2, &[2, 3, 4]));
    committee.settle();
    committee.abort(1, id);
    committee.run_on(id);
    assert!(committee.all_follow(&[1, 2, 3, 4], "without member 1's consent"));
    assert!(
        committee
            .machine(2)
            .record()
            .unwrap()
            .rejections
            .contains_key(&who(1))
    );
    // A member of the new committee that refuses does.
    committee.read_everywhere();
    let id = committee.wish(2, &resharing(2, &[]));
    committee.settle();
    committee.abort(4, id);
    committee.settle();
    assert_eq!(committee.phases()[1], Some(Phase::Aborted));
}

#[test]
fn p7_use_alone_or_too_few_seats_do_not_end_the_old_epoch() {
    let mut committee = with_key(3, 2, 3, 1);
    // Of what member 2 says of the new epoch, nothing arrives anywhere.
    committee.lost = Some(Box::new(|from, _, message| {
        from == who(2) && matches!(message.body, Body::InUse { .. })
    }));
    let id = committee.wish(1, &resharing(2, &[]));
    committee.run_on(id);
    for user in [1, 3] {
        let out = committee.machine(user).used_new_epoch();
        committee.carry_out(user, out);
    }
    committee.settle();
    for member in 1..=3 {
        committee.restart(member);
        committee.settle();
    }
    assert!(committee.machine(1).active().unwrap().used);
    assert!(
        committee.opens_with(&[1, 3], true),
        "two of three seats, of which one may lie, ended the old epoch"
    );
    committee.lost = None;
    committee.restart(2);
    committee.settle();
    for member in 1..=3 {
        let member = &committee.members[member - 1];
        assert!(member.before.is_none() && member.disk.shares.len() == 1);
    }
    assert!(committee.opens_with(&[1, 2], false));
}

#[test]
fn p7_seats_that_have_the_new_epoch_do_not_end_the_old_one_before_it_is_read_with() {
    let mut committee = with_key(3, 2, 3, 1);
    let id = committee.wish(1, &resharing(2, &[]));
    committee.run_on(id);
    assert!(committee.opens_with(&[1, 2], true), "nobody has published it");
    // One seat that says so may lie, in another's name it may not speak, and for another manifest it says nothing.
    let out = committee.machine(3).used_new_epoch();
    committee.carry_out(3, out);
    committee.settle();
    assert!(committee.opens_with(&[1, 2], true));
    let manifest = threshold::ids::ManifestDigest([7; 32]);
    let other = Message::new(id, Body::InUse { manifest, read: true }, &key(2));
    let now_ms = committee.now_ms;
    let out = committee
        .machine(1)
        .message(&who(2), other, now_ms, &mut OsRng)
        .unwrap();
    assert!(!out.retire && !committee.machine(1).active().unwrap().used);
}

/// Member 3 confirms the first of two resharings late, and to member 2 alone: it alone comes to the first's epoch, because
/// member 1 is bound to the second.
#[test]
fn p7_a_member_cannot_lead_one_half_of_the_honest_to_destroy_what_the_other_half_needs() {
    let mut committee = with_key(3, 2, 3, 1);
    committee.lost = Some(Box::new(|from, to, message| {
        let withheld = matches!(
            message.body,
            Body::Confirm { .. } | Body::Done(_) | Body::InUse { .. }
        );
        // Neither do the two honest members' words of the second resharing come through in time.
        let parted = from == who(2) || to == who(2);
        (from == who(3) && withheld)
            || (parted && from != who(3) && matches!(message.body, Body::Abort { .. }))
    }));
    let first = committee.wish(1, &resharing(2, &[]));
    committee.run_on(first);
    let late = committee.machine(3).record().unwrap().confirms[&who(3)].clone();
    let proof = committee.machine(3).record().unwrap().proof().unwrap();
    committee.abort(1, first);
    committee.abort(2, first);
    committee.settle();
    let share = committee.disk_of(1).shares[&first].clone();
    let done = Message::new(first, Body::Done(Box::new(proof)), &key(3));
    let now_ms = committee.now_ms;
    let mut out = committee
        .machine(2)
        .message(&who(3), done, now_ms, &mut OsRng)
        .unwrap();
    out.send.clear();
    committee.carry_out(2, out);
    assert_eq!((committee.epoch(1), committee.epoch(2)), (1, 2));
    let manifest = committee.members[1].active.clone().unwrap().manifest.digest();
    for read in [false, true] {
        let lie = Message::new(first, Body::InUse { manifest, read }, &key(3));
        let out = committee
            .machine(2)
            .message(&who(3), lie, now_ms, &mut OsRng)
            .unwrap();
        committee.carry_out(2, out);
    }
    let out = committee.machine(2).used_new_epoch();
    committee.carry_out(2, out);
    // Both still have what they have in common, and member 1 what would let it follow.
    assert!(committee.members[1].before.is_some(), "the old epoch is gone");
    assert_eq!(committee.disk_of(1).shares[&first], share);
    let out = committee
        .machine(1)
        .message(&who(3), late, now_ms, &mut OsRng)
        .unwrap();
    committee.carry_out(1, out);
    committee.lost = None;
    committee.restart(2);
    committee.settle();
    assert!(committee.all_follow(&[1, 2], "the late confirmation"));
}

#[test]
fn b6_p9_a_dealer_without_a_seat_cannot_end_a_resharing_by_evidence_against_itself() {
    let mut committee = with_key(4, 2, 4, 1);
    let share = committee.share(4);
    let id = committee.wish(1, &resharing(2, &[1, 2, 3]));
    committee.settle();
    let plan = committee.machine(1).record().unwrap().plan.clone();
    let Plan::Resharing(now) = &plan else {
        panic!("a resharing")
    };
    let commitments = || deal(now, &share, &key(4), &mut OsRng).unwrap().0.attestation();
    let twice = threshold::reshare::Evidence::Equivocation(threshold::reshare::Equivocation {
        sender: index(4),
        recipient: None,
        kind: Kind::Commitments,
        first: commitments(),
        second: commitments(),
    });
    let evidence = crate::ceremony::evidence::of_resharing(&twice).unwrap();
    assert_eq!(culprit(&evidence, &plan), Ok(who(4)));
    let abort = Body::Abort {
        reason: "I cheat".into(),
        evidence: Some(evidence),
    };
    let now_ms = committee.now_ms;
    for member in 1..=3 {
        let abort = Message::new(id, abort.clone(), &key(4));
        let out = committee
            .machine(member)
            .message(&who(4), abort, now_ms, &mut OsRng)
            .unwrap();
        committee.carry_out(member, out);
    }
    [1, 2, 3].iter().for_each(|member| committee.join(*member, id));
    committee.settle();
    assert!(
        committee.all_follow(&[1, 2, 3], "without the cheat"),
        "{:?}",
        committee.phases()
    );
    let faults = &committee.machine(1).record().unwrap().faults;
    assert_eq!(faults.iter().map(|fault| fault.who).collect::<Vec<_>>(), [who(4)]);
}

#[test]
fn a13_whoever_was_not_to_deal_does_not_count_though_it_deals() {
    let mut committee = with_key(4, 2, 4, 1);
    let share = committee.share(4);
    let id = committee.wish(1, &resharing(2, &[1, 2, 3]));
    committee.settle();
    let Plan::Resharing(now) = committee.machine(1).record().unwrap().plan.clone() else {
        panic!("a resharing")
    };
    committee.join(2, id);
    committee.join(3, id);
    committee.settle();
    // Member 4 has not consented; what it deals is there before anybody's.
    let (commitments, shares) = deal(&now, &share, &key(4), &mut OsRng).unwrap();
    let now_ms = committee.now_ms;
    for member in 1..=3 {
        let own = shares
            .iter()
            .find(|share| share.recipient() == Some(index(member)));
        for round in [&commitments, own.unwrap()] {
            let round = Message::new(id, Body::Round(Round::pack(round)), &key(4));
            let out = committee
                .machine(member)
                .message(&who(4), round, now_ms, &mut OsRng)
                .unwrap();
            committee.carry_out(member, out);
        }
    }
    let out = committee.machine(1).execute(id, &[name(4)], &mut OsRng).unwrap();
    committee.carry_out(1, out);
    committee.settle();
    assert!(
        committee.all_follow(&[1, 2, 3], "without member 4"),
        "{:?}",
        committee.phases()
    );
    assert_eq!(
        committee.machine(1).record().unwrap().counted,
        [1, 2, 3].map(index)
    );
}

#[test]
fn a15_a_dealer_that_leaves_before_the_reports_is_left_out() {
    let mut committee = with_key(4, 2, 4, 1);
    committee.lost = Some(Box::new(|from, _, message| {
        let dealt = match &message.body {
            Body::Round(round) => round
                .unpack::<Kind>()
                .is_ok_and(|round| matches!(round.kind(), Kind::Commitments | Kind::Share)),
            _ => false,
        };
        from == who(3) && dealt
    }));
    let id = committee.wish(1, &resharing(2, &[1, 2, 3]));
    committee.run_on(id);
    assert_eq!(
        committee.phases()[0],
        Some(Phase::Running),
        "it waits for member 3"
    );
    committee.abort(4, id);
    committee.settle();
    committee.tick(WINDOW_MS / 2);
    committee.settle();
    assert!(
        committee.all_follow(&[1, 2, 3], "without 3 and 4"),
        "{:?}",
        committee.phases()
    );
    assert_eq!(committee.machine(1).record().unwrap().counted, [1, 2].map(index));
}

/// Members 3 and 4 leave, and one of them tells the other that its own dealing did not count: the same manifest, other dealers.
#[test]
fn p6_confirmations_with_other_dealers_prove_nothing() {
    let mut committee = with_key(4, 2, 4, 1);
    committee.lost = Some(Box::new(|_, to, message| {
        to == who(4)
            && matches!(
                message.body,
                Body::Confirm { .. } | Body::Done(_) | Body::Round(_)
            )
    }));
    let id = committee.wish(1, &resharing(2, &[1, 2]));
    committee.run_on(id);
    assert_eq!(
        committee.phases()[0],
        Some(Phase::Canary),
        "it waits for member 4"
    );
    let record = committee.machine(1).record().unwrap().clone();
    assert_eq!(record.counted.len(), 4);
    // Of all whose confirmation would count, if member 4 did not deal, there are confirmations.
    let dealers: Vec<_> = record
        .counted
        .iter()
        .copied()
        .filter(|dealer| *dealer != index(4))
        .collect();
    let confirmations = [1, 2, 3]
        .map(|member| *record.confirms[&who(member)].signature())
        .to_vec();
    let proof = crate::ceremony::message::Proof {
        signed: record.signed_manifest().unwrap(),
        dealers,
        confirmations,
    };
    let done = Message::new(id, Body::Done(Box::new(proof)), &key(3));
    let now_ms = committee.now_ms;
    let refused = committee.machine(4).message(&who(3), done, now_ms, &mut OsRng);
    assert!(refused.is_err());
    assert_eq!(committee.epoch(4), 1);
}

#[test]
fn a13_a_proposal_that_nobody_wants_keeps_nothing_out_and_what_was_joined_stays() {
    let mut committee = with_key(4, 2, 4, 1);
    // Member 4 proposes what nobody consents to; the others' proposal is made, consented to and ends.
    let idle = committee.wish(4, &resharing(2, &[1, 2, 4]));
    committee.settle();
    committee.kill(4);
    let wanted = committee.wish(1, &resharing(2, &[1, 2, 3]));
    committee.settle();
    committee.join(2, wanted);
    // What comes now, with whatever id, does not displace it; nor does one that its proposer has no part in come at all.
    let manifest = committee.members[0].active.clone().unwrap();
    let seats = committee.seats.clone();
    let now_ms = committee.now_ms;
    for number in 0..16 {
        let threshold = manifest.manifest.threshold();
        let plan = Resharing::new([number; 32], manifest.clone(), threshold, seats.clone()).unwrap();
        let plan = Box::new(Plan::Resharing(Box::new(plan)));
        let id = plan.id();
        let body = Body::Propose {
            plan,
            deadline_ms: now_ms + WINDOW_MS,
        };
        let stranger = Message::new(id, body.clone(), &key(5));
        assert!(
            committee
                .machine(2)
                .message(&who(5), stranger, now_ms, &mut OsRng)
                .is_err()
        );
        let proposal = Message::new(id, body, &key(3));
        let out = committee
            .machine(2)
            .message(&who(3), proposal, now_ms, &mut OsRng)
            .unwrap();
        assert!(matches!(out.answer.unwrap().body, Body::Abort { .. }), "{number}");
        assert_eq!(committee.machine(2).live(), Some(wanted));
    }
    assert_ne!(idle, wanted);
    committee.join(3, wanted);
    committee.settle();
    let out = committee.machine(1).execute(wanted, &[], &mut OsRng).unwrap();
    committee.carry_out(1, out);
    committee.settle();
    assert!(
        committee.all_follow(&[1, 2, 3], "the one that was wanted"),
        "{:?}",
        committee.phases()
    );
}

#[test]
fn b8_no_resharing_starts_from_an_epoch_that_is_not_published() {
    let mut committee = with_key(3, 2, 3, 1);
    let id = committee.wish(1, &resharing(2, &[]));
    committee.run_on(id);
    let now_ms = committee.now_ms;
    let again = resharing(2, &[]);
    let refused = committee
        .machine(1)
        .propose(&again, now_ms, &mut OsRng)
        .unwrap_err();
    assert_eq!(refused, CommandError::Unpublished(2));
    // Whoever has read does not make another join that has not.
    let out = committee.machine(2).used_new_epoch();
    committee.carry_out(2, out);
    let next = committee.wish(2, &again);
    committee.settle();
    let mut out = Outcome::default();
    let refused = committee
        .machine(1)
        .join(next, None, &mut OsRng, &mut out)
        .unwrap_err();
    assert_eq!(refused, CommandError::Unpublished(2));
    committee.read_everywhere();
    committee.run_on(next);
    assert_eq!([1, 2, 3].map(|member| committee.epoch(member)), [3; 3]);
}

#[test]
fn a13_what_a_member_has_refused_it_does_not_take_part_in_later() {
    let mut committee = with_key(3, 2, 3, 1);
    let signed = committee.members[0].active.clone().unwrap();
    let threshold = signed.manifest.threshold();
    let plan = Resharing::new([1; 32], signed, threshold, committee.seats.clone()).unwrap();
    let plan = Box::new(Plan::Resharing(Box::new(plan)));
    let (id, now_ms) = (plan.id(), committee.now_ms);
    for deadline_ms in [now_ms, now_ms + WINDOW_MS] {
        let plan = plan.clone();
        let proposal = Message::new(id, Body::Propose { plan, deadline_ms }, &key(3));
        let out = committee
            .machine(1)
            .message(&who(3), proposal, now_ms, &mut OsRng)
            .unwrap();
        assert!(matches!(out.answer.unwrap().body, Body::Abort { .. }));
        assert_eq!(committee.machine(1).live(), None);
    }
}

#[test]
fn a13_a_dealer_counts_once_among_those_that_are_to_deal() {
    let mut committee = with_key(4, 2, 4, 1);
    let id = committee.wish(1, &resharing(2, &[1, 2]));
    committee.settle();
    let now_ms = committee.now_ms;
    for dealers in [
        vec![index(1), index(1)],
        vec![index(2), index(1)],
        vec![index(1), index(9)],
    ] {
        let execute = Message::new(id, Body::Execute { dealers }, &key(1));
        let out = committee
            .machine(2)
            .message(&who(1), execute, now_ms, &mut OsRng)
            .unwrap();
        assert!(!out.persist && committee.machine(2).record().unwrap().expected.is_none());
    }
}

#[test]
fn a13_nobody_but_its_proposer_begins_a_ceremony_or_says_who_deals() {
    let mut committee = with_key(4, 2, 4, 1);
    let id = committee.wish(1, &resharing(2, &[1, 2]));
    committee.settle();
    let dealers = vec![index(3), index(4)];
    let execute = Message::new(id, Body::Execute { dealers }, &key(3));
    let now_ms = committee.now_ms;
    let out = committee
        .machine(2)
        .message(&who(3), execute, now_ms, &mut OsRng)
        .unwrap();
    assert!(!out.persist);
    assert_eq!(committee.machine(2).record().unwrap().expected, None);
}
