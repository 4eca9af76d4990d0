//! Who is told late or never, who has forgotten, who asks too often; and what a report of it all shows.

use super::proofs::Eviction;
use super::resharing::{key, with_key};
use super::simulation::{Crash, Simulation, WINDOW_MS, generation, resharing, who};
use crate::ceremony::commands::CommandError;
use crate::ceremony::machine::{MAX_PROPOSALS, MAX_REFUSALS, NotTaken, PROPOSALS_WINDOW_MS};
use crate::ceremony::message::{Body, Message, Proof};
use crate::ceremony::plan::Plan;
use crate::ceremony::record::Phase;
use crate::ceremony::report::{Account, Report, Verdict};
use rand_core::OsRng;
use threshold::encoding::Canonical;
use threshold::ids::{CeremonyId, ManifestDigest};
use threshold::reshare::Resharing;

/// A message to a member, and what it answers; what it does is carried out.
fn deliver(
    committee: &mut Simulation,
    to: usize,
    from: usize,
    message: Message,
) -> Result<Option<Body>, NotTaken> {
    let now_ms = committee.now_ms;
    let mut out = committee
        .machine(to)
        .message(&who(from), message, now_ms, &mut OsRng)?;
    let answer = out.answer.take().map(|answer| answer.body);
    committee.carry_out(to, out);
    Ok(answer)
}

/// A proposal of a refresh among all, each number another one.
fn proposal(committee: &Simulation, from: usize, number: u16, deadline_ms: u64) -> Message {
    let signed = committee.members[0].active.clone().unwrap();
    let threshold = signed.manifest.threshold();
    let mut nonce = [0; 32];
    nonce[..2].copy_from_slice(&number.to_be_bytes());
    let seats = committee.seats[..usize::from(threshold.n())].to_vec();
    let plan = Resharing::new(nonce, signed, threshold, seats).unwrap();
    let plan = Box::new(Plan::Resharing(Box::new(plan)));
    Message::new(plan.id(), Body::Propose { plan, deadline_ms }, &key(from))
}

/// Members 2 to 4 have gone on to the next epoch while member 1, who leaves, was away.
fn without_the_first() -> (Simulation, CeremonyId) {
    let mut committee = with_key(4, 2, 3, 3);
    committee.kill(1);
    let id = committee.wish(2, &resharing(2, &[2, 3, 4]));
    committee.run_on(id);
    let out = committee.machine(2).execute(id, &[], &mut OsRng).unwrap();
    committee.carry_out(2, out);
    committee.settle();
    (committee, id)
}

#[test]
fn a15_b8_an_old_member_that_was_never_told_learns_of_the_end_and_destroys_its_share() {
    let (mut committee, _id) = without_the_first();
    // Nobody has the proposal in its outbox any more, and member 4 not even what it had to say of the end.
    for member in 2..=4 {
        committee.kill(member);
    }
    for member in [2, 3] {
        committee.restart(member);
    }
    committee.restart(1);
    committee.settle();
    committee.tick(0);
    assert_eq!(committee.machine(1).record().unwrap().phase, Phase::Active);
    assert!(committee.members[0].key.is_none() && committee.members[0].before.is_some());
    committee.restart(4);
    committee.settle();
    committee.read_everywhere();
    committee.settle();
    let member = &committee.members[0];
    assert!(
        member.before.is_none() && member.disk.shares.is_empty(),
        "its share is still there"
    );
}

#[test]
fn a15_what_an_old_member_is_told_of_the_end_is_proven() {
    let (mut committee, id) = without_the_first();
    let (plan, proof) = {
        let record = committee.machine(2).record().unwrap();
        (record.plan.clone(), record.proof().unwrap())
    };
    (2..=4).for_each(|member| committee.kill(member));
    committee.restart(1);
    let ended = |proof: &Proof| {
        let (plan, proof) = (Box::new(plan.clone()), Box::new(proof.clone()));
        Message::new(id, Body::Ended { plan, proof }, &key(2))
    };
    let mut unconfirmed = proof.clone();
    unconfirmed.confirmations.pop();
    let mut unsigned = proof.clone();
    unsigned.signed.signatures.swap(0, 1);
    for wrong in [unconfirmed, unsigned] {
        let refused = deliver(&mut committee, 1, 2, ended(&wrong));
        assert!(matches!(refused, Err(NotTaken::Wrong(_))));
        assert!(committee.members[0].key.is_some());
    }
    // Whoever speaks of the new epoch is asked what it is.
    let manifest = proof.signed.manifest.digest();
    let in_use = Message::new(id, Body::InUse { manifest, read: true }, &key(3));
    assert_eq!(deliver(&mut committee, 1, 3, in_use), Ok(Some(Body::Unheard)));
    // Of another plan it shows nothing.
    let other = Message::new(CeremonyId([1; 32]), ended(&proof).body, &key(2));
    assert!(deliver(&mut committee, 1, 2, other).is_err());
    assert_eq!(deliver(&mut committee, 1, 2, ended(&proof)), Ok(None));
    committee.tick(0);
    assert!(committee.members[0].key.is_none());
}

/// The message that tells of the end of a member's newest ceremony, from member 2.
fn ended(committee: &mut Simulation, id: CeremonyId) -> Message {
    let record = committee.machine(2).record().unwrap();
    assert_eq!(record.plan.id(), id);
    let (plan, proof) = (Box::new(record.plan.clone()), Box::new(record.proof().unwrap()));
    Message::new(id, Body::Ended { plan, proof }, &key(2))
}

#[test]
fn b8_p8_the_end_of_a_former_epoch_takes_nothing_from_a_member_that_has_come_back() {
    let (mut committee, id) = without_the_first();
    let old = ended(&mut committee, id);
    committee.restart(1);
    committee.settle();
    committee.tick(0);
    committee.read_everywhere();
    assert!(committee.members[0].key.is_none());
    let back = committee.wish(2, &resharing(2, &[1, 2, 3]));
    committee.run_on(back);
    assert_eq!(committee.epoch(1), 3);
    assert_eq!(deliver(&mut committee, 1, 2, old), Ok(None));
    committee.tick(0);
    assert_eq!(committee.machine(1).record().unwrap().plan.id(), back);
    assert!(committee.members[0].key.is_some() && committee.epoch(1) == 3);
}

/// Journal and store are of one time whenever it starts; see `Simulation::restart`.
#[test]
fn p7_a16_a_leaver_that_stops_while_it_learns_of_the_end_starts_again() {
    for how in [Crash::BeforeStoring, Crash::AfterJournal, Crash::AfterStoring] {
        for at in 1.. {
            let eviction = Eviction::new();
            let (ended, mut committee) = (eviction.ended(&[2, 3]), eviction.committee);
            committee.crash = Some((committee.carried_out + at, 1, how));
            deliver(&mut committee, 1, 3, ended.clone()).unwrap();
            committee.tick(0);
            if committee.crash.take().is_some() {
                assert!(at > 1, "{how:?}");
                break;
            }
            committee.restart(1);
            deliver(&mut committee, 1, 3, ended).unwrap();
            committee.tick(0);
            committee.restart(1);
            assert!(
                committee.epoch(1) == 2 && committee.members[0].key.is_none(),
                "{how:?} at {at}"
            );
        }
    }
}

#[test]
fn p6_an_end_that_was_shown_gives_way_to_no_proposal() {
    let eviction = Eviction::new();
    let (ended, mut committee) = (eviction.ended(&[2, 3]), eviction.committee);
    let other = proposal(&committee, 2, 7, committee.now_ms + WINDOW_MS);
    let id = ended.ceremony;
    assert_eq!(deliver(&mut committee, 1, 3, ended), Ok(None));
    let answer = deliver(&mut committee, 1, 2, other).unwrap();
    assert!(matches!(answer, Some(Body::Abort { .. })), "{answer:?}");
    let aborted = committee.machine(1).abort(id);
    assert_eq!(aborted.unwrap_err(), CommandError::Done(id));
    // Neither does it get lost with a restart, although its time is over.
    committee.restart(1);
    assert_eq!(committee.machine(1).record().unwrap().plan.id(), id);
    assert!(committee.epoch(1) == 2 && committee.members[0].key.is_none());
}

/// Its disk was put back, so that it has no share in what it has helped to bring about.
#[test]
fn p8_a_seat_is_not_told_of_the_end_as_a_leaver_is() {
    let mut committee = with_key(3, 2, 3, 2);
    let old = committee.disk_of(1);
    let id = committee.wish(2, &resharing(2, &[]));
    committee.run_on(id);
    let ended = ended(&mut committee, id);
    committee.kill(1);
    committee.put_disk_back(1, old);
    committee.restart(1);
    assert_eq!(deliver(&mut committee, 1, 2, ended), Ok(None));
    committee.tick(0);
    assert!(committee.members[0].key.is_some() && committee.epoch(1) == 1);
}

#[test]
fn p6_a_member_that_has_confirmed_one_ceremony_is_not_led_out_of_it_by_the_end_of_another() {
    let eviction = Eviction::new();
    let ended = eviction.ended(&[2, 3]);
    let mut committee = eviction.committee;
    committee.lost = Some(Box::new(|from, _, message| {
        from != who(1) && matches!(message.body, Body::Confirm { .. } | Body::Done(_))
    }));
    let id = committee.wish(2, &resharing(2, &[1, 2, 3]));
    committee.run_on(id);
    let record = committee.machine(1).record().unwrap();
    assert!(record.phase == Phase::Canary && record.has_confirmed(&who(1)));
    assert_eq!(deliver(&mut committee, 1, 3, ended.clone()), Ok(None));
    committee.tick(0);
    let record = committee.machine(1).record().unwrap();
    assert_eq!((record.plan.id(), record.phase), (id, Phase::Canary));
    assert_eq!(committee.epoch(1), 1);
    // Without a confirmation of its own it goes with the end that is shown.
    let eviction = Eviction::new();
    let (ended, mut committee) = (eviction.ended(&[2, 3]), eviction.committee);
    assert_eq!(deliver(&mut committee, 1, 3, ended), Ok(None));
    committee.tick(0);
    assert!(committee.epoch(1) == 2 && committee.members[0].key.is_none());
}

#[test]
fn p9_a_member_signs_no_abort_of_what_it_never_joined() {
    let mut committee = with_key(3, 2, 3, 1);
    let id = CeremonyId([9; 32]);
    let manifest = ManifestDigest([1; 32]);
    let confirm = Body::Confirm {
        manifest,
        dealers: Vec::new(),
    };
    // A dishonest member says that member 1 takes part in something.
    let asked = Message::new(id, confirm, &key(2));
    assert_eq!(deliver(&mut committee, 1, 2, asked), Ok(Some(Body::Unheard)));
    // Neither another's consent, nor its own to something else or of another kind, makes it sign.
    let other = CeremonyId([8; 32]);
    let wrong = [
        Message::new(id, Body::Join { deals: true }, &key(2)),
        Message::new(other, Body::Join { deals: true }, &key(1)),
        Message::new(id, Body::Unheard, &key(1)),
    ];
    for wrong in wrong {
        let reminder = Message::new(id, Body::Reminder(wrong.nested()), &key(2));
        let refused = deliver(&mut committee, 1, 2, reminder);
        assert!(matches!(refused, Err(NotTaken::Wrong(_))), "{refused:?}");
    }
    let mut forged = Message::new(id, Body::Join { deals: true }, &key(1)).to_bytes();
    *forged.last_mut().unwrap() ^= 1;
    let reminder = Body::Reminder(crate::ceremony::message::Nested(forged));
    let refused = deliver(&mut committee, 1, 2, Message::new(id, reminder, &key(2)));
    assert!(matches!(refused, Err(NotTaken::Wrong(_))), "{refused:?}");
    // Its own does: it was on a disk that it has no more.
    let own = Message::new(id, Body::Join { deals: true }, &key(1));
    let reminder = Message::new(id, Body::Reminder(own.nested()), &key(2));
    let answer = deliver(&mut committee, 1, 2, reminder).unwrap();
    assert!(matches!(answer, Some(Body::Abort { .. })), "{answer:?}");
}

#[test]
fn p9_a_refusal_outlives_the_process_that_signed_it() {
    let mut committee = with_key(3, 2, 3, 1);
    let late = proposal(&committee, 3, 1, committee.now_ms);
    let answer = deliver(&mut committee, 1, 3, late).unwrap();
    assert!(matches!(answer, Some(Body::Abort { .. })));
    committee.restart(1);
    let again = proposal(&committee, 3, 1, committee.now_ms + WINDOW_MS);
    let answer = deliver(&mut committee, 1, 3, again).unwrap();
    assert!(matches!(answer, Some(Body::Abort { .. })), "{answer:?}");
    assert_eq!(committee.machine(1).live(), None);
}

#[test]
fn p12_what_a_member_says_twice_is_not_stored_twice() {
    let mut committee = with_key(4, 2, 3, 1);
    // Member 1 leaves and is not heard; what the others say comes to member 2 again and again.
    let said = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let heard = std::rc::Rc::clone(&said);
    committee.lost = Some(Box::new(move |from, to, message| {
        let counts = matches!(
            message.body,
            Body::Join { .. } | Body::Sign { .. } | Body::Confirm { .. }
        );
        if to == who(2) && from == who(3) && counts {
            heard.borrow_mut().push(message.clone());
        }
        from == who(4) && matches!(message.body, Body::Confirm { .. } | Body::Done(_))
    }));
    let id = committee.wish(2, &resharing(2, &[2, 3, 4]));
    committee.settle();
    let leaves = Body::Abort {
        reason: "no".to_owned(),
        evidence: None,
    };
    let leaves = Message::new(id, leaves, &key(1));
    let now_ms = committee.now_ms;
    let again = |committee: &mut Simulation, from: usize, message: &Message| {
        let message = message.clone();
        let out = committee
            .machine(2)
            .message(&who(from), message, now_ms, &mut OsRng)
            .unwrap();
        let stored = out.persist;
        committee.carry_out(2, out);
        stored
    };
    let first: Vec<bool> = (0..2).map(|_| again(&mut committee, 1, &leaves)).collect();
    assert_eq!(first, [true, false]);
    committee.join(3, id);
    committee.settle();
    let join = said.borrow().last().cloned().unwrap();
    assert!(matches!(join.body, Body::Join { .. }) && !again(&mut committee, 3, &join));
    committee.run_on(id);
    assert_eq!(committee.phases()[1], Some(Phase::Canary));
    let said = said.borrow().clone();
    assert!(said.len() >= 3);
    for message in said {
        assert!(!again(&mut committee, 3, &message), "{:?}", message.body);
    }
}

#[test]
fn p12_a_deadline_is_neither_past_nor_more_than_a_day_away() {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let mut committee = with_key(3, 2, 3, 1);
    let now_ms = committee.now_ms;
    for (number, (deadline_ms, taken)) in [
        (now_ms, false),
        (now_ms + DAY_MS + 1, false),
        (now_ms + DAY_MS, true),
    ]
    .into_iter()
    .enumerate()
    {
        let number = u16::try_from(number).unwrap();
        let proposed = proposal(&committee, 3, number, deadline_ms);
        let id = proposed.ceremony;
        let answer = deliver(&mut committee, 1, 3, proposed).unwrap();
        if taken {
            assert_eq!((answer, committee.machine(1).live()), (None, Some(id)));
        } else {
            let refused = matches!(&answer, Some(Body::Abort { reason, .. }) if reason.contains("past or too far away"));
            assert!(refused && committee.machine(1).live().is_none(), "{answer:?}");
        }
    }
}

#[test]
fn a_ceremony_is_begun_once() {
    let mut committee = with_key(4, 2, 3, 3);
    committee.kill(1);
    let id = committee.wish(2, &resharing(2, &[2, 3, 4]));
    committee.run_on(id);
    let out = committee.machine(2).execute(id, &[], &mut OsRng).unwrap();
    // Before and after the others have heard of it.
    let again = committee.machine(2).execute(id, &[], &mut OsRng);
    assert_eq!(again.unwrap_err(), CommandError::Begun(id));
    committee.carry_out(2, out);
    committee.settle();
    assert_eq!(committee.epoch(2), 2);
    let over = committee.machine(2).execute(id, &[], &mut OsRng);
    assert_eq!(over.unwrap_err(), CommandError::Begun(id));
}

#[test]
fn p12_a_member_makes_no_more_proposals_than_operators_can_look_at() {
    let mut committee = with_key(3, 2, 3, 1);
    let most = u16::try_from(MAX_PROPOSALS).unwrap();
    let deadline = committee.now_ms + 2 * PROPOSALS_WINDOW_MS;
    for number in 0..most {
        let proposed = proposal(&committee, 3, number, deadline);
        assert!(deliver(&mut committee, 1, 3, proposed).is_ok(), "{number}");
    }
    let more = proposal(&committee, 3, most, deadline);
    assert_eq!(
        deliver(&mut committee, 1, 3, more.clone()),
        Err(NotTaken::TooMany)
    );
    // What is known already, and what another proposes, comes through.
    let known = proposal(&committee, 3, 0, deadline);
    assert!(deliver(&mut committee, 1, 3, known).is_ok());
    let another = proposal(&committee, 2, 500, deadline);
    assert!(deliver(&mut committee, 1, 2, another).is_ok());
    // In an hour it may again.
    committee.now_ms += PROPOSALS_WINDOW_MS;
    assert!(deliver(&mut committee, 1, 3, more).is_ok());
}

#[test]
fn p12_of_proposals_that_nobody_consents_to_the_ids_are_kept() {
    let mut committee = with_key(3, 2, 3, 1);
    let known = committee.disk_of(1).records.len();
    let mut ids = Vec::new();
    for number in 0..30 {
        let proposed = proposal(&committee, 3, number, committee.now_ms + WINDOW_MS);
        ids.push(proposed.ceremony);
        deliver(&mut committee, 1, 3, proposed).unwrap();
        committee.tick(PROPOSALS_WINDOW_MS / 10);
    }
    let disk = committee.disk_of(1);
    // The newest, and the one before it.
    assert!(disk.records.len() <= known + 2, "{} records", disk.records.len());
    assert!(disk.past.len() >= 28);
    // None of them comes back.
    committee.restart(1);
    for number in 0..29 {
        let again = proposal(&committee, 3, number, committee.now_ms + WINDOW_MS);
        assert!(committee.machine(1).past.contains(&ids[usize::from(number)]));
        deliver(&mut committee, 1, 3, again).unwrap();
        assert_ne!(committee.machine(1).live(), Some(ids[usize::from(number)]));
    }
}

#[test]
fn p9_a_proposal_that_gave_way_to_the_members_next_does_not_come_back_after_it_was_refused() {
    let mut committee = with_key(3, 2, 3, 1);
    let deadline = committee.now_ms + PROPOSALS_WINDOW_MS;
    let first = proposal(&committee, 3, 0, deadline);
    let late = proposal(&committee, 2, 9, committee.now_ms + 1);
    for (from, proposed) in [(2, &late), (3, &first)] {
        deliver(&mut committee, 1, from, proposed.clone()).unwrap();
    }
    for number in 1..3 {
        let next = proposal(&committee, 3, number, deadline);
        deliver(&mut committee, 1, 3, next).unwrap();
    }
    committee.tick(1);
    for (from, proposed) in [(2, late), (3, first)] {
        let id = proposed.ceremony;
        let answer = deliver(&mut committee, 1, from, proposed).unwrap();
        assert!(matches!(answer, Some(Body::Abort { .. })), "{answer:?}");
        committee.restart(1);
        assert!(
            !committee.machine(1).waiting.contains_key(&id),
            "of member {from}"
        );
    }
}

#[test]
fn p12_what_was_refused_for_one_member_is_bounded_too() {
    let mut committee = with_key(3, 2, 3, 1);
    let mut refused = 0;
    for number in 0..=u16::try_from(MAX_REFUSALS).unwrap() {
        committee.now_ms += PROPOSALS_WINDOW_MS / 4;
        let late = proposal(&committee, 3, number, committee.now_ms);
        let answer = deliver(&mut committee, 1, 3, late).unwrap();
        refused += usize::from(matches!(answer, Some(Body::Abort { .. })));
    }
    assert_eq!(refused, MAX_REFUSALS);
}

#[test]
fn p7_a_proposal_that_waits_survives_a_restart_with_all_who_have_consented() {
    let mut committee = with_key(3, 2, 3, 1);
    let wanted = committee.wish(3, &resharing(2, &[]));
    committee.settle();
    // Before the operator has looked at it there is another.
    let newer = proposal(&committee, 2, 7, committee.now_ms + WINDOW_MS);
    deliver(&mut committee, 1, 2, newer).unwrap();
    let wanted_waits = |committee: &mut Simulation| committee.machine(1).waiting.contains_key(&wanted);
    assert!(wanted_waits(&mut committee));
    committee.restart(1);
    assert!(wanted_waits(&mut committee), "it is forgotten");
    let waiting = &committee.machine(1).waiting[&wanted];
    assert!(waiting.joins.contains_key(&who(3)));
    // And what this node has refused does not come back as one that waits.
    committee.abort(1, wanted);
    committee.restart(1);
    assert!(!wanted_waits(&mut committee));
}

#[test]
fn p7_consent_to_a_proposal_that_waits_is_durable_before_it_is_acknowledged() {
    let mut committee = with_key(3, 2, 3, 1);
    let wanted = committee.wish(3, &resharing(2, &[]));
    committee.settle();
    let newer = proposal(&committee, 2, 7, committee.now_ms + WINDOW_MS);
    deliver(&mut committee, 1, 2, newer).unwrap();
    let join = Message::new(wanted, Body::Join { deals: true }, &key(2));
    deliver(&mut committee, 1, 2, join).unwrap();
    committee.restart(1);
    assert!(committee.machine(1).waiting[&wanted].joins.contains_key(&who(2)));
}

#[test]
fn b8_an_operator_ends_an_epoch_that_waits_for_seats_that_never_answer() {
    let mut committee = with_key(4, 2, 4, 1);
    // Members 3 and 4 never say that they have the new epoch: one too few of min(4, 3) seats.
    committee.lost = Some(Box::new(|from, _, message| {
        [who(3), who(4)].contains(&from) && matches!(message.body, Body::InUse { .. })
    }));
    let id = committee.wish(1, &resharing(2, &[]));
    assert_eq!(
        committee.machine(1).retire(1).unwrap_err(),
        CommandError::NotServed(1)
    );
    committee.run_on(id);
    assert_eq!(
        committee.machine(1).retire(1).unwrap_err(),
        CommandError::Unpublished(2)
    );
    committee.read_everywhere();
    committee.settle();
    assert!(committee.members[0].before.is_some());
    for wrong in [0, 2] {
        assert_eq!(
            committee.machine(1).retire(wrong).unwrap_err(),
            CommandError::NotServed(wrong)
        );
    }
    let out = committee.machine(1).retire(1).unwrap();
    committee.carry_out(1, out);
    assert!(committee.members[0].before.is_none() && committee.members[0].disk.shares.len() == 1);
    assert_eq!(
        committee.machine(1).retire(1).unwrap_err(),
        CommandError::NotServed(1)
    );
}

#[test]
fn b8_an_operator_does_not_end_an_epoch_while_the_next_cannot_be_read_with() {
    let mut committee = with_key(4, 3, 4, 1);
    committee.lost = Some(Box::new(|from, _, message| {
        [who(3), who(4)].contains(&from) && matches!(message.body, Body::InUse { .. })
    }));
    let id = committee.wish(1, &resharing(3, &[]));
    committee.run_on(id);
    committee.read_everywhere();
    committee.settle();
    let too_few = CommandError::TooFewSeats { needed: 3, found: 2 };
    assert_eq!(committee.machine(1).retire(1).unwrap_err(), too_few);
}

fn report(committee: &mut Simulation, member: usize) -> Vec<u8> {
    committee.machine(member).report_of_the_end(7).unwrap().to_bytes()
}

/// The account in a report, changed, and signed by this member.
fn changed(bytes: &[u8], signer: usize, change: impl Fn(&mut Account)) -> Report {
    let checked = Report::from_bytes(bytes).unwrap().check().unwrap();
    let mut account = checked.account;
    let id = account.plan.id();
    change(&mut account);
    Report::new(Message::new(id, Body::Account(Box::new(account)), &key(signer))).unwrap()
}

#[test]
fn p6_a_report_of_a_ceremony_shows_everybodys_signature_to_anybody() {
    let mut committee = Simulation::new(3, 1);
    assert!(committee.machine(1).report_of_the_end(7).is_none());
    committee.propose(1, 2);
    assert!(
        committee.machine(1).report_of_the_end(7).is_none(),
        "it is not over"
    );
    committee.settle();
    let id = committee.machine(1).live().unwrap();
    committee.run_on(id);
    let bytes = report(&mut committee, 2);
    let checked = Report::from_bytes(&bytes).unwrap().check().unwrap();
    assert_eq!(checked.reporter.identity, who(2));
    assert_eq!(*checked.manifest().unwrap(), committee.common_key());
    assert_eq!(
        checked.account.transcript,
        committee.machine(3).record().unwrap().transcript
    );
    assert!(
        checked.parties.len() == 3
            && checked
                .parties
                .iter()
                .all(|(_, signed, needed)| *signed && *needed)
    );
    // Nobody else's words count, and none that lack a member's signature.
    assert!(changed(&bytes, 9, |_| ()).check().is_err(), "a stranger's");
    let cut = changed(&bytes, 2, |account| {
        if let Verdict::Done(proof) = &mut account.verdict {
            proof.confirmations.pop();
        }
    });
    assert!(cut.check().is_err(), "a signature is missing");
    let swapped = changed(&bytes, 2, |account| {
        if let Verdict::Done(proof) = &mut account.verdict {
            proof.confirmations.swap(0, 1);
        }
    });
    assert!(swapped.check().is_err(), "signatures of others");
}

#[test]
fn e8_a_flipped_bit_anywhere_in_a_report_is_found() {
    let mut committee = Simulation::new(2, 1);
    committee.run(1, 2);
    let bytes = report(&mut committee, 2);
    for place in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << (place % 8);
        let taken = Report::from_bytes(&flipped).and_then(Report::check);
        assert!(taken.is_err(), "byte {place}");
    }
    assert!(Report::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    assert!(Report::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn p9_a_report_of_a_ceremony_that_was_given_up_shows_who_gave_it_up() {
    let mut committee = Simulation::new(3, 1);
    let id = committee.wish(1, &generation(2));
    committee.settle();
    committee.abort(3, id);
    committee.settle();
    let bytes = report(&mut committee, 3);
    let checked = Report::from_bytes(&bytes).unwrap().check().unwrap();
    assert!(checked.manifest().is_none() && checked.proven_culprit.is_none());
    let signed = checked.parties.iter().filter(|(_, signed, _)| *signed);
    assert_eq!(
        signed.map(|(party, ..)| party.identity).collect::<Vec<_>>(),
        [who(3)]
    );
    // Another message of the member's is no abort.
    let other = changed(&bytes, 3, |account| {
        if let Verdict::Aborted { abort, .. } = &mut account.verdict {
            *abort = Message::new(id, Body::Join { deals: false }, &key(3)).nested();
        }
    });
    assert!(other.check().is_err());
}

/// Each seat of a resharing that was given up late holds a manifest that all seats have signed.
#[test]
fn b6_a_manifest_with_all_signatures_of_an_epoch_that_never_was_makes_no_report() {
    let mut committee = with_key(3, 2, 3, 1);
    committee.lost = Some(Box::new(|_, _, message| {
        matches!(message.body, Body::Confirm { .. } | Body::Done(_))
    }));
    let id = committee.wish(1, &resharing(2, &[]));
    committee.run_on(id);
    let record = committee.machine(3).record().unwrap();
    let (signed, confirms) = (record.signed_manifest().unwrap(), record.confirms.clone());
    assert!(signed.verify().is_ok());
    let proof = Proof {
        signed,
        dealers: record.counted.clone(),
        confirmations: confirms.values().map(|message| *message.signature()).collect(),
    };
    let account = Account {
        plan: record.plan.clone(),
        time_ms: 7,
        transcript: None,
        faults: Vec::new(),
        verdict: Verdict::Done(proof),
    };
    let message = Message::new(id, Body::Account(Box::new(account)), &key(3));
    assert!(Report::new(message).unwrap().check().is_err());
}
