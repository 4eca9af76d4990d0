//! What a client is told before it talks to anyone: whom to trust, and for what.
//!
//! A profile pins the chain, the custody key, the identity key of every daemon, the certificate roots of the
//! organisations and the policy. Nothing in it is secret, everything in it matters: whoever changes a profile
//! decides what its client believes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use approval::{Policy, TrustBundle, TrustedOrganisation};
use serde::{Deserialize, Serialize};
use threshold::ids::{ChainId, KeyId};
use threshold::name::Name;
use threshold::signature::PublicKey;

use crate::error::Error;

/// The profile as it is stored, in TOML.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The installation's name, part of every label.
    pub installation: String,
    /// The chain id, hexadecimal: the hash of the genesis.
    pub chain_id: String,
    /// The custody key's id, hexadecimal; absent until the key has been generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Where this machine keeps encrypted objects that are too large for the chain.
    pub objects: PathBuf,
    /// The organisations' roots and the policy over them.
    pub approval: ApprovalProfile,
    /// The ledger endorsers.
    pub endorsers: Vec<EndorserProfile>,
    /// The coordinators, in order of preference.
    pub coordinators: Vec<DaemonProfile>,
    /// The crypto nodes, for their operators; readers never talk to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeProfile>,
}

/// Whose approvals count.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalProfile {
    /// The version of policy and roots that the crypto nodes are configured with.
    pub version: u32,
    /// The policy, for example `OUTOF(3, north, east, south, west)`.
    pub policy: String,
    /// Each organisation's root.
    pub organisations: Vec<OrganisationProfile>,
}

/// One organisation's certificate root.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganisationProfile {
    /// The organisation's name, as the policy says it.
    pub name: String,
    /// Its root certificate, DER in hexadecimal.
    pub root: String,
}

/// One endorser.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndorserProfile {
    /// The organisation that runs it.
    pub organisation: String,
    /// Its identity key, hexadecimal.
    pub identity: String,
    /// `host:port`.
    pub address: String,
}

/// One coordinator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaemonProfile {
    /// Its name, for messages.
    pub name: String,
    /// Its identity key, hexadecimal.
    pub identity: String,
    /// `host:port`.
    pub address: String,
}

/// One crypto node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeProfile {
    /// Its name in the committee.
    pub name: String,
    /// Its identity key, hexadecimal.
    pub identity: String,
    /// `host:port`.
    pub address: String,
    /// The sealed key of its operator, on the operator's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_key: Option<PathBuf>,
}

/// A profile whose every field has been parsed.
pub(crate) struct Trust {
    pub(crate) installation: Name,
    pub(crate) chain_id: ChainId,
    pub(crate) key_id: Option<KeyId>,
    /// The policy over all organisations.
    pub(crate) bundle: TrustBundle,
    pub(crate) endorsers: Vec<Pinned>,
    pub(crate) coordinators: Vec<Pinned>,
    /// Identity keys of the crypto nodes by name, where the profile has them.
    pub(crate) nodes: Vec<(Name, PublicKey)>,
}

/// A daemon with its pinned key.
#[derive(Debug, Clone)]
pub(crate) struct Pinned {
    pub(crate) name: Name,
    pub(crate) identity: PublicKey,
    pub(crate) address: String,
}

impl Profile {
    /// Parses every field.
    pub(crate) fn trust(&self) -> Result<Trust, Error> {
        let installation = name("installation", &self.installation)?;
        let chain_id: ChainId = self.chain_id.parse().map_err(|e| bad("chain_id", e))?;
        let organisations = self
            .approval
            .organisations
            .iter()
            .map(trusted)
            .collect::<Result<Vec<_>, _>>()?;
        let policy: Policy = self
            .approval
            .policy
            .parse()
            .map_err(|e| bad("approval.policy", e))?;
        let bundle = TrustBundle::new(
            self.approval.version,
            chain_id,
            installation.clone(),
            organisations,
            policy,
        )
        .map_err(|e| bad("approval", e))?;
        let key_id = self
            .key_id
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|e| bad("key_id", e))?;
        let endorsers = self
            .endorsers
            .iter()
            .map(|e| pinned("endorsers", &e.organisation, &e.identity, &e.address));
        let coordinators = self
            .coordinators
            .iter()
            .map(|c| pinned("coordinators", &c.name, &c.identity, &c.address));
        let nodes = self
            .nodes
            .iter()
            .map(|n| Ok((name("nodes.name", &n.name)?, key("nodes.identity", &n.identity)?)));
        let endorsers = endorsers.collect::<Result<Vec<_>, Error>>()?;
        check_distinct(&endorsers)?;
        Ok(Trust {
            bundle,
            key_id,
            endorsers,
            coordinators: coordinators.collect::<Result<_, Error>>()?,
            nodes: nodes.collect::<Result<_, Error>>()?,
            installation,
            chain_id,
        })
    }
}

fn trusted(organisation: &OrganisationProfile) -> Result<TrustedOrganisation, Error> {
    let root = hex::decode(&organisation.root).map_err(|e| bad("approval.organisations.root", e))?;
    let name = name("approval.organisations.name", &organisation.name)?;
    TrustedOrganisation::new(name, &root).map_err(|e| bad("approval.organisations.root", e))
}

fn pinned(field: &'static str, who: &str, identity: &str, address: &str) -> Result<Pinned, Error> {
    Ok(Pinned {
        name: name(field, who)?,
        identity: key(field, identity)?,
        address: address.to_owned(),
    })
}

/// Endorsers are counted, so none may stand there twice.
fn check_distinct(endorsers: &[Pinned]) -> Result<(), Error> {
    let names: BTreeSet<&Name> = endorsers.iter().map(|endorser| &endorser.name).collect();
    let keys: BTreeSet<&[u8; 32]> = endorsers
        .iter()
        .map(|endorser| endorser.identity.as_bytes())
        .collect();
    if names.len().min(keys.len()) < endorsers.len() {
        return Err(bad(
            "endorsers",
            "an organisation or an identity key is there twice",
        ));
    }
    Ok(())
}

fn name(field: &'static str, text: &str) -> Result<Name, Error> {
    text.parse().map_err(|e| bad(field, e))
}

fn key(field: &'static str, text: &str) -> Result<PublicKey, Error> {
    text.parse().map_err(|e| bad(field, e))
}

fn bad(field: &'static str, reason: impl std::fmt::Display) -> Error {
    Error::Profile {
        field,
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p11_an_endorser_that_is_named_twice_is_refused() {
        let endorser = |name: &str, seed: u8| Pinned {
            name: name.parse().unwrap(),
            identity: PublicKey::of(&ed25519_dalek::SigningKey::from_bytes(&[seed; 32])),
            address: String::new(),
        };
        assert!(check_distinct(&[endorser("north", 1), endorser("south", 2)]).is_ok());
        assert!(check_distinct(&[endorser("north", 1), endorser("north", 2)]).is_err());
        assert!(check_distinct(&[endorser("north", 1), endorser("south", 1)]).is_err());
    }
}
