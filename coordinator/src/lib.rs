//! Trigger threshold re-encryption, collect, check and combine; hold no secret.
//!
//! A platform hands over a wrapped key and the approval certificates for one read. The coordinator passes both on,
//! unmodified, to the crypto nodes that have been fastest, hedges to others, checks every share and statement, names
//! whoever answered with what does not verify, and gives back t shares beside their combination. The client
//! checks all of it again: the coordinator is trusted for being there, and for nothing else.
//!
//! Behind the answer, the nodes' release statements go to the ledger as receipts.
//!
//! What it keeps on disk is its sealed identity and the receipts on their way. Its identity signs receipts and
//! opens connections; no share, no data key and no document ever comes here.

mod answer;
mod collect;
mod committee;
mod config;
mod endorser;
mod handler;
mod health;
mod metrics;
mod node;
mod receipts;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use prometheus_client::registry::Registry;
use proto::coordinator::coordinator_service_server::CoordinatorServiceServer;
use proto::limits::{COORDINATOR_ANSWER, REENCRYPT_REQUEST};
use service::operations::{Operations, Readiness};
use service::server::{self, HttpLimits};
use service::tls::ListenerLimits;
use service::{Beside, ClientPolicy, Identity, Listener, Passphrase, notify};
use tokio::sync::{Semaphore, watch};
use tonic::service::Routes;

use crate::collect::Shared;
use crate::committee::Committees;
use crate::config::Settings;
use crate::endorser::Endorser;
use crate::handler::Handler;
use crate::health::Patience;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::receipts::{Receipts, Submitter};

pub use config::{Config, EndorserConfig, LimitsConfig, NodeConfig, SettingError};

/// What the environment variables begin with that override keys of the configuration.
pub const ENV_PREFIX: &str = "QUORATE_COORDINATOR";
/// Answers that are no longer needed may be waited for by so many reads at once.
const AFTERMATHS: usize = 1024;
/// As long as no committee is known, it is asked for this often.
const IMPATIENT_REFRESH: Duration = Duration::from_millis(500);
/// The task that takes receipts to the ledger.
const RECEIPTS: &str = "the submission of receipts";
/// The readiness condition that a committee is known.
const COMMITTEE: &str = "committee";
/// The readiness condition that enough of its nodes can be reached.
const QUORUM: &str = "quorum";

/// Runs a coordinator until `stop` completes, then drains: requests in progress first, then receipts.
///
/// # Errors
/// What keeps it from starting, or ends it before `stop` does.
pub async fn run(config: Config, stop: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
    Coordinator::bind(config).await?.serve(stop).await
}

/// A coordinator that has its ports and does not serve yet.
#[derive(Debug)]
pub struct Coordinator {
    identity: Identity,
    settings: Settings,
    listener: Listener,
    operations: Operations,
    committees: Arc<Committees>,
    endorsers: Arc<Vec<Arc<Endorser>>>,
    shared: Arc<Shared>,
}

impl Coordinator {
    /// Checks the configuration, opens the identity and takes the ports.
    ///
    /// # Errors
    /// What is wrong with the configuration, the files it names, or the ports.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        let settings = Settings::check(&config).context("the configuration does not hold together")?;
        let limits = &settings.limits;
        let identity = tokio::task::spawn_blocking({
            let config = config.clone();
            move || open_identity(&config)
        })
        .await??;
        let nodes = settings
            .nodes
            .iter()
            .map(|peer| Ok(Arc::new(Node::new(peer, &identity)?)));
        let nodes: Vec<Arc<Node>> = nodes.collect::<anyhow::Result<_>>().context("nodes")?;
        let endorsers = settings
            .endorsers
            .iter()
            .map(|peer| Ok(Arc::new(Endorser::new(peer, &identity)?)));
        let endorsers: Vec<Arc<Endorser>> = endorsers.collect::<anyhow::Result<_>>().context("endorsers")?;
        let metrics = Metrics::new();
        let receipts = Receipts::open(&config.directory, limits.receipts, metrics.clone())
            .with_context(|| format!("the receipts in {}", config.directory.display()))?;
        let (least, most) = (
            Duration::from_millis(limits.hedge_min_ms),
            Duration::from_millis(limits.hedge_max_ms),
        );
        let shared = Arc::new(Shared {
            patience: Patience::new(least, most),
            metrics,
            receipts,
            aftermath: Semaphore::new(AFTERMATHS),
            reads: AtomicU64::new(0),
        });
        let door = ListenerLimits {
            connections: limits.connections,
            ..ListenerLimits::default()
        };
        let listener = Listener::bind(config.listen, &identity, ClientPolicy::AnyKey, &door)
            .await
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let operations = Operations::bind(config.operations)
            .await
            .with_context(|| format!("cannot listen on {} for operations", config.operations))?;
        let committees = Arc::new(Committees::new(nodes, endorsers.clone()));
        Ok(Self {
            identity,
            settings,
            listener,
            operations,
            committees,
            endorsers: Arc::new(endorsers),
            shared,
        })
    }

    /// Where platforms connect.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Where health and metrics are served.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    pub fn operations_addr(&self) -> std::io::Result<SocketAddr> {
        self.operations.local_addr()
    }

    /// The Ed25519 key that nodes, endorsers and clients pin.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.identity.public_key()
    }

    /// Serves until `stop` completes, then drains.
    ///
    /// # Errors
    /// When a server fails as a whole, or what runs beside it ends by itself.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        self.serve_beside(Beside::new(), stop).await
    }

    async fn serve_beside(
        self,
        mut beside: Beside,
        stop: impl Future<Output = ()> + Send,
    ) -> anyhow::Result<()> {
        let limits = self.settings.limits.clone();
        let drain = Duration::from_millis(limits.drain_ms);
        let readiness = Readiness::new();
        readiness.unmet(COMMITTEE, "not asked for yet");
        let mut registry = Registry::default();
        self.shared.metrics.register(&mut registry);
        self.listener
            .register(registry.sub_registry_with_prefix("quorate_coordinator"));

        // Receipts end after requests, and health last.
        let (end_receipts, receipts_end) = stopper();
        beside.run(
            "the operations port",
            self.operations
                .serve(registry, readiness.clone(), std::future::pending()),
        );
        let submitter = Submitter {
            receipts: self.shared.receipts.clone(),
            endorsers: self.endorsers,
            identity: self.identity,
            most: limits.receipts_per_transaction,
            linger: Duration::from_millis(limits.receipts_flush_ms),
            turn: Arc::new(AtomicUsize::new(0)),
        };
        beside.run(RECEIPTS, submitter.run(receipts_end, drain));
        let refresh = Duration::from_millis(limits.committee_refresh_ms);
        let watch = watch_committee(
            Arc::clone(&self.committees),
            Arc::clone(&self.shared),
            readiness,
            refresh,
        );
        beside.run("the watch over the committee", watch);

        let handler = Handler::new(self.committees, self.shared, self.settings);
        let service = CoordinatorServiceServer::new(handler)
            .max_decoding_message_size(REENCRYPT_REQUEST)
            .max_encoding_message_size(COORDINATOR_ANSWER);
        let http = HttpLimits {
            drain_ms: limits.drain_ms,
            ..HttpLimits::default()
        };
        notify::ready();
        let mut ended = Err(anyhow!("the server ended by itself"));
        let until = async { ended = beside.until(stop).await.map_err(Into::into) };
        let served = server::serve(Routes::new(service), self.listener, &http, until).await;
        notify::stopping();
        end_receipts.send_replace(true);
        beside.finished(RECEIPTS).await;
        beside.stop().await;
        served.context("the server failed")?;
        ended
    }
}

fn open_identity(config: &Config) -> anyhow::Result<Identity> {
    let directory = &config.directory;
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let passphrase = Passphrase::from_file(&config.passphrase_file)?;
    let path = config
        .identity_file
        .clone()
        .unwrap_or_else(|| directory.join("identity"));
    Ok(Identity::load_or_create("coordinator", &passphrase, &path)?)
}

/// A switch, and a future that completes when it is thrown.
fn stopper() -> (watch::Sender<bool>, impl Future<Output = ()> + Send + 'static) {
    let (sender, mut receiver) = watch::channel(false);
    // The sender going away means the same.
    (sender, async move { drop(receiver.wait_for(|stop| *stop).await) })
}

/// Keeps what is known of the committee and of its nodes fresh, and tells how the quorum stands.
async fn watch_committee(
    committees: Arc<Committees>,
    shared: Arc<Shared>,
    readiness: Readiness,
    every: Duration,
) {
    loop {
        let probes = futures::future::join_all(committees.nodes().iter().map(|node| node.probe()));
        tokio::join!(committees.refresh(), probes);
        let Some(committee) = committees.any() else {
            readiness.unmet(COMMITTEE, "no endorser has given one that verifies");
            tokio::time::sleep(every.min(IMPATIENT_REFRESH)).await;
            continue;
        };
        readiness.met(COMMITTEE);
        let reachable = committee
            .seats()
            .filter(|(_, node)| node.health.reachable())
            .count();
        let needed = committee.needed();
        let margin = i64::try_from(reachable).unwrap_or(i64::MAX) - i64::try_from(needed).unwrap_or(i64::MAX);
        shared.metrics.margin(margin);
        let enough = if margin < 0 {
            Err(format!("{reachable} of {needed} needed nodes"))
        } else {
            Ok(())
        };
        readiness.set(QUORUM, enough);
        match margin {
            ..0 => tracing::error!(reachable, needed, "too few nodes can be reached for any read"),
            0 => tracing::warn!(reachable, needed, "one more node lost stops all reads"),
            1.. => {}
        }
        tokio::time::sleep(every).await;
    }
}
