//! Who a daemon is: one Ed25519 key, presented in TLS as a self-signed certificate.
//!
//! Everybody pins the key; the certificate is only the vessel TLS wants it in. It is made anew at each start,
//! from a day before, so that clocks may differ, until ten years after, and is not stored. What is stored
//! is the name and the key's 32-byte seed, sealed ([`crate::seal`]) for the context "identity".

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ed25519_dalek::SigningKey;
use rand_core::{OsRng, RngCore};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ED25519};
use rustls::crypto::aws_lc_rs::sign::any_eddsa_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::files::{Secrecy, write_atomically};
use crate::seal::{self, KeyWrap, SealError};

#[cfg(test)]
mod tests;

/// What an identity file is sealed for.
pub const CONTEXT: &str = "identity";
/// RFC 8410: the PKCS#8 wrapping of an Ed25519 seed, up to the seed.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
const SEED: usize = 32;
const MAX_NAME: usize = 64;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A name, a key and a certificate for it. A handle: clones share the one key, which is wiped with the last.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    name: String,
    key: SigningKey,
    certificate: CertificateDer<'static>,
    certified: Arc<CertifiedKey>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({}, {})", self.0.name, hex::encode(self.public_key()))
    }
}

/// Why an identity could not be made or loaded.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is one already, and it is not overwritten.
    #[error("{0} exists already: an identity is not overwritten")]
    Exists(PathBuf),
    /// Whether there is a file cannot be said: a folder above it cannot be entered, or the disk fails.
    #[error(
        "cannot tell whether there is an identity at {path}: {source}; nothing was created: let the daemon's user enter the folders above it, or mount the disk that it is on"
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be read or written.
    #[error("identity file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file does not open.
    #[error("identity file {path}: {source}")]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
    /// The name is empty, longer than 64 bytes, or has control characters in it.
    #[error("an identity's name has 1 to {MAX_NAME} bytes and no control characters")]
    Name,
    /// The certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library does not take the key.
    #[error("cannot use the key in TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl Identity {
    /// Makes a new key and keeps it in a new sealed file. Blocks.
    ///
    /// # Errors
    /// When the file exists already or cannot be written, or the name is not acceptable.
    pub fn create(name: &str, seal: &dyn KeyWrap, path: &Path) -> Result<Self, IdentityError> {
        let identity = Self::ephemeral(name)?;
        identity.save(seal, path)?;
        Ok(identity)
    }

    /// Loads what [`Identity::create`] has kept. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read, or does not open with this seal.
    pub fn load(path: &Path, seal: &dyn KeyWrap) -> Result<Self, IdentityError> {
        let sealed = |source| IdentityError::Sealed {
            path: path.to_owned(),
            source,
        };
        let blob = std::fs::read(path).map_err(|source| IdentityError::File {
            path: path.to_owned(),
            source,
        })?;
        let secret = seal::open(seal, CONTEXT, &blob).map_err(sealed)?;
        let (seed, name) = secret
            .split_first_chunk::<SEED>()
            .ok_or(sealed(SealError::NotSealed))?;
        let name = std::str::from_utf8(name).map_err(|_| sealed(SealError::NotSealed))?;
        Self::from_seed(name, seed)
    }

    /// Loads the identity at `path`, or creates it if there is no such file. Blocks.
    ///
    /// # Errors
    /// As [`Identity::load`] and [`Identity::create`].
    pub fn load_or_create(name: &str, seal: &dyn KeyWrap, path: &Path) -> Result<Self, IdentityError> {
        if is_there(path)? {
            Self::load(path, seal)
        } else {
            Self::create(name, seal, path)
        }
    }

    /// A new key that is nowhere but in memory: for a client that needs TLS but no lasting name.
    ///
    /// # Errors
    /// When the name is not acceptable.
    pub fn ephemeral(name: &str) -> Result<Self, IdentityError> {
        let mut seed = Zeroizing::new([0; SEED]);
        OsRng.fill_bytes(seed.as_mut());
        Self::from_seed(name, &seed)
    }

    /// The identity of a key that is kept elsewhere.
    ///
    /// # Errors
    /// When the name is not acceptable.
    pub fn from_seed(name: &str, seed: &[u8; SEED]) -> Result<Self, IdentityError> {
        let now = SystemTime::now();
        Self::with_validity(name, seed, now - DAY, now + LIFETIME)
    }

    /// As [`Identity::from_seed`], with the certificate valid from `not_before` until `not_after`.
    ///
    /// # Errors
    /// When the name is not acceptable.
    pub fn with_validity(
        name: &str,
        seed: &[u8; SEED],
        not_before: SystemTime,
        not_after: SystemTime,
    ) -> Result<Self, IdentityError> {
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(IdentityError::Name);
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = not_before.into();
        params.not_after = not_after.into();
        let pkcs8 = pkcs8(seed);
        // Borrowed: an owned one is not wiped when it is dropped.
        let der = PrivatePkcs8KeyDer::from(pkcs8.as_slice());
        // The library keeps the encoding with the key, and wipes it only when told to.
        let key_pair = Zeroizing::new(KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)?);
        let certificate = params.self_signed(&*key_pair)?.der().clone();
        let certified = CertifiedKey::new(vec![certificate.clone()], any_eddsa_type(&der)?);
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            key: SigningKey::from_bytes(seed),
            certificate,
            certified: Arc::new(certified),
        })))
    }

    /// Keeps the identity in a new sealed file. Blocks.
    ///
    /// # Errors
    /// When the file exists already or cannot be written.
    pub fn save(&self, seal: &dyn KeyWrap, path: &Path) -> Result<(), IdentityError> {
        if is_there(path)? {
            return Err(IdentityError::Exists(path.to_owned()));
        }
        let secret = Zeroizing::new([self.0.key.as_bytes().as_slice(), self.0.name.as_bytes()].concat());
        let blob =
            seal::seal(seal, CONTEXT, &secret, &mut OsRng).map_err(|source| IdentityError::Sealed {
                path: path.to_owned(),
                source,
            })?;
        write_atomically(path, &blob, Secrecy::Secret).map_err(|source| IdentityError::File {
            path: path.to_owned(),
            source,
        })
    }

    /// The name in the certificate. Nobody decides anything by it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The Ed25519 public key: what others pin.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.0.key.verifying_key().to_bytes()
    }

    /// The Ed25519 key, to sign statements with. Secret.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.0.key
    }

    /// The self-signed certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.0.certificate
    }

    /// The certificate and its key, for the TLS library, which shares the one key that it has of this identity.
    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.0.certified
    }
}

/// Whether there is a file. One that cannot be looked for is not one that is missing: a new identity in its place would
/// make a stranger of the daemon.
fn is_there(path: &Path) -> Result<bool, IdentityError> {
    crate::files::is_there(path).map_err(|source| IdentityError::Unknown {
        path: path.to_owned(),
        source,
    })
}

fn pkcs8(seed: &[u8; SEED]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([PKCS8_PREFIX.as_slice(), seed].concat())
}
