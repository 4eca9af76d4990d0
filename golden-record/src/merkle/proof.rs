//! Inclusion and consistency proofs (RFC 6962 sections 2.1.1 and 2.1.2; checked as RFC 9162 sections 2.1.3.2
//! and 2.1.4.2 say).

use super::{Hash, empty_root, node_hash};
use crate::state::StateError;

/// No proof about a tree of at most 2^64 leaves has more hashes than this.
pub const MAX_PATH: usize = 64;

/// Where the hashes of completed subtrees are read from.
pub trait NodeReader {
    /// The hash of the complete subtree over leaves `index·2^level .. (index+1)·2^level`.
    ///
    /// # Errors
    /// When the store fails or the subtree is not known.
    fn node(&self, level: u8, index: u64) -> Result<Hash, StateError>;
}

/// Why a proof was not made, or not believed.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The index is not smaller than the size of the tree, which is always so for the empty tree.
    #[error("there is no leaf {index} in a tree of {size}")]
    NoSuchLeaf {
        /// The leaf asked for.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// A tree is consistent only with one at least as large.
    #[error("a tree of {new} leaves cannot extend one of {old}")]
    Shrunk {
        /// The size of the older tree.
        old: u64,
        /// The size of the newer tree.
        new: u64,
    },
    /// The proof has more or fewer hashes than a tree of this size needs.
    #[error("the proof has the wrong number of hashes")]
    WrongLength,
    /// The proof leads to another root: other contents, another position or another tree.
    #[error("the proof leads to another root")]
    WrongRoot,
    /// The hashes could not be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The largest power of two smaller than `size` (RFC 6962's k); `size` is at least 2.
fn split(size: u64) -> u64 {
    1u64 << (63 - (size - 1).leading_zeros())
}

/// The hash of leaves `start .. start + size` (RFC 6962's MTH), read from completed subtrees.
fn range_hash(nodes: &dyn NodeReader, start: u64, size: u64) -> Result<Hash, StateError> {
    if size.is_power_of_two() {
        // Every range met here starts at a multiple of its largest completed subtree.
        let level = u8::try_from(size.trailing_zeros()).unwrap_or(u8::MAX);
        return nodes.node(level, start >> level);
    }
    let left = split(size);
    Ok(node_hash(
        &range_hash(nodes, start, left)?,
        &range_hash(nodes, start + left, size - left)?,
    ))
}

/// The path that proves leaf `index` in the tree of the first `size` leaves: siblings from the leaf to the root.
///
/// # Errors
/// When the leaf is not in the tree, or a hash cannot be read.
pub fn inclusion_proof(nodes: &dyn NodeReader, index: u64, size: u64) -> Result<Vec<Hash>, ProofError> {
    if index >= size {
        return Err(ProofError::NoSuchLeaf { index, size });
    }
    let (mut start, mut width) = (0, size);
    let mut path = Vec::new();
    while width > 1 {
        let left = split(width);
        if index - start < left {
            path.push(range_hash(nodes, start + left, width - left)?);
            width = left;
        } else {
            path.push(range_hash(nodes, start, left)?);
            start += left;
            width -= left;
        }
    }
    path.reverse();
    Ok(path)
}

/// The path that proves that the tree of the first `new` leaves extends the tree of the first `old`.
///
/// # Errors
/// When `old` is larger than `new`, or a hash cannot be read.
pub fn consistency_proof(nodes: &dyn NodeReader, old: u64, new: u64) -> Result<Vec<Hash>, ProofError> {
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    let mut path = Vec::new();
    if old == 0 || old == new {
        return Ok(path);
    }
    let (mut start, mut width) = (0, new);
    // While the old tree ends exactly where this subtree does and starts with it, its root needs no proof.
    let mut whole = true;
    while start + width != old {
        let left = split(width);
        if old - start <= left {
            path.push(range_hash(nodes, start + left, width - left)?);
            width = left;
        } else {
            path.push(range_hash(nodes, start, left)?);
            start += left;
            width -= left;
            whole = false;
        }
    }
    if !whole {
        path.push(range_hash(nodes, start, width)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks that the leaf with this hash is leaf `index` of the tree of `size` leaves with this root.
///
/// # Errors
/// [`ProofError::NoSuchLeaf`], [`ProofError::WrongLength`] or [`ProofError::WrongRoot`].
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::NoSuchLeaf { index, size });
    }
    let mut walk = Walk {
        node: index,
        last: size - 1,
    };
    let mut hash = *leaf;
    for sibling in path {
        hash = match walk.up()? {
            Side::Left => node_hash(sibling, &hash),
            Side::Right => node_hash(&hash, sibling),
        };
    }
    walk.finish()?;
    if hash == *root {
        Ok(())
    } else {
        Err(ProofError::WrongRoot)
    }
}

/// Checks that the tree of `new` leaves with root `new_root` extends the tree of `old` leaves with `old_root`.
///
/// # Errors
/// [`ProofError::Shrunk`], [`ProofError::WrongLength`] or [`ProofError::WrongRoot`].
pub fn verify_consistency(
    old: u64,
    new: u64,
    path: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    if old == 0 || old == new {
        let expected = if old == new { new_root } else { &empty_root() };
        let empty_is_empty = new != 0 || *new_root == empty_root();
        return match (path.is_empty(), old_root == expected && empty_is_empty) {
            (false, _) => Err(ProofError::WrongLength),
            (true, false) => Err(ProofError::WrongRoot),
            (true, true) => Ok(()),
        };
    }
    let mut walk = Walk {
        node: old - 1,
        last: new - 1,
    };
    while walk.node & 1 == 1 {
        walk.shift();
    }
    // When the old tree is one complete subtree, its root is where the path starts and does not travel.
    let (first, rest) = if old.is_power_of_two() {
        (old_root, path)
    } else {
        path.split_first().ok_or(ProofError::WrongLength)?
    };
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        match walk.up()? {
            Side::Left => {
                old_hash = node_hash(sibling, &old_hash);
                new_hash = node_hash(sibling, &new_hash);
            }
            Side::Right => new_hash = node_hash(&new_hash, sibling),
        }
    }
    walk.finish()?;
    if old_hash == *old_root && new_hash == *new_root {
        Ok(())
    } else {
        Err(ProofError::WrongRoot)
    }
}

/// On which side of the node the sibling stands.
enum Side {
    Left,
    Right,
}

/// The way from a node to the root: RFC 9162's `fn` and `sn`.
struct Walk {
    node: u64,
    last: u64,
}

impl Walk {
    fn shift(&mut self) {
        self.node >>= 1;
        self.last >>= 1;
    }

    /// One level up, skipping those where the node has no sibling.
    fn up(&mut self) -> Result<Side, ProofError> {
        if self.last == 0 {
            return Err(ProofError::WrongLength);
        }
        let side = if self.node & 1 == 1 || self.node == self.last {
            while self.node & 1 == 0 && self.node != 0 {
                self.shift();
            }
            Side::Left
        } else {
            Side::Right
        };
        self.shift();
        Ok(side)
    }

    fn finish(&self) -> Result<(), ProofError> {
        if self.last == 0 {
            Ok(())
        } else {
            Err(ProofError::WrongLength)
        }
    }
}
