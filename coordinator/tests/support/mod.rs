//! A coordinator on real sockets between crypto nodes and endorsers that do as a test tells them.

#![allow(dead_code, unreachable_pub)]

mod endorser;
mod node;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use approval::{ApprovalConfig, ApprovalFields, Authority, OrganisationConfig};
use golden_record::{Body, Transaction};
use proto::coordinator::coordinator_service_client::CoordinatorServiceClient;
use proto::coordinator::{
    GetCoordinatorStatusRequest, GetCoordinatorStatusResponse, ReencryptRequest, ReencryptResponse,
};
use quorate_coordinator::{Config, Coordinator, EndorserConfig, LimitsConfig, NodeConfig};
use rand_core::OsRng;
use service::tls::{ChannelLimits, connect};
use service::{Identity, Passphrase};
use tempfile::TempDir;
use threshold::committee::CommitteeManifest;
use threshold::encoding::Canonical;
use threshold::ids::{ApproveId, BlockHash, ChainId};
use threshold::name::Name;
use threshold::reencrypt::{
    Context, ReaderKey, Reencryption, ReencryptionShare, combine, open, verify_share,
};
use threshold::secret::DataKey;
use threshold::statement::ReleaseStatement;
use threshold::testing::{TestCommittee, label};
use threshold::wrap::{WrappedKey, wrap};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::Channel;

pub use endorser::FakeEndorser;
pub use node::{Behaviour, FakeNode};

pub const T: u16 = 3;
pub const N: u16 = 5;
/// The chain that approvals are from.
const CHAIN: ChainId = ChainId([2; 32]);

/// The root certificate of the organisation that approves.
fn root() -> Vec<u8> {
    Authority::generate(&Name::new("north").unwrap(), &[1; 32], now_ms()).unwrap()
}

/// Waits until a condition holds; gives up after far longer than it can take.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), wait)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

/// On a slow machine too, nobody is asked because an answer is late, and no deadline comes: whom the coordinator asks, and
/// in what order, does not depend on how fast it goes.
pub fn unhurried() -> LimitsConfig {
    LimitsConfig {
        hedge_min_ms: 300_000,
        hedge_max_ms: 300_000,
        deadline_ms: 50_000,
        ..LimitsConfig::default()
    }
}

/// An answer is late after so many milliseconds.
pub fn late_after(ms: u64) -> LimitsConfig {
    LimitsConfig {
        hedge_min_ms: ms,
        hedge_max_ms: ms,
        ..unhurried()
    }
}

pub struct Cluster {
    pub committee: TestCommittee,
    pub nodes: Vec<FakeNode>,
    pub endorsers: Vec<FakeEndorser>,
    pub config: Config,
    running: Option<(oneshot::Sender<()>, JoinHandle<anyhow::Result<()>>)>,
    pub client: CoordinatorServiceClient<Channel>,
    address: SocketAddr,
    operations: SocketAddr,
    key: [u8; 32],
    directory: TempDir,
}

impl Cluster {
    pub async fn start() -> Self {
        Self::start_with(unhurried()).await
    }

    pub async fn start_with(limits: LimitsConfig) -> Self {
        Self::start_with_endorsers(limits, &["north", "south"]).await
    }

    pub async fn start_with_endorsers(limits: LimitsConfig, organisations: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let passphrase_file = directory.path().join("passphrase");
        service::files::write_atomically(
            &passphrase_file,
            b"correct horse\n",
            service::files::Secrecy::Secret,
        )
        .unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let passphrase = Passphrase::from_file(&passphrase_file).unwrap();
        let identity = Identity::create("coordinator", &passphrase, &data.join("identity")).unwrap();

        let committee = TestCommittee::generate(T, N, &mut OsRng).unwrap();
        let mut nodes = Vec::new();
        for index in 0..usize::from(N) {
            nodes.push(FakeNode::start(&committee, index, identity.public_key()).await);
        }
        let mut endorsers = Vec::new();
        for name in organisations {
            endorsers.push(FakeEndorser::start(name, &committee.signed, identity.public_key()).await);
        }
        let config = config(&nodes, &endorsers, data, passphrase_file, limits);
        let (running, client, address, operations) = run(config.clone()).await;
        let key = identity.public_key();
        let running = Some(running);
        Self {
            committee,
            nodes,
            endorsers,
            config,
            running,
            client,
            address,
            operations,
            key,
            directory,
        }
    }

    pub fn manifest(&self) -> &CommitteeManifest {
        self.committee.manifest()
    }

    /// Stops the coordinator, which drains.
    pub async fn stop(&mut self) {
        let (stop, running) = self.running.take().unwrap();
        stop.send(()).unwrap();
        running.await.unwrap().unwrap();
    }

    /// Starts the coordinator again on the same directory.
    pub async fn restart(&mut self) {
        let (running, client, address, operations) = run(self.config.clone()).await;
        (self.running, self.client) = (Some(running), client);
        (self.address, self.operations) = (address, operations);
    }

    /// A document, and an approval of one read of it.
    pub fn read(&self) -> ApprovedRead {
        let read = self.unapproved_read();
        for endorser in &self.endorsers {
            endorser.approve(&read);
        }
        read
    }

    /// The same, of which no endorser knows.
    pub fn unapproved_read(&self) -> ApprovedRead {
        ApprovedRead::new(self.manifest())
    }

    pub async fn reencrypt(&self, read: &ApprovedRead) -> Result<ReencryptResponse, Status> {
        self.client
            .clone()
            .reencrypt(read.request())
            .await
            .map(tonic::Response::into_inner)
    }

    pub async fn status(&self) -> GetCoordinatorStatusResponse {
        let request = GetCoordinatorStatusRequest {};
        self.client
            .clone()
            .get_coordinator_status(request)
            .await
            .unwrap()
            .into_inner()
    }

    /// What its operations port counts.
    pub async fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.operations).await.unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// A client with a key of its own.
    pub fn other_client(&self) -> CoordinatorServiceClient<Channel> {
        client(self.address, self.key)
    }

    /// Waits until the coordinator knows the committee.
    pub async fn ready(&self) {
        eventually("the committee is known", async || {
            !self.status().await.manifest.is_empty()
        })
        .await;
    }

    /// How often each node has been asked.
    pub fn asked(&self) -> Vec<usize> {
        self.nodes.iter().map(FakeNode::asked).collect()
    }

    pub fn behave(&self, indices: &[u16], behaviour: Behaviour) {
        for index in indices {
            self.nodes[usize::from(*index) - 1].behave(behaviour.clone());
        }
    }
}

fn config(
    nodes: &[FakeNode],
    endorsers: &[FakeEndorser],
    directory: PathBuf,
    passphrase_file: PathBuf,
    limits: LimitsConfig,
) -> Config {
    let any = "127.0.0.1:0".parse().unwrap();
    let nodes = nodes.iter().map(|node| NodeConfig {
        name: node.name.clone(),
        identity: hex::encode(node.identity.public_key()),
        address: node.address.to_string(),
    });
    let endorsers = endorsers.iter().map(|endorser| EndorserConfig {
        organisation: endorser.name.clone(),
        identity: hex::encode(endorser.identity.public_key()),
        address: endorser.address.to_string(),
    });
    let organisations = vec![OrganisationConfig {
        name: "north".into(),
        root: approval::pem::encode(&root()),
    }];
    Config {
        installation: "test".into(),
        approval: ApprovalConfig {
            chain_id: CHAIN.to_string(),
            version: 1,
            policy: "OUTOF(1, north)".into(),
            organisations,
        },
        listen: any,
        operations: any,
        directory,
        passphrase_file,
        identity_file: None,
        nodes: nodes.collect(),
        endorsers: endorsers.collect(),
        limits,
    }
}

type Running = (oneshot::Sender<()>, JoinHandle<anyhow::Result<()>>);

async fn run(config: Config) -> (Running, CoordinatorServiceClient<Channel>, SocketAddr, SocketAddr) {
    let coordinator = Coordinator::bind(config).await.unwrap();
    let (address, operations) = (coordinator.local_addr(), coordinator.operations_addr().unwrap());
    let client = client(address, coordinator.public_key());
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(coordinator.serve(async { drop(stopped.await) }));
    ((stop, running), client, address, operations)
}

fn client(address: SocketAddr, key: [u8; 32]) -> CoordinatorServiceClient<Channel> {
    let identity = Identity::ephemeral("platform").unwrap();
    let limits = ChannelLimits {
        connect_timeout_ms: 60_000,
        keepalive_timeout_ms: 60_000,
        ..ChannelLimits::default()
    };
    let channel = connect(&address.to_string(), key, &identity, &limits).unwrap();
    CoordinatorServiceClient::new(channel)
}

/// One read that has been approved, from the reader's side.
pub struct ApprovedRead {
    pub reader: ReaderKey,
    pub data_key: DataKey,
    pub wrapped: WrappedKey,
    pub transaction: Transaction,
    pub approve_id: ApproveId,
    pub certificate: Vec<u8>,
}

impl ApprovedRead {
    pub fn new(manifest: &CommitteeManifest) -> Self {
        let label = label("2026/loan-17", 1).unwrap();
        let data_key = DataKey::generate(&mut OsRng);
        let wrapped = wrap(manifest.custody_key(), &label, &data_key, &mut OsRng).unwrap();
        let reader = ReaderKey::generate(&mut OsRng);
        let now_ms = now_ms();
        let body = Body::RequestRead {
            tenant: label.tenant.clone(),
            dataset: label.dataset.clone(),
            document: label.document.clone(),
            version: label.version,
            user: Name::new("reader").unwrap(),
            q: reader.public(),
            purpose: "a test".into(),
        };
        let user = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
        let chain_id = endorser::genesis().chain_id();
        let transaction = Transaction::sign_read(chain_id, &user, &reader, [6; 16], now_ms + 60_000, body);
        let approve_id = transaction.tx_id();
        let mut read = Self {
            reader,
            data_key,
            wrapped,
            transaction,
            approve_id,
            certificate: Vec::new(),
        };
        read.certify_as(approve_id);
        read
    }

    /// Certifies this document and reader under an approval, whosever it is.
    pub fn certify_as(&mut self, approve_id: ApproveId) {
        let now_ms = now_ms();
        let fields = ApprovalFields {
            approve_id,
            write_id: self.wrapped.write_id(),
            q: self.reader.public(),
            key_id: self.wrapped.key_id(),
            label: self.wrapped.label().clone(),
            chain_id: CHAIN,
            height: 3,
            block_hash: BlockHash([4; 32]),
            policy_version: 1,
        };
        self.approve_id = approve_id;
        self.certificate = Authority::from_seed(&[1; 32], &root())
            .unwrap()
            .issue(&fields, now_ms, 60)
            .unwrap();
    }

    pub fn request(&self) -> ReencryptRequest {
        ReencryptRequest {
            wrapped_key: self.wrapped.to_bytes(),
            certificates: vec![self.certificate.clone()],
            manifest_digest: Vec::new(),
        }
    }

    pub fn context<'a>(&self, manifest: &'a CommitteeManifest) -> Context<'a> {
        Context::new(manifest, &self.wrapped, self.approve_id, &self.reader.public()).unwrap()
    }

    /// Checks an answer as a distrustful client does, and opens it.
    pub fn open(&self, manifest: &CommitteeManifest, response: &ReencryptResponse) {
        assert_eq!(response.manifest_digest, manifest.digest().as_bytes());
        let context = self.context(manifest);
        let mut verified = Vec::new();
        for (share, statement) in response.shares.iter().zip(&response.statements) {
            let share = ReencryptionShare::from_bytes(share).unwrap();
            let statement = ReleaseStatement::from_bytes(statement).unwrap();
            assert_eq!(statement.share_digest, share.digest());
            statement
                .verify(&manifest.member(share.index()).unwrap().identity)
                .unwrap();
            verified.push(verify_share(&context, &share).unwrap());
        }
        assert_eq!(response.statements.len(), response.shares.len());
        let combined = combine(&context, &verified).unwrap();
        assert_eq!(Reencryption::from_bytes(&response.combined).unwrap(), combined);
        let opened = open(&self.reader, &combined, &self.wrapped).unwrap();
        assert_eq!(opened.expose(), self.data_key.expose());
    }
}

pub fn now_ms() -> u64 {
    let elapsed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    u64::try_from(elapsed.as_millis()).unwrap()
}

/// A server of the tests' own, on a port that it keeps over restarts.
pub struct Server {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    /// Serves at `address`, and says where that is.
    pub async fn start(
        address: std::net::SocketAddr,
        identity: &Identity,
        client: [u8; 32],
        routes: tonic::service::Routes,
    ) -> (Self, std::net::SocketAddr) {
        let policy = service::ClientPolicy::Pinned([client].into());
        let listener = service::Listener::bind(address, identity, policy, &Default::default())
            .await
            .unwrap();
        let address = listener.local_addr();
        let (stop, stopped) = oneshot::channel();
        let limits = service::server::HttpLimits {
            drain_ms: 0,
            ..Default::default()
        };
        let running = tokio::spawn(async move {
            let stop = async { drop(stopped.await) };
            service::server::serve(routes, listener, &limits, stop)
                .await
                .unwrap();
        });
        (Self { stop, running }, address)
    }

    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.running.await.unwrap();
    }
}
