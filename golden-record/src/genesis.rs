//! The beginning of a chain: who takes part, with which keys and within which limits.

use std::collections::BTreeSet;

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::ids::{BlockHash, ChainId};
use threshold::name::Name;
use threshold::signature::PublicKey;
use threshold::transcript::{Domain, Transcript};

use crate::block::{Block, Header, body_hash, state_digest};
use crate::codec::{read_version, write_version};
use crate::merkle::{Frontier, empty_root};
use crate::quorum::Quorum;
use crate::records::{Organisations, Party};
use crate::state::Changes;
use crate::{history, keys, replay};

/// The most organisations, coordinators or auditors.
pub(crate) const MAX_PARTIES: usize = 64;
/// The longest CA certificate, DER.
pub(crate) const MAX_CERTIFICATE: usize = 2048;

/// One organisation that runs an endorser.
///
/// Encoded as `name ‖ validator (32) ‖ admin (32) ‖ u32 length ‖ ca_certificate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organisation {
    /// Its name.
    pub name: Name,
    /// The key its endorser votes with.
    pub validator: PublicKey,
    /// The key that publishes committees and creates tenants.
    pub admin: PublicKey,
    /// Its self-signed CA certificate, DER, at most 2048 bytes: approval certificates are issued by it.
    pub ca_certificate: Vec<u8>,
}

impl Canonical for Organisation {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.name);
        writer.put(&self.validator);
        writer.put(&self.admin);
        writer.bytes(&self.ca_certificate);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.get()?,
            validator: reader.get()?,
            admin: reader.get()?,
            ca_certificate: reader.bytes(MAX_CERTIFICATE)?.to_vec(),
        })
    }
}

/// What bounds a transaction and a block.
///
/// Encoded as `u64 max_lifetime_ms ‖ u32 max_block_entries ‖ u32 max_block_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A transaction expires at most this long after the block that includes it. Its id is remembered until then.
    pub max_lifetime_ms: u64,
    /// The most entries in a block.
    pub max_block_entries: u32,
    /// The most bytes in a block's entries together. At least one transaction of the largest size fits.
    pub max_block_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_lifetime_ms: 600_000,
            max_block_entries: 4096,
            max_block_bytes: 1 << 20,
        }
    }
}

impl Canonical for Limits {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.max_lifetime_ms);
        writer.u32(self.max_block_entries);
        writer.u32(self.max_block_bytes);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            max_lifetime_ms: reader.u64()?,
            max_block_entries: reader.u32()?,
            max_block_bytes: reader.u32()?,
        })
    }
}

/// Why a genesis is not one. The operator's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// No organisation, or more than 64 organisations, coordinators or auditors.
    #[error("a genesis names 1 to {MAX_PARTIES} organisations and at most as many coordinators and auditors")]
    Count,
    /// Two organisations have one name.
    #[error("organisation {0} is named twice")]
    DuplicateName(Name),
    /// One key stands in two places: every key has one holder and one purpose.
    #[error("key {0} is used twice")]
    DuplicateKey(Box<PublicKey>),
    /// A CA certificate is empty, too long, or that of another organisation.
    #[error("the CA certificate of {0} is empty, too long or another's")]
    Certificate(Name),
    /// The limits admit no transaction at all.
    #[error("the limits admit no transaction")]
    Limits,
}

/// The checked beginning of a chain. Its digest is the chain id.
///
/// Encoded as
/// `version (1) ‖ suite (1) ‖ installation ‖ u64 created_ms ‖ organisations ‖ coordinators ‖ auditors ‖ limits`,
/// the three lists with a `u32` count each, in the given order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    installation: Name,
    created_ms: u64,
    organisations: Vec<Organisation>,
    coordinators: Vec<PublicKey>,
    auditors: Vec<PublicKey>,
    limits: Limits,
}

impl Genesis {
    /// Checks and takes the parts of a genesis. `coordinators` may record releases; `auditors` may only read.
    ///
    /// # Errors
    /// [`GenesisError`], for the first thing wrong in the order of its variants.
    pub fn new(
        installation: Name,
        created_ms: u64,
        organisations: Vec<Organisation>,
        coordinators: Vec<PublicKey>,
        auditors: Vec<PublicKey>,
        limits: Limits,
    ) -> Result<Self, GenesisError> {
        let genesis = Self {
            installation,
            created_ms,
            organisations,
            coordinators,
            auditors,
            limits,
        };
        genesis.check_counts()?;
        genesis.check_distinct()?;
        genesis.check_limits()?;
        Ok(genesis)
    }

    fn check_counts(&self) -> Result<(), GenesisError> {
        let most = self
            .organisations
            .len()
            .max(self.coordinators.len())
            .max(self.auditors.len());
        if self.organisations.is_empty() || most > MAX_PARTIES {
            Err(GenesisError::Count)
        } else {
            Ok(())
        }
    }

    fn check_distinct(&self) -> Result<(), GenesisError> {
        let (mut names, mut keys, mut certificates) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for organisation in &self.organisations {
            if !names.insert(&organisation.name) {
                return Err(GenesisError::DuplicateName(organisation.name.clone()));
            }
        }
        let organisation_keys = self
            .organisations
            .iter()
            .flat_map(|one| [one.validator, one.admin]);
        let others = self.coordinators.iter().chain(&self.auditors).copied();
        for key in organisation_keys.chain(others) {
            if !keys.insert(key) {
                return Err(GenesisError::DuplicateKey(Box::new(key)));
            }
        }
        for organisation in &self.organisations {
            let certificate = &organisation.ca_certificate;
            let fits = (1..=MAX_CERTIFICATE).contains(&certificate.len());
            if !fits || !certificates.insert(certificate) {
                return Err(GenesisError::Certificate(organisation.name.clone()));
            }
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), GenesisError> {
        let Limits {
            max_lifetime_ms,
            max_block_entries,
            max_block_bytes,
        } = self.limits;
        let largest = crate::transaction::MAX_TRANSACTION_BYTES + crate::outcome::MAX_ENTRY_OVERHEAD;
        let room = usize::try_from(max_block_bytes).unwrap_or(usize::MAX);
        if max_lifetime_ms == 0 || max_block_entries == 0 || room < largest {
            return Err(GenesisError::Limits);
        }
        Ok(())
    }

    /// The installation's name, which every label carries.
    pub fn installation(&self) -> &Name {
        &self.installation
    }

    /// The time of the genesis block, milliseconds since the Unix epoch.
    pub fn created_ms(&self) -> u64 {
        self.created_ms
    }

    /// The organisations, in the given order.
    pub fn organisations(&self) -> &[Organisation] {
        &self.organisations
    }

    /// The coordinators' keys.
    pub fn coordinators(&self) -> &[PublicKey] {
        &self.coordinators
    }

    /// The auditors' keys.
    pub fn auditors(&self) -> &[PublicKey] {
        &self.auditors
    }

    /// The limits of transactions and blocks.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The chain's identity: `Transcript(Genesis).append("genesis", bytes)`.
    pub fn chain_id(&self) -> ChainId {
        ChainId(
            Transcript::new(Domain::Genesis)
                .append_object("genesis", self)
                .digest(),
        )
    }

    /// The validators' keys, ascending by their bytes: a signature's index in finality evidence counts in this.
    pub fn validators(&self) -> Vec<PublicKey> {
        let mut validators: Vec<_> = self.organisations.iter().map(|one| one.validator).collect();
        validators.sort_unstable_by_key(|key| *key.as_bytes());
        validators
    }

    /// How many validators decide.
    pub fn quorum(&self) -> Option<Quorum> {
        Quorum::of(self.organisations.len())
    }

    /// Block 0, which holds no entry, and the state as it begins, its header included.
    pub fn block(&self) -> (Block, Changes) {
        let mut changes = Changes::new();
        changes.put(keys::GENESIS.to_vec(), self.to_bytes());
        changes.put(keys::LIMITS.to_vec(), self.limits.to_bytes());
        changes.put(keys::INSTALLATION.to_vec(), self.installation.to_bytes());
        changes.put(
            keys::FRONTIER.to_vec(),
            crate::records::frontier_to_bytes(&Frontier::new()),
        );
        let organisations = Organisations {
            revision: 1,
            members: self.organisations.clone(),
        };
        changes.put(keys::ORGANISATIONS.to_vec(), organisations.to_bytes());
        replay::begin(&mut changes, self.created_ms);
        for (key, party) in self.parties() {
            changes.put(keys::party(&key), party.to_bytes());
        }
        history::begin(&mut changes);
        let header = Header {
            chain_id: self.chain_id(),
            height: 0,
            parent: BlockHash([0; 32]),
            time_ms: self.created_ms,
            entries: 0,
            body_hash: body_hash(&[]),
            log_size: 0,
            log_root: empty_root(),
            state_digest: state_digest(&[0; 32], &changes),
        };
        changes.put(keys::HEADER.to_vec(), header.to_bytes());
        (Block::assemble(header, Vec::new()), changes)
    }

    fn parties(&self) -> impl Iterator<Item = (PublicKey, Party)> + '_ {
        let admins = self.organisations.iter().map(|organisation| {
            (
                organisation.admin,
                Party::OrganisationAdmin {
                    organisation: organisation.name.clone(),
                },
            )
        });
        // A validator's key signs votes and nothing else; it is listed so that nobody can be given it.
        let validators = self.organisations.iter().map(|organisation| {
            (
                organisation.validator,
                Party::Validator {
                    organisation: organisation.name.clone(),
                },
            )
        });
        let coordinators = self.coordinators.iter().map(|key| (*key, Party::Coordinator));
        let auditors = self.auditors.iter().map(|key| (*key, Party::Auditor));
        admins.chain(validators).chain(coordinators).chain(auditors)
    }
}

impl Canonical for Genesis {
    fn encode(&self, writer: &mut Writer) {
        write_version(writer);
        writer.put(&self.installation);
        writer.u64(self.created_ms);
        writer.list(&self.organisations);
        writer.list(&self.coordinators);
        writer.list(&self.auditors);
        writer.put(&self.limits);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_version(reader, "genesis")?;
        Self::new(
            reader.get()?,
            reader.u64()?,
            reader.list(MAX_PARTIES)?,
            reader.list(MAX_PARTIES)?,
            reader.list(MAX_PARTIES)?,
            reader.get()?,
        )
        .map_err(|_| DecodeError::Invalid("genesis"))
    }
}
