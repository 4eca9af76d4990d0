use super::world::{CHAIN, certificates, label, roots, seed, wrapped};
use crate::config::{Config, LimitsConfig, MemberConfig, SealsConfig};
use crate::node::{Seams, run_with};
use approval::{ApprovalConfig, OrganisationConfig};
use proto::custody::custody_service_client::CustodyServiceClient;
use proto::custody::operator_service_client::OperatorServiceClient;
use proto::custody::{
    CeremonyKind, CeremonyPhase, GetNodeStatusRequest, GetNodeStatusResponse, JoinCeremonyRequest,
    ProposeCeremonyRequest, ReencryptRequest,
};
use rand_core::OsRng;
use service::tls::ChannelLimits;
use service::{Identity, Passphrase};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;
use threshold::ids::ApproveId;
use threshold::reencrypt::{Context, ReaderKey, ReencryptionShare, combine, open, verify_share};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::transport::Channel;

mod crashes;
mod deliveries;
mod lifecycle;
mod restarts;
mod sealed;

const LIMIT: Duration = Duration::from_secs(120);

struct Running {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<anyhow::Result<()>>,
}

struct Cluster {
    folder: tempfile::TempDir,
    configs: Vec<Config>,
    identities: Vec<Identity>,
    running: Vec<Option<Running>>,
    operator: Identity,
    coordinator: Identity,
    seams: Seams,
    /// What the operators were told of the key, by another way.
    key_id: Vec<u8>,
}

fn write_passphrase(path: &Path) {
    service::files::write_atomically(path, b"a passphrase\n", service::files::Secrecy::Secret).unwrap();
}

impl Cluster {
    async fn start(n: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let passphrase_file = folder.path().join("passphrase");
        write_passphrase(&passphrase_file);
        let passphrase = Passphrase::from_file(&passphrase_file).unwrap();
        let addresses = service::ports::free(2 * n).unwrap();
        let operator = Identity::from_seed("operator", &[201; 32]).unwrap();
        let coordinator = Identity::from_seed("coordinator", &[202; 32]).unwrap();
        let mut identities = Vec::new();
        for number in 1..=n {
            let directory = folder.path().join(format!("node-{number}"));
            std::fs::create_dir(&directory).unwrap();
            let name = format!("node-{number}");
            identities.push(Identity::create(&name, &passphrase, &directory.join("identity")).unwrap());
        }
        let members: Vec<MemberConfig> = identities
            .iter()
            .zip(&addresses)
            .map(|(identity, address)| MemberConfig {
                name: identity.name().to_owned(),
                identity: hex::encode(identity.public_key()),
                address: address.to_string(),
            })
            .collect();
        let clock = Seams::default().clock;
        let organisation = |(name, der): (&str, Vec<u8>)| OrganisationConfig {
            name: name.to_owned(),
            root: approval::pem::encode(&der),
        };
        let configs = (0..n)
            .map(|place| Config {
                name: members[place].name.clone(),
                installation: "test".into(),
                listen: addresses[place],
                operations: addresses[n + place],
                directory: folder.path().join(&members[place].name),
                passphrase_file: Some(passphrase_file.clone()),
                seal: SealsConfig::default(),
                identity_file: None,
                members: members.clone(),
                coordinators: vec![hex::encode(coordinator.public_key())],
                operators: vec![hex::encode(operator.public_key())],
                approval: ApprovalConfig {
                    chain_id: CHAIN.to_string(),
                    version: 1,
                    policy: "OUTOF(2, north, south, east)".into(),
                    organisations: roots(super::world::NOW_MS)
                        .into_iter()
                        .map(organisation)
                        .collect(),
                },
                journal: crate::config::JournalConfig::default(),
                limits: LimitsConfig::default(),
            })
            .collect();
        // The organisations' roots begin at the worlds' time, which is where these nodes live too.
        let start = clock();
        let seams = Seams {
            clock: Arc::new(move || super::world::NOW_MS + clock().saturating_sub(start)),
            ..Seams::default()
        };
        let running = (0..n).map(|_| None).collect();
        let mut cluster = Self {
            folder,
            configs,
            identities,
            running,
            operator,
            coordinator,
            seams,
            key_id: Vec::new(),
        };
        for node in 1..=n {
            cluster.start_node(node).await;
        }
        cluster
    }

    async fn start_node(&mut self, node: usize) {
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            let _ = stopped.await;
        };
        let ended = tokio::spawn(run_with(
            self.configs[node - 1].clone(),
            stopped,
            self.seams.clone(),
        ));
        self.running[node - 1] = Some(Running { stop, ended });
        self.until(node, |_| true).await;
    }

    async fn stop_node(&mut self, node: usize) {
        let Running { stop, ended } = self.running[node - 1].take().unwrap();
        stop.send(()).unwrap();
        ended.await.unwrap().unwrap();
        self.until_free(node).await;
    }

    /// A node's last tasks let go of its files a moment after it has ended.
    async fn until_free(&self, node: usize) {
        for file in ["ceremonies.redb", "journal"] {
            let path = self.configs[node - 1].directory.join(file);
            let free = async {
                while std::fs::File::open(&path).is_ok_and(|file| file.try_lock().is_err()) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(LIMIT, free).await.unwrap();
        }
    }

    /// The time that the nodes live in.
    fn now_ms(&self) -> u64 {
        (self.seams.clock)()
    }

    fn channel(&self, node: usize, who: &Identity) -> Channel {
        let address = self.configs[node - 1].listen.to_string();
        let key = self.identities[node - 1].public_key();
        let limits = ChannelLimits {
            connect_timeout_ms: 60_000,
            keepalive_timeout_ms: 60_000,
            ..ChannelLimits::default()
        };
        service::connect(&address, key, who, &limits).unwrap()
    }

    fn operator(&self, node: usize) -> OperatorServiceClient<Channel> {
        OperatorServiceClient::new(self.channel(node, &self.operator))
    }

    /// Asks a node for its status until it answers and the condition holds.
    async fn until(
        &mut self,
        node: usize,
        holds: impl Fn(&GetNodeStatusResponse) -> bool,
    ) -> GetNodeStatusResponse {
        let mut operator = self.operator(node);
        let wait = async {
            loop {
                if let Ok(status) = operator.get_node_status(GetNodeStatusRequest {}).await
                    && holds(status.get_ref())
                {
                    return status.into_inner();
                }
                if let Some(running) = &mut self.running[node - 1]
                    && running.ended.is_finished()
                {
                    panic!("node {node} ended: {:?}", (&mut running.ended).await);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, wait)
            .await
            .unwrap_or_else(|_| panic!("node {node} does not get there"))
    }

    async fn propose(&mut self, node: usize, threshold: u32) -> Vec<u8> {
        let request = ProposeCeremonyRequest {
            kind: CeremonyKind::KeyGeneration.into(),
            threshold,
            ..ProposeCeremonyRequest::default()
        };
        self.wish(node, request).await
    }

    async fn wish(&mut self, node: usize, request: ProposeCeremonyRequest) -> Vec<u8> {
        self.operator(node)
            .propose_ceremony(request)
            .await
            .unwrap()
            .into_inner()
            .ceremony_id
    }

    async fn join(&mut self, node: usize, id: &[u8]) {
        self.until(node, |status| {
            status
                .ceremony
                .as_ref()
                .is_some_and(|ceremony| ceremony.ceremony_id == id)
        })
        .await;
        let request = JoinCeremonyRequest {
            ceremony_id: id.to_vec(),
            key_id: self.key_id.clone(),
        };
        self.operator(node).join_ceremony(request).await.unwrap();
    }

    async fn generate(&mut self, node: usize, threshold: u32) -> SignedManifest {
        let id = self.propose(node, threshold).await;
        for member in 1..=self.configs.len() {
            self.join(member, &id).await;
        }
        let mut manifests = Vec::new();
        for member in 1..=self.configs.len() {
            manifests.push(
                self.until(member, |status| !status.manifest.is_empty())
                    .await
                    .manifest,
            );
        }
        assert!(manifests.windows(2).all(|pair| pair[0] == pair[1]));
        let signed = SignedManifest::from_bytes(&manifests[0]).unwrap();
        self.key_id = signed.manifest.key_id().to_bytes();
        signed
    }

    async fn end(mut self) {
        for node in 1..=self.configs.len() {
            if self.running[node - 1].is_some() {
                self.stop_node(node).await;
            }
        }
    }
}

fn phase(status: &GetNodeStatusResponse) -> CeremonyPhase {
    status
        .ceremony
        .as_ref()
        .map_or(CeremonyPhase::Unspecified, |ceremony| ceremony.phase())
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_files(&path))
        } else {
            found.push(path)
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_nodes_make_a_key_use_it_and_keep_it() {
    let mut cluster = Cluster::start(5).await;
    let signed = cluster.generate(2, 3).await;
    let manifest = &signed.manifest;
    assert_eq!((manifest.threshold().t(), manifest.threshold().n()), (3, 5));
    assert_eq!(phase(&cluster.until(5, |_| true).await), CeremonyPhase::Done);

    // A restart of all keeps the key.
    for node in 1..=5 {
        cluster.stop_node(node).await;
        cluster.start_node(node).await;
        cluster
            .until(node, |status| status.manifest == signed.to_bytes())
            .await;
    }

    let (wrapped, reader) = (
        wrapped(manifest.custody_key(), "a"),
        ReaderKey::generate(&mut OsRng),
    );
    assert_eq!(wrapped.label(), &label("a"));
    let request = ReencryptRequest {
        wrapped_key: wrapped.to_bytes(),
        certificates: certificates(&wrapped, &reader, 1, cluster.now_ms()),
        manifest_digest: manifest.digest().as_bytes().to_vec(),
    };
    let context = Context::new(manifest, &wrapped, ApproveId([1; 32]), &reader.public()).unwrap();
    let mut shares = Vec::new();
    for node in [1, 3, 5] {
        let mut custody = CustodyServiceClient::new(cluster.channel(node, &cluster.coordinator));
        let answer = custody.reencrypt(request.clone()).await.unwrap().into_inner();
        let share = ReencryptionShare::from_bytes(&answer.share).unwrap();
        shares.push(verify_share(&context, &share).unwrap());
    }
    let opened = open(&reader, &combine(&context, &shares).unwrap(), &wrapped).unwrap();
    assert_eq!(opened.expose(), &[9; 32]);

    // A13, F3: each kind of peer has its own service, and strangers none.
    let operator = cluster.channel(1, &cluster.operator);
    let refused = CustodyServiceClient::new(operator)
        .reencrypt(request.clone())
        .await
        .unwrap_err();
    assert_eq!(
        (
            refused.code(),
            refused.message().starts_with("refused: wrong_role")
        ),
        (Code::PermissionDenied, true)
    );
    let coordinator = cluster.channel(1, &cluster.coordinator);
    let refused = OperatorServiceClient::new(coordinator)
        .get_node_status(GetNodeStatusRequest {})
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let stranger = cluster.channel(1, &Identity::from_seed("stranger", &seed(9)).unwrap());
    assert!(
        CustodyServiceClient::new(stranger)
            .reencrypt(request)
            .await
            .is_err()
    );

    // P15: no share is in any file.
    let node = cluster.identities[0].public_key();
    let passphrase = Passphrase::from_file(&cluster.folder.path().join("passphrase")).unwrap();
    let shares = cluster.configs[0].directory.join("shares");
    let files = crate::share::ShareFiles::new(shares, Arc::new(passphrase), node);
    let ceremony = cluster.until(1, |_| true).await.ceremony.unwrap().ceremony_id;
    let id = threshold::ids::CeremonyId::from_bytes(&ceremony).unwrap();
    let member = manifest.members()[0].identity;
    let secret = files.load(id, manifest, &member).unwrap().to_secret_bytes();
    let scalar = secret[secret.len() - 32..].to_vec();
    for file in all_files(cluster.folder.path()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(
            !bytes.windows(32).any(|window| window == scalar),
            "{} holds the share",
            file.display()
        );
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_a_node_that_is_restarted_in_the_middle_leaves_all_or_nothing() {
    let mut cluster = Cluster::start(3).await;
    let id = cluster.propose(1, 2).await;
    cluster.join(2, &id).await;
    // Node 2 has consented and is gone before node 3 has.
    cluster.stop_node(2).await;
    cluster.join(3, &id).await;
    cluster.start_node(2).await;
    for node in 1..=3 {
        let status = cluster
            .until(node, |status| phase(status) == CeremonyPhase::Aborted)
            .await;
        assert!(status.manifest.is_empty());
        let reason = status.ceremony.unwrap().reason;
        assert!(reason.contains("restarted"), "{reason}");
    }
    cluster.generate(3, 2).await;
    cluster.end().await;
}
