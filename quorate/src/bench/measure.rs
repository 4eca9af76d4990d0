//! Latencies and what is said of them.

use std::time::Duration;

/// What a phase measured.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    sorted: Vec<Duration>,
    elapsed: Duration,
    errors: usize,
    first_error: Option<String>,
}

impl Latencies {
    /// Joins what the workers of a phase have seen. `elapsed` is until the last of them was done.
    pub(super) fn collect(
        elapsed: Duration,
        results: impl IntoIterator<Item = Result<Duration, String>>,
    ) -> Self {
        let mut latencies = Self {
            elapsed,
            ..Self::default()
        };
        for result in results {
            match result {
                Ok(time) => latencies.sorted.push(time),
                Err(error) => {
                    latencies.errors += 1;
                    latencies.first_error.get_or_insert(error);
                }
            }
        }
        latencies.sorted.sort_unstable();
        latencies
    }

    pub(super) fn count(&self) -> usize {
        self.sorted.len()
    }

    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    pub(super) fn first_error(&self) -> Option<&str> {
        self.first_error.as_deref()
    }

    /// The smallest time within which `percent` of the operations were done (nearest rank).
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 100 percent of a length"
    )]
    pub(super) fn percentile_ms(&self, percent: f64) -> f64 {
        let rank = (self.sorted.len() as f64 * percent / 100.0).ceil().max(1.0) as usize;
        self.sorted
            .get(rank - 1)
            .map_or(0.0, |time| rounded(time.as_secs_f64() * 1000.0))
    }

    pub(super) fn per_second(&self) -> f64 {
        rounded(self.sorted.len() as f64 / self.elapsed.as_secs_f64().max(0.001))
    }
}

/// Milliseconds for each of so many.
pub(super) fn each_ms(time: Duration, count: usize) -> f64 {
    rounded(time.as_secs_f64() * 1000.0 / count.max(1) as f64)
}

/// Two decimals are enough.
pub(super) fn rounded(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

pub(super) fn megabytes(bytes: u64) -> f64 {
    rounded(bytes as f64 / 1_000_000.0)
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let times = (1..=100).map(|ms| Ok(Duration::from_millis(ms)));
        let latencies = Latencies::collect(
            Duration::from_secs(20),
            times.chain([Err("one failed".to_owned())]),
        );
        assert_eq!(latencies.percentile_ms(50.0), 50.0);
        assert_eq!(latencies.percentile_ms(99.0), 99.0);
        assert_eq!(latencies.percentile_ms(100.0), 100.0);
        assert_eq!((latencies.count(), latencies.errors()), (100, 1));
        assert_eq!(latencies.first_error(), Some("one failed"));
        assert_eq!(latencies.per_second(), 5.0);
        assert_eq!(Latencies::default().percentile_ms(50.0), 0.0);
    }
}
