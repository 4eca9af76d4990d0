//! What the daemons' measurements have in common: how times are sorted, and how refusals are counted.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Times from a tenth of a millisecond, a sync of a fast disk, to seven seconds.
#[must_use]
pub fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 2.0, 17))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

/// Counts by a stable snake-case word: refusals by their code, answers by what became of them. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Codes(Family<CodeLabel, Counter>);

impl Codes {
    /// Registers the counts under a name.
    pub fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.0.clone());
    }

    /// One more.
    pub fn count(&self, code: &'static str) {
        self.add(code, 1);
    }

    /// So many more.
    pub fn add(&self, code: &'static str, count: u64) {
        self.0.get_or_create(&CodeLabel { code }).inc_by(count);
    }

    /// How many there were.
    #[must_use]
    pub fn of(&self, code: &'static str) -> u64 {
        self.0.get_or_create(&CodeLabel { code }).get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_by_code_and_shared() {
        let mut registry = Registry::with_prefix("quorate_sample");
        let refusals = Codes::default();
        refusals.register(&mut registry, "refusals", "Refused");
        refusals.count("over_rate");
        refusals.clone().add("over_rate", 2);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = "quorate_sample_refusals_total{code=\"over_rate\"} 3";
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}
