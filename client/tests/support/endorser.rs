//! A ledger endorser that shows the chain, and takes transactions, as a test tells it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use approval::ApprovalFields;
use golden_record::{Body, Dataset, Entry, Header, Outcome, RejectionReason, Transaction};
use proto::ledger::ledger_service_server::{LedgerService, LedgerServiceServer};
use proto::ledger::*;
use service::Identity;
use threshold::encoding::Canonical;
use threshold::ids::ApproveId;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};

use super::chain::Chain;
use super::{ORGANISATIONS, authority, now_ms, serve};

/// What an endorser does.
#[derive(Clone, Default)]
pub enum Behaviour {
    #[default]
    Honest,
    /// Shows the chain as it was when it had so many entries.
    Old(usize),
    /// Shows a chain of its own.
    Shows(Chain),
    /// Says that its log is that long, without a proof.
    Claims(u64),
    /// Says so with the evidence of another block.
    Forges(u64),
    /// Shows an entry with another outcome in a page of the log.
    Rewrites(usize),
    /// Gives an entry more however often it is asked, up to a thousand, and counts how often that was.
    Endless(Arc<AtomicUsize>),
    /// Refuses every transaction.
    Refuses(Code, &'static str),
    /// Says of every transaction that this became of it, and passes it on to nobody.
    Pretends(Outcome),
    /// Answers every submission with the entry of the first transaction.
    Mistakes,
    /// Gives these bytes for every document.
    Gives(Vec<u8>),
    /// Refuses every question about a document or a dataset so.
    Keeps(Code),
    /// Gives this for every dataset.
    Configures(Dataset),
    /// Is a block behind in the first so many questions about a dataset at a height.
    Lags(Arc<AtomicUsize>),
    /// Signs checkpoints with the key of the organisation in that place, as if it were its own.
    SignsWith(usize),
    /// Gives the checkpoint that the organisation in that place has signed.
    Relays(usize),
    /// Signs checkpoints of a chain of its own.
    Signs(Chain),
    /// Gives proofs of consistency with a hash of its own.
    Twists,
    /// Leaves an entry out of what is found.
    LeavesOut(usize),
    /// Gives an entry that does not match.
    Adds(usize),
    /// Gives an entry as if it were of that time, whatever time is asked for.
    Dates(usize, u64),
    /// Gives entries with another's path.
    Mislays,
    /// Finds the first thing twice.
    Repeats,
    /// Finds more than was asked for.
    Floods,
    /// Shows votes that are none.
    Votes,
    /// Says that the votes are of the next epoch of endorsers, and hands over to it with these bytes.
    HandsOver(Vec<Vec<u8>>),
    /// Has found nothing yet, as if its index were empty.
    Indexes,
    /// Cannot be reached.
    Down,
    /// Takes every question and answers none.
    Stalls,
}

struct State {
    organisation: String,
    chain: Arc<Mutex<Chain>>,
    behaviour: Mutex<Behaviour>,
}

impl State {
    /// Where its organisation is among all.
    fn place(&self) -> usize {
        let mut names = ORGANISATIONS.iter();
        names.position(|name| *name == self.organisation).unwrap()
    }
}

pub struct FakeEndorser {
    pub identity: Identity,
    pub address: SocketAddr,
    state: Arc<State>,
}

impl FakeEndorser {
    /// One that shares the chain with others.
    pub async fn start(name: &str, chain: &Arc<Mutex<Chain>>) -> Self {
        let identity = Identity::ephemeral(name).unwrap();
        let state = Arc::new(State {
            organisation: name.into(),
            chain: Arc::clone(chain),
            behaviour: Mutex::default(),
        });
        let routes = Routes::new(LedgerServiceServer::new(Service(Arc::clone(&state))));
        let address = serve(&identity, routes).await;
        Self {
            identity,
            address,
            state,
        }
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap() = behaviour;
    }
}

struct Service(Arc<State>);

impl Service {
    fn behaviour(&self) -> Behaviour {
        self.0.behaviour.lock().unwrap().clone()
    }

    async fn stall(&self) {
        if matches!(self.behaviour(), Behaviour::Stalls) {
            std::future::pending().await
        }
    }

    /// The chain that it shows.
    fn shown(&self) -> Result<Chain, Status> {
        let chain = self.0.chain.lock().unwrap().clone();
        match self.behaviour() {
            Behaviour::Down => Err(Status::unavailable("down")),
            Behaviour::Old(size) => Ok(chain.cut(size)),
            Behaviour::Shows(other) => Ok(other),
            _ => Ok(chain),
        }
    }
}

fn line(place: usize, entry: &Entry) -> LogEntry {
    let index = u64::try_from(place).unwrap();
    LogEntry {
        index,
        height: index + 1,
        entry: entry.to_bytes(),
        time_ms: index + 1,
    }
}

fn refused(code: Code, reason: &'static str) -> Status {
    let mut status = Status::new(code, "because the test says so");
    let value = tonic::metadata::MetadataValue::from_static(reason);
    status.metadata_mut().insert("refusal-code", value);
    status
}

#[tonic::async_trait]
impl LedgerService for Service {
    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        self.stall().await;
        let transaction = Transaction::from_bytes(&request.get_ref().transaction).unwrap();
        let pretended = match self.behaviour() {
            Behaviour::Refuses(code, reason) => return Err(refused(code, reason)),
            Behaviour::Down => return Err(Status::unavailable("down")),
            Behaviour::Pretends(outcome) => Some(outcome),
            _ => None,
        };
        let mut chain = self.0.chain.lock().unwrap();
        if matches!(self.behaviour(), Behaviour::Mistakes) {
            let entry = Some(line(0, &chain.entries[0]));
            return Ok(Response::new(SubmitResponse { entry }));
        }
        let place = match (chain.find(&transaction.tx_id()), pretended) {
            (Some(place), None) => place,
            (None, None) => {
                let outcome = Outcome::Applied;
                chain.entries.push(Entry { transaction, outcome });
                chain.entries.len() - 1
            }
            (_, Some(outcome)) => {
                let entry = line(0, &Entry { transaction, outcome });
                return Ok(Response::new(SubmitResponse { entry: Some(entry) }));
            }
        };
        let entry = Some(line(place, &chain.entries[place]));
        Ok(Response::new(SubmitResponse { entry }))
    }

    async fn get_transaction(
        &self,
        request: Request<GetTransactionRequest>,
    ) -> Result<Response<GetTransactionResponse>, Status> {
        self.stall().await;
        let id = ApproveId(request.get_ref().tx_id.as_slice().try_into().unwrap());
        let chain = self.shown()?;
        let place = chain
            .find(&id)
            .ok_or_else(|| Status::not_found("no such transaction"))?;
        Ok(Response::new(GetTransactionResponse {
            entry: Some(line(place, &chain.entries[place])),
            proof: chain.proof(place).to_bytes(),
        }))
    }

    async fn list_transactions(
        &self,
        request: Request<ListTransactionsRequest>,
    ) -> Result<Response<ListTransactionsResponse>, Status> {
        self.stall().await;
        let mut chain = self.shown()?;
        if let Behaviour::Rewrites(place) = self.behaviour() {
            chain.entries[place].outcome = REJECTED;
        }
        let from = usize::try_from(request.get_ref().from).unwrap();
        if let Behaviour::Endless(asked) = self.behaviour() {
            if asked.fetch_add(1, Ordering::Relaxed) == 1_000 {
                return Err(Status::internal("asked a thousand times"));
            }
            let entry = &chain.entries[from % chain.entries.len()];
            return Ok(Response::new(ListTransactionsResponse {
                entries: vec![line(from, entry)],
                log_size: u64::MAX,
                ..Default::default()
            }));
        }
        let lines = chain.entries.iter().enumerate().skip(from);
        Ok(Response::new(ListTransactionsResponse {
            entries: lines.map(|(place, entry)| line(place, entry)).collect(),
            log_size: chain.size(),
            next: chain.size(),
        }))
    }

    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        self.stall().await;
        let chain = self.shown()?;
        let newest = chain.header();
        let (header, proven) = match self.behaviour() {
            Behaviour::Claims(size) => (longer(&newest, size), newest.clone()),
            Behaviour::Forges(size) => (longer(&newest, size), longer(&newest, size)),
            _ => (newest.clone(), newest.clone()),
        };
        let mut evidence = chain.evidence(&newest);
        if let Behaviour::HandsOver(_) = self.behaviour() {
            evidence.epoch = 1;
        }
        Ok(Response::new(GetStatusResponse {
            genesis: chain.genesis.to_bytes(),
            header: header.to_bytes(),
            evidence: evidence.to_bytes(),
            proven_header: proven.to_bytes(),
            ..Default::default()
        }))
    }

    async fn get_handovers(
        &self,
        _: Request<GetHandoversRequest>,
    ) -> Result<Response<GetHandoversResponse>, Status> {
        self.stall().await;
        // Nobody has joined or left this chain.
        let handovers = match self.behaviour() {
            Behaviour::HandsOver(handovers) => handovers,
            _ => Vec::new(),
        };
        Ok(Response::new(GetHandoversResponse { handovers }))
    }

    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        self.stall().await;
        let chain = match self.behaviour() {
            Behaviour::Signs(other) => other,
            _ => self.shown()?,
        };
        let size = match usize::try_from(request.get_ref().log_size).unwrap() {
            0 => chain.entries.len(),
            size => size,
        };
        if size > chain.entries.len() {
            return Err(Status::not_found("no such block"));
        }
        let own = self.0.place();
        let signer = match self.behaviour() {
            Behaviour::SignsWith(other) => other,
            _ => own,
        };
        let signed = match self.behaviour() {
            Behaviour::Relays(other) => chain.cut(size).checkpoint(ORGANISATIONS[other], other),
            _ => chain.cut(size).checkpoint(&self.0.organisation, signer),
        };
        Ok(Response::new(GetCheckpointResponse {
            checkpoint: signed.to_text(),
        }))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<GetConsistencyProofRequest>,
    ) -> Result<Response<GetConsistencyProofResponse>, Status> {
        self.stall().await;
        let chain = self.shown()?;
        let GetConsistencyProofRequest { old_size, new_size } = *request.get_ref();
        if new_size > chain.size() {
            return Err(Status::not_found("no entry that far"));
        }
        let mut path = chain.consistency(old_size, new_size);
        if let (Behaviour::Twists, Some(hash)) = (self.behaviour(), path.first_mut()) {
            hash[0] ^= 1;
        }
        Ok(Response::new(GetConsistencyProofResponse {
            path: path.iter().map(|hash| hash.to_vec()).collect(),
        }))
    }

    async fn search_transactions(
        &self,
        request: Request<SearchTransactionsRequest>,
    ) -> Result<Response<SearchTransactionsResponse>, Status> {
        self.stall().await;
        let chain = self.shown()?;
        let request = request.get_ref();
        let (mut header, mut limit) = (chain.header(), usize::try_from(request.limit).unwrap());
        let mut evidence = chain.evidence(&header);
        match self.behaviour() {
            Behaviour::Forges(size) => header = longer(&header, size),
            Behaviour::Votes => evidence.signatures[0].1.0[0] ^= 1,
            Behaviour::Floods => limit = usize::MAX,
            _ => {}
        }
        let matches = |place: usize, entry: &Entry| match self.behaviour() {
            Behaviour::LeavesOut(hidden) if place == hidden => false,
            Behaviour::Adds(added) | Behaviour::Dates(added, _) if place == added => true,
            _ => {
                let verdict = &request.verdict;
                (verdict.is_empty() || entry.outcome.kind() == verdict)
                    && request.since_ms <= u64::try_from(place).unwrap() + 1
            }
        };
        let from = usize::try_from(request.from).unwrap();
        let all = chain.entries.iter().enumerate().skip(from);
        let mut found: Vec<_> = all
            .filter(|(place, entry)| matches(*place, entry))
            .map(|(place, entry)| FoundTransaction {
                entry: Some(line(place, entry)),
                path: chain.inclusion(place).iter().map(|hash| hash.to_vec()).collect(),
            })
            .collect();
        let mut next = chain.size();
        if found.len() > limit {
            next = found[limit].entry.as_ref().unwrap().index;
            found.truncate(limit);
        }
        match self.behaviour() {
            Behaviour::Mislays => {
                let path = found[0].path.clone();
                found.iter_mut().for_each(|found| found.path = path.clone());
            }
            Behaviour::Dates(place, time_ms) => {
                let entries = found.iter_mut().filter_map(|found| found.entry.as_mut());
                entries
                    .filter(|entry| entry.index == u64::try_from(place).unwrap())
                    .for_each(|entry| entry.time_ms = time_ms);
            }
            Behaviour::Repeats => found[1] = found[0].clone(),
            Behaviour::Indexes => (next, found) = (request.from, Vec::new()),
            _ => {}
        }
        Ok(Response::new(SearchTransactionsResponse {
            found,
            next,
            header: header.to_bytes(),
            evidence: evidence.to_bytes(),
        }))
    }

    /// Approves whatever is asked for and is there.
    async fn request_read(
        &self,
        request: Request<RequestReadRequest>,
    ) -> Result<Response<RequestReadResponse>, Status> {
        self.stall().await;
        let transaction = Transaction::from_bytes(&request.get_ref().transaction).unwrap();
        let Body::RequestRead { document, q, .. } = transaction.body.clone() else {
            panic!("not a read request")
        };
        let mut chain = self.0.chain.lock().unwrap();
        let latest = chain.documents.iter().rfind(|found| found.document == document);
        let found = latest
            .cloned()
            .ok_or_else(|| Status::not_found("no such document"))?;
        let wrapped = found.wrapped_key.clone().unwrap();
        let approve_id = transaction.tx_id();
        let place = chain.find(&approve_id).unwrap_or_else(|| {
            let outcome = Outcome::Approved {
                version: found.version,
                write_id: wrapped.write_id(),
                key_id: wrapped.key_id(),
            };
            chain.entries.push(Entry { transaction, outcome });
            chain.entries.len() - 1
        });
        let entry = line(place, &chain.entries[place]);
        let fields = ApprovalFields {
            approve_id,
            write_id: wrapped.write_id(),
            q,
            key_id: wrapped.key_id(),
            label: wrapped.label().clone(),
            chain_id: chain.genesis.chain_id(),
            height: entry.height,
            block_hash: chain.cut(place + 1).header().hash(),
            policy_version: 1,
        };
        let certificate = authority(self.0.place()).issue(&fields, now_ms(), 60).unwrap();
        Ok(Response::new(RequestReadResponse {
            entry: Some(entry),
            approval: Some(Approval {
                certificate,
                document: found.to_bytes(),
            }),
        }))
    }

    async fn get_permissions(
        &self,
        request: Request<GetPermissionsRequest>,
    ) -> Result<Response<GetPermissionsResponse>, Status> {
        self.stall().await;
        let chain = self.shown()?;
        let mut newest = chain.size();
        let mut dataset = chain.dataset;
        match self.behaviour() {
            Behaviour::Keeps(code) => return Err(refused(code, "kept")),
            Behaviour::Configures(other) => dataset = Some(other),
            Behaviour::Claims(height) => newest = height,
            Behaviour::Lags(more) => {
                let behind = |left: usize| left.checked_sub(1);
                let behind = more.fetch_update(Ordering::Relaxed, Ordering::Relaxed, behind);
                newest -= u64::from(behind.is_ok());
            }
            _ => {}
        }
        let height = match request.get_ref().height {
            0 => newest,
            height if height > newest => return Err(Status::not_found("no block at this height yet")),
            height => height,
        };
        let dataset = dataset.ok_or_else(|| Status::not_found("no such dataset"))?;
        Ok(Response::new(GetPermissionsResponse {
            height,
            dataset: dataset.to_bytes(),
            users: vec!["alice".into()],
            next: String::new(),
        }))
    }

    async fn get_document(
        &self,
        request: Request<GetDocumentRequest>,
    ) -> Result<Response<GetDocumentResponse>, Status> {
        self.stall().await;
        let asked = request.get_ref();
        let document = match self.behaviour() {
            Behaviour::Gives(document) => document,
            Behaviour::Keeps(code) => return Err(refused(code, "kept")),
            _ => {
                let chain = self.shown()?;
                let found = chain
                    .documents
                    .iter()
                    .filter(|found| {
                        found.tenant.as_str() == asked.tenant
                            && found.dataset.as_str() == asked.dataset
                            && found.document.to_string() == asked.document
                            && (asked.version == 0 || found.version == asked.version)
                    })
                    .max_by_key(|found| found.version);
                let found = found.ok_or_else(|| Status::not_found("no such document"))?;
                found.to_bytes()
            }
        };
        Ok(Response::new(GetDocumentResponse { document }))
    }

    async fn get_committee(
        &self,
        _: Request<GetCommitteeRequest>,
    ) -> Result<Response<GetCommitteeResponse>, Status> {
        self.stall().await;
        let committee = self.shown()?.committee;
        let committee = committee.ok_or_else(|| Status::not_found("no such committee"))?;
        Ok(Response::new(GetCommitteeResponse {
            manifest: committee.to_bytes(),
        }))
    }
}

fn longer(header: &Header, log_size: u64) -> Header {
    Header {
        log_size,
        ..header.clone()
    }
}

/// What a liar says of a transaction that it has thrown away.
pub const REJECTED: Outcome = Outcome::Rejected(RejectionReason::TenantExists);
