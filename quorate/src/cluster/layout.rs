//! Who is in a local cluster, and where each member keeps its files. Nothing here is secret.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::DaemonKind;
use crate::failure::{Failure, Outcome};

/// The installation's name, part of every label.
pub const INSTALLATION: &str = "dev";
/// Crypto nodes of a local cluster.
pub const NODES: u16 = 5;
/// How many of them are needed.
pub const THRESHOLD: u16 = 3;
/// The organisations, each with one endorser. Four tolerate one that is Byzantine.
pub const ORGANISATIONS: [&str; 4] = ["north", "east", "south", "west"];
/// What the crypto nodes and the client demand of the organisations.
pub const POLICY: &str = "OUTOF(3, north, east, south, west)";
/// The coordinator's name.
pub const COORDINATOR: &str = "coordinator";

/// One daemon's place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seat {
    /// Its name, and its folder's.
    pub name: String,
    /// Where it serves.
    pub listen: SocketAddr,
    /// Health and metrics.
    pub operations: SocketAddr,
    /// The consensus engine's transport; endorsers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consensus: Option<SocketAddr>,
}

/// How many crypto nodes a cluster has, and how many of them are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Crypto nodes.
    pub nodes: u16,
    /// How many of them are needed.
    pub threshold: u16,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            nodes: NODES,
            threshold: THRESHOLD,
        }
    }
}

/// The members of a cluster and their fixed ports, kept in `cluster.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Layout {
    /// When the cluster was made, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// How many crypto nodes are needed.
    pub threshold: u16,
    /// The crypto nodes, in the order of their seats.
    pub nodes: Vec<Seat>,
    /// The endorsers, in the order of [`ORGANISATIONS`].
    pub endorsers: Vec<Seat>,
    /// The coordinator.
    pub coordinator: Seat,
}

impl Layout {
    /// A new cluster on free ports.
    pub fn new(created_ms: u64, size: Size) -> Outcome<Self> {
        let wanted = usize::from(size.nodes) * 2 + ORGANISATIONS.len() * 3 + 2;
        let free = service::ports::free(wanted).map_err(|error| {
            Failure::error(
                error.to_string(),
                "stop other programs on this machine and try again",
            )
        })?;
        let mut free = free.into_iter();
        let mut next = || {
            free.next()
                .ok_or_else(|| Failure::error("ports ran out", "run the command again"))
        };
        let mut seat = |name: String, engine: bool| -> Outcome<Seat> {
            let consensus = if engine { Some(next()?) } else { None };
            Ok(Seat {
                name,
                listen: next()?,
                operations: next()?,
                consensus,
            })
        };
        let nodes = (1..=size.nodes)
            .map(|i| seat(format!("crypto-{i}"), false))
            .collect::<Outcome<_>>()?;
        let endorsers = ORGANISATIONS
            .iter()
            .map(|name| seat(format!("endorser-{name}"), true))
            .collect::<Outcome<_>>()?;
        let coordinator = seat(COORDINATOR.to_owned(), false)?;
        Ok(Self {
            created_ms,
            threshold: size.threshold,
            nodes,
            endorsers,
            coordinator,
        })
    }

    /// All daemons: endorsers first, so that the ledger is there when the others look for it.
    pub fn seats(&self) -> impl Iterator<Item = (DaemonKind, &Seat)> {
        let endorsers = self
            .endorsers
            .iter()
            .map(|seat| (DaemonKind::LedgerEndorser, seat));
        let nodes = self.nodes.iter().map(|seat| (DaemonKind::CryptoNode, seat));
        endorsers
            .chain(nodes)
            .chain(std::iter::once((DaemonKind::Coordinator, &self.coordinator)))
    }

    /// One daemon by its name.
    pub fn seat(&self, name: &str) -> Outcome<(DaemonKind, &Seat)> {
        self.seats().find(|(_, seat)| seat.name == name).ok_or_else(|| {
            let names: Vec<_> = self.seats().map(|(_, seat)| seat.name.as_str()).collect();
            Failure::error(
                format!("there is no daemon named {name}"),
                format!("use one of: {}", names.join(", ")),
            )
        })
    }
}

/// Where things are in a cluster's directory.
#[derive(Debug, Clone)]
pub struct Paths(PathBuf);

impl Paths {
    /// A cluster in this directory.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// The layout; written last, so that its presence means that everything else is there.
    #[must_use]
    pub fn layout(&self) -> PathBuf {
        self.0.join("cluster.toml")
    }

    /// Says that a cluster is being made here; written first, and gone when the layout is there.
    #[must_use]
    pub fn begun(&self) -> PathBuf {
        self.0.join("cluster.begun")
    }

    /// The genesis of the ledger.
    #[must_use]
    pub fn genesis(&self) -> PathBuf {
        self.0.join("genesis")
    }

    /// The folder of one daemon.
    #[must_use]
    pub fn daemon(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self, name: &str) -> PathBuf {
        self.daemon(name).join("config.toml")
    }

    /// What seals its secrets.
    #[must_use]
    pub fn passphrase(&self, name: &str) -> PathBuf {
        self.daemon(name).join("passphrase")
    }

    /// What it keeps.
    #[must_use]
    pub fn data(&self, name: &str) -> PathBuf {
        self.daemon(name).join("data")
    }

    /// What it says.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.daemon(name).join("log")
    }

    /// The keys of the people who run the cluster: administrators and operators.
    #[must_use]
    pub fn people(&self) -> PathBuf {
        self.0.join("people")
    }

    /// Encrypted objects that are too large for the chain.
    #[must_use]
    pub fn objects(&self) -> PathBuf {
        self.0.join("objects")
    }

    /// The sealed key of an organisation's administrator.
    #[must_use]
    pub fn admin(&self, organisation: &str) -> PathBuf {
        self.people().join(format!("admin-{organisation}.key"))
    }

    /// The sealed key of a crypto node's operator.
    #[must_use]
    pub fn operator(&self, node: &str) -> PathBuf {
        self.people().join(format!("operator-{node}.key"))
    }

    /// The sealed key of the auditor.
    #[must_use]
    pub fn auditor(&self) -> PathBuf {
        self.people().join("auditor.key")
    }

    /// The sealed identity of a crypto node or the coordinator.
    #[must_use]
    pub fn identity(&self, name: &str) -> PathBuf {
        self.daemon(name).join("identity.key")
    }

    /// The sealed keys of an endorser.
    #[must_use]
    pub fn keys(&self, name: &str) -> PathBuf {
        self.daemon(name).join("keys")
    }

    /// The id of the custody key, once it has been generated.
    #[must_use]
    pub fn key_id(&self) -> PathBuf {
        self.0.join("key-id")
    }
}
