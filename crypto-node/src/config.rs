//! The node's configuration file, and the checked settings that it becomes.
//!
//! A key may appear in one role only: a member, a coordinator or an operator. Nothing secret is in the file; it says
//! where the secrets that seal identity and share are to be had.

use serde::{Deserialize, Serialize};
use service::SealConfig;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The configuration file of a crypto node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This node's name, as in `members`.
    pub name: String,
    /// The installation of Quorate that the node serves; wrapped keys of another are refused.
    pub installation: String,
    /// Where coordinators, fellow members and operators connect.
    pub listen: SocketAddr,
    /// Where health and metrics are served, in plain HTTP.
    pub operations: SocketAddr,
    /// Where the journal, the sealed share and the ceremony state are kept.
    pub directory: PathBuf,
    /// The file with the passphrase that seals identity and share, where `seal` does not say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<PathBuf>,
    /// What seals identity and share.
    #[serde(default, skip_serializing_if = "SealsConfig::is_empty")]
    pub seal: SealsConfig,
    /// The sealed identity; `identity` in the directory when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_file: Option<PathBuf>,
    /// All crypto nodes, this one included, in the order of their seats: the first has index 1.
    pub members: Vec<MemberConfig>,
    /// Identity keys of the coordinators that may ask for re-encryption, hexadecimal.
    pub coordinators: Vec<String>,
    /// Keys of this node's operators, hexadecimal.
    pub operators: Vec<String>,
    /// Whose approvals count.
    pub approval: ApprovalConfig,
    /// What the journal is checked against.
    #[serde(default)]
    pub journal: JournalConfig,
    /// Limits; each has a default.
    #[serde(default)]
    pub limits: LimitsConfig,
}

/// What the journal is checked against when the node starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournalConfig {
    /// Where the newest mark of the journal is kept, which shows that the journal was cut or an old copy of it put
    /// back; `journal.mark` in the directory when absent. On another disk it also shows that the whole directory
    /// was put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark_file: Option<PathBuf>,
    /// Hash of the newest entry of a journal that is taken although it is not what was marked, hexadecimal; the node
    /// says which when it refuses to start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

impl JournalConfig {
    /// Where the mark is, for a node with this directory.
    #[must_use]
    pub fn mark_path(&self, directory: &Path) -> PathBuf {
        let default = || directory.join("journal.mark");
        self.mark_file.clone().unwrap_or_else(default)
    }
}

/// What seals the node's secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SealsConfig {
    /// The identity's seal; the passphrase file's when absent. Not one that a person opens, because the node needs its
    /// identity to hear that person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<SealConfig>,
    /// The share's seal; the identity's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<SealConfig>,
}

impl SealsConfig {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A member of the committee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberConfig {
    /// Its name.
    pub name: String,
    /// Its identity key, hexadecimal.
    pub identity: String,
    /// Where it listens, `host:port`.
    pub address: String,
}

/// The trust bundle: whose approvals count, and how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalConfig {
    /// The chain that approvals must come from, hexadecimal.
    pub chain_id: String,
    /// Version of this bundle, as in the certificates.
    pub version: u32,
    /// Policy over the organisations, for example `OUTOF(3, north, south, east, west)`.
    pub policy: String,
    /// The organisations and their roots.
    pub organisations: Vec<OrganisationConfig>,
}

/// An organisation that approves reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganisationConfig {
    /// Its name, as in the policy.
    pub name: String,
    /// Its root certificate: a PEM file's path, or the PEM itself.
    pub root: String,
}

/// Limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Re-encryption requests that one coordinator may send per second.
    pub requests_per_second: u32,
    /// Requests that one coordinator may send at once after a pause.
    pub burst: u32,
    /// Longest validity of an approval certificate, in seconds.
    pub approval_lifetime_s: u32,
    /// How far the clocks of an endorser and this node may differ, in seconds.
    pub clock_skew_s: u32,
    /// How long a ceremony may take until this node has tried its key and confirmed, in seconds.
    pub ceremony_s: u32,
    /// Connections at one time.
    pub connections: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            requests_per_second: 1_000,
            burst: 1_000,
            approval_lifetime_s: 120,
            clock_skew_s: 10,
            ceremony_s: 600,
            connections: 256,
        }
    }
}
