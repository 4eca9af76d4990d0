//! The Merkle tree over all entries ever recorded, hashed as RFC 6962 section 2.1 says.
//!
//! ```text
//! empty tree   SHA-256("")
//! leaf         SHA-256(0x00 ‖ canonical bytes of the entry)
//! node         SHA-256(0x01 ‖ left ‖ right)
//! ```
//!
//! The prefixes keep a node from being presented as a leaf. Proofs are computed from the hashes of completed
//! subtrees ([`NodeReader`]) and checked without any ([`verify_inclusion`], [`verify_consistency`]).

mod frontier;
mod proof;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

pub use frontier::{Frontier, MAX_PEAKS};
pub use proof::{
    MAX_PATH, NodeReader, ProofError, consistency_proof, inclusion_proof, verify_consistency,
    verify_inclusion,
};

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// The root of the tree with no entries: SHA-256 of nothing (RFC 6962 section 2.1).
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The hash of one leaf: SHA-256(0x00 ‖ `entry`).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0x00]);
    hasher.update(entry);
    hasher.finalize().into()
}

/// The hash of one inner node: SHA-256(0x01 ‖ `left` ‖ `right`).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0x01]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}
