//! The node's seals, as its configuration names them: one for its identity, one for its shares.

use crate::config::Config;
use anyhow::{Context, bail, ensure};
use rand_core::OsRng;
use service::files::{Secrecy, is_there, write_atomically};
use service::seal::{self, credentials_directory};
use service::{KeyWrap, SealConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What opens the node's secrets.
#[derive(Debug)]
pub struct Seals {
    /// The identity's.
    pub identity: Arc<dyn KeyWrap>,
    /// The shares'; none while only a person can open it.
    pub share: Option<Arc<dyn KeyWrap>>,
}

impl Seals {
    /// Reads passphrases and logs in to tokens, as the configuration says. Blocks.
    ///
    /// # Errors
    /// Names the key of the configuration that does not hold.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let credentials = credentials_directory();
        let identity_seal = identity(config)?;
        let identity = identity_seal
            .open(credentials.as_deref())
            .context("seal.identity")?;
        let share = match share(config)? {
            SealConfig::Operator => None,
            // One login to a token for both.
            same if same == identity_seal => Some(Arc::clone(&identity)),
            other => Some(other.open(credentials.as_deref()).context("seal.share")?),
        };
        Ok(Self { identity, share })
    }
}

/// The seal of the identity.
///
/// # Errors
/// There is none, or only a person can open it.
pub fn identity(config: &Config) -> anyhow::Result<SealConfig> {
    let seal = match (&config.seal.identity, &config.passphrase_file) {
        (Some(seal), _) => seal.clone(),
        (None, Some(file)) => SealConfig::Passphrase {
            from: seal::SecretSource::File(file.clone()),
        },
        (None, None) => bail!("seal.identity: nothing seals the node's secrets; set it, or passphrase_file"),
    };
    ensure!(
        seal != SealConfig::Operator,
        "seal.identity: the node needs its identity to hear its operator; seal it by another method, and only the share \
         by this one"
    );
    Ok(seal)
}

/// The seal of the shares.
///
/// # Errors
/// There is none, or nobody could open it.
pub fn share(config: &Config) -> anyhow::Result<SealConfig> {
    let seal = match &config.seal.share {
        Some(seal) => seal.clone(),
        None => identity(config)?,
    };
    ensure!(
        seal != SealConfig::Operator || !config.operators.is_empty(),
        "operators: there is nobody to unseal this node"
    );
    Ok(seal)
}

/// Where the identity is kept.
#[must_use]
pub fn identity_file(config: &Config) -> PathBuf {
    let default = || config.directory.join("identity");
    config.identity_file.clone().unwrap_or_else(default)
}

/// Where the shares are kept.
#[must_use]
pub fn share_directory(config: &Config) -> PathBuf {
    config.directory.join("shares")
}

/// A sealed file with nothing in it, by which an operator's passphrase is known to be the right one, also before
/// there is a share.
#[derive(Debug)]
pub struct SealCheck {
    path: PathBuf,
    context: String,
}

impl SealCheck {
    /// The check of the node with this identity key, in its directory.
    #[must_use]
    pub fn new(directory: &Path, node: &[u8; 32]) -> Self {
        Self {
            path: directory.join("seal-check"),
            context: format!("crypto-node/{}/seal-check", hex::encode(node)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a passphrase was set.
    ///
    /// # Errors
    /// The file system does not say: what is not known to be absent must not be set anew.
    pub fn exists(&self) -> anyhow::Result<bool> {
        is_there(&self.path).with_context(|| format!("cannot look for {}", self.path.display()))
    }

    /// Sets the first passphrase. Blocks.
    ///
    /// # Errors
    /// There is one already, or the file system's.
    pub fn set(&self, seal: &dyn KeyWrap) -> anyhow::Result<()> {
        ensure!(!self.exists()?, "{} exists already", self.path.display());
        write_atomically(&self.path, &self.sealed(seal)?, Secrecy::Secret)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// What is to be in the file for this seal. Blocks.
    ///
    /// # Errors
    /// The seal's.
    pub fn sealed(&self, seal: &dyn KeyWrap) -> anyhow::Result<Vec<u8>> {
        Ok(seal::seal(seal, &self.context, &[], &mut OsRng)?)
    }

    /// Whether this is the seal that was set. Blocks.
    ///
    /// # Errors
    /// The file system's.
    pub fn accepts(&self, seal: &dyn KeyWrap) -> anyhow::Result<bool> {
        let blob =
            std::fs::read(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        match seal::open(seal, &self.context, &blob) {
            Ok(_) => Ok(true),
            Err(seal::SealError::Refused) => Ok(false),
            Err(error) => Err(error).with_context(|| self.path.display().to_string()),
        }
    }
}
