//! P15: nothing that must stay secret is on a disk in the clear, in a log, in an argument or in an environment.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use crypto_node::share::ShareFiles;
use service::identity::Identity;
use service::seal::{self, Passphrase};
use std::sync::Arc;
use threshold::signature::PublicKey;

use crate::world::{World, load, read, world};

/// A document's content, twice: small enough for the chain, and too large for it.
const MARKER: &str = "quorate canary 5d1f: this sentence is nobody's business";

/// Byte strings that must not be found, by their first eight bytes.
#[derive(Default)]
struct Needles(HashMap<[u8; 8], Vec<(String, Vec<u8>)>>);

impl Needles {
    fn add(&mut self, what: &str, bytes: &[u8]) {
        self.0
            .entry(bytes[..8].try_into().unwrap())
            .or_default()
            .push((what.to_owned(), bytes.to_vec()));
    }

    /// A secret, and the forms that it would have in text.
    fn add_secret(&mut self, what: &str, secret: &[u8]) {
        self.add(what, secret);
        let reversed: Vec<u8> = secret.iter().rev().copied().collect();
        self.add(&format!("{what} in the other byte order"), &reversed);
        self.add(&format!("{what} in hexadecimal"), hex::encode(secret).as_bytes());
        self.add(
            &format!("{what} in hexadecimal"),
            hex::encode_upper(secret).as_bytes(),
        );
        // The last character of base64 depends on what follows.
        let base64 = STANDARD_NO_PAD.encode(secret);
        self.add(
            &format!("{what} in base64"),
            &base64.as_bytes()[..base64.len() - 2],
        );
        // As Rust prints a slice of bytes.
        let printed = format!("{secret:?}");
        self.add(
            &format!("{what} as a list of numbers"),
            printed.trim_matches(['[', ']']).as_bytes(),
        );
    }

    fn find(&self, haystack: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for (place, window) in haystack.windows(8).enumerate() {
            let Ok(head) = <[u8; 8]>::try_from(window) else {
                continue;
            };
            for (what, needle) in self.0.get(&head).into_iter().flatten() {
                if haystack[place..].starts_with(needle) {
                    found.push(what.clone());
                }
            }
        }
        found
    }
}

#[tokio::test]
async fn p15_no_secret_is_on_a_disk_in_a_log_or_in_a_process_table() {
    let world = world().await;
    let large = format!("{MARKER}\n").repeat(200).into_bytes();
    world.write("p15/small", MARKER.as_bytes()).await;
    let report = world.write("p15/large", &large).await;
    assert!(!report.on_chain);
    let bob = world.client(&world.bob).await;
    assert_eq!(read(&bob, "bob", "p15/small").await.unwrap().0, MARKER.as_bytes());
    assert_eq!(read(&bob, "bob", "p15/large").await.unwrap().0, large);

    let mut needles = Needles::default();
    needles.add("a document's content", MARKER.as_bytes());
    let secrets = secrets(&world).await;
    assert!(secrets.len() > 30, "{}", secrets.len());
    for (what, secret) in &secrets {
        needles.add_secret(what, secret);
    }
    // A passphrase is in its own file and nowhere else.
    let mut passphrases = Vec::new();
    for path in files(world.cluster.paths().root()) {
        if path.ends_with("passphrase") {
            let text = fs::read(&path).unwrap();
            needles.add(
                &format!("the passphrase in {}", path.display()),
                text.trim_ascii(),
            );
            passphrases.push(path);
        }
    }
    assert_eq!(passphrases.len(), 11, "ten daemons and the people");

    let mut searched = 0;
    for path in files(world.cluster.paths().root()) {
        if passphrases.contains(&path) {
            continue;
        }
        // The daemons are at work: a file may have gone since.
        let Ok(bytes) = fs::read(&path) else { continue };
        let found = needles.find(&bytes);
        assert!(found.is_empty(), "{} has {found:?}", path.display());
        searched += 1;
    }
    assert!(searched > 50, "{searched}");
    for name in world.names() {
        let pid = world.cluster.pid(&name).unwrap();
        for what in ["cmdline", "environ"] {
            let bytes = match fs::read(format!("/proc/{pid}/{what}")) {
                // Not even this user may look into the process, unless it is root.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => continue,
                bytes => bytes.unwrap(),
            };
            let found = needles.find(&bytes);
            assert!(found.is_empty(), "{what} of {name} has {found:?}");
        }
    }
    the_search_finds(&needles, &secrets);
}

#[tokio::test]
async fn p15_no_daemon_can_leave_its_memory_in_a_core_dump() {
    let world = world().await;
    for name in world.names() {
        let pid = world.cluster.pid(&name).unwrap();
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size"));
        let words: Vec<&str> = core.unwrap().split_whitespace().skip(4).collect();
        assert_eq!(words, ["0", "0", "bytes"], "{name}");
    }
}

/// The search would have found each of them.
fn the_search_finds(needles: &Needles, secrets: &[(String, Vec<u8>)]) {
    for (what, secret) in secrets {
        for form in [
            secret.clone(),
            hex::encode(secret).into_bytes(),
            STANDARD_NO_PAD.encode(secret).into_bytes(),
            format!("secret: {secret:?}").into_bytes(),
        ] {
            let planted = [b"some bytes before".as_slice(), &form, b"and after"].concat();
            assert!(
                needles.find(&planted).iter().any(|found| found.starts_with(what)),
                "{what}"
            );
        }
    }
    assert!(!needles.find(MARKER.as_bytes()).is_empty());
}

/// Every secret of the cluster that its passphrases open, and those of its users.
async fn secrets(world: &World) -> Vec<(String, Vec<u8>)> {
    let paths = world.cluster.paths();
    let mut secrets = Vec::new();
    let mut identity = |what: &str, identity: &Identity| {
        secrets.push((
            format!("the key of {what}"),
            identity.signing_key().to_bytes().to_vec(),
        ));
    };
    for (who, key) in [
        ("alice", &world.alice),
        ("bob", &world.bob),
        ("mallory", &world.mallory),
    ] {
        identity(who, key);
    }
    identity("the coordinator", &world.coordinator);
    identity("the auditor", &world.cluster.auditor().unwrap());
    for organisation in ["north", "east", "south", "west"] {
        identity(
            &format!("{organisation}'s administrator"),
            &world.cluster.admin(organisation).unwrap(),
        );
        let name = format!("endorser-{organisation}");
        let (keys, passphrase) = (paths.keys(&name), paths.passphrase(&name));
        identity(&name, &load(&keys.join("identity.sealed"), &passphrase));
    }
    for node in world.nodes() {
        identity(
            &format!("the operator of {node}"),
            &world.cluster.operator(&node).unwrap(),
        );
        identity(&node, &load(&paths.identity(&node), &paths.passphrase(&node)));
    }
    for organisation in ["north", "east", "south", "west"] {
        let name = format!("endorser-{organisation}");
        let passphrase = Passphrase::from_file(&paths.passphrase(&name)).unwrap();
        for purpose in ["validator", "authority"] {
            let blob = fs::read(paths.keys(&name).join(format!("{purpose}.sealed"))).unwrap();
            let context = format!("ledger-endorser/{organisation}/{purpose}");
            let seed = seal::open(&passphrase, &context, &blob).unwrap();
            secrets.push((format!("the {purpose} key of {name}"), seed.to_vec()));
        }
    }
    for node in world.nodes() {
        secrets.push((format!("the share of {node}"), share(world, &node).await));
    }
    secrets
}

/// The secret scalar of a node's share, from its sealed file.
async fn share(world: &World, node: &str) -> Vec<u8> {
    let paths = world.cluster.paths();
    let passphrase = Passphrase::from_file(&paths.passphrase(node)).unwrap();
    let directory = paths.data(node).join("shares");
    let sealed = files(&directory);
    let [file] = sealed.as_slice() else {
        panic!("{node} has {} share files", sealed.len());
    };
    let ceremony = file.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let identity = load(&paths.identity(node), &paths.passphrase(node)).public_key();
    let me = PublicKey::from_bytes(&identity).unwrap();
    let share = ShareFiles::new(directory, Arc::new(passphrase), identity)
        .load(ceremony, &world.manifest().await.manifest, &me)
        .unwrap();
    let bytes = share.to_secret_bytes();
    bytes[bytes.len() - 32..].to_vec()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
