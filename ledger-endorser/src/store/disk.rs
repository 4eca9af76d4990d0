//! A disk for tests whose power can be cut: what was not synced survives sector by sector, or not, by chance.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

const SECTOR: usize = 512;

/// A small generator of numbers for tests (splitmix64): the same seed, the same run.
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// What was written before a sync is there after the power returns.
    Honoured,
    /// The disk says yes and does nothing: with it the test has to fail.
    Ignored,
}

enum Unsynced {
    Write(usize, Vec<u8>),
    Length(usize),
}

struct State {
    /// What a reader sees while the power is on.
    current: Vec<u8>,
    /// What is there after the power was cut.
    durable: Vec<u8>,
    unsynced: Vec<Unsynced>,
    /// Operations until the power is cut.
    left: u64,
    sync: Sync,
}

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

fn cut() -> io::Error {
    io::Error::other("the power is off")
}

impl Disk {
    pub(crate) fn new(content: Vec<u8>, sync: Sync) -> Self {
        Self(Arc::new(Mutex::new(State {
            current: content.clone(),
            durable: content,
            unsynced: Vec::new(),
            left: u64::MAX,
            sync,
        })))
    }

    /// Cuts the power when this many more writes, syncs and changes of length have been asked for.
    pub(crate) fn cut_after(&self, operations: u64) {
        self.state().left = operations;
    }

    /// What a new start finds.
    pub(crate) fn after_the_cut(&self, chance: &mut Chance) -> Vec<u8> {
        let state = self.state();
        let mut image = state.durable.clone();
        for operation in &state.unsynced {
            match operation {
                Unsynced::Length(length) if chance.below(2) == 0 => image.resize(*length, 0),
                Unsynced::Length(_) => {}
                Unsynced::Write(offset, data) => tear(&mut image, *offset, data, chance),
            }
        }
        image
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn operation(&self) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let mut state = self.state();
        state.left = state.left.checked_sub(1).ok_or_else(cut)?;
        Ok(state)
    }
}

/// Each sector of the write arrives, or it does not.
fn tear(image: &mut Vec<u8>, offset: usize, data: &[u8], chance: &mut Chance) {
    let mut start = 0;
    while start < data.len() {
        // Sectors are those of the disk, not of the write.
        let end = data.len().min(start + SECTOR - (offset + start) % SECTOR);
        if chance.below(2) == 0 {
            if image.len() < offset + end {
                image.resize(offset + end, 0);
            }
            image[offset + start..offset + end].copy_from_slice(&data[start..end]);
        }
        start = end;
    }
}

/// The operation arrives whole.
fn settle(image: &mut Vec<u8>, operation: Unsynced) {
    match operation {
        Unsynced::Length(length) => image.resize(length, 0),
        Unsynced::Write(offset, data) => image[offset..offset + data.len()].copy_from_slice(&data),
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        u64::try_from(self.state().current.len()).map_err(io::Error::other)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = position(offset)?;
        let state = self.state();
        let from = state
            .current
            .get(start..start + out.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(from);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.operation()?;
        let length = position(len)?;
        state.current.resize(length, 0);
        state.unsynced.push(Unsynced::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.operation()?;
        if state.sync == Sync::Honoured {
            let unsynced = std::mem::take(&mut state.unsynced);
            unsynced
                .into_iter()
                .for_each(|operation| settle(&mut state.durable, operation));
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.operation()?;
        let start = position(offset)?;
        let end = start + data.len();
        state
            .current
            .get_mut(start..end)
            .ok_or(io::ErrorKind::UnexpectedEof)?
            .copy_from_slice(data);
        state.unsynced.push(Unsynced::Write(start, data.to_vec()));
        Ok(())
    }
}
