//! One cluster that the tests of this program share, one test at a time, and all its people.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Client, ReadReport, ReadRequest, WriteReport, WriteRequest};
use crypto_node::journal::{Entry, Event, Release};
use crypto_node::refusal::REFUSAL_CODE;
use futures::future::join_all;
use golden_record::{Body, Transaction};
use proto::custody::custody_service_client::CustodyServiceClient;
use proto::custody::operator_service_client::OperatorServiceClient;
use proto::custody::{GetNodeStatusRequest, GetNodeStatusResponse, ReencryptRequest, ReencryptResponse};
use proto::ledger::ledger_service_client::LedgerServiceClient;
use proto::ledger::{RequestReadRequest, RequestReadResponse};
use quorate::cluster::{self, COORDINATOR, Cluster};
use rand_core::{OsRng, RngCore};
use service::identity::Identity;
use service::seal::Passphrase;
use service::tls::ChannelLimits;
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;
use threshold::ids::WriteId;
use threshold::name::Name;
use threshold::reencrypt::ReaderKey;
use threshold::signature::PublicKey;
use threshold::wrap::WrappedKey;
use tokio::sync::{Mutex, MutexGuard};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// The only tenant.
pub(crate) const TENANT: &str = "acme";
/// Its only dataset: alice owns, writes and reads it, bob reads it, mallory may do nothing.
pub(crate) const DATASET: &str = "trials";
/// Between two looks at a condition.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);
/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

static SHARED: Mutex<Option<World>> = Mutex::const_new(None);

/// The shared cluster, for the caller alone.
pub(crate) struct Turn(MutexGuard<'static, Option<World>>);

impl std::ops::Deref for Turn {
    type Target = World;
    fn deref(&self) -> &World {
        self.0.as_ref().unwrap()
    }
}

impl std::ops::DerefMut for Turn {
    fn deref_mut(&mut self) -> &mut World {
        self.0.as_mut().unwrap()
    }
}

/// Waits for a turn with the shared cluster, which runs, all of it, when this returns.
pub(crate) async fn world() -> Turn {
    let mut turn = SHARED.lock().await;
    match turn.as_mut() {
        Some(world) => world.heal().await,
        None => *turn = Some(World::new("shared").await),
    }
    Turn(turn)
}

/// A cluster and its people.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) alice: Arc<Identity>,
    pub(crate) bob: Arc<Identity>,
    pub(crate) mallory: Arc<Identity>,
    pub(crate) coordinator: Arc<Identity>,
    operators: BTreeMap<String, Arc<Identity>>,
}

/// A read request, and the key that it is for.
pub(crate) struct Asked {
    pub(crate) transaction: Transaction,
    pub(crate) reader: ReaderKey,
}

/// What the organisations gave for a read.
pub(crate) struct Approved {
    pub(crate) certificates: Vec<Vec<u8>>,
    pub(crate) wrapped: WrappedKey,
}

impl World {
    /// A cluster in a directory of its own, with a tenant, its users and a dataset.
    pub(crate) async fn new(name: &str) -> Self {
        let directory = directory(name);
        let cluster = Cluster::start_with(program(), &directory, &|_| ()).await.unwrap();
        let world = Self::of(cluster);
        world.found().await;
        world
    }

    fn of(cluster: Cluster) -> Self {
        let coordinator = load(
            &cluster.paths().identity(COORDINATOR),
            &cluster.paths().passphrase(COORDINATOR),
        );
        let operators = cluster.layout().nodes.iter().map(|seat| {
            let operator = cluster.operator(&seat.name).unwrap();
            (seat.name.clone(), operator)
        });
        let operators = operators.collect();
        let person = |name: &str| Arc::new(Identity::ephemeral(name).unwrap());
        let (alice, bob, mallory) = (person("alice"), person("bob"), person("mallory"));
        Self {
            cluster,
            alice,
            bob,
            mallory,
            coordinator: Arc::new(coordinator),
            operators,
        }
    }

    /// Makes the tenant, its users and the dataset.
    pub(crate) async fn found(&self) {
        let tenant_admin = Arc::new(Identity::ephemeral("admin").unwrap());
        let organisation = self.client(&self.cluster.admin("north").unwrap()).await;
        organisation
            .create_tenant(name(TENANT), public(&tenant_admin))
            .await
            .unwrap();
        let admin = self.client(&tenant_admin).await;
        for (user, identity) in [
            ("alice", &self.alice),
            ("bob", &self.bob),
            ("mallory", &self.mallory),
        ] {
            admin
                .create_user(name(TENANT), name(user), public(identity))
                .await
                .unwrap();
        }
        let set = |users: &[&str]| users.iter().map(|user| name(user)).collect::<BTreeSet<_>>();
        admin
            .create_dataset(
                name(TENANT),
                name(DATASET),
                set(&["alice"]),
                set(&["alice"]),
                set(&["alice", "bob"]),
            )
            .await
            .unwrap();
    }

    /// Starts what does not run, and wakes what a failed test may have left asleep.
    pub(crate) async fn heal(&mut self) {
        for name in self.names() {
            if self.cluster.running().any(|running| running == name) {
                signal(self.cluster.pid(&name).unwrap(), "CONT");
            }
        }
        while self.cluster.ended().is_some() {}
        self.cluster.start_all(&|_| ()).await.unwrap();
        self.cluster.ensure_key(&|_| ()).await.unwrap();
    }

    /// The names of all daemons.
    pub(crate) fn names(&self) -> Vec<String> {
        let seats = self.cluster.layout().seats();
        seats.map(|(_, seat)| seat.name.clone()).collect()
    }

    /// The names of the crypto nodes, in the order of their seats.
    pub(crate) fn nodes(&self) -> Vec<String> {
        let nodes = self.cluster.layout().nodes.iter();
        nodes.map(|seat| seat.name.clone()).collect()
    }

    pub(crate) async fn client(&self, identity: &Arc<Identity>) -> Client {
        self.cluster.client(Arc::clone(identity)).await.unwrap()
    }

    /// Puts a process to sleep until the result is dropped.
    pub(crate) fn hang(&self, name: &str) -> Hung {
        let pid = self.cluster.pid(name).unwrap();
        signal(pid, "STOP");
        Hung(pid)
    }

    /// Writes a document as alice.
    pub(crate) async fn write(&self, document: &str, content: &[u8]) -> WriteReport {
        write(&self.client(&self.alice).await, document, content)
            .await
            .unwrap()
    }

    /// A read request that is on its way to nobody yet.
    pub(crate) fn ask(&self, who: &Identity, user: &str, document: &str, lifetime: Duration) -> Asked {
        let reader = ReaderKey::generate(&mut OsRng);
        let body = Body::RequestRead {
            tenant: name(TENANT),
            dataset: name(DATASET),
            document: document.parse().unwrap(),
            version: 1,
            user: name(user),
            q: reader.public(),
            purpose: "a test".into(),
        };
        let mut nonce = [0; 16];
        OsRng.fill_bytes(&mut nonce);
        let expires_ms = now_ms() + u64::try_from(lifetime.as_millis()).unwrap();
        let chain_id = self.cluster.profile().chain_id.parse().unwrap();
        let transaction =
            Transaction::sign_read(chain_id, who.signing_key(), &reader, nonce, expires_ms, body);
        Asked { transaction, reader }
    }

    /// Submits a read request to every endorser, itself, without the SDK.
    pub(crate) async fn submit(
        &self,
        who: &Identity,
        asked: &Asked,
    ) -> Vec<Result<RequestReadResponse, Status>> {
        let profile = self.cluster.profile();
        let message = RequestReadRequest {
            transaction: asked.transaction.to_bytes(),
        };
        // No longer than until it has expired for every clock.
        let left = asked.transaction.expires_ms.saturating_sub(now_ms()) + 1_000;
        join_all(profile.endorsers.iter().map(|endorser| {
            let channel = connect(&endorser.address, &endorser.identity, who);
            let mut message = tonic::Request::new(message.clone());
            message.set_timeout(Duration::from_millis(left));
            async move {
                let answer = LedgerServiceClient::new(channel).request_read(message).await;
                answer.map(tonic::Response::into_inner)
            }
        }))
        .await
    }

    /// An approved read of alice's: what the organisations gave, and what nobody has used yet.
    pub(crate) async fn approved(&self, document: &str) -> Approved {
        let asked = self.ask(&self.alice, "alice", document, Duration::from_secs(30));
        self.approvals(&asked).await
    }

    /// The approvals of a read request of alice's.
    pub(crate) async fn approvals(&self, asked: &Asked) -> Approved {
        let answers = self.submit(&self.alice, asked).await;
        let approvals: Vec<_> = answers
            .into_iter()
            .map(|answer| answer.unwrap().approval.unwrap())
            .collect();
        let document: golden_record::DocumentVersion =
            proto::field::parse("document", &approvals[0].document).unwrap();
        Approved {
            certificates: approvals
                .into_iter()
                .map(|approval| approval.certificate)
                .collect(),
            wrapped: document.wrapped_key.unwrap(),
        }
    }

    /// The request that the coordinator makes of it.
    pub(crate) async fn request(&self, certificates: &[Vec<u8>], wrapped: &WrappedKey) -> ReencryptRequest {
        ReencryptRequest {
            wrapped_key: wrapped.to_bytes(),
            certificates: certificates.to_vec(),
            manifest_digest: self.manifest().await.manifest.digest().as_bytes().to_vec(),
        }
    }

    /// The committee, as the first crypto node has it.
    pub(crate) async fn manifest(&self) -> SignedManifest {
        let status = self.node_status(&self.nodes()[0]).await;
        SignedManifest::from_bytes(&status.manifest).unwrap()
    }

    /// What the operator of a crypto node says to it.
    pub(crate) fn operator(&self, node: &str) -> OperatorServiceClient<Channel> {
        OperatorServiceClient::new(self.channel_to_node(node, &self.operators[node]))
    }

    pub(crate) async fn node_status(&self, node: &str) -> GetNodeStatusResponse {
        let mut rpc = self.operator(node);
        let answer = rpc.get_node_status(GetNodeStatusRequest {}).await;
        answer.unwrap().into_inner()
    }

    /// Asks one crypto node for its share as `who`.
    pub(crate) async fn share_as(
        &self,
        who: &Identity,
        node: &str,
        request: &ReencryptRequest,
    ) -> Result<ReencryptResponse, Status> {
        let mut rpc = CustodyServiceClient::new(self.channel_to_node(node, who));
        let answer = rpc.reencrypt(request.clone()).await;
        answer.map(tonic::Response::into_inner)
    }

    /// Asks one crypto node for its share as the coordinator.
    pub(crate) async fn share(
        &self,
        node: &str,
        request: &ReencryptRequest,
    ) -> Result<ReencryptResponse, Status> {
        self.share_as(&self.coordinator, node, request).await
    }

    /// Every crypto node refuses the request with this code, and uses its share for nothing.
    pub(crate) async fn all_refuse(&self, request: &ReencryptRequest, code: &str) {
        let write_id = WrappedKey::from_bytes(&request.wrapped_key).unwrap().write_id();
        let before = self.releases_of(write_id);
        for node in self.nodes() {
            let status = self.share(&node, request).await.unwrap_err();
            assert_eq!(refusal(&status), code, "{node}: {status}");
        }
        assert_eq!(self.releases_of(write_id), before, "refused and released");
    }

    /// Every use of its share in a node's journal.
    pub(crate) fn releases(&self, node: &str) -> Vec<Release> {
        let entries = self.journal(node).into_iter();
        entries
            .filter_map(|entry| match entry.event {
                Event::Release(release) => Some(release),
                _ => None,
            })
            .collect()
    }

    /// The same of all nodes.
    pub(crate) fn all_releases(&self) -> Vec<Vec<Release>> {
        self.nodes().iter().map(|node| self.releases(node)).collect()
    }

    /// Of all nodes, those of one document: a node that was asleep, or dead, may have an earlier test's read still to do.
    pub(crate) fn releases_of(&self, write_id: WriteId) -> Vec<Vec<Release>> {
        let mut all = self.all_releases();
        all.iter_mut()
            .for_each(|releases| releases.retain(|release| release.write_id == write_id));
        all
    }

    /// A node's journal as it stands on the disk, read by its documented form.
    pub(crate) fn journal(&self, node: &str) -> Vec<Entry> {
        let bytes = fs::read(self.cluster.paths().data(node).join("journal")).unwrap();
        assert!(bytes.starts_with(b"quorate-journal1"));
        let mut rest = &bytes[16 + 32..];
        let mut entries = Vec::new();
        // The end may be half written by a node that was killed, or that is writing now.
        while let Some(head) = rest.get(..8) {
            let length = usize::try_from(u32::from_be_bytes(head[..4].try_into().unwrap())).unwrap();
            let Some(entry) = rest.get(8..8 + length).filter(|_| rest.len() >= 8 + length + 32) else {
                break;
            };
            entries.push(Entry::from_bytes(entry).unwrap());
            rest = &rest[8 + length + 32..];
        }
        entries
    }

    fn channel_to_node(&self, node: &str, who: &Identity) -> Channel {
        let nodes = &self.cluster.profile().nodes;
        let found = nodes.iter().find(|profile| profile.name == node).unwrap();
        connect(&found.address, &found.identity, who)
    }
}

/// A process that sleeps until this is dropped.
pub(crate) struct Hung(u32);

impl Drop for Hung {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

pub(crate) fn signal(pid: u32, signal: &str) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {pid}")])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Waits until the condition holds.
pub(crate) async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited too long until {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// The code that a daemon gives with a refusal.
pub(crate) fn refusal(status: &Status) -> String {
    let code = status.metadata().get(REFUSAL_CODE);
    code.map(|code| code.to_str().unwrap().to_owned())
        .unwrap_or_default()
}

/// The connection was not let in.
pub(crate) fn is_turned_away(status: &Status) -> bool {
    let gone = matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled);
    gone && refusal(status).is_empty()
}

pub(crate) async fn write(
    client: &Client,
    document: &str,
    content: &[u8],
) -> Result<WriteReport, client::Error> {
    let request = WriteRequest {
        tenant: name(TENANT),
        dataset: name(DATASET),
        document: document.parse().unwrap(),
        name: "file".into(),
        content_type: "text/plain".into(),
    };
    client.write(&request, &mut &*content).await
}

pub(crate) async fn read(
    client: &Client,
    user: &str,
    document: &str,
) -> Result<(Vec<u8>, ReadReport), client::Error> {
    let request = ReadRequest {
        tenant: name(TENANT),
        dataset: name(DATASET),
        document: document.parse().unwrap(),
        version: None,
        user: name(user),
        purpose: "a test".into(),
    };
    client.read(&request).await?.into_vec()
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn public(identity: &Identity) -> PublicKey {
    PublicKey::of(identity.signing_key())
}

pub(crate) fn load(identity: &Path, passphrase: &Path) -> Identity {
    Identity::load(identity, &Passphrase::from_file(passphrase).unwrap()).unwrap()
}

pub(crate) fn now_ms() -> u64 {
    let elapsed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    u64::try_from(elapsed.as_millis()).unwrap()
}

pub(crate) fn connect(address: &str, key: &str, who: &Identity) -> Channel {
    let mut pinned = [0; 32];
    hex::decode_to_slice(key, &mut pinned).unwrap();
    let limits = ChannelLimits {
        connect_timeout_ms: 60_000,
        keepalive_timeout_ms: 60_000,
        ..ChannelLimits::default()
    };
    service::connect(address, pinned, who, &limits).unwrap()
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_quorate-under-test"))
}

/// A place for a cluster below Cargo's directory for tests. A cluster that is shared until the end of the program
/// cannot be deleted at its end: the next run deletes what finished programs have left.
fn directory(name: &str) -> PathBuf {
    let clusters = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clusters");
    fs::create_dir_all(&clusters).unwrap();
    for entry in fs::read_dir(&clusters).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let owner = name.split('-').next().unwrap().to_owned();
        // Two programs may clean up at once, so what is gone already is no failure.
        if !Path::new("/proc").join(owner).exists() && cluster::remove(&path).is_ok() {
            let _ = fs::remove_dir_all(&path);
        }
    }
    clusters.join(format!("{}-{name}", std::process::id()))
}
