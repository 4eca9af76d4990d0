use std::time::Duration;

use threshold::committee::ParticipantIndex;
use threshold::ids::{ApproveId, ManifestDigest, WriteId};
use threshold::signature::{PublicKey, Signature};
use threshold::statement::ReleaseStatement;

use golden_record::{Outcome, RejectionReason};

use super::Receipts;
use super::submit::Verdicts;
use crate::metrics::Metrics;

const LINGER: Duration = Duration::from_millis(1);

fn statement(number: u8, index: u16) -> ReleaseStatement {
    let key = ed25519_dalek::SigningKey::from_bytes(&[number; 32]);
    let statement = ReleaseStatement {
        manifest_digest: ManifestDigest([1; 32]),
        index: ParticipantIndex::new(index).unwrap(),
        approve_id: ApproveId([number; 32]),
        write_id: WriteId([2; 32]),
        q: PublicKey::of(&key),
        share_digest: [3; 32],
        repeat: false,
        time_ms: 4,
        journal_position: 5,
        journal_head: [6; 32],
        signature: Signature([0; 64]),
    };
    statement.sign(&key)
}

fn open(folder: &tempfile::TempDir) -> Receipts {
    Receipts::open(folder.path(), 1000, Metrics::new()).unwrap()
}

fn segments(folder: &tempfile::TempDir) -> usize {
    std::fs::read_dir(folder.path().join("receipts")).unwrap().count()
}

#[tokio::test]
async fn a_killed_coordinator_resumes_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let receipts = open(&folder);
    receipts.add((1..=10).map(|number| statement(number, 1)).collect(), true);
    let batch = receipts.batch(4, LINGER).await;
    assert_eq!(batch.len(), 4);
    // Dropped without having settled anything, as by a kill.
    drop(receipts);
    let resumed = open(&folder);
    assert_eq!(resumed.pending(), 10);
    let all = resumed.doubtful(100).await;
    assert_eq!(
        all.iter().map(|(one, _)| one.approve_id.0[0]).collect::<Vec<_>>(),
        (1..=10).collect::<Vec<_>>()
    );
    resumed.settle(&all, "recorded");
    assert_eq!((resumed.pending(), segments(&folder)), (0, 0));
    drop(resumed);
    assert_eq!(open(&folder).pending(), 0);
}

#[tokio::test]
async fn what_a_crash_cut_off_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let receipts = open(&folder);
    receipts.add(vec![statement(1, 1), statement(2, 1)], true);
    drop(receipts);
    let path = folder.path().join("receipts").join("1");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(open(&folder).pending(), 1);
}

#[tokio::test]
async fn settled_segments_are_removed_under_steady_load() {
    let folder = tempfile::tempdir().unwrap();
    let receipts = Receipts::open(folder.path(), 100_000, Metrics::new()).unwrap();
    for round in 0..10_u8 {
        let index = |place: u16| statement(round + 1, place);
        receipts.add((1..=64).map(index).collect(), true);
        // One statement of each round stays until the next: the queue is never empty.
        let batch = receipts.batch(63, LINGER).await;
        receipts.settle(&batch, "recorded");
        assert!(segments(&folder) <= 3, "{}", segments(&folder));
    }
}

#[tokio::test]
async fn a_release_is_queued_once() {
    let folder = tempfile::tempdir().unwrap();
    let receipts = open(&folder);
    receipts.add(vec![statement(1, 1), statement(1, 2), statement(1, 1)], true);
    assert_eq!(receipts.pending(), 2);
}

#[tokio::test]
async fn p12_a_full_queue_drops_and_does_not_grow() {
    let folder = tempfile::tempdir().unwrap();
    let receipts = Receipts::open(folder.path(), 3, Metrics::new()).unwrap();
    receipts.add((1..=10).map(|number| statement(number, 1)).collect(), true);
    assert_eq!(receipts.pending(), 3);
    // What is under way counts as well.
    let batch = receipts.batch(3, LINGER).await;
    receipts.add(vec![statement(11, 1)], true);
    assert_eq!(receipts.pending(), 3);
    receipts.settle(&batch, "recorded");
    receipts.add(vec![statement(12, 1)], true);
    assert_eq!(receipts.pending(), 1);
}

#[tokio::test]
async fn a_batch_waits_for_company_and_then_goes() {
    let folder = tempfile::tempdir().unwrap();
    let receipts = open(&folder);
    let waiting = {
        let receipts = receipts.clone();
        tokio::spawn(async move { receipts.batch(2, Duration::from_secs(3600)).await })
    };
    receipts.add(vec![statement(1, 1)], true);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    receipts.add(vec![statement(2, 1)], true);
    assert_eq!(waiting.await.unwrap().len(), 2);
}

const DUPLICATE: Outcome = Outcome::Rejected(RejectionReason::DuplicateRelease);

#[test]
fn e1_an_endorser_that_says_recorded_is_not_believed_alone() {
    let (real, other) = (ApproveId([1; 32]), ApproveId([2; 32]));
    for lie in [Outcome::Applied, DUPLICATE] {
        let mut verdicts = Verdicts::of(4);
        assert_eq!(verdicts.take(0, real, lie), None);
        // Saying it again does not make it two.
        assert_eq!(verdicts.take(0, real, lie), None);
        // Nor does another that speaks of another transaction.
        assert_eq!(verdicts.take(1, other, lie), None);
        let truth = Outcome::Rejected(RejectionReason::UnknownApproval);
        assert_eq!(verdicts.take(2, real, truth), None);
        assert_eq!(verdicts.take(3, real, truth), Some(truth));
    }
}

#[test]
fn as_many_must_agree_as_can_lie_and_one_more() {
    let id = ApproveId([1; 32]);
    for (endorsers, needed) in [(1, 1), (3, 1), (4, 2), (6, 2), (7, 3)] {
        let mut verdicts = Verdicts::of(endorsers);
        for place in 0..needed - 1 {
            assert_eq!(verdicts.take(place, id, Outcome::Applied), None);
        }
        assert_eq!(
            verdicts.take(needed - 1, id, Outcome::Applied),
            Some(Outcome::Applied)
        );
    }
}

#[test]
fn each_endorser_is_asked_once_in_a_round() {
    let mut verdicts = Verdicts::of(3);
    assert_eq!(verdicts.next_from(usize::MAX), usize::MAX % 3);
    verdicts.failed(1);
    assert_eq!(verdicts.next_from(1), 2);
    verdicts.failed(2);
    assert_eq!(verdicts.next_from(1), 0);
    verdicts.next_round();
    assert_eq!(verdicts.next_from(1), 1);
}
