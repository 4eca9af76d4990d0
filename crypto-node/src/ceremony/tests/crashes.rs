use super::simulation::{Crash, Simulation, WINDOW_MS, generation, who};
use crate::ceremony::commands::CommandError;
use crate::ceremony::record::Phase;
use rand_core::OsRng;

#[test]
fn all_members_come_to_the_same_key_in_any_order_of_messages() {
    for seed in 0..20 {
        let mut committee = Simulation::new(5, seed);
        committee.run(1 + usize::try_from(seed).unwrap() % 5, 3);
        assert!(
            committee.all_are(Phase::Active),
            "seed {seed}: {:?}",
            committee.phases()
        );
        let key = committee.common_key();
        assert_eq!((key.manifest.threshold().t(), key.manifest.epoch()), (3, 1));
    }
}

/// Kills a member at every point of a ceremony, restarts it, and looks at what everybody holds.
fn crash_everywhere(victim: usize, how: Crash, n: usize, t: u16) {
    let (mut completed, mut aborted) = (0, 0);
    for at in 0.. {
        let mut committee = Simulation::new(n, at);
        committee.crash = Some((committee.carried_out + at, victim, how));
        let id = committee.run(1, t);
        if committee.crash.take().is_some() {
            break; // the ceremony was over before the crash was due
        }
        // The others may not go on without it, nor be left behind.
        committee.settle();
        committee.restart(victim);
        committee.run_on(id);
        let newest_is_nobodys = committee.phases().iter().all(Option::is_none);
        if committee.all_are(Phase::Active) {
            committee.common_key();
            completed += 1;
            continue;
        }
        let over = committee
            .phases()
            .iter()
            .all(|phase| matches!(phase, None | Some(Phase::Aborted)));
        assert!(
            over || newest_is_nobodys,
            "{how:?} of {victim} at {at}: {:?}",
            committee.phases()
        );
        assert!(
            committee.members.iter().all(|member| member.active.is_none()),
            "someone uses an aborted key"
        );
        aborted += 1;
        committee.run(victim, t);
        assert!(
            committee.all_are(Phase::Active),
            "{how:?} of {victim} at {at}: no new ceremony"
        );
        committee.common_key();
    }
    assert!(
        aborted > 0 && completed > 0,
        "{aborted} aborted, {completed} completed: a side was never tried"
    );
}

#[test]
fn p6_a16_a_crash_before_storing_leaves_all_or_nothing() {
    crash_everywhere(1, Crash::BeforeStoring, 4, 3);
    crash_everywhere(3, Crash::BeforeStoring, 4, 3);
}

#[test]
fn p6_a16_a_crash_after_storing_leaves_all_or_nothing() {
    crash_everywhere(1, Crash::AfterStoring, 4, 3);
    crash_everywhere(2, Crash::AfterStoring, 4, 3);
}

#[test]
fn p6_a16_a_crash_between_journal_and_store_leaves_all_or_nothing() {
    crash_everywhere(1, Crash::AfterJournal, 4, 3);
    crash_everywhere(3, Crash::AfterJournal, 4, 3);
}

#[test]
fn p7_a_share_that_was_stored_without_its_promise_is_not_used() {
    let mut committee = Simulation::new(3, 1);
    committee.crash = Some((0, 2, Crash::AfterShare));
    committee.run(1, 2);
    assert!(!committee.is_up(2));
    committee.restart(2);
    committee.settle();
    assert!(committee.all_are(Phase::Aborted), "{:?}", committee.phases());
    committee.run(3, 2);
    committee.common_key();
}

#[test]
fn p7_after_the_deadline_everybody_gives_up_and_a_new_proposal_works() {
    let mut committee = Simulation::new(4, 1);
    let id = committee.propose(1, 2);
    committee.settle();
    committee.join(2, id);
    committee.kill(4);
    committee.settle();
    committee.now_ms += WINDOW_MS;
    for member in 1..=3 {
        let now_ms = committee.now_ms;
        let out = committee.machine(member).tick(now_ms);
        assert!(out.persist, "member {member} does not give up");
        drop(out);
    }
    let reason = committee.machine(1).record().unwrap().reason.clone();
    assert!(reason.contains("node-3, node-4"), "{reason}");
    committee.restart(4);
    committee.settle();
    committee.run(2, 3);
    committee.common_key();
}

#[test]
fn two_proposals_at_once_leave_one_ceremony_or_none() {
    for seed in 0..10 {
        let mut committee = Simulation::new(4, seed);
        let (first, second) = (committee.propose(1, 2), committee.propose(2, 3));
        committee.settle();
        let stays = first.min(second);
        let live: Vec<_> = (1..=4).map(|member| committee.machine(member).live()).collect();
        assert!(live.iter().all(|live| *live == Some(stays)), "{live:?}");
        committee.join_everywhere(stays);
        committee.settle();
        assert!(committee.all_are(Phase::Active));
        committee.common_key();
    }
}

#[test]
fn an_operator_aborts_and_everybody_learns_why() {
    let mut committee = Simulation::new(4, 3);
    let id = committee.propose(2, 2);
    committee.settle();
    let out = committee.machine(4).abort(id).unwrap();
    assert!(out.persist && !out.send.is_empty());
    let abort = out.send[0].1.clone();
    let now_ms = committee.now_ms;
    let relayed = committee
        .machine(1)
        .message(&who(4), abort, now_ms, &mut OsRng)
        .unwrap();
    assert!(relayed.persist);
    let reason = &committee.machine(1).record().unwrap().reason;
    assert!(reason.contains("operator aborted"), "{reason}");
}

#[test]
fn a_node_with_a_key_does_not_generate_another() {
    let mut committee = Simulation::new(3, 1);
    committee.run(1, 2);
    let now_ms = committee.now_ms;
    assert_eq!(
        committee
            .machine(2)
            .propose(&generation(2), now_ms, &mut OsRng)
            .unwrap_err(),
        CommandError::HasKey
    );
    committee.restart(2);
    assert_eq!(
        committee
            .machine(2)
            .propose(&generation(2), now_ms, &mut OsRng)
            .unwrap_err(),
        CommandError::HasKey
    );
}
