//! How a daemon's configuration file says whose approvals count.

use serde::{Deserialize, Serialize};
use threshold::name::{Name, NameError};

use crate::pem::{self, PemError};
use crate::policy::PolicyError;
use crate::trust::{TrustBundle, TrustError, TrustedOrganisation};

/// The trust bundle: whose approvals count, and how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalConfig {
    /// The chain that approvals must come from, hexadecimal.
    pub chain_id: String,
    /// Version of this bundle, as in the certificates.
    pub version: u32,
    /// Policy over the organisations, for example `OUTOF(3, north, south, east, west)`.
    pub policy: String,
    /// The organisations and their roots.
    pub organisations: Vec<OrganisationConfig>,
}

/// An organisation that approves reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganisationConfig {
    /// Its name, as in the policy.
    pub name: String,
    /// Its root certificate: a PEM file's path, or the PEM itself.
    pub root: String,
}

/// Which key of the configuration does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not a chain's id.
    #[error("approval.chain_id is not 64 hexadecimal digits")]
    ChainId,
    /// Not a policy.
    #[error("approval.policy: {0}")]
    Policy(#[from] PolicyError),
    /// Not a name.
    #[error("approval.organisations: {0} is not a name: {1}")]
    Name(String, NameError),
    /// A root that cannot be read.
    #[error("approval.organisations: {organisation}: cannot read root {path}: {error}")]
    Read {
        /// Whose root.
        organisation: Name,
        /// Where it should be.
        path: String,
        /// Why not.
        error: std::io::Error,
    },
    /// A root that is not PEM.
    #[error("approval.organisations: {0}: {1}")]
    Pem(Name, PemError),
    /// A bundle that does not hold together.
    #[error("approval: {0}")]
    Trust(#[from] TrustError),
}

impl ApprovalConfig {
    /// The bundle for an installation. `read` gives the text of a file, such as [`std::fs::read_to_string`].
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn bundle(
        &self,
        installation: Name,
        read: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<TrustBundle, ConfigError> {
        let organisations = self.organisations.iter().map(|organisation| {
            let name = &organisation.name;
            let name = Name::new(name).map_err(|error| ConfigError::Name(name.clone(), error))?;
            let path = &organisation.root;
            let pem = match path.starts_with("-----BEGIN") {
                true => path.clone(),
                false => read(path).map_err(|error| ConfigError::Read {
                    organisation: name.clone(),
                    path: path.clone(),
                    error,
                })?,
            };
            let root = pem::decode(&pem).map_err(|error| ConfigError::Pem(name.clone(), error))?;
            Ok(TrustedOrganisation::new(name, &root)?)
        });
        let organisations = organisations.collect::<Result<_, ConfigError>>()?;
        let chain_id = self.chain_id.parse().map_err(|_| ConfigError::ChainId)?;
        let policy = self.policy.parse()?;
        Ok(TrustBundle::new(
            self.version,
            chain_id,
            installation,
            organisations,
            policy,
        )?)
    }
}
