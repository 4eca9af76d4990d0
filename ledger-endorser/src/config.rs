//! What an operator writes down for one endorser.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use golden_record::MAX_TRANSACTION_BYTES;
use serde::{Deserialize, Serialize};
use service::config::{OutOfRange, in_range};

#[cfg(test)]
mod tests;

/// The longest life of an approval certificate, in seconds, whatever is configured.
pub const MAX_CERTIFICATE_LIFETIME_S: u32 = 120;

/// One endorser's configuration file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The organisation, as the genesis names it.
    pub organisation: String,
    /// Where clients, auditors and the coordinator connect to.
    pub listen: SocketAddr,
    /// Health and metrics, plain HTTP.
    pub operations: SocketAddr,
    /// Where fellow endorsers connect to.
    pub consensus_listen: SocketAddr,
    /// Chain, state and the engine's own files. May be wiped: the endorser then catches up from its peers.
    pub directory: PathBuf,
    /// The folder with the sealed keys, as [`create_keys`](crate::setup::create_keys) wrote it.
    pub keys: PathBuf,
    /// A file whose content unseals the keys.
    pub passphrase_file: PathBuf,
    /// A file with the canonical bytes of the genesis.
    pub genesis: PathBuf,
    /// Every fellow endorser: validator key in hex, and `host:port` of its `consensus_listen`.
    pub peers: BTreeMap<String, String>,
    /// How long an approval certificate lives, at most 120 s.
    #[serde(default = "default_lifetime")]
    pub certificate_lifetime_seconds: u32,
    /// The version of the trust bundle that the crypto nodes have for this chain; it is certified.
    #[serde(default = "default_policy_version")]
    pub policy_version: u32,
    /// What bounds memory, work and waiting.
    #[serde(default)]
    pub limits: Limits,
}

impl Config {
    /// Checks what is a number.
    ///
    /// # Errors
    /// Names the key that is out of its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        in_range(
            "certificate_lifetime_seconds",
            self.certificate_lifetime_seconds,
            1..=MAX_CERTIFICATE_LIFETIME_S.into(),
        )?;
        self.limits.check()
    }
}

fn default_lifetime() -> u32 {
    MAX_CERTIFICATE_LIFETIME_S
}

fn default_policy_version() -> u32 {
    1
}

/// What bounds memory, work and waiting. No number is 0 that does not say so; memory for transactions is enough for the
/// largest one. The defaults serve 200 reads a second on a small machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Client connections at the same time.
    pub connections: usize,
    /// Requests a second of one client key, on average.
    pub requests_per_second: u32,
    /// Requests that one client key may make at once after a rest.
    pub request_burst: u32,
    /// Searches a second of one client key, on average; they count as requests, too.
    pub searches_per_second: u32,
    /// Searches that one client key may make at once after a rest.
    pub search_burst: u32,
    /// Searches that are answered at the same time, whoever asks: each holds a snapshot and a thread. With 0, none is.
    pub searches_at_once: usize,
    /// How long a submission waits to become final, when the client sets no shorter deadline.
    pub submit_deadline_ms: u64,
    /// Transactions waiting for a block.
    pub mempool_transactions: usize,
    /// Bytes of transactions waiting for a block.
    pub mempool_bytes: usize,
    /// Transactions of one author waiting for a block.
    pub author_transactions: usize,
    /// Bytes of transactions of one author waiting for a block.
    pub author_bytes: usize,
    /// Transactions of one tenant's admin and users together waiting for a block.
    pub tenant_transactions: usize,
    /// Bytes of transactions of one tenant's admin and users together waiting for a block.
    pub tenant_bytes: usize,
    /// Transactions a second that are taken from one fellow endorser's gossip, on average; the rest is left unread.
    pub gossip_per_second: u32,
    /// And at once after a rest.
    pub gossip_burst: u32,
    /// Transactions in one proposed block.
    pub block_transactions: usize,
    /// Bytes of transactions in one proposed block.
    pub block_bytes: usize,
    /// A proposed block's time is at least this much after its parent's, so that blocks get larger under load
    /// rather than more. At most half of the engine's leader timeout of 1,250 ms.
    pub block_interval_ms: u64,
    /// How far ahead of this endorser's clock a proposed block's time may be: 0 to 60,000.
    pub clock_skew_ms: u64,
    /// An endorser whose newest final block is older than this answers no question about the log, since
    /// it cannot know what the others have agreed on meanwhile. Longer than a chain at rest takes for an empty block.
    pub stale_after_ms: u64,
    /// Memory for the pages of the store.
    pub store_cache_bytes: usize,
    /// Memory for the search index.
    pub index_cache_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_024,
            requests_per_second: 2_000,
            request_burst: 4_000,
            searches_per_second: 100,
            search_burst: 200,
            searches_at_once: 4,
            submit_deadline_ms: 10_000,
            mempool_transactions: 10_000,
            mempool_bytes: 32 << 20,
            author_transactions: 2_000,
            author_bytes: 8 << 20,
            tenant_transactions: 2_500,
            tenant_bytes: 8 << 20,
            gossip_per_second: 2_000,
            gossip_burst: 4_000,
            block_transactions: 1_000,
            block_bytes: 1 << 20,
            block_interval_ms: 25,
            clock_skew_ms: 5_000,
            stale_after_ms: 30_000,
            store_cache_bytes: 32 << 20,
            index_cache_bytes: 16 << 20,
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), OutOfRange> {
        let timing = consensus::Timing::default();
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let largest = MAX_TRANSACTION_BYTES as u64..=u64::MAX;
        for (key, rate) in [
            ("limits.requests_per_second", self.requests_per_second),
            ("limits.request_burst", self.request_burst),
            ("limits.searches_per_second", self.searches_per_second),
            ("limits.search_burst", self.search_burst),
            ("limits.gossip_per_second", self.gossip_per_second),
            ("limits.gossip_burst", self.gossip_burst),
        ] {
            in_range(key, rate, 1..=u64::MAX)?;
        }
        for (key, count) in [
            ("limits.mempool_transactions", self.mempool_transactions),
            ("limits.author_transactions", self.author_transactions),
            ("limits.tenant_transactions", self.tenant_transactions),
            ("limits.block_transactions", self.block_transactions),
        ] {
            in_range(key, count, 1..=u64::MAX)?;
        }
        for (key, bytes) in [
            ("limits.mempool_bytes", self.mempool_bytes),
            ("limits.author_bytes", self.author_bytes),
            ("limits.tenant_bytes", self.tenant_bytes),
            ("limits.block_bytes", self.block_bytes),
        ] {
            in_range(key, bytes, largest.clone())?;
        }
        in_range("limits.connections", self.connections, 1..=65_536)?;
        in_range("limits.submit_deadline_ms", self.submit_deadline_ms, 1..=u64::MAX)?;
        in_range(
            "limits.block_interval_ms",
            self.block_interval_ms,
            0..=ms(timing.leader / 2),
        )?;
        in_range("limits.clock_skew_ms", self.clock_skew_ms, 0..=60_000)?;
        in_range(
            "limits.stale_after_ms",
            self.stale_after_ms,
            ms(timing.idle_block) + 1..=u64::MAX,
        )
    }
}
