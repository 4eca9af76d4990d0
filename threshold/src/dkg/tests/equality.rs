//! The equality round: A5 and A6.

use super::*;

/// Dealer 3 tells member 1 something else than it tells the others. Every package is valid by itself.
fn split() -> (Run, Round1, Round1) {
    let run = Run::start(2, 3);
    let (_, other) = part1(
        &run.ceremony,
        &run.identities[2],
        &mut TestRng::new("other polynomial"),
    )
    .unwrap();
    let other = round1::Package::from_bytes(other.payload()).unwrap();
    let one = Round1::collect(&run.ceremony, run.with_package(3, &other)).unwrap();
    let rest = Round1::collect(&run.ceremony, run.commitments()).unwrap();
    (run, one, rest)
}

#[test]
fn a5_a6_receiver_specific_commitments_are_caught_with_evidence() {
    let (run, one, rest) = split();
    assert_ne!(one.transcript(), rest.transcript());
    let reports = || {
        let views = [&one, &rest, &rest];
        let report = |(view, identity): (&Round1, _)| view.report(&run.ceremony, identity).unwrap();
        views
            .into_iter()
            .zip(&run.identities)
            .map(report)
            .collect::<Vec<_>>()
    };
    for view in [&one, &rest] {
        let error = Agreement::reach(&run.ceremony, view.clone(), reports()).unwrap_err();
        assert_eq!(
            error.culprits(),
            [index(3)],
            "the dealer is named, by every member"
        );
        let DkgError::Equivocation(evidence) = error else {
            panic!("{error}")
        };
        assert_eq!(evidence[0].verify(&run.ceremony), Ok(()), "a third party agrees");
    }
}

#[test]
fn p9_a_false_report_blames_the_reporter_and_not_the_dealer() {
    let run = Run::start(2, 3);
    let round1 = Round1::collect(&run.ceremony, run.commitments()).unwrap();
    let honest = |seat: usize| round1.report(&run.ceremony, &run.identities[seat - 1]).unwrap();
    let lies: [fn(&mut EqualityReport); 4] = [
        |report| report.attestations[2].payload_digest[0] ^= 1,
        |report| report.attestations.truncate(2),
        |report| report.attestations.push(report.attestations[0]),
        |report| report.attestations[2] = report.attestations[0],
    ];
    for lie in lies {
        let mut report = EqualityReport::from_bytes(honest(2).payload()).unwrap();
        lie(&mut report);
        let lying = run.say(2, None, Kind::Equality, report.to_bytes());
        let third_party = check_message(&run.ceremony, &lying);
        let reports = vec![honest(1), lying, honest(3)];
        let error = Agreement::reach(&run.ceremony, round1.clone(), reports).unwrap_err();
        assert_eq!(error, DkgError::FalseReport { culprit: index(2) });
        assert_eq!(third_party, Err(error));
    }
    assert!(
        Agreement::reach(
            &run.ceremony,
            round1.clone(),
            vec![honest(1), honest(2), honest(3)]
        )
        .is_ok()
    );
}

#[test]
fn p9_sound_messages_and_messages_that_are_not_to_all_are_no_evidence() {
    let run = Run::start(2, 3);
    let round1 = Round1::collect(&run.ceremony, run.commitments()).unwrap();
    let report = round1.report(&run.ceremony, &run.identities[1]).unwrap();
    for sound in [&run.commitments[1], &report] {
        assert_eq!(check_message(&run.ceremony, sound), Ok(()));
    }
    // Nonsense that nobody is due to read: to one member, of the round of shares, or not signed by its sender.
    for kind in [Kind::Round1, Kind::Equality, Kind::Round2] {
        for to in [None, Some(1)] {
            if (to, kind == Kind::Round2) == (None, false) {
                continue;
            }
            let nonsense = run.say(2, to, kind, vec![7]);
            let not_due = DkgError::NotDue {
                sender: index(2),
                found: kind,
            };
            assert_eq!(check_message(&run.ceremony, &nonsense), Err(not_due));
        }
    }
    let envelope = Envelope {
        ceremony: run.ceremony.id(),
        sender: index(2),
        recipient: None,
        kind: Kind::Round1,
    };
    let forged = SignedMessage::sign(envelope, Zeroizing::new(vec![7]), &run.identities[2]);
    let refused = check_message(&run.ceremony, &forged);
    assert_eq!(refused, Err(DkgError::Forged { claimed: index(2) }));
}

#[test]
fn every_seat_must_report() {
    let run = Run::start(2, 3);
    let round1 = Round1::collect(&run.ceremony, run.commitments()).unwrap();
    let reports = run.identities[..2]
        .iter()
        .map(|id| round1.report(&run.ceremony, id).unwrap())
        .collect();
    let error = Agreement::reach(&run.ceremony, round1, reports).unwrap_err();
    assert_eq!(error, DkgError::Missing(vec![index(3)]));
}

#[test]
fn a_malformed_report_blames_its_signer() {
    let run = Run::start(2, 3);
    let round1 = Round1::collect(&run.ceremony, run.commitments()).unwrap();
    let mut reports: Vec<_> = run
        .identities
        .iter()
        .map(|id| round1.report(&run.ceremony, id).unwrap())
        .collect();
    reports[1] = run.say(2, None, Kind::Equality, vec![2, 1, 2]);
    let error = Agreement::reach(&run.ceremony, round1, reports).unwrap_err();
    assert_eq!(
        error,
        DkgError::Malformed {
            culprit: index(2),
            error: DecodeError::Truncated
        }
    );
}

#[test]
fn evidence_without_two_signatures_is_none() {
    let run = Run::start(2, 3);
    let first = run.commitments[2].attestation();
    let evidence = |second| Equivocation {
        sender: index(3),
        recipient: None,
        kind: Kind::Round1,
        first,
        second,
    };
    assert!(
        evidence(first).verify(&run.ceremony).is_err(),
        "one message is no contradiction"
    );
    let mut unsigned = first;
    unsigned.payload_digest[0] ^= 1;
    assert_eq!(
        evidence(unsigned).verify(&run.ceremony),
        Err(DkgError::Forged { claimed: index(3) }),
        "an unsigned digest is no evidence"
    );
    let of_another = run.commitments[0].attestation();
    assert!(evidence(of_another).verify(&run.ceremony).is_err());
}

#[test]
fn the_transcript_is_the_digest_of_all_packages_in_seat_order() {
    use crate::transcript::{Domain, Transcript};
    let run = Run::start(2, 3);
    let mut expected = Transcript::new(Domain::Transcript).append("ceremony", run.ceremony.id().as_bytes());
    for message in &run.commitments {
        expected.add("package", message.payload());
    }
    let mut shuffled = run.commitments();
    shuffled.reverse();
    let agreement = run.agree(shuffled).unwrap();
    assert_eq!(agreement.transcript(), &expected.digest());
}

#[test]
fn p7_a_package_that_is_not_ours_stops_us() {
    // Everybody agrees, but on something that this seat did not send, as after a restart in the middle.
    let run = Run::start(2, 3);
    let agreement = run.agree(run.commitments()).unwrap();
    let (secret, _) = part1(&run.ceremony, &run.identities[0], &mut TestRng::new("restart")).unwrap();
    let error = part2(secret, &agreement, &run.identities[0]).unwrap_err();
    assert_eq!(error, DkgError::OwnPackage);
}
