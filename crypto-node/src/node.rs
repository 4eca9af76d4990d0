//! A node from its configuration: open what is on disk, check it, serve, drain.

mod disk;

use crate::authorise::{Authority, Clock, Keys};
use crate::ceremony::driver::{Driver, Parts};
use crate::ceremony::machine::Machine;
use crate::config::Config;
use crate::deliveries::Deliveries;
use crate::journal::{Journal, MarkFile};
use crate::metrics::Metrics;
use crate::refusals::Refusals;
use crate::server::Node;
use crate::watch::Watch;
use crate::work::Work;
use anyhow::{Context, anyhow};
use disk::{Opened, Unlocked, open, unlock};
use futures::future::BoxFuture;
use service::operations::{Operations, Readiness};
use service::server::HttpLimits;
use service::tls::{ChannelLimits, ListenerLimits};
use service::{Background, Beside, ClientPolicy, Listener, RateLimit};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use threshold::signature::PublicKey;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

/// A peer needs one; the rest is for reconnecting. With 256 requests of 128 KiB under way on each, one member takes 256 MiB.
const CONNECTIONS_PER_PEER: usize = 8;
/// How long a ceremony's step that is under way may take to its end, when the node stops.
const DRAIN: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_secs(1);
/// How often the journal is marked: it costs two syncs, and what came after the newest mark can be cut unnoticed.
const MARK: Duration = Duration::from_secs(5);

/// Runs the node until `stop` resolves, then drains what is under way.
///
/// # Errors
/// A configuration, a directory or a key that does not hold; a journal that was changed; a port that is taken.
pub async fn run(config: Config, stop: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
    run_with(config, stop, Seams::default()).await
}

/// What a test puts in place of the world.
#[derive(Clone)]
pub(crate) struct Seams {
    pub(crate) clock: Clock,
    #[cfg(test)]
    pub(crate) tamper: Option<crate::ceremony::driver::Tamper>,
    #[cfg(test)]
    pub(crate) crash: Option<std::sync::Arc<crate::ceremony::driver::crash::Crash>>,
    /// One of the tasks beside the server fails at once.
    #[cfg(test)]
    pub(crate) fails: bool,
}

impl Default for Seams {
    fn default() -> Self {
        Self {
            clock: Arc::new(crate::authorise::system_time),
            #[cfg(test)]
            tamper: None,
            #[cfg(test)]
            crash: None,
            #[cfg(test)]
            fails: false,
        }
    }
}

pub(crate) async fn run_with(
    config: Config,
    stop: impl Future<Output = ()> + Send,
    seams: Seams,
) -> anyhow::Result<()> {
    let mut registry = prometheus_client::registry::Registry::with_prefix("quorate_crypto_node");
    let metrics = Metrics::register(&mut registry);
    crate::sealed::register(&mut registry, false);
    // Unsealing and reading the journal take their time, and block.
    let unlocked = {
        let config = config.clone();
        tokio::task::spawn_blocking(move || unlock(&config)).await??
    };
    let mut stop = std::pin::pin!(stop);
    let Unlocked {
        settings,
        identity,
        share_seal,
    } = unlocked;
    let share_seal = match share_seal {
        Some(seal) => seal,
        None => match crate::sealed::wait(&config, &settings, &identity, stop.as_mut()).await? {
            Some(seal) => seal,
            None => return Ok(()),
        },
    };
    let (opened, marks) = {
        let (config, clock) = (config.clone(), Arc::clone(&seams.clock));
        let open = move || open(&config, settings, identity, share_seal, &clock, metrics);
        tokio::task::spawn_blocking(open).await??
    };
    let (tasks, queue) = mpsc::unbounded_channel();
    let background = Background::start("ceremonies").context("threads for ceremonies")?;
    let node = assemble(&config, opened, tasks, Work::on(background.handle()), &seams)?;
    let listener_limits = ListenerLimits {
        connections: config.limits.connections,
        connections_per_peer: CONNECTIONS_PER_PEER,
        ..ListenerLimits::default()
    };
    let policy = ClientPolicy::Pinned(node.settings.peers());
    let listener = Listener::bind(config.listen, &node.authority.identity, policy, &listener_limits)
        .await
        .with_context(|| format!("listen: {}", config.listen))?;
    listener.register(&mut registry);
    let operations = Operations::bind(config.operations)
        .await
        .with_context(|| format!("operations: {}", config.operations))?;
    node.driver.start().await?;
    tracing::info!(
        seat = %node.settings.me, address = %listener.local_addr(), has_key = node.authority.key().is_some(),
        "crypto node serves"
    );
    let marks = Arc::new(Mutex::new(marks));
    let mut beside = Beside::new();
    beside.run_on(node.work.runtime(), "the tasks of ceremonies", run_tasks(queue));
    beside.run("the carrying out of ceremonies", node.work.clone().broken());
    #[cfg(test)]
    if seams.fails {
        beside.run("a task", async { Err::<(), _>("a mistake") });
    }
    let served = serve(&node, listener, operations, registry, beside, &marks, stop).await;
    // Whoever starts the node again finds its files closed.
    background.stop(DRAIN).await;
    served
}

async fn serve(
    node: &Node,
    listener: Listener,
    operations: Operations,
    registry: prometheus_client::registry::Registry,
    mut beside: Beside,
    marks: &Arc<Mutex<MarkFile>>,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let readiness = Readiness::new();
    readiness.met("serving");
    beside.run("the watch over the quorum", node.watch.clone().keep());
    beside.run(
        "the watch over deadlines",
        keep_time(node.clone(), readiness.clone()),
    );
    let journal = Arc::clone(&node.authority.journal);
    beside.run(
        "the marking of the journal",
        keep_marks(journal, Arc::clone(marks), readiness.clone()),
    );
    beside.run(
        "the operations port",
        operations.serve(registry, readiness.clone(), std::future::pending()),
    );
    service::notify::ready();
    let mut ended = Err(anyhow!("the server ended by itself"));
    let stopping = async {
        ended = beside.until(stop).await.map_err(Into::into);
        readiness.unmet("serving", "stopping");
        service::notify::stopping();
    };
    let served = service::server::serve(node.routes(), listener, &HttpLimits::default(), stopping).await;
    node.authority.flush_refusals(true);
    beside.stop().await;
    // What a failed journal lost was never acknowledged; it has reported itself.
    if node.authority.journal.flushed().await.is_ok() {
        mark(&node.authority.journal, marks).await;
    }
    served?;
    ended
}

async fn keep_marks(journal: Arc<Journal>, marks: Arc<Mutex<MarkFile>>, readiness: Readiness) {
    let mut ticks = tokio::time::interval(MARK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        set(&readiness, "journal mark", mark(&journal, &marks).await);
    }
}

/// Writes down how far the journal is durable; says whether that worked.
async fn mark(journal: &Journal, marks: &Arc<Mutex<MarkFile>>) -> bool {
    let Some(durable) = journal.durable() else {
        return false;
    };
    let marks = Arc::clone(marks);
    let stored = tokio::task::spawn_blocking(move || {
        let mut marks = marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.store(durable)
    });
    match stored.await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::error!(%error, "the journal cannot be marked: whoever cuts it now may go unnoticed");
            false
        }
        Err(_) => false,
    }
}

/// Runs the tasks that ceremonies start; they end with this one, which ends when one of them panics: deliveries to a member, say,
/// would stop for good.
async fn run_tasks(mut queue: mpsc::UnboundedReceiver<BoxFuture<'static, ()>>) -> Result<(), JoinError> {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            task = queue.recv() => match task {
                Some(task) => drop(running.spawn(task)),
                None => return Ok(()),
            },
            Some(ended) = running.join_next() => ended?,
        }
    }
}

/// Deadlines of ceremonies, refusals that were counted, readiness.
async fn keep_time(node: Node, readiness: Readiness) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        node.authority.flush_refusals(false);
        // A failure is logged where it happens, and stays visible in the readiness.
        let driver = Arc::clone(&node.driver);
        let _ = node.work.carry_out(async move { driver.tick().await }).await;
        set(&readiness, "ceremonies", node.driver.is_healthy());
        set(&readiness, "journal", node.authority.journal.is_healthy());
    }
}

fn set(readiness: &Readiness, condition: &'static str, holds: bool) {
    readiness.set(
        condition,
        if holds {
            Ok(())
        } else {
            Err("failed; see the log, then restart".to_owned())
        },
    );
}

fn assemble(
    config: &Config,
    opened: Opened,
    tasks: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
    work: Work,
    seams: &Seams,
) -> anyhow::Result<Node> {
    let Opened {
        settings,
        identity,
        journal,
        memory,
        metrics,
        store,
        shares,
        remembered,
        before,
    } = opened;
    let limits = &config.limits;
    let authority = Arc::new(Authority {
        coordinators: settings.coordinators.clone(),
        trust: settings.trust.clone(),
        limits: settings.limits,
        rate: RateLimit::new(
            limits.requests_per_second,
            limits.burst,
            settings.coordinators.len(),
        ),
        clock: Arc::clone(&seams.clock),
        identity: identity.clone(),
        journal: Arc::new(journal),
        metrics,
        memory: Mutex::new(memory),
        refusals: Mutex::new(Refusals::default()),
        keys: RwLock::new(Keys {
            newest: remembered.key.clone(),
            before,
            used: false,
        }),
    });
    let window_ms = u64::from(limits.ceremony_s).saturating_mul(1000);
    let machine = Machine::new(identity.clone(), settings.seats.clone(), remembered, window_ms);
    let mut channels = Vec::new();
    for seat in settings.seats.iter().filter(|seat| seat.index != settings.me) {
        let key = seat.identity.to_bytes();
        let channel = service::connect(&seat.address, key, &identity, &ChannelLimits::default())
            .with_context(|| format!("members: {}", seat.name))?;
        channels.push((seat.identity, channel));
    }
    let watched = channels.clone();
    let driver = Driver::new(Parts {
        machine,
        me: PublicKey::of(identity.signing_key()),
        installation: settings.installation.clone(),
        authority: Arc::clone(&authority),
        store: Arc::new(store),
        shares,
        channels,
        tasks,
        #[cfg(test)]
        tamper: seams.tamper.clone(),
        #[cfg(test)]
        crash: seams.crash.clone(),
    });
    let members = settings.seats.iter().map(|seat| seat.identity.to_bytes());
    let deliveries = Arc::new(Deliveries::new(members));
    let settings = Arc::new(settings);
    let watch = Watch {
        authority: Arc::clone(&authority),
        driver: Arc::clone(&driver),
        settings: Arc::clone(&settings),
        channels: watched,
    };
    Ok(Node {
        authority,
        driver,
        settings,
        watch,
        deliveries,
        work,
    })
}
