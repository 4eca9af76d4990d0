//! The program as a person uses it: what it prints where, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use quorate::{Home, Keyring, Owner};
use tempfile::TempDir;

/// Runs the program in a home of its own.
struct Person {
    home: TempDir,
}

impl Person {
    fn new() -> Self {
        Self {
            home: TempDir::new().unwrap(),
        }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command
            .env("QUORATE_HOME", self.home.path())
            .args(line.split_whitespace());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs what must end with this status; gives standard output.
    /// As [`Person::run`], of a command that must end by itself: one that goes on is killed after a minute.
    fn run_to_its_end(&self, line: &str) -> Output {
        let mut command = self.command(line);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
                panic!("{line} goes on");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child.wait_with_output().unwrap()
    }

    fn ends(&self, status: i32, line: &str) -> String {
        let output = self.run(line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{line}\n{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, status: i32, line: &str) -> serde_json::Value {
        serde_json::from_str(&self.ends(status, &format!("{line} --json"))).unwrap()
    }

    /// Starts the development cluster and waits until it says that it runs.
    fn dev(&self) -> Dev {
        let mut child = self
            .command("dev")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        assert!(first.starts_with("the cluster runs"), "{first}");
        Dev(child)
    }
}

/// A running cluster; killed, not stopped, when dropped.
struct Dev(Child);

impl Drop for Dev {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn without_arguments_it_helps() {
    let output = Person::new().run("");
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("quorate demo"));
}

#[test]
fn a_wrong_command_line_is_an_error_and_not_a_no() {
    Person::new().ends(1, "reed acme/reports/q3");
}

#[test]
fn a_wrong_command_line_is_json_for_whoever_asks_for_json() {
    for (line, names) in [
        ("reed acme/reports/q3 --json", "reed"),
        ("--json write", "<DOCUMENT>"),
        ("audit log --nonsense --json", "--nonsense"),
        ("bench reads --readers 0 --json", "0 is not in 1..=4096"),
    ] {
        let output = Person::new().run(line);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(output.stdout.is_empty(), "{line}");
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(
            (&error["status"], &error["code"]),
            (&"error".into(), &"usage".into())
        );
        assert!(error["message"].as_str().unwrap().contains(names), "{error}");
        assert!(error["next"].as_str().unwrap().contains("--help"), "{error}");
    }
    // What comes after `--` is no option, and help is help.
    let output = Person::new().run("reed -- --json");
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "));
    assert_eq!(Person::new().run("write --help --json").status.code(), Some(0));
}

#[test]
fn an_error_says_what_to_do_next() {
    let person = Person::new();
    let output = person.run("status");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("next: run `quorate dev`"));
    let output = person.run("status --json");
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["status"], "error");
    assert!(error["next"].as_str().unwrap().contains("quorate dev"));
}

#[test]
fn deleting_wants_a_confirmation() {
    let person = Person::new();
    let data = person.home.path().join("dev");
    fs::create_dir_all(&data).unwrap();
    let output = person.run("dev --reset --no-input");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--yes"));
}

#[test]
fn a_directory_that_is_not_a_clusters_is_left_alone() {
    let person = Person::new();
    let data = person.home.path().join("dev");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("thesis"), "three years").unwrap();
    for name in ["crypto-1", "objects", "people"] {
        fs::write(data.join(name), "notes").unwrap();
    }
    person.ends(1, "dev --reset --yes");
    assert_eq!(
        fs::read_dir(&data).unwrap().count(),
        5,
        "nothing but a lock is added"
    );
    assert_eq!(fs::read_to_string(data.join("thesis")).unwrap(), "three years");
}

/// As of somebody who keeps notes about crypto nodes.
#[test]
fn a_directory_with_names_like_a_clusters_and_no_cluster_is_left_alone() {
    let person = Person::new();
    let data = person.home.path().join("dev");
    for name in ["crypto-1", "objects", "people"] {
        fs::create_dir_all(data.join(name)).unwrap();
        fs::write(data.join(name).join("thesis"), "three years").unwrap();
    }
    for line in ["dev --reset --yes", "dev"] {
        let output = person.run_to_its_end(line);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("no cluster.toml"));
        for name in ["crypto-1", "objects", "people"] {
            let kept = fs::read_to_string(data.join(name).join("thesis"));
            assert_eq!(kept.unwrap(), "three years");
        }
    }
}

#[test]
fn a_receipt_does_not_take_the_place_of_the_content() {
    let person = Person::new();
    fs::create_dir(person.home.path().join("inner")).unwrap();
    let copy = person.home.path().join("copy").display().to_string();
    let receipt = person.home.path().join("inner/../copy").display().to_string();
    for force in ["", "--force"] {
        let line = format!("read acme/reports/q3 --as alice -o {copy} --receipt {receipt} {force}");
        let output = person.run(&line);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("the receipt would replace it"));
    }
}

#[test]
fn dev_replaces_no_key_and_no_profile_of_another_cluster() {
    let person = Person::new();
    let home = Home::at(person.home.path());
    let keyring = Keyring::of(&home);
    for (owner, file) in [(Owner::Admin, "admin.key"), (Owner::Auditor, "auditor.key")] {
        keyring.create(&owner).unwrap();
        let key = home.keys().join(file);
        let before = fs::read(&key).unwrap();
        for line in ["dev", "dev --reset --yes"] {
            let output = person.run_to_its_end(line);
            assert_eq!(output.status.code(), Some(1));
            assert!(String::from_utf8_lossy(&output.stderr).contains("is not this cluster's"));
            assert_eq!(fs::read(&key).unwrap(), before);
        }
        fs::remove_file(key).unwrap();
    }
    let given = person.home.path().join("production.toml");
    for (profile, option) in [
        (home.profile(), String::new()),
        (given.clone(), format!(" --profile {}", given.display())),
    ] {
        fs::write(&profile, "installation = \"production\"").unwrap();
        for line in ["dev", "dev --reset --yes"] {
            let output = person.run_to_its_end(&format!("{line}{option}"));
            assert_eq!(output.status.code(), Some(1));
            assert!(String::from_utf8_lossy(&output.stderr).contains("is not this cluster's"));
            assert_eq!(
                fs::read_to_string(&profile).unwrap(),
                "installation = \"production\""
            );
        }
        fs::remove_file(profile).unwrap();
    }
    assert!(!home.dev().exists(), "refused before anything was made");
}

#[test]
fn a_whole_story_survives_kill_9() {
    let person = Person::new();
    let secret = "the content that nobody else may see";
    let file = person.home.path().join("q3");
    fs::write(&file, secret).unwrap();
    let first = person.dev();
    person.ends(0, "tenant create acme");
    for user in ["alice", "bob", "eve"] {
        person.ends(0, &format!("user create acme {user}"));
    }
    person.ends(
        0,
        "dataset create acme/reports --owner alice --writer alice --reader bob",
    );
    let written = person.json(0, &format!("write acme/reports/q3 {} --as alice", file.display()));
    assert_eq!(written["version"], 1);
    assert_eq!(person.ends(0, "read acme/reports/q3 --as bob"), secret);
    person.ends(2, "read acme/reports/q3 --as eve");
    person.ends(1, "read acme/reports/q3");
    person.ends(0, "grant acme/reports reader eve --as alice");
    assert_eq!(person.ends(0, "read acme/reports/q3 --as eve"), secret);
    person.ends(0, "revoke acme/reports reader eve --as alice");
    person.ends(2, "read acme/reports/q3 --as eve");
    person.ends(2, "tenant create acme");
    // A name that is taken by somebody whose key is elsewhere: no key is left here that is nobody's.
    let keys = Home::at(person.home.path()).keys();
    for (key, line) in [
        ("tenants/t-acme/users/eve.key", "user create acme eve"),
        ("tenants/t-acme/admin.key", "tenant create acme"),
    ] {
        let (key, elsewhere) = (keys.join(key), person.home.path().join("elsewhere"));
        fs::rename(&key, &elsewhere).unwrap();
        person.ends(2, line);
        assert!(!key.exists(), "{line}");
        fs::rename(&elsewhere, &key).unwrap();
    }
    drop(first);
    assert!(wait_until_unreachable(&person), "a daemon outlives its cluster");

    let _second = person.dev();
    assert_eq!(person.ends(0, "read acme/reports/q3 --as bob"), secret);
    assert_eq!(person.json(0, "inspect acme/reports/q3")["writer"], "alice");
    let log = person.json(0, "audit log --reads");
    let outcomes: Vec<&str> = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "denied").count(), 2);
    assert!(outcomes.iter().filter(|outcome| **outcome == "approved").count() == 3);
    assert_eq!(
        nowhere_in_clear(person.home.path(), secret.as_bytes(), &file),
        None
    );
}

/// The lines of an export, by their index.
/// Every answer for programs has the verdict, and who lied on the way.
fn says_what_was_verified(value: &serde_json::Value) {
    assert_eq!(
        (&value["verdict"], &value["faults"]),
        (&"verified".into(), &serde_json::json!([]))
    );
}

/// Sends a signal to the daemon whose directory this is.
fn signal_daemon(signal: &str, directory: &Path) {
    let config = directory.join("config.toml").display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let found = processes.filter(|process| {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        words
            .split(|byte| *byte == 0)
            .any(|word| word == config.as_bytes())
    });
    let pids: Vec<_> = found.map(|process| process.file_name()).collect();
    assert_eq!(pids.len(), 1, "{config}");
    let sent = Command::new("kill").arg(signal).args(&pids).status().unwrap();
    assert!(sent.success());
}

fn indices(values: &serde_json::Value) -> Vec<u64> {
    let lines = values.as_array().unwrap();
    lines.iter().map(|line| line["index"].as_u64().unwrap()).collect()
}

#[test]
fn an_auditor_searches_exports_watches_and_mirrors() {
    let person = Person::new();
    let file = person.home.path().join("q3");
    fs::write(&file, "figures").unwrap();
    let cluster = person.dev();
    person.ends(0, "tenant create acme");
    for user in ["alice", "bob"] {
        person.ends(0, &format!("user create acme {user}"));
    }
    person.ends(
        0,
        "dataset create acme/reports --owner alice --writer alice --reader alice",
    );
    person.ends(0, &format!("write acme/reports/q3 {} --as alice", file.display()));
    person.ends(0, "read acme/reports/q3 --as alice --purpose =1+1");
    person.ends(2, "read acme/reports/q3 --as bob");

    // The same is found however it is asked for, and all of it is in the log.
    let denied = person.json(
        0,
        "audit search acme/reports/q3 --user bob --verdict denied --since 1h",
    );
    let denied = &denied["entries"];
    assert_eq!(denied[0]["reason"], "not_a_reader");
    assert_eq!(denied.as_array().unwrap().len(), 1);
    let document = person.json(0, "audit search acme/reports/q3");
    assert_eq!(document["complete"], true);
    says_what_was_verified(&document);
    let document = &document["entries"];
    assert_eq!(document.as_array().unwrap().len(), 3);
    assert_eq!(document[1]["purpose"], "=1+1");
    // Alice has written, and has read.
    let alice = person.json(0, "audit search acme/reports --user alice");
    assert_eq!(alice["entries"].as_array().unwrap().len(), 2);
    let first = person.json(0, "audit search acme/reports/q3 --limit 1");
    assert_eq!(indices(&first["entries"]), indices(document)[..1]);
    assert_eq!(
        person.json(0, "audit search acme --until 1h")["entries"],
        serde_json::json!([])
    );
    person.ends(1, "audit search acme --verdict perhaps");
    person.ends(1, "audit search --user alice");
    let id = denied[0]["tx_id"].as_str().unwrap();
    assert_eq!(person.json(0, &format!("audit get {id}"))["verified"], true);

    let ndjson = person.ends(0, "audit export acme --format ndjson");
    let lines: Vec<serde_json::Value> = ndjson
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let json: serde_json::Value =
        serde_json::from_str(&person.ends(0, "audit export acme --format json")).unwrap();
    assert_eq!(json.as_array().unwrap(), &lines);
    let csv = person.ends(0, "audit export acme --format csv");
    assert_eq!(csv.matches("\r\n").count(), lines.len() + 1);
    assert!(csv.contains("\"'=1+1\""));
    let table = person.ends(0, "audit export acme --format table");
    assert!(table.contains("denied: not_a_reader"));
    let path = person.home.path().join("export.csv");
    person.ends(
        0,
        &format!("audit export acme --format csv -o {}", path.display()),
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), csv);
    person.ends(1, &format!("audit export acme -o {}", path.display()));

    // The journals of all five, and of two of them: the one that a byte was changed in is not believed.
    let journals: Vec<String> = (1..=5)
        .map(|node| person.home.path().join(format!("dev/crypto-{node}/data/journal")))
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(
        person.json(0, &format!("audit reconcile {}", journals.join(" "))),
        serde_json::json!([])
    );
    let forged = person.home.path().join("journal");
    let mut bytes = fs::read(&journals[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&forged, bytes).unwrap();
    person.ends(2, &format!("audit reconcile {}", forged.display()));

    let checkpoint = person.json(0, "audit checkpoint");
    assert!(checkpoint["signatures"].as_u64().unwrap() >= 3);
    says_what_was_verified(&checkpoint);
    let log = person.json(0, "audit log --last 2");
    assert_eq!(log["entries"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&log["root"], &log["log_size"]),
        (&checkpoint["root"], &checkpoint["log_size"])
    );
    assert!(log["signatures"].as_u64().unwrap() >= 3 && log["compared"].as_u64().unwrap() >= 2);
    says_what_was_verified(&log);
    let seen = person.json(0, "audit watch --once");
    assert!(seen["log_size"].as_u64() >= checkpoint["log_size"].as_u64());
    let note = person.home.path().join("watch/newest.note");
    assert!(fs::read_to_string(note).unwrap().starts_with("quorate/"));

    let mirror = person.home.path().join("mirror");
    let mirrored = person.json(0, &format!("audit mirror {}", mirror.display()));
    assert_eq!(mirrored["before"], 0);
    says_what_was_verified(&mirrored);
    person.ends(2, "read acme/reports/q3 --as bob");
    let again = person.json(0, &format!("audit mirror {}", mirror.display()));
    assert_eq!(again["before"], mirrored["size"]);
    assert!(again["size"].as_u64() > again["before"].as_u64());
    // With one endorser that answers, which may be a liar, one cannot tell whether something is left out.
    let hung = ["north", "east", "south"].map(|name| person.home.path().join(format!("dev/endorser-{name}")));
    for directory in &hung {
        signal_daemon("-STOP", directory);
    }
    for line in ["audit log", "audit search acme"] {
        let alone = person.json(1, line);
        assert_eq!(
            (&alone["compared"], &alone["verdict"]),
            (&1.into(), &"too_few_compared".into())
        );
    }
    for directory in &hung {
        signal_daemon("-CONT", directory);
    }

    let roots = person.home.path().join("pinned.json");
    person.ends(0, &format!("audit roots -o {}", roots.display()));
    let check = format!(
        "audit mirror {} --check --roots {}",
        mirror.display(),
        roots.display()
    );
    drop(cluster);
    assert!(wait_until_unreachable(&person));

    // With nothing running: the mirror holds, and says where it does not; a chain that nobody shows is silent.
    assert_eq!(person.json(0, &check)["size"], again["size"]);
    let lines = mirror.join("lines/0000000000.txt");
    let whole = fs::read(&lines).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    fs::write(&lines, changed).unwrap();
    let index = whole[..whole.len() / 2]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count();
    let output = person.run(&check);
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(
        words.contains(&format!("line {} (entry {index})", index + 1)),
        "{words}"
    );
    person.ends(1, "audit watch --once");
    let silent = person.run("audit watch --silent 0 --interval 1");
    assert_eq!(silent.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&silent.stderr).contains("ALARM"));
}

#[test]
fn a_long_chain_is_generated_and_measured() {
    let figures = Person::new().json(0, "bench ledger --reads 60");
    assert_eq!(figures["reads"], 60);
    for name in [
        "search_p50_ms",
        "inclusion_p50_ms",
        "inclusion_bytes",
        "receipt_bytes",
        "receipt_verify_p50_ms",
        "restart_seconds",
        "endorser_rss_mb",
        "disk_bytes_per_read",
    ] {
        assert!(figures[name].as_f64().unwrap() > 0.0, "{name}: {figures}");
    }
    // Whatever the machine: 16 kB, and 2 kB.
    assert!(figures["receipt_bytes"].as_u64().unwrap() < 16_000);
    assert!(figures["inclusion_bytes"].as_u64().unwrap() < 2_000);
}

/// Every daemon ends when the process that started it is killed.
fn wait_until_unreachable(person: &Person) -> bool {
    let layout = fs::read_to_string(person.home.path().join("dev/cluster.toml")).unwrap();
    let addresses: Vec<&str> = layout
        .lines()
        .filter_map(|line| line.strip_prefix("listen = "))
        .collect();
    assert_eq!(addresses.len(), 10);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    let listens = |address: &&str| std::net::TcpStream::connect(address.trim_matches('"')).is_ok();
    while addresses.iter().any(listens) {
        if std::time::Instant::now() > deadline {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// P15: the first file under `directory`, but the original, that has the content in it.
fn nowhere_in_clear(directory: &Path, content: &[u8], original: &Path) -> Option<std::path::PathBuf> {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if let Some(found) = nowhere_in_clear(&path, content, original) {
                return Some(found);
            }
        } else if path != original
            && fs::read(&path)
                .unwrap()
                .windows(content.len())
                .any(|part| part == content)
        {
            return Some(path);
        }
    }
    None
}
