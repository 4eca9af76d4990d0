//! The handle on a running engine, and the thread it runs on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    net::TcpListener,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use commonware_codec::DecodeExt as _;
use commonware_consensus::Heightable as _;
use commonware_cryptography::{
    Signer as _,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_p2p::Address as Reachable;
use commonware_runtime::{Metrics as _, Runner as _, Supervisor as _, tokio};
use commonware_utils::{
    channel::{mpsc, oneshot, watch},
    ordered::Map,
};
use tracing::{error, info, warn};

use crate::{
    VOTE_ANYWAY,
    application::Application,
    block::{Admission, Block},
    config::{Address, Config},
    epochs::{self, Epochs},
    error::Error,
    evidence::vote_namespace,
    gossip::{Connected, raw},
    network,
    validator::{self, End, Setup},
};

/// Threads that run the engine's own tasks. Blocking work has threads of its own, made when needed.
const WORKERS: usize = 2;

/// At most so many of those: each is one call of the application, or one access to the disk.
const BLOCKING: usize = 64;

/// What the handle and the thread share.
#[derive(Default)]
struct Shared {
    connected: Connected,
    voting: Arc<AtomicBool>,
    epoch: AtomicU64,
    member: AtomicBool,
    /// Gives the metrics while the engine runs.
    metrics: Mutex<Option<tokio::Context>>,
}

/// How the engine ended, once it has.
type Ended = Option<Result<(), Arc<Error>>>;

/// A running validator. Dropping it stops it without waiting.
pub struct Engine {
    shared: Arc<Shared>,
    gossip: mpsc::Sender<Vec<u8>>,
    max_gossip_bytes: usize,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    ended: watch::Receiver<Ended>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// Checks the configuration, takes the directory, and starts the engine's thread.
    ///
    /// # Errors
    /// See [`Error`]; nothing runs then.
    pub fn start(config: Config, application: Arc<dyn Application>) -> Result<Self, Error> {
        let checked = Checked::new(&config)?;
        let shared = Arc::new(Shared::default());
        checked.begin_epoch(application.as_ref(), &shared)?;
        let lock = take_directory(&config)?;
        TcpListener::bind(config.listen).map_err(|error| Error::Listen(config.listen, error))?;

        let (gossip, outgoing) = mpsc::channel(config.limits.gossip_queue);
        let (stop, stopping) = oneshot::channel();
        let (ending, ended) = watch::channel(None);
        let max_gossip_bytes = usize::try_from(config.limits.max_gossip_bytes).unwrap_or(usize::MAX);
        let of_thread = Arc::clone(&shared);
        let body = move || {
            let run = || serve(config, checked, application, outgoing, stopping, &of_thread);
            let result = catch_unwind(AssertUnwindSafe(run))
                .unwrap_or_else(|panic| Err(Error::Stopped(format!("a part failed: {}", reason(&panic)))));
            if let Err(error) = &result {
                error!(%error, "the consensus engine stopped");
            }
            *of_thread.metrics.lock().unwrap_or_else(PoisonError::into_inner) = None;
            of_thread.connected.set(Vec::new());
            of_thread.voting.store(false, Ordering::Relaxed);
            drop(lock);
            ending.send_replace(Some(result.map_err(Arc::new)));
        };
        let thread = thread::Builder::new()
            .name("consensus".into())
            .spawn(body)
            .map_err(Error::Thread)?;
        Ok(Self {
            shared,
            gossip,
            max_gossip_bytes,
            stop: Mutex::new(Some(stop)),
            ended,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Sends a message to all other validators, without waiting. `false` when it was dropped: too
    /// large, or the queue is full, or the engine has ended. `true` does not say that it arrives.
    pub fn gossip(&self, message: Vec<u8>) -> bool {
        message.len() <= self.max_gossip_bytes && self.gossip.try_send(message).is_ok()
    }

    /// The keys of the other validators that this one is connected with at present.
    #[must_use]
    pub fn peers(&self) -> Vec<[u8; 32]> {
        self.shared.connected.get()
    }

    /// Whether this validator votes. `false` while it starts, and while it follows the chain because it has no record of
    /// its earlier votes (see [`VOTE_ANYWAY`](crate::VOTE_ANYWAY)), while it is in no set, and after the end.
    #[must_use]
    pub fn is_voting(&self) -> bool {
        self.shared.voting.load(Ordering::Relaxed)
    }

    /// The epoch of the next block: which set of validators decides on it, as far as this validator knows.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shared.epoch.load(Ordering::Relaxed)
    }

    /// Whether this validator is one of [`Engine::epoch`].
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.shared.member.load(Ordering::Relaxed)
    }

    /// The engine's own measurements, in the Prometheus text format. Empty when it has ended.
    #[must_use]
    pub fn metrics(&self) -> String {
        let context = self.shared.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        context
            .as_ref()
            .map(|context| context.encode())
            .unwrap_or_default()
    }

    /// Waits until the engine has ended: `Ok` after [`Engine::stop`]. May be called often.
    ///
    /// # Errors
    /// Why it ended by itself.
    pub async fn stopped(&self) -> Result<(), Arc<Error>> {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(Ok(())),
            Err(_) => Err(Arc::new(Error::Stopped("its thread is gone".into()))),
        }
    }

    /// Stops the engine and waits until its thread has ended, the directory is free, and the engine has let go of
    /// the application. Nothing that was acknowledged depends on it: a kill is as good.
    pub async fn stop(&self) {
        drop(taken(&self.stop));
        let _ = self.stopped().await;
        if let Some(thread) = taken(&self.thread) {
            // The thread has said that it ended, so this does not wait.
            let _ = thread.join();
        }
    }
}

fn taken<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// What the configuration says, in the engine's types.
pub(crate) struct Checked {
    pub(crate) key: PrivateKey,
    pub(crate) local: PublicKey,
    pub(crate) epochs: Epochs,
    /// Where validators listen.
    pub(crate) peers: BTreeMap<PublicKey, Address>,
    genesis: Block,
    pub(crate) admission: Admission,
}

impl Checked {
    fn new(config: &Config) -> Result<Self, Error> {
        let first = epochs::participants(&config.validators).map_err(Error::Validators)?;
        let mut peers = BTreeMap::new();
        for peer in &config.peers {
            let key = PublicKey::decode(peer.public_key.to_vec())
                .map_err(|_| Error::Validators("a key is not an Ed25519 point"))?;
            if peers.insert(key, peer.address.clone()).is_some() {
                return Err(Error::Validators("one key is there twice"));
            }
        }
        let key = PrivateKey::decode(config.secret_seed.to_vec())
            .map_err(|_| Error::Config("the seed is not an Ed25519 seed"))?;
        let local = key.public_key();
        let (genesis, admission) = genesis(config)?;
        timing(config)?;
        Ok(Self {
            key,
            local,
            epochs: Epochs::new(vote_namespace(&config.namespace), first),
            peers,
            genesis,
            admission,
        })
    }

    /// The epoch of the next block, by what the application has.
    fn begin_epoch(&self, application: &dyn Application, shared: &Shared) -> Result<u64, Error> {
        self.epochs.refresh(application)?;
        let epoch = self.epochs.at(application.applied_height().saturating_add(1));
        let participants = self.epochs.participants(epoch);
        let is_member = participants.is_some_and(|set| set.position(&self.local).is_some());
        shared.epoch.store(epoch, Ordering::Relaxed);
        shared.member.store(is_member, Ordering::Relaxed);
        Ok(epoch)
    }

    /// Whom this validator connects with in an epoch: its validators, and those of the epoch before, who may need its last
    /// blocks; and all whose address it has been told, since whoever has lost its disk begins in an epoch whose validators may
    /// all have left, and learns from those of today that it is over. What each may say is another matter: see the standing.
    fn neighbours(&self, epoch: u64, application: &dyn Application) -> Map<PublicKey, Reachable> {
        let sets = [epoch.checked_sub(1), Some(epoch)].into_iter().flatten();
        let mut keys: BTreeSet<PublicKey> = sets
            .filter_map(|epoch| self.epochs.participants(epoch))
            .flatten()
            .collect();
        keys.extend(self.peers.keys().cloned());
        let reachable = |key: PublicKey| {
            // What the blocks say is newer than what an operator has written down.
            let told = || self.peers.get(&key).cloned();
            let address = application.address(&raw(&key)).or_else(told);
            if address.is_none() {
                warn!(%key, "nobody has said where this validator listens: it has to connect itself");
            }
            (key, Address::reachable(address))
        };
        Map::from_iter_dedup(keys.into_iter().map(reachable))
    }
}

fn genesis(config: &Config) -> Result<(Block, Admission), Error> {
    let max_bytes =
        usize::try_from(config.limits.max_block_bytes).map_err(|_| Error::Config("max_block_bytes"))?;
    let admission = Admission {
        inspect: config.inspect,
        max_bytes,
    };
    let genesis = admission
        .admit(config.genesis.clone().into())
        .ok_or(Error::Genesis("it is refused, or too large"))?;
    if genesis.height().get() != 0 {
        return Err(Error::Genesis("its height is not 0"));
    }
    Ok((genesis, admission))
}

fn timing(config: &Config) -> Result<(), Error> {
    let (limits, timing) = (&config.limits, &config.timing);
    if limits.max_batch == 0
        || limits.gossip_queue == 0
        || limits.gossip_rate == 0
        || limits.max_gossip_bytes == 0
        || limits.evidence_gap == 0
    {
        return Err(Error::Config("a limit is zero"));
    }
    if timing.leader.is_zero() || timing.retry.is_zero() {
        return Err(Error::Config("a duration is zero"));
    }
    if timing.leader <= timing.idle_block {
        return Err(Error::Config(
            "timing.leader must be longer than timing.idle_block",
        ));
    }
    if timing.certification <= timing.leader {
        return Err(Error::Config(
            "timing.certification must be longer than timing.leader",
        ));
    }
    Ok(())
}

/// Creates the directory, and holds it against a second engine as long as the file lives.
fn take_directory(config: &Config) -> Result<File, Error> {
    fs::create_dir_all(&config.directory).map_err(Error::Directory)?;
    let lock = File::create(config.directory.join("lock")).map_err(Error::Directory)?;
    lock.try_lock().map_err(|error| Error::Directory(error.into()))?;
    Ok(lock)
}

fn reason(panic: &Box<dyn std::any::Any + Send>) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "for an unknown reason".to_owned())
}

/// The body of the engine's thread: runs of the validator, each with a runtime of its own, until one
/// says that it is not to be run again.
fn serve(
    config: Config,
    checked: Checked,
    application: Arc<dyn Application>,
    outgoing: mpsc::Receiver<Vec<u8>>,
    mut stopping: oneshot::Receiver<()>,
    shared: &Shared,
) -> Result<(), Error> {
    let outgoing = Arc::new(futures::lock::Mutex::new(outgoing));
    loop {
        let epoch = checked.begin_epoch(application.as_ref(), shared)?;
        let neighbours = checked.neighbours(epoch, application.as_ref());
        // Taken away at once, so that it decides about this start only.
        let vote_anyway = fs::remove_file(config.directory.join(VOTE_ANYWAY)).is_ok();
        let setup = Setup {
            key: checked.key.clone(),
            epoch,
            epochs: checked.epochs.clone(),
            vote_namespace: vote_namespace(&config.namespace),
            genesis: checked.genesis.clone(),
            admission: checked.admission,
            limits: config.limits.clone(),
            timing: config.timing.clone(),
            partition: "chain".into(),
            application: Arc::clone(&application),
            outgoing: Arc::clone(&outgoing),
            connected: shared.connected.clone(),
            voting: Arc::clone(&shared.voting),
            vote_anyway,
        };
        let end = once(&config, &checked, neighbours, setup, &mut stopping, shared);
        shared.voting.store(false, Ordering::Relaxed);
        match end {
            None => return Ok(()),
            Some(End::Promoted) => {}
            Some(End::NextEpoch) => info!(epoch, "the epoch has ended"),
            Some(End::Failed(error)) => return Err(error),
        }
    }
}

/// One run, on a runtime that ends with it. `None` when it was told to stop.
fn once(
    config: &Config,
    checked: &Checked,
    neighbours: Map<PublicKey, Reachable>,
    setup: Setup,
    stopping: &mut oneshot::Receiver<()>,
    shared: &Shared,
) -> Option<End> {
    let runner = tokio::Runner::new(
        tokio::Config::new()
            .with_worker_threads(WORKERS)
            .with_max_blocking_threads(BLOCKING)
            .with_storage_directory(config.directory.join("store")),
    );
    runner.start(|context| async move {
        *shared.metrics.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.child("metrics"));
        let (channels, oracle, network) = network::start(&context, config, checked, neighbours);
        info!(key = %checked.local, listen = %config.listen, epoch = setup.epoch, "consensus starts");
        let validator = validator::run(
            context.child("validator"),
            setup,
            channels,
            oracle.clone(),
            oracle,
        );
        futures::pin_mut!(validator, network);
        let end = commonware_macros::select! {
            _ = stopping => None,
            end = validator => Some(end),
            _ = network => Some(End::Failed(Error::Stopped("the network ended".into()))),
        };
        *shared.metrics.lock().unwrap_or_else(PoisonError::into_inner) = None;
        end
    })
}
