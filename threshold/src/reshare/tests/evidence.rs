//! Evidence against honest members is none.

use super::*;
use crate::message::MessageKind;

#[test]
fn p9_honest_messages_are_no_evidence() {
    let run = Run::usual();
    let received = run.received(|_, _| {});
    let report = || received[0].report(&run.resharing, &run.identities[0]).unwrap();
    let commitments = |dealer: usize| run.commitments[dealer - 1].duplicate();
    let sound = [
        Evidence::Commitments(commitments(1)),
        Evidence::Share {
            commitments: commitments(1),
            share: run.shares[0][2].duplicate(),
        },
        // Another dealer's commitments show nothing.
        Evidence::Share {
            commitments: commitments(2),
            share: run.shares[0][2].duplicate(),
        },
        Evidence::Report {
            report: report(),
            commitments: None,
        },
        Evidence::Report {
            report: report(),
            commitments: Some(commitments(3)),
        },
    ];
    for evidence in sound {
        assert_eq!(
            evidence.culprit(&run.resharing),
            Err(NoEvidence::Sound),
            "{evidence:?}"
        );
    }
}

#[test]
fn p9_what_nobody_signed_is_no_evidence() {
    let run = Run::usual();
    let share = round2::Package {
        share: SecretScalar::new(Scalar::from(7_u8)),
    };
    let forged = |kind, to: Option<u16>, payload: Vec<u8>| {
        let envelope = Envelope {
            ceremony: run.resharing.id(),
            sender: index(2),
            recipient: to.map(index),
            kind,
        };
        SignedMessage::sign(
            envelope,
            Zeroizing::new(payload),
            &SigningKey::from_bytes(&[9; 32]),
        )
    };
    let (first, second) = (run.commitments[1].attestation(), run.commitments[0].attestation());
    let equivocation = |kind, second| Equivocation {
        sender: index(2),
        recipient: None,
        kind,
        first,
        second,
    };
    let framings = [
        Evidence::Commitments(forged(Kind::Commitments, None, vec![1, 1])),
        Evidence::Commitments(run.shares[1][0].duplicate()),
        Evidence::Share {
            commitments: run.commitments[1].duplicate(),
            share: forged(Kind::Share, Some(1), share.to_bytes()),
        },
        Evidence::Share {
            commitments: forged(Kind::Commitments, None, vec![1, 1]),
            share: run.shares[1][0].duplicate(),
        },
        Evidence::Report {
            report: forged(Kind::Report, None, vec![1, 1]),
            commitments: None,
        },
        // One message, another's message, and a message of another kind contradict nothing.
        Evidence::Equivocation(equivocation(Kind::Commitments, first)),
        Evidence::Equivocation(equivocation(Kind::Commitments, second)),
        Evidence::Equivocation(equivocation(Kind::Report, second)),
    ];
    for evidence in framings {
        let checked = evidence.culprit(&run.resharing);
        assert!(matches!(checked, Err(NoEvidence::Messages(_))), "{evidence:?}");
        let copy = Evidence::from_bytes(&evidence.to_bytes()).unwrap();
        assert_eq!(copy, evidence);
    }
}

#[test]
fn p15_shares_in_a_resharing_do_not_print() {
    let run = Run::usual();
    let received = run.receive(1, run.sent_to(1));
    let share = run.shares[0][0].payload();
    let hex: String = share[2..].iter().map(|byte| format!("{byte:02x}")).collect();
    let numbers = format!("{:?}", &share[2..]);
    let printed = format!("{received:?} {:?}", run.shares[0][0]);
    assert!(printed.contains("redacted"));
    assert!(!printed.contains(&hex) && !printed.contains(&numbers));
}

#[test]
fn a20_the_longest_report_is_as_long_as_a_payload_may_be() {
    let run = Run::usual();
    let attestation = run.commitments[0].attestation();
    let complaint = || Verdict::Complaint(attestation, run.shares[0][0].duplicate());
    let longest = |count| {
        let report = Report {
            verdicts: (0..count).map(|_| complaint()).collect(),
        };
        run.say(Party::Receiver(index(1)), None, Kind::Report, report.to_bytes())
    };
    assert_eq!(longest(64).payload().len(), Kind::Report.max_payload());
    assert!(SignedMessage::from_bytes(&longest(64).to_bytes()).is_ok());
    let refused = SignedMessage::from_bytes(&longest(65).to_bytes());
    assert_eq!(refused, Err(DecodeError::TooLong("field")));
}
