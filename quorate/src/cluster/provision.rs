//! A new cluster's keys, genesis and configurations; and the profile of its clients.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use approval::{ApprovalConfig, OrganisationConfig};
use client::{ApprovalProfile, DaemonProfile, EndorserProfile, NodeProfile, OrganisationProfile, Profile};
use crypto_node::config as node_config;
use golden_record::{Genesis, Limits, Organisation};
use ledger_endorser::setup::{PublicParts, create_keys, public_parts};
use serde::Serialize;
use service::files::{Secrecy, write_atomically};
use service::identity::Identity;
use threshold::encoding::Canonical;
use threshold::ids::{ChainId, KeyId};
use threshold::name::Name;
use threshold::signature::PublicKey;

use super::layout::{COORDINATOR, INSTALLATION, Layout, ORGANISATIONS, POLICY, Paths, Seat, Size};
use crate::commands::parse;
use crate::failure::{Failure, Outcome};
use crate::home::private_directory;
use crate::keyring;

/// The version of roots and policy of a new cluster.
const POLICY_VERSION: u32 = 1;

/// Public keys of everybody in the cluster.
struct Keys {
    /// Crypto nodes and their operators, in the order of the seats.
    nodes: Vec<([u8; 32], [u8; 32])>,
    endorsers: Vec<PublicParts>,
    coordinator: [u8; 32],
}

/// Makes everything; the layout is written last, so that an attempt that was cut short is begun anew: that it was one, the
/// file says that is written first.
pub(super) fn provision(paths: &Paths, size: Size) -> Outcome {
    clear(paths)?;
    write_atomically(&paths.begun(), b"", Secrecy::Public)?;
    let layout = Layout::new(now_ms(), size)?;
    let keys = make_keys(paths, &layout)?;
    let genesis = genesis(paths, &layout, &keys)?;
    write_atomically(&paths.genesis(), &genesis.to_bytes(), Secrecy::Public)?;
    for (seat, organisation) in layout.endorsers.iter().zip(ORGANISATIONS) {
        write_toml(
            &paths.config(&seat.name),
            &endorser(paths, &layout, &keys, seat, organisation),
        )?;
    }
    for seat in &layout.nodes {
        write_toml(
            &paths.config(&seat.name),
            &node(paths, &layout, &keys, seat, genesis.chain_id()),
        )?;
    }
    write_toml(
        &paths.config(COORDINATOR),
        &coordinator(paths, &layout, &keys, genesis.chain_id()),
    )?;
    write_toml(&paths.layout(), &layout)?;
    Ok(fs::remove_file(paths.begun())?)
}

/// The profile of a provisioned cluster, with the key id if there is one yet.
pub(super) fn profile(paths: &Paths, layout: &Layout) -> Outcome<Profile> {
    let keys = known_keys(paths, layout)?;
    let genesis = Genesis::from_bytes(&fs::read(paths.genesis())?).map_err(anyhow::Error::from)?;
    let organisations = keys.endorsers.iter().map(|parts| OrganisationProfile {
        name: parts.organisation.to_string(),
        root: hex::encode(&parts.ca_certificate),
    });
    let endorsers = layout
        .endorsers
        .iter()
        .zip(&keys.endorsers)
        .map(|(seat, parts)| EndorserProfile {
            organisation: parts.organisation.to_string(),
            identity: hex::encode(parts.identity),
            address: seat.listen.to_string(),
        });
    let nodes = layout
        .nodes
        .iter()
        .zip(&keys.nodes)
        .map(|(seat, (identity, _))| NodeProfile {
            name: seat.name.clone(),
            identity: hex::encode(identity),
            address: seat.listen.to_string(),
            operator_key: Some(paths.operator(&seat.name)),
        });
    Ok(Profile {
        installation: INSTALLATION.into(),
        chain_id: genesis.chain_id().to_string(),
        key_id: fs::read_to_string(paths.key_id()).ok(),
        objects: paths.objects(),
        approval: ApprovalProfile {
            version: POLICY_VERSION,
            policy: POLICY.into(),
            organisations: organisations.collect(),
        },
        endorsers: endorsers.collect(),
        coordinators: vec![DaemonProfile {
            name: COORDINATOR.into(),
            identity: hex::encode(keys.coordinator),
            address: layout.coordinator.listen.to_string(),
        }],
        nodes: nodes.collect(),
    })
}

/// Remembers the custody key's id for profiles.
pub(super) fn pin_key(paths: &Paths, key_id: &KeyId) -> Outcome {
    write_atomically(&paths.key_id(), key_id.to_string().as_bytes(), Secrecy::Public)?;
    Ok(())
}

fn make_keys(paths: &Paths, layout: &Layout) -> Outcome<Keys> {
    let mut nodes = Vec::new();
    for seat in &layout.nodes {
        nodes.push((
            daemon_identity(paths, seat)?,
            person(paths, &paths.operator(&seat.name))?,
        ));
    }
    let mut endorsers = Vec::new();
    for (seat, organisation) in layout.endorsers.iter().zip(ORGANISATIONS) {
        private_directory(&paths.data(&seat.name))?;
        let passphrase = keyring::passphrase(&paths.passphrase(&seat.name))?;
        let name: Name = parse("organisation", organisation)?;
        let parts = create_keys(
            &paths.keys(&seat.name),
            &paths.data(&seat.name),
            &name,
            &passphrase,
            layout.created_ms,
        );
        endorsers.push(parts.map_err(anyhow::Error::from)?);
        person(paths, &paths.admin(organisation))?;
    }
    person(paths, &paths.auditor())?;
    Ok(Keys {
        nodes,
        endorsers,
        coordinator: daemon_identity(paths, &layout.coordinator)?,
    })
}

/// The same public keys, from an existing cluster's configurations.
fn known_keys(paths: &Paths, layout: &Layout) -> Outcome<Keys> {
    let public = |path: &Path| -> Outcome<[u8; 32]> {
        let mut key = [0; 32];
        let text = fs::read_to_string(path.with_extension("pub"))?;
        hex::decode_to_slice(text.trim(), &mut key).map_err(anyhow::Error::from)?;
        Ok(key)
    };
    let nodes = layout.nodes.iter().map(|seat| {
        Ok((
            public(&paths.identity(&seat.name))?,
            public(&paths.operator(&seat.name))?,
        ))
    });
    let endorsers = layout
        .endorsers
        .iter()
        .map(|seat| Ok(public_parts(&paths.keys(&seat.name)).map_err(anyhow::Error::from)?));
    Ok(Keys {
        nodes: nodes.collect::<Outcome<_>>()?,
        endorsers: endorsers.collect::<Outcome<_>>()?,
        coordinator: public(&paths.identity(COORDINATOR))?,
    })
}

fn daemon_identity(paths: &Paths, seat: &Seat) -> Outcome<[u8; 32]> {
    private_directory(&paths.data(&seat.name))?;
    let passphrase = keyring::passphrase(&paths.passphrase(&seat.name))?;
    let path = paths.identity(&seat.name);
    new_identity(&seat.name, &passphrase, &path)
}

fn person(paths: &Paths, path: &Path) -> Outcome<[u8; 32]> {
    let passphrase = keyring::passphrase(&paths.people().join("passphrase"))?;
    let name = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    new_identity(&name, &passphrase, path)
}

/// A sealed identity, and its public key beside it.
fn new_identity(name: &str, passphrase: &service::Passphrase, path: &Path) -> Outcome<[u8; 32]> {
    let key = Identity::create(name, passphrase, path)
        .map_err(anyhow::Error::from)?
        .public_key();
    write_atomically(
        &path.with_extension("pub"),
        hex::encode(key).as_bytes(),
        Secrecy::Public,
    )?;
    Ok(key)
}

fn genesis(paths: &Paths, layout: &Layout, keys: &Keys) -> Outcome<Genesis> {
    let public = |path: &Path| -> Outcome<PublicKey> {
        parse(
            "public key",
            fs::read_to_string(path.with_extension("pub"))?.trim(),
        )
    };
    let organisations = keys.endorsers.iter().map(|parts| {
        Ok(Organisation {
            name: parts.organisation.clone(),
            validator: public_key(&parts.validator)?,
            admin: public(&paths.admin(parts.organisation.as_str()))?,
            ca_certificate: parts.ca_certificate.clone(),
        })
    });
    let genesis = Genesis::new(
        parse("installation", INSTALLATION)?,
        layout.created_ms,
        organisations.collect::<Outcome<_>>()?,
        vec![public_key(&keys.coordinator)?],
        vec![public(&paths.auditor())?],
        Limits::default(),
    );
    Ok(genesis.map_err(anyhow::Error::from)?)
}

fn endorser(
    paths: &Paths,
    layout: &Layout,
    keys: &Keys,
    seat: &Seat,
    organisation: &str,
) -> ledger_endorser::Config {
    let peers: BTreeMap<String, String> = layout
        .endorsers
        .iter()
        .zip(&keys.endorsers)
        .filter(|(other, _)| other.name != seat.name)
        .filter_map(|(other, parts)| Some((hex::encode(parts.validator), other.consensus?.to_string())))
        .collect();
    ledger_endorser::Config {
        organisation: organisation.into(),
        listen: seat.listen,
        operations: seat.operations,
        consensus_listen: seat.consensus.unwrap_or(seat.listen),
        directory: paths.data(&seat.name),
        keys: paths.keys(&seat.name),
        passphrase_file: paths.passphrase(&seat.name),
        genesis: paths.genesis(),
        peers,
        certificate_lifetime_seconds: 120,
        policy_version: POLICY_VERSION,
        limits: ledger_endorser::Limits::default(),
    }
}

fn node(paths: &Paths, layout: &Layout, keys: &Keys, seat: &Seat, chain_id: ChainId) -> crypto_node::Config {
    let members = layout
        .nodes
        .iter()
        .zip(&keys.nodes)
        .map(|(other, (identity, _))| node_config::MemberConfig {
            name: other.name.clone(),
            identity: hex::encode(identity),
            address: other.listen.to_string(),
        });
    let own = layout
        .nodes
        .iter()
        .zip(&keys.nodes)
        .filter(|(other, _)| other.name == seat.name);
    crypto_node::Config {
        name: seat.name.clone(),
        installation: INSTALLATION.into(),
        listen: seat.listen,
        operations: seat.operations,
        directory: paths.data(&seat.name),
        passphrase_file: Some(paths.passphrase(&seat.name)),
        seal: node_config::SealsConfig::default(),
        identity_file: Some(paths.identity(&seat.name)),
        members: members.collect(),
        coordinators: vec![hex::encode(keys.coordinator)],
        operators: own.map(|(_, (_, operator))| hex::encode(operator)).collect(),
        approval: approval_config(keys, chain_id),
        journal: node_config::JournalConfig::default(),
        limits: node_config::LimitsConfig::default(),
    }
}

/// Whose approvals count, for everybody who checks them.
fn approval_config(keys: &Keys, chain_id: ChainId) -> ApprovalConfig {
    let organisations = keys.endorsers.iter().map(|parts| OrganisationConfig {
        name: parts.organisation.to_string(),
        root: approval::pem::encode(&parts.ca_certificate),
    });
    ApprovalConfig {
        chain_id: chain_id.to_string(),
        version: POLICY_VERSION,
        policy: POLICY.into(),
        organisations: organisations.collect(),
    }
}

fn coordinator(paths: &Paths, layout: &Layout, keys: &Keys, chain_id: ChainId) -> coordinator::Config {
    let nodes = layout
        .nodes
        .iter()
        .zip(&keys.nodes)
        .map(|(seat, (identity, _))| coordinator::NodeConfig {
            name: seat.name.clone(),
            identity: hex::encode(identity),
            address: seat.listen.to_string(),
        });
    let endorsers =
        layout
            .endorsers
            .iter()
            .zip(&keys.endorsers)
            .map(|(seat, parts)| coordinator::EndorserConfig {
                organisation: parts.organisation.to_string(),
                identity: hex::encode(parts.identity),
                address: seat.listen.to_string(),
            });
    coordinator::Config {
        listen: layout.coordinator.listen,
        operations: layout.coordinator.operations,
        directory: paths.data(COORDINATOR),
        passphrase_file: paths.passphrase(COORDINATOR),
        identity_file: Some(paths.identity(COORDINATOR)),
        installation: INSTALLATION.into(),
        approval: approval_config(keys, chain_id),
        nodes: nodes.collect(),
        endorsers: endorsers.collect(),
        limits: coordinator::LimitsConfig::default(),
    }
}

/// Removes what is in the directory of a cluster; removes nothing when there is anything else, or when nothing says that it is
/// a cluster's: others have directories of these names too.
pub(super) fn clear(paths: &Paths) -> Outcome {
    let mut entries = Vec::new();
    let marks = [paths.layout(), paths.begun()];
    for entry in fs::read_dir(paths.root())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "lock" {
            continue;
        }
        let ours = [
            "people",
            "objects",
            "genesis",
            "cluster.toml",
            "cluster.begun",
            "key-id",
            COORDINATOR,
        ]
        .contains(&name.as_str())
            || name.starts_with("crypto-")
            || name.starts_with("endorser-");
        if !ours {
            return Err(Failure::error(
                format!(
                    "{} is not the directory of a cluster: it has {name}",
                    paths.root().display()
                ),
                "choose an empty or new directory with --dir",
            ));
        }
        if !marks.contains(&entry.path()) {
            entries.push(entry);
        }
    }
    if let Some(entry) = entries.first()
        && !marks.iter().any(|mark| mark.is_file())
    {
        return Err(Failure::error(
            format!(
                "{} is not the directory of a cluster: it has {} and no cluster.toml",
                paths.root().display(),
                entry.file_name().to_string_lossy()
            ),
            "nothing was deleted; choose an empty or new directory with --dir",
        ));
    }
    for entry in entries {
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    // Last, so that what was cut short can be gone on with.
    for mark in marks {
        if mark.is_file() {
            fs::remove_file(mark)?;
        }
    }
    Ok(())
}

fn public_key(bytes: &[u8; 32]) -> Outcome<PublicKey> {
    Ok(PublicKey::from_bytes(bytes).map_err(anyhow::Error::from)?)
}

fn write_toml<T: Serialize>(path: &Path, value: &T) -> Outcome {
    let text = toml::to_string(value).map_err(anyhow::Error::from)?;
    write_atomically(path, text.as_bytes(), Secrecy::Public)?;
    Ok(())
}

fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
