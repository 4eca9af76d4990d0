//! A node that starts sealed: it has its identity, and no share until its operator brings the passphrase.
//!
//! Nobody but operators can connect, and nothing is served but this: not reads, not ceremonies. The passphrase comes over
//! mutual TLS, is tried by Argon2, one attempt at a time, and stays in memory for as long as the node runs, because
//! a ceremony seals a new share at any time.

use crate::config::Config;
use crate::seals::{SealCheck, share_directory};
use crate::settings::Settings;
use crate::share::share_files;
use crate::store::Store;
use anyhow::Context;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use proto::custody::seal_service_server::{SealService, SealServiceServer};
use proto::custody::{GetSealStatusRequest, GetSealStatusResponse, SealState, UnsealRequest, UnsealResponse};
use service::operations::{Operations, Readiness};
use service::server::HttpLimits;
use service::tls::ListenerLimits;
use service::{ClientPolicy, Identity, KeyWrap, Listener, Passphrase, peer_key};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Mutex, oneshot};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// The longest request: a passphrase, and a little around it.
const MAX_REQUEST: usize = 2048;
/// One for each of a few operators.
const CONNECTIONS: usize = 8;

/// Says in the metrics whether the node is sealed.
pub(crate) fn register(registry: &mut Registry, sealed: bool) {
    let gauge: Gauge = Gauge::default();
    gauge.set(sealed.into());
    let help = "1 while the node waits for its operator's passphrase, and serves nothing";
    registry.register("sealed", help, gauge);
}

/// Serves the operator until the right passphrase has come, or until `stop` resolves, and then there is none.
///
/// # Errors
/// Another process has the node's directory; a port that is taken.
pub(crate) async fn wait(
    config: &Config,
    settings: &Settings,
    identity: &Identity,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<Option<Arc<dyn KeyWrap>>> {
    // Held meanwhile, so that nobody changes the seal under this node.
    let _directory = Store::open(&config.directory.join("ceremonies.redb"))?;
    let (opened, unsealed) = oneshot::channel();
    let node = Sealed {
        check: Arc::new(SealCheck::new(&config.directory, &identity.public_key())),
        shares: share_directory(config),
        opened: Arc::new(Mutex::new(Some(opened))),
    };
    let limits = ListenerLimits {
        connections: CONNECTIONS,
        ..ListenerLimits::default()
    };
    let policy = ClientPolicy::Pinned(settings.operators.clone());
    let listener = Listener::bind(config.listen, identity, policy, &limits)
        .await
        .with_context(|| format!("listen: {}", config.listen))?;
    let operations = Operations::bind(config.operations)
        .await
        .with_context(|| format!("operations: {}", config.operations))?;
    let mut registry = Registry::with_prefix("quorate_crypto_node");
    register(&mut registry, true);
    listener.register(&mut registry);
    let readiness = Readiness::new();
    let cure = format!("sealed; run `quorate node unseal --node {}`", config.name);
    tracing::warn!(address = %config.listen, "{cure}");
    readiness.unmet("seal", cure.clone());
    let (done, operations_end) = oneshot::channel::<()>();
    let operations = tokio::spawn(operations.serve(registry, readiness, async {
        // The sender going away means the same as its message.
        let _ = operations_end.await;
    }));
    service::notify::sealed(&cure);

    let mut key = None;
    let finished = async {
        tokio::select! {
            () = stop => service::notify::stopping(),
            opened = unsealed => key = opened.ok(),
        }
    };
    let served = service::server::serve(node.routes(), listener, &HttpLimits::default(), finished).await;
    drop(done);
    operations.await.context("operations")?.context("operations")?;
    served?;
    Ok(key)
}

/// Where the seal goes once it is there.
type Opened = oneshot::Sender<Arc<dyn KeyWrap>>;

#[derive(Clone)]
struct Sealed {
    check: Arc<SealCheck>,
    shares: PathBuf,
    /// Taken by the attempt that succeeds; locked during each, so that they come one by one.
    opened: Arc<Mutex<Option<Opened>>>,
}

impl Sealed {
    fn routes(&self) -> Routes {
        Routes::new(SealServiceServer::new(self.clone()).max_decoding_message_size(MAX_REQUEST))
    }

    /// Tries a passphrase, or sets it. Blocks for about a tenth of a second.
    fn attempt(&self, passphrase: &Passphrase, first: bool) -> Result<(), Status> {
        let failed = |error: anyhow::Error| Status::internal(format!("{error:#}"));
        match (self.check.exists().map_err(failed)?, first) {
            (true, false) if self.check.accepts(passphrase).map_err(failed)? => Ok(()),
            (true, false) => Err(Status::permission_denied("the passphrase is wrong")),
            (true, true) => Err(Status::already_exists(
                "the node has a passphrase: unseal with that one",
            )),
            (false, false) => Err(Status::failed_precondition(
                "the node has no passphrase yet: set its first one",
            )),
            (false, true) => {
                let shares = share_files(&self.shares).map_err(|error| failed(error.into()))?;
                if shares.is_empty() {
                    self.check.set(passphrase).map_err(failed)
                } else {
                    Err(Status::failed_precondition(
                        "there are shares under another seal: stop the node and run `quorate node reseal`, which keeps \
                         them",
                    ))
                }
            }
        }
    }
}

#[tonic::async_trait]
impl SealService for Sealed {
    async fn get_seal_status(
        &self,
        _: Request<GetSealStatusRequest>,
    ) -> Result<Response<GetSealStatusResponse>, Status> {
        let set = self.check.exists();
        let state = if set.map_err(|error| Status::internal(format!("{error:#}")))? {
            SealState::Sealed
        } else {
            SealState::New
        };
        Ok(Response::new(GetSealStatusResponse { state: state.into() }))
    }

    async fn unseal(&self, request: Request<UnsealRequest>) -> Result<Response<UnsealResponse>, Status> {
        let operator = peer_key(&request)
            .map(|peer| peer.to_string())
            .unwrap_or_default();
        let UnsealRequest { passphrase, first } = request.into_inner();
        let passphrase = Passphrase::typed(passphrase)
            .map_err(|error| Status::invalid_argument(format!("passphrase: {error}")))?;
        let passphrase = Arc::new(passphrase);
        let mut opened = self.opened.lock().await;
        let attempt = {
            let (node, passphrase) = (self.clone(), Arc::clone(&passphrase));
            tokio::task::spawn_blocking(move || node.attempt(&passphrase, first)).await
        };
        match attempt.map_err(|error| Status::internal(error.to_string()))? {
            Ok(()) => {
                tracing::info!(operator, first, "unsealed");
                if let Some(opened) = opened.take() {
                    // Nobody waits any more when the node is stopping.
                    let _ = opened.send(passphrase);
                }
                Ok(Response::new(UnsealResponse {}))
            }
            Err(status) => {
                tracing::warn!(operator, first, reason = status.message(), "not unsealed");
                Err(status)
            }
        }
    }
}
