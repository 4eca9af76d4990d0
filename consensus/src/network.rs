//! The real network: mutually authenticated, encrypted connections between the validators of this epoch and the one before and
//! those whose address was configured, and nobody else.

use std::{num::NonZeroU32, time::Duration};

use commonware_consensus::{
    marshal::{self, standard::Standard},
    simplex::{scheme::ed25519::Scheme, types::Certificate},
};
use commonware_cryptography::{
    ChaCha20Poly1305,
    ed25519::{PrivateKey, PublicKey},
    sha256::Digest,
};
use commonware_p2p::{Address, AddressableManager as _, authenticated::lookup, max_message_size};
use commonware_runtime::{Handle, Quota, Supervisor as _, tokio::Context};
use commonware_stream::{
    SakeCups,
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZU32, NZUsize, ordered::Map};

use crate::{
    MAX_VALIDATORS,
    block::{Admission, Block},
    config::{Config, Limits},
    engine::Checked,
    evidence::transport_namespace,
    validator::Channels,
};

type Handshake = SakeCups<PrivateKey, ChaCha20Poly1305>;
pub(crate) type NetworkSender = lookup::Sender<PublicKey, Context>;
pub(crate) type NetworkReceiver = lookup::Receiver<PublicKey>;
pub(crate) type Oracle = lookup::Oracle<PublicKey>;

/// Messages a second and peer, well above what 150 views a second need. The queue of a channel holds one burst of
/// every peer: a second's messages, or fewer where they are large.
const VOTES: NonZeroU32 = NZU32!(512);
const CERTIFICATES: NonZeroU32 = NZU32!(512);
const VIEWS: NonZeroU32 = NZU32!(128);
const BACKFILL: NonZeroU32 = NZU32!(256);
const BLOCKS: NonZeroU32 = NZU32!(128);
const STANDING: NonZeroU32 = NZU32!(32);

/// Messages with a block in them that a peer may send at once.
const BURST: NonZeroU32 = NZU32!(48);

/// A peer's clock may differ by this much, or it cannot connect.
const CLOCK_SKEW: Duration = Duration::from_secs(30);

/// How long a peer that sent something false stays disconnected.
const BLOCKED_FOR: Duration = Duration::from_secs(60);

/// What frames the largest payload of the channels for votes and certificates, with room.
const FRAMING: usize = 256;

/// The largest message of any channel.
fn largest(limits: &Limits, admission: &Admission, validators: u32) -> u32 {
    let gossip = usize::try_from(limits.max_gossip_bytes).unwrap_or(usize::MAX);
    max_message_size(&[
        marshal::max_payload_size::<Standard<Block>, Scheme>(validators, admission),
        Certificate::<Scheme, Digest>::max_encode_size(validators) + FRAMING,
        gossip,
    ])
}

/// Starts listening and dialling. The handle ends when the network does.
pub(crate) fn start(
    context: &Context,
    config: &Config,
    checked: &Checked,
    neighbours: Map<PublicKey, Address>,
) -> (Channels<NetworkSender, NetworkReceiver>, Oracle, Handle<()>) {
    let handshake: Handshake = Cups::new(
        Sake {
            signer: checked.key.clone(),
            synchrony_bound: CLOCK_SKEW,
            max_handshake_age: CLOCK_SKEW,
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    // The largest set that there may be: a certificate of any epoch fits.
    let count = u32::try_from(MAX_VALIDATORS).unwrap_or(u32::MAX);
    let peers = std::num::NonZeroUsize::new(neighbours.len()).unwrap_or(NZUsize!(1));
    let (mut network, mut oracle) = lookup::Network::new(
        context.child("network"),
        lookup::Config {
            handshake,
            namespace: transport_namespace(&config.namespace),
            listen: config.listen,
            allow_private_ips: true,
            // A name is looked up whenever it is dialled.
            allow_dns: true,
            // A key is what identifies a peer; addresses change behind containers and translators.
            bypass_ip_check: true,
            max_message_size: largest(&config.limits, &checked.admission, count),
            max_peers_per_set: peers,
            mailbox_size: NZUsize!(1024),
            send_batch_size: NZUsize!(8),
            handshake_timeout: Duration::from_secs(5),
            dial_timeout: Duration::from_secs(5),
            peer_connection_cooldown: Duration::from_millis(250),
            max_concurrent_handshakes: NZU32!(64),
            allowed_handshake_rate_per_ip: Quota::per_second(NZU32!(64)),
            allowed_handshake_rate_per_subnet: Quota::per_second(NZU32!(128)),
            ping_frequency: Duration::from_secs(5),
            dial_frequency: Duration::from_millis(100),
            tracked_peer_sets: NZUsize!(1),
            block_duration: BLOCKED_FOR,
        },
    );
    let gossip = NonZeroU32::new(config.limits.gossip_rate).unwrap_or(NZU32!(1));
    let mut channel = |number: u64, quota| network.register(number, quota);
    let small = Quota::per_second;
    let large = |rate| Quota::per_second(rate).allow_burst(BURST);
    let channels = Channels {
        votes: channel(0, small(VOTES)),
        certificates: channel(1, small(CERTIFICATES)),
        views: channel(2, small(VIEWS)),
        backfill: channel(3, large(BACKFILL)),
        blocks: channel(4, large(BLOCKS)),
        gossip: channel(5, small(gossip)),
        standing: channel(6, small(STANDING)),
    };
    oracle.track(0, neighbours);
    (channels, oracle, network.start())
}
