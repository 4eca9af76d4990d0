//! A share in custodians' hands: t' of n' of them bring it back, fewer learn nothing.
//!
//! The share, and the identity that its committee knows the node by, are encrypted under a fresh random key; that key is
//! shared out verifiably ([`sharing`]), and each part is encrypted to one custodian ([`custodian`]). What is left,
//! the [`Backup`], is public: it says whose share of which key and epoch this is, who the custodians are, and what their
//! parts look like. Nothing in it opens without t' of them.
//!
//! ```text
//! core    01 ‖ bytes record of the ceremony ‖ u16 index ‖ u16 t' ‖ u32 n' ‖ custodians ‖ u32 t' ‖ commitments (32 each)
//! custodian  name ‖ X25519 public key (32)
//! id      SHA-256("quorate-backup" ‖ core)
//! backup  "quorbkup" ‖ core ‖ u32 n' ‖ SHA-256 of each part (32) ‖ bytes sealed
//! sealed  AES-256-GCM under HKDF-SHA-256(salt "quorate-backup", s, info id), nonce twelve zero bytes; associated: everything
//!         before it; of u32 length ‖ key share ‖ identity seed (32)
//! ```
//!
//! `s` is the random scalar that is shared out; its commitments are in the core. The key encrypts once.

use crate::ceremony::record::Record;
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use custodian::{PublicKey, SealedPart};
use ed25519_dalek::SigningKey;
use hkdf::Hkdf;
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};
use sharing::{Commitments, Part};
use std::collections::BTreeSet;
use threshold::committee::{ParticipantIndex, SignedManifest};
use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::ids::CeremonyId;
use threshold::name::Name;
use threshold::secret::{KeyShare, ShareError};
use zeroize::Zeroizing;

pub mod custodian;
pub mod offline;
pub mod sharing;
#[cfg(test)]
pub(crate) mod tests;

const MAGIC: &[u8; 8] = b"quorbkup";
const VERSION: u8 = 1;
const DOMAIN: &[u8] = b"quorate-backup";
/// The most custodians of one backup.
pub const MAX_CUSTODIANS: usize = 64;
const MAX_RECORD: usize = 256 * 1024;
const MAX_SEALED: usize = 1024;

/// Why a backup cannot be made, or does not bring a share back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// t' is not between 2 and n', or n' is too large.
    #[error("{t} of {n} custodians: at least 2 are needed, and at most all of at most {MAX_CUSTODIANS}")]
    Threshold {
        /// How many would be needed.
        t: usize,
        /// How many there are.
        n: usize,
    },
    /// A custodian is named twice, or two have one key.
    #[error("custodian {0} has the name or the key of another: one person would hold two parts")]
    SameCustodian(Name),
    /// A key that is none.
    #[error("the key of custodian {0} is not an X25519 public key")]
    Key(String),
    /// A record that could not be read again.
    #[error("the ceremony's record has {0} bytes, and a backup has room for {MAX_RECORD}")]
    TooLong(usize),
    /// The ceremony's record has no manifest that all members signed.
    #[error("the ceremony's record has no manifest that all members signed")]
    NoManifest,
    /// The share or the identity is not the one that the manifest has at this index.
    #[error("{0} is not what the committee's manifest has for member {1}")]
    NotTheMembers(&'static str, ParticipantIndex),
    /// The bytes are not a backup, or not a part of one.
    #[error("not a backup's file: {0}")]
    Malformed(#[from] DecodeError),
    /// The part is of another backup.
    #[error("the part of custodian number {0} is of another backup")]
    OtherBackup(u16),
    /// The part is not the one that was given to this custodian.
    #[error("this is not the part that custodian {0} was given: its digest is not the backup's")]
    OtherPart(Name),
    /// The part does not open with this key.
    #[error("the part does not open: it is for another key, or damaged")]
    Closed,
    /// The part opens and is not what was dealt.
    #[error(
        "the part of custodian {0} does not fit the backup's commitments: it is not the one that was dealt"
    )]
    WrongPart(Name),
    /// Two parts of one custodian.
    #[error("custodian {0} counts once")]
    Twice(Name),
    /// Fewer than t' custodians.
    #[error("{have} custodians are not enough: {need} are needed")]
    TooFew {
        /// How many there are.
        have: usize,
        /// How many are needed.
        need: usize,
    },
    /// The parts fit and the backup does not open.
    #[error(
        "the custodians' parts fit, and the backup does not open with them: the backup's file was changed"
    )]
    Damaged,
    /// What was in it is not the share of the manifest.
    #[error("what the backup holds is not the share: {0}")]
    Share(#[from] ShareError),
    /// The secret sharing failed.
    #[error("secret sharing: {0}")]
    Sharing(String),
}

/// Somebody who keeps a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custodian {
    /// What they are called in this backup.
    pub name: Name,
    /// Whom their part is encrypted to.
    pub key: PublicKey,
}

/// The public part of a backup.
#[derive(Debug, Clone)]
pub struct Backup {
    core: Core,
    digests: Vec<[u8; 32]>,
    sealed: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Core {
    record: Vec<u8>,
    index: ParticipantIndex,
    threshold: u16,
    custodians: Vec<Custodian>,
    commitments: Commitments,
    // From the record.
    ceremony: CeremonyId,
    signed: SignedManifest,
}

/// What a backup brings back: secret, and checked against the committee's manifest.
pub struct Recovered {
    /// The share.
    pub share: KeyShare,
    /// The key that the committee knows the node by.
    pub identity: SigningKey,
}

impl std::fmt::Debug for Recovered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recovered(share {})", self.share.index())
    }
}

impl Backup {
    /// Makes a backup of a member's share and identity: the public part, and a part for each custodian, in order.
    ///
    /// # Errors
    /// The custodians or the threshold do not do, or the secrets are not the manifest's.
    pub fn make(
        record: &Record,
        share: &KeyShare,
        identity: &SigningKey,
        custodians: Vec<Custodian>,
        threshold: u16,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<(Self, Vec<SealedPart>), BackupError> {
        check_custodians(threshold, &custodians)?;
        let (commitments, parts) = sharing::split(threshold, custodians.len(), rng)?;
        let core = Core::new(
            record.result().to_bytes(),
            share.index(),
            threshold,
            custodians,
            commitments.0,
        )?;
        core.check_share(share)?;
        core.check_identity(identity)?;
        let id = core.id();
        let sealed_parts = core
            .custodians
            .iter()
            .zip(&parts)
            .map(|(custodian, part)| SealedPart::seal(&custodian.key, &id, part, rng))
            .collect::<Result<Vec<_>, _>>()?;
        let mut backup = Self {
            core,
            digests: sealed_parts.iter().map(SealedPart::digest).collect(),
            sealed: Vec::new(),
        };
        let secret_share = share.to_secret_bytes();
        let mut secret = Zeroizing::new(Vec::with_capacity(4 + secret_share.len() + 32));
        let length = u32::try_from(secret_share.len()).map_err(|_| BackupError::Damaged)?;
        secret.extend_from_slice(&length.to_be_bytes());
        secret.extend_from_slice(&secret_share);
        secret.extend_from_slice(identity.as_bytes());
        let payload = Payload {
            msg: &secret,
            aad: &backup.header(),
        };
        backup.sealed = cipher(&commitments.1, &id)
            .encrypt(&Nonce::default(), payload)
            .map_err(|_| BackupError::Damaged)?;
        Ok((backup, sealed_parts))
    }

    /// Brings the secrets back from the custodians' parts, and checks them against the manifest.
    ///
    /// # Errors
    /// Names the custodian whose part is wrong; too few; a changed backup.
    pub fn recover(&self, parts: &[Part]) -> Result<Recovered, BackupError> {
        let mut seen = BTreeSet::new();
        for part in parts {
            let name = self.custodian(part.number())?.name.clone();
            if !self.core.commitments.fit(part) {
                return Err(BackupError::WrongPart(name));
            }
            if !seen.insert(part.number()) {
                return Err(BackupError::Twice(name));
            }
        }
        let need = usize::from(self.core.threshold);
        let enough = parts.get(..need).ok_or(BackupError::TooFew {
            have: parts.len(),
            need,
        })?;
        let scalar = sharing::combine(enough)?;
        let payload = Payload {
            msg: &self.sealed,
            aad: &self.header(),
        };
        let secret = cipher(&scalar, &self.core.id())
            .decrypt(&Nonce::default(), payload)
            .map(Zeroizing::new)
            .map_err(|_| BackupError::Damaged)?;
        let mut reader = Reader::new(&secret);
        let share = KeyShare::from_secret_bytes(reader.bytes(MAX_SEALED)?, &self.core.signed.manifest)?;
        let seed = Zeroizing::new(reader.fixed::<32>()?);
        reader.finish()?;
        let identity = SigningKey::from_bytes(&seed);
        self.core.check_share(&share)?;
        self.core.check_identity(&identity)?;
        Ok(Recovered { share, identity })
    }

    /// What tells this backup from every other.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        self.core.id()
    }

    /// The ceremony that made the key's present shares.
    #[must_use]
    pub const fn ceremony(&self) -> CeremonyId {
        self.core.ceremony
    }

    /// The ceremony's record, encoded.
    #[must_use]
    pub fn record(&self) -> &[u8] {
        &self.core.record
    }

    /// The committee whose share this is.
    #[must_use]
    pub const fn signed_manifest(&self) -> &SignedManifest {
        &self.core.signed
    }

    /// Whose share it is.
    #[must_use]
    pub const fn index(&self) -> ParticipantIndex {
        self.core.index
    }

    /// How many custodians are needed.
    #[must_use]
    pub const fn threshold(&self) -> u16 {
        self.core.threshold
    }

    /// The custodians, in order of their numbers, from 1.
    #[must_use]
    pub fn custodians(&self) -> &[Custodian] {
        &self.core.custodians
    }

    /// The custodian with this number.
    ///
    /// # Errors
    /// There is none.
    pub fn custodian(&self, number: u16) -> Result<&Custodian, BackupError> {
        let place = usize::from(number).checked_sub(1);
        place
            .and_then(|place| self.core.custodians.get(place))
            .ok_or(BackupError::OtherBackup(number))
    }

    /// Whether a sealed part is of this backup, and the one that its custodian was given.
    ///
    /// # Errors
    /// It is not.
    pub fn check_part(&self, part: &SealedPart) -> Result<&Custodian, BackupError> {
        let number = part.number();
        let custodian = self.custodian(number)?;
        if part.backup() != &self.id() {
            return Err(BackupError::OtherBackup(number));
        }
        if self.digests.get(usize::from(number) - 1) != Some(&part.digest()) {
            return Err(BackupError::OtherPart(custodian.name.clone()));
        }
        Ok(custodian)
    }

    /// Everything before the ciphertext.
    fn header(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.fixed(MAGIC);
        self.core.write(&mut writer);
        writer.count(self.digests.len());
        self.digests.iter().for_each(|digest| writer.fixed(digest));
        writer.finish()
    }
}

fn check_custodians(threshold: u16, custodians: &[Custodian]) -> Result<(), BackupError> {
    let (t, n) = (usize::from(threshold), custodians.len());
    if !(2..=n).contains(&t) || n > MAX_CUSTODIANS {
        return Err(BackupError::Threshold { t, n });
    }
    let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for custodian in custodians {
        if !names.insert(&custodian.name) | !keys.insert(custodian.key.to_bytes()) {
            return Err(BackupError::SameCustodian(custodian.name.clone()));
        }
    }
    Ok(())
}

fn cipher(scalar: &Zeroizing<[u8; 32]>, id: &[u8; 32]) -> Aes256Gcm {
    let mut key = Zeroizing::new([0; 32]);
    // 32 bytes are a length that HKDF always gives.
    let expanded = Hkdf::<Sha256>::new(Some(DOMAIN), scalar.as_ref()).expand(id, key.as_mut());
    debug_assert!(expanded.is_ok());
    Aes256Gcm::new(&(*key).into())
}

impl Core {
    fn new(
        record: Vec<u8>,
        index: ParticipantIndex,
        threshold: u16,
        custodians: Vec<Custodian>,
        commitments: Commitments,
    ) -> Result<Self, BackupError> {
        if record.len() > MAX_RECORD {
            return Err(BackupError::TooLong(record.len()));
        }
        let decoded = Record::from_bytes(&record)?;
        let signed = decoded.signed_manifest().ok_or(BackupError::NoManifest)?;
        if signed.manifest.member(index).is_none() {
            return Err(BackupError::NotTheMembers("the index", index));
        }
        Ok(Self {
            record,
            index,
            threshold,
            custodians,
            commitments,
            ceremony: decoded.plan.id(),
            signed,
        })
    }

    fn check_share(&self, share: &KeyShare) -> Result<(), BackupError> {
        let ours = share.index() == self.index && share.manifest_digest() == self.signed.manifest.digest();
        ours.then_some(())
            .ok_or(BackupError::NotTheMembers("the share", self.index))
    }

    fn check_identity(&self, identity: &SigningKey) -> Result<(), BackupError> {
        let member = self.signed.manifest.member(self.index);
        let ours = member.is_some_and(|m| m.identity.to_bytes() == identity.verifying_key().to_bytes());
        ours.then_some(())
            .ok_or(BackupError::NotTheMembers("the identity", self.index))
    }

    fn id(&self) -> [u8; 32] {
        let mut writer = Writer::new();
        writer.fixed(DOMAIN);
        self.write(&mut writer);
        Sha256::digest(writer.finish()).into()
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.bytes(&self.record);
        writer.u16(self.index.get());
        writer.u16(self.threshold);
        writer.count(self.custodians.len());
        for custodian in &self.custodians {
            writer.put(&custodian.name);
            writer.fixed(&custodian.key.to_bytes());
        }
        self.commitments.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION {
            return Err(DecodeError::UnknownVersion("backup"));
        }
        let record = reader.bytes(MAX_RECORD)?.to_vec();
        let index = ParticipantIndex::new(reader.u16()?).map_err(|_| DecodeError::Invalid("member index"))?;
        let threshold = reader.u16()?;
        let mut custodians = Vec::new();
        for _ in 0..reader.count(MAX_CUSTODIANS)? {
            let name = reader.get()?;
            let key = PublicKey::from_bytes(&reader.fixed()?)
                .map_err(|_| DecodeError::Invalid("custodian's key"))?;
            custodians.push(Custodian { name, key });
        }
        check_custodians(threshold, &custodians).map_err(|_| DecodeError::Invalid("custodians"))?;
        let commitments = Commitments::read(reader, threshold)?;
        Self::new(record, index, threshold, custodians, commitments)
            .map_err(|_| DecodeError::Invalid("record of the ceremony"))
    }
}

impl Canonical for Backup {
    fn encode(&self, writer: &mut Writer) {
        writer.fixed(&self.header());
        writer.bytes(&self.sealed);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if &reader.fixed::<8>()? != MAGIC {
            return Err(DecodeError::Invalid("backup"));
        }
        let core = Core::read(reader)?;
        let count = reader.count(MAX_CUSTODIANS)?;
        if count != core.custodians.len() {
            return Err(DecodeError::Invalid("digests"));
        }
        let digests = (0..count).map(|_| reader.fixed()).collect::<Result<_, _>>()?;
        Ok(Self {
            core,
            digests,
            sealed: reader.bytes(MAX_SEALED)?.to_vec(),
        })
    }
}
