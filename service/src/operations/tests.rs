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
