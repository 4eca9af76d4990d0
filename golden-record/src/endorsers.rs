//! Who decides, epoch after epoch, for somebody who began with nothing but the genesis.
//!
//! The endorsers of epoch 0 are in the genesis. Each later epoch is decided on by a transaction in the one before, whose
//! outcome is in the log; a [`Handover`] is that entry with the proof, made final by the endorsers that hand over. So whoever
//! knows the endorsers of an epoch can check who those of the next are, and comes from the genesis to the present without
//! believing anybody. In each epoch there is exactly one such transaction, and with the last block of an epoch its endorsers
//! have no say any more.

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::name::Name;
use threshold::signature::PublicKey;

use crate::body::{Body, Change};
use crate::codec::{read_version, write_version};
use crate::entry::Entry;
use crate::genesis::{Genesis, MAX_PARTIES};
use crate::outcome::Outcome;
use crate::proof::{EntryProof, EntryProofError};
use crate::queries;
use crate::quorum::Quorum;
use crate::records::Epoch;
use crate::rules::first_height;
use crate::state::StateReader;

/// The endorsers of one epoch, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndorserSet {
    first: u64,
    /// The place in the log of the entry that decided on it; none for those of the genesis.
    decided: Option<u64>,
    /// Ascending by the bytes of the keys.
    members: Vec<(Name, PublicKey)>,
}

impl EndorserSet {
    fn new(first: u64, decided: Option<u64>, mut members: Vec<(Name, PublicKey)>) -> Self {
        members.sort_unstable_by_key(|(_, key)| *key.as_bytes());
        Self {
            first,
            decided,
            members,
        }
    }

    /// The height of its first block.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The place in the log, from 0, of the entry that decided on it; none for the endorsers of the genesis.
    pub fn decided(&self) -> Option<u64> {
        self.decided
    }

    /// The organisations and the keys that they vote with, ascending by the bytes of the keys: a signature's index in
    /// finality evidence counts in this.
    pub fn members(&self) -> &[(Name, PublicKey)] {
        &self.members
    }

    /// How many of them decide.
    pub fn quorum(&self) -> Option<Quorum> {
        Quorum::of(self.members.len())
    }

    /// How many must agree; nobody can where there is no member.
    pub fn needed(&self) -> usize {
        self.quorum().map_or(usize::MAX, |quorum| quorum.needed())
    }

    fn after(&self, first: u64, decided: u64, change: &Change) -> Option<Self> {
        let mut members = self.members.clone();
        let is = |name: &Name| members.iter().position(|(one, _)| one == name);
        match change {
            Change::AddOrganisation { organisation, .. } => {
                let (name, key) = (&organisation.name, organisation.validator);
                let free = members.iter().all(|(one, held)| one != name && *held != key);
                (free && members.len() < MAX_PARTIES).then(|| members.push((name.clone(), key)))?;
            }
            Change::RemoveOrganisation { organisation } => {
                members.remove(is(organisation)?);
                (!members.is_empty()).then_some(())?;
            }
            Change::ReplaceEndorser {
                organisation,
                validator,
                ..
            } => {
                let place = is(organisation)?;
                members.get_mut(place)?.1 = *validator;
            }
            _ => return None,
        }
        Some(Self::new(first, Some(decided), members))
    }
}

/// Whose votes count: what is known of the endorsers, from the genesis on.
pub trait Endorsers {
    /// The beginning of the chain.
    fn genesis(&self) -> &Genesis;

    /// The endorsers of an epoch, if they are known.
    fn of_epoch(&self, epoch: u64) -> Option<EndorserSet>;

    /// Whether a block of this height is in an epoch, as far as is known when that ends.
    fn is_in(&self, epoch: u64, height: u64) -> bool {
        let begun = self.of_epoch(epoch).is_some_and(|set| set.first <= height);
        let next = epoch.checked_add(1).and_then(|next| self.of_epoch(next));
        begun && next.is_none_or(|next| height < next.first)
    }

    /// All epochs that are known, from the first on.
    fn known(&self) -> Vec<EndorserSet> {
        (0..).map_while(|epoch| self.of_epoch(epoch)).collect()
    }
}

/// Whoever has only the genesis knows the first epoch.
impl Endorsers for Genesis {
    fn genesis(&self) -> &Genesis {
        self
    }

    fn of_epoch(&self, epoch: u64) -> Option<EndorserSet> {
        let members = self.organisations().iter();
        (epoch == 0).then(|| {
            EndorserSet::new(
                0,
                None,
                members.map(|one| (one.name.clone(), one.validator)).collect(),
            )
        })
    }
}

impl From<&Epoch> for EndorserSet {
    fn from(epoch: &Epoch) -> Self {
        let endorsers = epoch.endorsers.iter();
        let members = endorsers.map(|one| (one.organisation.clone(), one.validator));
        Self::new(epoch.first, Some(epoch.log_index), members.collect())
    }
}

/// The endorsers as a state has them: for whoever has executed the blocks, and needs no handover.
pub struct StateEndorsers<'a> {
    /// The beginning of the chain.
    pub genesis: &'a Genesis,
    /// The state. An epoch that cannot be read is not known.
    pub state: &'a dyn StateReader,
}

impl Endorsers for StateEndorsers<'_> {
    fn genesis(&self) -> &Genesis {
        self.genesis
    }

    fn of_epoch(&self, epoch: u64) -> Option<EndorserSet> {
        if epoch == 0 {
            return self.genesis.of_epoch(0);
        }
        let found = queries::epoch(self.state, epoch).ok().flatten();
        found.as_ref().map(EndorserSet::from)
    }
}

/// Why a handover does not show who follows.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The transaction changes no endorsers, or was not the one that decided.
    #[error("the transaction did not change the endorsers")]
    NoChange,
    /// It is not on the chain, as far as the endorsers of the newest epoch that is known say.
    #[error(transparent)]
    Proof(#[from] EntryProofError),
    /// It is of an earlier epoch than the newest that is known, or was made final by a later one.
    #[error("the transaction was not decided on in epoch {0}, the newest that is known")]
    WrongEpoch(u64),
    /// It cannot be applied to the endorsers of the epoch. Their quorum's fault.
    #[error("the change does not fit the endorsers")]
    Misfit,
}

/// The transaction that decided on the next epoch, and that it is on the chain.
///
/// Encoded as `version (1) ‖ suite (1) ‖ entry ‖ proof`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The transaction and its outcome.
    pub entry: Entry,
    /// Made final in the epoch that hands over.
    pub proof: EntryProof,
}

impl Canonical for Handover {
    fn encode(&self, writer: &mut Writer) {
        write_version(writer);
        writer.put(&self.entry);
        writer.put(&self.proof);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_version(reader, "handover")?;
        Ok(Self {
            entry: reader.get()?,
            proof: reader.get()?,
        })
    }
}

/// The epochs that follow from a genesis and the handovers since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epochs {
    genesis: Genesis,
    later: Vec<EndorserSet>,
    handovers: Vec<Handover>,
}

impl Epochs {
    /// Knows the first epoch only.
    pub fn new(genesis: Genesis) -> Self {
        Self {
            genesis,
            later: Vec::new(),
            handovers: Vec::new(),
        }
    }

    /// The number of the newest epoch that is known.
    pub fn newest(&self) -> u64 {
        self.later.len() as u64
    }

    /// The endorsers of the newest epoch that is known.
    pub fn endorsers(&self) -> EndorserSet {
        let first = || EndorserSet::new(0, None, Vec::new());
        self.of_epoch(self.newest()).unwrap_or_else(first)
    }

    /// The handovers that lead to an epoch, from the first on.
    pub fn handovers_to(&self, epoch: u64) -> &[Handover] {
        let count = usize::try_from(epoch).unwrap_or(usize::MAX);
        self.handovers.get(..count).unwrap_or(&self.handovers)
    }

    /// Learns the next epoch.
    ///
    /// # Errors
    /// [`HandoverError`]; then nothing is learned.
    pub fn advance(&mut self, handover: Handover) -> Result<(), HandoverError> {
        let Body::Govern { change, .. } = &handover.entry.transaction.body else {
            return Err(HandoverError::NoChange);
        };
        if !change.is_of_endorsers() || handover.entry.outcome != Outcome::Applied {
            return Err(HandoverError::NoChange);
        }
        let (number, endorsers) = (self.newest(), self.endorsers());
        if handover.proof.evidence.epoch != number {
            return Err(HandoverError::WrongEpoch(number));
        }
        let decided = handover.proof.verify(self, &handover.entry)?.height;
        if decided < endorsers.first {
            return Err(HandoverError::WrongEpoch(number));
        }
        // Its block is final in this epoch, by a block of this epoch: nothing after the last one counts.
        let first = first_height(decided);
        let last = handover
            .proof
            .headers
            .last()
            .map_or(u64::MAX, |header| header.height);
        if last >= first {
            return Err(HandoverError::WrongEpoch(number));
        }
        let next = endorsers.after(first, handover.proof.index, change);
        let next = next.ok_or(HandoverError::Misfit)?;
        self.later.push(next);
        self.handovers.push(handover);
        Ok(())
    }
}

impl Endorsers for Epochs {
    fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    fn of_epoch(&self, epoch: u64) -> Option<EndorserSet> {
        match epoch.checked_sub(1) {
            None => self.genesis.of_epoch(0),
            Some(place) => self.later.get(usize::try_from(place).ok()?).cloned(),
        }
    }
}
