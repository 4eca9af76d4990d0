//! The table of promises and attacks names tests that exist.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of the tables in `docs/promises.md`: the letter, and its tests, each with its file.
fn rows() -> Vec<(String, Vec<(String, String)>)> {
    let text = fs::read_to_string(root().join("docs/promises.md")).unwrap();
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let letter = cells[0];
        let is_letter = letter.starts_with(|c: char| c.is_ascii_uppercase())
            && letter.len() > 1
            && letter[1..].chars().all(|c| c.is_ascii_digit());
        if is_letter {
            rows.push((letter.to_owned(), tests_in(cells[2])));
        }
    }
    rows
}

/// `` `file`: `name`, `name`; `file`: … ``
fn tests_in(cell: &str) -> Vec<(String, String)> {
    let mut file = "";
    let mut tests = Vec::new();
    for quoted in cell.split('`').skip(1).step_by(2) {
        if quoted.ends_with(".rs") {
            file = quoted;
        } else {
            tests.push((file.to_owned(), quoted.to_owned()));
        }
    }
    tests
}

#[test]
fn every_test_in_the_table_exists_where_it_says() {
    let mut count = 0;
    for (letter, tests) in rows() {
        assert!(!tests.is_empty(), "{letter} has no test");
        for (file, name) in tests {
            let path = root().join(&file);
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{letter}: {file}: {error}"));
            assert!(
                text.contains(&format!("fn {name}(")),
                "{letter}: {file} has no {name}"
            );
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}

#[test]
fn no_promise_of_this_stage_is_without_a_row() {
    let letters: BTreeSet<String> = rows().into_iter().map(|(letter, _)| letter).collect();
    let wanted = "A1 A3 A4 A5 A6 A7 A8 A9 A12 A13 C1 C2 C3 C4 C6 C8 C9 C11 D1 D2 D3 D4 D7 D9 D13 D14 E4 E8 E12 \
                  P1 P3 P5 P6 P9 P11 P15";
    for letter in wanted.split_whitespace() {
        assert!(letters.contains(letter), "{letter} is not in docs/promises.md");
    }
}
