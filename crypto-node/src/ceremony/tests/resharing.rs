//! Resharing and refresh: every committee to every other, every crash, every liar.

use super::simulation::{Crash, Simulation, WINDOW_MS, index, name, number, resharing, say_instead, who};
use crate::ceremony::commands::{CommandError, Wish};
use crate::ceremony::evidence::culprit;
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

    pub(super) fn epoch(&self, member: usize) -> u32 {
        let active = self.members[member - 1].active.as_ref();
        active.map_or(0, |signed| signed.manifest.epoch())
    }

    /// That a key wrapped to the public key opens with the shares of these members, all of one epoch.
    pub(super) fn opens_with(&self, members: &[usize], before: bool) -> bool {
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
    pub(super) fn all_follow(&self, parties: &[usize], case: &str) -> bool {
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
        // Reads work in one epoch or the other, and a new ceremony can be started, in which it stops once more.
        let holder = (1..=4)
            .find(|member| *member != victim && committee.members[member - 1].key.is_some())
            .unwrap();
        committee.read_everywhere();
        let next = committee.wish(holder, &resharing(2, &[1, 2, 3]));
        committee.settle();
        committee.kill(victim);
        committee.restart(victim);
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
    crash_everywhere(3, Crash::AfterJournal, &[1, 2, 3], true);
}

#[test]
fn b6_p7_a16_a_crash_of_whoever_comes_anywhere_leaves_all_or_nothing() {
    crash_everywhere(4, Crash::AfterStoring, &[2, 3, 4], false);
    crash_everywhere(4, Crash::BeforeStoring, &[2, 3, 4], true);
    crash_everywhere(4, Crash::AfterJournal, &[2, 3, 4], true);
}

#[test]
fn b6_p7_a16_a_crash_of_whoever_leaves_anywhere_leaves_all_or_nothing() {
    crash_everywhere(1, Crash::AfterStoring, &[2, 3, 4], false);
    crash_everywhere(1, Crash::BeforeStoring, &[2, 3, 4], true);
    crash_everywhere(1, Crash::AfterJournal, &[2, 3, 4], true);
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
    say_instead::<Kind>(3, round, |payload| {
        // Version, suite, count (4), then verdicts of 97 bytes: the last becomes "nothing".
        payload.truncate(2 + 4 + 2 * 97);
        payload.push(0);
    })
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
