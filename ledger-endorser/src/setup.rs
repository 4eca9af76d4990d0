//! An endorser's keys: how they are made, what of them is public, how they are loaded.
//!
//! A folder holds
//!
//! ```text
//! identity.sealed    the TLS key (service::identity)
//! validator.sealed   the seed of the key that votes in consensus
//! authority.sealed   the seed of the organisation's CA key
//! authority.der      the CA's self-signed certificate
//! public.toml        everything public, for the genesis and for whoever connects
//! ```
//!
//! Each secret is sealed under the operator's passphrase for its own purpose and organisation, so that none can
//! stand in for another.

use std::{
    io,
    path::{Path, PathBuf},
};

use rand_core::{OsRng, RngCore};
use serde::{Deserialize, Serialize};
use service::{
    files::{Secrecy, is_there, write_atomically},
    identity::{Identity, IdentityError},
    seal::{self, Passphrase, SealError},
};
use threshold::name::Name;
use zeroize::Zeroizing;

const IDENTITY: &str = "identity.sealed";
const VALIDATOR: &str = "validator.sealed";
const AUTHORITY: &str = "authority.sealed";
const CERTIFICATE: &str = "authority.der";
const PUBLIC: &str = "public.toml";

/// Why keys could not be made or loaded. The operator's to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are keys already; they are not overwritten.
    #[error("{0} exists already: keys are not overwritten")]
    Exists(PathBuf),
    /// A sealed file does not open.
    #[error("{path}: {source}")]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
    /// A file holds something else than it should.
    #[error("{0} does not hold what it should")]
    Content(PathBuf),
    /// The TLS identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The certificate authority.
    #[error("the certificate authority is not usable: {0}")]
    Authority(#[from] approval::AuthorityError),
}

/// What others need to know of an endorser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicParts {
    /// The organisation.
    pub organisation: Name,
    /// The key that clients pin.
    pub identity: [u8; 32],
    /// The key that votes, for the genesis and for fellow endorsers.
    pub validator: [u8; 32],
    /// The CA's self-signed certificate, DER, for the genesis and for the crypto nodes.
    pub ca_certificate: Vec<u8>,
}

/// As it stands in `public.toml`: keys and certificate in hexadecimal.
#[derive(Serialize, Deserialize)]
struct PublicFile {
    organisation: String,
    identity: String,
    validator: String,
    ca_certificate: String,
}

/// An endorser's secrets, unsealed.
pub(crate) struct Keys {
    pub(crate) identity: Identity,
    pub(crate) validator: Zeroizing<[u8; 32]>,
    pub(crate) authority: approval::Authority,
}

/// Makes all keys of an organisation's endorser in the folder `keys`, and gives the public parts. Blocks for
/// some tenths of a second.
///
/// It also notes in `directory`, the future data directory, that this validator's key has not voted yet, so that its first
/// start need not wait until the others are past every view it could have voted in
/// ([`consensus::VOTE_ANYWAY`]). The note is there and not beside the keys, because a backup of the keys must not
/// bring it back.
///
/// # Errors
/// [`SetupError::Exists`] when the folder holds keys already, or a folder cannot be written.
pub fn create_keys(
    keys: &Path,
    directory: &Path,
    organisation: &Name,
    passphrase: &Passphrase,
    now_ms: u64,
) -> Result<PublicParts, SetupError> {
    std::fs::create_dir_all(keys).map_err(file_error(keys))?;
    for name in [IDENTITY, VALIDATOR, AUTHORITY, CERTIFICATE, PUBLIC] {
        let path = keys.join(name);
        if is_there(&path).map_err(file_error(&path))? {
            return Err(SetupError::Exists(path));
        }
    }
    let validator = create_seed(
        &keys.join(VALIDATOR),
        &context(organisation, "validator"),
        passphrase,
    )?;
    let authority = create_seed(
        &keys.join(AUTHORITY),
        &context(organisation, "authority"),
        passphrase,
    )?;
    let ca_certificate = approval::Authority::generate(organisation, &authority, now_ms)?;
    write(&keys.join(CERTIFICATE), &ca_certificate)?;
    let name = format!("endorser {organisation}");
    let identity = Identity::create(&name, passphrase, &keys.join(IDENTITY))?.public_key();
    let validator = ed25519_dalek::SigningKey::from_bytes(&validator)
        .verifying_key()
        .to_bytes();
    let parts = PublicParts {
        organisation: organisation.clone(),
        identity,
        validator,
        ca_certificate,
    };
    let consensus = consensus_directory(directory);
    std::fs::create_dir_all(&consensus).map_err(file_error(&consensus))?;
    write(&consensus.join(consensus::VOTE_ANYWAY), b"")?;
    // Last, so that a folder with public parts is complete.
    write_public(&keys.join(PUBLIC), &parts)?;
    Ok(parts)
}

/// Reads the public parts; needs no passphrase.
///
/// # Errors
/// When the file cannot be read or is not one.
pub fn public_parts(keys: &Path) -> Result<PublicParts, SetupError> {
    parse_public_parts(&keys.join(PUBLIC))
}

/// Reads the public parts from the file that holds them, as another organisation was given it.
///
/// # Errors
/// When the file cannot be read or is not one.
pub fn parse_public_parts(path: &Path) -> Result<PublicParts, SetupError> {
    let text = std::fs::read_to_string(path).map_err(file_error(path))?;
    let file: PublicFile = toml::from_str(&text).map_err(|_| SetupError::Content(path.to_owned()))?;
    file.parse().ok_or_else(|| SetupError::Content(path.to_owned()))
}

/// Unseals everything.
pub(crate) fn load_keys(
    keys: &Path,
    organisation: &Name,
    passphrase: &Passphrase,
) -> Result<Keys, SetupError> {
    let identity = Identity::load(&keys.join(IDENTITY), passphrase)?;
    let validator = open_seed(
        &keys.join(VALIDATOR),
        &context(organisation, "validator"),
        passphrase,
    )?;
    let seed = open_seed(
        &keys.join(AUTHORITY),
        &context(organisation, "authority"),
        passphrase,
    )?;
    let path = keys.join(CERTIFICATE);
    let certificate = std::fs::read(&path).map_err(file_error(&path))?;
    let authority = approval::Authority::from_seed(&seed, &certificate)?;
    Ok(Keys {
        identity,
        validator,
        authority,
    })
}

/// Where the engine keeps what it must remember, below an endorser's data directory.
pub(crate) fn consensus_directory(directory: &Path) -> PathBuf {
    directory.join("consensus")
}

fn context(organisation: &Name, purpose: &str) -> String {
    format!("ledger-endorser/{organisation}/{purpose}")
}

fn create_seed(
    path: &Path,
    context: &str,
    passphrase: &Passphrase,
) -> Result<Zeroizing<[u8; 32]>, SetupError> {
    let mut seed = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(seed.as_mut());
    let sealed =
        seal::seal(passphrase, context, seed.as_ref(), &mut OsRng).map_err(|source| SetupError::Sealed {
            path: path.to_owned(),
            source,
        })?;
    write_atomically(path, &sealed, Secrecy::Secret).map_err(file_error(path))?;
    Ok(seed)
}

fn open_seed(path: &Path, context: &str, passphrase: &Passphrase) -> Result<Zeroizing<[u8; 32]>, SetupError> {
    let blob = std::fs::read(path).map_err(file_error(path))?;
    let secret = seal::open(passphrase, context, &blob).map_err(|source| SetupError::Sealed {
        path: path.to_owned(),
        source,
    })?;
    let mut seed = Zeroizing::new([0; 32]);
    if secret.len() != seed.len() {
        return Err(SetupError::Content(path.to_owned()));
    }
    seed.copy_from_slice(&secret);
    Ok(seed)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SetupError> {
    write_atomically(path, bytes, Secrecy::Public).map_err(file_error(path))
}

fn write_public(path: &Path, parts: &PublicParts) -> Result<(), SetupError> {
    let file = PublicFile {
        organisation: parts.organisation.to_string(),
        identity: hex::encode(parts.identity),
        validator: hex::encode(parts.validator),
        ca_certificate: hex::encode(&parts.ca_certificate),
    };
    let text = toml::to_string(&file).map_err(|_| SetupError::Content(path.to_owned()))?;
    write(path, text.as_bytes())
}

impl PublicFile {
    fn parse(self) -> Option<PublicParts> {
        let key = |text: &str| hex::decode(text).ok()?.try_into().ok();
        Some(PublicParts {
            organisation: self.organisation.parse().ok()?,
            identity: key(&self.identity)?,
            validator: key(&self.validator)?,
            ca_certificate: hex::decode(&self.ca_certificate).ok()?,
        })
    }
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> SetupError + '_ {
    move |source| SetupError::File {
        path: path.to_owned(),
        source,
    }
}
