//! Which validators decide on which blocks, as far as the applied blocks say.
//!
//! One engine runs for one epoch. The block before an epoch's first is the last of the epoch before: it is proposed again
//! until it is final, and the next engine begins with it. The newest epoch that is known has no end yet; when the application
//! learns of the next one, the end is so far above that no block beyond it has been voted for.

use std::sync::{Arc, PoisonError, RwLock};

use commonware_codec::DecodeExt as _;
use commonware_consensus::{
    simplex::scheme::ed25519::Scheme,
    types::{Epoch as Number, EpochInfo, Epocher, Height},
};
use commonware_cryptography::{
    certificate::{Provider, Scoped},
    ed25519::PublicKey,
};
use commonware_utils::ordered::Set;

use crate::{MAX_VALIDATORS, application::Application, error::Error};

/// The last height of an epoch without an end. Below the largest number, so that heights can be counted.
const OPEN: u64 = u64::MAX - 1;

/// One epoch.
struct Known {
    first: u64,
    participants: Set<PublicKey>,
    /// Checks votes.
    verifier: Arc<Scheme>,
}

/// All epochs that are known, from the first on. Every copy is of the same list.
#[derive(Clone)]
pub(crate) struct Epochs {
    known: Arc<RwLock<Vec<Known>>>,
    vote_namespace: Arc<[u8]>,
}

impl Epochs {
    /// The first epoch only.
    pub(crate) fn new(vote_namespace: Vec<u8>, validators: Set<PublicKey>) -> Self {
        let first = Known {
            first: 0,
            verifier: Arc::new(Scheme::verifier(&vote_namespace, validators.clone())),
            participants: validators,
        };
        Self {
            known: Arc::new(RwLock::new(vec![first])),
            vote_namespace: vote_namespace.into(),
        }
    }

    /// Takes over what the application knows by now.
    ///
    /// # Errors
    /// [`Error::Epoch`] for what cannot be an epoch.
    pub(crate) fn refresh(&self, application: &dyn Application) -> Result<(), Error> {
        loop {
            let (number, before) = self.read(|known| {
                let newest = known.last().map_or(0, |newest| newest.first);
                (known.len() as u64, newest)
            });
            let Some(epoch) = application.epoch(number) else {
                return Ok(());
            };
            if epoch.first <= before.max(1) {
                return Err(Error::Epoch(
                    number,
                    "it begins before the one before has a block",
                ));
            }
            let participants = participants(&epoch.validators).map_err(|what| Error::Epoch(number, what))?;
            let known = Known {
                first: epoch.first,
                verifier: Arc::new(Scheme::verifier(&self.vote_namespace, participants.clone())),
                participants,
            };
            self.known
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .push(known);
        }
    }

    fn read<T>(&self, read: impl FnOnce(&[Known]) -> T) -> T {
        read(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The epoch of the block at a height.
    pub(crate) fn at(&self, height: u64) -> u64 {
        self.read(|known| place(known, height) as u64)
    }

    /// The first height of an epoch.
    pub(crate) fn first_height(&self, epoch: u64) -> Option<u64> {
        self.read(|known| known.get(index(epoch)?).map(|one| one.first))
    }

    /// The last height of an epoch that has an end.
    pub(crate) fn last_height(&self, epoch: u64) -> Option<u64> {
        Some(self.first_height(epoch.checked_add(1)?)? - 1)
    }

    /// The validators of an epoch.
    pub(crate) fn participants(&self, epoch: u64) -> Option<Set<PublicKey>> {
        self.read(|known| known.get(index(epoch)?).map(|one| one.participants.clone()))
    }
}

/// A usable set of validators.
pub(crate) fn participants(keys: &[[u8; 32]]) -> Result<Set<PublicKey>, &'static str> {
    if keys.is_empty() || keys.len() > MAX_VALIDATORS {
        return Err("there must be 1 to 64 validators");
    }
    let keys: Result<Vec<_>, _> = keys.iter().map(|key| PublicKey::decode(key.to_vec())).collect();
    let keys = keys.map_err(|_| "a key is not an Ed25519 point")?;
    Set::try_from(keys).map_err(|_| "one key is there twice")
}

fn index(epoch: u64) -> Option<usize> {
    usize::try_from(epoch).ok()
}

fn place(known: &[Known], height: u64) -> usize {
    known.partition_point(|one| one.first <= height).saturating_sub(1)
}

impl Epocher for Epochs {
    fn containing(&self, height: Height) -> Option<EpochInfo> {
        self.read(|known| {
            let place = place(known, height.get());
            let last = known.get(place + 1).map_or(OPEN, |next| next.first - 1);
            let first = Height::new(known.get(place)?.first);
            let number = Number::new(place as u64);
            (height.get() <= last).then(|| EpochInfo::new(number, height, first, Height::new(last)))
        })
    }

    fn first(&self, epoch: Number) -> Option<Height> {
        self.first_height(epoch.get()).map(Height::new)
    }

    fn last(&self, epoch: Number) -> Option<Height> {
        self.first_height(epoch.get())?;
        Some(Height::new(self.last_height(epoch.get()).unwrap_or(OPEN)))
    }
}

impl Provider for Epochs {
    type Scope = Number;
    type Scheme = Scheme;

    fn scoped(&self, epoch: Number) -> Option<Scoped<Scheme>> {
        self.read(|known| {
            let one = known.get(index(epoch.get())?)?;
            Some(Scoped::scheme(Arc::clone(&one.verifier)))
        })
    }
}
