//! What operators see of an endorser.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use service::metrics::{Codes, latency};

/// The outcome of a transaction, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// `applied`, `approved`, `denied` or `rejected`.
    pub outcome: &'static str,
}

/// All measurements of one endorser.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Height of the newest final, durable block.
    pub height: Gauge,
    /// Time of that block, seconds since the Unix epoch.
    pub block_time: Gauge,
    /// Transactions in final blocks.
    pub transactions: Family<OutcomeLabel, Counter>,
    /// Approval certificates issued; answers from the cache are not counted.
    pub certificates: Counter,
    /// Requests and gossip that were refused, by code.
    pub refusals: Codes,
    /// How long a batch of final blocks took to become durable.
    pub commit_seconds: Histogram,
    /// From a submission here until it is final and durable here.
    pub submission_seconds: Histogram,
    /// Transactions waiting.
    pub mempool_transactions: Gauge,
    /// Bytes of transactions waiting.
    pub mempool_bytes: Gauge,
    /// Fellow endorsers connected.
    pub peers: Gauge,
}

impl Metrics {
    /// Makes the measurements and registers them.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            height: Gauge::default(),
            block_time: Gauge::default(),
            transactions: Family::default(),
            certificates: Counter::default(),
            refusals: Codes::default(),
            commit_seconds: latency(),
            submission_seconds: latency(),
            mempool_transactions: Gauge::default(),
            mempool_bytes: Gauge::default(),
            peers: Gauge::default(),
        };
        metrics.register(registry.sub_registry_with_prefix("quorate_endorser"));
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("height", "Height of the newest final block", self.height.clone());
        registry.register_with_unit(
            "block_time",
            "Time of the newest final block",
            Unit::Seconds,
            self.block_time.clone(),
        );
        registry.register(
            "transactions",
            "Transactions in final blocks",
            self.transactions.clone(),
        );
        registry.register(
            "certificates",
            "Approval certificates issued",
            self.certificates.clone(),
        );
        self.refusals
            .register(registry, "refusals", "Requests and gossip refused, by code");
        registry.register_with_unit(
            "commit",
            "Time to make a batch of final blocks durable",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        registry.register_with_unit(
            "submission",
            "Time from submission until final and durable here",
            Unit::Seconds,
            self.submission_seconds.clone(),
        );
        registry.register(
            "mempool_transactions",
            "Transactions waiting",
            self.mempool_transactions.clone(),
        );
        registry.register_with_unit(
            "mempool",
            "Size of the transactions waiting",
            Unit::Bytes,
            self.mempool_bytes.clone(),
        );
        registry.register("peers", "Fellow endorsers connected", self.peers.clone());
    }

    /// Counts a refusal.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.count(reason);
    }
}
