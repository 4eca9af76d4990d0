use super::simulation::{Simulation, generation, index, number, resharing, say_instead, who};
use crate::ceremony::evidence::{self, NoEvidence};
use crate::ceremony::machine::NotTaken;
use crate::ceremony::message::{Body, CanaryShare, Evidence, Message, MessageError, Nested, Round};
use crate::ceremony::plan::Plan;
use crate::ceremony::record::Phase;
use crate::share::ProvenCanary;
use ed25519_dalek::SigningKey;
use rand_core::OsRng;
use std::collections::BTreeMap;
use threshold::canary::Canary;
use threshold::committee::CommitteeManifest;
use threshold::dkg::{Agreement, Ceremony, Kind, Round1, SignedMessage, part1, part2};
use threshold::encoding::Canonical;
use threshold::ids::CeremonyId;
use threshold::name::Name;
use threshold::reencrypt::ReencryptionShare;
use threshold::wrap::WrappedKey;

const LIAR: u16 = 3;

fn liar(who: &threshold::signature::PublicKey) -> u16 {
    u16::try_from(number(who)).unwrap()
}

fn key(member: u16) -> SigningKey {
    SigningKey::from_bytes(&[u8::try_from(member).unwrap(); 32])
}

fn generated(plan: &Plan) -> Ceremony {
    let Plan::Generation(ceremony) = plan else {
        panic!("not a key generation");
    };
    ceremony.clone()
}

/// The newest ceremony's abort at an honest member.
fn abort_of(committee: &mut Simulation, member: usize) -> (Option<u16>, Option<Evidence>, Plan) {
    let record = committee.machine(member).record().unwrap();
    assert_eq!(record.phase, Phase::Aborted);
    let Some(Message {
        body: Body::Abort { evidence, .. },
        ..
    }) = record.abort.clone()
    else {
        panic!("no abort is kept");
    };
    (
        record
            .culprit
            .map(|culprit| u16::try_from(number(&culprit)).unwrap()),
        evidence,
        record.plan.clone(),
    )
}

fn assert_named_with_evidence(committee: &mut Simulation) {
    for member in (1..=committee.members.len()).filter(|member| *member != usize::from(LIAR)) {
        let (culprit, evidence, plan) = abort_of(committee, member);
        assert_eq!(culprit, Some(LIAR), "at member {member}");
        let evidence = evidence.expect("nothing that a third party could check");
        let evidence = Evidence::from_bytes(&evidence.to_bytes()).unwrap();
        assert_eq!(evidence::culprit(&evidence, &plan).unwrap(), who(LIAR.into()));
    }
}

#[test]
fn a5_commitments_that_differ_by_receiver_name_the_dealer() {
    let mut committee = Simulation::new(5, 11);
    let mut other = None;
    let mut ceremony = None;
    committee.tamper = Some(Box::new(move |from, to, message| {
        if let Body::Propose { plan, .. } = &message.body {
            ceremony = Some(generated(plan));
        }
        let is_commitment = matches!(&message.body, Body::Round(round) if round.unpack::<Kind>().unwrap().kind() == Kind::Round1);
        if liar(&from) != LIAR || number(&to) > 2 || !is_commitment {
            return message;
        }
        // Members 1 and 2 get another polynomial than 4 and 5, as properly signed as the first.
        let other = other.get_or_insert_with(|| {
            Round::pack(
                &part1(ceremony.as_ref().unwrap(), &key(LIAR), &mut OsRng)
                    .unwrap()
                    .1,
            )
        });
        Message::new(message.ceremony, Body::Round(other.clone()), &key(LIAR))
    }));
    committee.run(1, 3);
    assert_named_with_evidence(&mut committee);
    committee.tamper = None;
    committee.run(1, 3);
    assert!(committee.all_are(Phase::Active), "p7: a new ceremony must work");
}

/// The liar is two dealers at once: members 1 and 2 get another polynomial than 4 and 5, and to each half it vouches for what
/// that half has seen.
fn play_two_dealers(committee: &mut Simulation) {
    let (mut ceremony, mut other) = (None, None);
    let mut commitments = BTreeMap::new();
    committee.tamper = Some(Box::new(move |from, to, message| {
        if let Body::Propose { plan, .. } = &message.body {
            ceremony = Some(generated(plan));
        }
        let Body::Round(round) = &message.body else {
            return message;
        };
        let kind = round.unpack::<Kind>().unwrap().kind();
        if kind == Kind::Round1 && liar(&from) != LIAR {
            commitments.insert(number(&from), round.clone());
        }
        if liar(&from) != LIAR || number(&to) > 2 || kind == Kind::Round2 {
            return message;
        }
        let ceremony = ceremony.as_ref().unwrap();
        let other = other
            .get_or_insert_with(|| Round::pack(&part1(ceremony, &key(LIAR), &mut OsRng).unwrap().1))
            .clone();
        let shown = if kind == Kind::Round1 {
            other
        } else {
            let seen = commitments.values().chain([&other]);
            let seen = seen.map(|round| round.unpack().unwrap()).collect();
            let round1 = Round1::collect(ceremony, seen).unwrap();
            Round::pack(&round1.report(ceremony, &key(LIAR)).unwrap())
        };
        Message::new(message.ceremony, Body::Round(shown), &key(LIAR))
    }));
}

#[test]
fn a6_a_dealer_that_shows_each_half_a_key_of_its_own_is_named_and_neither_has_one() {
    let mut committee = Simulation::new(5, 13);
    play_two_dealers(&mut committee);
    committee.run(1, 3);
    assert_named_with_evidence(&mut committee);
    assert!(committee.members.iter().all(|member| member.active.is_none()));
    assert!(
        committee
            .members
            .iter()
            .all(|member| member.disk.shares.is_empty())
    );
    committee.tamper = None;
    committee.run(1, 3);
    committee.common_key();
}

#[test]
fn a6_two_halves_that_do_not_hear_each_others_reports_have_no_key() {
    let mut committee = Simulation::new(5, 17);
    play_two_dealers(&mut committee);
    committee.lost = Some(Box::new(|from, to, message| {
        let (from, to) = (liar(&from), liar(&to));
        let half = |member: u16| member > LIAR;
        let between = from != LIAR && to != LIAR && half(from) != half(to);
        let is_report = matches!(&message.body, Body::Round(round) if round.unpack::<Kind>().unwrap().kind() == Kind::Equality);
        between && is_report
    }));
    committee.run(1, 3);
    // Without the word of every member nobody deals a share, to whichever half it belongs.
    assert!(committee.members.iter().all(|member| member.active.is_none()));
    assert!(
        committee
            .members
            .iter()
            .all(|member| member.disk.shares.is_empty())
    );
    for member in [1, 2, 4, 5] {
        let record = committee.machine(member).record().unwrap();
        assert_ne!(record.phase, Phase::Active);
    }
}

/// A share from another polynomial than the one that everybody agreed on, properly signed.
fn wrong_shares(ceremony: &Ceremony, commitments: &BTreeMap<u16, Round>) -> Vec<SignedMessage> {
    let (secret, own) = part1(ceremony, &key(LIAR), &mut OsRng).unwrap();
    let round1 = |own: &SignedMessage| {
        let own: SignedMessage = Round::pack(own).unpack().unwrap();
        let others = commitments.iter().filter(|(dealer, _)| **dealer != LIAR);
        let messages = others
            .map(|(_, round)| round.unpack().unwrap())
            .chain([own])
            .collect();
        Round1::collect(ceremony, messages).unwrap()
    };
    let members = 1..=u16::try_from(ceremony.seats().len()).unwrap();
    let reports = members
        .map(|member| round1(&own).report(ceremony, &key(member)).unwrap())
        .collect();
    let agreement = Agreement::reach(ceremony, round1(&own), reports).unwrap();
    part2(secret, &agreement, &key(LIAR)).unwrap().1
}

#[test]
fn p9_b1_a_wrong_share_to_one_member_names_its_sender() {
    let mut committee = Simulation::new(4, 5);
    let mut commitments = BTreeMap::new();
    let mut ceremony = None;
    committee.tamper = Some(Box::new(move |from, to, message| {
        if let Body::Propose { plan, .. } = &message.body {
            ceremony = Some(generated(plan));
        }
        let Body::Round(round) = &message.body else {
            return message;
        };
        match round.unpack::<Kind>().unwrap().kind() {
            Kind::Round1 => {
                commitments.insert(liar(&from), round.clone());
            }
            Kind::Round2 if liar(&from) == LIAR && number(&to) == 1 => {
                let shares = wrong_shares(ceremony.as_ref().unwrap(), &commitments);
                let wrong = shares
                    .iter()
                    .find(|share| share.recipient() == Some(index(number(&to))))
                    .unwrap();
                return Message::new(message.ceremony, Body::Round(Round::pack(wrong)), &key(LIAR));
            }
            Kind::Round2 | Kind::Equality => {}
        }
        message
    }));
    committee.run(2, 3);
    assert_named_with_evidence(&mut committee);
    committee.tamper = None;
    committee.run(1, 3);
    committee.common_key();
}

/// Member 3 sends one member another payload of a round than it owes, as properly signed; afterwards a key is made without lies.
fn assert_a_lie_is_proved(kind: Kind, what: &str, lie: impl Fn(&mut Vec<u8>) + 'static) {
    let mut committee = Simulation::new(4, 5);
    committee.tamper = Some(Box::new(move |from, to, message| match &message.body {
        Body::Round(round)
            if liar(&from) == LIAR && number(&to) == 1 && round.unpack::<Kind>().unwrap().kind() == kind =>
        {
            let instead = say_instead::<Kind>(LIAR.into(), round, &lie);
            Message::new(message.ceremony, Body::Round(instead), &key(LIAR))
        }
        _ => message,
    }));
    committee.run(1, 3);
    assert!(
        committee.all_are(Phase::Aborted) || !committee.is_up(LIAR.into()),
        "{what}: {:?}",
        committee.phases()
    );
    assert_named_with_evidence(&mut committee);
    committee.tamper = None;
    committee.run(1, 3);
    committee.common_key();
}

/// Where the fields of a round-1 package for a threshold of three are.
const COUNT: usize = 2;
const CONSTANT: std::ops::Range<usize> = 6..38;
const LAST: std::ops::Range<usize> = 70..102;
const R: std::ops::Range<usize> = 102..134;
const Z: std::ops::Range<usize> = 134..166;

#[test]
fn p9_a1_commitments_to_a_key_without_its_logarithm_are_proved_to_everybody() {
    assert_a_lie_is_proved(Kind::Round1, "a rogue key", |package| {
        let other = package[LAST].to_vec();
        package[CONSTANT].copy_from_slice(&other);
    });
}

#[test]
fn p9_a3_a4_commitments_of_another_threshold_are_proved_to_everybody() {
    assert_a_lie_is_proved(Kind::Round1, "one coefficient more", |package| {
        package[COUNT..COUNT + 4].copy_from_slice(&4_u32.to_be_bytes());
        let twice = package[LAST].to_vec();
        package.splice(LAST.end..LAST.end, twice);
    });
    assert_a_lie_is_proved(Kind::Round1, "one coefficient less", |package| {
        package[COUNT..COUNT + 4].copy_from_slice(&2_u32.to_be_bytes());
        package.drain(LAST);
    });
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_a_lie_is_proved(Kind::Round1, "a leading coefficient of zero", move |package| {
        package[LAST].copy_from_slice(&identity);
    });
}

#[test]
fn p9_a7_a9_improper_points_and_scalars_are_proved_to_everybody() {
    for field in [CONSTANT, LAST, R, Z] {
        assert_a_lie_is_proved(Kind::Round1, "an improper field", move |package| {
            package[field.clone()].fill(0xff);
        });
    }
    for fill in [0, 0xff] {
        assert_a_lie_is_proved(Kind::Round2, "a share that is none", move |share| {
            share[2..34].fill(fill);
        });
    }
}

#[test]
fn p9_cut_messages_are_proved_to_everybody() {
    for kind in [Kind::Round1, Kind::Equality, Kind::Round2] {
        assert_a_lie_is_proved(kind, "a cut message", |payload| {
            payload.pop();
        });
    }
}

#[test]
fn p9_a_false_report_is_proved_to_everybody() {
    // Version, suite, count (4), then a digest (32) and a signature (64) of each member.
    assert_a_lie_is_proved(Kind::Equality, "what no dealer has signed", |report| {
        report[6] ^= 1
    });
    assert_a_lie_is_proved(Kind::Equality, "one dealer less", |report| {
        report[2..6].copy_from_slice(&3_u32.to_be_bytes());
        report.truncate(6 + 3 * 96);
    });
}

#[test]
fn p9_evidence_that_proves_nothing_blames_nobody() {
    let mut committee = Simulation::new(3, 5);
    let id = committee.propose(1, 2);
    committee.settle();
    let plan = committee.machine(1).record().unwrap().plan.clone();
    let ceremony = generated(&plan);
    let (_, commitments) = part1(&ceremony, &key(2), &mut OsRng).unwrap();
    let round = Round::pack(&commitments);
    // Member 3 blames member 2 with messages that show no fault.
    let framed = Evidence::BadShare {
        commitments: round.clone(),
        share: round,
    };
    assert!(matches!(
        evidence::culprit(&framed, &plan),
        Err(NoEvidence::Dkg(_))
    ));
    // With one that is as it should be, and with one that member 3 has written and member 2 is to have.
    assert_eq!(
        evidence::culprit(&Evidence::BadMessage(Round::pack(&commitments)), &plan),
        Err(NoEvidence::Sound)
    );
    let forged = say_instead::<Kind>(3, &Round::pack(&commitments), |payload| payload.clear());
    assert!(matches!(
        evidence::culprit(&Evidence::BadMessage(forged), &plan),
        Err(NoEvidence::Dkg(_))
    ));
    let attestation = commitments.attestation();
    let twice = threshold::dkg::Equivocation {
        sender: index(2),
        recipient: None,
        kind: Kind::Round1,
        first: attestation,
        second: attestation,
    };
    assert!(evidence::culprit(&Evidence::Equivocation(twice), &plan).is_err());
    let body = Body::Abort {
        reason: "member 2 cheated".into(),
        evidence: Some(framed),
    };
    let abort = Message::new(id, body, &key(3));
    let now_ms = committee.now_ms;
    let _ = committee
        .machine(1)
        .message(&who(3), abort, now_ms, &mut OsRng)
        .unwrap();
    let record = committee.machine(1).record().unwrap();
    assert_eq!((record.phase, record.culprit), (Phase::Aborted, None));
    assert!(
        record.reason.starts_with("member node-3 aborted"),
        "{}",
        record.reason
    );
}

#[test]
fn p9_an_answer_to_a_canary_is_evidence_if_it_is_wrong_and_shown_with_what_it_answers() {
    let mut committee = Simulation::new(3, 5);
    let id = committee.run(1, 2);
    let plan = committee.machine(1).record().unwrap().plan.clone();
    let manifest = committee.common_key().manifest;
    let installation = Name::new("test").unwrap();
    let canary = || Canary::release(&manifest, &installation, id, &mut OsRng).unwrap();
    let (asked, other) = (canary(), canary());
    let (wrapped, q) = (asked.wrapped().clone(), asked.reader());
    let proven = ProvenCanary::prove(wrapped.clone(), q, &installation, id).unwrap();
    let honest = committee.guard(2).reencrypt_canary(&proven, &mut OsRng).unwrap();
    // Under another index the proof does not hold.
    let mut wrong = honest.to_bytes();
    wrong[3] = 1;
    let wrong = ReencryptionShare::from_bytes(&wrong).unwrap();
    let answer = |ceremony, share: &ReencryptionShare| {
        let answer = CanaryShare {
            manifest: manifest.digest(),
            write_id: wrapped.write_id(),
            q,
            share: *share,
        };
        Message::new(ceremony, Body::CanaryShare(Box::new(answer)), &key(2))
    };
    let shown = |manifest: &CommitteeManifest, wrapped: &WrappedKey, q, answer: &Message| {
        let evidence = Evidence::BadCanary {
            manifest: Box::new(manifest.clone()),
            wrapped: Box::new(wrapped.clone()),
            q,
            answer: Nested(answer.to_bytes()),
        };
        let evidence = Evidence::from_bytes(&evidence.to_bytes()).unwrap();
        evidence::culprit(&evidence, &plan)
    };
    let lie = answer(id, &wrong);
    assert_eq!(shown(&manifest, &wrapped, q, &lie), Ok(who(2)));
    assert_eq!(
        shown(&manifest, &wrapped, q, &answer(id, &honest)),
        Err(NoEvidence::Sound)
    );
    // In another ceremony the same was an answer to something else.
    let elsewhere = answer(CeremonyId([1; 32]), &wrong);
    assert_eq!(shown(&manifest, &wrapped, q, &elsewhere), Err(NoEvidence::Sound));
    // An honest answer, shown with another canary, another reader, or the next epoch.
    let honest = answer(id, &honest);
    let next = committee.wish(1, &resharing(2, &[1, 2, 3]));
    committee.run_on(next);
    let next = committee.common_key().manifest;
    for framed in [
        shown(&manifest, other.wrapped(), q, &honest),
        shown(&manifest, &wrapped, other.reader(), &honest),
        shown(&next, &wrapped, q, &honest),
        shown(&manifest, &wrapped, q, &Message::new(id, Body::Unheard, &key(2))),
    ] {
        assert_eq!(framed, Err(NoEvidence::OtherKind));
    }
    let mut forged = lie;
    forged.sender = who(3);
    assert_eq!(
        shown(&manifest, &wrapped, q, &forged),
        Err(NoEvidence::Message(MessageError::BadSignature))
    );
}

#[test]
fn a13_a_sender_that_is_not_the_peer_is_refused() {
    let mut committee = Simulation::new(4, 5);
    let id = committee.propose(1, 2);
    committee.settle();
    let now_ms = committee.now_ms;
    // Member 2 delivers what member 3 signed, and what it signed itself in member 3's name.
    let join = || Body::Join { deals: false };
    let signed = Message::new(id, join(), &key(3));
    let mut spoofed = Message::new(id, join(), &key(2));
    spoofed.sender = who(3);
    for message in [signed, spoofed.clone()] {
        let refused = committee.machine(1).message(&who(2), message, now_ms, &mut OsRng);
        assert_eq!(refused.unwrap_err(), NotTaken::Wrong(MessageError::WrongSender));
    }
    let refused = committee.machine(1).message(&who(3), spoofed, now_ms, &mut OsRng);
    assert_eq!(refused.unwrap_err(), NotTaken::Wrong(MessageError::BadSignature));
    let joins = &committee.machine(1).record().unwrap().joins;
    assert!(!joins.contains_key(&who(3)));

    // The same inside: member 2 wraps what member 3 dealt.
    let ceremony = generated(&committee.machine(1).record().unwrap().plan);
    let (_, dealt) = part1(&ceremony, &key(3), &mut OsRng).unwrap();
    let wrapped = Message::new(id, Body::Round(Round::pack(&dealt)), &key(2));
    let refused = committee
        .machine(1)
        .message(&who(2), wrapped, now_ms, &mut OsRng)
        .unwrap_err();
    assert_eq!(refused, NotTaken::Wrong(MessageError::WrongSender));
}

#[test]
fn a11_messages_and_proposals_of_a_past_ceremony_start_nothing() {
    let mut committee = Simulation::new(3, 9);
    let proposal = std::rc::Rc::new(std::cell::RefCell::new(None));
    let seen = std::rc::Rc::clone(&proposal);
    committee.tamper = Some(Box::new(move |_, _, message| {
        if matches!(message.body, Body::Propose { .. }) {
            *seen.borrow_mut() = Some(message.clone());
        }
        message
    }));
    let old = committee.propose(1, 2);
    committee.settle();
    let out = committee.machine(2).abort(old).unwrap();
    let abort = out.send[0].1.clone();
    let now_ms = committee.now_ms;
    for member in [1, 3] {
        let _ = committee
            .machine(member)
            .message(&who(2), abort.clone(), now_ms, &mut OsRng)
            .unwrap();
    }
    let proposal = proposal.borrow().clone().unwrap();
    let out = committee
        .machine(3)
        .message(&who(1), proposal, now_ms, &mut OsRng)
        .unwrap();
    assert!(!out.persist, "a past ceremony came back");
    assert!(matches!(out.answer.unwrap().body, Body::Abort { .. }));
    assert_eq!(committee.machine(3).live(), None);
}

#[test]
fn a12_a_proposal_with_other_members_is_answered_with_an_abort() {
    let mut committee = Simulation::new(3, 9);
    let mut seats = committee.seats.clone();
    seats[1].address = "198.51.100.7:7000".into();
    let threshold = threshold::committee::Threshold::new(2, 3).unwrap();
    let ceremony = Ceremony::new([1; 32], threshold, seats).unwrap();
    let id = ceremony.id();
    let deadline_ms = committee.now_ms + 1;
    let proposal = Message::new(
        id,
        Body::Propose {
            plan: Box::new(Plan::Generation(ceremony)),
            deadline_ms,
        },
        &key(1),
    );
    let now_ms = committee.now_ms;
    let out = committee
        .machine(3)
        .message(&who(1), proposal, now_ms, &mut OsRng)
        .unwrap();
    let Some(Message {
        body: Body::Abort { reason, .. },
        ..
    }) = out.answer
    else {
        panic!("no abort")
    };
    assert!(reason.contains("members"), "{reason}");
    assert_eq!(committee.machine(3).live(), None);
    let no = committee.machine(3).propose(&generation(1), now_ms, &mut OsRng);
    assert!(no.is_err(), "a threshold of one");
    assert!(
        committee
            .machine(3)
            .propose(&generation(4), now_ms, &mut OsRng)
            .is_err(),
        "more than there are"
    );
}

#[test]
fn p12_cut_and_flipped_messages_are_refused_without_a_panic() {
    let mut committee = Simulation::new(3, 2);
    let id = committee.propose(1, 2);
    committee.settle();
    let message = Message::new(id, Body::Join { deals: false }, &key(2));
    let bytes = message.to_bytes();
    for at in 0..bytes.len() {
        assert!(Message::from_bytes(&bytes[..at]).is_err());
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        let Ok(message) = Message::from_bytes(&flipped) else {
            continue;
        };
        let now_ms = committee.now_ms;
        assert!(
            committee
                .machine(1)
                .message(&who(2), message, now_ms, &mut OsRng)
                .is_err(),
            "byte {at}"
        );
    }
}

#[test]
fn p15_what_carries_a_share_is_wiped_and_leaves_no_copy_behind() {
    const fn wiped<T: zeroize::ZeroizeOnDrop>() {}
    wiped::<proto::custody::DeliverRequest>();
    let round = |length: usize| {
        let bytes: Vec<u8> = [3_u8]
            .into_iter()
            .chain(u32::try_from(length).unwrap().to_be_bytes())
            .chain(vec![7; length])
            .collect();
        Body::from_bytes(&bytes).unwrap()
    };
    for length in [0, 300, 8_192] {
        let message = Message::new(threshold::ids::CeremonyId([1; 32]), round(length), &key(2));
        let bytes: zeroize::Zeroizing<Vec<u8>> = message.to_secret_bytes();
        assert_eq!(*bytes, message.to_bytes());
        // It was never moved to make room, which would have left a copy of what was there.
        assert_eq!(
            bytes.capacity(),
            Vec::<u8>::with_capacity(160 + length).capacity()
        );
    }
}
