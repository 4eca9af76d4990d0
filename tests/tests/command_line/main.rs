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
    // What it says of the log is there to see: bob's two reads, and mallory's that was denied.
    let entries = |user: &str, verdict: &str| {
        let lines = text
            .lines()
            .filter(|line| line.contains(&format!("{user} asks to read ")));
        lines.filter(|line| line.contains(verdict)).count()
    };
    assert_eq!(entries("bob", " approved "), 2, "{text}");
    assert_eq!(entries("mallory", " denied: not_a_reader "), 1, "{text}");
    let proofs = text.matches("what it proves:").count();
    assert!(
        proofs >= 7 && proofs == text.matches("what happened:").count(),
        "{text}"
    );
    // It leaves nothing behind.
    assert_eq!(fs::read_dir(person.work("")).unwrap().count(), 0);
}

#[test]
fn keys_datasets_and_documents_have_an_end_from_the_command_line() {
    let person = Person::new();
    let small = b"fifty-two bytes, so that it may be on the chain.....";
    fs::write(person.work("small"), small).unwrap();
    let cluster = person.start("quorate dev");
    for line in [
        "quorate tenant create acme",
        "quorate user create acme alice",
        "quorate dataset create acme/trials --owner alice --writer alice --reader alice",
        "quorate write acme/trials/small --as alice ./small",
    ] {
        person.ends(0, line);
    }
    let json = |line: &str| -> Value {
        serde_json::from_slice(&person.ends(0, &format!("{line} --json")).stdout).unwrap()
    };

    // A new key reads and writes, the old one nothing; the tenant's administrator gives one when it is lost.
    let key = person.home("keys/tenants/t-acme/users/alice.key");
    let old = fs::read(&key).unwrap();
    person.ends(0, "quorate user rotate acme alice");
    let new = fs::read(&key).unwrap();
    assert_ne!(old, new);
    assert_eq!(fs::read(key.with_extension("retired-1")).unwrap(), old);
    person.ends(0, "quorate read acme/trials/small --as alice -o copy");
    assert_eq!(fs::read(person.work("copy")).unwrap(), small);
    fs::write(&key, &old).unwrap();
    person.ends(2, "quorate read acme/trials/small --as alice -o never");
    person.ends(0, "quorate user rotate acme alice --by-admin");
    person.ends(0, "quorate tenant rotate acme");
    // As when the last attempt ended before the new key took its place.
    let admin = person.home("keys/tenants/t-acme/admin.key");
    fs::rename(&admin, admin.with_extension("next")).unwrap();
    fs::rename(admin.with_extension("retired-1"), &admin).unwrap();
    assert_eq!(json("quorate tenant rotate acme")["status"], "already_applied");
    person.ends(0, "quorate user create acme bob");
    // A key that the chain does not know takes nobody's place, however often that is tried.
    let bob = person.home("keys/tenants/t-acme/users/bob.key");
    let his = fs::read(&bob).unwrap();
    fs::rename(&bob, person.home("bob.key")).unwrap();
    fs::copy(&key, &bob).unwrap();
    for _ in 0..2 {
        person.ends(2, "quorate user rotate acme bob");
        assert_ne!(fs::read(&bob).unwrap(), his);
        assert!(!bob.with_extension("retired-1").exists());
    }
    fs::rename(person.home("bob.key"), &bob).unwrap();

    // Outside means outside, however small.
    person.ends(
        2,
        "quorate dataset configure acme/trials --storage outside --as bob",
    );
    person.ends(
        0,
        "quorate dataset configure acme/trials --storage outside --fix --as alice",
    );
    person.ends(0, "quorate write acme/trials/small --as alice ./small");
    assert_eq!(json("quorate inspect acme/trials/small")["on_chain"], false);
    person.ends(0, "quorate read acme/trials/small --as alice -o outside");
    assert_eq!(fs::read(person.work("outside")).unwrap(), small);
    person.ends(
        2,
        "quorate dataset configure acme/trials --storage chain --as alice",
    );
    let shown = json("quorate dataset show acme/trials");
    assert_eq!(shown["configuration"]["storage"], "outside");
    assert_eq!(shown["configuration"]["fixed"], true);
    let then = shown["height"].as_u64().unwrap();
    person.ends(0, "quorate grant acme/trials reader bob");
    let readers = |line: &str| json(line)["readers"].as_array().unwrap().len();
    assert_eq!(readers("quorate dataset show acme/trials"), 2);
    assert_eq!(
        readers(&format!("quorate dataset show acme/trials --height {then}")),
        1
    );

    // Nothing is read while the dataset is switched off, and what is erased never again.
    let bob = "quorate read acme/trials/small --as bob -o";
    person.ends(0, "quorate dataset deactivate acme/trials");
    person.ends(2, &format!("{bob} off"));
    person.ends(0, "quorate dataset activate acme/trials --as alice");
    person.ends(0, &format!("{bob} on"));
    person.ends(1, "quorate erase acme/trials/small");
    person.ends(0, "quorate erase acme/trials/small --version 2 --yes");
    person.ends(2, &format!("{bob} latest"));
    person.ends(0, &format!("{bob} first --version 1"));
    person.ends(0, "quorate erase acme/trials/small --yes");
    person.ends(2, &format!("{bob} second --version 1"));
    person.ends(0, "quorate user revoke acme bob");
    person.ends(2, "quorate grant acme/trials reader bob");
    cluster.interrupt();
}

#[test]
fn operators_refresh_a_key_by_the_commands_of_the_readme() {
    let person = Person::new();
    let [commands] = &blocks("Run a crypto node")[..] else {
        panic!("not one block");
    };
    let [propose, status, accept, report, publish, diagnose, retire] = &commands[..] else {
        panic!("{} commands", commands.len());
    };
    let dev = person.start("quorate dev");
    let at = |line: &Line, node: &str| line.command.replace("crypto-3", node);
    let json = |line: String| -> Value {
        serde_json::from_slice(&person.ends(0, &format!("{line} --json")).stdout).unwrap()
    };
    let until = |what: &str, holds: &dyn Fn() -> bool| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
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
    person.ends(0, &report.command);
    // Offline, and by somebody who asks no node: all five have signed.
    let checked = json("quorate node report --check epoch-2".to_owned());
    let members = checked["members"].as_array().unwrap();
    assert_eq!((&checked["verdict"], members.len()), (&Value::from("done"), 5));
    assert!(members.iter().all(|member| member["signed"] == true), "{checked}");
    let mut forged = fs::read(person.work("epoch-2")).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    fs::write(person.work("forged"), forged).unwrap();
    person.ends(2, "quorate node report --check forged");
    // A manifest shows that all have signed, and not that its epoch ever was.
    person.ends(0, "quorate node committee --node crypto-2 --out manifest");
    person.ends(2, "quorate node publish manifest");
    // The old epoch is still there, and the new one not read with.
    let text = String::from_utf8(person.ends(2, &diagnose.command).stdout).unwrap();
    assert!(text.contains("old-share     warn"), "{text}");
    assert!(
        text.contains("5 of 5 members answer in this epoch, 3 are needed"),
        "{text}"
    );
    person.ends(1, &retire.command);
    let answer = json(publish.command.clone());
    assert_eq!(
        (&answer["epoch"], &answer["published"]),
        (&Value::from(2), &Value::from(false))
    );
    dev.interrupt();
}
