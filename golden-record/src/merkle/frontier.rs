//! The compact right edge of the tree: enough to append and to know the root.

use super::{Hash, empty_root, node_hash};

/// A tree of `u64` entries has at most this many completed subtrees on its right edge.
pub const MAX_PEAKS: usize = 64;

/// The roots of the completed subtrees that make up the tree, the largest first: one for each bit set in `size`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The frontier of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// The frontier with these parts, or nothing when their number does not fit the size.
    pub fn from_parts(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        let expected = usize::try_from(size.count_ones()).ok()?;
        (peaks.len() == expected).then_some(Self { size, peaks })
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the completed subtrees, the largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends one leaf and gives `completed` every subtree that is complete by it, the leaf itself (level 0)
    /// included, as (level, index, hash): the subtree covers leaves `index·2^level .. (index+1)·2^level`.
    ///
    /// Returns nothing, and appends nothing, when the tree is full.
    pub fn push(&mut self, leaf: Hash, mut completed: impl FnMut(u8, u64, Hash)) -> Option<()> {
        let position = self.size;
        let size = position.checked_add(1)?;
        let mut hash = leaf;
        let mut level = 0u8;
        completed(level, position, hash);
        while (position >> level) & 1 == 1 {
            let left = self.peaks.pop()?;
            hash = node_hash(&left, &hash);
            level += 1;
            completed(level, position >> level, hash);
        }
        self.peaks.push(hash);
        self.size = size;
        Some(())
    }

    /// The root hash of the tree.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => empty_root(),
            Some(smallest) => peaks.fold(*smallest, |right, left| node_hash(left, &right)),
        }
    }
}
