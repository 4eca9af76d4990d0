//! Inclusion in a signed checkpoint, in one text that any C2SP tool reads: C2SP tlog-proof, version 1.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! index <the entry's place in the log>
//! <base64 of a hash>                            the inclusion path, from the leaf to the root
//! (an empty line)
//! <the signed checkpoint>
//! ```
//!
//! An [`EntryProof`](crate::EntryProof) proves the same by the votes for a block and gives the block's height, hash and
//! time as well; this one needs nothing of Quorate but the hash of the entry.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{CheckpointError, CheckpointSigners, SignedCheckpoint};
use crate::endorsers::Endorsers;
use crate::merkle::{Hash, MAX_PATH, ProofError, verify_inclusion};
use crate::note::MAX_NOTE;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
const INDEX: &str = "index ";
/// What stands before the checkpoint is at most two short lines and [`MAX_PATH`] hashes.
const MAX_TEXT: usize = MAX_NOTE + 64 + MAX_PATH * 45;

/// Why a text does not prove that an entry is in the log.
#[derive(Debug, thiserror::Error)]
pub enum TlogProofError {
    /// Too long, or not the lines that the format has.
    #[error("not a C2SP tlog-proof of version 1")]
    Form,
    /// The checkpoint is none, or too few endorsers have signed it.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The entry is not at this place in the checkpoint's log.
    #[error(transparent)]
    Inclusion(#[from] ProofError),
}

/// An index, an inclusion path and the checkpoint that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// The entry's place in the log, from 0.
    pub index: u64,
    /// The inclusion path in the tree of the checkpoint's size, from the leaf to the root.
    pub path: Vec<Hash>,
    /// The checkpoint.
    pub checkpoint: SignedCheckpoint,
}

impl TlogProof {
    /// The text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n{INDEX}{}\n", self.index);
        for hash in &self.path {
            text.push_str(&STANDARD.encode(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint.to_text());
        text
    }

    /// Reads the text. The line `extra`, which nobody signs and nobody here writes, is refused.
    ///
    /// # Errors
    /// [`TlogProofError::Form`], or the checkpoint's.
    pub fn parse(text: &str) -> Result<Self, TlogProofError> {
        if text.len() > MAX_TEXT {
            return Err(TlogProofError::Form);
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(TlogProofError::Form)?;
        let (index, path) = read_head(head).ok_or(TlogProofError::Form)?;
        let proof = Self {
            index,
            path,
            checkpoint: SignedCheckpoint::parse(checkpoint.as_bytes())?,
        };
        if proof.to_text() == text {
            Ok(proof)
        } else {
            Err(TlogProofError::Form)
        }
    }

    /// Checks that the leaf with this hash is in the log of these endorsers, by a checkpoint that a quorum has signed.
    ///
    /// # Errors
    /// [`TlogProofError`].
    pub fn verify(
        &self,
        endorsers: &dyn Endorsers,
        leaf: &Hash,
    ) -> Result<CheckpointSigners, TlogProofError> {
        let signers = self.checkpoint.verify(endorsers)?;
        let checkpoint = self.checkpoint.checkpoint();
        verify_inclusion(leaf, self.index, checkpoint.size, &self.path, &checkpoint.root)?;
        Ok(signers)
    }
}

fn read_head(head: &str) -> Option<(u64, Vec<Hash>)> {
    let mut lines = head.split('\n');
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let index = lines.next()?.strip_prefix(INDEX)?.parse().ok()?;
    let mut path = Vec::new();
    for line in lines {
        if path.len() == MAX_PATH {
            return None;
        }
        path.push(STANDARD.decode(line).ok()?.try_into().ok()?);
    }
    Some((index, path))
}
