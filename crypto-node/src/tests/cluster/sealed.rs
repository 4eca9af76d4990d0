//! A node whose share only a person can unseal.

use super::{Cluster, Running, run_with};
use crate::config::SealsConfig;
use crate::reseal::{Which, reseal};
use proto::custody::seal_service_client::SealServiceClient;
use proto::custody::{GetNodeStatusRequest, GetSealStatusRequest, SealState, UnsealRequest};
use service::{Passphrase, SealConfig};
use std::time::Duration;
use threshold::encoding::Canonical;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tonic::transport::Channel;
use tonic::{Code, Status};

const PERSON: &[u8] = b"known to one person";

impl Cluster {
    /// Configures the node so that its share is sealed by a person.
    fn seal_by_person(&mut self, node: usize) {
        self.configs[node - 1].seal = SealsConfig {
            identity: None,
            share: Some(SealConfig::Operator),
        };
    }

    /// Starts a node and waits until it listens, sealed.
    async fn start_sealed(&mut self, node: usize) -> SealState {
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            let _ = stopped.await;
        };
        let run = run_with(self.configs[node - 1].clone(), stopped, self.seams.clone());
        let ended = tokio::spawn(run);
        self.running[node - 1] = Some(Running { stop, ended });
        let mut seal = self.seal(node);
        let listens = async {
            loop {
                match seal.get_seal_status(GetSealStatusRequest {}).await {
                    Ok(status) => return status.into_inner().state(),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(super::LIMIT, listens).await.unwrap()
    }

    fn seal(&self, node: usize) -> SealServiceClient<Channel> {
        SealServiceClient::new(self.channel(node, &self.operator))
    }

    async fn unseal(&self, node: usize, passphrase: &[u8], first: bool) -> Result<(), Status> {
        let passphrase = passphrase.to_vec();
        let answer = self.seal(node).unseal(UnsealRequest { passphrase, first }).await;
        answer.map(drop)
    }

    /// What the operations port answers.
    pub(super) async fn operations(&self, node: usize, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.configs[node - 1].operations)
            .await
            .unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p15_a_node_that_starts_sealed_serves_nothing_until_its_person_comes() {
    let mut cluster = Cluster::start(2).await;
    let signed = cluster.generate(1, 2).await;
    let serving = |status: &proto::custody::GetNodeStatusResponse| status.manifest == signed.to_bytes();

    // Into a person's hands, without a ceremony.
    cluster.stop_node(1).await;
    let old = cluster.configs[0].clone();
    cluster.seal_by_person(1);
    let new = cluster.configs[0].clone();
    let ask = |which| {
        assert_eq!(which, Which::New);
        Ok(Passphrase::new(PERSON.to_vec()))
    };
    reseal(&old, &new, ask).unwrap();

    assert_eq!(cluster.start_sealed(1).await, SealState::Sealed);
    let ready = cluster.operations(1, "/readyz").await;
    assert!(
        ready.starts_with("HTTP/1.1 503") && ready.contains("quorate node unseal"),
        "{ready}"
    );
    let metrics = cluster.operations(1, "/metrics").await;
    assert!(metrics.contains("quorate_crypto_node_sealed 1"), "{metrics}");
    // Its operator gets nothing else, and others do not get in: not the coordinator, not a member.
    let refused = cluster.operator(1).get_node_status(GetNodeStatusRequest {}).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unimplemented);
    for who in [&cluster.coordinator, &cluster.identities[1]] {
        let mut seal = SealServiceClient::new(cluster.channel(1, who));
        let refused = seal.get_seal_status(GetSealStatusRequest {}).await.unwrap_err();
        assert_ne!(refused.code(), Code::Unimplemented, "{refused}");
    }
    let metrics = cluster.operations(1, "/metrics").await;
    let turned_away = "quorate_crypto_node_turned_away_total{code=\"handshake_refused\"}";
    assert!(metrics.contains(turned_away), "{metrics}");

    for (passphrase, first, code) in [
        (&b"guessed"[..], false, Code::PermissionDenied),
        (b"", false, Code::InvalidArgument),
        (&[b'a'; 1025], false, Code::InvalidArgument),
        (b"another", true, Code::AlreadyExists),
    ] {
        let refused = cluster.unseal(1, passphrase, first).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
    cluster.unseal(1, PERSON, false).await.unwrap();
    cluster.until(1, serving).await;
    let ready = cluster.operations(1, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    let metrics = cluster.operations(1, "/metrics").await;
    assert!(metrics.contains("quorate_crypto_node_sealed 0"), "{metrics}");
    // What unseals is not served any more.
    let refused = cluster.unseal(1, PERSON, false).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_generated_under_a_persons_first_passphrase() {
    let mut cluster = Cluster::start(2).await;
    cluster.stop_node(1).await;
    cluster.seal_by_person(1);
    assert_eq!(cluster.start_sealed(1).await, SealState::New);
    let refused = cluster.unseal(1, PERSON, false).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    cluster.unseal(1, PERSON, true).await.unwrap();
    cluster.until(1, |_| true).await;

    // A restart before there is a share: only the same passphrase will do.
    cluster.stop_node(1).await;
    assert_eq!(cluster.start_sealed(1).await, SealState::Sealed);
    let refused = cluster.unseal(1, b"mistyped", false).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    cluster.unseal(1, PERSON, false).await.unwrap();
    cluster.until(1, |_| true).await;
    let signed = cluster.generate(1, 2).await;

    // A sealed node stops when told to, and keeps its key.
    cluster.stop_node(1).await;
    cluster.start_sealed(1).await;
    cluster.stop_node(1).await;
    cluster.start_sealed(1).await;
    cluster.unseal(1, PERSON, false).await.unwrap();
    cluster
        .until(1, |status| status.manifest == signed.to_bytes())
        .await;
    cluster.end().await;
}

/// Shares under a passphrase file are not given up for a person's first passphrase.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b9_shares_under_another_seal_are_not_left_behind() {
    let mut cluster = Cluster::start(2).await;
    cluster.generate(1, 2).await;
    cluster.stop_node(1).await;
    cluster.seal_by_person(1);
    assert_eq!(cluster.start_sealed(1).await, SealState::New);
    let refused = cluster.unseal(1, PERSON, true).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("reseal"), "{refused}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_that_nobody_could_open_is_refused_at_the_start() {
    let mut cluster = Cluster::start(2).await;
    cluster.stop_node(1).await;
    let good = cluster.configs[0].clone();
    let person = Some(SealConfig::Operator);
    type Change = fn(&mut crate::Config, Option<SealConfig>);
    let changes: [(Change, &str); 3] = [
        (
            |config, person| config.seal.identity = person,
            "to hear its operator",
        ),
        (
            |config, person| {
                config.seal.share = person;
                config.operators.clear();
            },
            "nobody to unseal",
        ),
        (|config, _| config.passphrase_file = None, "nothing seals"),
    ];
    for (change, what) in changes {
        let mut config = good.clone();
        change(&mut config, person.clone());
        let error = run_with(config, std::future::pending(), cluster.seams.clone())
            .await
            .unwrap_err();
        assert!(format!("{error:#}").contains(what), "{error:#}");
    }
    cluster.end().await;
}
