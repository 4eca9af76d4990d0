use super::*;
use std::io::Read;
use std::sync::{Mutex as StdMutex, mpsc};
use threshold::ids::{ApproveId, CeremonyId, WriteId};

const NODE: [u8; 32] = [7; 32];

/// A disk that keeps what was synced apart from what was only written.
#[derive(Default)]
pub(crate) struct Platter {
    written: Vec<u8>,
    synced: usize,
    syncs: usize,
    pub(crate) broken: bool,
}

#[derive(Clone, Default)]
pub(crate) struct FakeDisk {
    pub(crate) platter: Arc<StdMutex<Platter>>,
    /// When present, each sync waits for a permission.
    pub(crate) gate: Option<Arc<StdMutex<mpsc::Receiver<()>>>>,
}

impl FakeDisk {
    pub(crate) fn holding(bytes: &[u8]) -> Self {
        let disk = Self::default();
        *disk.platter.lock().unwrap() = Platter {
            written: bytes.to_vec(),
            synced: bytes.len(),
            ..Platter::default()
        };
        disk
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.platter.lock().unwrap().written.clone()
    }

    /// What is found after a power cut that let `torn` unsynced bytes through.
    fn after_power_cut(&self, torn: usize) -> Vec<u8> {
        let platter = self.platter.lock().unwrap();
        platter.written[..(platter.synced + torn).min(platter.written.len())].to_vec()
    }
}

impl Storage for FakeDisk {
    fn reader(&mut self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(io::Cursor::new(self.bytes())))
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut platter = self.platter.lock().unwrap();
        platter.written.truncate(usize::try_from(length).unwrap());
        platter.synced = platter.written.len();
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.platter.lock().unwrap().written.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if let Some(gate) = &self.gate {
            gate.lock()
                .unwrap()
                .recv()
                .map_err(|_| io::Error::other("power cut"))?;
        }
        let mut platter = self.platter.lock().unwrap();
        if platter.broken {
            return Err(io::Error::other("EIO"));
        }
        platter.syncs += 1;
        platter.synced = platter.written.len();
        Ok(())
    }
}

fn open(disk: &FakeDisk) -> Result<(Journal, Vec<Entry>), JournalError> {
    let mut seen = Vec::new();
    let journal = Journal::open(
        disk.clone(),
        &NODE,
        None,
        |entry, _| seen.push(entry.clone()),
        |_| (),
    )?;
    Ok((journal, seen))
}

fn release(number: u8) -> Event {
    Event::Release(Release {
        approve_id: ApproveId([number; 32]),
        write_id: WriteId([2; 32]),
        q: [3; 32],
        expires_ms: 120_000,
        coordinator: [4; 32],
        repeat: number.is_multiple_of(2),
    })
}

fn samples() -> Vec<Event> {
    vec![
        Event::Started,
        release(1),
        Event::Withheld { position: 1 },
        Event::Refusals {
            count: 9,
            code: "expired".into(),
            peer: [5; 32],
            approve_id: None,
        },
        Event::Refusals {
            count: 1,
            code: "expired".into(),
            peer: [5; 32],
            approve_id: Some(ApproveId([1; 32])),
        },
        Event::Ceremony {
            ceremony: CeremonyId([6; 32]),
            step: Step::Aborted,
            detail: "why".into(),
        },
        release(2),
    ]
}

async fn written() -> Vec<u8> {
    let disk = FakeDisk::default();
    let (journal, _) = open(&disk).unwrap();
    for event in samples() {
        journal.append(5, event).unwrap().durable().await.unwrap();
    }
    drop(journal);
    disk.bytes()
}

#[tokio::test]
async fn entries_come_back_in_order_with_the_same_head() {
    let disk = FakeDisk::default();
    let (journal, seen) = open(&disk).unwrap();
    assert!(seen.is_empty());
    let mut last = None;
    for event in samples() {
        last = Some(journal.append(5, event).unwrap().durable().await.unwrap());
    }
    drop(journal);
    let (journal, seen) = open(&disk).unwrap();
    assert_eq!(
        seen.iter().map(|entry| entry.event.clone()).collect::<Vec<_>>(),
        samples()
    );
    let last = last.unwrap();
    assert_eq!(journal.newest(), (last.position + 1, last.head));
}

#[tokio::test]
async fn b9_a_flipped_byte_anywhere_is_refused() {
    let bytes = written().await;
    for at in 0..bytes.len() {
        for bit in [0x01, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= bit;
            let disk = FakeDisk::holding(&damaged);
            assert!(open(&disk).is_err(), "byte {at} of {}", bytes.len());
            assert_eq!(disk.bytes(), damaged, "a refused journal is left as it was");
        }
    }
}

#[tokio::test]
async fn an_incomplete_last_record_is_cut_at_any_length() {
    let bytes = written().await;
    let whole = samples().len();
    let last = {
        // The last record is as long as any release's.
        let disk = FakeDisk::default();
        let (journal, _) = open(&disk).unwrap();
        let before = disk.bytes().len();
        journal.append(5, release(2)).unwrap().durable().await.unwrap();
        disk.bytes().len() - before
    };
    for missing in 1..last {
        let disk = FakeDisk::holding(&bytes[..bytes.len() - missing]);
        let (journal, seen) = open(&disk).unwrap();
        assert_eq!(seen.len(), whole - 1, "{missing} bytes missing");
        journal
            .append(6, Event::Started)
            .unwrap()
            .durable()
            .await
            .unwrap();
        drop(journal);
        assert_eq!(open(&disk).unwrap().1.len(), whole);
    }
}

#[tokio::test]
async fn e4_a_kill_between_write_and_sync_loses_only_what_was_never_acknowledged() {
    let (allow, gate) = mpsc::channel();
    let disk = FakeDisk {
        gate: Some(Arc::new(StdMutex::new(gate))),
        ..FakeDisk::default()
    };
    allow.send(()).unwrap(); // for the file header
    let (journal, _) = open(&disk).unwrap();
    allow.send(()).unwrap();
    journal.append(1, release(1)).unwrap().durable().await.unwrap();
    let second = journal.append(2, release(2)).unwrap();
    // The writer has written, and waits inside the sync.
    while disk.after_power_cut(usize::MAX >> 1).len() == disk.after_power_cut(0).len() {
        tokio::task::yield_now().await;
    }
    let mut waiting = Box::pin(second.durable());
    assert!(
        futures::poll!(&mut waiting).is_pending(),
        "acknowledged before it was durable"
    );
    let unsynced = disk.after_power_cut(usize::MAX >> 1).len() - disk.after_power_cut(0).len();
    for torn in 0..unsynced {
        let (_, seen) = open(&FakeDisk::holding(&disk.after_power_cut(torn))).unwrap();
        assert_eq!(seen.len(), 1, "the acknowledged entry, and it alone");
    }
    drop(allow);
    assert!(matches!(waiting.await, Err(JournalError::Stopped)));
}

#[tokio::test]
async fn a_failed_sync_is_final() {
    let disk = FakeDisk::default();
    let (journal, _) = open(&disk).unwrap();
    disk.platter.lock().unwrap().broken = true;
    assert!(matches!(
        journal.append(1, release(1)).unwrap().durable().await,
        Err(JournalError::Stopped)
    ));
    disk.platter.lock().unwrap().broken = false;
    assert!(matches!(
        journal.append(1, release(1)),
        Err(JournalError::Stopped)
    ));
    assert!(!journal.is_healthy());
}

#[tokio::test]
async fn concurrent_appends_share_a_sync() {
    let (allow, gate) = mpsc::channel();
    let disk = FakeDisk {
        gate: Some(Arc::new(StdMutex::new(gate))),
        ..FakeDisk::default()
    };
    allow.send(()).unwrap();
    let (journal, _) = open(&disk).unwrap();
    let tickets: Vec<_> = (0..100)
        .map(|number| journal.append(1, release(number)).unwrap())
        .collect();
    for _ in 0..100 {
        allow.send(()).unwrap();
    }
    for (position, ticket) in tickets.into_iter().enumerate() {
        assert_eq!(ticket.durable().await.unwrap().position, position as u64);
    }
    // The header, whatever the writer had taken up at first, and all the rest.
    assert!(disk.platter.lock().unwrap().syncs <= 3);
}

#[tokio::test]
async fn b7_another_nodes_journal_is_refused() {
    let disk = FakeDisk::holding(&written().await);
    let other = Journal::open(disk, &[8; 32], None, |_, _| (), |_| ());
    assert!(matches!(other, Err(JournalError::Foreign(_))));
    assert!(matches!(
        open(&FakeDisk::holding(b"not a journal at all")),
        Err(JournalError::Foreign(_))
    ));
}

#[tokio::test]
async fn the_disk_keeps_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(Disk::open(&path).unwrap(), &NODE, None, |_, _| (), |_| ()).unwrap();
    journal.append(1, release(1)).unwrap().durable().await.unwrap();
    assert_eq!(Disk::open(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(journal);
    let mut seen = 0;
    Journal::open(Disk::open(&path).unwrap(), &NODE, None, |_, _| seen += 1, |_| ()).unwrap();
    assert_eq!(seen, 1);
}

#[test]
fn a_long_detail_is_cut_between_characters() {
    let event = Event::Ceremony {
        ceremony: CeremonyId([6; 32]),
        step: Step::Aborted,
        detail: "é".repeat(MAX_DETAIL),
    };
    let entry = Entry {
        position: 0,
        time_ms: 0,
        event,
    };
    let Event::Ceremony { detail, .. } = Entry::from_bytes(&entry.to_bytes()).unwrap().event else {
        panic!("another event came back");
    };
    assert_eq!(detail.len(), MAX_DETAIL);
}
