//! Measures commits: four validators, each a process, on the loopback interface of one machine.
//!
//!     cargo run --release -p quorate-consensus --example commit_bench -- 0 1 8 64
//!
//! Each argument is a number of clients a validator; 0 means one client in all, which waits between its transactions.
//! A client submits 300 bytes, waits until its own validator has them final and synced to disk, and submits again.
//! Printed: from submission to that moment, in milliseconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    collections::{HashMap, HashSet},
    env,
    fs::{self, File},
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use quorate_consensus::{
    Address, AppError, Application, BlockBytes, BlockMeta, Config, Engine, Epoch, Evidence, Finalized,
    Limits, Timing, VOTE_ANYWAY, Validator,
};
use tokio::sync::{Notify, oneshot};
use zeroize::Zeroizing;

#[path = "../src/tests/toy.rs"]
mod toy;

const COUNT: usize = 4;
const SECONDS: u64 = 10;
const SIZE: usize = 300;
const HOLD: Duration = Duration::from_millis(300);

type Id = [u8; 12];

#[derive(Default)]
struct State {
    height: u64,
    tip: [u8; 32],
    pending: Vec<Vec<u8>>,
    seen: HashSet<Id>,
    waiting: HashMap<Id, oneshot::Sender<()>>,
}

/// A durable application without anything to compute: appends final blocks to a file.
struct Durable {
    state: Mutex<State>,
    arrived: Notify,
    file: Mutex<File>,
}

fn id(string: &[u8]) -> Id {
    string[..12].try_into().unwrap()
}

impl Durable {
    fn submit(&self, string: Vec<u8>) -> bool {
        let mut state = self.state.lock().unwrap();
        let new = state.seen.insert(id(&string));
        if new {
            state.pending.push(string);
            self.arrived.notify_waiters();
        }
        new
    }

    fn open(&self, ancestry: &[BlockBytes]) -> (BlockMeta, Vec<Vec<u8>>) {
        let taken: HashSet<Id> = ancestry
            .iter()
            .flat_map(|block| toy::strings(block).unwrap())
            .map(|string| id(&string))
            .collect();
        let state = self.state.lock().unwrap();
        let tip = BlockMeta {
            digest: state.tip,
            parent: [0; 32],
            height: state.height,
        };
        let tip = ancestry.last().map_or(tip, |block| toy::inspect(block).unwrap());
        let open = state
            .pending
            .iter()
            .filter(|string| !taken.contains(&id(string)))
            .take(2000)
            .cloned();
        (tip, open.collect())
    }
}

impl Application for Durable {
    fn digest(&self, height: u64) -> Option<[u8; 32]> {
        let state = self.state.lock().unwrap();
        (height == state.height).then_some(state.tip)
    }

    fn epoch(&self, _: u64) -> Option<Epoch> {
        None
    }

    fn applied_height(&self) -> u64 {
        self.state.lock().unwrap().height
    }

    fn propose(&self, ancestry: Vec<BlockBytes>, _: u64) -> BoxFuture<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let (mut tip, mut open) = self.open(&ancestry);
            if open.is_empty() {
                let _ = tokio::time::timeout(HOLD, arrived).await;
                (tip, open) = self.open(&ancestry);
            }
            Some(toy::encode(tip.digest, tip.height + 1, &open))
        })
    }

    fn verify(&self, block: BlockBytes, _: Vec<BlockBytes>, _: u64) -> BoxFuture<'_, bool> {
        Box::pin(async move { toy::strings(&block).is_some() })
    }

    fn finalized(&self, blocks: Vec<Finalized>) -> Result<(), AppError> {
        let mut file = self.file.lock().unwrap();
        blocks.iter().try_for_each(|(block, _)| file.write_all(block))?;
        file.sync_data()?;
        let mut state = self.state.lock().unwrap();
        for (block, _) in blocks {
            let meta = toy::inspect(&block).unwrap();
            let ids: HashSet<Id> = toy::strings(&block)
                .unwrap()
                .iter()
                .map(|string| id(string))
                .collect();
            state.pending.retain(|string| !ids.contains(&id(string)));
            (state.height, state.tip) = (meta.height, meta.digest);
            for id in ids {
                state.seen.insert(id);
                state.waiting.remove(&id).map(|client| client.send(()));
            }
        }
        Ok(())
    }

    fn received(&self, _: [u8; 32], message: Vec<u8>) {
        for string in message.chunks_exact(SIZE) {
            self.submit(string.to_vec());
        }
    }
}

fn seed(index: usize) -> [u8; 32] {
    [u8::try_from(index).unwrap() + 1; 32]
}

fn validators(addresses: &[SocketAddr]) -> Vec<Validator> {
    let key = |index| {
        ed25519_dalek::SigningKey::from_bytes(&seed(index))
            .verifying_key()
            .to_bytes()
    };
    addresses
        .iter()
        .enumerate()
        .map(|(index, address)| Validator {
            public_key: key(index),
            address: (*address).into(),
        })
        .collect()
}

/// One client: submits, waits, and notes how long it took.
async fn client(
    app: Arc<Durable>,
    queue: tokio::sync::mpsc::UnboundedSender<Vec<u8>>,
    name: u32,
    pause: Duration,
) -> Vec<f64> {
    let (end, mut times, mut number) = (Instant::now() + Duration::from_secs(SECONDS), Vec::new(), 0_u64);
    while Instant::now() < end {
        let mut string = name.to_be_bytes().to_vec();
        string.extend(number.to_be_bytes());
        string.resize(SIZE, 7);
        number += 1;
        let (sender, receiver) = oneshot::channel();
        app.state.lock().unwrap().waiting.insert(id(&string), sender);
        let start = Instant::now();
        app.submit(string.clone());
        queue.send(string).unwrap();
        receiver.await.unwrap();
        times.push(start.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(pause).await;
    }
    times
}

fn resident_megabytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// The body of a validator's process.
async fn validator(index: usize, clients: usize, directory: &str, addresses: &[SocketAddr]) {
    fs::create_dir_all(directory).unwrap();
    fs::write(format!("{directory}/{VOTE_ANYWAY}"), b"").unwrap();
    let genesis = toy::genesis();
    let state = State {
        tip: toy::inspect(&genesis).unwrap().digest,
        ..State::default()
    };
    let file = Mutex::new(File::create(format!("{directory}/blocks")).unwrap());
    let app = Arc::new(Durable {
        state: Mutex::new(state),
        arrived: Notify::new(),
        file,
    });
    let config = Config {
        directory: directory.into(),
        listen: addresses[index],
        secret_seed: Zeroizing::new(seed(index)),
        validators: validators(addresses).iter().map(|one| one.public_key).collect(),
        peers: validators(addresses),
        namespace: vec![1; 32],
        genesis,
        inspect: toy::inspect,
        limits: Limits::default(),
        timing: Timing::default(),
    };
    let engine = Engine::start(config, app.clone()).unwrap();
    while app.applied_height() < 3 || engine.peers().len() < COUNT - 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Transactions that come within a moment travel in one message.
    let (queue, mut queued) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
    let before = app.applied_height();
    let pause = if clients == 0 {
        Duration::from_millis(37)
    } else {
        Duration::ZERO
    };
    let count = if clients == 0 {
        usize::from(index == 0)
    } else {
        clients
    };
    let tasks: Vec<_> = (0..count)
        .map(|number| {
            let name = u32::try_from(index * 65_536 + number).unwrap();
            tokio::spawn(client(app.clone(), queue.clone(), name, pause))
        })
        .collect();
    drop(queue);
    let gossip = async {
        let mut batch = Vec::new();
        while queued.recv_many(&mut batch, 500).await > 0 {
            engine.gossip(batch.concat());
            batch.clear();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    gossip.await;
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let blocks = app.applied_height() - before;
    tokio::time::sleep(Duration::from_secs(u64::from(count == 0) * SECONDS)).await;
    let times: Vec<_> = times.iter().map(f64::to_string).collect();
    println!("{blocks} {} {}", resident_megabytes(), times.join(","));
    // The others may still be at work.
    tokio::time::sleep(Duration::from_secs(2)).await;
    engine.stop().await;
}

fn measure(clients: usize) {
    let addresses = service::ports::free(COUNT).unwrap();
    let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
    let directory = tempfile::TempDir::new().unwrap();
    let children: Vec<_> = (0..COUNT)
        .map(|index| {
            Command::new(env::current_exe().unwrap())
                .args(["validator", &index.to_string(), &clients.to_string()])
                .arg(directory.path().join(index.to_string()))
                .args(&addresses)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let (mut times, mut resident, mut blocks) = (Vec::new(), 0.0_f64, 0.0_f64);
    for child in children {
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let parts: Vec<_> = output.trim().split(' ').collect();
        blocks = blocks.max(parts[0].parse().unwrap());
        resident = resident.max(parts[1].parse().unwrap());
        times.extend(
            parts
                .get(2)
                .into_iter()
                .flat_map(|part| part.split(','))
                .map(|time| time.parse::<f64>().unwrap()),
        );
    }
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "{clients:>4} clients a node: {:>8.0} tx/s  p50 {:>6.1} ms  p99 {:>6.1} ms  {:>5.0} blocks/s  {resident:>5.0} MB",
        times.len() as f64 / SECONDS as f64,
        at(50),
        at(99),
        blocks / SECONDS as f64,
    );
}

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "validator") {
        let addresses: Vec<_> = arguments[4..]
            .iter()
            .map(|address| address.parse().unwrap())
            .collect();
        let (index, clients) = (arguments[1].parse().unwrap(), arguments[2].parse().unwrap());
        tokio::runtime::Runtime::new().unwrap().block_on(validator(
            index,
            clients,
            &arguments[3],
            &addresses,
        ));
        return;
    }
    let loads: Vec<usize> = arguments
        .iter()
        .map(|argument| argument.parse().unwrap())
        .collect();
    for clients in if loads.is_empty() {
        vec![0, 1, 8, 64]
    } else {
        loads
    } {
        measure(clients);
    }
}
