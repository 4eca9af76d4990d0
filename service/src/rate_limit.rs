//! A token bucket for each peer, in bounded memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Lets each key do `burst` things at once and `per_second` on average.
///
/// At most `max_keys` keys are remembered. When there are more, the one not seen for the longest time is
/// forgotten, which gives it a full bucket if it comes back: whoever can make keys at will has to be bounded by
/// something else beside, such as a queue's length.
#[derive(Debug)]
pub struct RateLimit {
    per_second: f64,
    burst: f64,
    max_keys: usize,
    buckets: Mutex<HashMap<[u8; 32], Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    seen: Instant,
}

/// A peer is over its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("over the rate allowed to one peer; try again in {} ms", retry_after.as_millis())]
pub struct OverRate {
    /// When the next token will be there.
    pub retry_after: Duration,
}

impl RateLimit {
    /// A limit with every bucket full. A rate or burst of 0 counts as 1.
    #[must_use]
    pub fn new(per_second: u32, burst: u32, max_keys: usize) -> Self {
        Self {
            per_second: f64::from(per_second.max(1)),
            burst: f64::from(burst.max(1)),
            max_keys: max_keys.max(1),
            buckets: Mutex::new(HashMap::new()),
        }
    }

    /// Takes one token of `key`'s bucket.
    ///
    /// # Errors
    /// When the bucket is empty.
    pub fn check(&self, key: &[u8; 32], now: Instant) -> Result<(), OverRate> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(key) && buckets.len() >= self.max_keys {
            forget_oldest(&mut buckets);
        }
        let bucket = buckets.entry(*key).or_insert(Bucket {
            tokens: self.burst,
            seen: now,
        });
        let elapsed = now.saturating_duration_since(bucket.seen).as_secs_f64();
        bucket.tokens = (bucket.tokens + elapsed * self.per_second).min(self.burst);
        bucket.seen = bucket.seen.max(now);
        if bucket.tokens < 1.0 {
            let retry_after = Duration::from_secs_f64((1.0 - bucket.tokens) / self.per_second);
            return Err(OverRate { retry_after });
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

fn forget_oldest(buckets: &mut HashMap<[u8; 32], Bucket>) {
    if let Some(oldest) = buckets
        .iter()
        .min_by_key(|(_, bucket)| bucket.seen)
        .map(|(key, _)| *key)
    {
        buckets.remove(&oldest);
    }
}
