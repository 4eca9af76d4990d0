//! Whether a ceremony ends for all honest members in the same way, whoever dies, and whatever one member says to whom.

use super::simulation::{Crash, Simulation, WINDOW_MS, generation, who};
use crate::ceremony::commands::CommandError;
use crate::ceremony::machine::NotTaken;
use crate::ceremony::message::{Body, Message, Proof};
use crate::ceremony::record::Phase;
use crate::journal::Step;
use ed25519_dalek::SigningKey;
use rand_core::OsRng;
use threshold::ids::CeremonyId;

const LIAR: usize = 3;

/// What becomes of a member that has died.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It comes back with its disk after the others' deadline.
    Late,
    /// It comes back with an empty disk.
    Wiped,
    /// It comes back with an empty disk after the others' deadline.
    WipedLate,
    /// The others' operators stop waiting for it; it comes back with its disk all the same.
    GivenUp,
}

fn message(id: CeremonyId, sender: usize, body: Body) -> Message {
    let key = SigningKey::from_bytes(&[u8::try_from(sender).unwrap(); 32]);
    Message::new(id, body, &key)
}

fn abort(id: CeremonyId, sender: usize) -> Message {
    let body = Body::Abort {
        reason: "never mind".into(),
        evidence: None,
    };
    message(id, sender, body)
}

/// Kills a member at every point of a ceremony, lets it meet its fate, and looks at what everybody holds.
fn die_everywhere(victim: usize, how: Crash, fate: Fate, n: usize, t: u16) {
    let (mut completed, mut aborted) = (0, 0);
    for at in 0.. {
        let case = format!("{how:?} of {victim} at {at}, {fate:?}");
        let mut committee = Simulation::new(n, at);
        committee.crash = Some((committee.carried_out + at, victim, how));
        let id = committee.run(1, t);
        if committee.crash.take().is_some() {
            break;
        }
        let others = move || (1..=n).filter(move |member| *member != victim);
        if matches!(fate, Fate::Late | Fate::WipedLate) {
            committee.tick(WINDOW_MS);
        }
        if matches!(fate, Fate::GivenUp) {
            others().for_each(|member| committee.abort(member, id));
            committee.settle();
            committee.all_or_nothing(others(), &case);
        }
        committee.settle();
        let wiped = matches!(fate, Fate::Wiped | Fate::WipedLate);
        if wiped {
            committee.wipe(victim);
        } else {
            committee.restart(victim);
        }
        committee.run_on(id);
        // Somebody may still wait to hear that a proposal never arrived.
        committee.tick(WINDOW_MS);
        committee.settle();
        let done = if wiped {
            committee.all_or_nothing(others(), &case)
        } else {
            committee.all_or_nothing(1..=n, &case)
        };
        if done {
            completed += 1;
        } else {
            aborted += 1;
            committee.run(victim, t);
            assert!(committee.all_are(Phase::Active), "{case}: no new ceremony");
            committee.common_key();
        }
    }
    assert!(
        aborted > 0 && completed > 0,
        "{aborted} aborted, {completed} completed"
    );
}

#[test]
fn p6_a16_a_member_that_comes_back_late_finds_all_or_nothing() {
    die_everywhere(2, Crash::BeforeStoring, Fate::Late, 3, 2);
    die_everywhere(2, Crash::AfterStoring, Fate::Late, 3, 3);
}

#[test]
fn p6_a16_a_member_that_has_lost_its_disk_stops_nobody() {
    die_everywhere(1, Crash::AfterStoring, Fate::Wiped, 3, 2);
    die_everywhere(2, Crash::AfterStoring, Fate::WipedLate, 3, 2);
}

#[test]
fn p6_a16_operators_that_stop_waiting_leave_all_or_nothing() {
    die_everywhere(2, Crash::BeforeStoring, Fate::GivenUp, 3, 2);
    die_everywhere(2, Crash::AfterStoring, Fate::GivenUp, 4, 2);
}

#[test]
fn p7_a_member_that_dies_after_signing_does_not_block_those_that_have_not_confirmed() {
    // With t = n nobody can try the key without it.
    let (mut committee, id) = (0..200)
        .find_map(|seed| {
            let mut committee = Simulation::new(3, seed);
            committee.crash = Some((seed, 2, Crash::AfterStoring));
            let id = committee.run(1, 3);
            let canary = |member: usize| committee.phases()[member - 1] == Some(Phase::Canary);
            (canary(1) && canary(3)).then_some((committee, id))
        })
        .expect("no such order among 200");
    committee.tick(WINDOW_MS);
    committee.settle();
    for member in [1, 3] {
        let record = committee.machine(member).record().unwrap();
        assert_eq!(record.phase, Phase::Aborted);
        assert!(record.reason.contains("deadline"), "{}", record.reason);
        assert_eq!(
            committee.machine(member).abort(id).unwrap_err(),
            CommandError::Unknown(id)
        );
    }
    committee.restart(2);
    committee.settle();
    committee.run(2, 3);
    committee.common_key();
}

#[test]
fn p7_nothing_but_its_operator_ends_the_waiting_of_a_member_that_has_confirmed() {
    let mut committee = Simulation::new(3, 1);
    committee.lost = Some(Box::new(|from, _, message| {
        from == who(LIAR) && matches!(message.body, Body::Confirm { .. } | Body::Done(_))
    }));
    let id = committee.run(1, 2);
    committee.tick(2 * WINDOW_MS);
    committee.settle();
    assert_eq!(committee.phases()[..2], [Some(Phase::Canary); 2]);
    let now_ms = committee.now_ms;
    let busy = committee
        .machine(1)
        .propose(&generation(2), now_ms, &mut OsRng)
        .unwrap_err();
    assert_eq!(busy, CommandError::Busy(id));
    committee.abort(1, id);
    committee.settle();
    assert_eq!(
        committee.phases()[..2],
        [Some(Phase::Aborted), Some(Phase::Canary)]
    );
    // Member 3 uses the key all the time, and is heard at last.
    assert!(committee.members[LIAR - 1].active.is_some());
    committee.lost = None;
    committee.restart(LIAR);
    committee.settle();
    assert!(committee.all_or_nothing(1..=3, "after all"));
    assert_eq!(
        committee.machine(1).abort(id).unwrap_err(),
        CommandError::Done(id)
    );
}

#[test]
fn p6_a_signature_to_some_and_an_abort_to_others_ends_the_ceremony_for_all() {
    for seed in 0..20 {
        let mut committee = Simulation::new(4, seed);
        committee.tamper = Some(Box::new(|from, to, message| {
            if from == who(LIAR) && to == who(1) && matches!(message.body, Body::Sign { .. }) {
                return abort(message.ceremony, LIAR);
            }
            message
        }));
        committee.run(1, 2);
        let done = committee.all_or_nothing([1, 2, 4].into_iter(), &format!("seed {seed}"));
        assert!(!done, "seed {seed}: member 1 never had all signatures");
        committee.tamper = None;
        committee.run(2, 3);
        committee.common_key();
    }
}

#[test]
fn p6_all_confirmations_count_more_than_an_abort() {
    let (mut completed, mut aborted) = (0, 0);
    // Member 3 confirms to some and aborts to the others: every choice, many orders.
    for (chosen, seed) in (1..7_u64).flat_map(|chosen| (0..12).map(move |seed| (chosen, seed))) {
        let honest = [1, 2, 4];
        let confirms_to = move |to| {
            let place = honest.iter().position(|member| who(*member) == to).unwrap();
            chosen & (1 << place) != 0
        };
        let mut committee = Simulation::new(4, seed);
        committee.tamper = Some(Box::new(move |from, to, message| {
            if from == who(LIAR) && matches!(message.body, Body::Confirm { .. }) && !confirms_to(to) {
                return abort(message.ceremony, LIAR);
            }
            message
        }));
        // And it keeps the rest to itself.
        committee.lost = Some(Box::new(|from, _, message| {
            from == who(LIAR) && matches!(message.body, Body::Relay(_) | Body::Done(_))
        }));
        committee.run(1, 2);
        committee.tick(WINDOW_MS);
        committee.settle();
        let case = format!("to {chosen:b}, seed {seed}");
        let done = committee.all_or_nothing(honest.into_iter(), &case);
        (completed, aborted) = (completed + u32::from(done), aborted + u32::from(!done));
    }
    assert!(
        aborted > 0 && completed > 0,
        "{aborted} aborted, {completed} completed"
    );
}

/// Members 1 and 2 have confirmed a ceremony and given it up on the word of member 3, which had confirmed, too.
fn in_doubt() -> (Simulation, CeremonyId) {
    let mut committee = Simulation::new(3, 4);
    committee.tamper = Some(Box::new(|from, _, message| {
        if from == who(LIAR) && matches!(message.body, Body::Confirm { .. }) {
            return abort(message.ceremony, LIAR);
        }
        message
    }));
    committee.lost = Some(Box::new(|from, to, message| {
        // What member 3 needs to use the key by itself stays away from it.
        to == who(LIAR) && from == who(1) && matches!(message.body, Body::Confirm { .. } | Body::Done(_))
    }));
    let id = (0..200)
        .find_map(|_| {
            let id = committee.run(1, 2);
            let confirmed = |member: usize| {
                let record = committee.members[member - 1].machine.as_ref()?.record()?;
                (record.phase == Phase::Aborted && record.confirms.contains_key(&who(member))).then_some(())
            };
            let both = confirmed(1).is_some() && confirmed(2).is_some();
            if !both {
                committee.tick(WINDOW_MS);
                committee.settle();
            }
            both.then_some(id)
        })
        .expect("no such order among 200");
    (committee.tamper, committee.lost) = (None, None);
    committee.wipe(LIAR);
    (committee, id)
}

/// What the liar says at last of a ceremony that members 1 and 2 have confirmed.
fn late_confirmation(committee: &mut Simulation, first: CeremonyId) -> Message {
    let machine = committee.machine(1);
    let records = [machine.doubt(), machine.record()].into_iter().flatten();
    let known = records.filter(|record| record.plan.id() == first);
    let body = known.filter_map(|record| record.confirmation()).next();
    message(first, LIAR, body.unwrap())
}

#[test]
fn p6_a_key_that_is_in_use_after_all_is_taken_up_during_the_next_ceremony() {
    let (mut committee, first) = in_doubt();
    let second = committee.propose(1, 2);
    committee.settle();
    committee.join(2, second);
    committee.settle();
    // The doubt outlives a restart.
    committee.restart(1);
    committee.restart(2);
    let now_ms = committee.now_ms;
    let late = late_confirmation(&mut committee, first);
    let out = committee
        .machine(2)
        .message(&who(LIAR), late, now_ms, &mut OsRng)
        .unwrap();
    let steps: Vec<(CeremonyId, Step)> = out.journal.iter().map(|(id, step, _)| (*id, *step)).collect();
    assert!(steps.contains(&(first, Step::Active)), "{steps:?}");
    committee.carry_out(2, out);
    committee.settle();
    assert!(committee.all_or_nothing(1..=2, "after the late confirmation"));
    assert_eq!(committee.machine(1).record().unwrap().plan.id(), first);
}

#[test]
fn p6_a_member_that_confirms_a_later_ceremony_does_not_go_back() {
    let (mut committee, first) = in_doubt();
    let late = late_confirmation(&mut committee, first);
    committee.run(2, 2);
    let key = committee.common_key();
    for member in 1..=2 {
        let late = late.clone();
        let now_ms = committee.now_ms;
        let out = committee
            .machine(member)
            .message(&who(LIAR), late, now_ms, &mut OsRng)
            .unwrap();
        assert!(out.activate.is_none() && !out.persist);
    }
    committee.settle();
    assert_eq!(committee.common_key(), key);
}

#[test]
fn what_may_merely_have_come_before_its_proposal_is_sent_again() {
    let mut committee = Simulation::new(3, 1);
    let now_ms = committee.now_ms;
    let join = message(CeremonyId([9; 32]), 2, Body::Join { deals: false });
    let early = committee.machine(1).message(&who(2), join, now_ms, &mut OsRng);
    assert_eq!(early.unwrap_err(), NotTaken::Early);
}

#[test]
fn the_journal_names_the_ceremony_that_gave_way() {
    let mut committee = Simulation::new(2, 1);
    let mut proposals = Vec::new();
    for proposer in 1..=2 {
        let now_ms = committee.now_ms;
        let (id, out) = committee
            .machine(proposer)
            .propose(&generation(2), now_ms, &mut OsRng)
            .unwrap();
        proposals.push((id, out.send[0].1.clone(), proposer));
    }
    proposals.sort_by_key(|(id, ..)| *id);
    let [(stays, proposal, proposer), (yields, _, receiver)] = &proposals[..] else {
        panic!("two were proposed");
    };
    let now_ms = committee.now_ms;
    let out = committee
        .machine(*receiver)
        .message(&who(*proposer), proposal.clone(), now_ms, &mut OsRng)
        .unwrap();
    let steps: Vec<(CeremonyId, Step)> = out.journal.iter().map(|(id, step, _)| (*id, *step)).collect();
    assert_eq!(steps, [(*yields, Step::Aborted), (*stays, Step::Proposed)]);
    let [other] = &out.others[..] else {
        panic!("another gave way")
    };
    assert_eq!((other.plan.id(), other.phase), (*yields, Phase::Aborted));
}

#[test]
fn p6_a_confirmation_of_another_end_is_none() {
    let (mut committee, first) = in_doubt();
    let right = late_confirmation(&mut committee, first);
    let Body::Confirm { manifest, .. } = right.body else {
        panic!("not a confirmation")
    };
    let others = [
        (threshold::ids::ManifestDigest([8; 32]), Vec::new()),
        (manifest, vec![super::simulation::index(1)]),
    ];
    let now_ms = committee.now_ms;
    for (manifest, dealers) in others {
        let other = message(first, LIAR, Body::Confirm { manifest, dealers });
        let out = committee
            .machine(1)
            .message(&who(LIAR), other, now_ms, &mut OsRng)
            .unwrap();
        assert!(out.activate.is_none());
    }
    let out = committee
        .machine(1)
        .message(&who(LIAR), right, now_ms, &mut OsRng)
        .unwrap();
    assert!(out.activate.is_some());
}

#[test]
fn p6_a_proof_that_is_not_complete_or_not_signed_is_none() {
    let mut committee = Simulation::new(3, 1);
    committee.lost = Some(Box::new(|from, _, message| {
        from == who(LIAR) && matches!(message.body, Body::Confirm { .. } | Body::Done(_))
    }));
    let id = committee.run(1, 2);
    let proof = committee.machine(LIAR).record().unwrap().proof().unwrap();
    let with = |confirmations: Vec<threshold::signature::Signature>| Proof {
        confirmations,
        ..proof.clone()
    };
    let signatures = proof.confirmations.clone();
    let mut swapped = signatures.clone();
    swapped.swap(0, 1);
    let mut forged = signatures.clone();
    forged[2] = forged[0];
    let mut unsigned = proof.clone();
    unsigned.signed.signatures.swap(0, 1);
    let wrong = [swapped, forged, signatures[..2].to_vec(), Vec::new()];
    for wrong in wrong.map(with).into_iter().chain([unsigned]) {
        let now_ms = committee.now_ms;
        let done = message(id, LIAR, Body::Done(Box::new(wrong)));
        let refused = committee.machine(1).message(&who(LIAR), done, now_ms, &mut OsRng);
        assert!(matches!(refused, Err(NotTaken::Wrong(_))));
        assert_eq!(committee.phases()[0], Some(Phase::Canary));
    }
    let now_ms = committee.now_ms;
    let done = message(id, LIAR, Body::Done(Box::new(proof)));
    let out = committee
        .machine(1)
        .message(&who(LIAR), done, now_ms, &mut OsRng)
        .unwrap();
    assert!(out.activate.is_some());
}
