//! What clients, auditors and the coordinator see of an endorser.

mod proof;
mod read;
mod search;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use golden_record::{Outcome, TxId, queries};
use proto::ledger::{self as wire, LogEntry, ledger_service_server::LedgerService};
use service::{PeerKey, RateLimit, peer_key};
use threshold::{encoding::Canonical, name::Name};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use crate::{
    approve::{self, Certifier},
    checkpoint::CheckpointSigner,
    clock::Clock,
    index::SearchIndex,
    intake::{Intake, Taken},
    ledger::Ledger,
    status::Failure,
    waiters::Committed,
};

/// Client keys whose rates are remembered.
const RATED_KEYS: usize = 4_096;

/// How often it is looked at whether a transaction that somebody waits for is to be passed on again.
const REPEAT: Duration = Duration::from_secs(1);
/// The same for a read request that was not passed on when it came: its reader may have told only this endorser.
const READ_SPREAD: Duration = Duration::from_millis(200);

/// How this endorser stands among its fellows now.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Fellow endorsers that are connected.
    pub peers: usize,
    /// The epoch of the next block.
    pub epoch: u64,
    /// Whether this is one of its endorsers.
    pub is_endorser: bool,
    /// Whether it votes.
    pub votes: bool,
}

/// Tells how this endorser stands.
pub type AskStanding = Arc<dyn Fn() -> Standing + Send + Sync>;

/// What an organisation signs besides votes.
#[derive(Debug)]
pub struct Signers {
    /// Approval certificates.
    pub certificates: Certifier,
    /// Checkpoints of the log.
    pub checkpoints: CheckpointSigner,
}

/// The service.
pub struct Endorser {
    organisation: Name,
    ledger: Arc<Ledger>,
    intake: Arc<Intake>,
    signers: Signers,
    index: Arc<SearchIndex>,
    clock: Clock,
    standing: AskStanding,
    rate: RateLimit,
    /// Searches: each may cost as much as many other requests.
    searches: RateLimit,
    /// The searches that are answered now, whoever has asked.
    searching: Arc<Semaphore>,
}

impl std::fmt::Debug for Endorser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endorser")
            .field("organisation", &self.organisation)
            .finish_non_exhaustive()
    }
}

impl Endorser {
    /// The service of one organisation's endorser.
    #[must_use]
    pub fn new(
        organisation: Name,
        ledger: Arc<Ledger>,
        intake: Arc<Intake>,
        signers: Signers,
        index: Arc<SearchIndex>,
        clock: Clock,
        standing: AskStanding,
    ) -> Self {
        let limits = ledger.limits();
        let rate = RateLimit::new(limits.requests_per_second, limits.request_burst, RATED_KEYS);
        let searches_at_once = limits.searches_at_once.min(Semaphore::MAX_PERMITS);
        let searches = RateLimit::new(limits.searches_per_second, limits.search_burst, RATED_KEYS);
        Self {
            organisation,
            ledger,
            intake,
            signers,
            index,
            clock,
            standing,
            rate,
            searches,
            searching: Arc::new(Semaphore::new(searches_at_once)),
        }
    }

    /// Who asks, within its rate.
    fn peer<T>(&self, request: &Request<T>) -> Result<PeerKey, Failure> {
        let peer = peer_key(request).ok_or(Failure::NoKey)?;
        self.rate.check(&peer.0, Instant::now())?;
        Ok(peer)
    }

    /// Answers, or says and counts why not.
    fn answer<T>(&self, result: Result<T, Failure>) -> Result<Response<T>, Status> {
        result.map(Response::new).map_err(|failure| {
            self.ledger.metrics().refused(failure.code());
            if failure.is_ours() {
                tracing::error!(error = %chain(&failure), "a request failed here");
            }
            failure.into()
        })
    }

    /// Takes a transaction and waits until it is final and durable here; a known one is answered from the chain.
    async fn commit(&self, bytes: &[u8], reads_only: bool) -> Result<Committed, Failure> {
        let started = Instant::now();
        self.require_endorser()?;
        let (transaction, id) = self.intake.parse(bytes)?;
        if reads_only && !transaction.body.is_read_request() {
            return Err(Failure::NotARead);
        }
        // Before looking anywhere, or it could become final in between unnoticed.
        let committed = self.ledger.waiters().wait_for(id).ok_or(Failure::Crowded)?;
        // A reader gives its request to every endorser: passing it on at once would only double the work.
        match self.intake.submit(transaction, &id, bytes, !reads_only)? {
            Taken::Committed => self.find(id)?.ok_or(Failure::NotFound("transaction")),
            Taken::Waiting => {
                let look = if reads_only { READ_SPREAD } else { REPEAT };
                let committed = self.wait(id, committed, look).await?;
                self.ledger
                    .metrics()
                    .submission_seconds
                    .observe(started.elapsed().as_secs_f64());
                Ok(committed)
            }
        }
    }

    /// Whoever does not decide takes nothing in and approves nothing.
    fn require_endorser(&self) -> Result<(), Failure> {
        let standing = (self.standing)();
        if !standing.is_endorser {
            return Err(Failure::NoEndorser(standing.epoch));
        }
        let certificate = self.signers.certificates.root_der();
        match self.ledger.has_authority(&self.organisation, certificate) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::OtherAuthority),
            Err(error) => {
                tracing::error!(%error, "the organisations cannot be read");
                Err(Failure::OtherAuthority)
            }
        }
    }

    async fn wait(
        &self,
        id: TxId,
        mut committed: tokio::sync::oneshot::Receiver<Committed>,
        look: Duration,
    ) -> Result<Committed, Failure> {
        let deadline_ms = self.ledger.limits().submit_deadline_ms;
        let deadline = tokio::time::sleep(Duration::from_millis(deadline_ms));
        tokio::pin!(deadline);
        let mut again = tokio::time::interval_at(tokio::time::Instant::now() + look, look);
        let height = || self.ledger.store().tip().header.height;
        let mut waiting = Waiting::at(height());
        let endorsers = queries::organisations(&self.ledger.store().snapshot()?)?
            .members
            .len();
        loop {
            tokio::select! {
                committed = &mut committed => return committed.map_err(|_| self.given_up()),
                () = &mut deadline => return Err(Failure::Deadline(deadline_ms)),
                _ = again.tick() => if waiting.is_left_out(height(), endorsers) {
                    self.intake.repeat(&id);
                    again.reset_after(REPEAT);
                },
            }
        }
    }

    /// Why nobody waits for a transaction any more.
    fn given_up(&self) -> Failure {
        if self.ledger.waiters().is_closed() {
            Failure::Stopping
        } else {
            Failure::Expired
        }
    }

    fn find(&self, id: TxId) -> Result<Option<Committed>, Failure> {
        Ok(Committed::find(&self.ledger.store().snapshot()?, id)?)
    }

    async fn read(&self, bytes: &[u8]) -> Result<wire::RequestReadResponse, Failure> {
        let committed = self.commit(bytes, true).await?;
        let now_ms = self.clock.now_ms();
        let approval = match committed.entry().outcome {
            Outcome::Approved { .. } => {
                self.require_endorser()?;
                let snapshot = self.ledger.store().snapshot()?;
                let approval = self.signers.certificates.approve(&snapshot, &committed, now_ms)?;
                if approval.fresh {
                    self.ledger.metrics().certificates.inc();
                }
                Some(wire::Approval {
                    certificate: approval.certificate.to_vec(),
                    document: approval.document,
                })
            }
            Outcome::Permitted { .. } => Some(wire::Approval {
                certificate: Vec::new(),
                document: approve::document(&self.ledger.store().snapshot()?, &committed, now_ms)?,
            }),
            _ => None,
        };
        Ok(wire::RequestReadResponse {
            entry: Some(log_entry(&committed)),
            approval,
        })
    }
}

/// How far the chain has come while a transaction waits.
struct Waiting {
    arrived: u64,
    seen: u64,
}

impl Waiting {
    const fn at(height: u64) -> Self {
        Self {
            arrived: height,
            seen: height,
        }
    }

    /// Whether the fellow endorsers seem not to know the transaction: the chain rests since the last look, or each of them
    /// has led since it came, and left it out. While blocks come, most take it soon, and passing it on would only double
    /// everybody's work.
    fn is_left_out(&mut self, height: u64, endorsers: usize) -> bool {
        let seen = std::mem::replace(&mut self.seen, height);
        let since = height.saturating_sub(self.arrived);
        height == seen || usize::try_from(since).is_ok_and(|since| since >= endorsers)
    }
}

fn log_entry(committed: &Committed) -> LogEntry {
    LogEntry {
        index: committed.index,
        height: committed.height,
        entry: committed.entry().to_bytes(),
        time_ms: committed.time_ms,
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[tonic::async_trait]
impl LedgerService for Endorser {
    async fn submit(
        &self,
        request: Request<wire::SubmitRequest>,
    ) -> Result<Response<wire::SubmitResponse>, Status> {
        let answer = async {
            self.peer(&request)?;
            let committed = self.commit(&request.get_ref().transaction, false).await?;
            Ok(wire::SubmitResponse {
                entry: Some(log_entry(&committed)),
            })
        };
        self.answer(answer.await)
    }

    async fn request_read(
        &self,
        request: Request<wire::RequestReadRequest>,
    ) -> Result<Response<wire::RequestReadResponse>, Status> {
        let answer = async {
            self.peer(&request)?;
            self.read(&request.get_ref().transaction).await
        };
        self.answer(answer.await)
    }

    async fn get_transaction(
        &self,
        request: Request<wire::GetTransactionRequest>,
    ) -> Result<Response<wire::GetTransactionResponse>, Status> {
        self.answer(
            self.peer(&request)
                .and_then(|peer| self.transaction(peer, request.get_ref())),
        )
    }

    async fn list_transactions(
        &self,
        request: Request<wire::ListTransactionsRequest>,
    ) -> Result<Response<wire::ListTransactionsResponse>, Status> {
        self.answer(
            self.peer(&request)
                .and_then(|peer| self.page(peer, request.get_ref())),
        )
    }

    async fn get_document(
        &self,
        request: Request<wire::GetDocumentRequest>,
    ) -> Result<Response<wire::GetDocumentResponse>, Status> {
        self.answer(
            self.peer(&request)
                .and_then(|peer| self.document(peer, request.get_ref())),
        )
    }

    async fn get_permissions(
        &self,
        request: Request<wire::GetPermissionsRequest>,
    ) -> Result<Response<wire::GetPermissionsResponse>, Status> {
        self.answer(
            self.peer(&request)
                .and_then(|peer| self.permissions(peer, request.get_ref())),
        )
    }

    async fn get_committee(
        &self,
        request: Request<wire::GetCommitteeRequest>,
    ) -> Result<Response<wire::GetCommitteeResponse>, Status> {
        self.answer(
            self.peer(&request)
                .and_then(|_| self.committee(request.get_ref())),
        )
    }

    async fn get_status(
        &self,
        request: Request<wire::GetStatusRequest>,
    ) -> Result<Response<wire::GetStatusResponse>, Status> {
        self.answer(self.peer(&request).and_then(|_| self.status()))
    }

    async fn get_handovers(
        &self,
        request: Request<wire::GetHandoversRequest>,
    ) -> Result<Response<wire::GetHandoversResponse>, Status> {
        self.answer(
            self.peer(&request)
                .and_then(|_| self.handovers(request.get_ref())),
        )
    }

    async fn get_checkpoint(
        &self,
        request: Request<wire::GetCheckpointRequest>,
    ) -> Result<Response<wire::GetCheckpointResponse>, Status> {
        self.answer(
            self.peer(&request)
                .and_then(|_| self.checkpoint(request.get_ref())),
        )
    }

    async fn search_transactions(
        &self,
        request: Request<wire::SearchTransactionsRequest>,
    ) -> Result<Response<wire::SearchTransactionsResponse>, Status> {
        let answer = async {
            let peer = self.peer(&request)?;
            self.searches.check(&peer.0, Instant::now())?;
            self.search(peer, request.get_ref()).await
        };
        self.answer(answer.await)
    }

    async fn get_consistency_proof(
        &self,
        request: Request<wire::GetConsistencyProofRequest>,
    ) -> Result<Response<wire::GetConsistencyProofResponse>, Status> {
        self.answer(
            self.peer(&request)
                .and_then(|_| self.consistency(request.get_ref())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Waiting;

    #[test]
    fn a_request_is_passed_on_when_the_chain_rests_or_everybody_has_left_it_out() {
        let mut waiting = Waiting::at(10);
        assert!(waiting.is_left_out(10, 4), "the chain rests");
        assert!(!waiting.is_left_out(12, 4), "blocks come");
        assert!(waiting.is_left_out(12, 4), "and come no more");
        assert!(!waiting.is_left_out(13, 4), "one has not led yet");
        assert!(waiting.is_left_out(14, 4), "all have led");
        assert!(waiting.is_left_out(15, 4), "and still do not take it");
    }
}
