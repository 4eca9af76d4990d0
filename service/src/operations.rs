//! The operations port: is it alive, does it serve, what does it count.
//!
//! Plain HTTP on a port of its own, which belongs on a management network:
//!
//! - `/livez` answers 200 as long as the process turns at all;
//! - `/readyz` answers 200 when every condition holds, else 503, with a line for each condition;
//! - `/metrics` answers in the OpenMetrics text format.
//!
//! Connections are bounded in number, for each address, and in time, so that whoever reaches the port can neither
//! exhaust the daemon's file handles nor keep the others out by saying nothing.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;

mod door;
#[cfg(test)]
mod tests;

use door::{Door, Limits};

/// Whether a daemon can serve, as named conditions. Clones share the same conditions.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>);

impl Readiness {
    /// No conditions yet, and so ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The condition `name` holds.
    pub fn met(&self, name: &'static str) {
        self.set(name, Ok(()));
    }

    /// The condition `name` does not hold, for this reason.
    pub fn unmet(&self, name: &'static str, reason: impl Into<String>) {
        self.set(name, Err(reason.into()));
    }

    /// The condition `name` holds, or does not for the reason given.
    pub fn set(&self, name: &'static str, condition: Result<(), String>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, condition);
    }

    /// Whether every condition holds.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .all(Result::is_ok)
    }

    /// A line for each condition.
    fn report(&self) -> String {
        let conditions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |(name, condition): (&&str, &Result<(), String>)| match condition {
            Ok(()) => format!("{name}: ok\n"),
            Err(reason) => format!("{name}: {reason}\n"),
        };
        conditions.iter().map(line).collect()
    }
}

/// The operations server, bound and not yet serving.
#[derive(Debug)]
pub struct Operations {
    door: Door,
}

struct Served {
    registry: Registry,
    readiness: Readiness,
}

impl Operations {
    /// Takes the port.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::bind_within(address, Limits::default()).await
    }

    async fn bind_within(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        Ok(Self {
            door: Door::bind(address, limits).await?,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Whatever the operating system answers.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        axum::serve::Listener::local_addr(&self.door)
    }

    /// Serves until `stop` completes.
    ///
    /// # Errors
    /// When the server fails as a whole.
    pub async fn serve(
        self,
        registry: Registry,
        readiness: Readiness,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let routes = Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(Served { registry, readiness }));
        axum::serve(self.door, routes).with_graceful_shutdown(stop).await
    }
}

async fn readyz(State(served): State<Arc<Served>>) -> Response {
    let status = if served.readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, served.readiness.report()).into_response()
}

async fn metrics(State(served): State<Arc<Served>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &served.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            let _ = write!(text, "\n# {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}
