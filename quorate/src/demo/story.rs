//! Numbered steps in plain words, or the same as JSON.

use serde_json::{Value, json};

use crate::failure::Outcome;
use crate::output::Output;

/// What has been told so far.
pub(super) struct Story {
    output: Output,
    steps: Vec<Value>,
}

impl Story {
    pub(super) fn new(output: Output) -> Self {
        Self {
            output,
            steps: Vec::new(),
        }
    }

    pub(super) fn output(&self) -> Output {
        self.output
    }

    /// One step: what happened, and what it proves.
    pub(super) fn step(&mut self, title: &str, happened: &str, proves: &str) -> Outcome {
        let number = self.steps.len() + 1;
        self.steps
            .push(json!({ "step": number, "title": title, "happened": happened, "proves": proves }));
        if self.output.is_json() {
            return Ok(());
        }
        self.output.line(&format!(
            "\n{number}. {title}\n{}\n{}",
            wrap("   what happened:  ", happened),
            wrap("   what it proves: ", proves)
        ))
    }

    /// The last sentence.
    pub(super) fn end(self, sentence: &str) -> Outcome {
        let value = json!({ "steps": self.steps, "held": true });
        self.output.result(&value, &format!("\n{sentence}"))
    }
}

/// Breaks a sentence into lines under its heading.
fn wrap(heading: &str, text: &str) -> String {
    const WIDTH: usize = 100;
    let indent = " ".repeat(heading.len());
    let mut lines = vec![heading.to_owned()];
    let mut used = heading.len();
    for word in text.split_whitespace() {
        if used + word.chars().count() + 1 > WIDTH && used > indent.len() {
            lines.push(indent.clone());
            used = indent.len();
        }
        if let Some(line) = lines.last_mut() {
            if used > indent.len() {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += word.chars().count();
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn long_sentences_break_under_their_heading() {
        let text = wrap("  it: ", &"word ".repeat(40));
        assert!(text.lines().count() > 1);
        assert!(text.lines().all(|line| line.chars().count() <= 100));
        assert!(text.lines().skip(1).all(|line| line.starts_with("      word")));
        assert_eq!(wrap("it: ", "short"), "it: short");
    }
}
