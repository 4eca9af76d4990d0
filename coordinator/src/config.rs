//! The coordinator's configuration file, and the checked settings that it becomes.
//!
//! Everybody it talks to is pinned by identity key. Nothing in the file is secret; the passphrase that seals
//! the coordinator's identity is in a file of its own.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use approval::{ApprovalConfig, TrustBundle};
use serde::{Deserialize, Serialize};
use service::config::{OutOfRange, in_range};
use threshold::name::{Name, NameError};
use threshold::signature::PublicKey;

#[cfg(test)]
pub(crate) mod tests;

/// The configuration file of a coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where platforms connect.
    pub listen: SocketAddr,
    /// Where health and metrics are served, in plain HTTP.
    pub operations: SocketAddr,
    /// Where the sealed identity and the receipts that wait for the ledger are kept.
    pub directory: PathBuf,
    /// The file with the passphrase that seals the identity.
    pub passphrase_file: PathBuf,
    /// The sealed identity; `identity` in the directory when absent. Made at the first start if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_file: Option<PathBuf>,
    /// The installation of Quorate that it serves, as the crypto nodes know it.
    pub installation: String,
    /// Whose approvals count, and how many: as the crypto nodes have it. What they would refuse does not reach them.
    pub approval: ApprovalConfig,
    /// All crypto nodes, in any order.
    pub nodes: Vec<NodeConfig>,
    /// The ledger endorsers that receipts are sent to and the committee is learnt from.
    pub endorsers: Vec<EndorserConfig>,
    /// Limits; each has a default.
    #[serde(default)]
    pub limits: LimitsConfig,
}

/// A crypto node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Its name.
    pub name: String,
    /// Its identity key, hexadecimal.
    pub identity: String,
    /// Where it listens, `host:port`.
    pub address: String,
}

/// A ledger endorser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndorserConfig {
    /// Whose it is.
    pub organisation: String,
    /// Its identity key, hexadecimal.
    pub identity: String,
    /// Where it listens, `host:port`.
    pub address: String,
}

/// Limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// The longest that one re-encryption may take.
    pub deadline_ms: u64,
    /// A node slower than this is backed up by another; the delay adapts to the nodes' own latencies between
    /// this bound
    pub hedge_min_ms: u64,
    /// and this one.
    pub hedge_max_ms: u64,
    /// Re-encryptions in progress at once.
    pub in_progress: usize,
    /// Re-encryptions waiting for their turn; one more is refused.
    pub waiting: usize,
    /// Re-encryptions that one peer may ask for per second.
    pub requests_per_second: u32,
    /// Re-encryptions that one peer may ask for at once after a pause.
    pub burst: u32,
    /// Peers whose rate is remembered.
    pub peers: usize,
    /// Connections at one time.
    pub connections: usize,
    /// Release statements waiting for the ledger; more are dropped, which is counted and logged.
    pub receipts: usize,
    /// Release statements in one transaction.
    pub receipts_per_transaction: usize,
    /// How long a statement waits for others to share its transaction.
    pub receipts_flush_ms: u64,
    /// Longest validity of an approval certificate, in seconds.
    pub approval_lifetime_s: u32,
    /// How far the clocks of an endorser and this coordinator may differ, in seconds.
    pub clock_skew_s: u32,
    /// How often the committee is asked for again, and whether its nodes are there.
    pub committee_refresh_ms: u64,
    /// How long the coordinator takes to end: requests in progress first, then receipts.
    pub drain_ms: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            deadline_ms: 10_000,
            hedge_min_ms: 20,
            hedge_max_ms: 500,
            in_progress: 256,
            waiting: 1024,
            requests_per_second: 500,
            burst: 1000,
            peers: 4096,
            connections: 1024,
            receipts: 65_536,
            // What fits into 16 KiB together with what is around it: an endorser's store keeps a large value in pages of
            // a power of two, and 64 statements would leave nearly half of the next larger one empty.
            receipts_per_transaction: 57,
            receipts_flush_ms: 100,
            approval_lifetime_s: 120,
            clock_skew_s: 10,
            committee_refresh_ms: 5_000,
            drain_ms: 10_000,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// A key is not an Ed25519 public key in hexadecimal.
    #[error("{0}.identity is not an Ed25519 public key in 64 hexadecimal digits")]
    Identity(String),
    /// A key stands there twice.
    #[error("{0}.identity is the key of another peer too")]
    Repeated(String),
    /// Not a name.
    #[error("installation: {0}")]
    Installation(NameError),
    /// The trust bundle does not hold together.
    #[error("{0}")]
    Approval(String),
    /// A list is empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A limit is not in its range.
    #[error(transparent)]
    Limit(#[from] OutOfRange),
}

/// A peer, its key parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) identity: PublicKey,
    pub(crate) address: String,
}

/// A configuration that makes sense.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) nodes: Vec<Peer>,
    pub(crate) endorsers: Vec<Peer>,
    pub(crate) trust: TrustBundle,
    pub(crate) limits: LimitsConfig,
}

impl Settings {
    pub(crate) fn check(config: &Config) -> Result<Self, SettingError> {
        let mut seen = BTreeSet::new();
        let mut peer = |list: &str, place: usize, name: &str, identity: &str, address: &str| {
            let at = format!("{list}[{place}]");
            let identity = parse_identity(identity).ok_or_else(|| SettingError::Identity(at.clone()))?;
            if !seen.insert(identity.to_string()) {
                return Err(SettingError::Repeated(at));
            }
            Ok(Peer {
                name: name.to_owned(),
                identity,
                address: address.to_owned(),
            })
        };
        let nodes = config.nodes.iter().enumerate();
        let nodes =
            nodes.map(|(place, node)| peer("nodes", place, &node.name, &node.identity, &node.address));
        let nodes: Vec<Peer> = nodes.collect::<Result<_, _>>()?;
        let endorsers = config.endorsers.iter().enumerate().map(|(place, endorser)| {
            peer(
                "endorsers",
                place,
                &endorser.organisation,
                &endorser.identity,
                &endorser.address,
            )
        });
        let endorsers: Vec<Peer> = endorsers.collect::<Result<_, _>>()?;
        if nodes.is_empty() {
            return Err(SettingError::Empty("nodes"));
        }
        if endorsers.is_empty() {
            return Err(SettingError::Empty("endorsers"));
        }
        check_limits(&config.limits)?;
        let installation = Name::new(&config.installation).map_err(SettingError::Installation)?;
        let trust = config
            .approval
            .bundle(installation, |path| std::fs::read_to_string(path))
            .map_err(|error| SettingError::Approval(error.to_string()))?;
        Ok(Self {
            nodes,
            endorsers,
            trust,
            limits: config.limits.clone(),
        })
    }
}

fn parse_identity(text: &str) -> Option<PublicKey> {
    let bytes: [u8; 32] = hex::decode(text).ok()?.try_into().ok()?;
    PublicKey::from_bytes(&bytes).ok()
}

fn check_limits(limits: &LimitsConfig) -> Result<(), OutOfRange> {
    let most_in_one = golden_record::MAX_RELEASES as u64;
    in_range("limits.deadline_ms", limits.deadline_ms, 1..=u64::MAX)?;
    in_range("limits.hedge_min_ms", limits.hedge_min_ms, 1..=u64::MAX)?;
    in_range(
        "limits.hedge_max_ms",
        limits.hedge_max_ms,
        limits.hedge_min_ms..=u64::MAX,
    )?;
    in_range("limits.in_progress", limits.in_progress, 1..=65_536)?;
    in_range(
        "limits.requests_per_second",
        limits.requests_per_second,
        1..=u64::MAX,
    )?;
    in_range("limits.burst", limits.burst, 1..=u64::MAX)?;
    in_range("limits.peers", limits.peers, 1..=u64::MAX)?;
    in_range("limits.connections", limits.connections, 1..=65_536)?;
    in_range("limits.receipts", limits.receipts, 1..=u64::MAX)?;
    in_range(
        "limits.receipts_per_transaction",
        limits.receipts_per_transaction,
        1..=most_in_one,
    )?;
    in_range("limits.approval_lifetime_s", limits.approval_lifetime_s, 1..=600)?;
    in_range("limits.clock_skew_s", limits.clock_skew_s, 0..=60)?;
    in_range(
        "limits.committee_refresh_ms",
        limits.committee_refresh_ms,
        1..=u64::MAX,
    )
}
