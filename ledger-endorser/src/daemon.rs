//! The endorser as a process: put together, started, watched, drained.

use std::{
    collections::BTreeMap,
    future::Future,
    net::{SocketAddr, ToSocketAddrs},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use consensus::{Engine, Validator};
use golden_record::Genesis;
use prometheus_client::registry::Registry;
use proto::ledger::ledger_service_server::LedgerServiceServer;
use service::{
    Listener, Passphrase,
    operations::{Operations, Readiness},
    server::{self, HttpLimits},
    tls::{ClientPolicy, ListenerLimits},
};
use threshold::{encoding::Canonical, name::Name};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};
use tonic::service::Routes;

use crate::{
    Config,
    application::Replica,
    approve::Certifier,
    checkpoint::CheckpointSigner,
    clock::Clock,
    config::MAX_CERTIFICATE_LIFETIME_S,
    gossip::{self, Outbox},
    grpc::{Endorser, Signers},
    inbox::Inbox,
    index::{self, SearchIndex},
    intake::Intake,
    ledger::{self, Ledger},
    metrics::Metrics,
    setup::{self, Keys},
    store::Store,
};

/// How often readiness and gauges are brought up to date.
const PULSE: Duration = Duration::from_millis(500);

/// How long a stop waits until nobody uses the store any more. Requests that are cut off end at once; this is for what
/// computes or writes.
const CLOSING: Duration = Duration::from_secs(15);

/// The condition of readiness.
const FINAL_BLOCK: &str = "final-block";

/// Runs an endorser until `stop` completes, and returns after a clean drain.
///
/// # Errors
/// When the configuration, a key or the store is not usable, a port cannot be had, or consensus ends by itself.
pub async fn run(config: Config, stop: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
    run_with_clock(config, Clock::system(), stop).await
}

/// As [`run`], by another clock than the system's.
///
/// # Errors
/// As [`run`].
pub async fn run_with_clock(
    config: Config,
    clock: Clock,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let loading = config.clone();
    let Loaded {
        organisation,
        genesis,
        keys,
        validators,
        store,
        index,
    } = tokio::task::spawn_blocking(move || Loaded::from_config(&loading)).await??;
    let listener_limits = ListenerLimits {
        connections: config.limits.connections,
        ..ListenerLimits::default()
    };
    let listener = Listener::bind(
        config.listen,
        &keys.identity,
        ClientPolicy::AnyKey,
        &listener_limits,
    )
    .await
    .with_context(|| format!("cannot listen on {}", config.listen))?;
    let operations = Operations::bind(config.operations)
        .await
        .with_context(|| format!("cannot listen on {}", config.operations))?;

    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    listener.register(registry.sub_registry_with_prefix("quorate_endorser"));
    let ledger = Arc::new(Ledger::new(
        genesis.clone(),
        store,
        config.limits.clone(),
        metrics,
    ));
    let (outbox, outgoing) = Outbox::new();
    let intake = Arc::new(Intake::new(Arc::clone(&ledger), outbox, clock.clone()));
    let timing = consensus::Timing::default();
    let inbox = Arc::new(Inbox::default());
    let replica = Replica::new(
        Arc::clone(&ledger),
        clock.clone(),
        Handle::current(),
        timing.idle_block,
        Arc::clone(&inbox),
    );
    let engine = start_engine(&config, &genesis, &keys, validators, timing, replica)?;

    let readiness = Readiness::new();
    readiness.unmet(FINAL_BLOCK, "starting");
    let mut tasks = Tasks::start(&ledger, &intake, &engine, &readiness, &clock, outgoing, inbox);
    let index = Arc::new(index);
    tasks.run(index::follow(Arc::clone(&index), Arc::clone(&ledger)));
    let stopped = tasks.stopped();
    tokio::spawn(operations.serve(registry, readiness, stopped));

    let signers = Signers {
        checkpoints: CheckpointSigner::new(organisation.clone(), &keys.validator),
        certificates: Certifier::new(
            keys.authority,
            genesis.installation().clone(),
            genesis.chain_id(),
            config.certificate_lifetime_seconds,
            config.policy_version,
        ),
    };
    let connected = Arc::clone(&engine);
    let peers = Arc::new(move || connected.peers().len());
    let endorser = Endorser::new(
        organisation,
        Arc::clone(&ledger),
        intake,
        signers,
        index,
        clock,
        peers,
    );
    service::notify::ready();
    let result = serve(endorser, listener, &engine, stop).await;
    service::notify::stopping();
    close(ledger, tasks, &engine).await;
    result
}

/// Ends what still runs, and waits until the store is free: who starts again at once must find it so.
async fn close(ledger: Arc<Ledger>, tasks: Tasks, engine: &Engine) {
    let closed = ledger.store().closed();
    // Requests that outlived the drain time wait for nothing any more.
    ledger.waiters().close();
    tasks.stop().await;
    engine.stop().await;
    drop(ledger);
    if tokio::time::timeout(CLOSING, closed).await.is_err() {
        tracing::warn!("something still uses the store; it is free when this process has ended");
    }
}

/// Serves until told to stop, or consensus ends by itself.
async fn serve(
    endorser: Endorser,
    listener: Listener,
    engine: &Engine,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let service = LedgerServiceServer::new(endorser)
        .max_decoding_message_size(proto::limits::LEDGER_REQUEST)
        .max_encoding_message_size(proto::limits::LEDGER_PAGE);
    let mut ended = None;
    let until = async {
        tokio::select! {
            () = stop => {}
            end = engine.stopped() => ended = Some(end),
        }
    };
    server::serve(Routes::new(service), listener, &HttpLimits::default(), until).await?;
    match ended {
        Some(Err(error)) => Err(anyhow::Error::new(error).context("consensus ended by itself")),
        Some(Ok(())) => bail!("consensus ended by itself"),
        None => Ok(()),
    }
}

/// What is read from disk before anything starts.
struct Loaded {
    organisation: Name,
    genesis: Genesis,
    keys: Keys,
    validators: Vec<Validator>,
    store: Store,
    index: SearchIndex,
}

impl Loaded {
    /// Blocks.
    fn from_config(config: &Config) -> anyhow::Result<Self> {
        let organisation: Name = config.organisation.parse().context("organisation")?;
        let genesis = read_genesis(&config.genesis)?;
        let passphrase = Passphrase::from_file(&config.passphrase_file)?;
        let keys = setup::load_keys(&config.keys, &organisation, &passphrase)?;
        check_membership(&organisation, &genesis, &keys)?;
        let lifetime_s = config.certificate_lifetime_seconds;
        ensure!(
            (1..=MAX_CERTIFICATE_LIFETIME_S).contains(&lifetime_s),
            "certificate_lifetime_seconds is {lifetime_s}, and must be 1 to {MAX_CERTIFICATE_LIFETIME_S}"
        );
        let validators = validators(config, &genesis, &organisation)?;
        std::fs::create_dir_all(&config.directory)
            .with_context(|| format!("directory {}", config.directory.display()))?;
        let path = config.directory.join("ledger.redb");
        let store = Store::open(&path, &genesis, config.limits.store_cache_bytes)
            .with_context(|| format!("store {}", path.display()))?;
        let search = config.directory.join("search");
        let index = SearchIndex::open(&search, genesis.chain_id(), config.limits.index_cache_bytes);
        Ok(Self {
            organisation,
            genesis,
            keys,
            validators,
            store,
            index,
        })
    }
}

fn read_genesis(path: &Path) -> anyhow::Result<Genesis> {
    let bytes = std::fs::read(path).with_context(|| format!("genesis {}", path.display()))?;
    ensure!(
        bytes.len() <= proto::limits::GENESIS,
        "genesis {} is too large",
        path.display()
    );
    Genesis::from_bytes(&bytes).with_context(|| format!("genesis {}", path.display()))
}

/// The keys are those that the genesis has for this organisation.
fn check_membership(organisation: &Name, genesis: &Genesis, keys: &Keys) -> anyhow::Result<()> {
    let Some(member) = genesis
        .organisations()
        .iter()
        .find(|member| member.name == *organisation)
    else {
        bail!("the genesis does not name the organisation {organisation}");
    };
    let validator = ed25519_dalek::SigningKey::from_bytes(&keys.validator)
        .verifying_key()
        .to_bytes();
    ensure!(
        *member.validator.as_bytes() == validator,
        "the genesis has another validator key of {organisation}"
    );
    ensure!(
        member.ca_certificate == keys.authority.root_der(),
        "the genesis has another CA certificate of {organisation}"
    );
    Ok(())
}

/// All validators of the genesis, each with its address.
fn validators(config: &Config, genesis: &Genesis, organisation: &Name) -> anyhow::Result<Vec<Validator>> {
    let mut peers: BTreeMap<[u8; 32], &str> = BTreeMap::new();
    for (key, address) in &config.peers {
        let bytes = hex::decode(key).ok().and_then(|bytes| bytes.try_into().ok());
        let bytes: [u8; 32] = bytes.with_context(|| format!("peers: {key} is not a key in hexadecimal"))?;
        peers.insert(bytes, address);
    }
    let mut validators = Vec::new();
    for member in genesis.organisations() {
        let public_key = *member.validator.as_bytes();
        let address = match peers.remove(&public_key) {
            _ if member.name == *organisation => config.consensus_listen,
            Some(address) => resolve(address)?,
            None => bail!(
                "peers: no address for the validator {} of {}",
                hex::encode(public_key),
                member.name
            ),
        };
        validators.push(Validator { public_key, address });
    }
    if let Some((key, _)) = peers.pop_first() {
        bail!("peers: {} is no validator of the genesis", hex::encode(key));
    }
    Ok(validators)
}

fn resolve(address: &str) -> anyhow::Result<SocketAddr> {
    let found = address
        .to_socket_addrs()
        .with_context(|| format!("peers: {address}"))?
        .next();
    found.with_context(|| format!("peers: {address} has no address"))
}

fn start_engine(
    config: &Config,
    genesis: &Genesis,
    keys: &Keys,
    validators: Vec<Validator>,
    timing: consensus::Timing,
    replica: Replica,
) -> anyhow::Result<Arc<Engine>> {
    let (block, _) = genesis.block();
    let config = consensus::Config {
        directory: setup::consensus_directory(&config.directory),
        listen: config.consensus_listen,
        secret_seed: keys.validator.clone(),
        validators,
        namespace: genesis.chain_id().as_bytes().to_vec(),
        genesis: block.to_bytes(),
        inspect: ledger::inspect,
        limits: consensus::Limits {
            max_block_bytes: max_block_bytes(genesis),
            ..consensus::Limits::default()
        },
        timing,
    };
    Ok(Arc::new(
        Engine::start(config, Arc::new(replica)).context("consensus")?,
    ))
}

/// Around the entries of a block: the header and their number.
const BLOCK_FRAME: u32 = 1_024;

/// The engine takes every block that the genesis allows. If it did not, a full one would be refused by its own
/// proposer, and so by every next one, and the chain would stand still.
fn max_block_bytes(genesis: &Genesis) -> u32 {
    genesis.limits().max_block_bytes.saturating_add(BLOCK_FRAME)
}

/// What runs beside the server.
struct Tasks {
    stop: watch::Sender<bool>,
    running: Vec<JoinHandle<()>>,
}

impl Tasks {
    fn start(
        ledger: &Arc<Ledger>,
        intake: &Arc<Intake>,
        engine: &Arc<Engine>,
        readiness: &Readiness,
        clock: &Clock,
        outgoing: tokio::sync::mpsc::Receiver<Arc<[u8]>>,
        inbox: Arc<Inbox>,
    ) -> Self {
        let mut tasks = Self {
            stop: watch::Sender::new(false),
            running: Vec::new(),
        };
        let sender = Arc::clone(engine);
        let stopped = tasks.stopped();
        tasks.run(gossip::send_all(
            outgoing,
            move |message| sender.gossip(message),
            stopped,
        ));
        tasks.run(receive(Arc::clone(intake), inbox));
        tasks.run(pulse(
            Arc::clone(ledger),
            Arc::clone(engine),
            readiness.clone(),
            clock.clone(),
        ));
        tasks
    }

    /// Runs until it ends, or all are stopped.
    fn run(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.stopped();
        self.running.push(tokio::spawn(async move {
            tokio::select! {
                () = task => {}
                () = stopped => {}
            }
        }));
    }

    fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stop = self.stop.subscribe();
        async move {
            // A sender that is gone means the same.
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.running {
            // A task that failed has nothing left to stop.
            let _ = task.await;
        }
    }
}

async fn receive(intake: Arc<Intake>, inbox: Arc<Inbox>) {
    loop {
        let (from, message) = inbox.next().await;
        intake.receive(&from, &message, Instant::now());
        // Each message may take a while, and there may always be another.
        tokio::task::yield_now().await;
    }
}

async fn pulse(ledger: Arc<Ledger>, engine: Arc<Engine>, readiness: Readiness, clock: Clock) {
    let mut ticks = tokio::time::interval(PULSE);
    loop {
        ticks.tick().await;
        let age_ms = clock.now_ms().saturating_sub(ledger.store().tip().header.time_ms);
        if age_ms <= ledger.limits().stale_after_ms {
            readiness.met(FINAL_BLOCK);
        } else {
            readiness.unmet(FINAL_BLOCK, format!("the newest final block is {age_ms} ms old"));
        }
        ledger
            .metrics()
            .peers
            .set(i64::try_from(engine.peers().len()).unwrap_or(i64::MAX));
        ledger.show_mempool();
        ledger.waiters().sweep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{common::World, testing::NOW_MS};

    #[test]
    fn the_engine_takes_a_block_as_full_as_the_genesis_allows() {
        let genesis = World::new(NOW_MS).genesis;
        // What an empty block has is what a full one has around its entries.
        let around = u32::try_from(genesis.block().0.to_bytes().len()).unwrap();
        assert!(max_block_bytes(&genesis) >= genesis.limits().max_block_bytes + around);
    }
}
