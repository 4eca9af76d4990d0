//! The README's commands, literally, and the demonstration.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Somebody with a home, a folder to work in, and `quorate` on the path.
struct Person(TempDir);

impl Person {
    fn new() -> Self {
        let place = TempDir::new().unwrap();
        for folder in ["home", "work", "bin"] {
            fs::create_dir(place.path().join(folder)).unwrap();
        }
        symlink(
            env!("CARGO_BIN_EXE_quorate-under-test"),
            place.path().join("bin/quorate"),
        )
        .unwrap();
        Self(place)
    }

    fn work(&self, file: &str) -> PathBuf {
        self.0.path().join("work").join(file)
    }

    /// A line for the shell.
    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        let path = format!(
            "{}:{}",
            self.0.path().join("bin").display(),
            std::env::var("PATH").unwrap()
        );
        command
            .args(["-c", line])
            .current_dir(self.0.path().join("work"))
            .env("PATH", path)
            .env("QUORATE_HOME", self.0.path().join("home"));
        command
    }

    fn run(&self, line: &str) -> Output {
        self.shell(line).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs what must end with this status.
    fn ends(&self, status: i32, line: &str) -> Output {
        let output = self.run(line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{line}\n{errors}");
        output
    }

    /// Starts a line that keeps running, and waits for its first words.
    fn start(&self, line: &str) -> Running {
        let mut child = self
            .shell(&format!("exec {line}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        assert!(first.starts_with("the cluster runs"), "{first}");
        // Read on, so that it never writes to a closed pipe.
        std::thread::spawn(move || output.lines().for_each(drop));
        Running(child)
    }
}

/// A cluster that a person started.
struct Running(Child);

impl Running {
    /// As Ctrl-C does.
    fn interrupt(mut self) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -INT {}", self.0.id())])
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless the test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

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

#[test]
fn operators_refresh_a_key_by_the_commands_of_the_readme() {
    let person = Person::new();
    let [commands] = &blocks("Run a crypto node")[..] else {
        panic!("not one block");
    };
    let [propose, status, accept, committee, publish] = &commands[..] else {
        panic!("{} commands", commands.len());
    };
    let dev = person.start("quorate dev");
    let at = |line: &Line, node: &str| line.command.replace("crypto-3", node);
    let json = |line: String| -> Value {
        serde_json::from_slice(&person.ends(0, &format!("{line} --json")).stdout).unwrap()
    };
    let until = |what: &str, holds: &dyn Fn() -> bool| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !holds() {
            assert!(
                std::time::Instant::now() < deadline,
                "waited too long until {what}"
            );
        }
    };
    let proposed = json(propose.command.clone());
    let id = proposed["ceremony_id"].as_str().unwrap();
    // Consent is to one ceremony, not to whatever the node shows.
    for other in ["", "00000000", &id[..7]] {
        let run = person.run(&accept.command.replace("ID", other));
        assert!(!run.status.success(), "{other:?}");
    }
    for (node, id) in [
        ("crypto-1", id),
        ("crypto-3", &id[..8]),
        ("crypto-4", id),
        ("crypto-5", id),
    ] {
        // The proposal reaches a node a moment after it was made.
        let proposed = || json(at(status, node))["ceremony"]["phase"] == "proposed";
        until("the proposal is there", &proposed);
        person.ends(0, &at(accept, node).replace("ID", id));
    }
    for node in 1..=5 {
        let done = || {
            let status = json(at(status, &format!("crypto-{node}")));
            (status["epoch"] == 2) && status["ceremony"]["phase"] == "done"
        };
        until("the new epoch is there", &done);
    }
    let text = String::from_utf8(person.ends(0, &status.command).stdout).unwrap();
    assert!(
        text.contains("refresh key") && text.contains("[x] joined [x] confirmed  crypto-5"),
        "{text}"
    );
    assert!(
        text.contains("aloud") && text.contains("serves    epoch 1 too"),
        "{text}"
    );
    person.ends(0, &committee.command);
    let answer = json(publish.command.clone());
    assert_eq!(
        (&answer["epoch"], &answer["published"]),
        (&Value::from(2), &Value::from(false))
    );
    dev.interrupt();
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
