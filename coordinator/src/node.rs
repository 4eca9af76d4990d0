//! A crypto node, as the coordinator sees it.

use std::time::{Duration, Instant};

use proto::custody::custody_service_client::CustodyServiceClient;
use proto::custody::{ReencryptRequest, ReencryptResponse};
use proto::limits::{NODE_ANSWER, REENCRYPT_REQUEST};
use service::Identity;
use service::tls::{ChannelLimits, TlsError, connect};
use threshold::signature::PublicKey;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::config::Peer;
use crate::health::Health;

/// One node: who it is, the channel to it, how it is.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) identity: PublicKey,
    pub(crate) health: Health,
    client: CustodyServiceClient<Channel>,
    probe: HealthClient<Channel>,
}

/// The longest that a node may take to say that it is there.
const PROBE: Duration = Duration::from_secs(2);

impl Node {
    pub(crate) fn new(peer: &Peer, identity: &Identity) -> Result<Self, TlsError> {
        let key = peer.identity.to_bytes();
        let channel = connect(&peer.address, key, identity, &ChannelLimits::default())?;
        Ok(Self {
            name: peer.name.clone(),
            identity: peer.identity,
            health: Health::default(),
            probe: HealthClient::new(channel.clone()),
            client: CustodyServiceClient::new(channel)
                .max_decoding_message_size(NODE_ANSWER)
                .max_encoding_message_size(REENCRYPT_REQUEST),
        })
    }

    /// Finds out whether the node can be reached, without giving it work or its journal an entry: any answer to
    /// the standard health question will do, also that it does not know it.
    pub(crate) async fn probe(&self) {
        let mut probe = self.probe.clone();
        let answer = tokio::time::timeout(PROBE, probe.check(HealthCheckRequest::default())).await;
        match answer.map(|answer| answer.map_err(|status| status.code())) {
            Ok(Ok(_) | Err(Code::Unimplemented)) => self.health.found(),
            Ok(Err(_)) | Err(_) => self.health.lost(Instant::now()),
        }
    }

    /// Asks for a share; tells how long the answer took.
    pub(crate) async fn reencrypt(
        &self,
        request: ReencryptRequest,
        timeout: Duration,
    ) -> (Result<ReencryptResponse, Status>, Duration) {
        let begun = Instant::now();
        self.health.asked(begun);
        let _released = Released(&self.health);
        let mut request = Request::new(request);
        request.set_timeout(timeout);
        let answer = tokio::time::timeout(timeout, self.client.clone().reencrypt(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
        (answer.map(tonic::Response::into_inner), begun.elapsed())
    }
}

/// Counts a request as over, also when it is no longer waited for.
struct Released<'a>(&'a Health);

impl Drop for Released<'_> {
    fn drop(&mut self) {
        self.0.released();
    }
}
