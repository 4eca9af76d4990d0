//! The server's side: a stream of connections whose handshakes are done.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::{ClientPolicy, PeerKey, TlsError, verifier};
use crate::identity::Identity;
use crate::metrics::Codes;
use crate::places::{Place, Places, origin};

/// How much of itself a server gives to its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerLimits {
    /// Connections at once; one more is closed as soon as it is accepted.
    pub connections: usize,
    /// Connections at once of one peer, by its key; one more is closed after its handshake.
    pub connections_per_peer: usize,
    /// Connections at once of one address, an IPv6 network of 64 bits being one: where strangers may call, keys cost nothing.
    /// One more is closed as soon as it is accepted.
    pub connections_per_address: usize,
    /// Handshakes at once; one more waits.
    pub handshakes: usize,
    /// Handshakes at once of one address; one more is closed as soon as it is accepted.
    pub handshakes_per_address: usize,
    /// The longest that a handshake may take.
    pub handshake_timeout_ms: u64,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_peer: 64,
            connections_per_address: 256,
            handshakes: 128,
            handshakes_per_address: 64,
            handshake_timeout_ms: 5_000,
        }
    }
}

/// After an error of the operating system's, such as too few file handles, accepting pauses for this long.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// A port that takes mutual TLS connections: the incoming stream for
/// `tonic::transport::Server::serve_with_incoming_shutdown`.
///
/// Handshakes run beside each other, so that a slow client holds up nobody. Neither a failed handshake nor an
/// error of accepting ends the stream; only dropping it does.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    connections: mpsc::Receiver<Connection>,
    accepting: JoinHandle<()>,
    turned_away: Codes,
}

impl Listener {
    /// Takes the port and begins to accept.
    ///
    /// # Errors
    /// When the address cannot be had, or TLS not be set up.
    pub async fn bind(
        address: SocketAddr,
        identity: &Identity,
        policy: ClientPolicy,
        limits: &ListenerLimits,
    ) -> io::Result<Self> {
        let config = super::server_config(identity, policy)
            .map_err(|error| io::Error::other(TlsError::from(error)))?;
        let tcp = TcpListener::bind(address).await?;
        let address = tcp.local_addr()?;
        let (done, connections) = mpsc::channel(16);
        let turned_away = Codes::default();
        let door = Door {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            connections: Arc::new(Semaphore::new(limits.connections)),
            peers: Places::new(limits.connections_per_peer),
            addresses: Places::new(limits.connections_per_address),
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
            callers: Places::new(limits.handshakes_per_address),
            timeout: Duration::from_millis(limits.handshake_timeout_ms),
            done,
            turned_away: turned_away.clone(),
        };
        Ok(Self {
            address,
            connections,
            accepting: tokio::spawn(door.accept(tcp)),
            turned_away,
        })
    }

    /// Registers how many connections, and messages on them, were refused before any service saw them, by why.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Connections and messages refused before any service saw them, by why";
        self.turned_away.register(registry, "turned_away", help);
    }

    pub(crate) fn turned_away(&self) -> Codes {
        self.turned_away.clone()
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Stream for Listener {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connections
            .poll_recv(context)
            .map(|connection| connection.map(Ok))
    }
}

/// What accepting takes.
#[derive(Clone)]
struct Door {
    acceptor: TlsAcceptor,
    connections: Arc<Semaphore>,
    peers: Places<PeerKey>,
    addresses: Places<IpAddr>,
    handshakes: Arc<Semaphore>,
    /// Addresses with a handshake that is not done.
    callers: Places<IpAddr>,
    timeout: Duration,
    done: mpsc::Sender<Connection>,
    turned_away: Codes,
}

impl Door {
    async fn accept(self, listener: TcpListener) {
        // The semaphore is never closed, so that this ends only when the listener is dropped.
        while let Ok(handshake) = Arc::clone(&self.handshakes).acquire_owned().await {
            match listener.accept().await {
                Ok((tcp, address)) => {
                    let origin = origin(address.ip());
                    let Some(calling) = self.callers.take(origin) else {
                        self.turned_away.count("too_many_handshakes");
                        tracing::warn!(%address, "connection closed: this address has too many handshakes");
                        continue;
                    };
                    let Some(place) = self.addresses.take(origin) else {
                        self.turned_away.count("too_many_of_address");
                        tracing::warn!(%address, "connection closed: this address has too many");
                        continue;
                    };
                    let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
                        self.turned_away.count("too_many_connections");
                        tracing::warn!(%address, "connection closed: there are too many");
                        continue;
                    };
                    let door = self.clone();
                    tokio::spawn(async move {
                        door.admit(tcp, address, (permit, place)).await;
                        drop((handshake, calling));
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }

    async fn admit(
        self,
        tcp: TcpStream,
        address: SocketAddr,
        admission: (OwnedSemaphorePermit, Place<IpAddr>),
    ) {
        match tokio::time::timeout(self.timeout, handshake(&self.acceptor, tcp)).await {
            Ok(Ok((stream, key))) => {
                let Some(place) = self.peers.take(key) else {
                    self.turned_away.count("too_many_of_peer");
                    tracing::warn!(%address, %key, "connection closed: this peer has too many");
                    return;
                };
                let connection = Connection {
                    stream,
                    peer: Peer { key, address },
                    _admission: admission,
                    _place: place,
                };
                // A closed channel means that the server has stopped, and the connection goes with it.
                let _ = self.done.send(connection).await;
            }
            Ok(Err(error)) => {
                self.turned_away.count("handshake_refused");
                tracing::info!(%address, %error, "handshake refused");
            }
            Err(_) => {
                self.turned_away.count("handshake_too_slow");
                tracing::info!(%address, "handshake took too long");
            }
        }
    }
}

async fn handshake(acceptor: &TlsAcceptor, tcp: TcpStream) -> io::Result<(TlsStream<TcpStream>, PeerKey)> {
    tcp.set_nodelay(true)?;
    let stream = acceptor.accept(tcp).await?;
    let session = stream.get_ref().1;
    if session.alpn_protocol() != Some(super::ALPN) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the client does not speak HTTP/2",
        ));
    }
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let certificate =
        certificate.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no client certificate"))?;
    let key = verifier::key(certificate).map_err(io::Error::other)?;
    Ok((stream, PeerKey(key)))
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its key, proven in the handshake.
    pub key: PeerKey,
    /// Where it called from.
    pub address: SocketAddr,
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    _admission: (OwnedSemaphorePermit, Place<IpAddr>),
    _place: Place<PeerKey>,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
