use super::*;
use crate::journal::tests::FakeDisk;
use crate::journal::{Event, Journal};

fn identity() -> Identity {
    Identity::from_seed("node-1", &[1; 32]).unwrap()
}

/// A journal of this many entries, the file after each of them, and where it stood.
async fn steps(entries: u64, time_ms: u64) -> Vec<(Vec<u8>, Mark)> {
    let disk = FakeDisk::default();
    let key = identity().public_key();
    let journal = Journal::open(disk.clone(), &key, None, |_, _| (), |_| ()).unwrap();
    let mut steps = vec![(disk.bytes(), journal.durable().unwrap())];
    for _ in 0..entries {
        let place = journal
            .append(time_ms, Event::Started)
            .unwrap()
            .durable()
            .await
            .unwrap();
        let mark = journal.durable().unwrap();
        assert_eq!((mark.entries, mark.head), (place.position + 1, place.head));
        steps.push((disk.bytes(), mark));
    }
    steps
}

fn open(disk: &FakeDisk, mark: Option<Mark>, accepted: Option<String>) -> Result<(), JournalError> {
    let expected = Expected { mark, accepted };
    Journal::open(
        disk.clone(),
        &identity().public_key(),
        Some(&expected),
        |_, _| (),
        |_| (),
    )
    .map(drop)
}

fn refused(file: &[u8], mark: Option<Mark>, accepted: Option<String>) -> String {
    let disk = FakeDisk::holding(file);
    let error = open(&disk, mark, accepted).unwrap_err();
    assert!(matches!(error, JournalError::SetBack { .. }), "{error}");
    assert_eq!(disk.bytes(), file, "a refused journal is left as it was");
    error.to_string()
}

#[tokio::test]
async fn p10_a_journal_that_ends_before_its_mark_is_refused() {
    let steps = steps(4, 5).await;
    let (whole, newest) = steps.last().unwrap();
    for (_, mark) in &steps {
        open(&FakeDisk::holding(whole), Some(*mark), None).unwrap();
    }
    for (cut, _) in &steps[..4] {
        let reason = refused(cut, Some(*newest), None);
        assert!(reason.contains("and had 4 when it was marked"), "{reason}");
        // The same with the beginning of the next record, which alone would be cut and taken.
        let torn = &whole[..cut.len() + 9];
        refused(torn, Some(*newest), None);
    }
    refused(&[], Some(*newest), None);
}

#[tokio::test]
async fn p10_another_history_of_the_same_node_is_refused() {
    let (marked, other) = (steps(2, 5).await, steps(4, 6).await);
    let reason = refused(&other[4].0, Some(marked[2].1), None);
    assert!(reason.contains("not those that were marked"), "{reason}");
}

#[tokio::test]
async fn p10_a_journal_without_its_mark_is_refused_unless_it_is_empty() {
    let steps = steps(1, 5).await;
    open(&FakeDisk::default(), None, None).unwrap();
    open(&FakeDisk::holding(&steps[0].0), None, None).unwrap();
    let reason = refused(&steps[1].0, None, None);
    assert!(reason.contains("mark is missing"), "{reason}");
}

#[tokio::test]
async fn an_operator_accepts_one_journal_and_no_other() {
    let steps = steps(3, 5).await;
    let newest = steps[3].1;
    let reason = refused(&steps[1].0, Some(newest), None);
    let accepted = hex::encode(steps[1].1.head);
    assert!(
        reason.contains(&format!("journal.accepted = \"{accepted}\"")),
        "{reason}"
    );
    open(
        &FakeDisk::holding(&steps[1].0),
        Some(newest),
        Some(accepted.clone()),
    )
    .unwrap();
    refused(&steps[2].0, Some(newest), Some(accepted.clone()));
}

#[test]
fn p10_a_mark_is_its_nodes_own_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mark");
    let mark = Mark {
        entries: 7,
        head: [9; 32],
    };
    let mut file = MarkFile::open(path.clone(), identity()).unwrap();
    assert!(file.stored().is_none());
    file.store(mark).unwrap();
    let again = MarkFile::open(path.clone(), identity()).unwrap();
    assert_eq!(again.stored(), Some(&mark));

    let other = Identity::from_seed("node-2", &[2; 32]).unwrap();
    let foreign = MarkFile::open(path.clone(), other);
    assert!(matches!(foreign, Err(JournalError::Mark(_))));
    let bytes = std::fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert!(MarkFile::open(path.clone(), identity()).is_err(), "byte {at}");
    }
    std::fs::write(&path, &bytes[..20]).unwrap();
    assert!(MarkFile::open(path, identity()).is_err());
}

/// What a power cut leaves of a third record that was not synced, on a file system that had made room for it.
fn torn_tails(steps: &[(Vec<u8>, Mark)]) -> Vec<Vec<u8>> {
    let (before, whole) = (&steps[2].0, &steps[3].0);
    let missing = whole.len() - before.len();
    let with = |tail: &[u8]| [before.as_slice(), tail].concat();
    let mut only_its_head = vec![0; missing];
    only_its_head[..16].copy_from_slice(&whole[before.len()..][..16]);
    let mut without_its_end = whole[before.len()..].to_vec();
    without_its_end[missing - 5..].fill(0);
    vec![
        with(&vec![0; missing]),
        with(&vec![0; 4096]),
        with(&[0; 8]),
        with(&only_its_head),
        with(&without_its_end),
        with(&vec![0xa5; missing]),
    ]
}

#[tokio::test]
async fn e4_a_torn_tail_of_any_length_is_cut_when_the_operator_accepts_what_is_before_it() {
    let steps = steps(4, 5).await;
    let (before, head) = (&steps[2].0, steps[2].1.head);
    let accepted = hex::encode(head);
    for torn in torn_tails(&steps) {
        for mark in [steps[1].1, steps[2].1] {
            let disk = FakeDisk::holding(&torn);
            let refused = open(&disk, Some(mark), None).unwrap_err();
            assert!(
                matches!(
                    refused,
                    JournalError::Damaged {
                        position: 2,
                        marked: false,
                        ..
                    }
                ),
                "{refused}"
            );
            let advice = format!(
                "After a power cut, keep the node stopped until every approval has expired that it may have answered, and start it once with journal.accepted = \"{accepted}\""
            );
            assert!(refused.to_string().contains(&advice), "{refused}");
            let other = hex::encode(steps[1].1.head);
            open(&disk, Some(mark), Some(other)).unwrap_err();
            assert_eq!(disk.bytes(), torn, "a refused journal is left as it was");

            open(&disk, Some(mark), Some(accepted.clone())).unwrap();
            assert_eq!(&disk.bytes(), before);
            // From then on it is as any other, and accepts nothing more.
            open(&disk, Some(mark), None).unwrap();
        }
    }
}

#[tokio::test]
async fn p10_damage_to_what_was_marked_is_not_taken_for_a_power_cut() {
    let steps = steps(4, 5).await;
    for torn in torn_tails(&steps) {
        let refused = open(&FakeDisk::holding(&torn), Some(steps[3].1), None).unwrap_err();
        let said = refused.to_string();
        assert!(said.contains("whole when the journal was marked"), "{said}");
        assert!(!said.contains("power cut"), "{said}");
    }
}
