//! What the node counts.

use crate::diagnosis::{Facts, Level};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use service::metrics::{Codes, latency};
use std::sync::atomic::AtomicU64;
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
    members_reachable: Gauge,
    quorum_margin: Gauge,
    members_in_other_epoch: Gauge,
    clock_offset: Gauge<f64, AtomicU64>,
    root_expires: Gauge,
    serves_old_epoch: Gauge,
    alarms: Family<AlarmLabels, Gauge>,
}

/// One of the checks of the diagnosis.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlarmLabels {
    check: &'static str,
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
            members_reachable: Gauge::default(),
            quorum_margin: Gauge::default(),
            members_in_other_epoch: Gauge::default(),
            clock_offset: Gauge::default(),
            root_expires: Gauge::default(),
            serves_old_epoch: Gauge::default(),
            alarms: Family::default(),
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
        metrics.register_watch(registry);
        metrics
    }

    fn register_watch(&self, registry: &mut Registry) {
        registry.register(
            "members_reachable",
            "Members that answer in this node's epoch, itself among them",
            self.members_reachable.clone(),
        );
        registry.register(
            "quorum_margin",
            "Members that can still be lost before reads stop",
            self.quorum_margin.clone(),
        );
        registry.register(
            "members_in_other_epoch",
            "Members that answer and are in another epoch, or have no key",
            self.members_in_other_epoch.clone(),
        );
        registry.register_with_unit(
            "clock_offset",
            "Largest difference to another node's clock",
            Unit::Seconds,
            self.clock_offset.clone(),
        );
        registry.register(
            "root_expires_timestamp_seconds",
            "When the first of the organisations' roots expires",
            self.root_expires.clone(),
        );
        registry.register(
            "serves_old_epoch",
            "The epoch before whose share is still there; 0 when there is none",
            self.serves_old_epoch.clone(),
        );
        registry.register(
            "alarm",
            "By check of `quorate node diagnose`: 0 well, 1 look at it, 2 act",
            self.alarms.clone(),
        );
    }

    /// The node has looked at the others and at itself.
    pub fn watched(&self, facts: &Facts) {
        let figures = facts.figures();
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.members_reachable.set(count(figures.reachable));
        self.quorum_margin.set(figures.margin);
        self.members_in_other_epoch.set(count(figures.other_epoch));
        self.clock_offset
            .set(Duration::from_millis(figures.offset_ms).as_secs_f64());
        self.root_expires
            .set(i64::try_from(figures.root_expires_s).unwrap_or(i64::MAX));
        self.serves_old_epoch.set(facts.serves_epoch.unwrap_or(0).into());
        for check in facts.checks() {
            let level = match check.level {
                Level::Ok => 0,
                Level::Warn => 1,
                Level::Error => 2,
            };
            self.alarms
                .get_or_create(&AlarmLabels { check: check.name })
                .set(level);
        }
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
