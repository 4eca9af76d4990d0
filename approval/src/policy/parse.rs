//! Parse a policy: recursive descent, bounded in length, depth and number of terms.

use std::collections::BTreeSet;

use super::{Expression, Item, MAX_DEPTH, MAX_TERMS, MAX_TEXT, MAX_WEIGHT, PolicyError};
use threshold::name::Name;

pub(super) fn parse(text: &str) -> Result<Expression, PolicyError> {
    if text.len() > MAX_TEXT {
        return Err(PolicyError::TooLong);
    }
    let mut parser = Parser {
        text,
        position: 0,
        terms: 0,
    };
    let expression = parser.expression(1)?;
    parser.skip_spaces();
    if parser.position < text.len() {
        Err(parser.expected("the end"))
    } else {
        Ok(expression)
    }
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
    terms: usize,
}

impl<'a> Parser<'a> {
    fn expression(&mut self, depth: usize) -> Result<Expression, PolicyError> {
        if depth > MAX_DEPTH {
            return Err(PolicyError::TooDeep);
        }
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(PolicyError::TooManyTerms);
        }
        let word = self.word()?;
        // An operator is a word with a parenthesis after it; without one, even "AND" is a name.
        if !self.take('(') {
            return Name::new(word)
                .map(Expression::Organisation)
                .map_err(|_| PolicyError::Name(word.to_owned()));
        }
        match word {
            "AND" => self.list(depth).map(Expression::And),
            "OR" => self.list(depth).map(Expression::Or),
            "OUTOF" => self.out_of(depth),
            _ => Err(PolicyError::Expected {
                expected: "AND, OR or OUTOF",
                position: self.position - 1 - word.len(),
            }),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Expression>, PolicyError> {
        let mut parts = vec![self.expression(depth + 1)?];
        while self.take(',') {
            parts.push(self.expression(depth + 1)?);
        }
        self.close()?;
        Ok(parts)
    }

    fn out_of(&mut self, depth: usize) -> Result<Expression, PolicyError> {
        let needed = self.number(u32::MAX)?;
        let mut items = Vec::new();
        while self.take(',') {
            let expression = self.expression(depth + 1)?;
            let weight = if self.take(':') {
                self.number(MAX_WEIGHT)?
            } else {
                1
            };
            items.push(Item { expression, weight });
        }
        if items.is_empty() {
            return Err(self.expected("a comma"));
        }
        self.close()?;
        check_counts(needed, &items)?;
        Ok(Expression::OutOf { needed, items })
    }

    fn number(&mut self, max: u32) -> Result<u32, PolicyError> {
        self.skip_spaces();
        let start = self.position;
        let digits = self.word()?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        let value = if plain { digits.parse().ok() } else { None };
        value
            .filter(|value| *value <= max)
            .ok_or(PolicyError::Number(start))
    }

    /// The characters of a name or a number. A weight's colon is none of them.
    fn word(&mut self) -> Result<&'a str, PolicyError> {
        self.skip_spaces();
        let rest = self.rest();
        let end = rest
            .find(|c: char| c.is_ascii_whitespace() || "(),:".contains(c))
            .unwrap_or(rest.len());
        let word = rest
            .get(..end)
            .filter(|word| !word.is_empty())
            .ok_or_else(|| self.expected("a name"))?;
        self.position += end;
        Ok(word)
    }

    fn close(&mut self) -> Result<(), PolicyError> {
        if self.take(')') {
            Ok(())
        } else {
            Err(self.expected("a comma or a closing parenthesis"))
        }
    }

    fn take(&mut self, wanted: char) -> bool {
        self.skip_spaces();
        let found = self.rest().starts_with(wanted);
        self.position += usize::from(found);
        found
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_ascii_start().len();
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn expected(&self, expected: &'static str) -> PolicyError {
        PolicyError::Expected {
            expected,
            position: self.position,
        }
    }
}

/// OUTOF counts organisations, so no organisation may be behind two of its items, and it must be reachable.
fn check_counts(needed: u32, items: &[Item]) -> Result<(), PolicyError> {
    // At most 256 items of at most 1000.
    let available = items.iter().map(|item| item.weight).sum();
    if needed > available {
        return Err(PolicyError::Unsatisfiable { needed, available });
    }
    let mut counted = BTreeSet::new();
    for item in items {
        let mut names = BTreeSet::new();
        item.expression.collect_names(&mut names);
        if let Some(twice) = names.intersection(&counted).next() {
            return Err(PolicyError::CountedTwice(twice.clone()));
        }
        counted.extend(names);
    }
    Ok(())
}
