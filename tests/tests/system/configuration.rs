//! What a daemon refuses to start with.

use std::fs;
use std::process::{Command, Stdio};

use crate::world::{World, world};

/// Starts crypto node 1 with another configuration; gives its exit status and what it said.
fn start_with(world: &World, change: impl FnOnce(&mut crypto_node::Config)) -> (Option<i32>, String) {
    let paths = world.cluster.paths();
    let text = fs::read_to_string(paths.config("crypto-1")).unwrap();
    let mut config: crypto_node::Config = toml::from_str(&text).unwrap();
    change(&mut config);
    let directory = tempfile::tempdir().unwrap();
    config.directory = directory.path().join("data");
    fs::create_dir(&config.directory).unwrap();
    let file = directory.path().join("config.toml");
    fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    // Were it accepted, it would end at once when its standard input does.
    let output = Command::new(env!("CARGO_BIN_EXE_quorate-under-test"))
        .args(["daemon", "crypto-node", "--exit-with-parent", "--config"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn p11_d2_two_organisations_with_one_key_are_refused_at_the_start() {
    let mut world = world().await;
    world.cluster.stop("crypto-1").await.unwrap();
    let (code, words) = start_with(&world, |config| {
        config.approval.organisations[1].root = config.approval.organisations[0].root.clone();
    });
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("approval"), "{words}");

    // With its own configuration it starts, so the key was the reason.
    let (code, words) = start_with(&world, |_| ());
    assert_eq!(code, Some(0), "{words}");
    world.heal().await;
}

#[tokio::test]
async fn a8_p11_two_members_with_one_key_are_refused_at_the_start() {
    let mut world = world().await;
    world.cluster.stop("crypto-1").await.unwrap();
    let (code, words) = start_with(&world, |config| {
        config.members[2].identity = config.members[1].identity.clone();
    });
    assert_eq!(code, Some(1), "{words}");
    assert!(
        words.contains("members[2]: another member has this identity"),
        "{words}"
    );
    world.heal().await;
}
