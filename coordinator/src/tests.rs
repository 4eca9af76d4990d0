use super::*;
use crate::config::tests::config;

/// Far longer than it can take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A coordinator that nobody answers, on ports of its own.
async fn coordinator(directory: &std::path::Path) -> Coordinator {
    let passphrase_file = directory.join("passphrase");
    service::files::write_atomically(
        &passphrase_file,
        b"correct horse\n",
        service::files::Secrecy::Secret,
    )
    .unwrap();
    Coordinator::bind(Config {
        directory: directory.to_owned(),
        passphrase_file,
        ..config()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_coordinator_ends_when_what_runs_beside_it_does() {
    let directory = tempfile::tempdir().unwrap();
    let coordinator = coordinator(directory.path()).await;
    let mut beside = Beside::new();
    beside.run("a task", async { Err::<(), _>("a mistake") });
    let served = coordinator.serve_beside(beside, std::future::pending());
    let served = tokio::time::timeout(PATIENCE, served).await.unwrap();
    let error = served.unwrap_err().to_string();
    assert_eq!(error, "a task ended by itself: a mistake");
}

#[tokio::test]
async fn a_coordinator_ends_without_an_error_when_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let coordinator = coordinator(directory.path()).await;
    let served = tokio::time::timeout(PATIENCE, coordinator.serve(async {})).await;
    served.unwrap().unwrap();
}
