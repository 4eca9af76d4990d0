//! Typed reads of the state.

use threshold::committee::SignedManifest;
use threshold::encoding::{Canonical, Reader};
use threshold::ids::{ApproveId, KeyId, ManifestDigest};
use threshold::name::{DocumentName, Name};
use threshold::signature::PublicKey;

use crate::block::Header;
use crate::body::Role;
use crate::genesis::{Genesis, Limits};
use crate::keys;
use crate::merkle::{Frontier, Hash, NodeReader};
use crate::outcome::DenialReason;
use crate::records::{
    Dataset, DocumentVersion, Endorser, Epoch, Erasure, LinkVersion, Organisations, Party, ReadRecord,
    Tenant, TransactionRecord, User, frontier_from_bytes,
};
use crate::rules::{AllowedRead, ReadQuestion, decide};
use crate::state::{StateError, StateReader};

/// The object at `key`, if there is one.
pub(crate) fn find<T: Canonical>(state: &dyn StateReader, key: &[u8]) -> Result<Option<T>, StateError> {
    match state.get(key)? {
        None => Ok(None),
        Some(bytes) => T::from_bytes(&bytes)
            .map(Some)
            .map_err(|error| StateError::corrupt(key, error)),
    }
}

/// Whether there is anything at `key`.
pub(crate) fn exists(state: &dyn StateReader, key: &[u8]) -> Result<bool, StateError> {
    Ok(state.get(key)?.is_some())
}

/// The object at `key`, which every state has.
pub(crate) fn require<T: Canonical>(state: &dyn StateReader, key: &[u8]) -> Result<T, StateError> {
    find(state, key)?.ok_or_else(|| StateError::corrupt(key, "missing"))
}

pub(crate) fn find_u64(state: &dyn StateReader, key: &[u8]) -> Result<Option<u64>, StateError> {
    let Some(bytes) = state.get(key)? else {
        return Ok(None);
    };
    let mut reader = Reader::new(&bytes);
    let number = reader.u64().and_then(|number| reader.finish().map(|()| number));
    number.map(Some).map_err(|error| StateError::corrupt(key, error))
}

/// The genesis.
///
/// # Errors
/// As for every function of this module: when the store fails, or holds what it cannot.
pub fn genesis(state: &dyn StateReader) -> Result<Genesis, StateError> {
    require(state, keys::GENESIS)
}

/// The limits of the genesis.
///
/// # Errors
/// [`StateError`].
pub fn limits(state: &dyn StateReader) -> Result<Limits, StateError> {
    require(state, keys::LIMITS)
}

/// The installation's name.
///
/// # Errors
/// [`StateError`].
pub fn installation(state: &dyn StateReader) -> Result<Name, StateError> {
    require(state, keys::INSTALLATION)
}

/// The newest header.
///
/// # Errors
/// [`StateError`].
pub fn header(state: &dyn StateReader) -> Result<Header, StateError> {
    require(state, keys::HEADER)
}

/// The compact right edge of the log.
///
/// # Errors
/// [`StateError`].
pub fn frontier(state: &dyn StateReader) -> Result<Frontier, StateError> {
    let bytes = state
        .get(keys::FRONTIER)?
        .ok_or_else(|| StateError::corrupt(keys::FRONTIER, "missing"))?;
    frontier_from_bytes(&bytes).map_err(|error| StateError::corrupt(keys::FRONTIER, error))
}

/// The organisations that run the chain.
///
/// # Errors
/// [`StateError`].
pub fn organisations(state: &dyn StateReader) -> Result<Organisations, StateError> {
    require(state, keys::ORGANISATIONS)
}

/// The endorsers of an epoch, if that is decided on. Epoch 0 is that of the genesis.
///
/// # Errors
/// [`StateError`].
pub fn epoch(state: &dyn StateReader, number: u64) -> Result<Option<Epoch>, StateError> {
    if number > 0 {
        return find(state, &keys::epoch(number));
    }
    let organisations = genesis(state)?;
    let endorsers = organisations.organisations().iter().map(|one| Endorser {
        organisation: one.name.clone(),
        validator: one.validator,
        address: None,
    });
    Ok(Some(Epoch {
        first: 0,
        log_index: 0,
        endorsers: endorsers.collect(),
    }))
}

/// The number of the newest epoch that is decided on. It may begin with a later block than the next.
///
/// # Errors
/// [`StateError`].
pub fn newest_epoch(state: &dyn StateReader) -> Result<u64, StateError> {
    Ok(find_u64(state, keys::NEWEST_EPOCH)?.unwrap_or(0))
}

/// The number of the epoch in which the block at a height is, for a height after all blocks that this state knows of.
///
/// # Errors
/// [`StateError`].
pub fn epoch_of(state: &dyn StateReader, height: u64) -> Result<u64, StateError> {
    let newest = newest_epoch(state)?;
    match newest.checked_sub(1) {
        // No epoch is decided on before the one before it has begun.
        Some(before) if require::<Epoch>(state, &keys::epoch(newest))?.first > height => Ok(before),
        _ => Ok(newest),
    }
}

/// Who holds a key.
///
/// # Errors
/// [`StateError`].
pub fn party(state: &dyn StateReader, key: &PublicKey) -> Result<Option<Party>, StateError> {
    find(state, &keys::party(key))
}

/// A tenant.
///
/// # Errors
/// [`StateError`].
pub fn tenant(state: &dyn StateReader, tenant: &Name) -> Result<Option<Tenant>, StateError> {
    find(state, &keys::tenant(tenant))
}

/// A user.
///
/// # Errors
/// [`StateError`].
pub fn user(state: &dyn StateReader, tenant: &Name, user: &Name) -> Result<Option<User>, StateError> {
    find(state, &keys::user(tenant, user))
}

/// A dataset.
///
/// # Errors
/// [`StateError`].
pub fn dataset(
    state: &dyn StateReader,
    tenant: &Name,
    dataset: &Name,
) -> Result<Option<Dataset>, StateError> {
    find(state, &keys::dataset(tenant, dataset))
}

/// Whether a user has a role in a dataset.
///
/// # Errors
/// [`StateError`].
pub fn has_role(
    state: &dyn StateReader,
    tenant: &Name,
    dataset: &Name,
    role: Role,
    user: &Name,
) -> Result<bool, StateError> {
    exists(state, &keys::role(tenant, dataset, role, user))
}

/// Whether a user may read or write in a dataset: it has the role, or the dataset has permissions switched off.
///
/// # Errors
/// [`StateError`].
pub fn may(
    state: &dyn StateReader,
    tenant: &Name,
    dataset: &Name,
    role: Role,
    user: &Name,
) -> Result<bool, StateError> {
    if has_role(state, tenant, dataset, role, user)? {
        return Ok(true);
    }
    let open = self::dataset(state, tenant, dataset)?.is_some_and(|found| !found.configuration.permissions);
    Ok(open && role != Role::Owner)
}

/// Whether a version of a document is erased, by itself or with the whole document; version 0 asks for the latter.
///
/// # Errors
/// [`StateError`].
pub fn erased(
    state: &dyn StateReader,
    tenant: &Name,
    dataset: &Name,
    document: &DocumentName,
    version: u64,
) -> Result<Option<Erasure>, StateError> {
    match find(state, &keys::erased(tenant, dataset, document, 0))? {
        None if version > 0 => find(state, &keys::erased(tenant, dataset, document, version)),
        found => Ok(found),
    }
}

/// The latest version of a link.
///
/// # Errors
/// [`StateError`].
pub fn latest_link(
    state: &dyn StateReader,
    tenant: &Name,
    dataset: &Name,
    link: &Name,
) -> Result<Option<u64>, StateError> {
    find_u64(state, &keys::latest_link(tenant, dataset, link))
}

/// One version of a link.
///
/// # Errors
/// [`StateError`].
pub fn link_version(
    state: &dyn StateReader,
    tenant: &Name,
    dataset: &Name,
    link: &Name,
    version: u64,
) -> Result<Option<LinkVersion>, StateError> {
    find(state, &keys::link_version(tenant, dataset, link, version))
}

/// The latest version of a document.
///
/// # Errors
/// [`StateError`].
pub fn latest_version(
    state: &dyn StateReader,
    tenant: &Name,
    dataset: &Name,
    document: &DocumentName,
) -> Result<Option<u64>, StateError> {
    find_u64(state, &keys::latest(tenant, dataset, document))
}

/// One version of a document.
///
/// # Errors
/// [`StateError`].
pub fn document_version(
    state: &dyn StateReader,
    tenant: &Name,
    dataset: &Name,
    document: &DocumentName,
    version: u64,
) -> Result<Option<DocumentVersion>, StateError> {
    find(state, &keys::document_version(tenant, dataset, document, version))
}

/// The newest committee of a custody key.
///
/// # Errors
/// [`StateError`].
pub fn committee(state: &dyn StateReader, key_id: &KeyId) -> Result<Option<SignedManifest>, StateError> {
    match find::<ManifestDigest>(state, &keys::committee(key_id))? {
        None => Ok(None),
        Some(digest) => require(state, &keys::committee_digest(&digest)).map(Some),
    }
}

/// The committee with a manifest digest.
///
/// # Errors
/// [`StateError`].
pub fn committee_by_digest(
    state: &dyn StateReader,
    digest: &ManifestDigest,
) -> Result<Option<SignedManifest>, StateError> {
    find(state, &keys::committee_digest(digest))
}

/// The committee published last.
///
/// # Errors
/// [`StateError`].
pub fn newest_committee(state: &dyn StateReader) -> Result<Option<SignedManifest>, StateError> {
    match find::<KeyId>(state, keys::NEWEST_COMMITTEE)? {
        None => Ok(None),
        Some(key_id) => committee(state, &key_id),
    }
}

/// Whether the holder of a key would be allowed a read now, and what it would open; or why not.
///
/// # Errors
/// [`StateError`].
pub fn decide_read(
    state: &dyn StateReader,
    author: &PublicKey,
    question: &ReadQuestion<'_>,
) -> Result<Result<AllowedRead, DenialReason>, StateError> {
    match party(state, author)? {
        Some(party) => decide(state, &party, question),
        None => Ok(Err(DenialReason::NotAUser)),
    }
}

/// An approved read.
///
/// # Errors
/// [`StateError`].
pub fn read_record(
    state: &dyn StateReader,
    approve_id: &ApproveId,
) -> Result<Option<ReadRecord>, StateError> {
    find(state, &keys::read(approve_id))
}

/// The index in the log of the record of a release for an approved read, by a node of this committee.
///
/// # Errors
/// [`StateError`].
pub fn release(
    state: &dyn StateReader,
    approve_id: &ApproveId,
    committee: &ManifestDigest,
    node: u16,
) -> Result<Option<u64>, StateError> {
    find_u64(state, &keys::release(approve_id, committee, node))
}

/// Where a transaction is, as long as it has not expired and been pruned.
///
/// # Errors
/// [`StateError`].
pub fn transaction(state: &dyn StateReader, id: &ApproveId) -> Result<Option<TransactionRecord>, StateError> {
    find(state, &keys::transaction(id))
}

/// The completed subtrees of the log, read from the state, for
/// [`inclusion_proof`](crate::merkle::inclusion_proof) and
/// [`consistency_proof`](crate::merkle::consistency_proof). Nodes of any size up to the newest header's can be
/// read; the log only grows, so proofs for older sizes are computed from the same nodes.
pub struct LogNodes<'a>(pub &'a dyn StateReader);

impl NodeReader for LogNodes<'_> {
    fn node(&self, level: u8, index: u64) -> Result<Hash, StateError> {
        let key = keys::log_node(level, index);
        let bytes = self
            .0
            .get(&key)?
            .ok_or_else(|| StateError::corrupt(&key, "missing"))?;
        Hash::try_from(bytes.as_slice()).map_err(|error| StateError::corrupt(&key, error))
    }
}
