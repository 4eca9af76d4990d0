//! A custodian's key, and parts encrypted to it: HPKE (RFC 9180) with X25519, HKDF-SHA-256 and ChaCha20-Poly1305.
//!
//! ```text
//! part       "quorpart" ‖ 01 ‖ backup id (32) ‖ u16 number ‖ encapsulated key (32) ‖ ciphertext of the part's scalar (48)
//! handed     "quorhand" ‖ the same, encrypted again by the custodian to whoever restores
//! info       what is before the encapsulated key
//! ```

use super::BackupError;
use super::sharing::Part;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal};
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};
use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use zeroize::Zeroizing;

/// What a custodian's, or a restorer's, key file is sealed for.
pub const CONTEXT: &str = "backup-key";
const VERSION: u8 = 1;
/// A scalar and its tag.
const CIPHERTEXT: usize = 48;

type KemPublic = <X25519HkdfSha256 as Kem>::PublicKey;
type KemPrivate = <X25519HkdfSha256 as Kem>::PrivateKey;
type Encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey;

/// Whom something is encrypted to.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(KemPublic);

impl PublicKey {
    /// Takes 32 bytes.
    ///
    /// # Errors
    /// They are no key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BackupError> {
        let key = KemPublic::from_bytes(bytes).map_err(|_| BackupError::Key(hex::encode(bytes)))?;
        Ok(Self(key))
    }

    /// The key's 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes().into()
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({})", hex::encode(self.to_bytes()))
    }
}

/// What opens it. Wiped when dropped.
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// A fresh key.
    #[must_use]
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut());
        Self(bytes)
    }

    /// A key that was kept.
    ///
    /// # Errors
    /// It has not 32 bytes.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, BackupError> {
        let bytes = bytes.try_into().map_err(|_| DecodeError::Invalid("key"))?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// The key itself, to be sealed.
    #[must_use]
    pub fn to_secret_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its public key.
    ///
    /// # Errors
    /// The bytes are no key.
    pub fn public(&self) -> Result<PublicKey, BackupError> {
        Ok(PublicKey(X25519HkdfSha256::sk_to_pk(&self.private()?)))
    }

    fn private(&self) -> Result<KemPrivate, BackupError> {
        KemPrivate::from_bytes(self.0.as_ref()).map_err(|_| BackupError::Closed)
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(redacted)")
    }
}

/// In whose hands a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Encrypted to its custodian.
    Kept,
    /// Encrypted by its custodian to whoever restores.
    Handed,
}

impl Stage {
    const fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Kept => b"quorpart",
            Self::Handed => b"quorhand",
        }
    }
}

/// A part, encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPart {
    stage: Stage,
    backup: [u8; 32],
    number: u16,
    encapsulated: [u8; 32],
    ciphertext: [u8; CIPHERTEXT],
}

impl SealedPart {
    /// Encrypts a part to its custodian.
    pub(super) fn seal(
        to: &PublicKey,
        backup: &[u8; 32],
        part: &Part,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, BackupError> {
        Self::seal_at(Stage::Kept, to, backup, part, rng)
    }

    fn seal_at(
        stage: Stage,
        to: &PublicKey,
        backup: &[u8; 32],
        part: &Part,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, BackupError> {
        let info = info(stage, backup, part.number());
        let secret = part.expose();
        let mode = OpModeS::Base;
        let (encapsulated, ciphertext) =
            single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256, _>(
                &mode,
                &to.0,
                &info,
                secret.as_ref(),
                &[],
                rng,
            )
            .map_err(|_| BackupError::Closed)?;
        Ok(Self {
            stage,
            backup: *backup,
            number: part.number(),
            encapsulated: encapsulated.to_bytes().into(),
            ciphertext: ciphertext.try_into().map_err(|_| BackupError::Closed)?,
        })
    }

    /// Opens a part at the stage where it is expected.
    ///
    /// # Errors
    /// It is for another key, at another stage, or damaged.
    pub fn open(&self, stage: Stage, key: &SecretKey) -> Result<Part, BackupError> {
        if self.stage != stage {
            return Err(BackupError::Closed);
        }
        let encapsulated = Encapsulated::from_bytes(&self.encapsulated).map_err(|_| BackupError::Closed)?;
        let info = info(self.stage, &self.backup, self.number);
        let scalar = single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &key.private()?,
            &encapsulated,
            &info,
            &self.ciphertext,
            &[],
        )
        .map(Zeroizing::new)
        .map_err(|_| BackupError::Closed)?;
        let scalar = <&[u8; 32]>::try_from(scalar.as_slice()).map_err(|_| BackupError::Closed)?;
        Part::new(self.number, scalar).ok_or(BackupError::Closed)
    }

    /// What a custodian does who agrees to a restoration or a drill: opens the part and encrypts it to whoever asks.
    ///
    /// # Errors
    /// As [`SealedPart::open`].
    pub fn hand_over(
        &self,
        key: &SecretKey,
        to: &PublicKey,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, BackupError> {
        let part = self.open(Stage::Kept, key)?;
        Self::seal_at(Stage::Handed, to, &self.backup, &part, rng)
    }

    /// The backup that it is of.
    #[must_use]
    pub const fn backup(&self) -> &[u8; 32] {
        &self.backup
    }

    /// Whose it is, from 1.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// The hash of the file.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.to_bytes()).into()
    }
}

fn info(stage: Stage, backup: &[u8; 32], number: u16) -> Vec<u8> {
    [
        stage.magic().as_slice(),
        &[VERSION],
        backup,
        &number.to_be_bytes(),
    ]
    .concat()
}

impl Canonical for SealedPart {
    fn encode(&self, writer: &mut Writer) {
        writer.fixed(&info(self.stage, &self.backup, self.number));
        writer.fixed(&self.encapsulated);
        writer.fixed(&self.ciphertext);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let magic = reader.fixed::<8>()?;
        let stage = [Stage::Kept, Stage::Handed]
            .into_iter()
            .find(|stage| *stage.magic() == magic)
            .ok_or(DecodeError::Invalid("part of a backup"))?;
        if reader.u8()? != VERSION {
            return Err(DecodeError::UnknownVersion("part of a backup"));
        }
        Ok(Self {
            stage,
            backup: reader.fixed()?,
            number: reader.u16()?,
            encapsulated: reader.fixed()?,
            ciphertext: reader.fixed()?,
        })
    }
}
