//! What the node counts.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use service::metrics::{Codes, latency};
use std::time::Duration;

/// Whether a release was the first of its approval.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReleaseLabels {
    kind: ReleaseKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum ReleaseKind {
    First,
    Repeat,
}

/// Handles to the node's metrics; clones share the values.
#[derive(Debug, Clone)]
pub struct Metrics {
    releases: Family<ReleaseLabels, Counter>,
    refusals: Codes,
    journal_sync: Histogram,
    ceremony_phase: Gauge,
    has_key: Gauge,
}

impl Metrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            releases: Family::default(),
            refusals: Codes::default(),
            journal_sync: latency(),
            ceremony_phase: Gauge::default(),
            has_key: Gauge::default(),
        };
        registry.register(
            "releases",
            "Uses of the share that left the node",
            metrics.releases.clone(),
        );
        metrics
            .refusals
            .register(registry, "refusals", "Requests that were refused, by code");
        registry.register_with_unit(
            "journal_sync",
            "Time to make a batch of journal entries durable",
            Unit::Seconds,
            metrics.journal_sync.clone(),
        );
        registry.register(
            "ceremony_phase",
            "Phase of the newest ceremony: 0 none, 1 proposed, 2 committing, 3 dealing, 4 confirming, 5 canary, \
             6 done, 7 aborted",
            metrics.ceremony_phase.clone(),
        );
        registry.register(
            "has_key",
            "1 when the node holds a share of a key in use",
            metrics.has_key.clone(),
        );
        metrics
    }

    /// A share left the node.
    pub fn released(&self, repeat: bool) {
        let kind = if repeat {
            ReleaseKind::Repeat
        } else {
            ReleaseKind::First
        };
        self.releases.get_or_create(&ReleaseLabels { kind }).inc();
    }

    /// A request was refused.
    pub fn refused(&self, code: &'static str) {
        self.refusals.count(code);
    }

    /// The journal was synced.
    pub fn synced(&self, took: Duration) {
        self.journal_sync.observe(took.as_secs_f64());
    }

    /// The newest ceremony is in this phase, and the node has an active key or not.
    pub fn ceremony(&self, phase: i32, has_key: bool) {
        self.ceremony_phase.set(phase.into());
        self.has_key.set(has_key.into());
    }
}
