use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;

use super::*;
use crate::server::{HttpLimits, serve};

/// The longest message that the server of these tests takes.
const LARGEST: usize = 1024;

/// A server of the health service that notes who called.
struct Sample {
    address: SocketAddr,
    turned_away: crate::metrics::Codes,
    callers: Arc<Mutex<Vec<Option<PeerKey>>>>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Sample {
    async fn start(identity: &Identity, policy: ClientPolicy, limits: ListenerLimits) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), identity, policy, limits).await
    }

    async fn start_at(
        address: SocketAddr,
        identity: &Identity,
        policy: ClientPolicy,
        limits: ListenerLimits,
    ) -> Self {
        let listener = Listener::bind(address, identity, policy, &limits).await.unwrap();
        let (address, turned_away) = (listener.local_addr(), listener.turned_away());
        let callers = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&callers);
        let health = HealthService::from_health_reporter(tonic_health::server::HealthReporter::new());
        let service = tonic::service::interceptor::InterceptedService::new(
            HealthServer::new(health).max_decoding_message_size(LARGEST),
            move |request: tonic::Request<()>| {
                noted.lock().unwrap().push(peer_key(&request));
                Ok::<_, Status>(request)
            },
        );
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(async move {
            let routes = Routes::new(service);
            serve(routes, listener, &HttpLimits::default(), async {
                drop(stopped.await)
            })
            .await
        });
        Self {
            address,
            turned_away,
            callers,
            stop,
            running,
        }
    }

    fn channel(&self, server: &Identity, client: &Identity) -> Channel {
        connect(&self.address.to_string(), server.public_key(), client, &patient()).unwrap()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap().unwrap();
    }

    /// Waits until so many were refused for this reason: the client may hear of it before the server counts.
    async fn until_turned_away(&self, why: &'static str, count: u64) {
        let counted = async {
            while self.turned_away.of(why) < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), counted)
            .await
            .unwrap();
    }

    fn nobody_called(&self) -> bool {
        self.callers.lock().unwrap().is_empty()
    }
}

/// A machine that is busy with other tests is not a server that is away.
fn patient() -> ChannelLimits {
    ChannelLimits {
        connect_timeout_ms: 60_000,
        keepalive_timeout_ms: 60_000,
        ..ChannelLimits::default()
    }
}

async fn call(channel: Channel) -> Result<(), Status> {
    HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await
        .map(drop)
}

fn identity(name: &str) -> Identity {
    Identity::ephemeral(name).unwrap()
}

fn pinned(clients: &[&Identity]) -> ClientPolicy {
    ClientPolicy::Pinned(clients.iter().map(|client| client.public_key()).collect())
}

#[tokio::test]
async fn pinned_peers_talk_and_the_server_knows_the_clients_key() {
    let (node, coordinator) = (identity("node"), identity("coordinator"));
    let sample = Sample::start(&node, pinned(&[&coordinator]), ListenerLimits::default()).await;
    call(sample.channel(&node, &coordinator)).await.unwrap();
    assert_eq!(
        *sample.callers.lock().unwrap(),
        [Some(PeerKey(coordinator.public_key()))]
    );
    sample.stop().await;
}

#[tokio::test]
async fn any_key_lets_strangers_in_under_their_own_keys() {
    let (server, stranger) = (identity("coordinator"), identity("stranger"));
    let sample = Sample::start(&server, ClientPolicy::AnyKey, ListenerLimits::default()).await;
    call(sample.channel(&server, &stranger)).await.unwrap();
    assert_eq!(
        *sample.callers.lock().unwrap(),
        [Some(PeerKey(stranger.public_key()))]
    );
    sample.stop().await;
}

#[tokio::test]
async fn f3_a_client_whose_key_is_not_pinned_for_this_role_is_refused() {
    let (node, coordinator) = (identity("node"), identity("coordinator"));
    let sample = Sample::start(&node, pinned(&[&coordinator]), ListenerLimits::default()).await;
    // A stranger of the right name, and a server's own identity used as a client's.
    for client in [identity("coordinator"), node.clone()] {
        call(sample.channel(&node, &client)).await.unwrap_err();
    }
    assert!(sample.nobody_called());
    sample.until_turned_away("handshake_refused", 2).await;
    sample.stop().await;
}

#[tokio::test]
async fn f3_an_expired_or_future_client_certificate_is_refused() {
    let node = identity("node");
    let (now, day) = (SystemTime::now(), Duration::from_secs(24 * 60 * 60));
    for (from, until) in [(now - day * 2, now - day), (now + day, now + day * 2)] {
        let client = Identity::with_validity("coordinator", &[7; 32], from, until).unwrap();
        let sample = Sample::start(&node, pinned(&[&client]), ListenerLimits::default()).await;
        call(sample.channel(&node, &client)).await.unwrap_err();
        assert!(sample.nobody_called());
        // The same key in a certificate that is in force passes.
        let renewed = Identity::from_seed("coordinator", &[7; 32]).unwrap();
        call(sample.channel(&node, &renewed)).await.unwrap();
        sample.stop().await;
    }
}

#[tokio::test]
async fn f3_a_server_with_another_key_or_an_expired_certificate_is_refused() {
    let (expected, client) = (identity("node"), identity("coordinator"));
    let day = Duration::from_secs(24 * 60 * 60);
    let past = SystemTime::now() - day;
    let expired = Identity::with_validity("node", &[7; 32], past - day, past).unwrap();
    for (server, pinned_key) in [(identity("node"), &expected), (expired.clone(), &expired)] {
        let sample = Sample::start(&server, ClientPolicy::AnyKey, ListenerLimits::default()).await;
        call(sample.channel(pinned_key, &client)).await.unwrap_err();
        assert!(sample.nobody_called());
        sample.stop().await;
    }
}

/// What comes of a TLS handshake and a first read with a client configuration of the test's own.
async fn handshake(address: SocketAddr, config: rustls::ClientConfig) -> std::io::Result<usize> {
    let tcp = TcpStream::connect(address).await?;
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector
        .connect(ServerName::try_from("quorate").unwrap(), tcp)
        .await?;
    // In TLS 1.3 a client learns with its first read whether its certificate was taken.
    stream.read(&mut [0; 16]).await
}

fn client_builder(server: &Identity) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier::PinnedKeys::server(server.public_key())))
}

fn alert(error: &std::io::Error) -> Option<rustls::AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

#[tokio::test]
async fn f3_a_client_without_a_certificate_is_refused() {
    let server = identity("coordinator");
    let sample = Sample::start(&server, ClientPolicy::AnyKey, ListenerLimits::default()).await;
    let mut config = client_builder(&server).with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let error = handshake(sample.address, config).await.unwrap_err();
    assert_eq!(alert(&error), Some(rustls::AlertDescription::CertificateRequired));
    sample.stop().await;
}

#[tokio::test]
async fn f3_a_client_key_of_another_kind_is_refused() {
    let server = identity("coordinator");
    let sample = Sample::start(&server, ClientPolicy::AnyKey, ListenerLimits::default()).await;
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = CertificateParams::default()
        .self_signed(&key)
        .unwrap()
        .der()
        .clone();
    let private = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let signing = aws_lc_rs::sign::any_supported_type(&private).unwrap();
    // A client that sends its certificate whether or not the server has asked for such a one.
    let certified = Arc::new(rustls::sign::CertifiedKey::new(vec![certificate], signing));
    let mut config = client_builder(&server).with_client_cert_resolver(Arc::new(Stubborn(certified)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    handshake(sample.address, config).await.unwrap_err();
    assert!(sample.nobody_called());
    sample.stop().await;
}

#[derive(Debug)]
struct Stubborn(Arc<rustls::sign::CertifiedKey>);

impl rustls::client::ResolvesClientCert for Stubborn {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn f3_a_client_that_does_not_name_http2_is_refused() {
    let (server, client) = (identity("coordinator"), identity("client"));
    let sample = Sample::start(&server, ClientPolicy::AnyKey, ListenerLimits::default()).await;
    let config = client_builder(&server).with_client_cert_resolver(own_key(&client));
    // The connection is closed without a byte of HTTP/2.
    assert!(matches!(handshake(sample.address, config).await, Err(_) | Ok(0)));
    sample.stop().await;
}

/// A TLS 1.2 ClientHello: no supported_versions extension.
fn tls12_client_hello() -> Vec<u8> {
    let mut body = vec![0x03, 0x03];
    body.extend([0x5a; 32]);
    body.push(0);
    // ECDHE_ECDSA with AES-128-GCM, and a TLS 1.3 suite.
    body.extend([0x00, 0x04, 0xc0, 0x2b, 0x13, 0x01]);
    body.extend([0x01, 0x00]);
    // supported_groups: x25519; signature_algorithms: Ed25519; ec_point_formats.
    let extensions = [
        &[0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x1d][..],
        &[0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x08, 0x07],
        &[0x00, 0x0b, 0x00, 0x02, 0x01, 0x00],
    ]
    .concat();
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u16::try_from(body.len()).unwrap();
    let mut record = vec![0x16, 0x03, 0x01];
    record.extend((length + 4).to_be_bytes());
    record.extend([0x01, 0x00]);
    record.extend(length.to_be_bytes());
    record.extend(body);
    record
}

#[tokio::test]
async fn f3_tls_1_2_is_answered_by_the_protocol_version_alert() {
    let server = identity("coordinator");
    let sample = Sample::start(&server, ClientPolicy::AnyKey, ListenerLimits::default()).await;
    let mut tcp = TcpStream::connect(sample.address).await.unwrap();
    tcp.write_all(&tls12_client_hello()).await.unwrap();
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).await.unwrap();
    // An alert record: fatal, protocol_version.
    assert_eq!((answer[0], &answer[5..]), (21, &[2, 70][..]));
    sample.stop().await;
}

#[tokio::test]
async fn f3_there_is_no_plaintext() {
    let server = identity("coordinator");
    let sample = Sample::start(&server, ClientPolicy::AnyKey, ListenerLimits::default()).await;
    let plain = Endpoint::from_shared(format!("http://{}", sample.address))
        .unwrap()
        .connect_lazy();
    call(plain).await.unwrap_err();
    assert!(sample.nobody_called());
    sample.stop().await;
}

#[tokio::test]
async fn f3_stalled_handshakes_give_way_to_honest_ones() {
    let (server, client) = (identity("coordinator"), identity("client"));
    let limits = ListenerLimits {
        handshakes: 2,
        handshake_timeout_ms: 500,
        ..ListenerLimits::default()
    };
    let sample = Sample::start(&server, ClientPolicy::AnyKey, limits).await;
    let mut stalled = Vec::new();
    for _ in 0..4 {
        stalled.push(TcpStream::connect(sample.address).await.unwrap());
    }
    // Where a handshake takes longer than that, it is tried again.
    let channel = sample.channel(&server, &client);
    let honest = async {
        while call(channel.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), honest)
        .await
        .unwrap();
    // The server has hung up on those that said nothing.
    assert_eq!(stalled[0].read(&mut [0; 1]).await.unwrap(), 0);
    assert!(sample.turned_away.of("handshake_too_slow") > 0);
    sample.stop().await;
}

#[tokio::test]
async fn p12_one_address_does_not_take_all_handshakes() {
    let (server, client) = (identity("coordinator"), identity("client"));
    let limits = ListenerLimits {
        handshakes: 3,
        handshakes_per_address: 2,
        handshake_timeout_ms: 3_600_000,
        ..ListenerLimits::default()
    };
    let sample = Sample::start(&server, ClientPolicy::AnyKey, limits).await;
    let mut stalled = Vec::new();
    for _ in 0..2 {
        stalled.push(TcpStream::connect(sample.address).await.unwrap());
    }
    // One more is closed at once, although a handshake is free: that one is for other addresses.
    let mut more = TcpStream::connect(sample.address).await.unwrap();
    assert!(!matches!(more.read(&mut [0; 1]).await, Ok(count) if count > 0));
    assert!(sample.nobody_called());
    assert_eq!(sample.turned_away.of("too_many_handshakes"), 1);
    // A place is free once its handshake is over.
    stalled.pop();
    let channel = sample.channel(&server, &client);
    while call(channel.clone()).await.is_err() {
        tokio::task::yield_now().await;
    }
    sample.stop().await;
}

#[tokio::test]
async fn p12_a_connection_too_many_is_closed_and_the_others_go_on() {
    let (server, client) = (identity("coordinator"), identity("client"));
    let limits = ListenerLimits {
        connections: 1,
        ..ListenerLimits::default()
    };
    let sample = Sample::start(&server, ClientPolicy::AnyKey, limits).await;
    let first = sample.channel(&server, &client);
    call(first.clone()).await.unwrap();
    call(sample.channel(&server, &client)).await.unwrap_err();
    assert!(sample.turned_away.of("too_many_connections") > 0);
    call(first.clone()).await.unwrap();
    // Its place is free once it is gone.
    drop(first);
    let second = sample.channel(&server, &client);
    while call(second.clone()).await.is_err() {
        tokio::task::yield_now().await;
    }
    sample.stop().await;
}

#[tokio::test]
async fn p12_one_peer_does_not_take_the_places_of_the_others() {
    let (node, greedy, other) = (identity("node"), identity("greedy"), identity("other"));
    let limits = ListenerLimits {
        connections: 3,
        connections_per_peer: 2,
        ..ListenerLimits::default()
    };
    let sample = Sample::start(&node, pinned(&[&greedy, &other]), limits).await;
    let mut held: Vec<_> = (0..2).map(|_| sample.channel(&node, &greedy)).collect();
    for channel in &held {
        call(channel.clone()).await.unwrap();
    }
    call(sample.channel(&node, &greedy)).await.unwrap_err();
    assert!(sample.turned_away.of("too_many_of_peer") > 0);
    call(sample.channel(&node, &other)).await.unwrap();
    // A place is free once it is gone.
    held.pop();
    let again = sample.channel(&node, &greedy);
    while call(again.clone()).await.is_err() {
        tokio::task::yield_now().await;
    }
    sample.stop().await;
}

#[tokio::test]
async fn p12_one_address_does_not_take_all_connections_with_ever_new_keys() {
    let server = identity("coordinator");
    let limits = ListenerLimits {
        connections: 3,
        connections_per_address: 2,
        ..ListenerLimits::default()
    };
    let sample = Sample::start(&server, ClientPolicy::AnyKey, limits).await;
    let mut held = Vec::new();
    for name in ["first", "second"] {
        let channel = sample.channel(&server, &identity(name));
        call(channel.clone()).await.unwrap();
        held.push(channel);
    }
    // A place is free, for other addresses.
    let third = sample.channel(&server, &identity("third"));
    call(third.clone()).await.unwrap_err();
    assert!(sample.turned_away.of("too_many_of_address") > 0);
    held.pop();
    while call(third.clone()).await.is_err() {
        tokio::task::yield_now().await;
    }
    sample.stop().await;
}

#[tokio::test]
async fn p13_a_restarted_server_is_reached_again_through_the_same_channel() {
    let (node, client) = (identity("node"), identity("coordinator"));
    // A port that nobody else gets meanwhile.
    let address = crate::ports::free(1).unwrap()[0];
    let sample = Sample::start_at(address, &node, pinned(&[&client]), ListenerLimits::default()).await;
    let channel = sample.channel(&node, &client);
    call(channel.clone()).await.unwrap();
    sample.stop().await;
    assert_eq!(call(channel.clone()).await.unwrap_err().code(), Code::Unavailable);
    let restarted = Sample::start_at(address, &node, pinned(&[&client]), ListenerLimits::default()).await;
    // One request may still meet the end of the old connection; the next one connects.
    if call(channel.clone()).await.is_err() {
        call(channel).await.unwrap();
    }
    restarted.stop().await;
}

#[tokio::test]
async fn an_address_without_a_port_is_refused() {
    let client = identity("client");
    for address in ["localhost", "localhost:http", "", ":", "a b:1"] {
        let result = connect(address, [0; 32], &client, &ChannelLimits::default());
        assert!(matches!(result, Err(TlsError::Address(_))), "{address:?}");
    }
}

#[tokio::test]
async fn f4_a_message_that_is_too_large_is_refused_and_counted() {
    let (server, client) = (identity("coordinator"), identity("client"));
    let sample = Sample::start(&server, ClientPolicy::AnyKey, ListenerLimits::default()).await;
    let mut rpc = HealthClient::new(sample.channel(&server, &client));
    let check = |bytes: usize| HealthCheckRequest {
        service: "a".repeat(bytes),
    };
    // What is refused for another reason is the service's to count.
    let unknown = rpc.check(check(10)).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert_eq!(sample.turned_away.of("message_too_large"), 0);
    let refused = rpc.check(check(LARGEST + 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
    assert_eq!(sample.turned_away.of("message_too_large"), 1);
    call(sample.channel(&server, &client)).await.unwrap();
    sample.stop().await;
}

#[test]
fn p15_listeners_and_channels_share_one_copy_of_the_key() {
    let identity = Identity::ephemeral("alpha").unwrap();
    let shared = Arc::strong_count(identity.certified());
    let server = server_config(&identity, ClientPolicy::AnyKey).unwrap();
    let client = client_config(&identity, [7; 32]).unwrap();
    assert_eq!(Arc::strong_count(identity.certified()), shared + 2);
    drop((server, client));
    assert_eq!(Arc::strong_count(identity.certified()), shared);
}
