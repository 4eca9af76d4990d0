//! A ledger endorser that takes receipts down and gives out committees.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use golden_record::{Body, Entry, Genesis, Limits, Organisation, Outcome, RejectionReason, Transaction};
use proto::ledger::ledger_service_server::{LedgerService, LedgerServiceServer};
use proto::ledger::*;
use service::Identity;
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;
use threshold::ids::ApproveId;
use threshold::name::Name;
use threshold::signature::PublicKey;
use threshold::statement::ReleaseStatement;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};

use super::{ApprovedRead, Server};

struct State {
    manifest: Mutex<Vec<u8>>,
    genesis: Genesis,
    recorded: Mutex<Vec<ReleaseStatement>>,
    transactions: Mutex<Vec<Transaction>>,
    poison: Mutex<Option<ApproveId>>,
    /// The reads that it says are approved.
    reads: Mutex<Vec<Entry>>,
    refusal: Mutex<Option<(Code, &'static str)>>,
    looked_up: AtomicUsize,
}

pub struct FakeEndorser {
    pub name: String,
    pub identity: Identity,
    pub address: SocketAddr,
    client: [u8; 32],
    state: Arc<State>,
    server: Option<Server>,
}

impl FakeEndorser {
    pub async fn start(name: &str, manifest: &SignedManifest, client: [u8; 32]) -> Self {
        let state = Arc::new(State {
            manifest: Mutex::new(manifest.to_bytes()),
            genesis: genesis(),
            recorded: Mutex::default(),
            transactions: Mutex::default(),
            poison: Mutex::default(),
            reads: Mutex::default(),
            refusal: Mutex::default(),
            looked_up: AtomicUsize::default(),
        });
        let mut endorser = Self {
            name: name.to_owned(),
            identity: Identity::ephemeral(name).unwrap(),
            address: service::ports::free(1).unwrap()[0],
            client,
            state,
            server: None,
        };
        endorser.restart().await;
        endorser
    }

    pub async fn restart(&mut self) {
        let routes = Routes::new(LedgerServiceServer::new(Service(Arc::clone(&self.state))));
        let (server, address) = Server::start(self.address, &self.identity, self.client, routes).await;
        (self.server, self.address) = (Some(server), address);
    }

    pub async fn kill(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    /// From now on begins every answer and ends none.
    pub async fn stall(&mut self) {
        self.kill().await;
        let begin = async || {
            let endless = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
            let header = [("content-type", "application/grpc")];
            (header, axum::body::Body::from_stream(endless))
        };
        let routes = Routes::from(axum::Router::new().fallback(begin));
        let (server, address) = Server::start(self.address, &self.identity, self.client, routes).await;
        (self.server, self.address) = (Some(server), address);
    }

    pub fn publish(&self, manifest: &SignedManifest) {
        *self.state.manifest.lock().unwrap() = manifest.to_bytes();
    }

    /// Rejects every transaction with a release for this approval.
    pub fn poison(&self, approve_id: ApproveId) {
        *self.state.poison.lock().unwrap() = Some(approve_id);
    }

    /// Knows a read as approved from now on.
    pub fn approve(&self, read: &ApprovedRead) {
        let outcome = Outcome::Approved {
            version: 1,
            write_id: read.wrapped.write_id(),
            key_id: read.wrapped.key_id(),
        };
        let transaction = read.transaction.clone();
        self.state
            .reads
            .lock()
            .unwrap()
            .push(Entry { transaction, outcome });
    }

    /// Refuses every transaction from now on, for this reason.
    pub fn refuse(&self, code: Code, reason: &'static str) {
        *self.state.refusal.lock().unwrap() = Some((code, reason));
    }

    pub fn recorded(&self) -> Vec<ReleaseStatement> {
        self.state.recorded.lock().unwrap().clone()
    }

    /// How often it was asked what became of a read.
    pub fn looked_up(&self) -> usize {
        self.state.looked_up.load(Ordering::SeqCst)
    }

    pub fn transactions(&self) -> Vec<Transaction> {
        self.state.transactions.lock().unwrap().clone()
    }
}

/// The same for all endorsers of the tests.
pub fn genesis() -> Genesis {
    let key = |seed| PublicKey::of(&ed25519_dalek::SigningKey::from_bytes(&[seed; 32]));
    let organisation = Organisation {
        name: Name::new("north").unwrap(),
        validator: key(1),
        admin: key(2),
        ca_certificate: vec![1],
    };
    let installation = Name::new("test").unwrap();
    Genesis::new(
        installation,
        1,
        vec![organisation],
        vec![],
        vec![],
        Limits::default(),
    )
    .unwrap()
}

struct Service(Arc<State>);

impl State {
    fn record(&self, transaction: &Transaction) -> Outcome {
        let Body::RecordReleases { releases } = &transaction.body else {
            panic!("not a receipt")
        };
        let mut recorded = self.recorded.lock().unwrap();
        let poison = *self.poison.lock().unwrap();
        if releases.iter().any(|release| Some(release.approve_id) == poison) {
            return Outcome::Rejected(RejectionReason::UnknownApproval);
        }
        let known = |new: &ReleaseStatement| {
            recorded
                .iter()
                .any(|old| (old.approve_id, old.index) == (new.approve_id, new.index))
        };
        if releases.iter().any(known) {
            return Outcome::Rejected(RejectionReason::DuplicateRelease);
        }
        recorded.extend(releases);
        Outcome::Applied
    }
}

#[tonic::async_trait]
impl LedgerService for Service {
    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        if let Some((code, reason)) = *self.0.refusal.lock().unwrap() {
            return Err(Status::new(code, reason));
        }
        let transaction = Transaction::from_bytes(&request.get_ref().transaction).unwrap();
        assert_eq!(transaction.chain_id, self.0.genesis.chain_id());
        let outcome = self.0.record(&transaction);
        self.0.transactions.lock().unwrap().push(transaction.clone());
        let entry = Entry { transaction, outcome }.to_bytes();
        let entry = LogEntry {
            index: 0,
            height: 1,
            entry,
            time_ms: 1,
        };
        Ok(Response::new(SubmitResponse { entry: Some(entry) }))
    }

    async fn get_committee(
        &self,
        _: Request<GetCommitteeRequest>,
    ) -> Result<Response<GetCommitteeResponse>, Status> {
        let manifest = self.0.manifest.lock().unwrap().clone();
        Ok(Response::new(GetCommitteeResponse { manifest }))
    }

    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        let genesis = self.0.genesis.to_bytes();
        Ok(Response::new(GetStatusResponse {
            genesis,
            ..Default::default()
        }))
    }

    async fn request_read(
        &self,
        _: Request<RequestReadRequest>,
    ) -> Result<Response<RequestReadResponse>, Status> {
        Err(Status::unimplemented("not a coordinator's business"))
    }

    async fn get_transaction(
        &self,
        request: Request<GetTransactionRequest>,
    ) -> Result<Response<GetTransactionResponse>, Status> {
        self.0.looked_up.fetch_add(1, Ordering::SeqCst);
        let wanted = &request.get_ref().tx_id;
        let reads = self.0.reads.lock().unwrap();
        let read = reads
            .iter()
            .find(|read| read.transaction.tx_id().as_bytes().as_slice() == wanted.as_slice())
            .ok_or_else(|| Status::not_found("no such transaction"))?;
        let entry = LogEntry {
            index: 0,
            height: 1,
            entry: read.to_bytes(),
            time_ms: 1,
        };
        Ok(Response::new(GetTransactionResponse {
            entry: Some(entry),
            proof: Vec::new(),
        }))
    }

    async fn list_transactions(
        &self,
        _: Request<ListTransactionsRequest>,
    ) -> Result<Response<ListTransactionsResponse>, Status> {
        Err(Status::unimplemented("not a coordinator's business"))
    }

    async fn get_handovers(
        &self,
        _: Request<GetHandoversRequest>,
    ) -> Result<Response<GetHandoversResponse>, Status> {
        Err(Status::unimplemented("not a coordinator's business"))
    }

    async fn get_checkpoint(
        &self,
        _: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        Err(Status::unimplemented("not a coordinator's business"))
    }

    async fn get_consistency_proof(
        &self,
        _: Request<GetConsistencyProofRequest>,
    ) -> Result<Response<GetConsistencyProofResponse>, Status> {
        Err(Status::unimplemented("not a coordinator's business"))
    }

    async fn search_transactions(
        &self,
        _: Request<SearchTransactionsRequest>,
    ) -> Result<Response<SearchTransactionsResponse>, Status> {
        Err(Status::unimplemented("not a coordinator's business"))
    }

    async fn get_permissions(
        &self,
        _: Request<GetPermissionsRequest>,
    ) -> Result<Response<GetPermissionsResponse>, Status> {
        Err(Status::unimplemented("not a coordinator's business"))
    }

    async fn get_document(
        &self,
        _: Request<GetDocumentRequest>,
    ) -> Result<Response<GetDocumentResponse>, Status> {
        Err(Status::unimplemented("not a coordinator's business"))
    }
}
