//! When the old epoch ends: not before enough seats have the new one, and it is read with.

use super::resharing::{key, with_key};
use super::simulation::{index, resharing, who};
use crate::ceremony::message::{Body, Message};
use crate::ceremony::record::Phase;
use rand_core::OsRng;

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
