//! RFC 6962's example tree, every small tree against a naive one, and attack E8.

use super::*;
use crate::state::StateError;

/// The leaves of the Certificate Transparency reference tests.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

/// Their roots, for the first 1, 2, .. 8 of them.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hash(text: &str) -> Hash {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// A tree that recomputes everything, as the RFC defines it.
struct Naive(Vec<Hash>);

impl Naive {
    fn of(size: u64) -> Self {
        Self((0..size).map(|index| leaf_hash(&index.to_be_bytes())).collect())
    }

    fn root_of(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&Self::root_of(left), &Self::root_of(right))
            }
        }
    }

    fn root(&self, size: u64) -> Hash {
        Self::root_of(&self.0[..usize::try_from(size).unwrap()])
    }
}

impl NodeReader for Naive {
    fn node(&self, level: u8, index: u64) -> Result<Hash, StateError> {
        let width = 1usize << level;
        let start = usize::try_from(index).unwrap() * width;
        Ok(Self::root_of(&self.0[start..start + width]))
    }
}

#[test]
fn e8_the_published_vectors_hold() {
    let mut frontier = Frontier::new();
    assert_eq!(
        frontier.root(),
        hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    );
    for (leaf, root) in LEAVES.iter().zip(ROOTS) {
        frontier
            .push(leaf_hash(&hex::decode(leaf).unwrap()), |_, _, _| {})
            .unwrap();
        assert_eq!(frontier.root(), hash(root));
    }
}

#[test]
fn the_published_proofs_hold() {
    let leaves = Naive(
        LEAVES
            .iter()
            .map(|leaf| leaf_hash(&hex::decode(leaf).unwrap()))
            .collect(),
    );
    let inclusion = inclusion_proof(&leaves, 5, 8).unwrap();
    let expected = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(inclusion, expected.map(hash));
    let consistency = consistency_proof(&leaves, 6, 8).unwrap();
    let expected = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(consistency, expected.map(hash));
}

#[test]
fn the_frontier_and_its_subtrees_are_the_naive_trees() {
    let naive = Naive::of(130);
    let mut frontier = Frontier::new();
    for (size, leaf) in (0u64..).zip(&naive.0) {
        assert_eq!(frontier.root(), naive.root(size));
        let check = |level: u8, index: u64, hash: Hash| assert_eq!(hash, naive.node(level, index).unwrap());
        frontier.push(*leaf, check).unwrap();
        let rebuilt = Frontier::from_parts(frontier.size(), frontier.peaks().to_vec());
        assert_eq!(rebuilt.as_ref(), Some(&frontier));
    }
    assert_eq!(Frontier::from_parts(3, vec![[0; 32]]), None);
}

#[test]
fn every_leaf_of_every_small_tree_is_proved_and_no_other() {
    let naive = Naive::of(40);
    for size in 1..=40u64 {
        let root = naive.root(size);
        for index in 0..size {
            let path = inclusion_proof(&naive, index, size).unwrap();
            let leaf = naive.node(0, index).unwrap();
            verify_inclusion(&leaf, index, size, &path, &root).unwrap();
            for other in (0..size).filter(|other| *other != index) {
                assert!(verify_inclusion(&leaf, other, size, &path, &root).is_err());
            }
            let mut longer = path.clone();
            longer.push([7; 32]);
            let refused = verify_inclusion(&leaf, index, size, &longer, &root);
            assert!(matches!(refused, Err(ProofError::WrongLength)));
            for changed in 0..path.len() {
                let mut path = path.clone();
                path[changed][0] ^= 1;
                let refused = verify_inclusion(&leaf, index, size, &path, &root);
                assert!(matches!(refused, Err(ProofError::WrongRoot)));
            }
            if let Some((_, shorter)) = path.split_last() {
                assert!(verify_inclusion(&leaf, index, size, shorter, &root).is_err());
            }
        }
    }
}

#[test]
fn every_small_tree_extends_every_smaller_one_and_no_other() {
    let naive = Naive::of(34);
    let forged = Naive(
        (0..34u64)
            .map(|index| leaf_hash(&(index + 1).to_be_bytes()))
            .collect(),
    );
    for new in 0..=34u64 {
        for old in 0..=new {
            let (old_root, new_root) = (naive.root(old), naive.root(new));
            let path = consistency_proof(&naive, old, new).unwrap();
            verify_consistency(old, new, &path, &old_root, &new_root).unwrap();
            if old > 0 {
                assert!(verify_consistency(old, new, &path, &forged.root(old), &new_root).is_err());
                assert!(verify_consistency(old, new, &path, &old_root, &forged.root(new)).is_err());
            }
            let mut longer = path.clone();
            longer.push([7; 32]);
            assert!(verify_consistency(old, new, &longer, &old_root, &new_root).is_err());
            if let Some((_, shorter)) = path.split_last() {
                assert!(verify_consistency(old, new, shorter, &old_root, &new_root).is_err());
            }
        }
    }
}

#[test]
fn e8_size_zero_has_no_leaf() {
    let naive = Naive::of(1);
    let refused = inclusion_proof(&naive, 0, 0);
    assert!(matches!(
        refused,
        Err(ProofError::NoSuchLeaf { index: 0, size: 0 })
    ));
    let refused = verify_inclusion(&empty_root(), 0, 0, &[], &empty_root());
    assert!(matches!(refused, Err(ProofError::NoSuchLeaf { .. })));
    verify_consistency(0, 0, &[], &empty_root(), &empty_root()).unwrap();
    assert!(verify_consistency(0, 0, &[], &[1; 32], &[1; 32]).is_err());
    assert!(verify_consistency(0, 1, &[], &[1; 32], &naive.root(1)).is_err());
}

#[test]
fn e8_an_index_past_the_end_is_refused() {
    let naive = Naive::of(8);
    let path = inclusion_proof(&naive, 6, 7).unwrap();
    let leaf = naive.node(0, 6).unwrap();
    for index in [7, 8, u64::MAX] {
        let refused = verify_inclusion(&leaf, index, 7, &path, &naive.root(7));
        assert!(matches!(refused, Err(ProofError::NoSuchLeaf { .. })));
        assert!(matches!(
            inclusion_proof(&naive, index, 7),
            Err(ProofError::NoSuchLeaf { .. })
        ));
    }
    assert!(matches!(
        consistency_proof(&naive, 8, 7),
        Err(ProofError::Shrunk { .. })
    ));
    let refused = verify_consistency(8, 7, &[], &naive.root(8), &naive.root(7));
    assert!(matches!(refused, Err(ProofError::Shrunk { .. })));
}

#[test]
fn e8_a_node_is_not_a_leaf() {
    let naive = Naive::of(4);
    let (left, right) = (naive.node(1, 0).unwrap(), naive.node(1, 1).unwrap());
    // Somebody presents the two children of the left node, joined, as the contents of a leaf of a tree of two.
    let contents = [naive.node(0, 0).unwrap(), naive.node(0, 1).unwrap()].concat();
    let refused = verify_inclusion(&leaf_hash(&contents), 0, 2, &[right], &naive.root(4));
    assert!(matches!(refused, Err(ProofError::WrongRoot)));
    // It would pass if leaves were hashed as nodes are: the path itself is right.
    verify_inclusion(&left, 0, 2, &[right], &naive.root(4)).unwrap();
}

#[test]
fn e8_the_proof_of_another_tree_is_refused() {
    let naive = Naive::of(9);
    let path = inclusion_proof(&naive, 3, 8).unwrap();
    let leaf = naive.node(0, 3).unwrap();
    assert!(verify_inclusion(&leaf, 3, 8, &path, &naive.root(9)).is_err());
    assert!(verify_inclusion(&leaf, 3, 9, &path, &naive.root(9)).is_err());
    assert!(verify_inclusion(&leaf, 3, 9, &path, &naive.root(8)).is_err());
}

#[test]
fn huge_sizes_do_not_loop_or_overflow() {
    let size = u64::MAX;
    let path = vec![[1; 32]; MAX_PATH];
    assert!(verify_inclusion(&[0; 32], size - 1, size, &path, &[0; 32]).is_err());
    assert!(verify_consistency(size - 1, size, &path, &[0; 32], &[0; 32]).is_err());
    assert!(verify_consistency(1 << 63, size, &path, &[0; 32], &[0; 32]).is_err());
}
