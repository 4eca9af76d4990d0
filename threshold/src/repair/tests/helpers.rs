//! Helpers who cheat. They stop the repair, and are named; other helpers repair the share.

use super::*;

fn assert_names_4(run: &Run, error: RepairError, fault: Fault) {
    assert_eq!(error.culprits(), [index(4)]);
    let RepairError::Cheated(evidence) = error else {
        panic!("{error}")
    };
    let culprit = Culprit {
        helper: index(4),
        fault,
    };
    assert_eq!(evidence[0].culprit(&run.repair), Ok(culprit));
    let copy = Evidence::from_bytes(&evidence[0].to_bytes()).unwrap();
    assert_eq!(copy.culprit(&run.repair), Ok(culprit));
}

/// Helper 4, the second one, commits to something else.
fn with_package(change: impl Fn(&mut Package)) -> (Run, RepairError) {
    let run = Run::usual();
    let mut package = Package::from_bytes(run.commitments[1].payload()).unwrap();
    change(&mut package);
    let mut commitments = run.commitments();
    commitments[1] = run.say(4, None, Kind::Commitments, package.to_bytes());
    let copies = commitments.iter().map(SignedMessage::duplicate).collect();
    let error = part2(&run.repair, copies, run.parts_for(0), run.identity(1)).unwrap_err();
    let lost = part3(&run.repair, commitments, run.sums(), run.identity(2)).unwrap_err();
    assert_eq!(lost, error, "helpers and the member see the same");
    (run, error)
}

#[test]
fn b2_commitments_that_do_not_add_up_to_the_public_share_name_their_helper() {
    let other = (ED25519_BASEPOINT_POINT * Scalar::from(7_u8))
        .compress()
        .to_bytes();
    let (run, error) = with_package(|package| package.commitments[0] = other);
    assert_names_4(&run, error, Fault::Total);
}

#[test]
fn a3_a4_a_wrong_number_of_commitments_names_their_helper() {
    for found in [0, 2, 4, 64] {
        let (run, error) = with_package(|package| package.commitments.resize(found, [0xff; 32]));
        let fault = Fault::Commitments(CommitmentError::Count { expected: 3, found });
        assert_names_4(&run, error, fault);
    }
}

#[test]
fn a7_a9_improper_commitments_name_their_helper() {
    let identity = (Scalar::ZERO * ED25519_BASEPOINT_POINT).compress().to_bytes();
    let torsion = curve25519_dalek::constants::EIGHT_TORSION[1];
    let mixed = (ED25519_BASEPOINT_POINT + torsion).compress().to_bytes();
    for (point, error) in [
        (identity, PointError::Identity),
        (mixed, PointError::Torsion),
        ([0xff; 32], PointError::Encoding),
    ] {
        let (run, refused) = with_package(|package| package.commitments[2] = point);
        assert_names_4(&run, refused, Fault::Commitments(CommitmentError::Point(error)));
    }
}

/// Helper 4's part for helper 1 is something else.
fn with_part(payload: Vec<u8>) -> (Run, RepairError) {
    let run = Run::usual();
    let mut parts = run.parts_for(0);
    parts[1] = run.say(4, Some(1), Kind::Part, payload);
    let error = part2(&run.repair, run.commitments(), parts, run.identity(1)).unwrap_err();
    (run, error)
}

#[test]
fn p9_a_part_that_does_not_fit_names_its_helper() {
    let share = SecretScalar::new(Scalar::from(7_u8));
    let (run, error) = with_part(round2::Package { share }.to_bytes());
    assert_names_4(&run, error, Fault::Part);
    // Another helper's part, which fits where it belongs.
    let (run, error) = with_part(Run::usual().parts[1][2].payload().to_vec());
    assert_names_4(&run, error, Fault::Part);
}

#[test]
fn a7_a9_a_zero_part_or_a_malformed_one_names_its_helper() {
    let zero = round2::Package {
        share: SecretScalar::new(Scalar::ZERO),
    };
    let mut over = zero.to_bytes();
    over[2..].fill(0xff);
    for payload in [zero.to_bytes(), over, vec![1]] {
        let (run, error) = with_part(payload);
        assert_names_4(&run, error, Fault::Part);
    }
}

/// Helper 4's sum is something else.
fn with_sum(payload: Vec<u8>) -> (Run, RepairError) {
    let run = Run::usual();
    let mut sums = run.sums();
    sums[1] = run.say(4, Some(2), Kind::Sum, payload);
    let error = run.finish(sums).unwrap_err();
    (run, error)
}

#[test]
fn p9_a_sum_that_does_not_fit_names_its_helper() {
    let run = Run::usual();
    let mut said = Sum::from_bytes(run.sums()[1].payload()).unwrap();
    said.sum = SecretScalar::new(said.sum.expose() + Scalar::ONE);
    let (run, error) = with_sum(said.to_bytes());
    assert_names_4(&run, error, Fault::Sum);
    let (run, error) = with_sum(vec![1, 1]);
    assert_names_4(&run, error, Fault::Malformed(DecodeError::Truncated));
}

#[test]
fn p9_a_false_list_of_commitments_names_its_helper() {
    let lies: [fn(&mut Sum); 3] = [
        |said| said.commitments[0].payload_digest[0] ^= 1,
        |said| said.commitments.truncate(2),
        |said| said.commitments[0] = said.commitments[1],
    ];
    for lie in lies {
        let mut said = Sum::from_bytes(Run::usual().sums()[1].payload()).unwrap();
        lie(&mut said);
        let (run, error) = with_sum(said.to_bytes());
        assert_names_4(&run, error, Fault::FalseReport);
    }
}

#[test]
fn a5_p9_commitments_that_differ_by_receiver_name_their_helper_and_nobody_honest() {
    // Helper 4 shows helper 1 other commitments than the member; every part fits what its recipient has.
    let run = Run::usual();
    let (share, identity) = (&run.committee.shares[3], run.identity(4));
    let (other, parts) = part1(&run.repair, share, identity, &mut TestRng::new("other")).unwrap();
    let (mut seen, mut received) = (run.commitments(), run.parts_for(0));
    seen[1] = other;
    received[1] = parts[0].duplicate();
    let mut sums = run.sums();
    sums[0] = part2(&run.repair, seen, received, run.identity(1)).unwrap();
    let framing = Evidence::Sum {
        sum: sums[0].duplicate(),
        commitments: run.commitments(),
    };
    assert_eq!(framing.culprit(&run.repair), Err(NoEvidence::Sound));
    let error = run.finish(sums).unwrap_err();
    assert_names_4(&run, error, Fault::Equivocation);
}

#[test]
fn p9_honest_messages_are_no_evidence() {
    let run = Run::usual();
    let sound = [
        Evidence::Commitments(run.commitments[0].duplicate()),
        Evidence::Part {
            commitments: run.commitments[0].duplicate(),
            part: run.parts[0][2].duplicate(),
        },
        Evidence::Part {
            commitments: run.commitments[1].duplicate(),
            part: run.parts[0][2].duplicate(),
        },
        Evidence::Sum {
            sum: run.sums()[0].duplicate(),
            commitments: run.commitments(),
        },
    ];
    for evidence in sound {
        assert_eq!(
            evidence.culprit(&run.repair),
            Err(NoEvidence::Sound),
            "{evidence:?}"
        );
    }
    let mut changed = run.parts[0][2].to_bytes();
    changed[50] ^= 1;
    let forged = Evidence::Part {
        commitments: run.commitments[0].duplicate(),
        part: SignedMessage::from_bytes(&changed).unwrap(),
    };
    assert!(matches!(
        forged.culprit(&run.repair),
        Err(NoEvidence::Messages(_))
    ));
}

#[test]
fn a15_a_silent_helper_is_not_blamed_and_others_repair_the_share() {
    let run = Run::usual();
    let mut sums = run.sums();
    sums.remove(1);
    let error = run.finish(sums).unwrap_err();
    assert_eq!(error, MessageError::Missing(vec![index(4)]).into());
    assert!(error.culprits().is_empty());
    let again = Run::start((3, 5), 2, &[1, 3, 5]);
    assert!(again.finish(again.sums()).is_ok());
}
