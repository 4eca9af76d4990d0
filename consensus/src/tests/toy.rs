//! A chain in memory, as small as an application can be: a block is a list of distinct byte strings.
//!
//! Block: parent hash (32) ‖ height (8, big-endian) ‖ for each string its length (2) and its bytes.
//!
//! A string that begins with [`SET`] decides on the next validators: the keys after it. They begin [`GAP`] blocks later, and
//! until then such a string does nothing.

#![allow(unreachable_pub, dead_code)]

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use crate::{Address, AppError, Application, BlockBytes, BlockMeta, Epoch, Evidence, Finalized};

const HEADER: usize = 40;

/// Begins a string that holds the keys of the next validators.
pub const SET: &[u8] = b"validators:";

/// So many blocks after the one that decides on it, an epoch begins.
pub const GAP: u64 = 6;

/// The string that makes these the next validators.
pub fn set(validators: &[[u8; 32]]) -> Vec<u8> {
    [SET, validators.concat().as_slice()].concat()
}

/// The epochs after the first that these blocks decide on, the first of which has height 1.
pub fn epochs<'a>(blocks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Epoch> {
    let mut epochs: Vec<Epoch> = Vec::new();
    for (height, block) in (1..).zip(blocks) {
        for string in strings(block).unwrap() {
            let open = epochs.last().is_none_or(|newest| newest.first <= height);
            if let (true, Some(keys)) = (open, string.strip_prefix(SET)) {
                epochs.push(Epoch {
                    first: height + GAP,
                    validators: keys.as_chunks::<32>().0.to_vec(),
                });
            }
        }
    }
    epochs
}

/// The bytes of the block at height 0.
pub fn genesis() -> Vec<u8> {
    encode([0; 32], 0, &[])
}

pub fn encode(parent: [u8; 32], height: u64, strings: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = parent.to_vec();
    bytes.extend(height.to_be_bytes());
    for string in strings {
        bytes.extend(u16::try_from(string.len()).unwrap().to_be_bytes());
        bytes.extend(string);
    }
    bytes
}

/// The strings of a block, or `None` when its bytes are not one.
pub fn strings(block: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = block.get(HEADER..)?;
    let mut strings = Vec::new();
    while !rest.is_empty() {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let (string, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        strings.push(string.to_vec());
        rest = tail;
    }
    Some(strings)
}

pub fn inspect(block: &[u8]) -> Option<BlockMeta> {
    strings(block)?;
    let parent = block.get(..32)?.try_into().ok()?;
    let height = u64::from_be_bytes(block.get(32..HEADER)?.try_into().ok()?);
    Some(BlockMeta {
        digest: Sha256::digest(block).into(),
        parent,
        height,
    })
}

#[derive(Default)]
struct State {
    /// The final blocks from height 1.
    chain: Vec<Finalized>,
    included: HashSet<Vec<u8>>,
    pending: BTreeSet<Vec<u8>>,
    received: Vec<([u8; 32], Vec<u8>)>,
    batches: Vec<usize>,
    invalid_proposals: usize,
}

/// The toy application of one validator.
pub struct Toy {
    state: Mutex<State>,
    changed: Condvar,
    arrived: Notify,
    /// How long an empty block is held back. `None` proposes at once, without a clock.
    hold: Option<Duration>,
    /// Proposes what nobody may accept.
    pub dishonest: bool,
    /// Panics over every block that it is asked about.
    pub panics: bool,
    /// Cannot write from this height on.
    pub full_at: Option<u64>,
    /// Says this of its second epoch, whatever its blocks say.
    pub second: Option<Epoch>,
    /// Where validators of later epochs listen.
    pub addresses: Mutex<HashMap<[u8; 32], Address>>,
}

impl Toy {
    pub fn new(hold: Option<Duration>) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            arrived: Notify::new(),
            hold,
            dishonest: false,
            panics: false,
            full_at: None,
            second: None,
            addresses: Mutex::default(),
        }
    }

    /// One that has the first blocks of another, as if it came back from a backup.
    pub fn with_chain(hold: Option<Duration>, chain: Vec<Finalized>) -> Self {
        let toy = Self::new(hold);
        for (block, _) in &chain {
            toy.state().included.extend(strings(block).unwrap());
        }
        toy.state().chain = chain;
        toy
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn submit(&self, string: &[u8]) {
        let mut state = self.state();
        if !state.included.contains(string) && state.pending.insert(string.to_vec()) {
            self.arrived.notify_waiters();
        }
    }

    pub fn chain(&self) -> Vec<Finalized> {
        self.state().chain.clone()
    }

    pub fn block(&self, index: usize) -> Finalized {
        self.state().chain[index].clone()
    }

    pub fn received(&self) -> Vec<([u8; 32], Vec<u8>)> {
        self.state().received.clone()
    }

    pub fn largest_batch(&self) -> usize {
        self.state().batches.iter().copied().max().unwrap_or(0)
    }

    pub fn has(&self, string: &[u8]) -> bool {
        self.state().included.contains(string)
    }

    /// Waits until the condition holds, at most two minutes.
    pub fn wait(&self, what: &str, condition: impl Fn(&Toy) -> bool) {
        let end = Instant::now() + Duration::from_secs(120);
        while !condition(self) {
            let now = Instant::now();
            assert!(
                now < end,
                "waited in vain until {what}; height {}",
                self.applied_height()
            );
            let pause = (end - now).min(Duration::from_millis(20));
            drop(self.changed.wait_timeout(self.state(), pause).unwrap());
        }
    }

    /// Waits until the condition holds, for ever.
    pub fn wait_long(&self, condition: impl Fn(&Toy) -> bool) {
        while !condition(self) {
            drop(
                self.changed
                    .wait_timeout(self.state(), Duration::from_millis(20))
                    .unwrap(),
            );
        }
    }

    pub fn evidence(&self) -> Vec<(Evidence, BlockMeta)> {
        let chain = self.chain();
        chain
            .iter()
            .filter_map(|(block, evidence)| Some((evidence.clone()?, inspect(block)?)))
            .collect()
    }

    /// The strings that may go into the block after `ancestry`.
    fn candidates(&self, ancestry: &[BlockBytes]) -> Vec<Vec<u8>> {
        let taken: HashSet<Vec<u8>> = ancestry
            .iter()
            .flat_map(|block| strings(block).unwrap())
            .collect();
        let state = self.state();
        let open = state.pending.iter().filter(|string| !taken.contains(*string));
        open.take(2000).cloned().collect()
    }

    fn tip(&self, ancestry: &[BlockBytes]) -> BlockMeta {
        let last = ancestry
            .last()
            .cloned()
            .or_else(|| self.state().chain.last().map(|(block, _)| block.clone()));
        inspect(&last.unwrap_or_else(|| genesis().into())).unwrap()
    }

    /// The epoch of the block after `ancestry`.
    fn epoch_after(&self, ancestry: &[BlockBytes]) -> u64 {
        let chain = self.chain();
        let above = ancestry.iter().filter(|block| {
            let height = inspect(block).unwrap().height;
            height > chain.len() as u64
        });
        let blocks: Vec<&[u8]> = chain
            .iter()
            .map(|(block, _)| block.as_ref())
            .chain(above.map(AsRef::as_ref))
            .collect();
        let height = blocks.len() as u64 + 1;
        epochs(blocks)
            .iter()
            .filter(|epoch| epoch.first <= height)
            .count() as u64
    }

    fn valid(&self, block: &[u8], ancestry: &[BlockBytes]) -> bool {
        let Some(strings_here) = strings(block) else {
            return false;
        };
        let (meta, tip) = (inspect(block).unwrap(), self.tip(ancestry));
        let mut seen: HashSet<Vec<u8>> = ancestry
            .iter()
            .flat_map(|block| strings(block).unwrap())
            .collect();
        let state = self.state();
        meta.parent == tip.digest
            && meta.height == tip.height + 1
            && strings_here.into_iter().all(|string| {
                string != b"invalid" && !state.included.contains(&string) && seen.insert(string)
            })
    }
}

impl Application for Toy {
    fn applied_height(&self) -> u64 {
        self.state().chain.len() as u64
    }

    fn digest(&self, height: u64) -> Option<[u8; 32]> {
        let Some(index) = usize::try_from(height).unwrap().checked_sub(1) else {
            return inspect(&genesis()).map(|meta| meta.digest);
        };
        let state = self.state();
        let (block, _) = state.chain.get(index)?;
        inspect(block).map(|meta| meta.digest)
    }

    fn epoch(&self, number: u64) -> Option<Epoch> {
        if self.second.is_some() {
            return self.second.clone().filter(|_| number == 1);
        }
        let chain = self.chain();
        let epochs = epochs(chain.iter().map(|(block, _)| block.as_ref()));
        epochs.get(usize::try_from(number).ok()?.checked_sub(1)?).cloned()
    }

    fn address(&self, validator: &[u8; 32]) -> Option<Address> {
        self.addresses.lock().unwrap().get(validator).cloned()
    }

    fn propose(&self, ancestry: Vec<BlockBytes>, epoch: u64) -> BoxFuture<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            if self.epoch_after(&ancestry) != epoch {
                return None;
            }
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let mut open = self.candidates(&ancestry);
            if let (true, Some(hold)) = (open.is_empty(), self.hold) {
                let _ = tokio::time::timeout(hold, arrived).await;
                open = self.candidates(&ancestry);
            }
            if self.dishonest {
                self.state().invalid_proposals += 1;
                open = vec![b"invalid".to_vec()];
            }
            let tip = self.tip(&ancestry);
            Some(encode(tip.digest, tip.height + 1, &open))
        })
    }

    fn verify(&self, block: BlockBytes, ancestry: Vec<BlockBytes>, epoch: u64) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            assert!(!self.panics, "as the test wants it");
            self.epoch_after(&ancestry) == epoch && self.valid(&block, &ancestry)
        })
    }

    fn finalized(&self, blocks: Vec<Finalized>) -> Result<(), AppError> {
        let mut state = self.state();
        state.batches.push(blocks.len());
        for (block, evidence) in blocks {
            let meta = inspect(&block).unwrap();
            if self.full_at.is_some_and(|full| meta.height >= full) {
                return Err("the disk is full".into());
            }
            if meta.height <= state.chain.len() as u64 {
                continue;
            }
            assert_eq!(meta.height, state.chain.len() as u64 + 1, "a gap");
            let tip = state
                .chain
                .last()
                .map_or_else(|| genesis().into(), |(block, _)| block.clone());
            assert_eq!(meta.parent, inspect(&tip).unwrap().digest, "a fork");
            for string in strings(&block).unwrap() {
                state.pending.remove(&string);
                assert!(state.included.insert(string), "a string was committed twice");
            }
            state.chain.push((block, evidence));
        }
        self.changed.notify_all();
        Ok(())
    }

    fn received(&self, from: [u8; 32], message: Vec<u8>) {
        self.state().received.push((from, message.clone()));
        self.submit(&message);
        self.changed.notify_all();
    }
}
