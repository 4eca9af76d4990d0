//! The endorsement policy: which sets of organisations may approve.
//!
//! ```text
//! policy   = name | AND(policy, …) | OR(policy, …) | OUTOF(k, item, …)
//! item     = policy | policy:weight
//! ```
//!
//! `OUTOF(k, …)` holds when the weights of its items that hold add up to at least k; a weight is 1 unless given. Evaluation is over a
//! *set* of organisations, and no organisation may occur in two items of one OUTOF, so that nobody counts twice (P11, D2). An
//! organisation may occur again under AND and OR, where repeating it changes nothing.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeSet;

use threshold::name::Name;

mod fewest;
mod parse;
#[cfg(test)]
mod tests;

/// The longest policy text, in bytes.
pub const MAX_TEXT: usize = 4096;
/// The deepest nesting; a name alone has depth 1.
pub const MAX_DEPTH: usize = 8;
/// The most names and operators in a policy.
pub const MAX_TERMS: usize = 256;
/// The largest weight.
pub const MAX_WEIGHT: u32 = 1000;

/// Why a policy text is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Longer than [`MAX_TEXT`].
    #[error("the policy is longer than {MAX_TEXT} bytes")]
    TooLong,
    /// Deeper than [`MAX_DEPTH`].
    #[error("the policy is nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// More than [`MAX_TERMS`] names and operators.
    #[error("the policy has more than {MAX_TERMS} terms")]
    TooManyTerms,
    /// Something else stands where this was expected.
    #[error("expected {expected} at byte {position}")]
    Expected {
        /// What would be right.
        expected: &'static str,
        /// Where, counted from zero.
        position: usize,
    },
    /// A word that is not an organisation's name.
    #[error("{0:?} is not a name")]
    Name(String),
    /// A number of zero, with leading zeros, or too large.
    #[error("a number at byte {0} is out of bounds")]
    Number(usize),
    /// OUTOF asks for more than all of its weights together.
    #[error("OUTOF({needed}, …) cannot be satisfied: its weights add up to {available}")]
    Unsatisfiable {
        /// What it asks for.
        needed: u32,
        /// What there is.
        available: u32,
    },
    /// An organisation in two items of one OUTOF: it would count twice.
    #[error("{0} occurs in two items of one OUTOF")]
    CountedTwice(Name),
}

/// A parsed policy: bounded, satisfiable, counting nobody twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy(Expression);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    Organisation(Name),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    OutOf { needed: u32, items: Vec<Item> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    expression: Expression,
    weight: u32,
}

impl Policy {
    /// `OUTOF(needed, …)` over these organisations with weight 1.
    ///
    /// # Errors
    /// [`PolicyError`], as if it were parsed.
    pub fn out_of<'a>(
        needed: u32,
        organisations: impl IntoIterator<Item = &'a Name>,
    ) -> Result<Self, PolicyError> {
        let names = organisations
            .into_iter()
            .fold(String::new(), |text, name| format!("{text}, {name}"));
        format!("OUTOF({needed}{names})").parse()
    }

    /// Whether these organisations together satisfy the policy.
    #[must_use]
    pub fn evaluate(&self, approving: &BTreeSet<Name>) -> bool {
        self.0.holds(approving)
    }

    /// Every organisation that the policy names.
    #[must_use]
    pub fn organisations(&self) -> BTreeSet<Name> {
        let mut names = BTreeSet::new();
        self.0.collect_names(&mut names);
        names
    }

    /// How many organisations satisfy the policy if the fewest are asked. Where an organisation occurs more than once it
    /// may count more than once here, but never above how many the policy names.
    #[must_use]
    pub fn fewest(&self) -> usize {
        self.0.fewest().min(self.organisations().len())
    }

    /// The evaluation in words, a line for each term, indented by nesting: `[x]` holds, `[ ]` does not.
    #[must_use]
    pub fn explain(&self, approving: &BTreeSet<Name>) -> String {
        let mut lines = Vec::new();
        self.0.explain(approving, 0, "", &mut lines);
        lines.join("\n")
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        parse::parse(text).map(Self)
    }
}

/// One form for each policy: parsing it gives the same policy again.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Expression {
    fn holds(&self, approving: &BTreeSet<Name>) -> bool {
        match self {
            Self::Organisation(name) => approving.contains(name),
            Self::And(parts) => parts.iter().all(|part| part.holds(approving)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(approving)),
            Self::OutOf { needed, items } => reached(items, approving) >= *needed,
        }
    }

    fn collect_names(&self, names: &mut BTreeSet<Name>) {
        match self {
            Self::Organisation(name) => {
                names.insert(name.clone());
            }
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.collect_names(names)),
            Self::OutOf { items, .. } => items.iter().for_each(|item| item.expression.collect_names(names)),
        }
    }

    fn explain(&self, approving: &BTreeSet<Name>, depth: usize, note: &str, lines: &mut Vec<String>) {
        let mark = if self.holds(approving) { 'x' } else { ' ' };
        let mut line =
            |text: String| lines.push(format!("{:indent$}[{mark}] {text}{note}", "", indent = 2 * depth));
        let mut parts: Vec<(&Self, String)> = Vec::new();
        match self {
            Self::Organisation(name) => line(name.to_string()),
            Self::And(all) => {
                line("all of".to_owned());
                parts.extend(all.iter().map(|part| (part, String::new())));
            }
            Self::Or(any) => {
                line("any of".to_owned());
                parts.extend(any.iter().map(|part| (part, String::new())));
            }
            Self::OutOf { needed, items } => {
                line(format!(
                    "{needed} needed, {} reached, of",
                    reached(items, approving)
                ));
                parts.extend(items.iter().map(|item| (&item.expression, item.note())));
            }
        }
        for (part, note) in parts {
            part.explain(approving, depth + 1, &note, lines);
        }
    }
}

/// Weights and items are bounded, so the sum fits.
fn reached(items: &[Item], approving: &BTreeSet<Name>) -> u32 {
    items
        .iter()
        .filter(|item| item.expression.holds(approving))
        .map(|item| item.weight)
        .sum()
}

impl Item {
    fn note(&self) -> String {
        if self.weight == 1 {
            String::new()
        } else {
            format!(" (counts {})", self.weight)
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation(name) => write!(f, "{name}"),
            Self::And(parts) => write_list(f, "AND(", parts),
            Self::Or(parts) => write_list(f, "OR(", parts),
            Self::OutOf { needed, items } => {
                write!(f, "OUTOF({needed}, ")?;
                write_list(f, "", items)
            }
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expression.fmt(f)?;
        if self.weight == 1 {
            Ok(())
        } else {
            write!(f, ":{}", self.weight)
        }
    }
}

fn write_list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, opening: &str, parts: &[T]) -> fmt::Result {
    f.write_str(opening)?;
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            f.write_str(", ")?;
        }
        part.fmt(f)?;
    }
    f.write_str(")")
}
