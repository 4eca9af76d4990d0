//! Proof that an entry is on the chain, to be checked with nothing but the genesis and the handovers since.

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};

use crate::block::Header;
use crate::codec::{read_version, write_version};
use crate::endorsers::Endorsers;
use crate::entry::Entry;
use crate::evidence::{EvidenceError, FinalityEvidence};
use crate::genesis::Genesis;
use crate::merkle::{Hash, MAX_PATH, ProofError, verify_inclusion};

/// The most headers from an entry's block to the one with evidence.
pub const MAX_HEADERS: usize = 1024;

/// Why a proof does not show that an entry is on the chain.
#[derive(Debug, thiserror::Error)]
pub enum EntryProofError {
    /// No header, or more than [`MAX_HEADERS`].
    #[error("the proof has no header, or too many")]
    Headers,
    /// A header is of another chain than the genesis.
    #[error("a header is of another chain")]
    WrongChain,
    /// A header is not the parent of the next.
    #[error("the headers are not a chain")]
    BrokenChain,
    /// The index is not of the first header's block.
    #[error("entry {index} is not in the block of entries {first} to {size}")]
    WrongBlock {
        /// The entry's claimed index.
        index: u64,
        /// The block's first index.
        first: u64,
        /// The log's size with the block.
        size: u64,
    },
    /// The entry is not in the log at this index.
    #[error(transparent)]
    Inclusion(#[from] ProofError),
    /// The evidence is for another block than the last header's.
    #[error("the evidence is for another block")]
    WrongPayload,
    /// The evidence does not hold.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
}

/// Inclusion in a block, the chain from there to a block with evidence, and the evidence.
///
/// Encoded as `version (1) ‖ suite (1) ‖ u64 index ‖ u32 count ‖ path ‖ u32 count ‖ headers ‖ evidence`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryProof {
    /// The entry's index in the log.
    pub index: u64,
    /// The inclusion path in the log of the first header's size, from the leaf to the root.
    pub path: Vec<Hash>,
    /// From the entry's own block to the block that the evidence is for, by ascending height.
    pub headers: Vec<Header>,
    /// The votes for the last of them.
    pub evidence: FinalityEvidence,
}

impl EntryProof {
    /// Checks that the entry, with this outcome, is on the chain of these endorsers, and returns the header of its
    /// block: its height and time.
    ///
    /// # Errors
    /// [`EntryProofError`].
    pub fn verify(&self, endorsers: &dyn Endorsers, entry: &Entry) -> Result<&Header, EntryProofError> {
        if self.headers.len() > MAX_HEADERS {
            return Err(EntryProofError::Headers);
        }
        let first = self.headers.first().ok_or(EntryProofError::Headers)?;
        let last = self.headers.last().ok_or(EntryProofError::Headers)?;
        self.check_chain(endorsers.genesis())?;
        let (start, size) = (first.first_index(), first.log_size);
        if self.index < start || self.index >= size {
            return Err(EntryProofError::WrongBlock {
                index: self.index,
                first: start,
                size,
            });
        }
        verify_inclusion(&entry.leaf_hash(), self.index, size, &self.path, &first.log_root)?;
        if self.evidence.block_hash() != last.hash() {
            return Err(EntryProofError::WrongPayload);
        }
        self.evidence.verify_header(endorsers, last)?;
        Ok(first)
    }

    fn check_chain(&self, genesis: &Genesis) -> Result<(), EntryProofError> {
        let chain_id = genesis.chain_id();
        if self.headers.iter().any(|header| header.chain_id != chain_id) {
            return Err(EntryProofError::WrongChain);
        }
        for (parent, child) in self.headers.iter().zip(self.headers.iter().skip(1)) {
            let follows = Some(child.height) == parent.height.checked_add(1) && child.parent == parent.hash();
            if !follows {
                return Err(EntryProofError::BrokenChain);
            }
        }
        Ok(())
    }
}

impl Canonical for EntryProof {
    fn encode(&self, writer: &mut Writer) {
        write_version(writer);
        writer.u64(self.index);
        writer.count(self.path.len());
        for hash in &self.path {
            writer.fixed(hash);
        }
        writer.list(&self.headers);
        writer.put(&self.evidence);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_version(reader, "entry proof")?;
        let index = reader.u64()?;
        let count = reader.count(MAX_PATH)?;
        let path = (0..count).map(|_| reader.fixed()).collect::<Result<_, _>>()?;
        Ok(Self {
            index,
            path,
            headers: reader.list(MAX_HEADERS)?,
            evidence: reader.get()?,
        })
    }
}
