//! How much a fellow node may deliver: how often, and how much at once.
//!
//! What was delivered is carried out also when whoever delivered it has gone, so that without a bound on what is begun a member
//! that hangs up at once would pile it up.

use crate::refusal::Refusal;
use service::RateLimit;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Deliveries a member may make per second, and at once: a ceremony has a handful, repeats included.
const RATE: (u32, u32) = (100, 500);
/// Deliveries of one member that are begun and not yet carried out. An honest one delivers one after the other, and asks for a
/// canary's share beside.
const BEGUN: usize = 16;

/// What each member may deliver.
#[derive(Debug)]
pub struct Deliveries {
    rate: RateLimit,
    begun: BTreeMap<[u8; 32], Arc<Semaphore>>,
}

impl Deliveries {
    /// For members with these identity keys.
    pub fn new(members: impl IntoIterator<Item = [u8; 32]>) -> Self {
        let begun = members
            .into_iter()
            .map(|member| (member, Arc::new(Semaphore::new(BEGUN))));
        let begun: BTreeMap<_, _> = begun.collect();
        Self {
            rate: RateLimit::new(RATE.0, RATE.1, begun.len()),
            begun,
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`].
    pub fn count(&self, peer: &[u8; 32], now: Instant) -> Result<(), Refusal> {
        self.rate.check(peer, now).map_err(|_| Refusal::RateLimited)
    }

    /// Counts a delivery, and lets it begin. It goes on as long as the permit is kept.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`].
    pub fn begin(&self, peer: &[u8; 32], now: Instant) -> Result<OwnedSemaphorePermit, Refusal> {
        self.count(peer, now)?;
        let begun = self.begun.get(peer).ok_or(Refusal::WrongRole)?;
        Arc::clone(begun)
            .try_acquire_owned()
            .map_err(|_| Refusal::RateLimited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p12_one_member_begins_so_many_deliveries_at_once_and_takes_no_others_place() {
        let deliveries = Deliveries::new([[1; 32], [2; 32]]);
        let now = Instant::now();
        let mut begun: Vec<_> = (0..BEGUN)
            .map(|_| deliveries.begin(&[1; 32], now).unwrap())
            .collect();
        assert!(matches!(
            deliveries.begin(&[1; 32], now),
            Err(Refusal::RateLimited)
        ));
        assert!(deliveries.begin(&[2; 32], now).is_ok());
        assert!(deliveries.count(&[1; 32], now).is_ok());
        begun.pop();
        assert!(deliveries.begin(&[1; 32], now).is_ok());
        assert!(matches!(deliveries.begin(&[3; 32], now), Err(Refusal::WrongRole)));
    }

    #[test]
    fn p12_one_member_delivers_no_more_than_its_rate() {
        let deliveries = Deliveries::new([[1; 32]]);
        let now = Instant::now();
        let taken = (0..1000).filter(|_| deliveries.begin(&[1; 32], now).is_ok());
        assert_eq!(taken.count(), usize::try_from(RATE.1).unwrap());
        assert!(deliveries.count(&[1; 32], now).is_err());
    }
}
