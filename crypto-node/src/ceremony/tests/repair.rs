//! Shares that were lost, and come back from t others.

use super::resharing::{key, with_key};
use super::simulation::{Crash, WINDOW_MS, index, name, resharing, who};
use crate::ceremony::commands::Wish;
use crate::ceremony::evidence::culprit;
use crate::ceremony::message::{Body, Message, Round};
use crate::ceremony::plan::Plan;
use crate::ceremony::record::Phase;
use rand_core::OsRng;

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
    assert_eq!(
        committee.disk_of(3).shares.len(),
        1,
        "its old share is still there"
    );
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

/// Its own word is all that a repair needs, so that it stores the share, confirms and uses it in one step.
#[test]
fn p7_a16_a_crash_in_the_repair_of_a_member_of_an_old_epoch_leaves_it_able_to_start_and_to_be_repaired() {
    for how in [
        Crash::BeforeStoring,
        Crash::AfterShare,
        Crash::AfterJournal,
        Crash::AfterStoring,
    ] {
        for at in 0.. {
            let mut committee = with_key(3, 2, 3, at);
            let old = committee.disk_of(3);
            let id = committee.wish(1, &resharing(2, &[]));
            committee.run_on(id);
            committee.read_everywhere();
            committee.kill(3);
            committee.put_disk_back(3, old);
            committee.restart(3);
            committee.settle();
            let wish = Wish::Repair {
                lost: name(3),
                helpers: Vec::new(),
            };
            committee.crash = Some((committee.carried_out + at, 3, how));
            let id = committee.wish(1, &wish);
            committee.run_on(id);
            if committee.crash.take().is_some() {
                assert!(at > 1);
                break;
            }
            committee.restart(3);
            committee.run_on(id);
            committee.tick(WINDOW_MS);
            committee.settle();
            let case = format!("{how:?} at {at}: {:?}", committee.phases());
            if committee.epoch(3) < 2 {
                let id = committee.wish(2, &wish);
                committee.settle();
                committee.kill(3);
                committee.restart(3);
                committee.run_on(id);
            }
            assert!(
                committee.epoch(3) == 2 && committee.opens_with(&[2, 3], false),
                "{case}"
            );
            committee.kill(3);
            committee.restart(3);
        }
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
