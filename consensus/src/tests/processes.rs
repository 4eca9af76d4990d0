//! Four validators as processes, which can be killed and weighed: this test program, started again.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use futures::executor::block_on;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{
    loopback::{public, seed},
    toy::{self, Toy},
};
use crate::{Application as _, Config, Engine, Limits, Timing, VOTE_ANYWAY, Validator};

/// Says to this program that it is a validator: its index, its directory, and all addresses.
const ROLE: &str = "QUORATE_TEST_VALIDATOR";
const HOLD: Duration = Duration::from_millis(50);

/// The body of a validator's process. Reads `submit STRING`, `flood COUNT` and `weigh`; writes `final STRING` for
/// strings that begin with "k", and `weighs KILOBYTES`.
#[test]
#[ignore = "the body of the other tests' processes"]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let mut role = role.split(' ');
    let index: usize = role.next().unwrap().parse().unwrap();
    let directory = role.next().unwrap().into();
    let addresses: Vec<SocketAddr> = role.map(|address| address.parse().unwrap()).collect();
    let validator = |index: usize| Validator {
        public_key: public(index),
        address: addresses[index].into(),
    };
    let toy = Arc::new(Toy::new(Some(HOLD)));
    let config = Config {
        directory,
        listen: addresses[index],
        secret_seed: Zeroizing::new(seed(index)),
        validators: (0..addresses.len()).map(public).collect(),
        peers: (0..addresses.len()).map(validator).collect(),
        namespace: vec![21; 32],
        genesis: toy::genesis(),
        inspect: toy::inspect,
        limits: Limits::default(),
        timing: Timing::default(),
    };
    let engine = Engine::start(config, toy.clone()).unwrap();
    let watched = toy.clone();
    thread::spawn(move || {
        for height in 0_usize.. {
            watched.wait_long(|toy| toy.applied_height() > height as u64);
            let (block, _) = watched.block(height);
            for string in toy::strings(&block)
                .unwrap()
                .iter()
                .filter(|string| string.starts_with(b"k"))
            {
                println!("final {}", String::from_utf8_lossy(string));
            }
        }
    });
    for line in std::io::stdin().lines() {
        match line.unwrap().split_once(' ').unwrap() {
            ("submit", string) => {
                toy.submit(string.as_bytes());
                engine.gossip(string.as_bytes().to_vec());
            }
            ("flood", count) => {
                for number in 0..count.parse::<u32>().unwrap() {
                    toy.submit(format!("f {index} {number:012}").as_bytes());
                }
                toy.submit(format!("k flood of {index} is over").as_bytes());
            }
            ("weigh", _) => println!("weighs {}", resident_kilobytes()),
            other => panic!("{other:?}"),
        }
    }
    block_on(engine.stop());
}

fn resident_kilobytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

struct Process {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
}

impl Process {
    fn start(index: usize, directory: &Path, addresses: &[SocketAddr]) -> Self {
        let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "tests::processes::child"])
            .env(
                ROLE,
                format!("{index} {} {}", directory.display(), addresses.join(" ")),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, output) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let input = child.stdin.take().unwrap();
        Self { child, input, output }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// The rest of the next line that begins with `word`, at most two minutes from now.
    fn hear(&self, word: &str) -> String {
        loop {
            let line = self
                .output
                .recv_timeout(Duration::from_secs(120))
                .expect("the process says what is awaited");
            if let Some(rest) = line.strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }

    /// As kill -9 does: without a chance to do anything more.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start_all(directories: &[TempDir], addresses: &[SocketAddr]) -> Vec<Process> {
    directories
        .iter()
        .enumerate()
        .map(|(index, directory)| Process::start(index, directory.path(), addresses))
        .collect()
}

fn new_directories() -> Vec<TempDir> {
    let directories: Vec<_> = (0..4).map(|_| TempDir::new().unwrap()).collect();
    directories
        .iter()
        .for_each(|directory| fs::write(directory.path().join(VOTE_ANYWAY), b"").unwrap());
    directories
}

#[test]
fn e4_kill_9_of_all_at_once_loses_nothing_that_was_final() {
    let (directories, addresses) = (new_directories(), service::ports::free(4).unwrap());
    let mut processes = start_all(&directories, &addresses);
    let mut known = 0;
    for round in 0..3 {
        // Nothing is said again: what was final before the kill comes back from the disks alone, first.
        for number in 0..known {
            for process in &processes {
                assert_eq!(process.hear("final"), format!("k {number}"));
            }
        }
        for _ in 0..5 {
            for process in &mut processes {
                process.say(&format!("submit k {known}"));
            }
            for process in &processes {
                assert_eq!(process.hear("final"), format!("k {known}"), "round {round}");
            }
            known += 1;
        }
        // In the middle of whatever they are doing.
        for process in &mut processes {
            process.say(&format!("submit m {round}"));
        }
        processes.iter_mut().for_each(Process::kill);
        processes = start_all(&directories, &addresses);
    }
}

#[test]
fn memory_stays_small_over_100_000_transactions() {
    let (directories, addresses) = (new_directories(), service::ports::free(4).unwrap());
    let mut processes = start_all(&directories, &addresses);
    for process in &mut processes {
        process.say("flood 25000");
    }
    for process in &mut processes {
        for _ in 0..4 {
            assert!(process.hear("final").starts_with("k flood of"));
        }
        process.say("weigh now");
        let kilobytes: u64 = process.hear("weighs").parse().unwrap();
        // The toy keeps all of it in memory, some 20 MB; the rest is the engine.
        assert!(kilobytes < 128 << 10, "{kilobytes} kB");
    }
}
