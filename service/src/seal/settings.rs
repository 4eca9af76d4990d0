//! Which seal a daemon uses, as its configuration says.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{KeyWrap, PassphraseError, SealError, SecretSource};

/// A seal in a configuration file: nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
pub enum SealConfig {
    /// A passphrase that the daemon reads when it starts.
    Passphrase {
        /// Where from: `{ file = "…" }` or `{ credential = "…" }`.
        from: SecretSource,
    },
    /// A key in a PKCS#11 token that does not leave it.
    Token {
        /// The token's library.
        module: PathBuf,
        /// The token's label.
        token: String,
        /// The label of its AES key of 256 bits.
        key: String,
        /// Where its PIN is read from.
        pin: SecretSource,
    },
    /// A passphrase that a person gives to the running daemon, which starts sealed.
    Operator,
}

/// Why a seal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The passphrase or the PIN cannot be had.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The token cannot be used.
    #[error(transparent)]
    Token(#[from] SealError),
    /// The program cannot use tokens.
    #[error("this program was built without PKCS#11: build it with `--features pkcs11`")]
    NoTokens,
    /// Only a person can open this seal.
    #[error("a person opens this seal: it has no passphrase to read")]
    Operator,
}

impl SealConfig {
    /// Makes the seal ready for use: reads the passphrase, or logs in to the token. Blocks.
    ///
    /// # Errors
    /// Says what cannot be read or reached; [`SettingsError::Operator`] where a person has the passphrase.
    pub fn open(&self, credentials: Option<&Path>) -> Result<Arc<dyn KeyWrap>, SettingsError> {
        match self {
            Self::Passphrase { from } => Ok(Arc::new(from.read(credentials)?)),
            #[cfg(not(feature = "pkcs11"))]
            Self::Token { .. } => Err(SettingsError::NoTokens),
            #[cfg(feature = "pkcs11")]
            Self::Token {
                module,
                token,
                key,
                pin,
            } => {
                let pin = pin.read(credentials)?;
                Ok(Arc::new(super::token::Token::open(module, token, key, &pin)?))
            }
            Self::Operator => Err(SettingsError::Operator),
        }
    }
}
