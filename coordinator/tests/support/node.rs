//! A crypto node that does as it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use proto::custody::custody_service_server::{CustodyService, CustodyServiceServer};
use proto::custody::{ReencryptRequest, ReencryptResponse};
use rand_core::OsRng;
use service::Identity;
use threshold::committee::{CommitteeManifest, ParticipantIndex, SignedManifest};
use threshold::encoding::Canonical;
use threshold::ids::ApproveId;
use threshold::reencrypt::{Context, ReaderKey, ReencryptionShare, reencrypt};
use threshold::secret::KeyShare;
use threshold::signature::Signature;
use threshold::statement::ReleaseStatement;
use threshold::testing::TestCommittee;
use threshold::wrap::WrappedKey;
use tonic::metadata::MetadataValue;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};

use super::{Server, now_ms};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    Honest,
    /// A share made for another approval, with a statement that is true of it.
    LyingShare,
    /// A share made for another reader's key.
    WrongReader,
    /// A statement that the node has not signed.
    ForgedStatement,
    /// A signed statement about another approval.
    StatementOfAnother,
    /// A signed statement about another share.
    StatementOfAnotherShare,
    /// The answer of another node, as one's own.
    Copied,
    Malformed,
    Hung,
    /// Right, after so many milliseconds.
    Late(u64),
    Refuses(&'static str),
    /// Says that it has released before.
    Repeats,
    /// Unavailable for the first so many requests.
    Flaky(usize),
}

struct State {
    behaviour: Mutex<Behaviour>,
    asked: AtomicUsize,
    epoch: Mutex<(CommitteeManifest, Vec<KeyShare>)>,
    identity: ed25519_dalek::SigningKey,
    other_identity: ed25519_dalek::SigningKey,
    index: ParticipantIndex,
}

pub struct FakeNode {
    pub name: String,
    pub identity: Identity,
    pub address: SocketAddr,
    client: [u8; 32],
    state: Arc<State>,
    server: Option<Server>,
}

impl FakeNode {
    pub async fn start(committee: &TestCommittee, place: usize, client: [u8; 32]) -> Self {
        let member = &committee.manifest().members()[place];
        let signing = committee.identities[place].clone();
        let identity = Identity::from_seed(member.name.as_str(), signing.as_bytes()).unwrap();
        let shares = shares(committee, committee.manifest());
        let state = Arc::new(State {
            behaviour: Mutex::new(Behaviour::Honest),
            asked: AtomicUsize::new(0),
            epoch: Mutex::new((committee.manifest().clone(), shares)),
            identity: signing,
            other_identity: committee.identities[(place + 1) % committee.identities.len()].clone(),
            index: member.index,
        });
        let mut node = Self {
            name: member.name.to_string(),
            identity,
            address: service::ports::free(1).unwrap()[0],
            client,
            state,
            server: None,
        };
        node.restart().await;
        node
    }

    pub async fn restart(&mut self) {
        let service = CustodyServiceServer::new(Service(Arc::clone(&self.state)));
        let routes = Routes::new(service);
        let (server, address) = Server::start(self.address, &self.identity, self.client, routes).await;
        (self.server, self.address) = (Some(server), address);
    }

    pub async fn kill(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap() = behaviour;
    }

    pub fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// Moves on to another manifest over the same shares.
    pub fn adopt(&self, committee: &TestCommittee, signed: &SignedManifest) {
        let shares = shares(committee, &signed.manifest);
        *self.state.epoch.lock().unwrap() = (signed.manifest.clone(), shares);
    }
}

/// Every seat's share, bound to a manifest.
fn shares(committee: &TestCommittee, manifest: &CommitteeManifest) -> Vec<KeyShare> {
    let rebind = |share: &KeyShare| {
        let mut bytes = share.to_secret_bytes();
        // Version and suite, then the digest of the manifest.
        bytes[2..34].copy_from_slice(manifest.digest().as_bytes());
        KeyShare::from_secret_bytes(&bytes, manifest).unwrap()
    };
    committee.shares.iter().map(rebind).collect()
}

struct Service(Arc<State>);

impl State {
    fn answer(&self, request: &ReencryptRequest, behaviour: &Behaviour) -> Result<ReencryptResponse, Status> {
        let epoch = self.epoch.lock().unwrap();
        let (manifest, shares) = &*epoch;
        if request.manifest_digest != manifest.digest().as_bytes() {
            return Err(refusal("stale_manifest"));
        }
        let wrapped = WrappedKey::from_bytes(&request.wrapped_key).unwrap();
        let stated = approval::read_unverified(&request.certificates[0]).unwrap();
        let index = match behaviour {
            Behaviour::Copied => {
                ParticipantIndex::new(self.index.get() % manifest.threshold().n() + 1).unwrap()
            }
            _ => self.index,
        };
        let approve_id = match behaviour {
            Behaviour::LyingShare => ApproveId([9; 32]),
            _ => stated.approve_id,
        };
        let q = match behaviour {
            Behaviour::WrongReader => ReaderKey::generate(&mut OsRng).public(),
            _ => stated.q,
        };
        let context = Context::new(manifest, &wrapped, approve_id, &q).unwrap();
        let share = reencrypt(&shares[index.position()], &context, &mut OsRng).unwrap();
        let mut statement = ReleaseStatement {
            manifest_digest: manifest.digest(),
            index,
            approve_id: stated.approve_id,
            write_id: stated.write_id,
            q: stated.q,
            share_digest: share.digest(),
            repeat: *behaviour == Behaviour::Repeats,
            time_ms: now_ms(),
            journal_position: 1,
            journal_head: [7; 32],
            signature: Signature([0; 64]),
        };
        match behaviour {
            Behaviour::StatementOfAnother => statement.approve_id = ApproveId([9; 32]),
            Behaviour::StatementOfAnotherShare => statement.share_digest[0] ^= 1,
            _ => {}
        }
        let statement = match behaviour {
            Behaviour::ForgedStatement | Behaviour::Copied => statement.sign(&self.other_identity),
            _ => statement.sign(&self.identity),
        };
        Ok(answer(&share, &statement))
    }
}

fn answer(share: &ReencryptionShare, statement: &ReleaseStatement) -> ReencryptResponse {
    ReencryptResponse {
        share: share.to_bytes(),
        statement: statement.to_bytes(),
    }
}

fn refusal(code: &'static str) -> Status {
    let grpc = if code == "stale_manifest" {
        Code::FailedPrecondition
    } else {
        Code::PermissionDenied
    };
    let mut status = Status::new(grpc, format!("refused: {code}"));
    status
        .metadata_mut()
        .insert("refusal-code", MetadataValue::from_static(code));
    status
}

#[tonic::async_trait]
impl CustodyService for Service {
    async fn reencrypt(
        &self,
        request: Request<ReencryptRequest>,
    ) -> Result<Response<ReencryptResponse>, Status> {
        let before = self.0.asked.fetch_add(1, Ordering::SeqCst);
        let behaviour = self.0.behaviour.lock().unwrap().clone();
        match behaviour {
            Behaviour::Hung => std::future::pending().await,
            Behaviour::Late(ms) => {
                tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
                self.0.answer(request.get_ref(), &behaviour).map(Response::new)
            }
            Behaviour::Refuses(code) => Err(refusal(code)),
            Behaviour::Flaky(times) if before < times => Err(Status::unavailable("not yet")),
            Behaviour::Malformed => Ok(Response::new(ReencryptResponse {
                share: vec![1; 228],
                statement: vec![1; 277],
            })),
            other => self.0.answer(request.get_ref(), &other).map(Response::new),
        }
    }
}
