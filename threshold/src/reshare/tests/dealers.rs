//! Dealers who cheat. The resharing goes on without them, while t remain.

use super::*;

/// The usual run, where dealer 2 commits to something else, towards everybody.
fn with_package(change: impl Fn(&mut Package)) -> (Run, Vec<Agreement>) {
    let run = Run::usual();
    let mut package = run.package(2);
    change(&mut package);
    let message = run.say(
        Party::Dealer(index(2)),
        None,
        Kind::Commitments,
        package.to_bytes(),
    );
    let agreements = run.agree(|_, messages| replace(messages, &message));
    (run, agreements)
}

/// Everybody has left dealer 2 out, for this reason, and has the next epoch from the other four.
fn assert_goes_on_without_2(run: &Run, agreements: &[Agreement], fault: Fault) {
    for agreement in agreements {
        assert_eq!(agreement.dealers(), [1, 3, 4, 5].map(index));
        let Some(Exclusion::Cheated(evidence)) = agreement.excluded().get(&index(2)) else {
            panic!("{:?}", agreement.excluded());
        };
        let party = Party::Dealer(index(2));
        assert_eq!(evidence.accused(), party);
        assert_eq!(evidence.culprit(&run.resharing), Ok(Culprit { party, fault }));
        // The evidence travels.
        let copy = Evidence::from_bytes(&evidence.to_bytes()).unwrap();
        assert_eq!(copy.culprit(&run.resharing), Ok(Culprit { party, fault }));
    }
    assert_eq!(run.conclude(agreements).verify(), Ok(()));
}

#[test]
fn b2_a_wrong_constant_term_leaves_its_dealer_out() {
    let other = Run::usual().package(1).commitments[0];
    for constant in [other, ED25519_BASEPOINT_POINT.compress().to_bytes()] {
        let (run, agreements) = with_package(|package| package.commitments[0] = constant);
        assert_goes_on_without_2(&run, &agreements, Fault::ConstantTerm);
    }
}

#[test]
fn a7_b2_a_dealing_of_zero_leaves_its_dealer_out() {
    let identity = Scalar::ZERO * ED25519_BASEPOINT_POINT;
    let (run, agreements) = with_package(|package| package.commitments[0] = identity.compress().to_bytes());
    let fault = Fault::Commitments(CommitmentError::Point(PointError::Identity));
    assert_goes_on_without_2(&run, &agreements, fault);
}

#[test]
fn a3_more_commitments_than_the_new_threshold_leave_their_dealer_out() {
    for found in [3, 64] {
        let (run, agreements) = with_package(|package| {
            let last = package.commitments[1];
            package.commitments.resize(found, last);
        });
        let fault = Fault::Commitments(CommitmentError::Count { expected: 2, found });
        assert_goes_on_without_2(&run, &agreements, fault);
    }
    // More than any committee has.
    let (run, agreements) = with_package(|package| package.commitments = vec![[0xff; 32]; 64]);
    let fault = Fault::Commitments(CommitmentError::Count {
        expected: 2,
        found: 64,
    });
    assert_goes_on_without_2(&run, &agreements, fault);
}

#[test]
fn a4_fewer_commitments_or_a_leading_identity_leave_their_dealer_out() {
    for found in [0, 1] {
        let (run, agreements) = with_package(|package| package.commitments.truncate(found));
        let fault = Fault::Commitments(CommitmentError::Count { expected: 2, found });
        assert_goes_on_without_2(&run, &agreements, fault);
    }
    let identity = (Scalar::ZERO * ED25519_BASEPOINT_POINT).compress().to_bytes();
    let (run, agreements) = with_package(|package| package.commitments[1] = identity);
    let fault = Fault::Commitments(CommitmentError::Point(PointError::Identity));
    assert_goes_on_without_2(&run, &agreements, fault);
}

#[test]
fn a9_improper_points_leave_their_dealer_out() {
    let torsion = curve25519_dalek::constants::EIGHT_TORSION[1];
    let mixed = (ED25519_BASEPOINT_POINT + torsion).compress().to_bytes();
    for (point, error) in [([0xff; 32], PointError::Encoding), (mixed, PointError::Torsion)] {
        let (run, agreements) = with_package(|package| package.commitments[1] = point);
        let fault = Fault::Commitments(CommitmentError::Point(error));
        assert_goes_on_without_2(&run, &agreements, fault);
    }
}

#[test]
fn a_malformed_dealing_leaves_its_dealer_out() {
    let run = Run::usual();
    let message = run.say(Party::Dealer(index(2)), None, Kind::Commitments, vec![1, 1, 0]);
    let agreements = run.agree(|_, messages| replace(messages, &message));
    assert_goes_on_without_2(&run, &agreements, Fault::Malformed(DecodeError::Truncated));
}

/// Dealer 2's share for seat 3 holds something else.
fn with_share(payload: Vec<u8>) -> (Run, Vec<Agreement>) {
    let run = Run::usual();
    let message = run.say(Party::Dealer(index(2)), Some(3), Kind::Share, payload);
    let agreements = run.agree(|seat, messages| {
        if seat == 3 {
            replace(messages, &message);
        }
    });
    (run, agreements)
}

#[test]
fn b1_p9_a_share_that_does_not_fit_for_one_seat_only_leaves_its_dealer_out_for_all() {
    let share = SecretScalar::new(Scalar::from(7_u8));
    let (run, agreements) = with_share(round2::Package { share }.to_bytes());
    assert_goes_on_without_2(&run, &agreements, Fault::Share);
}

#[test]
fn a7_a9_a_zero_share_or_one_over_the_order_leaves_its_dealer_out() {
    let zero = round2::Package {
        share: SecretScalar::new(Scalar::ZERO),
    };
    let mut over = zero.to_bytes();
    over[2..].fill(0xff);
    for payload in [zero.to_bytes(), over, vec![1, 1], Vec::new()] {
        let (run, agreements) = with_share(payload);
        assert_goes_on_without_2(&run, &agreements, Fault::Share);
    }
}

#[test]
fn a17_a_share_for_another_seat_is_not_due_and_does_not_fit() {
    let run = Run::usual();
    let mut messages = run.sent_to(3);
    replace(&mut messages, &run.shares[1][0]);
    let identity = PublicKey::of(&run.identities[2]);
    let error = Received::collect(&run.resharing, &identity, messages).unwrap_err();
    let expected = MessageError::NotDue {
        sender: index(2),
        found: Kind::Share,
    };
    assert_eq!(error, expected.into());
    assert!(
        error.culprits().is_empty(),
        "somebody else may have brought it here"
    );
    // The dealer sends it there itself.
    let (run, agreements) = with_share(run.shares[1][0].payload().to_vec());
    assert_goes_on_without_2(&run, &agreements, Fault::Share);
}

#[test]
fn a17_an_oversize_share_is_not_taken() {
    let run = Run::usual();
    let message = run.say(Party::Dealer(index(2)), Some(3), Kind::Share, vec![0; 35]);
    assert_eq!(
        SignedMessage::from_bytes(&message.to_bytes()),
        Err(DecodeError::TooLong("field"))
    );
}

/// Dealer 2's other polynomial, with everything that belongs to it.
fn second_dealing(run: &Run) -> (SignedMessage, Vec<SignedMessage>) {
    let (share, identity) = (&run.old.shares[1], &run.old.identities[1]);
    deal(
        &run.resharing,
        share,
        identity,
        &mut TestRng::new("another polynomial"),
    )
    .unwrap()
}

#[test]
fn a5_commitments_that_differ_by_receiver_leave_their_dealer_out() {
    // Every share fits the commitments that its seat has.
    let run = Run::usual();
    let (commitments, shares) = second_dealing(&run);
    let agreements = run.agree(|seat, messages| {
        if seat == 1 {
            replace(messages, &commitments);
            replace(messages, &shares[0]);
        }
    });
    assert_goes_on_without_2(&run, &agreements, Fault::Equivocation);
}

#[test]
fn a5_two_commitments_to_one_seat_leave_their_dealer_out() {
    let run = Run::usual();
    let (commitments, _) = second_dealing(&run);
    let agreements = run.agree(|seat, messages| {
        if seat == 4 {
            messages.push(commitments.duplicate());
        }
    });
    assert_goes_on_without_2(&run, &agreements, Fault::Equivocation);
}

#[test]
fn a_repeat_is_no_fault_and_of_two_shares_the_one_that_fits_counts() {
    let run = Run::usual();
    let share = SecretScalar::new(Scalar::from(7_u8));
    let bad = run.say(
        Party::Dealer(index(2)),
        Some(3),
        Kind::Share,
        round2::Package { share }.to_bytes(),
    );
    let agreements = run.agree(|seat, messages| {
        messages.extend(run.sent_to(seat));
        if seat == 3 {
            messages.insert(0, bad.duplicate());
        }
    });
    assert_eq!(agreements[0].dealers(), [1, 2, 3, 4, 5].map(index));
}

#[test]
fn a15_silent_dealers_are_left_out_and_not_blamed() {
    let run = Run::usual();
    // Dealer 1 says nothing; dealer 2 sends no share to seat 4.
    let change = |seat, messages: &mut Vec<SignedMessage>| {
        remove(messages, 1);
        if seat == 4 {
            messages.retain(|message| message.sender() != index(2) || message.kind() != Kind::Share);
        }
    };
    let waiting = run.received(change);
    assert_eq!(waiting[0].missing(), [index(1)]);
    assert_eq!(waiting[3].missing(), [1, 2].map(index));
    for agreement in run.agree(change) {
        assert_eq!(agreement.dealers(), [3, 4, 5].map(index));
        let everybody = Exclusion::NotReceived([1, 2, 3, 4].map(index).to_vec());
        assert_eq!(agreement.excluded().get(&index(1)), Some(&everybody));
        let one = Exclusion::NotReceived(vec![index(4)]);
        assert_eq!(agreement.excluded().get(&index(2)), Some(&one));
        assert!(
            agreement
                .excluded()
                .values()
                .all(|exclusion| exclusion.culprit().is_none())
        );
    }
}

#[test]
fn p7_a15_with_fewer_than_t_dealers_nobody_has_a_new_epoch() {
    let run = Run::usual();
    let share = SecretScalar::new(Scalar::from(7_u8));
    let bad = run.say(
        Party::Dealer(index(3)),
        Some(2),
        Kind::Share,
        round2::Package { share }.to_bytes(),
    );
    let received = run.received(|seat, messages| {
        remove(messages, 1);
        remove(messages, 2);
        if seat == 2 {
            replace(messages, &bad);
        }
    });
    for reached in run.reach(received) {
        let error = reached.unwrap_err();
        assert_eq!(error.culprits(), [Party::Dealer(index(3))]);
        let ReshareError::TooFewDealers {
            needed,
            found,
            excluded,
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!((needed, found, excluded.len()), (3, 2, 3));
    }
    // Nothing of it is used up: the next attempt, with another nonce, is as good as the first.
    let again = Resharing::new(
        [8; 32],
        run.old.signed.clone(),
        run.resharing.threshold(),
        run.resharing.seats().to_vec(),
    )
    .unwrap();
    let mut rng = TestRng::new("again");
    let (shares, identities) = (&run.old.shares, &run.old.identities);
    let handed = crate::testing::reshare(&again, shares, identities, &run.identities, &mut rng).unwrap();
    assert_eq!(handed.signed.verify(), Ok(()));
}
