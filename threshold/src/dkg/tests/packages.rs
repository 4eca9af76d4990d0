//! Round-1 packages and their messages.

use super::*;

/// What a member says of seat 2's package, and a third party of the message alone.
fn refused(run: &Run, package: &round1::Package) -> DkgError {
    let messages = run.with_package(2, package);
    let third_party = check_message(&run.ceremony, &messages[1]).unwrap_err();
    let error = Round1::collect(&run.ceremony, messages).unwrap_err();
    assert_eq!(third_party, error);
    error
}

#[test]
fn a1_a_rogue_key_without_its_logarithm_is_refused() {
    // The last dealer wants the group key T: it commits to T - Σ A_j0, whose logarithm it does not know.
    let run = Run::start(2, 3);
    let target = ED25519_BASEPOINT_POINT * Scalar::from(31_337_u32);
    let constant = |seat| {
        *Point::from_bytes(&run.package(seat).commitments[0])
            .unwrap()
            .as_edwards()
    };
    let mut rogue = run.package(3);
    rogue.commitments[0] = (target - constant(1) - constant(2)).compress().to_bytes();
    // The best proof it has: its own, of its own constant term, made with a commitment R of its choice.
    for proof in [run.package(3), run.package(1)] {
        let package = round1::Package {
            commitments: rogue.commitments.clone(),
            ..proof
        };
        let messages = run.with_package(3, &package);
        let third_party = check_message(&run.ceremony, &messages[2]);
        let error = Round1::collect(&run.ceremony, messages).unwrap_err();
        assert_eq!(error, DkgError::Proof { culprit: index(3) });
        assert_eq!(third_party, Err(error.clone()));
        assert_eq!(error.culprits(), [index(3)]);
    }
}

#[test]
fn a3_threshold_raise_is_refused() {
    // One commitment more, with a proof and shares that fit it.
    let run = Run::start(2, 3);
    let raised = {
        let three = Threshold::new(3, 3).unwrap();
        let raised = Ceremony::new(*run.ceremony.nonce(), three, run.ceremony.seats().to_vec()).unwrap();
        let (_, message) = part1(&raised, &run.identities[1], &mut TestRng::new("raise")).unwrap();
        round1::Package::from_bytes(message.payload()).unwrap()
    };
    let error = refused(&run, &raised);
    assert_eq!(
        error,
        DkgError::CommitmentCount {
            culprit: index(2),
            expected: 2,
            found: 3
        }
    );
    assert_eq!(error.culprits(), [index(2)]);
}

#[test]
fn a3_a20_the_count_is_checked_before_any_point_is_looked_at() {
    let run = Run::start(2, 3);
    for found in [0, 1, 3, 64] {
        let mut package = run.package(2);
        package.commitments = vec![[0xff; 32]; found];
        let expected = DkgError::CommitmentCount {
            culprit: index(2),
            expected: 2,
            found,
        };
        assert_eq!(refused(&run, &package), expected);
    }
    // More than any committee has is not even decoded.
    let mut package = run.package(2);
    package.commitments = vec![[0xff; 32]; 65];
    let expected = DkgError::Malformed {
        culprit: index(2),
        error: DecodeError::TooLong("field"),
    };
    assert_eq!(refused(&run, &package), expected);
}

#[test]
fn a4_threshold_lowering_is_refused() {
    let run = Run::start(3, 5);
    let mut short = run.package(2);
    short.commitments.pop();
    let count = |found| DkgError::CommitmentCount {
        culprit: index(2),
        expected: 3,
        found,
    };
    assert_eq!(refused(&run, &short), count(2));
    short.commitments.clear();
    assert_eq!(refused(&run, &short), count(0));
    // A leading coefficient of zero.
    let mut flat = run.package(2);
    flat.commitments[2] = identity();
    assert_eq!(
        refused(&run, &flat),
        DkgError::Commitment {
            culprit: index(2),
            error: PointError::Identity
        }
    );
}

fn identity() -> [u8; 32] {
    EIGHT_TORSION[0].compress().to_bytes()
}

#[test]
fn a7_a9_improper_points_are_refused() {
    let run = Run::start(2, 3);
    let mixed = |bytes: &[u8; 32]| {
        let point = Point::from_bytes(bytes).unwrap();
        (point.as_edwards() + EIGHT_TORSION[1]).compress().to_bytes()
    };
    let small = EIGHT_TORSION[1].compress().to_bytes();
    let honest = run.package(2);
    for at in 0..3 {
        let place = |package: &mut round1::Package, bytes: [u8; 32]| match at {
            2 => package.proof_r = bytes,
            _ => package.commitments[at] = bytes,
        };
        let own = if at == 2 {
            honest.proof_r
        } else {
            honest.commitments[at]
        };
        let wrong = [
            (identity(), PointError::Identity),
            (small, PointError::Torsion),
            (mixed(&own), PointError::Torsion),
            ([0xff; 32], PointError::Encoding),
        ];
        for (bytes, error) in wrong {
            let mut package = honest.clone();
            place(&mut package, bytes);
            assert_eq!(
                refused(&run, &package),
                DkgError::Commitment {
                    culprit: index(2),
                    error
                }
            );
        }
    }
}

/// `s + l`, byte by byte.
pub(super) fn plus_order(scalar: &[u8; 32]) -> [u8; 32] {
    let order_less_one = (-Scalar::ONE).to_bytes();
    let mut sum = [0; 32];
    let mut carry = 1_u16;
    for i in 0..32 {
        let digit = u16::from(scalar[i]) + u16::from(order_less_one[i]) + carry;
        sum[i] = digit.to_le_bytes()[0];
        carry = digit >> 8;
    }
    sum
}

#[test]
fn a9_a_proof_scalar_over_the_order_is_refused() {
    let run = Run::start(2, 3);
    let mut package = run.package(2);
    package.proof_z = plus_order(&package.proof_z);
    let expected = DkgError::Malformed {
        culprit: index(2),
        error: DecodeError::Invalid("scalar"),
    };
    assert_eq!(refused(&run, &package), expected);
}

#[test]
fn a10_a_reflected_proof_is_refused() {
    let run = Run::start(2, 3);
    let reflected = run.package(1);
    let error = Round1::collect(&run.ceremony, run.with_package(2, &reflected)).unwrap_err();
    assert_eq!(error, DkgError::Proof { culprit: index(2) });
}

#[test]
fn a11_messages_of_another_ceremony_are_refused() {
    let run = Run::start(2, 3);
    let seats = run.ceremony.seats().to_vec();
    let next = Ceremony::new([1; 32], run.ceremony.threshold(), seats).unwrap();
    assert_eq!(
        Round1::collect(&next, run.commitments()).unwrap_err(),
        DkgError::OtherCeremony
    );
    let agreement = run.agree(run.commitments()).unwrap();
    let (other_secret, _) = part1(&next, &run.identities[0], &mut TestRng::new("next")).unwrap();
    let error = part2(other_secret, &agreement, &run.identities[0]).unwrap_err();
    assert_eq!(error, DkgError::OtherCeremony);
}

#[test]
fn a13_a_message_from_another_peer_is_refused() {
    let run = Run::start(2, 3);
    let peers: Vec<_> = run.identities.iter().map(PublicKey::of).collect();
    let message = &run.commitments[0];
    assert_eq!(message.verify_from(&run.ceremony, &peers[0]), Ok(()));
    let refused = Err(DkgError::OtherPeer { claimed: index(1) });
    assert_eq!(message.verify_from(&run.ceremony, &peers[1]), refused);
    // And one who names another seat cannot sign for it.
    let envelope = Envelope {
        ceremony: run.ceremony.id(),
        sender: index(1),
        recipient: None,
        kind: Kind::Round1,
    };
    let payload = Zeroizing::new(run.package(2).to_bytes());
    let forged = SignedMessage::sign(envelope, payload, &run.identities[1]);
    let error = forged.verify(&run.ceremony).unwrap_err();
    assert_eq!(error, DkgError::Forged { claimed: index(1) });
    assert!(error.culprits().is_empty(), "nobody honest is blamed");
}

#[test]
fn a8_a_sender_without_a_seat_is_refused() {
    let run = Run::start(2, 3);
    let envelope = Envelope {
        ceremony: run.ceremony.id(),
        sender: index(4),
        recipient: None,
        kind: Kind::Round1,
    };
    let payload = Zeroizing::new(run.package(1).to_bytes());
    let message = SignedMessage::sign(envelope, payload, &run.identities[0]);
    assert_eq!(
        message.verify(&run.ceremony),
        Err(DkgError::UnknownSeat(index(4)))
    );
    for bad in [0_u16, 65, u16::MAX] {
        let mut bytes = message.to_bytes();
        bytes[32..34].copy_from_slice(&bad.to_be_bytes());
        assert!(SignedMessage::from_bytes(&bytes).is_err());
    }
}

#[test]
fn every_signed_field_of_a_message_counts() {
    let run = Run::start(2, 3);
    let bytes = run.commitments[0].to_bytes();
    for position in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1;
        let accepted = SignedMessage::from_bytes(&flipped).is_ok_and(|m| m.verify(&run.ceremony).is_ok());
        assert!(!accepted, "byte {position}");
    }
}

#[test]
fn a17_an_oversize_payload_is_not_allocated() {
    let run = Run::start(2, 3);
    let message = run.say(1, None, Kind::Round1, vec![0; MAX_PAYLOAD + 1]);
    let refused = SignedMessage::from_bytes(&message.to_bytes()).unwrap_err();
    assert_eq!(refused, DecodeError::TooLong("field"));
}

#[test]
fn a15_missing_seats_are_listed_and_nobody_is_blamed() {
    let run = Run::start(2, 3);
    let mut messages = run.commitments();
    messages.remove(1);
    let error = Round1::collect(&run.ceremony, messages).unwrap_err();
    assert_eq!(error, DkgError::Missing(vec![index(2)]));
    assert!(error.culprits().is_empty());
}

#[test]
fn a_repeat_is_no_fault_and_a_contradiction_is() {
    let run = Run::start(2, 3);
    let mut repeated = run.commitments();
    repeated.push(copy(&run.commitments[1]).unwrap());
    assert!(Round1::collect(&run.ceremony, repeated).is_ok());
    let mut contradicted = run.commitments();
    let mut other = run.package(2);
    other.commitments.swap(0, 1);
    contradicted.push(run.say(2, None, Kind::Round1, other.to_bytes()));
    let error = Round1::collect(&run.ceremony, contradicted).unwrap_err();
    assert_eq!(error.culprits(), [index(2)]);
    let DkgError::Equivocation(evidence) = error else {
        panic!("{error}")
    };
    assert_eq!(evidence[0].verify(&run.ceremony), Ok(()));
}

#[test]
fn a_message_of_another_round_is_not_due() {
    let run = Run::start(2, 3);
    let mut messages = run.commitments();
    messages[0] = run.say(1, None, Kind::Equality, run.package(1).to_bytes());
    let error = Round1::collect(&run.ceremony, messages).unwrap_err();
    assert_eq!(
        error,
        DkgError::NotDue {
            sender: index(1),
            found: Kind::Equality
        }
    );
}
