use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;

async fn get_path(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_port_tells_life_readiness_and_counts_until_it_stops() {
    let mut registry = Registry::default();
    let counter = Counter::<u64>::default();
    registry.register("reads", "Reads answered", counter.clone());
    let readiness = Readiness::new();
    readiness.met("listener");
    readiness.unmet("committee", "no manifest yet");

    let operations = Operations::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = operations.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(operations.serve(registry, readiness.clone(), async {
        let _ = stopped.await;
    }));

    assert!(get_path(address, "/livez").await.starts_with("HTTP/1.1 200"));
    let unready = get_path(address, "/readyz").await;
    assert!(
        unready.starts_with("HTTP/1.1 503") && unready.contains("committee: no manifest yet"),
        "{unready}"
    );
    readiness.met("committee");
    assert!(get_path(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    counter.inc();
    assert!(get_path(address, "/metrics").await.contains("reads_total 1"));

    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}

/// Serves within these limits until the guard is dropped.
async fn bounded(limits: Limits) -> (SocketAddr, tokio::task::JoinSet<io::Result<()>>) {
    let address = "127.0.0.1:0".parse().unwrap();
    let operations = Operations::bind_within(address, limits).await.unwrap();
    let address = operations.local_addr().unwrap();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(operations.serve(Registry::default(), Readiness::new(), std::future::pending()));
    (address, serving)
}

/// Whether the server hangs up on a connection that says nothing.
async fn is_closed(mut stream: TcpStream) -> bool {
    !matches!(stream.read(&mut [0; 1]).await, Ok(count) if count > 0)
}

async fn holds_its_limit(limits: Limits) {
    let (address, _serving) = bounded(limits).await;
    let mut held = vec![
        TcpStream::connect(address).await.unwrap(),
        TcpStream::connect(address).await.unwrap(),
    ];
    assert!(is_closed(TcpStream::connect(address).await.unwrap()).await);
    held[0]
        .write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(held[0].read(&mut [0; 8]).await.unwrap(), 8, "those inside go on");
    // A place is free once it is gone.
    held.pop();
    loop {
        let mut again = TcpStream::connect(address).await.unwrap();
        let asked = again.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
        if asked.is_ok() && matches!(again.read(&mut [0; 8]).await, Ok(8)) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn p12_an_operations_connection_too_many_is_closed() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    holds_its_limit(limits).await;
}

#[tokio::test]
async fn p12_one_address_does_not_take_all_operations_connections() {
    let limits = Limits {
        per_address: 2,
        ..Limits::default()
    };
    holds_its_limit(limits).await;
}

#[tokio::test]
async fn p12_an_operations_connection_ends_when_its_time_is_over() {
    let limits = Limits {
        lifetime: std::time::Duration::ZERO,
        ..Limits::default()
    };
    let (address, _serving) = bounded(limits).await;
    let silent = TcpStream::connect(address).await.unwrap();
    let minute = std::time::Duration::from_secs(60);
    let closed = tokio::time::timeout(minute, is_closed(silent)).await;
    assert!(closed.expect("it is kept for ever"));
}
