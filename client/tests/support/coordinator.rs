//! A coordinator with the nodes behind it, which does as a test tells it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use proto::coordinator::coordinator_service_server::{CoordinatorService, CoordinatorServiceServer};
use proto::coordinator::{
    Fault, FaultKind, GetCoordinatorStatusRequest, GetCoordinatorStatusResponse, ReencryptRequest,
    ReencryptResponse,
};
use rand_core::OsRng;
use service::Identity;
use threshold::committee::ParticipantIndex;
use threshold::encoding::Canonical;
use threshold::ids::ApproveId;
use threshold::reencrypt::{Context, ReencryptionShare, combine, reencrypt, verify_share};
use threshold::signature::Signature;
use threshold::statement::ReleaseStatement;
use threshold::testing::TestCommittee;
use threshold::wrap::WrappedKey;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::serve;

/// What a coordinator answers.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub enum Answers {
    /// Shares of the nodes 1, 3 and 4, which hold.
    #[default]
    Well,
    /// One of these is not what its node has proven, and the node has signed for it.
    WithALiar,
    /// What does not parse.
    Nonsense,
    /// Nothing.
    Not,
    /// Nothing, ever.
    Stalls,
}

struct State {
    committee: Arc<TestCommittee>,
    answers: Mutex<Answers>,
    /// The node of which it says that it could not be reached.
    missed: u32,
}

pub struct FakeCoordinator {
    pub identity: Identity,
    pub address: SocketAddr,
    state: Arc<State>,
}

impl FakeCoordinator {
    pub async fn start(name: &str, committee: &Arc<TestCommittee>, missed: u32) -> Self {
        let identity = Identity::ephemeral(name).unwrap();
        let state = Arc::new(State {
            committee: Arc::clone(committee),
            answers: Mutex::default(),
            missed,
        });
        let routes = Routes::new(CoordinatorServiceServer::new(Service(Arc::clone(&state))));
        let address = serve(&identity, routes).await;
        Self {
            identity,
            address,
            state,
        }
    }

    pub fn answer(&self, answers: Answers) {
        *self.state.answers.lock().unwrap() = answers;
    }
}

struct Service(Arc<State>);

impl State {
    fn reencrypt(&self, request: &ReencryptRequest, liar: Option<u16>) -> ReencryptResponse {
        let manifest = self.committee.manifest();
        let wrapped = WrappedKey::from_bytes(&request.wrapped_key).unwrap();
        let stated = approval::read_unverified(&request.certificates[0]).unwrap();
        let context = |approve_id| Context::new(manifest, &wrapped, approve_id, &stated.q).unwrap();
        let honest = context(stated.approve_id);
        let shares = [1, 3, 4].map(|seat| {
            let index = ParticipantIndex::new(seat).unwrap();
            let share = self.committee.share(index).unwrap();
            match liar {
                Some(liar) if liar == seat => {
                    reencrypt(share, &context(ApproveId([9; 32])), &mut OsRng).unwrap()
                }
                _ => reencrypt(share, &honest, &mut OsRng).unwrap(),
            }
        });
        let statement = |share: &ReencryptionShare| {
            let statement = ReleaseStatement {
                manifest_digest: manifest.digest(),
                index: share.index(),
                approve_id: stated.approve_id,
                write_id: stated.write_id,
                q: stated.q,
                share_digest: share.digest(),
                repeat: false,
                time_ms: 1,
                journal_position: 1,
                journal_head: [7; 32],
                signature: Signature([0; 64]),
            };
            statement.sign(&self.committee.identities[share.index().position()])
        };
        let verified: Result<Vec<_>, _> = shares.iter().map(|share| verify_share(&honest, share)).collect();
        let combined = verified.map_or_else(|_| Vec::new(), |all| combine(&honest, &all).unwrap().to_bytes());
        let missed = Fault {
            index: self.missed,
            name: format!("node-{}", self.missed),
            kind: FaultKind::Unreachable.into(),
            detail: "gone".into(),
            evidence: Vec::new(),
        };
        ReencryptResponse {
            manifest_digest: manifest.digest().as_bytes().to_vec(),
            statements: shares.iter().map(|share| statement(share).to_bytes()).collect(),
            shares: shares.iter().map(Canonical::to_bytes).collect(),
            combined,
            faults: vec![missed],
        }
    }
}

#[tonic::async_trait]
impl CoordinatorService for Service {
    async fn reencrypt(
        &self,
        request: Request<ReencryptRequest>,
    ) -> Result<Response<ReencryptResponse>, Status> {
        let answers = *self.0.answers.lock().unwrap();
        let liar = (answers == Answers::WithALiar).then_some(3);
        match answers {
            Answers::Not => Err(Status::unavailable("down")),
            Answers::Stalls => std::future::pending().await,
            Answers::Nonsense => {
                let mut answer = self.0.reencrypt(request.get_ref(), liar);
                answer.shares[0].push(0);
                Ok(Response::new(answer))
            }
            Answers::Well | Answers::WithALiar => {
                Ok(Response::new(self.0.reencrypt(request.get_ref(), liar)))
            }
        }
    }

    async fn get_coordinator_status(
        &self,
        _: Request<GetCoordinatorStatusRequest>,
    ) -> Result<Response<GetCoordinatorStatusResponse>, Status> {
        Err(Status::unimplemented("no test asks"))
    }
}
