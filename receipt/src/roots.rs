//! Whom a verifier believes: exported once, kept where nobody else can change it.

use std::collections::BTreeSet;

use approval::{Limits, Policy, TrustBundle, TrustedOrganisation};
use golden_record::{Endorsers as _, Epochs, Genesis, Handover};
use serde::{Deserialize, Serialize};
use threshold::encoding::Canonical;
use threshold::ids::{ChainId, ManifestDigest};
use threshold::name::Name;

/// The largest file of roots.
pub const MAX_ROOTS: usize = 1 << 20;
/// The most versions of roots and policy, and the most committees.
const MAX_PINS: usize = 1024;
/// The version of the file.
const VERSION: u32 = 1;

/// Why something is not a set of roots. Its author's mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootsError {
    /// Longer than [`MAX_ROOTS`], or more pins than there may be.
    #[error("the roots are too many")]
    TooLong,
    /// Not the JSON that it should be.
    #[error("the roots are not the expected JSON: {0}")]
    Json(String),
    /// Of another version of the file.
    #[error("the roots have version {0}, and version {VERSION} is known")]
    Version(u32),
    /// A field that does not parse.
    #[error("{field}: {reason}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Roots and policy of another chain or installation than the genesis.
    #[error("version {0} of roots and policy is of another chain or installation than the genesis")]
    OtherChain(u32),
    /// One version of roots and policy twice.
    #[error("version {0} of roots and policy is there twice")]
    Repeated(u32),
}

/// One version of approval roots and policy, and how long an approval may live under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedApproval {
    /// The organisations' roots and the policy over them.
    pub bundle: TrustBundle,
    /// The longest lifetime, and by how much clocks may differ.
    pub limits: Limits,
}

/// The genesis of one chain, with its validators, and the handovers to those who follow them, as far as they were known; the
/// approval roots and policies in all their versions; the committees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedRoots {
    epochs: Epochs,
    approvals: Vec<PinnedApproval>,
    committees: BTreeSet<ManifestDigest>,
}

impl PinnedRoots {
    /// Roots that fit together, of somebody who knows of no handover.
    ///
    /// # Errors
    /// [`RootsError`].
    pub fn new(
        genesis: Genesis,
        approvals: Vec<PinnedApproval>,
        committees: BTreeSet<ManifestDigest>,
    ) -> Result<Self, RootsError> {
        if approvals.len() > MAX_PINS || committees.len() > MAX_PINS {
            return Err(RootsError::TooLong);
        }
        let mut versions = BTreeSet::new();
        for PinnedApproval { bundle, .. } in &approvals {
            let version = bundle.version();
            if bundle.chain_id() != genesis.chain_id() || bundle.installation() != genesis.installation() {
                return Err(RootsError::OtherChain(version));
            }
            if !versions.insert(version) {
                return Err(RootsError::Repeated(version));
            }
        }
        Ok(Self {
            epochs: Epochs::new(genesis),
            approvals,
            committees,
        })
    }

    /// The same, with these handovers: then those who have handed over are not believed about what came later.
    ///
    /// # Errors
    /// [`RootsError::Field`] for one that does not lead from those before it to the next.
    pub fn with_handovers(mut self, handovers: Vec<Handover>) -> Result<Self, RootsError> {
        for handover in handovers {
            let learned = self.epochs.advance(handover);
            learned.map_err(|error| bad("handovers", error))?;
        }
        Ok(self)
    }

    /// The beginning of the chain.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        self.epochs.genesis()
    }

    /// Who decides on the chain, as far as it is pinned.
    #[must_use]
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// The roots and the policy of a version.
    #[must_use]
    pub fn approval(&self, version: u32) -> Option<&PinnedApproval> {
        self.approvals
            .iter()
            .find(|pinned| pinned.bundle.version() == version)
    }

    /// Whether this is a committee of the installation.
    #[must_use]
    pub fn has_committee(&self, digest: &ManifestDigest) -> bool {
        self.committees.contains(digest)
    }

    /// Reads a file of roots.
    ///
    /// # Errors
    /// [`RootsError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, RootsError> {
        if bytes.len() > MAX_ROOTS {
            return Err(RootsError::TooLong);
        }
        let file: File =
            serde_json::from_slice(bytes).map_err(|error| RootsError::Json(error.to_string()))?;
        if file.version != VERSION {
            return Err(RootsError::Version(file.version));
        }
        let genesis = hex::decode(&file.genesis).map_err(|error| bad("genesis", error))?;
        let genesis = Genesis::from_bytes(&genesis).map_err(|error| bad("genesis", error))?;
        let chain_id: ChainId = file.chain_id.parse().map_err(|error| bad("chain_id", error))?;
        if genesis.chain_id() != chain_id {
            return Err(bad("chain_id", "it is not that of the genesis"));
        }
        let approvals = file.approvals.iter().map(|one| one.pinned(&genesis));
        let approvals = approvals.collect::<Result<_, _>>()?;
        let digest = |text: &String| text.parse().map_err(|error| bad("committees", error));
        let committees = file.committees.iter().map(digest).collect::<Result<_, _>>()?;
        let handover = |text: &String| {
            let bytes = hex::decode(text).map_err(|error| bad("handovers", error))?;
            Handover::from_bytes(&bytes).map_err(|error| bad("handovers", error))
        };
        let handovers = file.handovers.iter().map(handover).collect::<Result<_, _>>()?;
        Self::new(genesis, approvals, committees)?.with_handovers(handovers)
    }

    /// The file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let file = File {
            version: VERSION,
            chain_id: self.genesis().chain_id().to_string(),
            genesis: hex::encode(self.genesis().to_bytes()),
            handovers: self
                .epochs
                .handovers_to(self.epochs.newest())
                .iter()
                .map(|handover| hex::encode(handover.to_bytes()))
                .collect(),
            approvals: self.approvals.iter().map(FileApproval::of).collect(),
            committees: self.committees.iter().map(ToString::to_string).collect(),
        };
        // Strings and numbers only: this does not fail.
        serde_json::to_string_pretty(&file).unwrap_or_default() + "\n"
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    chain_id: String,
    genesis: String,
    /// Not there when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    handovers: Vec<String>,
    approvals: Vec<FileApproval>,
    committees: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileApproval {
    version: u32,
    policy: String,
    max_lifetime_s: u64,
    max_skew_s: u64,
    organisations: Vec<FileOrganisation>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOrganisation {
    name: String,
    root: String,
}

impl FileApproval {
    fn of(pinned: &PinnedApproval) -> Self {
        let organisations = pinned.bundle.organisations().iter();
        Self {
            version: pinned.bundle.version(),
            policy: pinned.bundle.policy().to_string(),
            max_lifetime_s: pinned.limits.max_lifetime_s,
            max_skew_s: pinned.limits.max_skew_s,
            organisations: organisations
                .map(|organisation| FileOrganisation {
                    name: organisation.name().to_string(),
                    root: hex::encode(organisation.root_der()),
                })
                .collect(),
        }
    }

    fn pinned(&self, genesis: &Genesis) -> Result<PinnedApproval, RootsError> {
        let policy: Policy = self.policy.parse().map_err(|error| bad("policy", error))?;
        let organisations = self.organisations.iter().map(FileOrganisation::trusted);
        let bundle = TrustBundle::new(
            self.version,
            genesis.chain_id(),
            genesis.installation().clone(),
            organisations.collect::<Result<_, _>>()?,
            policy,
        )
        .map_err(|error| bad("approvals", error))?;
        let limits = Limits {
            max_lifetime_s: self.max_lifetime_s,
            max_skew_s: self.max_skew_s,
        };
        Ok(PinnedApproval { bundle, limits })
    }
}

impl FileOrganisation {
    fn trusted(&self) -> Result<TrustedOrganisation, RootsError> {
        let name: Name = self.name.parse().map_err(|error| bad("organisation", error))?;
        let root = hex::decode(&self.root).map_err(|error| bad("root", error))?;
        TrustedOrganisation::new(name, &root).map_err(|error| bad("root", error))
    }
}

fn bad(field: &'static str, reason: impl std::fmt::Display) -> RootsError {
    RootsError::Field {
        field,
        reason: reason.to_string(),
    }
}
