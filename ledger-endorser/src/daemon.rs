//! The endorser as a process: put together, started, watched, drained.

use std::{
    collections::BTreeMap,
    future::Future,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, ensure};
use consensus::{Engine, Validator};
use golden_record::{Genesis, queries};
use prometheus_client::registry::Registry;
use proto::ledger::ledger_service_server::LedgerServiceServer;
use service::{
    Beside, Listener, Passphrase,
    operations::{Operations, Readiness},
    server::{self, HttpLimits},
    tls::{ClientPolicy, ListenerLimits},
};
use threshold::{encoding::Canonical, name::Name};
use tokio::runtime::Handle;
use tonic::service::Routes;

use crate::{
    Config,
    application::Replica,
    approve::Certifier,
    checkpoint::CheckpointSigner,
    clock::Clock,
    gossip::{self, Outbox},
    grpc::{Endorser, Signers, Standing},
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

/// The conditions of readiness: the chain goes on, and this endorser is one of those who decide.
const FINAL_BLOCK: &str = "final-block";
const ENDORSER: &str = "endorser";

/// Runs an endorser until `stop` completes, and returns after a clean drain.
///
/// # Errors
/// When the configuration, a key or the store is not usable, a port cannot be had, or anything that is to run as long as
/// the endorser ends by itself.
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
    run_beside(config, clock, Beside::new(), stop).await
}

async fn run_beside(
    config: Config,
    clock: Clock,
    mut beside: Beside,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let loading = config.clone();
    let Loaded {
        organisation,
        genesis,
        keys,
        peers,
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
    let engine = start_engine(&config, &genesis, &keys, peers, timing, replica)?;

    let readiness = Readiness::new();
    readiness.unmet(FINAL_BLOCK, "starting");
    readiness.unmet(ENDORSER, "starting");
    let sender = Arc::clone(&engine);
    let send = move |message| sender.gossip(message);
    beside.run(
        "the gossip to the other endorsers",
        gossip::send_all(outgoing, send),
    );
    beside.run(
        "the gossip from the other endorsers",
        receive(Arc::clone(&intake), inbox),
    );
    let index = Arc::new(index);
    beside.run(
        "the search index",
        index::follow(Arc::clone(&index), Arc::clone(&ledger)),
    );
    beside.run(
        "the watch over the newest block",
        pulse(
            Arc::clone(&ledger),
            Arc::clone(&engine),
            readiness.clone(),
            clock.clone(),
            (organisation.clone(), keys.authority.root_der().to_vec()),
        ),
    );
    beside.run(
        "the operations port",
        operations.serve(registry, readiness, std::future::pending()),
    );

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
    let standing = Arc::new(move || Standing {
        peers: connected.peers().len(),
        epoch: connected.epoch(),
        is_endorser: connected.is_member(),
        votes: connected.is_voting(),
    });
    let endorser = Endorser::new(
        organisation,
        Arc::clone(&ledger),
        intake,
        signers,
        index,
        clock,
        standing,
    );
    service::notify::ready();
    let result = serve(endorser, listener, &engine, &mut beside, stop).await;
    service::notify::stopping();
    close(ledger, beside, &engine).await;
    result
}

/// Ends what still runs, and waits until the store is free: who starts again at once must find it so.
async fn close(ledger: Arc<Ledger>, beside: Beside, engine: &Engine) {
    let closed = ledger.store().closed();
    // Requests that outlived the drain time wait for nothing any more.
    ledger.waiters().close();
    beside.stop().await;
    engine.stop().await;
    drop(ledger);
    if tokio::time::timeout(CLOSING, closed).await.is_err() {
        tracing::warn!("something still uses the store; it is free when this process has ended");
    }
}

/// Serves until told to stop, or consensus or what runs beside ends by itself.
async fn serve(
    endorser: Endorser,
    listener: Listener,
    engine: &Engine,
    beside: &mut Beside,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let service = LedgerServiceServer::new(endorser)
        .max_decoding_message_size(proto::limits::LEDGER_REQUEST)
        .max_encoding_message_size(proto::limits::LEDGER_PAGE);
    let mut result = Err(anyhow!("the server ended by itself"));
    let until = async {
        result = tokio::select! {
            stopped = beside.until(stop) => stopped.map_err(Into::into),
            end = engine.stopped() => Err(match end {
                Err(error) => anyhow::Error::new(error).context("consensus ended by itself"),
                Ok(()) => anyhow!("consensus ended by itself"),
            }),
        };
    };
    server::serve(Routes::new(service), listener, &HttpLimits::default(), until).await?;
    result
}

/// What is read from disk before anything starts.
struct Loaded {
    organisation: Name,
    genesis: Genesis,
    keys: Keys,
    peers: Vec<Validator>,
    store: Store,
    index: SearchIndex,
}

impl Loaded {
    /// Blocks.
    fn from_config(config: &Config) -> anyhow::Result<Self> {
        config.check()?;
        let organisation: Name = config.organisation.parse().context("organisation")?;
        let genesis = read_genesis(&config.genesis)?;
        let passphrase = Passphrase::from_file(&config.passphrase_file)?;
        let keys = setup::load_keys(&config.keys, &organisation, &passphrase)?;
        std::fs::create_dir_all(&config.directory)
            .with_context(|| format!("directory {}", config.directory.display()))?;
        let path = config.directory.join("ledger.redb");
        let store = Store::open(&path, &genesis, config.limits.store_cache_bytes)
            .with_context(|| format!("store {}", path.display()))?;
        look_for_membership(&organisation, &keys, &store)?;
        let peers = peers(config, &keys, &store)?;
        let search = config.directory.join("search");
        let index = SearchIndex::open(&search, genesis.chain_id(), config.limits.index_cache_bytes);
        Ok(Self {
            organisation,
            genesis,
            keys,
            peers,
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

/// Whether the keys are those of an endorser, as far as this store knows. If not, this may be one that is to join, or whose
/// keys are being replaced: it follows the chain, and says so.
fn look_for_membership(organisation: &Name, keys: &Keys, store: &Store) -> anyhow::Result<()> {
    let organisations = queries::organisations(&store.snapshot()?)?;
    let validator = ed25519_dalek::SigningKey::from_bytes(&keys.validator)
        .verifying_key()
        .to_bytes();
    let found = organisations
        .members
        .iter()
        .find(|member| member.name == *organisation);
    let difference = match found {
        None => "no such organisation",
        Some(member) if *member.validator.as_bytes() != validator => "another validator key of it",
        Some(member) if member.ca_certificate != keys.authority.root_der() => "another CA certificate of it",
        Some(_) => return Ok(()),
    };
    tracing::warn!(%organisation, "the chain, as far as it is known here, has {difference}");
    Ok(())
}

/// Where the endorsers are, as configured, and where this one is. Those of the newest epoch that is known here all have an
/// address, from the configuration or from the chain.
fn peers(config: &Config, keys: &Keys, store: &Store) -> anyhow::Result<Vec<Validator>> {
    let mut peers: BTreeMap<[u8; 32], consensus::Address> = BTreeMap::new();
    for (key, address) in &config.peers {
        let bytes = hex::decode(key).ok().and_then(|bytes| bytes.try_into().ok());
        let bytes: [u8; 32] = bytes.with_context(|| format!("peers: {key} is not a key in hexadecimal"))?;
        let address = address.parse().with_context(|| format!("peers: {address}"))?;
        peers.insert(bytes, address);
    }
    let own = ed25519_dalek::SigningKey::from_bytes(&keys.validator).verifying_key();
    peers.insert(own.to_bytes(), config.consensus_listen.into());
    let snapshot = store.snapshot()?;
    let newest = queries::epoch(&snapshot, queries::newest_epoch(&snapshot)?)?;
    for endorser in newest.map_or(Vec::new(), |epoch| epoch.endorsers) {
        let key = endorser.validator.as_bytes();
        ensure!(
            endorser.address.is_some() || peers.contains_key(key),
            "peers: no address for the validator {} of {}",
            hex::encode(key),
            endorser.organisation
        );
    }
    let peers = peers.into_iter();
    Ok(peers
        .map(|(public_key, address)| Validator { public_key, address })
        .collect())
}

fn start_engine(
    config: &Config,
    genesis: &Genesis,
    keys: &Keys,
    peers: Vec<Validator>,
    timing: consensus::Timing,
    replica: Replica,
) -> anyhow::Result<Arc<Engine>> {
    let (block, _) = genesis.block();
    let config = consensus::Config {
        directory: setup::consensus_directory(&config.directory),
        listen: config.consensus_listen,
        secret_seed: keys.validator.clone(),
        validators: genesis.validators().iter().map(|key| *key.as_bytes()).collect(),
        peers,
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

async fn receive(intake: Arc<Intake>, inbox: Arc<Inbox>) {
    loop {
        let (from, message) = inbox.next().await;
        intake.receive(&from, &message, Instant::now());
        // Each message may take a while, and there may always be another.
        tokio::task::yield_now().await;
    }
}

async fn pulse(
    ledger: Arc<Ledger>,
    engine: Arc<Engine>,
    readiness: Readiness,
    clock: Clock,
    (organisation, certificate): (Name, Vec<u8>),
) {
    let mut ticks = tokio::time::interval(PULSE);
    loop {
        ticks.tick().await;
        let age_ms = clock.now_ms().saturating_sub(ledger.store().tip().header.time_ms);
        if age_ms <= ledger.limits().stale_after_ms {
            readiness.met(FINAL_BLOCK);
        } else {
            readiness.unmet(FINAL_BLOCK, format!("the newest final block is {age_ms} ms old"));
        }
        if !engine.is_member() {
            let epoch = engine.epoch();
            readiness.unmet(
                ENDORSER,
                format!("this is not one of the endorsers of epoch {epoch}"),
            );
        } else if !ledger.has_authority(&organisation, &certificate).unwrap_or(false) {
            readiness.unmet(
                ENDORSER,
                "the CA certificate here is not the one that the chain has of the organisation",
            );
        } else {
            readiness.met(ENDORSER);
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
    use crate::{common::World, network::Network, testing::NOW_MS};

    #[test]
    fn numbers_out_of_their_range_are_refused_before_anything_is_opened() {
        let network = Network::new();
        let mut config = network.config(0);
        config.certificate_lifetime_seconds = 121;
        let refused = |config: &Config| Loaded::from_config(config).err().unwrap().to_string();
        let expected = "certificate_lifetime_seconds is 121, and must be 1 to 120";
        assert_eq!(refused(&config), expected);
        config.certificate_lifetime_seconds = 120;
        config.limits.connections = 0;
        assert_eq!(
            refused(&config),
            "limits.connections is 0, and must be 1 to 65536"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_endorser_ends_when_what_runs_beside_it_does() {
        let network = Network::new();
        let mut beside = Beside::new();
        beside.run("a task", async { Err::<(), _>("a mistake") });
        let running = run_beside(network.config(0), Clock::system(), beside, std::future::pending());
        let ended = tokio::time::timeout(Duration::from_secs(60), running).await;
        let error = ended.unwrap().unwrap_err().to_string();
        assert_eq!(error, "a task ended by itself: a mistake");
    }

    #[test]
    fn the_engine_takes_a_block_as_full_as_the_genesis_allows() {
        let genesis = World::new(NOW_MS).genesis;
        // What an empty block has is what a full one has around its entries.
        let around = u32::try_from(genesis.block().0.to_bytes().len()).unwrap();
        assert!(max_block_bytes(&genesis) >= genesis.limits().max_block_bytes + around);
    }
}
