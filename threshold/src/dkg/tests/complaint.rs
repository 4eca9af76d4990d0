//! A complaint about a share: two messages are evidence only if one seat signed both for this purpose.

use super::shares::{Dealt, dealt};
use super::*;

/// What dealer 3 sent: its commitments to all, and its share to member 1.
struct Complaint {
    run: Run,
    commitments: SignedMessage,
    share: SignedMessage,
}

impl Complaint {
    fn honest() -> Self {
        let Dealt { run, mut mine, .. } = dealt();
        let commitments = copy(&run.commitments[2]).unwrap();
        Self {
            run,
            commitments,
            share: mine.remove(1),
        }
    }

    fn check(&self) -> Result<(), DkgError> {
        check_share(&self.run.ceremony, &self.commitments, &self.share)
    }
}

fn not_due(found: Kind) -> DkgError {
    DkgError::NotDue {
        sender: index(3),
        found,
    }
}

#[test]
fn p9_commitments_that_the_dealer_did_not_sign_blame_nobody() {
    let mut complaint = Complaint::honest();
    assert_eq!(complaint.check(), Ok(()));
    let envelope = Envelope {
        ceremony: complaint.run.ceremony.id(),
        sender: index(3),
        recipient: None,
        kind: Kind::Round1,
    };
    let payload = Zeroizing::new(complaint.run.package(2).to_bytes());
    complaint.commitments = SignedMessage::sign(envelope, payload, &complaint.run.identities[1]);
    let error = complaint.check().unwrap_err();
    assert_eq!(error, DkgError::Forged { claimed: index(3) });
    assert!(error.culprits().is_empty());
}

#[test]
fn p9_messages_of_other_rounds_are_no_evidence() {
    // Commitments that were signed as something else: here, those of another polynomial.
    let mut complaint = Complaint::honest();
    let other = complaint.run.package(2).to_bytes();
    complaint.commitments = complaint.run.say(3, None, Kind::Equality, other);
    assert_eq!(complaint.check(), Err(not_due(Kind::Round2)));

    let mut complaint = Complaint::honest();
    let share = complaint.share.payload().to_vec();
    complaint.share = complaint.run.say(3, Some(1), Kind::Round1, share);
    assert_eq!(complaint.check(), Err(not_due(Kind::Round1)));
}

#[test]
fn p9_a_share_without_a_recipient_is_no_evidence() {
    let mut complaint = Complaint::honest();
    let share = complaint.share.payload().to_vec();
    complaint.share = complaint.run.say(3, None, Kind::Round2, share.clone());
    assert_eq!(complaint.check(), Err(not_due(Kind::Round2)));
    // No dealer sends itself a share.
    complaint.share = complaint.run.say(3, Some(3), Kind::Round2, share);
    assert_eq!(complaint.check(), Err(not_due(Kind::Round1)));
}

#[test]
fn p9_commitments_to_one_member_alone_are_no_evidence() {
    let mut complaint = Complaint::honest();
    let package = complaint.run.package(3).to_bytes();
    complaint.commitments = complaint.run.say(3, Some(1), Kind::Round1, package);
    assert_eq!(complaint.check(), Err(not_due(Kind::Round1)));
}

#[test]
fn a3_a4_a_complaint_counts_the_commitments() {
    for found in [0, 1, 3] {
        let mut complaint = Complaint::honest();
        let mut package = complaint.run.package(3);
        let one = package.commitments[0];
        package.commitments.resize(found, one);
        complaint.commitments = complaint.run.say(3, None, Kind::Round1, package.to_bytes());
        assert_eq!(
            complaint.check(),
            Err(DkgError::CommitmentCount {
                culprit: index(3),
                expected: 2,
                found
            })
        );
    }
}
