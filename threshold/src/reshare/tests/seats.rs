//! New seats that cheat. They stop the resharing, and are named.

use super::*;

/// What seat 2 may say instead of its report, by the verdicts that it would have given.
fn with_report(run: &Run, lie: impl Fn(&mut Report)) -> (Vec<Received>, Vec<SignedMessage>) {
    let received = run.received(|_, _| {});
    let mut reports = run.reports(&received);
    let mut report = Report::from_bytes(reports[1].payload()).unwrap();
    lie(&mut report);
    reports[1] = run.say(Party::Receiver(index(2)), None, Kind::Report, report.to_bytes());
    (received, reports)
}

/// Every other seat names seat 2, with evidence that a third party checks.
fn assert_names_2(run: &Run, received: Vec<Received>, reports: &[SignedMessage], fault: Fault) {
    let party = Party::Receiver(index(2));
    let others = received
        .into_iter()
        .filter(|received| received.seat != Some(index(2)));
    for reached in run.reach_with(others.collect(), reports) {
        let error = reached.unwrap_err();
        assert_eq!(error.culprits(), [party]);
        let ReshareError::Cheated(evidence) = error else {
            panic!("{error}")
        };
        assert_eq!(evidence[0].culprit(&run.resharing), Ok(Culprit { party, fault }));
        let copy = Evidence::from_bytes(&evidence[0].to_bytes()).unwrap();
        assert_eq!(copy.culprit(&run.resharing), Ok(Culprit { party, fault }));
    }
}

#[test]
fn a14_p9_a_false_complaint_blames_the_complainer() {
    let run = Run::usual();
    let (received, reports) = with_report(&run, |report| {
        let attestation = run.commitments[3].attestation();
        // The share that dealer 4 really sent, which fits.
        report.verdicts[3] = Verdict::Complaint(attestation, run.shares[3][1].duplicate());
    });
    assert_names_2(&run, received, &reports, Fault::FalseReport);
}

#[test]
fn a14_p9_a_complaint_with_what_the_dealer_did_not_send_blames_the_complainer() {
    let run = Run::usual();
    let attestation = run.commitments[3].attestation();
    let bad = round2::Package {
        share: SecretScalar::new(Scalar::from(7_u8)),
    }
    .to_bytes();
    // Changed on the way; signed by nobody; another seat's; another dealer's; and not a share.
    let mut bytes = run.shares[3][1].to_bytes();
    bytes[50] ^= 1;
    let changed = SignedMessage::from_bytes(&bytes).unwrap();
    let mut unsigned = run.shares[3][1].to_bytes();
    unsigned[41..75].copy_from_slice(&bad);
    let lies = [
        changed,
        SignedMessage::from_bytes(&unsigned).unwrap(),
        run.shares[3][0].duplicate(),
        run.say(Party::Dealer(index(1)), Some(2), Kind::Share, bad),
    ];
    for lie in &lies {
        let (received, reports) = with_report(&run, |report| {
            report.verdicts[3] = Verdict::Complaint(attestation, lie.duplicate());
        });
        assert_names_2(&run, received, &reports, Fault::FalseReport);
    }
    let (received, reports) = with_report(&run, |report| {
        report.verdicts[3] = Verdict::Complaint(attestation, run.commitments[3].duplicate());
    });
    let malformed = Fault::Malformed(DecodeError::Invalid("share message"));
    assert_names_2(&run, received, &reports, malformed);
}

#[test]
fn p9_a_false_verdict_blames_the_reporter_and_not_the_dealer() {
    let run = Run::usual();
    let unsigned = Attestation {
        payload_digest: [9; 32],
        ..run.commitments[3].attestation()
    };
    let honest = run.commitments[3].attestation();
    let other = run.commitments[2].attestation();
    type Lie = Box<dyn Fn(&mut Report)>;
    let lies: [Lie; 6] = [
        // Proper commitments are called improper.
        Box::new(move |report| report.verdicts[3] = Verdict::Improper(honest)),
        // What the dealer did not sign: a changed digest, or another dealer's.
        Box::new(move |report| report.verdicts[3] = Verdict::Accepted(unsigned)),
        Box::new(move |report| report.verdicts[3] = Verdict::NoShare(unsigned)),
        Box::new(move |report| report.verdicts[3] = Verdict::Accepted(other)),
        // A contradiction that is none.
        Box::new(move |report| report.verdicts[3] = Verdict::Contradiction(honest, honest)),
        Box::new(move |report| report.verdicts[3] = Verdict::Contradiction(honest, unsigned)),
    ];
    for lie in lies {
        let (received, reports) = with_report(&run, lie);
        assert_names_2(&run, received, &reports, Fault::FalseReport);
    }
}

#[test]
fn a20_p9_a_report_on_another_number_of_dealers_blames_the_reporter() {
    let run = Run::usual();
    let lies: [fn(&mut Report); 3] = [
        |report| drop(report.verdicts.pop()),
        |report| report.verdicts.clear(),
        |report| report.verdicts.push(Verdict::Nothing),
    ];
    for lie in lies {
        let (received, reports) = with_report(&run, lie);
        assert_names_2(&run, received, &reports, Fault::FalseReport);
    }
}

#[test]
fn p9_accepting_an_improper_dealing_blames_the_reporter() {
    // Dealer 4 commits to another key, and seat 2, its friend, accepts that.
    let run = Run::usual();
    let mut package = run.package(4);
    package.commitments[0] = run.package(1).commitments[0];
    let improper = run.say(
        Party::Dealer(index(4)),
        None,
        Kind::Commitments,
        package.to_bytes(),
    );
    let received = || run.received(|_, messages| replace(messages, &improper));
    let attestation = improper.attestation();
    for verdict in [
        Verdict::Accepted(attestation),
        Verdict::NoShare(attestation),
        Verdict::Complaint(attestation, run.shares[3][1].duplicate()),
    ] {
        let received = received();
        let mut reports = run.reports(&received);
        let mut report = Report::from_bytes(reports[1].payload()).unwrap();
        report.verdicts[3] = verdict;
        reports[1] = run.say(Party::Receiver(index(2)), None, Kind::Report, report.to_bytes());
        assert_names_2(&run, received, &reports, Fault::FalseReport);
    }
}

#[test]
fn a_malformed_report_blames_its_signer() {
    let run = Run::usual();
    let received = run.received(|_, _| {});
    let mut reports = run.reports(&received);
    reports[1] = run.say(Party::Receiver(index(2)), None, Kind::Report, vec![1, 1, 0]);
    assert_names_2(&run, received, &reports, Fault::Malformed(DecodeError::Truncated));
}

#[test]
fn two_different_reports_in_one_hand_are_a_contradiction() {
    let run = Run::usual();
    let (received, mut reports) = with_report(&run, |report| report.verdicts[0] = Verdict::Nothing);
    reports.push(received[1].report(&run.resharing, &run.identities[1]).unwrap());
    let first = received.into_iter().next().unwrap();
    let error = Agreement::reach(&run.resharing, first, reports).unwrap_err();
    assert_eq!(error.culprits(), [Party::Receiver(index(2))]);
}

#[test]
fn b6_p6_reports_that_differ_by_receiver_are_caught_with_evidence_and_nobody_has_an_epoch() {
    // Seat 2 tells seat 1 that dealer 5 sent it nothing, and the others that all is well. Nobody can tell which is true.
    let run = Run::usual();
    let (mut received, to_one) = with_report(&run, |report| report.verdicts[4] = Verdict::Nothing);
    let to_others = run.reports(&received);
    let others = received.split_off(1);
    let mut agreements = run.reach_with(received, &to_one);
    agreements.extend(run.reach_with(others, &to_others));
    let agreements: Vec<Agreement> = agreements.into_iter().map(Result::unwrap).collect();
    assert_ne!(agreements[0].manifest(), agreements[2].manifest());
    for agreement in &agreements {
        let error = agreement.conclude(run.confirmations(&agreements)).unwrap_err();
        assert_eq!(error.culprits(), [Party::Receiver(index(2))]);
        let ReshareError::Cheated(evidence) = error else {
            panic!("{error}")
        };
        let culprit = Culprit {
            party: Party::Receiver(index(2)),
            fault: Fault::Equivocation,
        };
        assert_eq!(evidence[0].culprit(&run.resharing), Ok(culprit));
    }
}

#[test]
fn p6_a_false_confirmation_names_its_seat() {
    let run = Run::usual();
    let agreements = run.agree(|_, _| {});
    let honest = || run.confirmations(&agreements);
    let parsed = || Confirmation::from_bytes(honest()[1].payload()).unwrap();
    let lies: [fn(&mut Confirmation); 4] = [
        |said| said.manifest_digest.0[0] ^= 1,
        |said| said.signature.0[0] ^= 1,
        |said| said.reports.truncate(3),
        |said| said.reports[2].payload_digest[0] ^= 1,
    ];
    let mut payloads: Vec<Vec<u8>> = lies
        .iter()
        .map(|lie| {
            let mut said = parsed();
            lie(&mut said);
            said.to_bytes()
        })
        .collect();
    payloads.push(vec![1, 1]);
    for payload in payloads {
        let mut confirmations = honest();
        confirmations[1] = run.say(Party::Receiver(index(2)), None, Kind::Confirmation, payload);
        let error = agreements[0].conclude(confirmations).unwrap_err();
        assert_eq!(error, ReshareError::FalseConfirmation(vec![index(2)]));
        assert_eq!(error.culprits(), [Party::Receiver(index(2))]);
    }
    assert!(agreements[0].conclude(honest()).is_ok());
}

#[test]
fn p7_every_seat_must_report_and_confirm() {
    let run = Run::usual();
    let received = run.received(|_, _| {});
    let mut reports = run.reports(&received);
    reports.remove(2);
    for reached in run.reach_with(received, &reports) {
        assert_eq!(reached.unwrap_err(), MessageError::Missing(vec![index(3)]).into());
    }
    let agreements = run.agree(|_, _| {});
    let mut confirmations = run.confirmations(&agreements);
    confirmations.remove(0);
    let error = agreements[1].conclude(confirmations).unwrap_err();
    assert_eq!(error, MessageError::Missing(vec![index(1)]).into());
}

#[test]
fn p7_a_report_that_is_not_ours_stops_us() {
    // As after a restart in the middle, when a seat has reported and then lost what it had received.
    let run = Run::usual();
    let reports = run.reports(&run.received(|_, _| {}));
    let mut messages = run.sent_to(1);
    remove(&mut messages, 2);
    let error = Agreement::reach(&run.resharing, run.receive(1, messages), reports).unwrap_err();
    assert_eq!(error, ReshareError::OwnReport);
}
