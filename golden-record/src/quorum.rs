//! How many of how many: the arithmetic of Byzantine agreement, in one place.

/// The quorum of a set of validators: with `n` of them, at most `f = floor((n - 1) / 3)` may be dishonest, and
/// `n - f` votes make a block final, so that any two quorums share an honest validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    validators: usize,
}

impl Quorum {
    /// The quorum of a set of this size; nothing for the empty set, in which nobody could be outvoted.
    pub fn of(validators: usize) -> Option<Self> {
        (validators > 0).then_some(Self { validators })
    }

    /// n: the size of the set.
    pub fn validators(&self) -> usize {
        self.validators
    }

    /// f: how many of them may be dishonest.
    pub fn tolerated(&self) -> usize {
        (self.validators - 1) / 3
    }

    /// n - f: how many votes decide.
    pub fn needed(&self) -> usize {
        self.validators - self.tolerated()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_small_sets() {
        assert_eq!(Quorum::of(0), None);
        let table = [
            (1, 1),
            (2, 2),
            (3, 3),
            (4, 3),
            (5, 4),
            (6, 5),
            (7, 5),
            (10, 7),
            (64, 43),
        ];
        for (validators, needed) in table {
            assert_eq!(Quorum::of(validators).unwrap().needed(), needed, "{validators}");
        }
    }

    #[test]
    fn two_quorums_share_an_honest_validator() {
        for validators in 1..200 {
            let quorum = Quorum::of(validators).unwrap();
            assert!(2 * quorum.needed() > quorum.validators() + quorum.tolerated());
        }
    }
}
