//! One validator, put together from the engine's parts, on whatever runtime and network it is given.

use std::{
    future::Future,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

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
    types::{Epoch, Height, ViewDelta},
};
use commonware_cryptography::{
    Digested, Digestible as _, Signer as _,
    ed25519::{PrivateKey, PublicKey},
    sha256::{Digest, Sha256},
};
use commonware_p2p::{
    Blocker, Provider, Receiver, Sender,
    utils::mux::{self, Muxer},
};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Handle, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use commonware_storage::metadata::{self, Metadata};
use commonware_utils::{
    NZDuration, NZU64, NZUsize,
    channel::{mpsc, oneshot},
    ordered::Set,
    sequence::U64,
    vec::NonEmptyVec,
};
use engine_rand_core::CryptoRng;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Either, select, select_all},
    lock::Mutex,
};

use crate::{
    adapter::Adapter,
    application::{Application, BlockBytes},
    block::{Admission, Block},
    config::{Limits, Timing},
    delivery::Delivery,
    epochs::Epochs,
    error::Error,
    evidence::Evidence,
    gossip::{self, Connected},
    rollback,
    standing::{Progress, Standing, Verdict, Witness},
    store::{self, Archives},
};
use tracing::{info, warn};

/// What a validator needs of the machine: the real one, or a simulated one.
pub(crate) trait Runtime: Clock + CryptoRng + Spawner + Storage + Metrics {}

impl<E: Clock + CryptoRng + Spawner + Storage + Metrics> Runtime for E {}

/// How many views behind the newest a validator remembers, for peers that are a little late.
const VIEW_RETENTION: ViewDelta = ViewDelta::new(256);

/// Messages that wait for one part of the engine.
const MAILBOX: NonZeroUsize = NZUsize!(1024);

/// How long a peer may take to answer a request for a block or a certificate.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);

/// After which a request without an answer goes to another peer.
const FETCH_RETRY: Duration = Duration::from_millis(100);

/// Blocks asked of peers at the same time while catching up.
const MAX_REPAIR: NonZeroUsize = NZUsize!(32);

/// How long a leader must have been silent before its views are skipped without waiting for it.
const SKIP_AFTER: Duration = Duration::from_secs(5);

/// Blocks remembered for each peer between their arrival and their certificate.
const BLOCKS_PER_PEER: usize = 8;

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

    pub(crate) async fn digest(&self, height: u64) -> Option<Digest> {
        Some(self.0.get_block(Height::new(height)).await?.digest())
    }

    pub(crate) async fn evidence(&self, height: u64) -> Option<Evidence> {
        Evidence::of(&self.0.get_finalization(Height::new(height)).await?)
    }

    /// Asks these validators for the evidence of a height that is not acknowledged yet. Without an answer when nobody
    /// has it.
    pub(crate) fn ask_for_evidence(&self, height: u64, validators: &[PublicKey]) {
        if let Ok(validators) = NonEmptyVec::try_from(validators.to_vec()) {
            self.0.hint_finalized(Height::new(height), validators);
        }
    }
}

/// Everything about one validator but its runtime and its network.
pub(crate) struct Setup {
    pub(crate) key: PrivateKey,
    /// The epoch of the next block.
    pub(crate) epoch: u64,
    pub(crate) epochs: Epochs,
    pub(crate) vote_namespace: Vec<u8>,
    pub(crate) genesis: Block,
    pub(crate) admission: Admission,
    pub(crate) limits: Limits,
    pub(crate) timing: Timing,
    /// Begins the names of everything it stores.
    pub(crate) partition: String,
    pub(crate) application: Arc<dyn Application>,
    /// What the application wants sent to its peers.
    pub(crate) outgoing: Outgoing,
    /// The validators that can be reached.
    pub(crate) connected: Connected,
    /// Set while it votes.
    pub(crate) voting: Arc<AtomicBool>,
    /// Vote although there is no record of earlier votes: an operator has decided so.
    pub(crate) vote_anyway: bool,
}

/// What the application wants sent to its peers; shared by the runs of one engine, one at a time.
pub(crate) type Outgoing = Arc<Mutex<mpsc::Receiver<Vec<u8>>>>;

/// How the run of a validator ended.
pub(crate) enum End {
    /// It followed without voting, and is to be run again to vote.
    Promoted,
    /// The last block of the epoch is applied: it is to be run again for the next one.
    NextEpoch,
    /// A part of it ended.
    Failed(Error),
}

/// The channels between validators, in the order of their numbers on the wire.
pub(crate) struct Channels<S, R> {
    pub(crate) votes: (S, R),
    pub(crate) certificates: (S, R),
    pub(crate) views: (S, R),
    pub(crate) backfill: (S, R),
    pub(crate) blocks: (S, R),
    pub(crate) gossip: (S, R),
    pub(crate) standing: (S, R),
}

/// Runs a validator until a part of it ends, and says why.
pub(crate) async fn run<E, S, R, P, B>(
    context: E,
    setup: Setup,
    channels: Channels<S, R>,
    peers: P,
    blocker: B,
) -> End
where
    E: Runtime,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    P: Provider<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    match assemble(context, setup, channels, peers, blocker).await {
        Ok(end) => end,
        Err(error) => End::Failed(error),
    }
}

async fn assemble<E, S, R, P, B>(
    context: E,
    setup: Setup,
    channels: Channels<S, R>,
    peers: P,
    blocker: B,
) -> Result<End, Error>
where
    E: Runtime,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    P: Provider<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    let progress = Progress::default();
    let cache = CacheRef::new(store::PAGE_SIZE, store::PAGES);
    let mut record = Record::open(&context, &setup.partition).await?;
    let over = Ended::open(&context, &setup.partition).await?;
    let archives = store::open(&context, &setup.partition, &cache, setup.admission)
        .await
        .map_err(unusable)?;
    let local = setup.key.public_key();
    let participants = setup
        .epochs
        .participants(setup.epoch)
        .ok_or(Error::Epoch(setup.epoch, "its validators are not known"))?;
    let is_member = participants.position(&local).is_some();
    let votes = setup.votes_of(setup.epoch);
    record = record.judged(&context, &setup, &archives).await?;
    let (application, epoch) = (setup.application.as_ref(), setup.epoch);
    let has_voted = is_member && record.is_there();
    rollback::check(&context, &votes, &archives, application, has_voted, epoch, &over).await?;
    let begin = beginning(&setup, &archives).await?;

    // Final blocks: dissemination, order, and the application that takes them.
    let config = marshal_config(&setup, &cache);
    let (actor, marshal, _) = Actor::init(
        context.child("marshal"),
        archives.certificates,
        archives.blocks,
        config,
    )
    .await;
    let finals = Finals(marshal.clone());
    let (broadcast, buffer) = buffered::Engine::new(
        context.child("broadcast"),
        buffered::Config {
            public_key: local.clone(),
            mailbox_size: MAILBOX,
            deque_size: BLOCKS_PER_PEER,
            priority: true,
            codec_config: setup.admission,
            peer_provider: peers.clone(),
            strategy: Sequential,
        },
    );
    let others: Vec<_> = participants
        .iter()
        .filter(|key| **key != local)
        .cloned()
        .collect();
    let backfill_config = backfill::Config {
        public_key: local,
        peer_provider: peers,
        blocker: blocker.clone(),
        mailbox_size: MAILBOX,
        fetch_timeout: NZDuration!(FETCH_TIMEOUT),
        fetch_retry_delay: FETCH_RETRY,
        priority_requests: false,
        priority_responses: false,
    };
    let resolver = backfill::init(context.child("backfill"), backfill_config, channels.backfill);
    let (delivery, inbox) = Delivery::new(&setup, finals.clone(), progress.clone(), others);

    // Everything beside the votes.
    if setup.vote_anyway && !is_member {
        // A key that has never voted, until it may.
        record = record.keep().await?;
    }
    let (verdict, needs_verdict) = record.verdict(setup.vote_anyway || !is_member);
    let standing = Standing {
        members: participants.clone(),
        epoch: setup.epoch,
        epochs: setup.epochs.clone(),
        finals: finals.clone(),
        over,
        progress: progress.clone(),
        application: Arc::clone(&setup.application),
        connected: setup.connected.clone(),
        verdict: needs_verdict,
    };
    let (sender, receiver) = channels.standing;
    let standing = context
        .child("standing")
        .spawn(move |context| standing.run(context, sender, receiver));
    let (application, outgoing) = (Arc::clone(&setup.application), Arc::clone(&setup.outgoing));
    let max_gossip = usize::try_from(setup.limits.max_gossip_bytes).unwrap_or(usize::MAX);
    let (sender, receiver) = channels.gossip;
    let gossip = move |_| gossip::run(sender, receiver, outgoing, application, max_gossip);
    let (ending, ended_epoch) = oneshot::channel();
    let delivering = context
        .child("delivery")
        .spawn(move |context| delivery.run(context, ending));
    let beside = select_all([
        named("broadcast", broadcast.start(channels.blocks)),
        named("marshal", actor.start(inbox, buffer, resolver)),
        standing
            .map(|result| result.unwrap_or_else(|error| ended("standing", &error)))
            .boxed(),
        ended_epoch
            .map(|end| end.unwrap_or(End::Failed(Error::Stopped("delivery ended".into()))))
            .boxed(),
        named("delivery", delivering),
        flat("gossip", context.child("gossip").spawn(gossip)),
    ]);
    if !is_member {
        info!(
            epoch = setup.epoch,
            "this validator is not in the set: it follows, and does not vote"
        );
        let (end, ..) = beside.await;
        return Ok(end);
    }

    let (verdict, beside) = match select(Box::pin(verdict), beside).await {
        Either::Left((verdict, beside)) => (verdict, beside),
        Either::Right(((end, ..), _)) => return Ok(end),
    };
    let (scheme, record) = match verdict {
        Verdict::Vote => {
            if setup.vote_anyway {
                record.keep().await?;
            } else if !record.is_there() {
                record.begin().await?;
            }
            (setup.signer(participants)?, None)
        }
        Verdict::CatchUp(_) => (setup.member(participants)?, Some(record)),
    };

    // The votes.
    let adapter = Adapter {
        application: Arc::clone(&setup.application),
        admission: setup.admission,
        finals,
    };
    let automaton = Inline::new(
        context.child("application"),
        adapter,
        marshal,
        setup.epochs.clone(),
    );
    let reporter = Witness {
        next: automaton.clone(),
        progress,
    };
    let timing = &setup.timing;
    let engine = simplex::Engine::new(
        context.child("consensus"),
        simplex::Config {
            scheme,
            elector: RoundRobin::<Sha256>::default(),
            blocker,
            automaton: automaton.clone(),
            relay: automaton,
            reporter,
            track_historical_votes: false,
            strategy: Sequential,
            partition: votes,
            mailbox_size: MAILBOX,
            epoch: Epoch::new(setup.epoch),
            floor: Floor::Genesis(begin),
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
    setup.voting.store(verdict == Verdict::Vote, Ordering::Relaxed);
    let number = setup.epoch;
    let voting = named(
        "consensus",
        engine.start(
            of_epoch(&context, "votes", number, channels.votes).await?,
            of_epoch(&context, "certificates", number, channels.certificates).await?,
            of_epoch(&context, "views", number, channels.views).await?,
        ),
    );
    let (Either::Left((end, _)) | Either::Right(((end, ..), _))) = select(voting, beside).await;
    if let (End::Promoted, Some(record)) = (&end, record) {
        record.keep().await?;
    }
    Ok(end)
}

/// The part of a channel that belongs to an epoch: what validators of another epoch send on it is dropped, and not held
/// against them.
async fn of_epoch<E, S, R>(
    context: &E,
    channel: &'static str,
    epoch: u64,
    (sender, receiver): (S, R),
) -> Result<(mux::SubSender<S>, mux::SubReceiver<PublicKey>), Error>
where
    E: Runtime,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    let (muxer, mut parts) = Muxer::new(context.child(channel), sender, receiver);
    // It ends with the channel, and then whoever reads its part does.
    drop(muxer.start());
    let part = parts.register(epoch).await;
    part.map_err(|error| Error::Stopped(format!("the channel of {channel}: {error}")))
}

/// The block with which an epoch begins: the genesis, or the last of the epoch before.
async fn beginning<E: Runtime>(setup: &Setup, archives: &Archives<E>) -> Result<Digest, Error> {
    let first = setup.epochs.first_height(setup.epoch);
    let Some(last) = first.and_then(|first| first.checked_sub(1)) else {
        return Ok(setup.genesis.digest());
    };
    let kept = rollback::digest(archives, last).await?;
    let digest = kept.or_else(|| setup.application.digest(last));
    digest
        .map(Digest)
        .ok_or(Error::Epoch(setup.epoch, "the block before it is not known"))
}

type MarshalConfig = marshal::Config<Epochs, Epochs, Sequential, Block, Digested<Block>, Digest>;

fn marshal_config(setup: &Setup, cache: &CacheRef) -> MarshalConfig {
    marshal::Config {
        provider: setup.epochs.clone(),
        epocher: setup.epochs.clone(),
        start: Start::Genesis(setup.genesis.clone().digested()),
        partition_prefix: format!("{}-marshal", setup.partition),
        mailbox_size: MAILBOX,
        view_retention: VIEW_RETENTION,
        prunable_items_per_section: NZU64!(64),
        page_cache: cache.clone(),
        replay_buffer: store::REPLAY_BUFFER,
        key_write_buffer: store::WRITE_BUFFER,
        value_write_buffer: store::WRITE_BUFFER,
        block_codec_config: setup.admission,
        max_repair: MAX_REPAIR,
        max_pending_acks: NonZeroUsize::new(setup.limits.max_batch).unwrap_or(NonZeroUsize::MIN),
        strategy: Sequential,
    }
}

impl Setup {
    /// Where the votes of an epoch are recorded.
    fn votes_of(&self, epoch: u64) -> String {
        match epoch {
            0 => format!("{}-votes", self.partition),
            epoch => format!("{}-votes-{epoch}", self.partition),
        }
    }

    /// Signs votes.
    fn signer(&self, participants: Set<PublicKey>) -> Result<Scheme, Error> {
        Scheme::signer(&self.vote_namespace, participants, self.key.clone())
            .ok_or(Error::Epoch(self.epoch, "this validator is not in it"))
    }

    /// Checks votes, and knows its place, but cannot sign.
    fn member(&self, participants: Set<PublicKey>) -> Result<Scheme, Error> {
        Scheme::member(&self.vote_namespace, participants, &self.key.public_key())
            .ok_or(Error::Epoch(self.epoch, "this validator is not in it"))
    }
}

/// Whether this directory has the record of all votes of this validator, from the first on.
struct Record<E: Runtime>(Metadata<E, U64, u8>);

/// The key of what says so.
const RECORD: U64 = U64::new(0);
/// The key had never voted when the record began, by what an operator has said or the chain has shown.
const KEPT: u8 = 1;
/// The record began with the chain, by what the others of the first epoch said, and that epoch has not ended here.
const BEGUN: u8 = 2;

impl<E: Runtime> Record<E> {
    async fn open(context: &E, partition: &str) -> Result<Self, Error> {
        let config = metadata::Config {
            partition: format!("{partition}-record"),
            codec_config: (),
        };
        Metadata::init(context.child("record"), config)
            .await
            .map(Self)
            .map_err(unusable)
    }

    fn is_there(&self) -> bool {
        self.0
            .get(&RECORD)
            .is_some_and(|value| [KEPT, BEGUN].contains(value))
    }

    /// Once the first epoch has ended: a record that began with the chain is one if this validator was there at the end. If
    /// not, those who said that the chain begins may have left it long before, and this validator have lost its record.
    async fn judged(mut self, context: &E, setup: &Setup, archives: &Archives<E>) -> Result<Self, Error> {
        let Some(last) = setup.epochs.last_height(0).filter(|_| setup.epoch > 0) else {
            return Ok(self);
        };
        if self.0.get(&RECORD) != Some(&BEGUN) {
            return Ok(self);
        }
        if rollback::was_there(context, &setup.votes_of(0), archives, last).await? {
            return self.keep().await;
        }
        warn!("this validator was not there when the first epoch ended: its record of votes does not count");
        self.0.remove(&RECORD);
        self.0 = self.0.sync().await.map_err(unusable)?;
        Ok(self)
    }

    /// The verdict, and where it is to be sent by whoever finds it, when it is not clear at once.
    fn verdict(
        &self,
        vote_anyway: bool,
    ) -> (
        impl Future<Output = Verdict> + use<E>,
        Option<oneshot::Sender<Verdict>>,
    ) {
        let (sender, receiver) = oneshot::channel();
        let sender = (!vote_anyway && !self.is_there()).then_some(sender);
        let asked = sender.is_some();
        let verdict = async move {
            if asked {
                receiver.await.unwrap_or(Verdict::CatchUp(0))
            } else {
                Verdict::Vote
            }
        };
        (verdict, sender)
    }

    /// From now on there are votes here. Durable before the first of them.
    async fn keep(self) -> Result<Self, Error> {
        self.put(KEPT).await
    }

    /// The same, by the word of others.
    async fn begin(self) -> Result<Self, Error> {
        self.put(BEGUN).await
    }

    async fn put(mut self, value: u8) -> Result<Self, Error> {
        if self.0.get(&RECORD) != Some(&value) {
            self.0.put(RECORD, value);
            self.0 = self.0.sync().await.map_err(unusable)?;
        }
        Ok(self)
    }
}

/// The last blocks of the epoch, by what others have said, each at most once in a run: if it is true, the votes for that block
/// come ahead of this validator's own record of votes, which is no sign of an old copy then. Heights, each with the epoch.
pub(crate) struct Ended<E: Runtime>(Metadata<E, U64, u64>);

impl<E: Runtime> Ended<E> {
    async fn open(context: &E, partition: &str) -> Result<Self, Error> {
        let config = metadata::Config {
            partition: format!("{partition}-ended"),
            codec_config: (),
        };
        Metadata::init(context.child("ended"), config)
            .await
            .map(Self)
            .map_err(unusable)
    }

    /// Whether somebody has said that the epoch ends with the block of this height.
    pub(crate) fn is(&self, epoch: u64, last: u64) -> bool {
        self.0.get(&U64::new(last)) == Some(&epoch)
    }

    /// Durable before the votes for that block are asked for.
    pub(crate) async fn note(mut self, epoch: u64, last: u64) -> Result<Self, Error> {
        if !self.is(epoch, last) {
            self.0.retain(|_, of| *of == epoch);
            self.0.put(U64::new(last), epoch);
            self.0 = self.0.sync().await.map_err(unusable)?;
        }
        Ok(self)
    }
}

pub(crate) fn unusable(error: impl std::fmt::Display) -> Error {
    Error::Stopped(format!("the store cannot be used: {error}"))
}

type Ending = BoxFuture<'static, End>;

fn ended(part: &'static str, error: &impl std::fmt::Display) -> End {
    End::Failed(Error::Stopped(format!("{part} ended: {error}")))
}

/// A part of the engine that should never end, and did.
fn named(part: &'static str, handle: Handle<()>) -> Ending {
    handle
        .map(move |result| match result {
            Ok(()) => ended(part, &"without a reason"),
            Err(error) => ended(part, &error),
        })
        .boxed()
}

/// A part of ours, which gives the reason of its end.
fn flat(part: &'static str, handle: Handle<Error>) -> Ending {
    handle
        .map(move |result| result.map_or_else(|error| ended(part, &error), End::Failed))
        .boxed()
}
