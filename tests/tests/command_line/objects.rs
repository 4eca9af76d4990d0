//! Objects in the store that are changed, exchanged, cut or gone; and one that is large.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::person::{Person, Running};

const CHUNK: usize = 16 * 1024;
const MEBIBYTE: usize = 1 << 20;
/// The large document, in mebibytes.
const LARGE: usize = 128;
/// What a process may take more for all of it than a writer has taken for the first mebibyte.
const MORE: usize = 16 * MEBIBYTE;

/// Somebody with a cluster and a dataset, of which alice may do everything.
fn founded() -> (Person, Running) {
    let person = Person::new();
    let cluster = person.start("quorate dev");
    person.ends(0, "quorate tenant create acme");
    person.ends(0, "quorate user create acme alice");
    person.ends(
        0,
        "quorate dataset create acme/trials --owner alice --writer alice --reader alice",
    );
    (person, cluster)
}

fn listing(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Writes a document, and finds where its object is.
fn store(person: &Person, name: &str, content: &[u8]) -> PathBuf {
    let objects = person.home("dev/objects");
    fs::create_dir_all(&objects).unwrap();
    let before = listing(&objects);
    fs::write(person.work(name), content).unwrap();
    person.ends(0, &format!("quorate write acme/trials/{name} --as alice {name}"));
    let mut new = listing(&objects).difference(&before).cloned().collect::<Vec<_>>();
    assert_eq!(new.len(), 1);
    new.remove(0)
}

#[test]
fn f5_p16_an_object_that_is_not_the_recorded_one_leaves_nothing_at_the_name_of_the_copy() {
    let (person, cluster) = founded();
    let content = b"nobody else's business\n".repeat(10_000);
    let object = store(&person, "a.pdf", &content);
    let whole = fs::read(&object).unwrap();
    let exchanged = fs::read(store(&person, "b.pdf", &content)).unwrap();
    let changed = |place: usize| {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        bytes
    };
    let last = changed(whole.len() - 1);
    let cases = [
        ("chunk 0 is not authentic", Some(changed(100))),
        ("is not authentic", Some(last.clone())),
        ("key commitment differs", Some(changed(0))),
        ("key commitment differs", Some(exchanged)),
        ("is not authentic", Some(whole[..whole.len() - 1].to_vec())),
        ("truncated", Some(whole[..24 + 32 + 2 * (CHUNK + 16)].to_vec())),
        ("truncated", Some(Vec::new())),
        ("is not authentic", Some([whole.clone(), vec![0]].concat())),
        ("it is not at", None),
    ];
    let read = "quorate read acme/trials/a.pdf --as alice -o copy.pdf --receipt copy.receipt";
    let before = listing(&person.work(""));
    for (reason, stored) in cases {
        match stored {
            Some(bytes) => fs::write(&object, bytes).unwrap(),
            None => fs::remove_file(&object).unwrap(),
        }
        let output = person.ends(2, &format!("{read} --json"));
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["code"], "bad_object", "{error}");
        assert!(
            error["message"].as_str().unwrap().contains(reason),
            "{reason}: {error}"
        );
        // Not a byte of it, and not the temporary file either.
        assert_eq!(listing(&person.work("")), before, "{reason}");
        // What was there before is not harmed.
        fs::write(person.work("copy.pdf"), "mine").unwrap();
        person.ends(2, &format!("{read} --force"));
        assert_eq!(fs::read(person.work("copy.pdf")).unwrap(), b"mine", "{reason}");
        fs::remove_file(person.work("copy.pdf")).unwrap();
    }

    // To standard output goes what is authentic, and the status says that it is not the whole.
    fs::write(&object, last).unwrap();
    let output = person.ends(2, "quorate read acme/trials/a.pdf --as alice");
    assert_eq!(output.stdout, content[..content.len() / CHUNK * CHUNK]);

    half_a_copy_has_no_name(&person, &object, &whole);

    // All of it was for these reasons: with its object back, the document is as good as ever.
    fs::remove_file(&object).unwrap();
    fs::write(&object, &whole).unwrap();
    person.ends(0, read);
    assert_eq!(fs::read(person.work("copy.pdf")).unwrap(), content);
    cluster.interrupt();
}

/// A store that hesitates in the middle of the object, and a reader that is killed there.
fn half_a_copy_has_no_name(person: &Person, object: &Path, whole: &[u8]) {
    fs::remove_file(object).unwrap();
    assert!(Command::new("mkfifo").arg(object).status().unwrap().success());
    let mut reading = person
        .shell("exec quorate read acme/trials/a.pdf --as alice -o copy.pdf")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (path, most) = (object.to_owned(), whole[..whole.len() - 1].to_vec());
    // Ends when the reader has taken all but what a pipe holds.
    let giving = std::thread::spawn(move || {
        let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
        pipe.write_all(&most).unwrap();
        pipe
    });
    let started = Instant::now();
    while !giving.is_finished() {
        assert_eq!(reading.try_wait().unwrap(), None, "ended without its object");
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "the object is not read"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!person.work("copy.pdf").exists(), "half a copy has its name");
    reading.kill().unwrap();
    reading.wait().unwrap();
    assert!(!person.work("copy.pdf").exists(), "half a copy has its name");
    drop(giving.join().unwrap());
}

/// A mebibyte that no other place in the document has.
fn block(number: usize) -> Vec<u8> {
    let words = (0..MEBIBYTE / 8).map(|word| (number * MEBIBYTE + word) as u64);
    words.flat_map(u64::to_le_bytes).collect()
}

/// The most that a process has ever had in memory, in bytes.
fn peak(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn p15_a_large_file_is_written_and_read_in_constant_memory_and_no_core_is_dumped() {
    let (person, cluster) = founded();
    let mut writing = person
        .shell("exec quorate write acme/trials/large --as alice -")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = writing.stdin.take().unwrap();
    input.write_all(&block(0)).unwrap();
    // All but what a pipe holds has been taken.
    let first = peak(writing.id());
    assert_no_core_dumps(writing.id());
    for number in 1..LARGE {
        input.write_all(&block(number)).unwrap();
    }
    let more = peak(writing.id()) - first;
    assert!(more < MORE, "a writer of {LARGE} MiB takes {more} bytes more");
    drop(input);
    assert!(writing.wait().unwrap().success());

    let mut reading = person
        .shell("exec quorate read acme/trials/large --as alice")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = reading.stdout.take().unwrap();
    let mut bytes = vec![0; MEBIBYTE];
    output.read_exact(&mut bytes).unwrap();
    assert!(bytes == block(0));
    for number in 1..LARGE - 1 {
        output.read_exact(&mut bytes).unwrap();
        assert!(bytes == block(number), "block {number}");
    }
    // The last is more than a pipe holds: the reader is still there. It may have taken all before it gave the first, so it is
    // compared with the writer, which had connected as it has and taken one mebibyte.
    let more = peak(reading.id()).saturating_sub(first);
    assert!(more < MORE, "a reader of {LARGE} MiB takes {more} bytes more");
    output.read_exact(&mut bytes).unwrap();
    assert!(bytes == block(LARGE - 1));
    assert_eq!(output.read(&mut bytes).unwrap(), 0);
    assert!(reading.wait().unwrap().success());
    cluster.interrupt();
}

fn assert_no_core_dumps(pid: u32) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap().split_whitespace().skip(4).collect();
    assert_eq!(words, ["0", "0", "bytes"]);
}
