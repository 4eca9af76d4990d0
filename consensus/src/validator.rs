//! One validator, put together from the engine's parts, on whatever runtime and network it is given.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use commonware_broadcast::buffered;
use commonware_consensus::{
    marshal::{
        self, Start,
        core::{Actor, Mailbox},
        resolver::p2p as backfill,
        standard::{Inline, Standard},
    },
    simplex::{
        self,
        config::{Floor, ForwardPolicy, SkipBudget, SkipPolicy},
        elector::RoundRobin,
        scheme::ed25519::Scheme,
    },
    types::{Epoch, FixedEpocher, Height, ViewDelta},
};
use commonware_cryptography::{
    Digestible as _, certificate::ConstantProvider, ed25519::PublicKey, sha256::Sha256,
};
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Handle, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use commonware_utils::{NZDuration, NZU64, NZUsize, channel::mpsc};
use engine_rand_core::CryptoRng;
use futures::FutureExt as _;

use crate::{
    adapter::Adapter,
    application::{Application, BlockBytes},
    block::{Admission, Block},
    config::{Limits, Timing},
    delivery::Delivery,
    error::Error,
    evidence::Evidence,
    gossip, store,
};

/// What a validator needs of the machine: the real one, or a simulated one.
pub(crate) trait Runtime: Clock + CryptoRng + Spawner + Storage + Metrics {}

impl<E: Clock + CryptoRng + Spawner + Storage + Metrics> Runtime for E {}

/// How many views behind the newest a validator remembers, for peers that are a little late.
const VIEW_RETENTION: ViewDelta = ViewDelta::new(256);

/// Messages that wait for one part of the engine.
const MAILBOX: usize = 1024;

/// How long a peer may take to answer a request for a block or a certificate.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);

/// After which a request without an answer goes to another peer.
const FETCH_RETRY: Duration = Duration::from_millis(100);

/// Blocks asked of peers at the same time while catching up.
const MAX_REPAIR: usize = 32;

/// How long a leader must have been silent before its views are skipped without waiting for it.
const SKIP_AFTER: Duration = Duration::from_secs(5);

/// Blocks remembered for each peer between their arrival and their certificate.
const BLOCKS_PER_PEER: usize = 8;

/// The chain has one epoch for now; the next validator set is the next engine.
const EPOCH: Epoch = Epoch::zero();

/// The final blocks that the engine keeps.
#[derive(Clone)]
pub(crate) struct Finals(Mailbox<Scheme, Standard<Block>>);

impl Finals {
    /// The newest height that was delivered and acknowledged.
    pub(crate) async fn processed(&self) -> Option<u64> {
        Some(self.0.get_processed().await?.height().get())
    }

    pub(crate) async fn block(&self, height: u64) -> Option<BlockBytes> {
        Some(self.0.get_block(Height::new(height)).await?.inner().bytes())
    }

    pub(crate) async fn digest(&self, height: u64) -> Option<commonware_cryptography::sha256::Digest> {
        Some(self.0.get_block(Height::new(height)).await?.digest())
    }

    pub(crate) async fn evidence(&self, height: u64) -> Option<Evidence> {
        Evidence::of(&self.0.get_finalization(Height::new(height)).await?)
    }
}

/// Everything about one validator but its runtime and its network.
pub(crate) struct Setup {
    pub(crate) local: PublicKey,
    pub(crate) scheme: Scheme,
    pub(crate) genesis: Block,
    pub(crate) admission: Admission,
    pub(crate) limits: Limits,
    pub(crate) timing: Timing,
    /// Begins the names of everything it stores.
    pub(crate) partition: String,
    pub(crate) application: Arc<dyn Application>,
    /// What the application wants sent to its peers.
    pub(crate) outgoing: mpsc::Receiver<Vec<u8>>,
}

/// The channels between validators, in the order of their numbers on the wire.
pub(crate) struct Channels<S, R> {
    pub(crate) votes: (S, R),
    pub(crate) certificates: (S, R),
    pub(crate) views: (S, R),
    pub(crate) backfill: (S, R),
    pub(crate) blocks: (S, R),
    pub(crate) gossip: (S, R),
}

/// Runs a validator until a part of it ends, and says why.
pub(crate) async fn run<E, S, R, P, B>(
    context: E,
    setup: Setup,
    channels: Channels<S, R>,
    peers: P,
    blocker: B,
) -> Error
where
    E: Runtime,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    P: Provider<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    let Setup { local, scheme, genesis, admission, limits, timing, partition, application, outgoing } = setup;
    let cache = CacheRef::new(store::PAGE_SIZE, store::PAGES);
    let mailbox = NZUsize!(MAILBOX);

    let archives = match store::open(&context, &partition, &cache, admission).await {
        Ok(archives) => archives,
        Err(error) => return Error::Stopped(format!("the block store cannot be opened: {error}")),
    };
    let provider = ConstantProvider::<Scheme, Epoch>::new(scheme.clone());
    let epocher = FixedEpocher::new(NonZeroU64::MAX);
    let genesis_digest = genesis.digest();
    let (actor, marshal, _) = Actor::init(
        context.child("marshal"),
        archives.certificates,
        archives.blocks,
        marshal::Config {
            provider,
            epocher: epocher.clone(),
            start: Start::Genesis(genesis.digested()),
            partition_prefix: format!("{partition}-marshal"),
            mailbox_size: mailbox,
            view_retention: VIEW_RETENTION,
            prunable_items_per_section: NZU64!(64),
            page_cache: cache.clone(),
            replay_buffer: store::REPLAY_BUFFER,
            key_write_buffer: store::WRITE_BUFFER,
            value_write_buffer: store::WRITE_BUFFER,
            block_codec_config: admission,
            max_repair: NZUsize!(MAX_REPAIR),
            max_pending_acks: std::num::NonZeroUsize::new(limits.max_batch).unwrap_or(NZUsize!(1)),
            strategy: Sequential,
        },
    )
    .await;
    let finals = Finals(marshal.clone());

    let (broadcast, buffer) = buffered::Engine::new(
        context.child("broadcast"),
        buffered::Config {
            public_key: local.clone(),
            mailbox_size: mailbox,
            deque_size: BLOCKS_PER_PEER,
            priority: true,
            codec_config: admission,
            peer_provider: peers.clone(),
            strategy: Sequential,
        },
    );
    let resolver = backfill::init(
        context.child("backfill"),
        backfill::Config {
            public_key: local,
            peer_provider: peers,
            blocker: blocker.clone(),
            mailbox_size: mailbox,
            fetch_timeout: NZDuration!(FETCH_TIMEOUT),
            fetch_retry_delay: FETCH_RETRY,
            priority_requests: false,
            priority_responses: false,
        },
        channels.backfill,
    );
    let adapter = Adapter { application: Arc::clone(&application), admission, finals: finals.clone() };
    let automaton = Inline::new(context.child("application"), adapter, marshal, epocher);
    let engine = simplex::Engine::new(
        context.child("consensus"),
        simplex::Config {
            scheme,
            elector: RoundRobin::<Sha256>::default(),
            blocker,
            automaton: automaton.clone(),
            relay: automaton.clone(),
            reporter: automaton,
            track_historical_votes: false,
            strategy: Sequential,
            partition: format!("{partition}-votes"),
            mailbox_size: mailbox,
            epoch: EPOCH,
            floor: Floor::Genesis(genesis_digest),
            replay_buffer: store::REPLAY_BUFFER,
            write_buffer: store::WRITE_BUFFER,
            page_cache: cache,
            leader_timeout: timing.leader,
            certification_timeout: timing.certification,
            timeout_retry: timing.retry,
            view_retention: VIEW_RETENTION,
            skip: SkipPolicy::Enabled {
                timeout: SKIP_AFTER.max(timing.certification + timing.retry),
                budget: SkipBudget::Participants,
            },
            fetch_timeout: NZDuration!(FETCH_TIMEOUT),
            fetch_retry_delay: FETCH_RETRY,
            forward: ForwardPolicy::Disabled,
        },
    );

    let (delivery, inbox) = Delivery::new(Arc::clone(&application), finals, limits.max_batch);
    let max_gossip = usize::try_from(limits.max_gossip_bytes).unwrap_or(usize::MAX);
    let (sender, receiver) = channels.gossip;
    let tasks = [
        named("broadcast", broadcast.start(channels.blocks)),
        named("marshal", actor.start(inbox, buffer, resolver)),
        named("consensus", engine.start(channels.votes, channels.certificates, channels.views)),
        flat(context.child("delivery").spawn(move |context| delivery.run(context))),
        flat(context.child("gossip").spawn(move |_| {
            gossip::run(sender, receiver, outgoing, application, max_gossip)
        })),
    ];
    futures::future::select_all(tasks).await.0
}

type Ending = futures::future::BoxFuture<'static, Error>;

/// A part of the engine that should never end, and did.
fn named(part: &'static str, handle: Handle<()>) -> Ending {
    handle
        .map(move |result| match result {
            Ok(()) => Error::Stopped(format!("{part} ended")),
            Err(error) => Error::Stopped(format!("{part} ended: {error}")),
        })
        .boxed()
}

/// A part of ours, which gives the reason of its end.
fn flat(handle: Handle<Error>) -> Ending {
    handle.map(|result| result.unwrap_or_else(|error| Error::Stopped(error.to_string()))).boxed()
}
