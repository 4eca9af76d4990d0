//! How fast a node is, how fast nodes are, and so whom to ask and when to ask another.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// The weight of a new latency in the smoothed one.
const WEIGHT: f64 = 0.2;
/// Requests in progress at one node that make it look twice as slow.
const COMFORTABLE: f64 = 32.0;
/// What the first failure costs a node in seconds of apparent latency; each further one in a row doubles it.
const PENALTY: f64 = 0.1;
/// A failure's cost halves in this many seconds.
const FORGIVENESS: f64 = 5.0;
/// Failures in a row beyond this do not cost more.
const MOST_FAILURES: u32 = 8;

/// What is known of one node.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Record>);

#[derive(Debug, Clone, Copy, Default)]
struct Record {
    smoothed: Option<f64>,
    unreachable: bool,
    failures: u32,
    failed_at: Option<Instant>,
    asked_at: Option<Instant>,
    in_progress: u32,
}

impl Health {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is sent.
    pub(crate) fn asked(&self, now: Instant) {
        let mut record = self.record();
        record.asked_at = Some(now);
        record.in_progress = record.in_progress.saturating_add(1);
    }

    /// A request is no longer waited for.
    pub(crate) fn released(&self) {
        let mut record = self.record();
        record.in_progress = record.in_progress.saturating_sub(1);
    }

    /// The node answered, well or with a refusal.
    pub(crate) fn answered(&self, elapsed: Duration) {
        let mut record = self.record();
        record.unreachable = false;
        record.failures = 0;
        record.smooth(elapsed.as_secs_f64());
    }

    /// The node could not be reached.
    pub(crate) fn lost(&self, now: Instant) {
        self.failed(now);
        self.record().unreachable = true;
    }

    /// The node can be reached, which does not say that it answers well.
    pub(crate) fn found(&self) {
        self.record().unreachable = false;
    }

    /// The node is to be asked after others: it could not be reached, or answered with what does not verify.
    pub(crate) fn failed(&self, now: Instant) {
        let mut record = self.record();
        record.failures = record.failures.saturating_add(1);
        record.failed_at = Some(now);
    }

    /// The node has not answered for so long already.
    pub(crate) fn slow(&self, elapsed: Duration) {
        let mut record = self.record();
        if record
            .smoothed
            .is_none_or(|smoothed| smoothed < elapsed.as_secs_f64())
        {
            record.smooth(elapsed.as_secs_f64());
        }
    }

    /// What order to ask in: apparent seconds, less is better.
    pub(crate) fn score(&self, now: Instant) -> f64 {
        self.record().score(now)
    }

    /// When the node was asked last.
    pub(crate) fn asked_at(&self) -> Option<Instant> {
        self.record().asked_at
    }

    /// Whether the node could be reached when it was last tried.
    pub(crate) fn reachable(&self) -> bool {
        !self.record().unreachable
    }

    /// The smoothed latency in seconds; 0 before the first answer.
    pub(crate) fn latency_seconds(&self) -> f64 {
        self.record().smoothed.unwrap_or_default()
    }
}

impl Record {
    fn smooth(&mut self, seconds: f64) {
        self.smoothed = Some(match self.smoothed {
            None => seconds,
            Some(smoothed) => smoothed + WEIGHT * (seconds - smoothed),
        });
    }

    /// A node that nothing is known of scores best, and so becomes known.
    fn score(&self, now: Instant) -> f64 {
        let busy = 1.0 + f64::from(self.in_progress) / COMFORTABLE;
        let penalty = self.failed_at.map_or(0.0, |at| {
            let age = now.saturating_duration_since(at).as_secs_f64();
            let doubled = f64::from(1_u32 << self.failures.min(MOST_FAILURES)) - 1.0;
            PENALTY * doubled * 0.5_f64.powf(age / FORGIVENESS)
        });
        self.smoothed.unwrap_or_default() * busy + penalty
    }
}

/// How many of the newest answers the delay is taken from.
const SAMPLES: usize = 256;
/// The delay before there are enough of them.
const UNKNOWN: Duration = Duration::from_millis(100);
const ENOUGH: usize = 16;

/// After how long a node's answer is late: half as long again as 95 of 100 answers take, within bounds.
#[derive(Debug)]
pub(crate) struct Patience {
    least: Duration,
    most: Duration,
    newest: Mutex<VecDeque<Duration>>,
}

impl Patience {
    pub(crate) fn new(least: Duration, most: Duration) -> Self {
        Self {
            least,
            most,
            newest: Mutex::new(VecDeque::with_capacity(SAMPLES)),
        }
    }

    /// A node answered after so long.
    pub(crate) fn learn(&self, elapsed: Duration) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.len() >= SAMPLES {
            newest.pop_front();
        }
        newest.push_back(elapsed);
    }

    /// How long to wait for a node before another is asked too.
    pub(crate) fn delay(&self) -> Duration {
        let mut sorted: Vec<Duration> = {
            let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            newest.iter().copied().collect()
        };
        let late = if sorted.len() < ENOUGH {
            UNKNOWN
        } else {
            let place = sorted.len() * 95 / 100;
            let (_, percentile, _) = sorted.select_nth_unstable(place);
            *percentile * 3 / 2
        };
        late.clamp(self.least, self.most)
    }
}
