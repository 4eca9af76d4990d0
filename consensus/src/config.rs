//! What an engine needs to know before it starts.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use commonware_p2p::{Address as Reachable, Ingress};
use commonware_utils::Hostname;
use zeroize::Zeroizing;

use crate::application::BlockMeta;

/// Reads a block's place in the chain from its bytes. `None` for bytes that are not one canonical block.
///
/// It must bind every byte: two different byte strings never have the same digest.
pub type Inspect = fn(&[u8]) -> Option<BlockMeta>;

/// Where a validator listens: a host's name or IP address, and a port. A name is looked up whenever somebody dials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Ingress);

/// Not a host and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address is host:port, where the host is an IP address or a name after RFC 1123")]
pub struct AddressError;

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self(address.into())
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError)?;
        let host = Hostname::new(host).map_err(|_| AddressError)?;
        let port = port.parse().map_err(|_| AddressError)?;
        Ok(Self(Ingress::Dns { host, port }))
    }
}

/// Where nobody listens.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl Address {
    /// As the network takes it. From where somebody dials is not looked at: the key says who it is. So one without an address
    /// can still connect.
    pub(crate) fn reachable(address: Option<Self>) -> Reachable {
        let ingress = address.map_or(Ingress::Socket(NOWHERE), |address| address.0);
        Reachable::Asymmetric {
            ingress,
            egress: NOWHERE,
        }
    }
}

/// A validator and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    /// Its Ed25519 key (RFC 8032), for votes and for the transport.
    pub public_key: [u8; 32],
    /// Where it listens for its fellow validators.
    pub address: Address,
}

/// What bounds memory and bandwidth. Every validator of one installation has the same block limit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest block in bytes.
    pub max_block_bytes: u32,
    /// Largest gossip message in bytes.
    pub max_gossip_bytes: u32,
    /// Gossip messages a second that one peer may send, and that are sent to one peer.
    pub gossip_rate: u32,
    /// Gossip messages that wait to be sent; more are dropped.
    pub gossip_queue: usize,
    /// Final blocks handed to the application in one call.
    pub max_batch: usize,
    /// After so many final blocks in a row without evidence of their own, as they come while catching up, the other
    /// validators are asked for it. A proof needs the headers from its block to the next evidence.
    pub evidence_gap: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_block_bytes: 1 << 20,
            max_gossip_bytes: 256 << 10,
            gossip_rate: 200,
            gossip_queue: 256,
            max_batch: 64,
            evidence_gap: 256,
        }
    }
}

/// How long a validator waits for the others.
#[derive(Clone, Debug)]
pub struct Timing {
    /// How long a leader may take to propose. Longer than `idle_block`.
    pub leader: Duration,
    /// How long a view may take as a whole before its end is asked for.
    pub certification: Duration,
    /// How often a validator that is stuck repeats that it wants to move on.
    pub retry: Duration,
    /// How long an application should hold back an empty block; it is the application that does. Every block is
    /// kept for ever, so that this is how fast a chain at rest grows. A transaction ends the wait.
    pub idle_block: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            leader: Duration::from_millis(1_250),
            certification: Duration::from_millis(2_000),
            retry: Duration::from_millis(250),
            idle_block: Duration::from_millis(800),
        }
    }
}

/// Everything an [`Engine`](crate::Engine) is started with.
#[derive(Clone)]
pub struct Config {
    /// Where blocks, certificates and votes are kept. One engine at a time.
    pub directory: PathBuf,
    /// Where fellow validators connect to.
    pub listen: SocketAddr,
    /// The RFC 8032 seed of this validator's key. Secret. Whoever is in no set follows the chain as far as its peers
    /// let it, and does not vote.
    pub secret_seed: Zeroizing<[u8; 32]>,
    /// The keys of all validators of the first epoch, in any order; 4 tolerate one Byzantine. Later sets are the
    /// application's to say: [`Application::epoch`](crate::Application::epoch).
    pub validators: Vec<[u8; 32]>,
    /// Where validators of any epoch listen, unless the application says otherwise. Connected with in every epoch: who has
    /// been away for long, or has lost its disk, needs those of today.
    pub peers: Vec<Validator>,
    /// The chain id. Everything that is signed, and the transport, is bound to it.
    pub namespace: Vec<u8>,
    /// The bytes of the block at height 0, the same at every validator.
    pub genesis: Vec<u8>,
    /// Reads a block's hash, parent and height from its bytes.
    pub inspect: Inspect,
    /// What bounds memory and bandwidth.
    pub limits: Limits,
    /// How long to wait.
    pub timing: Timing,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("directory", &self.directory)
            .field("listen", &self.listen)
            .field("validators", &self.validators.len())
            .field("peers", &self.peers)
            .field("limits", &self.limits)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
