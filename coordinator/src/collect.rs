//! One re-encryption: whom to ask, what to believe, when there is enough.
//!
//! The t nodes with the best scores are asked at once. Another is asked whenever one fails, refuses or
//! answers with what does not verify, and whenever answers are late. Statements are checked as they come;
//! the proofs of t shares together, and one by one when that fails, which names the liar and keeps the rest. So a
//! liar costs one more question, wherever in the order its answer comes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use proto::coordinator::Fault;
use proto::custody::{ReencryptRequest, ReencryptResponse};
use rand_core::OsRng;
use threshold::committee::{Member, ParticipantIndex};
use threshold::encoding::Canonical;
use threshold::ids::ApproveId;
use threshold::reencrypt::{Context, Reencryption, ReencryptionShare, VerifiedShare, combine, verify_shares};
use threshold::signature::PublicKey;
use threshold::statement::ReleaseStatement;
use threshold::wrap::WrappedKey;
use tokio::sync::{Semaphore, oneshot};
use tonic::Status;

use crate::answer::{Candidate, Invalid, Trouble};
use crate::committee::Committee;
use crate::health::Patience;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::receipts::Receipts;

/// A node that cannot be reached is tried so many times when there is no other to ask.
const TRIES: u32 = 3;
/// How long answers that are no longer needed are waited for, so that their statements are recorded too.
const AFTERMATH: Duration = Duration::from_secs(2);
/// One read in so many asks one node more, the one not asked for longest, so that what is known of it is fresh.
const EXPLORE_EVERY: u64 = 16;

/// What is to be re-encrypted, for whom, by whom.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) committee: Arc<Committee>,
    pub(crate) wrapped: WrappedKey,
    pub(crate) certificates: Vec<Vec<u8>>,
    pub(crate) approve_id: ApproveId,
    pub(crate) q: PublicKey,
}

/// What a collection shares with all others.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) patience: Patience,
    pub(crate) metrics: Metrics,
    pub(crate) receipts: Receipts,
    /// Places for waiting on answers that are no longer needed.
    pub(crate) aftermath: Semaphore,
    pub(crate) reads: AtomicU64,
}

/// Exactly t shares that verify, each with its node's statement, and their combination.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) shares: Vec<ReencryptionShare>,
    pub(crate) statements: Vec<ReleaseStatement>,
    pub(crate) combined: Reencryption,
    pub(crate) faults: Vec<Fault>,
}

/// Fewer than t shares that verify.
#[derive(Debug)]
pub(crate) struct TooFew {
    pub(crate) found: usize,
    pub(crate) needed: usize,
    pub(crate) members: usize,
    pub(crate) troubles: Vec<(Member, Trouble)>,
}

/// Collects until there is enough, nobody is left to ask, or the deadline has come; gives the result to
/// `result`; then frees `place` and waits a little for answers under way. Run as a task of its own, so that a
/// client that hangs up neither frees its place early nor loses a receipt.
pub(crate) async fn collect<P>(
    read: Read,
    shared: Arc<Shared>,
    deadline: Instant,
    place: Arc<P>,
    result: oneshot::Sender<Result<Collected, TooFew>>,
) {
    let committee = Arc::clone(&read.committee);
    let Ok(context) = Context::new(committee.manifest(), &read.wrapped, read.approve_id, &read.q) else {
        // The committee was looked up by the wrapped key's own key id.
        let (needed, members) = (committee.needed(), committee.manifest().members().len());
        let _ = result.send(Err(TooFew {
            found: 0,
            needed,
            members,
            troubles: Vec::new(),
        }));
        return;
    };
    let mut collection = Collection::new(&read, &context, &shared, deadline);
    collection.begin(shared.reads.fetch_add(1, Ordering::Relaxed) % EXPLORE_EVERY == EXPLORE_EVERY - 1);
    collection.run().await;
    // Nobody waiting for the result means that the client has gone: what was collected is recorded all the same.
    let _ = result.send(collection.conclude());
    drop(place);
    if let Ok(_place) = shared.aftermath.try_acquire() {
        collection.aftermath().await;
    }
}

/// Where a node is in the committee.
type Place = usize;

struct Reply {
    place: Place,
    answer: Result<ReencryptResponse, Status>,
    elapsed: Duration,
}

struct Collection<'c> {
    read: &'c Read,
    context: &'c Context<'c>,
    shared: &'c Shared,
    deadline: Instant,
    seats: Vec<(&'c Member, Arc<Node>)>,
    request: ReencryptRequest,
    unasked: VecDeque<Place>,
    pending: FuturesUnordered<BoxFuture<'static, Reply>>,
    /// Whose answers are waited for, and since when.
    asked: BTreeMap<Place, Instant>,
    tries: BTreeMap<Place, u32>,
    candidates: Vec<(Place, Candidate)>,
    proven: Vec<(VerifiedShare, ReleaseStatement)>,
    troubles: BTreeMap<Place, Trouble>,
}

impl<'c> Collection<'c> {
    fn new(read: &'c Read, context: &'c Context<'c>, shared: &'c Shared, deadline: Instant) -> Self {
        let now = Instant::now();
        let seats: Vec<_> = read
            .committee
            .seats()
            .map(|(member, node)| (member, Arc::clone(node)))
            .collect();
        let mut order: Vec<(f64, Place)> = seats
            .iter()
            .enumerate()
            .map(|(place, (_, node))| (node.health.score(now), place))
            .collect();
        order.sort_by(|left, right| left.0.total_cmp(&right.0));
        Self {
            read,
            context,
            shared,
            deadline,
            seats,
            request: ReencryptRequest {
                wrapped_key: read.wrapped.to_bytes(),
                certificates: read.certificates.clone(),
                manifest_digest: context.manifest_digest().as_bytes().to_vec(),
            },
            unasked: order.into_iter().map(|(_, place)| place).collect(),
            pending: FuturesUnordered::new(),
            asked: BTreeMap::new(),
            tries: BTreeMap::new(),
            candidates: Vec::new(),
            proven: Vec::new(),
            troubles: BTreeMap::new(),
        }
    }

    fn needed(&self) -> usize {
        self.read.committee.needed()
    }

    /// How many shares are wanting, if every candidate holds.
    fn wanting(&self) -> usize {
        self.needed()
            .saturating_sub(self.proven.len() + self.candidates.len())
    }

    fn begin(&mut self, explore: bool) {
        for _ in 0..self.needed() {
            self.ask_another();
        }
        if explore {
            let neglected = |place: &Place| {
                self.seats
                    .get(*place)
                    .and_then(|(_, node)| node.health.asked_at())
            };
            if let Some(place) = self.unasked.iter().copied().min_by_key(neglected) {
                self.unasked.retain(|other| *other != place);
                self.ask(place);
            }
        }
    }

    async fn run(&mut self) {
        let delay = self.shared.patience.delay();
        let mut late = tokio::time::Instant::now() + delay;
        while self.proven.len() < self.needed() && self.can_succeed() {
            tokio::select! {
                reply = self.pending.next(), if !self.pending.is_empty() => {
                    if let Some(reply) = reply {
                        self.take(reply);
                    }
                }
                () = tokio::time::sleep_until(late) => {
                    self.hedge();
                    late += delay;
                }
                () = tokio::time::sleep_until(self.deadline.into()) => {
                    self.expire(delay);
                    break;
                }
            }
        }
        if !self.candidates.is_empty() {
            // Too few to be of use, and released all the same.
            self.verify();
        }
    }

    /// Whether enough nodes are left that have not refused, lied, or failed too often.
    fn can_succeed(&self) -> bool {
        let retriable = self
            .troubles
            .iter()
            .filter(|(place, trouble)| self.may_retry(**place, trouble))
            .count();
        let possible = self.candidates.len() + self.asked.len() + self.unasked.len() + retriable;
        self.proven.len() + possible >= self.needed()
    }

    fn may_retry(&self, place: Place, trouble: &Trouble) -> bool {
        let tried = self.tries.get(&place).copied().unwrap_or_default();
        matches!(trouble, Trouble::Unreachable(_)) && tried < TRIES
    }

    /// Asks the next best node, if there is one.
    fn ask_another(&mut self) {
        if let Some(place) = self.unasked.pop_front() {
            self.ask(place);
        }
    }

    fn ask(&mut self, place: Place) {
        let Some((_, node)) = self.seats.get(place) else {
            return;
        };
        let (node, request, now) = (Arc::clone(node), self.request.clone(), Instant::now());
        let timeout = self.deadline.saturating_duration_since(now);
        self.asked.insert(place, now);
        *self.tries.entry(place).or_default() += 1;
        self.pending.push(Box::pin(async move {
            let (answer, elapsed) = node.reencrypt(request, timeout).await;
            Reply {
                place,
                answer,
                elapsed,
            }
        }));
    }

    /// Answers are late: as many more nodes are asked as shares are wanting; when there are none, those that could
    /// not be reached are tried again.
    fn hedge(&mut self) {
        let now = Instant::now();
        for (place, since) in &self.asked {
            if let Some((_, node)) = self.seats.get(*place) {
                node.health.slow(now.saturating_duration_since(*since));
            }
        }
        let wanting = self.wanting();
        if self.unasked.is_empty() {
            let again = self
                .troubles
                .iter()
                .filter(|(place, trouble)| self.may_retry(**place, trouble));
            let again: Vec<Place> = again.map(|(place, _)| *place).take(wanting).collect();
            for place in again {
                self.troubles.remove(&place);
                self.ask(place);
            }
        } else {
            for _ in 0..wanting.min(self.unasked.len()) {
                self.shared.metrics.hedged();
                self.ask_another();
            }
        }
    }

    /// The deadline has come: whoever is late is named. Who was asked only just now is not to blame.
    fn expire(&mut self, delay: Duration) {
        let now = Instant::now();
        let late = self
            .asked
            .iter()
            .filter(|(_, since)| now.saturating_duration_since(**since) >= delay);
        let late: Vec<Place> = late.map(|(place, _)| *place).collect();
        for place in late {
            let trouble = Trouble::Unreachable(Status::deadline_exceeded("no answer in time"));
            if let Some((_, node)) = self.seats.get(place) {
                self.shared.metrics.node_answer(&node.name, trouble.kind());
            }
            self.troubles.insert(place, trouble);
        }
    }

    /// Takes one answer in, and makes up for it if it is of no use.
    fn take(&mut self, reply: Reply) {
        let Reply {
            place,
            answer,
            elapsed,
        } = reply;
        self.asked.remove(&place);
        let Some((member, node)) = self
            .seats
            .get(place)
            .map(|(member, node)| (*member, Arc::clone(node)))
        else {
            return;
        };
        match answer {
            Err(status) => {
                let trouble = Trouble::of(status);
                if matches!(trouble, Trouble::Refused(_)) {
                    node.health.answered(elapsed);
                }
                self.blame(place, trouble);
            }
            Ok(response) => match Candidate::read(response, member, self.context, &self.read.q) {
                Err(invalid) => self.blame(place, Trouble::Invalid(Box::new(invalid))),
                Ok(candidate) => {
                    node.health.answered(elapsed);
                    self.shared.patience.learn(elapsed);
                    self.shared.metrics.node_latency(&node.name, elapsed);
                    self.candidates.push((place, candidate));
                    if self.wanting() == 0 {
                        self.verify();
                    }
                }
            },
        }
    }

    /// Verifies the proofs of all candidates together.
    fn verify(&mut self) {
        let candidates = std::mem::take(&mut self.candidates);
        let shares: Vec<ReencryptionShare> =
            candidates.iter().map(|(_, candidate)| candidate.share).collect();
        let (verified, _culprits) = verify_shares(self.context, &shares, &mut OsRng);
        // An index is a node's own, and a node is asked again only after it gave nothing: all are distinct.
        let mut verified: BTreeMap<ParticipantIndex, VerifiedShare> =
            verified.into_iter().map(|share| (share.index(), share)).collect();
        let (mut statements, mut liars) = (Vec::new(), Vec::new());
        for (place, candidate) in candidates {
            let Some(share) = verified.remove(&candidate.share.index()) else {
                liars.push((place, candidate));
                continue;
            };
            if let Some((_, node)) = self.seats.get(place) {
                self.shared.metrics.node_answer(&node.name, "valid");
            }
            statements.push(candidate.statement);
            self.proven.push((share, candidate.statement));
        }
        let vouched = self.proven.len() >= self.needed();
        self.shared.receipts.add(statements, vouched);
        for (place, candidate) in liars {
            let invalid = (Invalid::Proof, candidate.into_response());
            self.blame(place, Trouble::Invalid(Box::new(invalid)));
        }
    }

    /// Notes what a node did wrong, and asks another in its place while it matters.
    fn blame(&mut self, place: Place, trouble: Trouble) {
        if let Some((member, node)) = self.seats.get(place) {
            let (kind, detail) = (trouble.kind(), trouble.detail());
            self.shared.metrics.node_answer(&node.name, kind);
            match trouble {
                Trouble::Invalid(_) => {
                    node.health.failed(Instant::now());
                    tracing::error!(node = node.name, index = %member.index, detail, "invalid answer");
                }
                Trouble::Unreachable(_) => {
                    node.health.lost(Instant::now());
                    tracing::warn!(node = node.name, index = %member.index, detail, "node unreachable");
                }
                Trouble::Refused(_) => {
                    tracing::info!(node = node.name, index = %member.index, detail, "node refused");
                }
            }
        }
        self.troubles.insert(place, trouble);
        if self.wanting() > self.asked.len() {
            self.ask_another();
        }
    }

    fn conclude(&self) -> Result<Collected, TooFew> {
        let needed = self.needed();
        let troubles = || {
            let named = |(place, trouble): (&Place, &Trouble)| {
                self.seats
                    .get(*place)
                    .map(|(member, _)| ((*member).clone(), trouble.clone()))
            };
            self.troubles.iter().filter_map(named)
        };
        let too_few = || TooFew {
            found: self.proven.len(),
            needed,
            members: self.seats.len(),
            troubles: troubles().collect(),
        };
        let enough = self.proven.get(..needed).ok_or_else(too_few)?;
        let verified: Vec<VerifiedShare> = enough.iter().map(|(share, _)| *share).collect();
        let combined = combine(self.context, &verified).map_err(|error| {
            tracing::error!(%error, "verified shares do not combine");
            too_few()
        })?;
        Ok(Collected {
            shares: verified.iter().map(|share| *share.share()).collect(),
            statements: enough.iter().map(|(_, statement)| *statement).collect(),
            combined,
            faults: troubles()
                .map(|(member, trouble)| trouble.to_fault(&member))
                .collect(),
        })
    }

    /// Takes in what was asked for and is no longer needed: what was released is to be on the record.
    async fn aftermath(&mut self) {
        self.unasked.clear();
        let end = (Instant::now() + AFTERMATH).min(self.deadline);
        while let Ok(Some(reply)) = tokio::time::timeout_at(end.into(), self.pending.next()).await {
            self.take(reply);
        }
        if !self.candidates.is_empty() {
            self.verify();
        }
    }
}
