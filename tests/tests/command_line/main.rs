//! The README's commands, literally, and the demonstration; and what a person gets to see of objects that are not right.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod objects;
mod person;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::person::Person;

/// A line of the README, with the status that it must end with.
struct Line {
    command: String,
    status: i32,
}

/// The shell blocks of the section with this heading.
fn blocks(heading: &str) -> Vec<Vec<Line>> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let section = readme.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks
        .map(|block| {
            let lines = block.split("```").next().unwrap().lines();
            lines.filter(|line| !line.trim().is_empty()).map(line).collect()
        })
        .collect()
}

/// What a comment says of the exit code is part of the promise.
fn line(text: &str) -> Line {
    let (command, comment) = text.split_once(" #").unwrap_or((text, ""));
    let status = comment
        .split("exit code ")
        .nth(1)
        .map_or(0, |rest| rest[..1].parse().unwrap());
    Line {
        command: command.trim().to_owned(),
        status,
    }
}

#[test]
fn the_readme_can_be_followed_to_the_letter() {
    let person = Person::new();
    let report = b"a report, and not a short one\n".repeat(10_000);
    fs::write(person.work("report.pdf"), &report).unwrap();
    let blocks = blocks("Use it");
    let [install, commands] = blocks.as_slice() else {
        panic!("{} blocks", blocks.len());
    };
    let dev = &install
        .iter()
        .find(|line| line.command.starts_with("quorate dev"))
        .unwrap()
        .command;
    assert!(commands.len() >= 10, "{}", commands.len());
    assert!(commands.iter().any(|line| line.status == 2));

    let first = person.start(dev);
    for line in commands {
        person.ends(line.status, &line.command);
    }
    assert_eq!(fs::read(person.work("copy.pdf")).unwrap(), report);
    assert!(!person.work("denied.pdf").exists());
    for line in commands {
        as_json(&person, line);
    }
    first.interrupt();

    let second = person.start(dev);
    for user in ["alice", "bob"] {
        // What was granted is still granted, what was written still there.
        person.ends(
            0,
            &format!("quorate read acme/trials/report.pdf --as {user} -o again-{user}.pdf"),
        );
        assert_eq!(
            fs::read(person.work(&format!("again-{user}.pdf"))).unwrap(),
            report
        );
    }
    second.interrupt();
}

/// The same once more for another tenant: the answer is one JSON value, on standard output, or on standard error when
/// the answer is no.
fn as_json(person: &Person, line: &Line) {
    let command = line
        .command
        .replace("acme", "zenith")
        .replace("copy.pdf", "copy-2.pdf")
        .replace("copy.receipt", "copy-2.receipt")
        .replace("roots.json", "roots-2.json");
    let output = person.ends(line.status, &format!("{command} --json"));
    let (json, other) = match line.status {
        0 => (output.stdout, None),
        _ => (output.stderr, Some(output.stdout)),
    };
    let value: Value = serde_json::from_slice(&json)
        .unwrap_or_else(|error| panic!("{command}: {error}: {}", String::from_utf8_lossy(&json)));
    assert!(value.is_object() || value.is_array(), "{command}: {value}");
    assert!(other.is_none_or(|other| other.is_empty()), "{command}");
}

#[test]
fn the_demonstration_holds() {
    let person = Person::new();
    let output = person.ends(0, "TMPDIR=. quorate demo");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("all of it held"), "{text}");
    let proofs = text.matches("what it proves:").count();
    assert!(
        proofs >= 7 && proofs == text.matches("what happened:").count(),
        "{text}"
    );
    // It leaves nothing behind.
    assert_eq!(fs::read_dir(person.work("")).unwrap().count(), 0);
}
