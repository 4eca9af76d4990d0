//! What platforms ask of the coordinator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use approval::{Approved, TrustBundle};
use proto::coordinator::coordinator_service_server::CoordinatorService;
use proto::coordinator::{
    GetCoordinatorStatusRequest, GetCoordinatorStatusResponse, NodeHealth, ReencryptRequest,
    ReencryptResponse,
};
use proto::field::{self, FieldError};
use service::{PeerKey, RateLimit, peer_key};
use threshold::encoding::Canonical;
use threshold::ids::ManifestDigest;
use threshold::wrap::WrappedKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

use crate::answer::{REFUSAL_CODE, Trouble, refusal_code};
use crate::collect::{Collected, Read, Shared, TooFew, collect};
use crate::committee::Committees;
use crate::config::Settings;

/// The service. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Handler {
    committees: Arc<Committees>,
    shared: Arc<Shared>,
    rate: Arc<RateLimit>,
    /// A place for each request in progress or waiting.
    places: Arc<Semaphore>,
    /// A turn for each request in progress.
    turns: Arc<Semaphore>,
    deadline: Duration,
    trust: Arc<TrustBundle>,
    limits: approval::Limits,
}

/// A request's place and turn; both end with it.
type Admission = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Handler {
    pub(crate) fn new(committees: Arc<Committees>, shared: Arc<Shared>, settings: Settings) -> Self {
        let limits = settings.limits;
        Self {
            committees,
            shared,
            rate: Arc::new(RateLimit::new(
                limits.requests_per_second,
                limits.burst,
                limits.peers,
            )),
            places: Arc::new(Semaphore::new(limits.in_progress.saturating_add(limits.waiting))),
            turns: Arc::new(Semaphore::new(limits.in_progress)),
            deadline: Duration::from_millis(limits.deadline_ms),
            trust: Arc::new(settings.trust),
            limits: approval::Limits {
                max_lifetime_s: limits.approval_lifetime_s.into(),
                max_skew_s: limits.clock_skew_s.into(),
            },
        }
    }

    /// Cheapest first: the peer's rate, then a place. Nothing has been parsed by then.
    fn place(&self, peer: Option<PeerKey>) -> Result<OwnedSemaphorePermit, Status> {
        let peer = peer.ok_or_else(|| Status::unauthenticated("no client key"))?;
        self.rate
            .check(&peer.0, Instant::now())
            .map_err(|over| Status::resource_exhausted(over.to_string()))?;
        Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("too many requests are waiting; try again later"))
    }

    async fn turn(&self, place: OwnedSemaphorePermit, deadline: Instant) -> Result<Admission, Status> {
        let turn = Arc::clone(&self.turns).acquire_owned();
        match tokio::time::timeout_at(deadline.into(), turn).await {
            Ok(Ok(turn)) => Ok((place, turn)),
            Ok(Err(_)) => Err(Status::unavailable(
                "the coordinator is stopping: ask another, or this one again in a moment",
            )),
            Err(_) => Err(Status::resource_exhausted(
                "the deadline came before this request's turn: ask another coordinator, or again later",
            )),
        }
    }

    async fn answer(&self, request: Request<ReencryptRequest>) -> Result<ReencryptResponse, Status> {
        let deadline = Instant::now() + self.deadline;
        let place = self.place(peer_key(&request))?;
        let parsed = Parsed::parse(request.into_inner())?;
        let admission = Arc::new(self.turn(place, deadline).await?);
        let approved = self.approved(&parsed)?;
        let committee = self.committees.of(parsed.wrapped.key_id()).await.ok_or_else(|| {
            Status::failed_precondition(
                "no committee is known for this custody key: publish it with `quorate node publish`; when it is published, ask again",
            )
        })?;
        // Whoever asks may know of an epoch that this coordinator has not heard of yet.
        let committee = match parsed.expected {
            Some(expected) if expected != committee.manifest().digest() => {
                self.committees.after(&committee).await.unwrap_or(committee)
            }
            _ => committee,
        };
        let mut read = parsed.into_read(&approved, committee);
        let mut result = self.collect(&read, deadline, &admission).await?;
        if let Err(too_few) = &result
            && too_few
                .troubles
                .iter()
                .any(|(_, trouble)| trouble.is_of_another_epoch())
            && let Some(newer) = self.committees.after(&read.committee).await
        {
            read.committee = newer;
            result = self.collect(&read, deadline, &admission).await?;
        }
        let digest = read.committee.manifest().digest();
        match result {
            Ok(collected) => Ok(response(digest.as_bytes(), &collected)),
            Err(too_few) => Err(too_few.into()),
        }
    }

    /// Whether the nodes would take it, as far as can be told here: strangers can ask, and what the nodes refuse costs
    /// every reader of theirs, because they count by coordinator. Each node decides for itself all the same.
    fn approved(&self, parsed: &Parsed) -> Result<Approved, Status> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        let (certificates, wrapped) = (&parsed.certificates, &parsed.wrapped);
        approval::check(certificates, wrapped, &self.trust, now_ms, &self.limits).map_err(|refusal| {
            let mut status = Status::permission_denied(refusal.to_string());
            let code = MetadataValue::from_static(refusal.code());
            status.metadata_mut().insert(REFUSAL_CODE, code);
            status
        })
    }

    async fn collect(
        &self,
        read: &Read,
        deadline: Instant,
        admission: &Arc<Admission>,
    ) -> Result<Result<Collected, TooFew>, Status> {
        let (sender, result) = oneshot::channel();
        let (shared, admission) = (Arc::clone(&self.shared), Arc::clone(admission));
        tokio::spawn(collect(read.clone(), shared, deadline, admission, sender));
        result
            .await
            .map_err(|_| {
                Status::internal(
                    "the collection ended without a result: ask again, and tell the coordinator's operator, whose log says why",
                )
            })
    }

    fn status(&self) -> GetCoordinatorStatusResponse {
        let committee = self.committees.any();
        let index_of = |identity| {
            let committee = committee.as_ref()?;
            let member = committee.manifest().member_by_identity(identity)?;
            Some(u32::from(member.index.get()))
        };
        let nodes = self.committees.nodes().iter().map(|node| NodeHealth {
            index: index_of(&node.identity).unwrap_or_default(),
            name: node.name.clone(),
            reachable: node.health.reachable(),
            latency_seconds: node.health.latency_seconds(),
            invalid_answers_total: self.shared.metrics.invalid_answers(&node.name),
        });
        GetCoordinatorStatusResponse {
            nodes: nodes.collect(),
            manifest: committee
                .map(|committee| committee.signed.to_bytes())
                .unwrap_or_default(),
            receipts_pending: u32::try_from(self.shared.receipts.pending()).unwrap_or(u32::MAX),
        }
    }
}

#[tonic::async_trait]
impl CoordinatorService for Handler {
    async fn reencrypt(
        &self,
        request: Request<ReencryptRequest>,
    ) -> Result<Response<ReencryptResponse>, Status> {
        let begun = Instant::now();
        let answer = self.answer(request).await;
        match &answer {
            Ok(_) => self.shared.metrics.answered(begun.elapsed()),
            Err(status) => self.shared.metrics.outcome(outcome(status)),
        }
        answer.map(Response::new)
    }

    async fn get_coordinator_status(
        &self,
        request: Request<GetCoordinatorStatusRequest>,
    ) -> Result<Response<GetCoordinatorStatusResponse>, Status> {
        let _place = self.place(peer_key(&request))?;
        Ok(Response::new(self.status()))
    }
}

/// The label of a refusal in metrics.
fn outcome(status: &Status) -> &'static str {
    match status.code() {
        tonic::Code::InvalidArgument => "malformed",
        tonic::Code::ResourceExhausted => "too_many",
        tonic::Code::Unavailable => "unavailable",
        tonic::Code::FailedPrecondition => "failed_precondition",
        tonic::Code::PermissionDenied => "denied",
        _ => "failed",
    }
}

/// A request whose parts are well-formed and belong together.
struct Parsed {
    wrapped: WrappedKey,
    certificates: Vec<Vec<u8>>,
    /// The committee that whoever asks works with.
    expected: Option<ManifestDigest>,
}

impl Parsed {
    fn parse(request: ReencryptRequest) -> Result<Self, FieldError> {
        let ReencryptRequest {
            wrapped_key,
            certificates,
            manifest_digest,
        } = request;
        let wrapped: WrappedKey = field::parse("wrapped_key", &wrapped_key)?;
        field::certificates("certificates", &certificates)?;
        let expected = match manifest_digest.as_slice() {
            [] => None,
            digest => Some(field::id::<ManifestDigest>("manifest_digest", digest)?),
        };
        Ok(Self {
            wrapped,
            certificates,
            expected,
        })
    }

    fn into_read(self, approved: &Approved, committee: Arc<crate::committee::Committee>) -> Read {
        Read {
            committee,
            wrapped: self.wrapped,
            certificates: self.certificates,
            approve_id: approved.approve_id(),
            q: approved.q(),
        }
    }
}

fn response(manifest_digest: &[u8; 32], collected: &Collected) -> ReencryptResponse {
    ReencryptResponse {
        manifest_digest: manifest_digest.to_vec(),
        shares: collected.shares.iter().map(Canonical::to_bytes).collect(),
        statements: collected.statements.iter().map(Canonical::to_bytes).collect(),
        combined: collected.combined.to_bytes(),
        faults: collected.faults.clone(),
    }
}

impl From<TooFew> for Status {
    /// What most of the refusing nodes say, when it is refusals that there are too many of; else unavailable.
    /// All troubled nodes are named.
    fn from(too_few: TooFew) -> Self {
        let TooFew {
            found,
            needed,
            members,
            troubles,
        } = too_few;
        let named = troubles.iter().map(|(member, trouble)| {
            format!(
                "{} {} ({}): {}",
                member.name,
                member.index,
                trouble.kind(),
                trouble.detail()
            )
        });
        let named = named.collect::<Vec<_>>().join("; ");
        let message = format!("{found} valid shares of {needed} needed: {named}");
        let mut refusals: BTreeMap<(i32, Option<&str>), (usize, &Status)> = BTreeMap::new();
        for (_, trouble) in &troubles {
            if let Trouble::Refused(status) = trouble {
                let key = (i32::from(status.code()), refusal_code(status));
                refusals.entry(key).or_insert((0, status)).0 += 1;
            }
        }
        let refused: usize = refusals.values().map(|(count, _)| count).sum();
        let most = refusals.values().max_by_key(|(count, _)| *count);
        match most {
            Some((_, status)) if refused > members.saturating_sub(needed) => {
                let mut passed_on = Self::new(status.code(), message);
                if let Some(code) = refusal_code(status).and_then(|code| MetadataValue::try_from(code).ok()) {
                    passed_on.metadata_mut().insert(REFUSAL_CODE, code);
                }
                passed_on
            }
            _ => Self::unavailable(message),
        }
    }
}
