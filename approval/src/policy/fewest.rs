//! How many organisations it takes.

use super::{Expression, Item};

impl Expression {
    /// The fewest organisations that satisfy the expression, those that occur repeatedly counted repeatedly.
    pub(super) fn fewest(&self) -> usize {
        match self {
            Self::Organisation(_) => 1,
            Self::And(parts) => parts.iter().map(Self::fewest).sum(),
            Self::Or(parts) => parts.iter().map(Self::fewest).min().unwrap_or_default(),
            Self::OutOf { needed, items } => fewest_of(*needed, items),
        }
    }
}

/// For each number of organisations the most weight they can reach, item by item; then the first that is enough.
fn fewest_of(needed: u32, items: &[Item]) -> usize {
    let mut most = vec![0_u32];
    for item in items {
        let cost = item.expression.fewest();
        let mut with = most.clone();
        with.resize(most.len() + cost, most.last().copied().unwrap_or_default());
        for (reached, before) in with.iter_mut().skip(cost).zip(&most) {
            *reached = (*reached).max(before + item.weight);
        }
        most = with;
    }
    most.iter()
        .position(|reached| *reached >= needed)
        .unwrap_or(most.len())
}
