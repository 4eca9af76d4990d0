//! The client's side: a channel that is always there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use super::TlsError;
use crate::identity::Identity;

/// How patient a client is with its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelLimits {
    /// The longest that a connection may take to be made, handshake included.
    pub connect_timeout_ms: u64,
    /// A server silent for so long is pinged.
    pub keepalive_interval_ms: u64,
    /// A server that does not answer a ping for so long is gone.
    pub keepalive_timeout_ms: u64,
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 2_000,
            keepalive_interval_ms: 2_000,
            keepalive_timeout_ms: 3_000,
        }
    }
}

/// A channel to the server at `address` ("host:port") that has the Ed25519 key `server_key`.
///
/// Returns at once: the connection is made with the first request. When it breaks, the requests on it fail and
/// the next one makes a new connection, without a pause, so that a server is used again as soon as it listens
/// again. A request fails at once where nobody listens, and after the connect timeout where nobody answers;
/// trying again is the caller's to decide.
///
/// # Errors
/// When the address is malformed.
pub fn connect(
    address: &str,
    server_key: [u8; 32],
    identity: &Identity,
    limits: &ChannelLimits,
) -> Result<Channel, TlsError> {
    let malformed = || TlsError::Address(address.to_owned());
    if address
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse::<u16>().ok())
        .is_none()
    {
        return Err(malformed());
    }
    // "http" only says that TLS is not tonic's task; the connector below speaks nothing else.
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| malformed())?
        .connect_timeout(Duration::from_millis(limits.connect_timeout_ms))
        .http2_keep_alive_interval(Duration::from_millis(limits.keepalive_interval_ms))
        .keep_alive_timeout(Duration::from_millis(limits.keepalive_timeout_ms))
        .keep_alive_while_idle(true);
    let connector = TlsConnector::from(Arc::new(super::client_config(identity, server_key)?));
    let address: Arc<str> = address.into();
    Ok(endpoint.connect_with_connector_lazy(tower::service_fn(move |_| {
        let (connector, address) = (connector.clone(), address.clone());
        async move { open(&connector, &address).await.map(TokioIo::new) }
    })))
}

async fn open(connector: &TlsConnector, address: &str) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    // TLS wants a name; nobody sees or checks it.
    let name = ServerName::try_from("quorate").map_err(io::Error::other)?;
    let stream = connector.connect(name, tcp).await?;
    if stream.get_ref().1.alpn_protocol() != Some(super::ALPN) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the server does not speak HTTP/2",
        ));
    }
    Ok(stream)
}
