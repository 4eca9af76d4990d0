//! An endorser that says applied when nothing was.

use ed25519_dalek::SigningKey;
use golden_record::RejectionReason;
use threshold::ids::ChainId;
use threshold::signature::PublicKey;

use super::*;

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

#[test]
fn applied_without_proof_is_not_believed() {
    let missing = Err(Error::NotFound("transaction".into()));
    assert!(confirmed(claimed(Outcome::Applied), missing).is_err());
}

#[test]
fn what_is_proven_counts() {
    for (said, proven) in [(Outcome::Applied, REJECTED), (REJECTED, Outcome::Applied)] {
        let claimed = claimed(said);
        let line = line(&claimed, proven);
        let recorded = confirmed(claimed, Ok(line)).unwrap();
        assert_eq!(recorded.entry.outcome, proven);
        assert_eq!((recorded.index, recorded.height, recorded.time_ms), (1, 2, 3));
    }
}

#[test]
fn a_rejection_of_what_its_author_may_not_see_is_taken() {
    let missing = Err(Error::NotFound("transaction".into()));
    assert_eq!(
        confirmed(claimed(REJECTED), missing).unwrap().entry.outcome,
        REJECTED
    );
}
