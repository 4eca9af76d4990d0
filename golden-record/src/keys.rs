//! Where everything is in the state. Keys are readable; names cannot contain `/`, so none runs into the next,
//! and where a document's name, which can, is followed by a version, that is always 20 digits.
//!
//! The prefixes are for range scans by whoever has a store that can; the rules themselves only look keys up.

use threshold::ids::{ApproveId, KeyId, ManifestDigest};
use threshold::name::{DocumentName, Name};
use threshold::signature::PublicKey;

use crate::body::Role;
use crate::merkle::Hash;

/// The genesis.
pub const GENESIS: &[u8] = b"chain/genesis";
/// The limits of the genesis.
pub const LIMITS: &[u8] = b"chain/limits";
/// The installation's name.
pub const INSTALLATION: &[u8] = b"chain/installation";
/// The newest header. The one key that the state digest does not cover, because its value holds that.
pub const HEADER: &[u8] = b"chain/header";
/// The compact right edge of the log: `u64 size ‖ u32 count ‖ hashes`.
pub const FRONTIER: &[u8] = b"log/frontier";
/// The key id of the newest published committee.
pub const NEWEST_COMMITTEE: &[u8] = b"committee/newest";
/// The organisations and their revision.
pub const ORGANISATIONS: &[u8] = b"organisations";
/// The number of the newest epoch of endorsers, 8 bytes big-endian; absent while there is only that of the genesis.
pub const NEWEST_EPOCH: &[u8] = b"epoch/newest";
/// Where pruning of expired transaction ids stands.
pub const REPLAY: &[u8] = b"expiry/cursor";

/// Followed by the level (1 byte) and the index (8 bytes, big-endian) of a completed subtree.
pub const LOG_NODE_PREFIX: &[u8] = b"log/node/";
/// Followed by a tenant's name.
pub const TENANT_PREFIX: &[u8] = b"tenant/";
/// Followed by a key of the state that has a history: how often it has been set or removed.
pub const HISTORY_PREFIX: &[u8] = b"history/";
/// Followed by a transaction's id in hexadecimal.
pub const READ_PREFIX: &[u8] = b"read/";
/// Followed by a key id in hexadecimal.
pub const COMMITTEE_PREFIX: &[u8] = b"committee/key/";

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A completed subtree of the log.
pub fn log_node(level: u8, index: u64) -> Vec<u8> {
    let mut key = LOG_NODE_PREFIX.to_vec();
    key.push(level);
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// `party/<public key>`: who holds a key.
pub fn party(key: &PublicKey) -> Vec<u8> {
    format!("party/{key}").into_bytes()
}

/// `tenant/<tenant>`.
pub fn tenant(tenant: &Name) -> Vec<u8> {
    format!("tenant/{tenant}").into_bytes()
}

/// `user/<tenant>/`: all users of a tenant.
pub fn users(tenant: &Name) -> Vec<u8> {
    format!("user/{tenant}/").into_bytes()
}

/// `user/<tenant>/<user>`.
pub fn user(tenant: &Name, user: &Name) -> Vec<u8> {
    format!("user/{tenant}/{user}").into_bytes()
}

/// `dataset/<tenant>/`: all datasets of a tenant.
pub fn datasets(tenant: &Name) -> Vec<u8> {
    format!("dataset/{tenant}/").into_bytes()
}

/// `dataset/<tenant>/<dataset>`.
pub fn dataset(tenant: &Name, dataset: &Name) -> Vec<u8> {
    format!("dataset/{tenant}/{dataset}").into_bytes()
}

/// `role/<tenant>/<dataset>/<role>/`: all users with a role.
pub fn roles(tenant: &Name, dataset: &Name, role: Role) -> Vec<u8> {
    format!("role/{tenant}/{dataset}/{role}/").into_bytes()
}

/// `history/role/<tenant>/<dataset>/<role>/`: all users that have the role or have had it.
pub fn roles_ever(tenant: &Name, dataset: &Name, role: Role) -> Vec<u8> {
    history(&roles(tenant, dataset, role))
}

/// `role/<tenant>/<dataset>/<role>/<user>`: present when the user has the role.
pub fn role(tenant: &Name, dataset: &Name, role: Role, user: &Name) -> Vec<u8> {
    format!("role/{tenant}/{dataset}/{role}/{user}").into_bytes()
}

/// `latest/<tenant>/<dataset>/`: all documents of a dataset with their latest versions.
pub fn documents(tenant: &Name, dataset: &Name) -> Vec<u8> {
    format!("latest/{tenant}/{dataset}/").into_bytes()
}

/// `latest/<tenant>/<dataset>/<document>`: the latest version, 8 bytes big-endian.
pub fn latest(tenant: &Name, dataset: &Name, document: &DocumentName) -> Vec<u8> {
    format!("latest/{tenant}/{dataset}/{document}").into_bytes()
}

/// `doc/<tenant>/<dataset>/<document>/<version, 20 digits>`.
pub fn document_version(tenant: &Name, dataset: &Name, document: &DocumentName, version: u64) -> Vec<u8> {
    format!("doc/{tenant}/{dataset}/{document}/{version:020}").into_bytes()
}

/// `wrapped/<tenant>/<dataset>/<document>/<version, 20 digits>`: the write id and the key id of that version, if it has them.
pub fn wrapped_key(tenant: &Name, dataset: &Name, document: &DocumentName, version: u64) -> Vec<u8> {
    format!("wrapped/{tenant}/{dataset}/{document}/{version:020}").into_bytes()
}

/// `erased/<tenant>/<dataset>/<document>/<version, 20 digits>`: present when this version is erased, or with version 0
/// when the document is.
pub fn erased(tenant: &Name, dataset: &Name, document: &DocumentName, version: u64) -> Vec<u8> {
    format!("erased/{tenant}/{dataset}/{document}/{version:020}").into_bytes()
}

/// `links/<tenant>/<dataset>/`: all links of a dataset with their latest versions.
pub fn links(tenant: &Name, dataset: &Name) -> Vec<u8> {
    format!("links/{tenant}/{dataset}/").into_bytes()
}

/// `links/<tenant>/<dataset>/<link>`: the latest version, 8 bytes big-endian.
pub fn latest_link(tenant: &Name, dataset: &Name, link: &Name) -> Vec<u8> {
    format!("links/{tenant}/{dataset}/{link}").into_bytes()
}

/// `link/<tenant>/<dataset>/<link>/<version, 20 digits>`: one version of a link.
pub fn link_version(tenant: &Name, dataset: &Name, link: &Name, version: u64) -> Vec<u8> {
    format!("link/{tenant}/{dataset}/{link}/{version:020}").into_bytes()
}

/// What changes in place and is kept as it was at every height: `organisations`, `committee/newest`, and whatever
/// begins with one of these.
const WITH_HISTORY: [&[u8]; 9] = [
    b"committee/key/",
    b"party/",
    b"tenant/",
    b"user/",
    b"dataset/",
    b"role/",
    b"latest/",
    b"erased/",
    b"links/",
];

/// Whether the state keeps what was at `key` at earlier heights.
pub fn has_history(key: &[u8]) -> bool {
    key == ORGANISATIONS
        || key == NEWEST_COMMITTEE
        || WITH_HISTORY.iter().any(|prefix| key.starts_with(prefix))
}

/// `history/<key>`: how often `key` has been set or removed, 8 bytes big-endian.
pub fn history(key: &[u8]) -> Vec<u8> {
    [HISTORY_PREFIX, key].concat()
}

/// `past/<number, 20 digits>/<key>`: the height at which `key` was set or removed for the numbered time, counted from
/// 1, and its value from then on.
pub fn past(key: &[u8], number: u64) -> Vec<u8> {
    [format!("past/{number:020}/").as_bytes(), key].concat()
}

/// `committee/key/<key id>`: the digest of its newest manifest.
pub fn committee(key_id: &KeyId) -> Vec<u8> {
    format!("committee/key/{key_id}").into_bytes()
}

/// `committee/digest/<manifest digest>`: the signed manifest.
pub fn committee_digest(digest: &ManifestDigest) -> Vec<u8> {
    format!("committee/digest/{digest}").into_bytes()
}

/// `seat/<manifest digest>/<node's index, 5 digits>`: the key id and the node's identity key.
pub fn seat(digest: &ManifestDigest, node: u16) -> Vec<u8> {
    format!("seat/{digest}/{node:05}").into_bytes()
}

/// `confirmed/<revision, 20 digits>/<proposal>`: how many organisations of this revision have confirmed a proposal, 4
/// bytes big-endian.
pub fn confirmations(revision: u64, proposal: &Hash) -> Vec<u8> {
    format!("confirmed/{revision:020}/{}", hexadecimal(proposal)).into_bytes()
}

/// `confirmed/<revision, 20 digits>/<proposal>/<organisation>`: present when it has confirmed.
pub fn confirmation(revision: u64, proposal: &Hash, organisation: &Name) -> Vec<u8> {
    format!(
        "confirmed/{revision:020}/{}/{organisation}",
        hexadecimal(proposal)
    )
    .into_bytes()
}

/// `epoch/<number, 20 digits>`: the endorsers of an epoch after the first.
pub fn epoch(number: u64) -> Vec<u8> {
    format!("epoch/{number:020}").into_bytes()
}

/// `read/<approve id>`: an approved read.
pub fn read(approve_id: &ApproveId) -> Vec<u8> {
    format!("read/{approve_id}").into_bytes()
}

/// `release/<approve id>/`: all recorded releases of an approved read.
pub fn releases(approve_id: &ApproveId) -> Vec<u8> {
    format!("release/{approve_id}/").into_bytes()
}

/// `release/<approve id>/<manifest digest>/<node's index, 5 digits>`: the index in the log of its record, 8 bytes
/// big-endian. A seat of an earlier committee does not stand for the same seat of a later one.
pub fn release(approve_id: &ApproveId, committee: &ManifestDigest, node: u16) -> Vec<u8> {
    format!("release/{approve_id}/{committee}/{node:05}").into_bytes()
}

/// `tx/<transaction id>`: where a transaction is, until it has expired.
pub fn transaction(id: &ApproveId) -> Vec<u8> {
    format!("tx/{id}").into_bytes()
}

/// `expiry/<second, 20 digits>`: how many transactions expire within that second, 4 bytes big-endian.
pub fn expiring_count(second: u64) -> Vec<u8> {
    format!("expiry/{second:020}").into_bytes()
}

/// `expiry/<second, 20 digits>/<10 digits>`: the id of one of them, 32 bytes.
pub fn expiring(second: u64, position: u32) -> Vec<u8> {
    format!("expiry/{second:020}/{position:010}").into_bytes()
}
