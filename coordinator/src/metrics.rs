//! What the coordinator counts.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use service::metrics::{Codes, latency};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabel {
    node: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabel {
    node: String,
    answer: &'static str,
}

/// The counters. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    reencryptions: Codes,
    reencryption_seconds: Histogram,
    answers: Family<AnswerLabel, Counter<u64, AtomicU64>>,
    node_seconds: Family<NodeLabel, Histogram, fn() -> Histogram>,
    hedges: Counter<u64, AtomicU64>,
    receipts: Codes,
    receipts_pending: Gauge<i64, AtomicI64>,
    margin: Gauge<i64, AtomicI64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            reencryptions: Codes::default(),
            reencryption_seconds: latency(),
            answers: Family::default(),
            node_seconds: Family::new_with_constructor(latency),
            hedges: Counter::default(),
            receipts: Codes::default(),
            receipts_pending: Gauge::default(),
            margin: Gauge::default(),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("quorate_coordinator");
        self.reencryptions
            .register(registry, "reencryptions", "Requests answered, by outcome");
        registry.register_with_unit(
            "reencryption",
            "Time of a request that was answered with shares",
            Unit::Seconds,
            self.reencryption_seconds.clone(),
        );
        registry.register(
            "node_answers",
            "Answers of each node: valid, refused, unreachable, or invalid, which is a node that lies",
            self.answers.clone(),
        );
        registry.register_with_unit(
            "node_answer",
            "Time of each node's answers",
            Unit::Seconds,
            self.node_seconds.clone(),
        );
        registry.register(
            "hedges",
            "Nodes asked because others were late",
            self.hedges.clone(),
        );
        self.receipts.register(
            registry,
            "receipts",
            "Release statements by what became of them: recorded, rejected or dropped",
        );
        registry.register(
            "receipts_pending",
            "Release statements not yet on the chain",
            self.receipts_pending.clone(),
        );
        registry.register(
            "quorum_margin",
            "Nodes that could be reached when last asked, less those needed",
            self.margin.clone(),
        );
    }

    pub(crate) fn answered(&self, elapsed: Duration) {
        self.reencryption_seconds.observe(elapsed.as_secs_f64());
        self.outcome("answered");
    }

    pub(crate) fn outcome(&self, outcome: &'static str) {
        self.reencryptions.count(outcome);
    }

    pub(crate) fn node_answer(&self, node: &str, answer: &'static str) {
        self.answers
            .get_or_create(&AnswerLabel {
                node: node.to_owned(),
                answer,
            })
            .inc();
    }

    pub(crate) fn invalid_answers(&self, node: &str) -> u64 {
        self.answers
            .get_or_create(&AnswerLabel {
                node: node.to_owned(),
                answer: "invalid",
            })
            .get()
    }

    pub(crate) fn node_latency(&self, node: &str, elapsed: Duration) {
        self.node_seconds
            .get_or_create(&NodeLabel {
                node: node.to_owned(),
            })
            .observe(elapsed.as_secs_f64());
    }

    pub(crate) fn hedged(&self) {
        self.hedges.inc();
    }

    pub(crate) fn receipts(&self, outcome: &'static str, count: usize) {
        self.receipts
            .add(outcome, u64::try_from(count).unwrap_or(u64::MAX));
    }

    pub(crate) fn receipts_pending(&self, count: usize) {
        self.receipts_pending
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn margin(&self, margin: i64) {
        self.margin.set(margin);
    }
}
