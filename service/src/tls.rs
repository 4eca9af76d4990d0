//! Mutual TLS between processes that know each other's keys.
//!
//! TLS 1.3 only, Ed25519 only, a certificate on both sides. A peer is its public key: certificates are
//! self-signed, names in them mean nothing, and no certificate authority is asked. The key a client expects, and
//! the keys a server lets in, are pinned by configuration, separately for each role: the identity of a
//! server is therefore no client of another server unless that one's configuration says so. A server for the
//! public ([`ClientPolicy::AnyKey`]) takes any well-formed key, as a name to count by.
//!
//! There is no session resumption, so that a connection always means a fresh proof of the key, and no
//! fallback to anything else: a peer that does not speak this is cut off during the handshake.

mod channel;
mod listener;
mod verifier;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ServerConfig};

use crate::identity::Identity;

pub use channel::{ChannelLimits, connect};
pub use listener::{Connection, Listener, ListenerLimits, Peer};

/// What both sides speak inside TLS.
const ALPN: &[u8] = b"h2";

/// A peer's Ed25519 public key, proven in the handshake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub [u8; 32]);

impl std::fmt::Display for PeerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerKey({self})")
    }
}

/// Which clients a server lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientPolicy {
    /// Those with one of these Ed25519 public keys.
    Pinned(BTreeSet<[u8; 32]>),
    /// Every client that proves possession of a well-formed Ed25519 key.
    AnyKey,
}

/// TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The TLS library refuses the configuration.
    #[error("cannot set TLS up: {0}")]
    Configuration(#[from] rustls::Error),
    /// The address is not `host:port`.
    #[error("{0:?} is not an address of the form host:port")]
    Address(String),
}

/// The key of the peer that sent this request, when it came through a [`Listener`].
pub fn peer_key<T>(request: &tonic::Request<T>) -> Option<PeerKey> {
    request.extensions().get::<Peer>().map(|peer| peer.key)
}

/// aws-lc with everything taken away that is not used here.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519];
    Arc::new(provider)
}

fn server_config(identity: &Identity, policy: ClientPolicy) -> Result<ServerConfig, rustls::Error> {
    let verifier = Arc::new(verifier::PinnedKeys::clients(policy));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(own_key(identity));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client_config(identity: &Identity, server_key: [u8; 32]) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier::PinnedKeys::server(server_key)))
        .with_client_cert_resolver(own_key(identity));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

/// However many connections an identity makes and takes, TLS has one copy of its key.
fn own_key(identity: &Identity) -> Arc<SingleCertAndKey> {
    Arc::new(SingleCertAndKey::from(Arc::clone(identity.certified())))
}
