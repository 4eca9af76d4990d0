//! Who gets into the operations port: so many at once, so many of one address, each for so long.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use crate::places::{Place, Places, origin};

/// After an error of the operating system's, such as too few file handles, accepting pauses for this long.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once.
    pub(super) connections: usize,
    /// Connections at once of one address.
    pub(super) per_address: usize,
    /// The longest that a connection lives; a scraper that keeps its connection comes back with a new one.
    pub(super) lifetime: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            per_address: 16,
            lifetime: Duration::from_secs(30),
        }
    }
}

/// A listener that closes what is over its limits as soon as it is accepted.
#[derive(Debug)]
pub(super) struct Door {
    tcp: TcpListener,
    limits: Limits,
    connections: Arc<Semaphore>,
    addresses: Places<IpAddr>,
}

impl Door {
    pub(super) async fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        Ok(Self {
            tcp: TcpListener::bind(address).await?,
            limits,
            connections: Arc::new(Semaphore::new(limits.connections)),
            addresses: Places::new(limits.per_address),
        })
    }

    fn admit(&self, stream: TcpStream, address: SocketAddr) -> Option<Connection> {
        let place = self.addresses.take(origin(address.ip()))?;
        let permit = Arc::clone(&self.connections).try_acquire_owned().ok()?;
        Some(Connection {
            stream,
            end: Box::pin(tokio::time::sleep(self.limits.lifetime)),
            _permit: permit,
            _place: place,
        })
    }
}

impl axum::serve::Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.tcp.accept().await {
                Ok((stream, address)) => match self.admit(stream, address) {
                    Some(connection) => return (connection, address),
                    None => tracing::warn!(%address, "operations: connection closed: there are too many"),
                },
                Err(error) => {
                    tracing::warn!(%error, "operations: cannot accept a connection");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// A connection that fails when its time is over.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
    _place: Place<IpAddr>,
}

impl Connection {
    /// The stream, as long as the connection may live; its end wakes whoever waits.
    fn alive(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(Pin::new(&mut self.stream)),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.alive(context) {
            Ok(stream) => stream.poll_read(context, buffer),
            Err(over) => Poll::Ready(Err(over)),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.alive(context) {
            Ok(stream) => stream.poll_write(context, bytes),
            Err(over) => Poll::Ready(Err(over)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
