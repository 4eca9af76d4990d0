//! Checkpoints of the log, signed by the endorsers: what any C2SP tool verifies, without knowing of blocks.
//!
//! ```text
//! quorate/<chain id in hexadecimal>
//! <number of entries>
//! <base64 of the RFC 6962 root over them>
//!
//! — quorate/<chain id in hexadecimal>/<organisation> <base64 of key id and signature>
//! ```
//!
//! This is a C2SP tlog-checkpoint (v1.0.0). Each endorser signs it with the key that it votes with, which the genesis
//! and the handovers since pin: the statement is one that its vote for a block makes already, since a header binds the log's size and root,
//! so a second key would be one more to pin and to lose. That neither signature passes for the other follows from the
//! first two bytes: a vote begins with the length of its namespace and `Q`, a handshake of the engine's transport with a
//! zero, a checkpoint with `qu`.
//!
//! An endorser signs the checkpoint of a final block in its own store and no other. One dishonest endorser can sign
//! what it likes: a checkpoint counts when a quorum of the endorsers of one epoch has signed it, the newest that is known; of
//! those of an earlier one, only when the log has no entries after the one with which they handed over.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use threshold::ids::ChainId;
use threshold::name::Name;
use threshold::signature::PublicKey;

use crate::block::Header;
use crate::endorsers::{EndorserSet, Endorsers};
use crate::merkle::Hash;
use crate::note::{Note, NoteError, NoteKey};

/// Why something is not a checkpoint of the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a signed note, or a signature on it that does not hold.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not an origin, a size and a root.
    #[error("the text is not an origin, a size and a root, one line each")]
    Text,
    /// Of another log than the chain's.
    #[error("the checkpoint is of the log {0}")]
    WrongOrigin(String),
    /// Fewer endorsers than the quorum have signed.
    #[error("{given} endorsers have signed, and {needed} are needed")]
    TooFew {
        /// How many have.
        given: usize,
        /// How many must.
        needed: usize,
    },
}

/// The size and the root of the log, of the chain that the origin names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log: see [`log_origin`].
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The RFC 6962 root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The log as it is with a block.
    pub fn of(header: &Header) -> Self {
        Self {
            origin: log_origin(&header.chain_id),
            size: header.log_size,
            root: header.log_root,
        }
    }

    /// What is signed: three lines.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Reads the three lines. Extension lines, which the format permits and nobody here writes, are refused.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let checkpoint = Self {
            origin: lines.next()?.to_owned(),
            size: lines.next()?.parse().ok()?,
            root: STANDARD.decode(lines.next()?).ok()?.try_into().ok()?,
        };
        // The same text again, or it was a size with leading zeros or a sign.
        (!checkpoint.origin.is_empty() && checkpoint.text() == text).then_some(checkpoint)
    }
}

/// The name of a chain's log in checkpoints.
pub fn log_origin(chain_id: &ChainId) -> String {
    format!("quorate/{chain_id}")
}

/// The keys that sign a chain's checkpoints: those of all endorsers of all epochs that are known, each once.
///
/// # Errors
/// None that occurs: an organisation's name is within a key name's alphabet.
pub fn checkpoint_keys(endorsers: &dyn Endorsers) -> Result<Vec<(Name, NoteKey)>, NoteError> {
    let origin = log_origin(&endorsers.genesis().chain_id());
    let (mut seen, mut keys) = (BTreeSet::new(), Vec::new());
    let known = endorsers.known();
    let of_genesis = endorsers.genesis().organisations().iter();
    let later = known.iter().flat_map(EndorserSet::members);
    // Those of the genesis in its order, then those who came later.
    let all = of_genesis
        .map(|one| (&one.name, one.validator))
        .chain(later.map(|(name, validator)| (name, *validator)));
    for (name, validator) in all {
        if seen.insert((name.clone(), validator)) {
            keys.push((name.clone(), key_of(&origin, name, validator)?));
        }
    }
    Ok(keys)
}

fn key_of(origin: &str, organisation: &Name, validator: PublicKey) -> Result<NoteKey, NoteError> {
    NoteKey::new(&format!("{origin}/{organisation}"), validator)
}

/// A checkpoint and the signatures on it, none of which has been verified by being here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

/// The endorsers that have signed a checkpoint, a quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointSigners {
    /// Their organisations.
    pub organisations: BTreeSet<Name>,
    /// Further signature lines, by keys that no endorser has or had: witnesses, for example.
    pub unknown: usize,
}

impl SignedCheckpoint {
    /// A checkpoint that nobody has signed yet.
    ///
    /// # Errors
    /// [`CheckpointError`] when the origin has no place in a note.
    pub fn unsigned(checkpoint: Checkpoint) -> Result<Self, CheckpointError> {
        let note = Note::unsigned(checkpoint.text())?;
        let whole = Checkpoint::parse(note.text()).as_ref() == Some(&checkpoint);
        if whole {
            Ok(Self { checkpoint, note })
        } else {
            Err(CheckpointError::Text)
        }
    }

    /// Reads a signed checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError::Note`] or [`CheckpointError::Text`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        let checkpoint = Checkpoint::parse(note.text()).ok_or(CheckpointError::Text)?;
        Ok(Self { checkpoint, note })
    }

    /// The signed note.
    pub fn to_text(&self) -> String {
        self.note.to_text()
    }

    /// What is signed. Worth nothing before [`SignedCheckpoint::verify`].
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// How many signature lines there are.
    pub fn signature_count(&self) -> usize {
        self.note.signatures().len()
    }

    /// Signs as an organisation's endorser, with its validator key. The caller has the block, final, in its store.
    ///
    /// # Errors
    /// None that occurs: see [`checkpoint_keys`].
    pub fn sign(&mut self, organisation: &Name, validator: &SigningKey) -> Result<(), CheckpointError> {
        let key = key_of(&self.checkpoint.origin, organisation, PublicKey::of(validator))?;
        self.note.sign(&key, validator);
        Ok(())
    }

    /// Adds the signatures of another copy of the same checkpoint; of another checkpoint, nothing.
    pub fn merge(&mut self, other: &Self) {
        self.note.merge(&other.note);
    }

    /// Those of the chain's organisations that have signed, of whatever epoch, few or many; whoever wants a checkpoint that
    /// counts takes [`SignedCheckpoint::verify`].
    ///
    /// # Errors
    /// Another origin than the chain's; a signature of one of its endorsers that does not hold, or a second one.
    pub fn signers(&self, endorsers: &dyn Endorsers) -> Result<CheckpointSigners, CheckpointError> {
        Ok(self.signers_of(self.keys_that_signed(endorsers)?))
    }

    fn signers_of(&self, keys: BTreeSet<(Name, PublicKey)>) -> CheckpointSigners {
        CheckpointSigners {
            unknown: self.signature_count() - keys.len(),
            organisations: keys.into_iter().map(|(name, _)| name).collect(),
        }
    }

    fn keys_that_signed(
        &self,
        endorsers: &dyn Endorsers,
    ) -> Result<BTreeSet<(Name, PublicKey)>, CheckpointError> {
        let chain_id = endorsers.genesis().chain_id();
        if self.checkpoint.origin != log_origin(&chain_id) {
            return Err(CheckpointError::WrongOrigin(self.checkpoint.origin.clone()));
        }
        let (names, keys): (Vec<Name>, Vec<NoteKey>) = checkpoint_keys(endorsers)?.into_iter().unzip();
        let places = self.note.signers(&keys)?;
        let signed = places.iter().filter_map(|place| {
            let key = keys.get(*place)?.public_key();
            Some((names.get(*place)?.clone(), key))
        });
        Ok(signed.collect())
    }

    /// Checks that a quorum of the endorsers of the newest epoch that is known, each counted once, has signed: a checkpoint
    /// does not say when it was signed, and an endorser signs one of any final block. Those of an earlier epoch count up to the
    /// entry with which they handed over: who has handed over has no say about what came later.
    ///
    /// # Errors
    /// As [`SignedCheckpoint::signers`], and [`CheckpointError::TooFew`], with the numbers of the newest epoch.
    pub fn verify(&self, endorsers: &dyn Endorsers) -> Result<CheckpointSigners, CheckpointError> {
        self.check(endorsers, |next| {
            next.decided()
                .is_some_and(|index| self.checkpoint.size <= index.saturating_add(1))
        })
    }

    /// As [`SignedCheckpoint::verify`], for a size and a root that are known to be the log's, from votes or because they were
    /// verified before and kept since: the endorsers of any epoch that is known count.
    ///
    /// # Errors
    /// As [`SignedCheckpoint::verify`].
    pub fn verify_kept(&self, endorsers: &dyn Endorsers) -> Result<CheckpointSigners, CheckpointError> {
        self.check(endorsers, |_| true)
    }

    /// `before` says whether the endorsers count whom these have followed.
    fn check(
        &self,
        endorsers: &dyn Endorsers,
        before: impl Fn(&EndorserSet) -> bool,
    ) -> Result<CheckpointSigners, CheckpointError> {
        let signed = self.keys_that_signed(endorsers)?;
        let known = endorsers.known();
        let mut refused = CheckpointError::TooFew {
            given: 0,
            needed: usize::MAX,
        };
        for (place, set) in known.iter().enumerate() {
            let given = set.members().iter().filter(|one| signed.contains(*one)).count();
            let needed = set.needed();
            if given >= needed && known.get(place + 1).is_none_or(&before) {
                return Ok(self.signers_of(signed));
            }
            refused = CheckpointError::TooFew { given, needed };
        }
        Err(refused)
    }
}
