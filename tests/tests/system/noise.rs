//! Garbage, enormous lengths and silence on every port disturb nobody.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use futures::StreamExt;
use proto::ledger::RequestReadRequest;
use proto::ledger::ledger_service_client::LedgerServiceClient;
use rand_core::{OsRng, RngCore};
use tonic::Code;
use tonic::transport::Channel;
use tower::ServiceExt;

use crate::world::{World, connect, read, world};

/// Connections that are opened to every port and never say a word.
const SILENT: usize = 40;
const MEBIBYTE: u64 = 1 << 20;
/// What a daemon may take more while it is attacked.
const MORE: u64 = 48 * MEBIBYTE;

fn ports(world: &World) -> Vec<SocketAddr> {
    let seats = world.cluster.layout().seats();
    seats
        .flat_map(|(_, seat)| [Some(seat.listen), Some(seat.operations), seat.consensus])
        .flatten()
        .collect()
}

/// Says it and hangs up. That the other side may hang up first is its good right.
fn shout(port: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(port).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.take(4096).read_to_end(&mut Vec::new());
}

fn noises() -> Vec<Vec<u8>> {
    let mut random = vec![0; 256 * 1024];
    OsRng.fill_bytes(&mut random);
    vec![
        random,
        // The longest TLS record and the longest handshake message that the lengths can say.
        [&[22, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff][..], &[0; 70_000]].concat(),
        // Lengths of other framings: four bytes, eight bytes, a varint.
        [&[0xff; 4][..], &[0; 4096]].concat(),
        [&[0xff; 8][..], &[0; 4096]].concat(),
        // HTTP/2 without TLS, with a frame of 16 MiB.
        [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
            &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1],
        ]
        .concat(),
        [b"GET /".as_slice(), &vec![b'a'; 128 * 1024]].concat(),
        Vec::new(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p12_noise_and_silence_on_every_port_disturb_nobody_and_cost_little() {
    let mut world = world().await;
    world.write("p12/calm", b"undisturbed").await;
    let bob = world.client(&world.bob).await;
    read(&bob, "bob", "p12/calm").await.unwrap();
    let before: Vec<u64> = world
        .names()
        .iter()
        .map(|name| world.cluster.rss(name).unwrap())
        .collect();

    let silent: Vec<TcpStream> = ports(&world)
        .into_iter()
        .flat_map(|port| (0..SILENT).filter_map(move |_| TcpStream::connect(port).ok()))
        .collect();
    assert!(silent.len() > SILENT * 20);
    let ports = ports(&world);
    let attack = tokio::task::spawn_blocking(move || {
        for port in ports {
            for noise in noises() {
                shout(port, &noise);
            }
        }
    });
    let mut reads = 0;
    while !attack.is_finished() || reads < 3 {
        let (content, _) = read(&bob, "bob", "p12/calm").await.unwrap();
        assert_eq!(content, b"undisturbed");
        reads += 1;
    }
    attack.await.unwrap();
    drop(silent);

    assert_eq!(world.cluster.ended(), None);
    for (name, before) in world.names().iter().zip(before) {
        let after = world.cluster.rss(name).unwrap();
        assert!(
            after < before + MORE,
            "{name}: from {} to {} MiB",
            before / MEBIBYTE,
            after / MEBIBYTE
        );
    }
    // A new client is as welcome as one that was there before.
    let newcomer = world.client(&world.bob).await;
    read(&newcomer, "bob", "p12/calm").await.unwrap();
}

/// What a gRPC message of 4 GiB begins with: not compressed, its length, and the first of it.
const LENGTH_OF_4_GIB: [u8; 5] = [0, 0xff, 0xff, 0xff, 0xff];

/// Announces 4 GiB within a connection that the daemon has let in, and ends the message never. Answers with the status.
async fn announce_4_gib(channel: Channel, method: &str) -> String {
    let beginning = [LENGTH_OF_4_GIB.as_slice(), &[0x0a; 64 * 1024]].concat();
    let beginning = futures::stream::iter([Ok::<_, std::io::Error>(beginning)]);
    let body = axum::body::Body::from_stream(beginning.chain(futures::stream::pending()));
    let request = http::Request::post(format!("http://daemon/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(tonic::body::Body::new(body))
        .unwrap();
    let answer = channel.oneshot(request).await.unwrap();
    let status = answer.headers().get("grpc-status").unwrap();
    status.to_str().unwrap().to_owned()
}

/// What the operations port says of a daemon.
fn metrics(operations: SocketAddr) -> String {
    let mut stream = TcpStream::connect(operations).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn p12_a_length_of_4_gib_of_a_known_peer_is_refused_at_once() {
    let mut world = world().await;
    world.write("p12/length", b"undisturbed").await;
    let before: Vec<u64> = world
        .names()
        .iter()
        .map(|name| world.cluster.rss(name).unwrap())
        .collect();
    let profile = world.cluster.profile().clone();
    let ledger = profile.endorsers.iter().map(|endorser| {
        let channel = connect(&endorser.address, &endorser.identity, &world.alice);
        (channel, "quorate.ledger.v1.LedgerService/RequestRead")
    });
    let coordinators = profile.coordinators.iter().map(|coordinator| {
        let channel = connect(&coordinator.address, &coordinator.identity, &world.alice);
        (channel, "quorate.coordinator.v1.CoordinatorService/Reencrypt")
    });
    let nodes = profile.nodes.iter().map(|node| {
        let channel = connect(&node.address, &node.identity, &world.coordinator);
        (channel, "quorate.custody.v1.CustodyService/Reencrypt")
    });
    let daemons: Vec<_> = ledger.chain(coordinators).chain(nodes).collect();
    assert_eq!(daemons.len(), world.names().len());
    let out_of_range = i32::from(Code::OutOfRange).to_string();
    // Many at once: what one costs may be too little to see.
    let announced = daemons
        .iter()
        .flat_map(|(channel, method)| (0..32).map(move |_| announce_4_gib(channel.clone(), method)));
    for status in futures::future::join_all(announced).await {
        assert_eq!(status, out_of_range);
    }
    // The operator of each daemon can see it.
    let seats = world.cluster.layout().seats();
    for (_, seat) in seats {
        let metrics = metrics(seat.operations);
        let counted = metrics
            .lines()
            .find_map(|line| line.split_once("turned_away_total{code=\"message_too_large\"} "));
        let counted: u32 = counted.map_or(0, |(_, count)| count.parse().unwrap());
        assert!(counted >= 32, "{}: {counted}", seat.name);
    }
    assert_eq!(world.cluster.ended(), None);
    for (name, before) in world.names().iter().zip(before) {
        let after = world.cluster.rss(name).unwrap();
        assert!(
            after < before + MORE / 2,
            "{name}: from {} to {} MiB",
            before / MEBIBYTE,
            after / MEBIBYTE
        );
    }
    let bob = world.client(&world.bob).await;
    read(&bob, "bob", "p12/length").await.unwrap();
}

#[tokio::test]
async fn p12_f4_an_enormous_message_of_a_known_peer_is_refused() {
    let mut world = world().await;
    world.write("p12/large", b"undisturbed").await;
    let before: Vec<u64> = world
        .names()
        .iter()
        .map(|name| world.cluster.rss(name).unwrap())
        .collect();
    let enormous = vec![0x41; 32 << 20];
    for endorser in &world.cluster.profile().endorsers {
        let mut rpc = LedgerServiceClient::new(connect(&endorser.address, &endorser.identity, &world.alice));
        let message = RequestReadRequest {
            transaction: enormous.clone(),
        };
        let status = rpc.request_read(message).await.unwrap_err();
        assert_ne!(status.code(), Code::Ok);
    }
    let approved = world.approved("p12/large").await;
    let mut request = world.request(&approved.certificates, &approved.wrapped).await;
    request.certificates = vec![enormous];
    for node in world.nodes() {
        world.share(&node, &request).await.unwrap_err();
    }
    assert_eq!(world.cluster.ended(), None);
    for (name, before) in world.names().iter().zip(before) {
        let after = world.cluster.rss(name).unwrap();
        assert!(
            after < before + MORE / 2,
            "{name}: from {} to {} MiB",
            before / MEBIBYTE,
            after / MEBIBYTE
        );
    }
    let bob = world.client(&world.bob).await;
    read(&bob, "bob", "p12/large").await.unwrap();
}
