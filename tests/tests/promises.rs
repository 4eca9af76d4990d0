//! The table of promises and attacks names tests that run, and every test that is named after one of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::collections::{BTreeMap, BTreeSet};
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

/// The tests of a source file, each with its attributes. A function without `#[test]` is none, and neither is one that is commented out.
fn tests_of(path: &Path) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut tests = BTreeMap::new();
    let mut attributes: Vec<String> = Vec::new();
    let mut in_comment = false;
    for line in text.lines().map(str::trim) {
        in_comment |= line.starts_with("/*");
        if in_comment {
            in_comment = !line.ends_with("*/");
            continue;
        }
        if line.starts_with("#[") {
            attributes.push(line.to_owned());
        } else if let Some(name) = function(line) {
            let attributes = std::mem::take(&mut attributes);
            if attributes
                .iter()
                .any(|attribute| attribute == "#[test]" || attribute.starts_with("#[tokio::test"))
            {
                tests.insert(name.to_owned(), attributes);
            }
        } else if line.is_empty() || line.ends_with(['{', '}', ';']) {
            attributes.clear();
        }
    }
    tests
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let (name, _) = line.strip_prefix("fn ")?.split_once('(')?;
    Some(name)
}

/// The letters that a test is named after: `d11_p4_of_something` is `D11` and `P4`.
fn letters_of(name: &str) -> Vec<String> {
    name.split('_')
        .take_while(|part| {
            let number = part.trim_start_matches(|c: char| "abcdefp".contains(c));
            part.len() == number.len() + 1 && !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit())
        })
        .map(str::to_ascii_uppercase)
        .collect()
}

/// Every source file under a folder, from the root of the project.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// A test program that is built only with a feature must be one that CI builds so.
fn assert_built(file: &str) {
    let (Some(folder), Some(name)) = (file.split('/').next(), Path::new(file).file_stem()) else {
        panic!("{file}");
    };
    let manifest: toml::Table = fs::read_to_string(root().join(folder).join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let is_this = |test: &&toml::Value| {
        test["name"].as_str() == name.to_str()
            && file == format!("{folder}/tests/{}.rs", name.to_string_lossy())
    };
    let targets = manifest.get("test").and_then(toml::Value::as_array);
    let features = targets
        .and_then(|targets| targets.iter().find(is_this))
        .and_then(|test| test.get("required-features"));
    let Some(features) = features.and_then(toml::Value::as_array) else {
        return;
    };
    let package = manifest["package"]["name"].as_str().unwrap();
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    for feature in features {
        let command = format!("cargo test -p {package} --features {}", feature.as_str().unwrap());
        assert!(ci.contains(&command), "{file}: CI does not run `{command}`");
    }
}

#[test]
fn every_test_in_the_table_exists_where_it_says_and_runs() {
    let mut count = 0;
    for (letter, tests) in rows() {
        assert!(!tests.is_empty(), "{letter} has no test");
        for (file, name) in tests {
            let path = root().join(&file);
            assert!(path.is_file(), "{letter}: there is no {file}");
            let found = tests_of(&path);
            let attributes = found
                .get(&name)
                .unwrap_or_else(|| panic!("{letter}: {file} has no test {name}"));
            for skips in ["#[ignore", "#[cfg"] {
                assert!(
                    !attributes.iter().any(|attribute| attribute.starts_with(skips)),
                    "{letter}: {name} of {file} does not run always: {attributes:?}"
                );
            }
            assert_built(&file);
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}

#[test]
fn every_test_with_a_letter_is_in_the_row_of_that_letter() {
    let mut listed = BTreeSet::new();
    for (letter, tests) in rows() {
        for (file, name) in tests {
            listed.insert((letter.clone(), file, name));
        }
    }
    let mut files = Vec::new();
    sources(&root(), &mut files);
    let mut missing = Vec::new();
    for path in files {
        let file = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        for name in tests_of(&path).into_keys() {
            for letter in letters_of(&name) {
                if !listed.contains(&(letter.clone(), file.clone(), name.clone())) {
                    missing.push(format!("row {letter} lacks `{file}`: `{name}`"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "docs/promises.md:\n{}", missing.join("\n"));
}

#[test]
fn only_what_runs_counts_as_a_test() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("some.rs");
    let text = [
        "#[test]",
        "fn a1_one() {}",
        "// #[test]",
        "// fn a1_two() {}",
        "/*",
        "#[test]",
        "fn a1_three() {}",
        "*/",
        "fn a1_four() {}",
        "#[tokio::test(flavor = \"multi_thread\")]",
        "/// Says.",
        "async fn a1_five() {}",
        "mod m {",
        "    #[test]",
        "    #[ignore = \"x\"]",
        "    fn a1_six() {}",
        "}",
    ];
    fs::write(&file, text.join("\n")).unwrap();
    let tests = tests_of(&file);
    let names: Vec<&String> = tests.keys().collect();
    assert_eq!(names, ["a1_five", "a1_one", "a1_six"]);
    assert_eq!(tests["a1_six"].len(), 2);
    assert_eq!(letters_of("d11_p4_p5_an_approval_is_good"), ["D11", "P4", "P5"]);
    for name in ["an_approval", "x25519_keys", "p_4_one", "d_1_2", "ab1_c"] {
        assert!(letters_of(name).is_empty(), "{name}");
    }
}

#[test]
fn no_promise_of_this_stage_is_without_a_row() {
    let letters: BTreeSet<String> = rows().into_iter().map(|(letter, _)| letter).collect();
    let wanted = "A1 A3 A4 A5 A6 A7 A8 A9 A12 A13 C1 C2 C3 C4 C6 C8 C9 C11 C12 D1 D2 D3 D4 D7 D8 D9 D11 D12 D13 D14 D15 D18 \
                  E3 E4 E5 E6 E7 E8 E11 E12 F3 F4 P1 P3 P5 P6 P9 P11 P15 P17";
    for letter in wanted.split_whitespace() {
        assert!(letters.contains(letter), "{letter} is not in docs/promises.md");
    }
}
