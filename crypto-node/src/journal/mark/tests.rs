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
    refused(&steps[2].0, Some(newest), Some(accepted));
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
