//! Who takes part: what operators consent to and refuse, and whose word begins what.

use super::resharing::{key, with_key};
use super::simulation::{WINDOW_MS, index, resharing, who};
use crate::ceremony::commands::CommandError;
use crate::ceremony::machine::Outcome;
use crate::ceremony::message::{Body, Message};
use crate::ceremony::plan::Plan;
use crate::ceremony::record::Phase;
use rand_core::OsRng;
use threshold::reshare::Resharing;

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
            .contains(&who(1))
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
