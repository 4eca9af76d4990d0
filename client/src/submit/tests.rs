//! Endorsers that say applied when nothing was, or refuse what others take.

use ed25519_dalek::SigningKey;
use golden_record::RejectionReason;
use threshold::ids::ChainId;
use threshold::signature::PublicKey;
use tonic::{Code, Status};

use super::answers::{Answer, Answers, confirmed};
use super::*;
use crate::log::Line;
use crate::profile::Pinned;

fn claimed(outcome: Outcome) -> Recorded {
    let key = SigningKey::from_bytes(&[1; 32]);
    let body = Body::CreateTenant {
        tenant: "acme".parse().unwrap(),
        admin: PublicKey::of(&key),
    };
    let transaction = Transaction::sign(ChainId([0; 32]), &key, [0; 16], 1, body);
    Recorded {
        tx_id: transaction.tx_id(),
        index: 7,
        height: 8,
        time_ms: 9,
        entry: Entry { transaction, outcome },
    }
}

fn line(of: &Recorded, outcome: Outcome) -> Line {
    Line {
        index: 1,
        height: 2,
        time_ms: 3,
        entry: Entry {
            outcome,
            ..of.entry.clone()
        },
    }
}

const REJECTED: Outcome = Outcome::Rejected(RejectionReason::TenantExists);

fn unproven(outcome: Outcome) -> Answer {
    confirmed(claimed(outcome), Err(Error::NotFound("transaction".into())))
}

fn endorser(name: &str) -> Endorser {
    let pinned = Pinned {
        name: name.parse().unwrap(),
        identity: PublicKey::of(&SigningKey::from_bytes(&[2; 32])),
        address: "127.0.0.1:1".into(),
    };
    Endorser::new(&pinned, &service::Identity::ephemeral("client").unwrap()).unwrap()
}

fn refusal(name: &str, code: Code, refusal_code: &'static str) -> Answer {
    let mut status = Status::new(code, format!("{name} says so"));
    let value = tonic::metadata::MetadataValue::from_static(refusal_code);
    status.metadata_mut().insert("refusal-code", value);
    Answer::of(&endorser(name), &status)
}

/// What becomes of the answers of 3f+1 endorsers of which one may lie, or fewer of them.
fn all(said: Vec<Answer>) -> (usize, Result<Recorded, Error>) {
    let mut answers = Answers::new(1);
    for (count, answer) in said.into_iter().enumerate() {
        let party = Party::Endorser(format!("org-{count}").parse().unwrap());
        if let Some(end) = answers.take(party, answer) {
            return (count + 1, end);
        }
    }
    (usize::MAX, Err(answers.none()))
}

#[tokio::test]
async fn applied_without_proof_is_not_believed() {
    let (_, end) = all(Vec::new());
    assert!(matches!(end, Err(Error::Request(_))));
    let (_, end) = all(vec![unproven(Outcome::Applied), unproven(Outcome::Applied)]);
    assert!(matches!(end, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn p3_a_liar_that_says_applied_stops_no_write() {
    let proven = confirmed(
        claimed(Outcome::Applied),
        Ok(line(&claimed(Outcome::Applied), Outcome::Applied)),
    );
    let (asked, end) = all(vec![unproven(Outcome::Applied), proven]);
    assert_eq!((asked, end.unwrap().index), (2, 1));
}

#[test]
fn what_is_proven_counts() {
    for (said, proven) in [(Outcome::Applied, REJECTED), (REJECTED, Outcome::Applied)] {
        let claimed = claimed(said);
        let line = line(&claimed, proven);
        let Answer::Recorded(recorded) = confirmed(claimed, Ok(line)) else {
            panic!("not recorded");
        };
        assert_eq!(recorded.entry.outcome, proven);
        assert_eq!((recorded.index, recorded.height, recorded.time_ms), (1, 2, 3));
    }
}

#[test]
fn a_rejection_of_what_its_author_may_not_see_takes_more_voices_than_can_lie() {
    let (asked, end) = all(vec![unproven(REJECTED), unproven(REJECTED), unproven(REJECTED)]);
    assert_eq!((asked, end.unwrap().entry.outcome), (2, REJECTED));
    let other = Outcome::Rejected(RejectionReason::NotTenantAdmin);
    let (_, end) = all(vec![unproven(REJECTED), unproven(other)]);
    assert!(matches!(end, Err(Error::TooFew { .. })));
}

#[tokio::test]
async fn p3_one_endorsers_refusal_stops_no_write() {
    for code in [
        Code::InvalidArgument,
        Code::PermissionDenied,
        Code::FailedPrecondition,
        Code::Unauthenticated,
        Code::Unimplemented,
        Code::NotFound,
        Code::Internal,
        Code::Unknown,
        Code::Unavailable,
    ] {
        let applied = Answer::Recorded(claimed(Outcome::Applied));
        let (asked, end) = all(vec![refusal("north", code, "expired"), applied]);
        assert_eq!((asked, end.is_ok()), (2, true), "{code:?}");
    }
}

#[tokio::test]
async fn more_refusals_alike_than_can_lie_end_it() {
    let expired = |name| refusal(name, Code::FailedPrecondition, "expired");
    let (asked, end) = all(vec![expired("north"), expired("south"), expired("east")]);
    assert_eq!((asked, end.unwrap_err().code()), (2, "refused"));
    // Refusals for different reasons are not alike, whatever their status.
    let other = refusal("south", Code::FailedPrecondition, "wrong_chain");
    let (asked, end) = all(vec![expired("north"), other, expired("east")]);
    assert_eq!((asked, end.is_err()), (3, true));
    let other = refusal("south", Code::InvalidArgument, "expired");
    assert!(matches!(
        all(vec![expired("north"), other]).1,
        Err(Error::TooFew { .. })
    ));
}

#[tokio::test]
async fn an_endorser_whose_store_is_damaged_refuses_nothing() {
    for code in [Code::Internal, Code::Unknown] {
        let failed = |name| refusal(name, code, "endorser_failed");
        let applied = Answer::Recorded(claimed(Outcome::Applied));
        // However many of them there are, another may still take it.
        let (asked, end) = all(vec![failed("north"), failed("south"), failed("east"), applied]);
        assert_eq!((asked, end.is_ok()), (4, true), "{code:?}");
    }
}
