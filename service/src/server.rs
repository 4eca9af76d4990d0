//! gRPC servers, with bounds on what one connection may ask for.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::{Code, Status};

use crate::metrics::Codes;
use crate::tls::{Listener, Peer};

/// What one HTTP/2 connection may ask for.
///
/// Header blocks, resets and idle connections are what the known attacks on HTTP/2 servers are made of (rapid
/// reset, CONTINUATION floods); the size of a message is bounded for each service by its generated code's
/// `max_decoding_message_size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// Requests in progress at once on one connection.
    pub concurrent_requests: u32,
    /// Bytes of all headers of a request.
    pub header_bytes: u32,
    /// Bytes a peer may send ahead on one request, and four times that on one connection.
    pub window_bytes: u32,
    /// A peer silent for so long is pinged.
    pub keepalive_interval_ms: u64,
    /// A peer that does not answer a ping for so long is gone.
    pub keepalive_timeout_ms: u64,
    /// The longest that a request may take.
    pub request_timeout_ms: u64,
    /// How long requests in progress may go on after the stop signal.
    pub drain_ms: u64,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            concurrent_requests: 256,
            header_bytes: 16 * 1024,
            window_bytes: 256 * 1024,
            keepalive_interval_ms: 10_000,
            keepalive_timeout_ms: 5_000,
            request_timeout_ms: 60_000,
            drain_ms: 5_000,
        }
    }
}

/// Requests that a peer may reset before they were looked at; more closes the connection.
const PENDING_RESETS: usize = 32;
/// Errors of a peer on one connection that are answered by resets; more closes the connection.
const ERROR_RESETS: usize = 64;

/// A tonic server within the limits: add services to it.
#[must_use]
pub fn builder(limits: &HttpLimits) -> Server {
    Server::builder()
        .max_concurrent_streams(limits.concurrent_requests)
        .http2_max_header_list_size(limits.header_bytes)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(ERROR_RESETS))
        .initial_stream_window_size(limits.window_bytes)
        .initial_connection_window_size(limits.window_bytes.saturating_mul(4))
        .http2_keepalive_interval(Some(Duration::from_millis(limits.keepalive_interval_ms)))
        .http2_keepalive_timeout(Some(Duration::from_millis(limits.keepalive_timeout_ms)))
        .timeout(Duration::from_millis(limits.request_timeout_ms))
}

/// Serves `routes` on `listener` until `stop` completes; then takes no more requests, lets those in progress
/// finish for at most [`HttpLimits::drain_ms`], and returns.
///
/// # Errors
/// When the server fails as a whole.
pub async fn serve(
    routes: Routes,
    listener: Listener,
    limits: &HttpLimits,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let turned_away = listener.turned_away();
    let noted = middleware::from_fn(move |request, next| note(turned_away.clone(), request, next));
    let routes = Routes::from(routes.into_axum_router().layer(noted));
    let server = builder(limits)
        .add_routes(routes)
        .serve_with_incoming_shutdown(listener, async {
            // The sender going away means the same as its message.
            let _ = stopped.await;
        });
    tokio::pin!(server);
    tokio::select! {
        result = &mut server => return result,
        () = stop => {}
    }
    let _ = stopping.send(());
    match tokio::time::timeout(Duration::from_millis(limits.drain_ms), server).await {
        Ok(result) => result,
        Err(_) => {
            tracing::warn!("requests still in progress after the drain time were cut off");
            Ok(())
        }
    }
}

/// A message that is longer than its service takes is refused before the service learns of it: here it is counted, and who
/// sent it is logged. No service of ours gives this status itself.
async fn note(turned_away: Codes, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = Status::from_header_map(response.headers());
    if status.is_some_and(|status| status.code() == Code::OutOfRange) {
        turned_away.count("message_too_large");
        if let Some(Peer { key, address }) = peer {
            tracing::warn!(%key, %address, path, "message refused: it is too large");
        }
    }
    response
}
