//! The values of the state.

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::ids::{KeyId, WriteId};
use threshold::label::Label;
use threshold::name::{DocumentName, Name};
use threshold::signature::PublicKey;
use threshold::wrap::WrappedKey;

use crate::address::Address;
use crate::body::{Configuration, LinkSource, LinkTarget, MAX_INLINE, MAX_MATERIAL};
use crate::codec::{read_optional_bytes, read_version, write_optional_bytes, write_version};
use crate::genesis::{MAX_PARTIES, Organisation};
use crate::merkle::{Frontier, MAX_PEAKS};
use crate::quorum::Quorum;

/// Who holds a key. Every key in the installation has one holder and one purpose.
///
/// Encoded as a tag byte and the names: 1 organisation's admin, 2 validator, 3 coordinator, 4 auditor, 5 tenant's
/// admin, 6 user, 7 retired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// Publishes committees, creates tenants.
    OrganisationAdmin {
        /// Of which organisation.
        organisation: Name,
    },
    /// Votes; authors nothing.
    Validator {
        /// Of which organisation.
        organisation: Name,
    },
    /// Records releases.
    Coordinator,
    /// Reads the log; authors nothing.
    Auditor,
    /// Creates users and datasets, grants and revokes.
    TenantAdmin {
        /// Of which tenant.
        tenant: Name,
    },
    /// Does what its roles allow.
    User {
        /// Of which tenant.
        tenant: Name,
        /// Its name there.
        user: Name,
    },
    /// Nobody any more: the key was replaced or revoked, and nobody can be given it again.
    Retired,
}

impl Party {
    /// Whether it may author transactions at all.
    pub fn may_write(&self) -> bool {
        !matches!(self, Self::Auditor | Self::Validator { .. } | Self::Retired)
    }
}

impl Canonical for Party {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::OrganisationAdmin { organisation } => {
                writer.u8(1);
                writer.put(organisation);
            }
            Self::Validator { organisation } => {
                writer.u8(2);
                writer.put(organisation);
            }
            Self::Coordinator => writer.u8(3),
            Self::Auditor => writer.u8(4),
            Self::TenantAdmin { tenant } => {
                writer.u8(5);
                writer.put(tenant);
            }
            Self::User { tenant, user } => {
                writer.u8(6);
                writer.put(tenant);
                writer.put(user);
            }
            Self::Retired => writer.u8(7),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::OrganisationAdmin {
                organisation: reader.get()?,
            }),
            2 => Ok(Self::Validator {
                organisation: reader.get()?,
            }),
            3 => Ok(Self::Coordinator),
            4 => Ok(Self::Auditor),
            5 => Ok(Self::TenantAdmin {
                tenant: reader.get()?,
            }),
            6 => Ok(Self::User {
                tenant: reader.get()?,
                user: reader.get()?,
            }),
            7 => Ok(Self::Retired),
            _ => Err(DecodeError::Invalid("party")),
        }
    }
}

/// The organisations that run the chain, and which edition of that list this is: every change of it begins another, and
/// what was confirmed under an earlier one counts no more.
///
/// Encoded as `u64 revision ‖ u32 count ‖ organisations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organisations {
    /// 1 in the genesis.
    pub revision: u64,
    /// At least one.
    pub members: Vec<Organisation>,
}

impl Organisations {
    /// How many of them decide: as many as make a block final.
    pub fn needed(&self) -> usize {
        Quorum::of(self.members.len()).map_or(usize::MAX, |quorum| quorum.needed())
    }
}

impl Canonical for Organisations {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.revision);
        writer.list(&self.members);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            revision: reader.u64()?,
            members: reader.list(MAX_PARTIES)?,
        })
    }
}

/// An endorser of an epoch.
///
/// Encoded as `organisation ‖ validator (32) ‖ 0x00, or 0x01 ‖ address`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endorser {
    /// The organisation that runs it.
    pub organisation: Name,
    /// The key it votes with.
    pub validator: PublicKey,
    /// Where it listens to its fellows; absent for one of the genesis, whose address is configured.
    pub address: Option<Address>,
}

impl Canonical for Endorser {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.organisation);
        writer.put(&self.validator);
        writer.option(self.address.as_ref());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            organisation: reader.get()?,
            validator: reader.get()?,
            address: reader.option()?,
        })
    }
}

/// The endorsers that decide on the blocks from a height on, until the next epoch.
///
/// Encoded as `u64 first ‖ u64 log index ‖ u32 count ‖ endorsers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// The height of its first block.
    pub first: u64,
    /// The log index of the transaction that decided on it.
    pub log_index: u64,
    /// In the order of the organisations.
    pub endorsers: Vec<Endorser>,
}

impl Canonical for Epoch {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.first);
        writer.u64(self.log_index);
        writer.list(&self.endorsers);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            first: reader.u64()?,
            log_index: reader.u64()?,
            endorsers: reader.list(MAX_PARTIES)?,
        })
    }
}

/// A tenant. Encoded as `u64 version ‖ admin (32)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// From 1; every change adds one.
    pub version: u64,
    /// Its admin's key.
    pub admin: PublicKey,
}

impl Canonical for Tenant {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.version);
        writer.put(&self.admin);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            version: reader.u64()?,
            admin: reader.get()?,
        })
    }
}

/// A user. Encoded as `u64 version ‖ 0x00, or 0x01 ‖ key (32)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// From 1; every change adds one.
    pub version: u64,
    /// Its key, unless it is revoked.
    pub key: Option<PublicKey>,
}

impl Canonical for User {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.version);
        writer.option(self.key.as_ref());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            version: reader.u64()?,
            key: reader.option()?,
        })
    }
}

/// A dataset with its permissions. Encoded as `u64 version ‖ active (1) ‖ configuration (4) ‖ u64 owners`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// From 1; every change adds one, whether of the roles, of the configuration or of the activity.
    pub version: u64,
    /// Whether documents can be written and read.
    pub active: bool,
    /// How it treats its documents.
    pub configuration: Configuration,
    /// How many owners it has, at least one.
    pub owners: u64,
}

impl Canonical for Dataset {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.version);
        writer.bool(self.active);
        writer.put(&self.configuration);
        writer.u64(self.owners);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            version: reader.u64()?,
            active: reader.bool()?,
            configuration: reader.get()?,
            owners: reader.u64()?,
        })
    }
}

/// One version of a document, as it stands on the chain.
///
/// ```text
/// version (1) ‖ suite (1) ‖ tenant ‖ dataset ‖ document ‖ u64 version
///     ‖ 0x00, or 0x01 ‖ wrapped key ‖ u32 length ‖ material ‖ checksum (32) ‖ u64 size ‖ 0x00, or 0x01 ‖ u32 length ‖ inline ‖ writer ‖ u64 height ‖ u64 log index
///     ‖ u64 time_ms
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentVersion {
    /// The tenant.
    pub tenant: Name,
    /// The dataset.
    pub dataset: Name,
    /// The document.
    pub document: DocumentName,
    /// The version, from 1.
    pub version: u64,
    /// The wrapped data key, when the dataset was threshold-encrypted.
    pub wrapped_key: Option<WrappedKey>,
    /// The object key, location and metadata.
    pub material: Vec<u8>,
    /// SHA-256 of the encrypted object.
    pub checksum: [u8; 32],
    /// Bytes of the encrypted object.
    pub size: u64,
    /// The encrypted object, when it is on the chain.
    pub inline: Option<Vec<u8>>,
    /// Who wrote it.
    pub writer: Name,
    /// The height of its block.
    pub height: u64,
    /// The index in the log of the transaction that wrote it.
    pub log_index: u64,
    /// The time of its block.
    pub time_ms: u64,
}

impl DocumentVersion {
    /// What the wrapped key of this version must be labelled with.
    pub fn label(&self, installation: &Name) -> Label {
        Label {
            installation: installation.clone(),
            tenant: self.tenant.clone(),
            dataset: self.dataset.clone(),
            document: self.document.clone(),
            version: self.version,
        }
    }
}

impl Canonical for DocumentVersion {
    fn encode(&self, writer: &mut Writer) {
        write_version(writer);
        writer.put(&self.tenant);
        writer.put(&self.dataset);
        writer.put(&self.document);
        writer.u64(self.version);
        writer.option(self.wrapped_key.as_ref());
        writer.bytes(&self.material);
        writer.fixed(&self.checksum);
        writer.u64(self.size);
        write_optional_bytes(writer, self.inline.as_deref());
        writer.put(&self.writer);
        writer.u64(self.height);
        writer.u64(self.log_index);
        writer.u64(self.time_ms);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_version(reader, "document version")?;
        Ok(Self {
            tenant: reader.get()?,
            dataset: reader.get()?,
            document: reader.get()?,
            version: reader.u64()?,
            wrapped_key: reader.option()?,
            material: reader.bytes(MAX_MATERIAL)?.to_vec(),
            checksum: reader.fixed()?,
            size: reader.u64()?,
            inline: read_optional_bytes(reader, MAX_INLINE)?,
            writer: reader.get()?,
            height: reader.u64()?,
            log_index: reader.u64()?,
            time_ms: reader.u64()?,
        })
    }
}

/// One version of a link between documents.
///
/// Encoded as `tenant ‖ dataset ‖ link ‖ u64 version ‖ relation ‖ source ‖ 0x00, or 0x01 ‖ target ‖ writer ‖ u64 height
/// ‖ u64 log index ‖ u64 time_ms`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkVersion {
    /// The tenant.
    pub tenant: Name,
    /// The dataset that the link belongs to.
    pub dataset: Name,
    /// The link.
    pub link: Name,
    /// The version, from 1.
    pub version: u64,
    /// What the source is to the target.
    pub relation: Name,
    /// Where it begins.
    pub source: LinkSource,
    /// Where it points; absent in the version that ends it.
    pub target: Option<LinkTarget>,
    /// Who wrote it.
    pub writer: Name,
    /// The height of its block.
    pub height: u64,
    /// The index in the log of the transaction that wrote it.
    pub log_index: u64,
    /// The time of its block.
    pub time_ms: u64,
}

impl Canonical for LinkVersion {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.tenant);
        writer.put(&self.dataset);
        writer.put(&self.link);
        writer.u64(self.version);
        writer.put(&self.relation);
        writer.put(&self.source);
        writer.option(self.target.as_ref());
        writer.put(&self.writer);
        writer.u64(self.height);
        writer.u64(self.log_index);
        writer.u64(self.time_ms);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            tenant: reader.get()?,
            dataset: reader.get()?,
            link: reader.get()?,
            version: reader.u64()?,
            relation: reader.get()?,
            source: reader.get()?,
            target: reader.option()?,
            writer: reader.get()?,
            height: reader.u64()?,
            log_index: reader.u64()?,
            time_ms: reader.u64()?,
        })
    }
}

/// When a document, or a version of it, was erased. Encoded as `u64 height ‖ u64 log index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// The height of the block.
    pub height: u64,
    /// The index in the log of the transaction that erased it.
    pub log_index: u64,
}

impl Canonical for Erasure {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.height);
        writer.u64(self.log_index);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            height: reader.u64()?,
            log_index: reader.u64()?,
        })
    }
}

/// What a decision about a read needs to know of a document version, kept beside it so that deciding does not
/// parse the whole. Encoded as `write id (32) ‖ key id (32)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrappedKeyId {
    /// The wrapped key.
    pub write_id: WriteId,
    /// The custody key it is wrapped under.
    pub key_id: KeyId,
}

impl Canonical for WrappedKeyId {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.write_id);
        writer.put(&self.key_id);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            write_id: reader.get()?,
            key_id: reader.get()?,
        })
    }
}

/// The wrapped key of a version that need not have one. Encoded as `0x00, or 0x01 ‖ write id (32) ‖ key id (32)`.
pub(crate) struct PossibleKey(pub(crate) Option<WrappedKeyId>);

impl Canonical for PossibleKey {
    fn encode(&self, writer: &mut Writer) {
        writer.option(self.0.as_ref());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.option()?))
    }
}

/// A seat of a published committee. Encoded as `key id (32) ‖ identity (32)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The committee's custody key.
    pub key_id: KeyId,
    /// The key that the node in this seat signs with.
    pub identity: PublicKey,
}

impl Canonical for Seat {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.key_id);
        writer.put(&self.identity);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            key_id: reader.get()?,
            identity: reader.get()?,
        })
    }
}

/// An approved read.
///
/// Encoded as `tenant ‖ dataset ‖ document ‖ u64 version ‖ user ‖ q (32) ‖ write id (32) ‖ key id (32) ‖ u64 height
/// ‖ u64 log index ‖ u64 time_ms ‖ u64 expires_ms`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord {
    /// The tenant.
    pub tenant: Name,
    /// The dataset.
    pub dataset: Name,
    /// The document.
    pub document: DocumentName,
    /// The version.
    pub version: u64,
    /// Who reads.
    pub user: Name,
    /// The ephemeral key Q, checked when the request was.
    pub q: [u8; 32],
    /// The wrapped key.
    pub write_id: WriteId,
    /// Its custody key.
    pub key_id: KeyId,
    /// The height of the block with the verdict.
    pub height: u64,
    /// The index in the log of the request.
    pub log_index: u64,
    /// The time of its block.
    pub time_ms: u64,
    /// When the request expires.
    pub expires_ms: u64,
}

impl Canonical for ReadRecord {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.tenant);
        writer.put(&self.dataset);
        writer.put(&self.document);
        writer.u64(self.version);
        writer.put(&self.user);
        writer.fixed(&self.q);
        writer.put(&self.write_id);
        writer.put(&self.key_id);
        writer.u64(self.height);
        writer.u64(self.log_index);
        writer.u64(self.time_ms);
        writer.u64(self.expires_ms);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            tenant: reader.get()?,
            dataset: reader.get()?,
            document: reader.get()?,
            version: reader.u64()?,
            user: reader.get()?,
            q: reader.fixed()?,
            write_id: reader.get()?,
            key_id: reader.get()?,
            height: reader.u64()?,
            log_index: reader.u64()?,
            time_ms: reader.u64()?,
            expires_ms: reader.u64()?,
        })
    }
}

/// Where a transaction is that has not expired yet. Encoded as `u64 height ‖ u64 log index ‖ u64 expires_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionRecord {
    /// The height of its block.
    pub height: u64,
    /// Its index in the log.
    pub log_index: u64,
    /// When it expires.
    pub expires_ms: u64,
}

impl Canonical for TransactionRecord {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.height);
        writer.u64(self.log_index);
        writer.u64(self.expires_ms);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            height: reader.u64()?,
            log_index: reader.u64()?,
            expires_ms: reader.u64()?,
        })
    }
}

/// `u64 size ‖ u32 count ‖ peaks`, the largest first.
pub(crate) fn frontier_to_bytes(frontier: &Frontier) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.u64(frontier.size());
    writer.count(frontier.peaks().len());
    for peak in frontier.peaks() {
        writer.fixed(peak);
    }
    writer.finish()
}

pub(crate) fn frontier_from_bytes(bytes: &[u8]) -> Result<Frontier, DecodeError> {
    let mut reader = Reader::new(bytes);
    let size = reader.u64()?;
    let count = reader.count(MAX_PEAKS)?;
    let mut peaks = Vec::with_capacity(count);
    for _ in 0..count {
        peaks.push(reader.fixed()?);
    }
    reader.finish()?;
    Frontier::from_parts(size, peaks).ok_or(DecodeError::Invalid("frontier"))
}
