//! Round-2 shares.

use super::packages::plus_order;
use super::*;

/// Everything that member 1 has received, and its secret.
pub(super) struct Dealt {
    pub(super) run: Run,
    pub(super) agreement: Agreement,
    pub(super) secret: round2::SecretPackage,
    pub(super) mine: Vec<SignedMessage>,
    others: Vec<SignedMessage>,
}

pub(super) fn dealt() -> Dealt {
    let mut run = Run::start(2, 3);
    let agreement = run.agree(run.commitments()).unwrap();
    let (mut secret, mut messages) = (None, Vec::new());
    for (package, identity) in run.secrets.drain(..).zip(&run.identities) {
        let (remaining, dealt) = part2(package, &agreement, identity).unwrap();
        secret = secret.or(Some(remaining));
        messages.extend(dealt);
    }
    let (mine, others) = messages
        .into_iter()
        .partition(|message| message.recipient() == Some(index(1)));
    Dealt {
        run,
        agreement,
        secret: secret.unwrap(),
        mine,
        others,
    }
}

fn with_share(change: impl FnOnce(&mut Scalar)) -> (DkgError, Vec<ParticipantIndex>) {
    let mut dealt = dealt();
    let mut share = *round2::Package::from_bytes(dealt.mine[1].payload())
        .unwrap()
        .share
        .expose();
    change(&mut share);
    let payload = round2::Package {
        share: SecretScalar::new(share),
    }
    .to_bytes();
    dealt.mine[1] = dealt.run.say(3, Some(1), Kind::Round2, payload);
    let error = part3(dealt.secret, &dealt.agreement, dealt.mine).unwrap_err();
    let culprits = error.culprits();
    (error, culprits)
}

#[test]
fn a_share_off_the_polynomial_names_its_dealer() {
    let (error, culprits) = with_share(|share| *share += Scalar::ONE);
    assert_eq!(error, DkgError::Share { culprit: index(3) });
    assert_eq!(culprits, [index(3)]);
}

#[test]
fn p9_a_complaint_about_a_share_is_checked_by_anybody() {
    let dealt = dealt();
    let commitments = &dealt.run.commitments[2];
    let honest = &dealt.mine[1];
    assert_eq!(
        check_share(&dealt.run.ceremony, commitments, honest),
        Ok(()),
        "the dealer is cleared"
    );
    let other = round2::Package {
        share: SecretScalar::new(Scalar::from(7_u8)),
    }
    .to_bytes();
    let bad = dealt.run.say(3, Some(1), Kind::Round2, other);
    let blamed = check_share(&dealt.run.ceremony, commitments, &bad).unwrap_err();
    assert_eq!(blamed, DkgError::Share { culprit: index(3) });
    // Another dealer's commitments, or a share that the dealer did not sign, are no evidence.
    let strange = check_share(&dealt.run.ceremony, &dealt.run.commitments[1], &bad).unwrap_err();
    assert!(strange.culprits().is_empty());
    let mut bytes = honest.to_bytes();
    let last_of_share = bytes.len() - 65;
    bytes[last_of_share] ^= 1;
    let forged = SignedMessage::from_bytes(&bytes).unwrap();
    let error = check_share(&dealt.run.ceremony, commitments, &forged).unwrap_err();
    assert!(error.culprits().is_empty());
}

#[test]
fn a7_a_zero_share_is_refused() {
    let (error, _) = with_share(|share| *share = Scalar::ZERO);
    assert_eq!(
        error,
        DkgError::Malformed {
            culprit: index(3),
            error: DecodeError::Invalid("share")
        }
    );
}

#[test]
fn a9_a_share_over_the_order_is_refused() {
    let mut dealt = dealt();
    let mut payload = dealt.mine[1].payload().to_vec();
    let share: [u8; 32] = payload[2..].try_into().unwrap();
    payload[2..].copy_from_slice(&plus_order(&share));
    dealt.mine[1] = dealt.run.say(3, Some(1), Kind::Round2, payload);
    let error = part3(dealt.secret, &dealt.agreement, dealt.mine).unwrap_err();
    assert_eq!(
        error,
        DkgError::Malformed {
            culprit: index(3),
            error: DecodeError::Invalid("scalar")
        }
    );
}

#[test]
fn a17_a_share_for_another_member_is_not_due() {
    let mut dealt = dealt();
    let stray = dealt
        .others
        .iter()
        .position(|message| message.sender() == index(3))
        .unwrap();
    dealt.mine[1] = dealt.others.remove(stray);
    let error = part3(dealt.secret, &dealt.agreement, dealt.mine).unwrap_err();
    assert_eq!(
        error,
        DkgError::NotDue {
            sender: index(3),
            found: Kind::Round2
        }
    );
    assert!(
        error.culprits().is_empty(),
        "somebody else may have brought it here"
    );
}

#[test]
fn a17_a_changed_share_is_forged() {
    let mut dealt = dealt();
    let mut bytes = dealt.mine[1].to_bytes();
    let last_of_share = bytes.len() - 65;
    bytes[last_of_share] ^= 1;
    dealt.mine[1] = SignedMessage::from_bytes(&bytes).unwrap();
    let error = part3(dealt.secret, &dealt.agreement, dealt.mine).unwrap_err();
    assert_eq!(error, DkgError::Forged { claimed: index(3) });
}

#[test]
fn a_share_from_everybody_else_is_needed() {
    let mut dealt = dealt();
    dealt.mine.pop();
    let error = part3(dealt.secret, &dealt.agreement, dealt.mine).unwrap_err();
    assert_eq!(error, DkgError::Missing(vec![index(3)]));
}

#[test]
fn two_shares_from_one_dealer_are_a_contradiction() {
    let mut dealt = dealt();
    let other = round2::Package {
        share: SecretScalar::new(Scalar::from(7_u8)),
    }
    .to_bytes();
    dealt.mine.push(dealt.run.say(3, Some(1), Kind::Round2, other));
    let error = part3(dealt.secret, &dealt.agreement, dealt.mine).unwrap_err();
    assert_eq!(error.culprits(), [index(3)]);
}

#[test]
fn p15_ceremony_secrets_do_not_print() {
    let dealt = dealt();
    let share = round2::Package::from_bytes(dealt.mine[0].payload()).unwrap();
    let hex: String = share
        .share
        .expose()
        .as_bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let printed = format!("{:?} {:?} {:?}", dealt.mine[0], dealt.secret, share);
    assert!(
        !printed.contains(&hex) && printed.contains("redacted"),
        "{printed}"
    );
}

/// How a key generation of two ends for seat 1 if seat 2 knows the polynomial of seat 1 and answers it with one of its own.
fn answered(answer: fn(constant: Scalar, slope: Scalar) -> (Scalar, Scalar)) -> DkgError {
    let mut run = Run::start(2, 2);
    // The library draws the constant term first, then the slope.
    let mut drawn = TestRng::new("seat 1");
    let (constant, slope) = (Scalar::random(&mut drawn), Scalar::random(&mut drawn));
    let (secret, message) = part1(&run.ceremony, &run.identities[0], &mut TestRng::new("seat 1")).unwrap();
    run.commitments[0] = message;
    let point = |scalar: Scalar| (ED25519_BASEPOINT_POINT * scalar).compress().to_bytes();
    assert_eq!(run.package(1).commitments, [point(constant), point(slope)]);

    let (constant, slope) = answer(constant, slope);
    let nonce = Scalar::from(11_u8);
    let mut identifier = [0; 32];
    identifier[0] = 2;
    let challenge = Sha512::new()
        .chain_update(b"FROST-ED25519-SHA512-v1dkg")
        .chain_update(identifier)
        .chain_update(point(constant))
        .chain_update(point(nonce));
    let package = round1::Package {
        commitments: vec![point(constant), point(slope)],
        proof_r: point(nonce),
        proof_z: (nonce + Scalar::from_bytes_mod_order_wide(&challenge.finalize().into()) * constant)
            .to_bytes(),
    };
    let agreement = run.agree(run.with_package(2, &package)).unwrap();
    let (secret, _) = part2(secret, &agreement, &run.identities[0]).unwrap();
    let share = round2::Package {
        share: SecretScalar::new(constant + slope),
    };
    let share = run.say(2, Some(1), Kind::Round2, share.to_bytes());
    part3(secret, &agreement, vec![share]).unwrap_err()
}

#[test]
fn a7_a_key_that_is_the_identity_is_refused() {
    let error = answered(|constant, slope| (-constant, slope));
    assert_eq!(error, DkgError::Degenerate);
}

#[test]
fn a7_a_share_that_adds_up_to_zero_is_refused() {
    let error = answered(|constant, slope| (Scalar::ONE, -constant - slope - Scalar::ONE));
    assert_eq!(error, DkgError::Degenerate);
}
