//! A node from its configuration: open what is on disk, check it, serve, drain.

use crate::authorise::{Authority, Clock, Keys};
use crate::ceremony::driver::{Driver, Parts, load_share};
use crate::ceremony::machine::{Machine, Memory as Remembered};
use crate::ceremony::record::Record;
use crate::config::Config;
use crate::journal::{Disk, Event, Expected, Journal, MarkFile, Step};
use crate::memory::{Memory, Use};
use crate::metrics::Metrics;
use crate::refusals::Refusals;
use crate::seals::{self, Seals};
use crate::server::Node;
use crate::settings::Settings;
use crate::share::{Guard, ShareFiles};
use crate::store::Store;
use crate::watch::Watch;
use anyhow::{Context, anyhow, ensure};
use futures::future::BoxFuture;
use service::operations::{Operations, Readiness};
use service::server::HttpLimits;
use service::tls::{ChannelLimits, ListenerLimits};
use service::{Background, Beside, ClientPolicy, Identity, KeyWrap, Listener, RateLimit};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use threshold::encoding::Canonical;
use threshold::ids::CeremonyId;
use threshold::signature::PublicKey;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Deliveries a member may make per second, and at once: a ceremony has a handful, repeats included.
const DELIVERIES: (u32, u32) = (100, 500);
/// A peer needs one; the rest is for reconnecting. With 256 requests of 64 KiB under way on each, one peer takes 128 MiB.
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
    /// One of the tasks beside the server fails at once.
    #[cfg(test)]
    pub(crate) fails: bool,
}

impl Default for Seams {
    fn default() -> Self {
        Self {
            clock: Arc::new(system_clock),
            #[cfg(test)]
            tamper: None,
            #[cfg(test)]
            fails: false,
        }
    }
}

/// Milliseconds since 1970. A clock before that is taken for 1970, when no approval is valid.
fn system_clock() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
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
    let node = assemble(&config, opened, tasks, background.handle(), &seams)?;
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
    beside.run_on(&node.background, "the tasks of ceremonies", run_tasks(queue));
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

/// Runs the tasks that ceremonies start; they end with this one.
async fn run_tasks(mut queue: mpsc::UnboundedReceiver<BoxFuture<'static, ()>>) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            task = queue.recv() => match task {
                Some(task) => drop(running.spawn(task)),
                None => return,
            },
            Some(ended) = running.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a task of a ceremony failed");
                }
            }
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
        let _ = node.background.spawn(async move { driver.tick().await }).await;
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

/// What is on disk, checked.
struct Opened {
    settings: Settings,
    identity: Identity,
    journal: Journal,
    memory: Memory,
    metrics: Metrics,
    store: Store,
    shares: ShareFiles,
    remembered: Remembered,
    before: Option<Arc<Guard>>,
}

/// What opens without a person.
struct Unlocked {
    settings: Settings,
    identity: Identity,
    /// The shares' seal, unless a person brings it.
    share_seal: Option<Arc<dyn KeyWrap>>,
}

fn unlock(config: &Config) -> anyhow::Result<Unlocked> {
    let seals = Seals::open(config)?;
    let identity =
        Identity::load(&seals::identity_file(config), seals.identity.as_ref()).context("identity")?;
    Ok(Unlocked {
        settings: Settings::check(config, &identity.public_key())?,
        identity,
        share_seal: seals.share,
    })
}

fn open(
    config: &Config,
    settings: Settings,
    identity: Identity,
    share_seal: Arc<dyn KeyWrap>,
    clock: &Clock,
    metrics: Metrics,
) -> anyhow::Result<(Opened, MarkFile)> {
    let directory = config.directory.as_path();
    let share_directory = seals::share_directory(config);
    std::fs::create_dir_all(&share_directory)
        .with_context(|| format!("directory: cannot create {}", share_directory.display()))?;
    let shares = ShareFiles::new(share_directory, share_seal, identity.public_key());
    let OpenJournal {
        journal,
        marks,
        memory,
        activated,
    } = open_journal(config, &identity, clock, &metrics)?;
    let store = Store::open(&directory.join("ceremonies.redb"))?;
    let decode = |row: Option<(CeremonyId, Vec<u8>)>| {
        row.map(|(id, bytes)| {
            Record::from_bytes(&bytes)
                .with_context(|| format!("ceremonies.redb: the record of ceremony {id} does not decode"))
        })
        .transpose()
    };
    let (record, doubt, active) = (
        decode(store.newest()?)?,
        decode(store.doubt()?)?,
        decode(store.active()?)?,
    );
    let me = PublicKey::of(identity.signing_key());
    let refused = store.refused()?;
    let refused = refused
        .into_iter()
        .map(|(id, by)| {
            Ok((
                id,
                PublicKey::from_bytes(&by).context("ceremonies.redb: who was refused")?,
            ))
        })
        .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
    let (mut past, mut waiting): (BTreeSet<_>, _) = (refused.keys().copied().collect(), Vec::new());
    let newest = record.as_ref().map(|record| record.plan.id());
    for row in store.known()? {
        past.insert(row.0);
        let known = decode(Some(row))?.filter(|known| known.waits(&me) && Some(known.plan.id()) != newest);
        waiting.extend(known);
    }
    let key = match &active {
        Some(active) => {
            let unfinished = [&record, &doubt].map(|record| record.as_ref().map(|record| record.plan.id()));
            let known =
                activated.is_some_and(|last| last == active.plan.id() || unfinished.contains(&Some(last)));
            open_key(active, &shares, &settings, known, &me)?.map(Arc::new)
        }
        None => None,
    };
    let kept = [&active, &record, &doubt].map(Option::as_ref);
    let before = open_before(&store, &shares, decode(store.before()?)?, kept, &me)?.map(Arc::new);
    let serves_old = store.before()?.is_some();
    let remembered = Remembered {
        record,
        doubt,
        active,
        past,
        key,
        serves_old,
        waiting,
        refused,
    };
    let opened = Opened {
        settings,
        identity,
        journal,
        memory,
        metrics,
        store,
        shares,
        remembered,
        before,
    };
    Ok((opened, marks))
}

/// The journal, where it is marked, the memory that it gives, and the ceremonies whose keys it saw come into use.
struct OpenJournal {
    journal: Journal,
    marks: MarkFile,
    memory: Memory,
    activated: Option<CeremonyId>,
}

fn open_journal(
    config: &Config,
    identity: &Identity,
    clock: &Clock,
    metrics: &Metrics,
) -> anyhow::Result<OpenJournal> {
    let path = config.directory.join("journal");
    let disk = Disk::open(&path).with_context(|| format!("journal {}", path.display()))?;
    let mut marks = MarkFile::open(config.journal.mark_path(&config.directory), identity.clone())?;
    let mut memory = Memory::new(clock());
    let synced = metrics.clone();
    let mut activated = None;
    let remember = |entry: &crate::journal::Entry, _: &[u8; 32]| match &entry.event {
        Event::Release(release) => {
            let crate::journal::Release {
                approve_id,
                write_id,
                q,
                expires_ms,
                ..
            } = *release;
            memory.remember(&Use {
                approve_id,
                write_id,
                q,
                expires_ms,
            });
        }
        Event::Ceremony {
            ceremony,
            step: Step::Active,
            ..
        } => {
            activated = Some(*ceremony);
        }
        _ => {}
    };
    let expected = Expected {
        mark: marks.stored().copied(),
        accepted: config.journal.accepted.clone(),
    };
    let journal = Journal::open(
        disk,
        &identity.public_key(),
        Some(&expected),
        remember,
        move |took| synced.synced(took),
    )?;
    // From here on there is a mark, so that a journal without one is known to have lost it.
    marks
        .store(journal.durable().context("journal: it has failed already")?)
        .context("journal mark: cannot be written")?;
    // Nobody waits for it: the next release makes it durable.
    let _ = journal.append(clock(), Event::Started)?;
    Ok(OpenJournal {
        journal,
        marks,
        memory,
        activated,
    })
}

/// The share in use, if this node is a member of the newest epoch: the manifest signed by all, the members known, the
/// share its own.
///
/// The journal recorded that the key came into use before the store did, so that the last that it knows of is the store's, or one
/// that the store has not finished. Otherwise one of the two was removed or put back, and with the journal what approvals
/// were used for.
fn open_key(
    active: &Record,
    shares: &ShareFiles,
    settings: &Settings,
    is_newest: bool,
    me: &PublicKey,
) -> anyhow::Result<Option<Guard>> {
    let id = active.plan.id();
    ensure!(
        is_newest,
        "journal: it does not know of the key in use (ceremony {id}) as the newest, so it or ceremonies.redb is not the one that \
         this node wrote; put this node's own back, or start with neither ceremonies nor shares and have the share repaired"
    );
    let signed = active
        .signed_manifest()
        .with_context(|| format!("ceremonies.redb: the manifest of {id} is not signed by all"))?;
    if signed.manifest.member_by_identity(me).is_none() {
        return Ok(None);
    }
    for member in signed.manifest.members() {
        let known = settings.seats.iter().any(|seat| seat.identity == member.identity);
        ensure!(
            known,
            "members: {} holds a share of the key in use and is not among them; another committee takes a re-sharing, not a \
             configuration",
            member.name
        );
    }
    Ok(Some(load_share(shares, id, signed, me)?))
}

/// The share of the epoch before. If the newest has ended it, and the node stopped in the middle of destroying it, that is
/// finished. One that cannot be read is said and not waited for: the newest serves without it.
fn open_before(
    store: &Store,
    shares: &ShareFiles,
    record: Option<Record>,
    [active, newest, doubt]: [Option<&Record>; 3],
    me: &PublicKey,
) -> anyhow::Result<Option<Guard>> {
    if active.is_some_and(Record::ends_epoch_before) {
        let kept = [active, newest, doubt].into_iter().flatten();
        let kept: Vec<CeremonyId> = kept.map(|record| record.plan.id()).collect();
        shares.keep_only(&kept)?;
        store.retire()?;
        return Ok(None);
    }
    let Some((id, signed)) = record.and_then(|record| Some((record.plan.id(), record.signed_manifest()?)))
    else {
        return Ok(None);
    };
    match shares.is_there(id)? {
        true => Ok(load_share(shares, id, signed, me)
            .inspect_err(|error| tracing::warn!(%error, "the share of the epoch before cannot be read"))
            .ok()),
        false => {
            store.retire()?;
            Ok(None)
        }
    }
}

fn assemble(
    config: &Config,
    opened: Opened,
    tasks: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
    background: Handle,
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
        #[cfg(debug_assertions)]
        directory: config.directory.clone(),
        channels,
        tasks,
        #[cfg(test)]
        tamper: seams.tamper.clone(),
    });
    let deliveries = Arc::new(RateLimit::new(DELIVERIES.0, DELIVERIES.1, settings.seats.len()));
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
        background,
    })
}
