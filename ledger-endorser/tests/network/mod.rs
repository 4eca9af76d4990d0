//! The four endorsers, their folders, and clients for them.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use approval::{TrustBundle, TrustedOrganisation};
use ed25519_dalek::SigningKey;
use golden_record::{Body, Change, Entry, Organisation, Outcome, Transaction};
use proto::ledger::{
    GetStatusRequest, GetStatusResponse, LogEntry, RequestReadRequest, RequestReadResponse, SubmitRequest,
    ledger_service_client::LedgerServiceClient,
};
use quorate_ledger_endorser::{
    self as ledger_endorser, Config, Limits,
    setup::{PublicParts, create_keys},
};
use service::{Identity, Passphrase, connect, tls::ChannelLimits};
use tempfile::TempDir;
use threshold::{encoding::Canonical, signature::PublicKey};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use tonic::{Status, transport::Channel};

use crate::common::{ORGANISATIONS, World, key, name};

/// The longest that anything is waited for, on however slow a machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub type Client = LedgerServiceClient<Channel>;

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

pub struct Network {
    pub world: World,
    folder: TempDir,
    folders: Vec<PathBuf>,
    parts: Vec<PublicParts>,
    ports: Vec<[SocketAddr; 3]>,
    limits: Limits,
    running: Vec<Option<Running>>,
}

/// The code beside a status.
pub fn code(status: &Status) -> String {
    let code = status.metadata().get(ledger_endorser::status::REFUSAL_CODE);
    code.map(|code| code.to_str().unwrap().to_owned())
        .unwrap_or_default()
}

fn free_ports(count: usize) -> Vec<[SocketAddr; 3]> {
    let addresses = service::ports::free(3 * count).unwrap();
    addresses
        .chunks_exact(3)
        .map(|chunk| chunk.try_into().unwrap())
        .collect()
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl Network {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let passphrase_file = folder.path().join("passphrase");
        service::files::write_atomically(&passphrase_file, b"for tests\n", service::files::Secrecy::Secret)
            .unwrap();
        let passphrase = Passphrase::from_file(&passphrase_file).unwrap();
        let now_ms = now_ms();
        let folders: Vec<_> = ORGANISATIONS.map(|name| folder.path().join(name)).into();
        let parts: Vec<_> = ORGANISATIONS
            .iter()
            .zip(&folders)
            .map(|(organisation, of)| {
                create_keys(
                    &of.join("keys"),
                    &of.join("state"),
                    &name(organisation),
                    &passphrase,
                    now_ms,
                )
                .unwrap()
            })
            .collect();
        let organisations = parts.iter().map(|parts| {
            (
                PublicKey::from_bytes(&parts.validator).unwrap(),
                parts.ca_certificate.clone(),
            )
        });
        let world = World::with_organisations(now_ms, organisations.collect());
        std::fs::write(folder.path().join("genesis.bin"), world.genesis.to_bytes()).unwrap();
        let running = (0..4).map(|_| None).collect();
        Self {
            world,
            folder,
            folders,
            parts,
            ports: free_ports(4),
            limits: Limits {
                submit_deadline_ms: 55_000,
                ..Limits::default()
            },
            running,
        }
    }

    pub fn with_limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// All four run, and have begun the chain.
    pub async fn started() -> Self {
        let mut network = Self::new();
        network.start_all().await;
        network
    }

    pub async fn start_all(&mut self) {
        for index in 0..4 {
            self.start(index).await;
        }
    }

    fn folder_of(&self, index: usize) -> PathBuf {
        self.folders[index].clone()
    }

    pub fn config(&self, index: usize) -> Config {
        let [listen, operations, consensus_listen] = self.ports[index];
        // Nobody has told the first four of those who join later: the chain does.
        let others = (0..4).filter(|other| *other != index);
        let peers: BTreeMap<_, _> = others
            .map(|other| {
                (
                    hex::encode(self.parts[other].validator),
                    self.ports[other][2].to_string(),
                )
            })
            .collect();
        Config {
            organisation: self.parts[index].organisation.to_string(),
            listen,
            operations,
            consensus_listen,
            directory: self.folder_of(index).join("state"),
            keys: self.folder_of(index).join("keys"),
            passphrase_file: self.folder.path().join("passphrase"),
            genesis: self.folder.path().join("genesis.bin"),
            peers,
            certificate_lifetime_seconds: 120,
            policy_version: 1,
            limits: self.limits.clone(),
        }
    }

    /// Another organisation makes its endorser's keys, and is told of the four of the genesis.
    pub fn add(&mut self, organisation: &str) -> usize {
        let folder = self.folder.path().join(organisation);
        let passphrase = Passphrase::from_file(&self.folder.path().join("passphrase")).unwrap();
        let (keys, state) = (folder.join("keys"), folder.join("state"));
        let parts = create_keys(&keys, &state, &name(organisation), &passphrase, now_ms()).unwrap();
        self.folders.push(folder);
        self.parts.push(parts);
        self.ports.extend(free_ports(1));
        self.running.push(None);
        self.parts.len() - 1
    }

    /// What the organisations are asked to take in.
    pub fn joins(&self, index: usize) -> Change {
        let parts = &self.parts[index];
        Change::AddOrganisation {
            organisation: Organisation {
                name: parts.organisation.clone(),
                validator: PublicKey::from_bytes(&parts.validator).unwrap(),
                admin: PublicKey::of(&key(&format!("admin {}", parts.organisation))),
                ca_certificate: parts.ca_certificate.clone(),
            },
            address: self.ports[index][2].to_string().parse().unwrap(),
        }
    }

    /// Has a change made by these organisations, each through an endorser that is asked until it answers.
    pub async fn govern(&self, revision: u64, change: &Change, organisations: &[&str], through: usize) {
        let mut last = Outcome::Applied;
        for organisation in organisations {
            let body = Body::Govern {
                revision,
                change: change.clone(),
            };
            let transaction = self.world.sign(&key(&format!("admin {organisation}")), body);
            let entry = self
                .until("a confirmation is final", async || {
                    self.submit(through, &transaction).await.ok()
                })
                .await;
            last = Entry::from_bytes(&entry.entry).unwrap().outcome;
        }
        assert_eq!(last, Outcome::Applied, "{change:?}");
    }

    pub async fn status(&self, index: usize) -> Option<GetStatusResponse> {
        let mut client = self.client(index, &self.world.auditor);
        let answer = client.get_status(GetStatusRequest {}).await;
        answer.ok().map(tonic::Response::into_inner)
    }

    /// Waits until an endorser is in an epoch, as one of its endorsers that votes, or as none.
    pub async fn until_in(&self, index: usize, epoch: u64, decides: bool) -> GetStatusResponse {
        let what = format!("endorser {index} is in epoch {epoch}, deciding: {decides}");
        self.until(&what, async || {
            let status = self.status(index).await?;
            let there = status.epoch == epoch && status.is_endorser == decides && status.votes == decides;
            there.then_some(status)
        })
        .await
    }

    /// Returns when it serves.
    pub async fn start(&mut self, index: usize) {
        let (stop, stopped) = oneshot::channel::<()>();
        let run = ledger_endorser::run(self.config(index), async {
            let _ = stopped.await;
        });
        self.running[index] = Some(Running {
            stop,
            task: tokio::spawn(run),
        });
        let address = self.ports[index][0];
        self.until("it listens", async || TcpStream::connect(address).await.ok())
            .await;
    }

    pub async fn stop(&mut self, index: usize) {
        let running = self.running[index].take().unwrap();
        running.stop.send(()).unwrap();
        running.task.await.unwrap().unwrap();
    }

    pub async fn stop_all(mut self) {
        let running: Vec<_> = self.running.iter_mut().filter_map(Option::take).collect();
        let stopped = running.into_iter().map(|running| {
            let _ = running.stop.send(());
            running.task
        });
        for ended in futures::future::join_all(stopped).await {
            ended.unwrap().unwrap();
        }
    }

    /// Takes everything but the keys.
    pub fn wipe(&self, index: usize) {
        std::fs::remove_dir_all(self.folder_of(index).join("state")).unwrap();
    }

    /// Another CA in the place of the endorser's own, of the same organisation.
    pub fn exchange_authority(&self, index: usize) {
        let (other, own) = (
            self.folder.path().join("other"),
            self.folder_of(index).join("keys"),
        );
        let passphrase = Passphrase::from_file(&self.folder.path().join("passphrase")).unwrap();
        let organisation = &self.parts[index].organisation;
        create_keys(&other, &other.join("state"), organisation, &passphrase, now_ms()).unwrap();
        for file in ["authority.sealed", "authority.der"] {
            std::fs::copy(other.join(file), own.join(file)).unwrap();
        }
    }

    /// To another machine: its keys are brought there, and nothing else; the others go on with its old address.
    pub fn move_away(&mut self, index: usize) {
        let (old, new) = (self.folder_of(index), self.folder.path().join("elsewhere"));
        std::fs::create_dir(&new).unwrap();
        std::fs::rename(old.join("keys"), new.join("keys")).unwrap();
        std::fs::remove_dir_all(old).unwrap();
        self.folders[index] = new;
        self.ports[index] = free_ports(1)[0];
    }

    /// Asks again until there is an answer; fails when it takes too long.
    pub async fn until<T>(&self, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn client(&self, index: usize, who: &SigningKey) -> Client {
        let identity = Identity::from_seed("client", who.as_bytes()).unwrap();
        let address = self.ports[index][0].to_string();
        let channel = connect(
            &address,
            self.parts[index].identity,
            &identity,
            &ChannelLimits {
                connect_timeout_ms: 60_000,
                keepalive_timeout_ms: 60_000,
                ..ChannelLimits::default()
            },
        )
        .unwrap();
        LedgerServiceClient::new(channel).max_decoding_message_size(proto::limits::LEDGER_PAGE)
    }

    pub async fn submit(&self, index: usize, transaction: &Transaction) -> Result<LogEntry, Status> {
        let request = SubmitRequest {
            transaction: transaction.to_bytes(),
        };
        let answer = self.client(index, &self.world.admin).submit(request).await?;
        Ok(answer.into_inner().entry.unwrap())
    }

    pub async fn request_read(
        &self,
        index: usize,
        read: &Transaction,
    ) -> Result<RequestReadResponse, Status> {
        let request = RequestReadRequest {
            transaction: read.to_bytes(),
        };
        Ok(self
            .client(index, &self.world.reader)
            .request_read(request)
            .await?
            .into_inner())
    }

    /// Everything a read needs, submitted through one endorser after the other and final at all.
    pub async fn lay_foundation(&self) {
        let foundation = self.world.foundation();
        for (place, transaction) in foundation.iter().enumerate() {
            let at = |index| {
                self.until("it is final", async move || {
                    self.submit(index, transaction).await.ok()
                })
            };
            let entry = at(place % 4).await;
            // The next one may be refused where this one is not final yet.
            for index in 0..4 {
                assert_eq!(at(index).await, entry);
            }
        }
    }

    pub async fn is_ready(&self, index: usize) -> bool {
        self.readiness(index).await.starts_with("HTTP/1.0 200")
    }

    /// What the operations port answers, with the conditions that are not met.
    pub async fn readiness(&self, index: usize) -> String {
        let mut stream = TcpStream::connect(self.ports[index][1]).await.unwrap();
        stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    pub fn now_ms(&self) -> u64 {
        now_ms()
    }

    pub fn trust(&self) -> TrustBundle {
        let organisations = self.parts.iter().map(|parts| {
            TrustedOrganisation::new(parts.organisation.clone(), &parts.ca_certificate).unwrap()
        });
        let policy = "OUTOF(3, alpha, beta, gamma, delta)".parse().unwrap();
        TrustBundle::new(
            1,
            self.world.genesis.chain_id(),
            name("test"),
            organisations.collect(),
            policy,
        )
        .unwrap()
    }
}
