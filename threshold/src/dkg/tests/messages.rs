//! What a signature on a ceremony's message covers, what evidence needs, and whose message is due.

use super::shares::dealt;
use super::*;

/// Offsets in a message's bytes, after the ceremony id and the sender.
const KIND_AT: usize = 32 + 2 + 2;

#[test]
fn a11_a_message_is_signed_for_one_ceremony() {
    // The same members, another nonce: relabelling a message brings it no further than its signature.
    let run = Run::start(2, 3);
    let seats = run.ceremony.seats().to_vec();
    let next = Ceremony::new([1; 32], run.ceremony.threshold(), seats).unwrap();
    let mut bytes = run.commitments[0].to_bytes();
    bytes[..32].copy_from_slice(next.id().as_bytes());
    let relabelled = SignedMessage::from_bytes(&bytes).unwrap();
    assert_eq!(
        relabelled.verify(&next),
        Err(DkgError::Forged { claimed: index(1) })
    );
}

#[test]
fn a17_a_message_is_signed_for_one_round() {
    let run = Run::start(2, 3);
    for kind in [2, 3] {
        let mut bytes = run.commitments[0].to_bytes();
        bytes[KIND_AT] = kind;
        let relabelled = SignedMessage::from_bytes(&bytes).unwrap();
        assert_ne!(relabelled.kind(), Kind::Round1);
        assert_eq!(
            relabelled.verify(&run.ceremony),
            Err(DkgError::Forged { claimed: index(1) })
        );
    }
    let mut bytes = run.commitments[0].to_bytes();
    bytes[KIND_AT] = 4;
    assert_eq!(
        SignedMessage::from_bytes(&bytes).unwrap_err(),
        DecodeError::Invalid("kind of ceremony message")
    );
}

#[test]
fn a13_the_right_peer_does_not_stand_in_for_a_signature() {
    let run = Run::start(2, 3);
    let mut bytes = run.commitments[0].to_bytes();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let changed = SignedMessage::from_bytes(&bytes).unwrap();
    let peer = PublicKey::of(&run.identities[0]);
    assert_eq!(
        changed.verify_from(&run.ceremony, &peer),
        Err(DkgError::Forged { claimed: index(1) })
    );
}

#[test]
fn p9_evidence_needs_both_signatures() {
    let run = Run::start(2, 3);
    let signed = run.commitments[2].attestation();
    let mut unsigned = signed;
    unsigned.payload_digest[0] ^= 1;
    for (first, second) in [(unsigned, signed), (signed, unsigned)] {
        let evidence = Equivocation {
            sender: index(3),
            recipient: None,
            kind: Kind::Round1,
            first,
            second,
        };
        assert_eq!(
            evidence.verify(&run.ceremony),
            Err(DkgError::Forged { claimed: index(3) })
        );
    }
    let once = Equivocation {
        sender: index(3),
        recipient: None,
        kind: Kind::Round1,
        first: signed,
        second: signed,
    };
    assert_eq!(
        once.verify(&run.ceremony),
        Err(DkgError::NotDue {
            sender: index(3),
            found: Kind::Round1
        })
    );
}

#[test]
fn nobody_deals_itself_a_share() {
    let mut dealt = dealt();
    let share = dealt.mine[0].payload().to_vec();
    dealt.mine.push(dealt.run.say(1, Some(1), Kind::Round2, share));
    let error = part3(dealt.secret, &dealt.agreement, dealt.mine).unwrap_err();
    assert_eq!(
        error,
        DkgError::NotDue {
            sender: index(1),
            found: Kind::Round2
        }
    );
}

#[test]
fn a11_the_end_of_one_ceremony_does_not_follow_another() {
    let dealt = dealt();
    let (run, mut rng) = (&dealt.run, TestRng::new("next"));
    let seats = run.ceremony.seats().to_vec();
    let next = Ceremony::new([1; 32], run.ceremony.threshold(), seats).unwrap();
    let commitments = run
        .identities
        .iter()
        .map(|identity| part1(&next, identity, &mut rng).unwrap().1)
        .collect();
    let round1 = Round1::collect(&next, commitments).unwrap();
    let report = |identity| round1.report(&next, identity).unwrap();
    let reports = run.identities.iter().map(report).collect();
    let agreement = Agreement::reach(&next, round1.clone(), reports).unwrap();
    // Before any message is looked at, or asked for.
    let error = part3(dealt.secret, &agreement, Vec::new()).unwrap_err();
    assert_eq!(error, DkgError::OtherCeremony);
}
