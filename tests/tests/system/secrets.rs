//! P15: nothing that must stay secret is on a disk in the clear, in a log, in an argument, in an environment or in an error.

use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use crypto_node::share::ShareFiles;
use envelope::{Location, Material, Metadata, ObjectKey, encrypt_to_vec, object_context};
use golden_record::Body;
use quorate::{Home, Keyring, Owner};
use rand_core::{OsRng, RngCore};
use service::identity::Identity;
use service::seal::{self, Passphrase};
use std::sync::Arc;
use threshold::label::Label;
use threshold::secret::DataKey;
use threshold::signature::PublicKey;
use threshold::wrap::{WrappedKey, wrap};
use zeroize::Zeroizing;

use crate::world::{DATASET, TENANT, World, load, name, read, world, write};

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
        let mut begins = [false; 256];
        for head in self.0.keys() {
            begins[usize::from(head[0])] = true;
        }
        for (place, window) in haystack.windows(8).enumerate() {
            // Most of a memory is none of it: this is a great deal faster.
            if !begins[usize::from(window[0])] {
                continue;
            }
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
    let known = Known::written(&world, "p15/known", &report.label).await;
    let bob = world.client(&world.bob).await;
    for document in ["p15/small", "p15/known"] {
        assert_eq!(read(&bob, "bob", document).await.unwrap().0, MARKER.as_bytes());
    }
    assert_eq!(read(&bob, "bob", "p15/large").await.unwrap().0, large);

    let mut needles = Needles::default();
    needles.add("a document's content", MARKER.as_bytes());
    let mut secrets = secrets(&world).await;
    secrets.extend(known.keys);
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
async fn p15_no_secret_is_in_a_refusal_or_an_error() {
    let world = world().await;
    let report = world.write("p15/refused", MARKER.as_bytes()).await;
    let known = Known::written(&world, "p15/refused-known", &report.label).await;
    let mut needles = Needles::default();
    needles.add("a document's content", MARKER.as_bytes());
    let mut secrets = secrets(&world).await;
    secrets.extend(known.keys.clone());
    for (what, secret) in &secrets {
        needles.add_secret(what, secret);
    }
    let said = refusals(&world, &known).await;
    for (what, text) in &said {
        assert!(!text.is_empty(), "{what} says nothing");
        let found = needles.find(text.as_bytes());
        assert!(found.is_empty(), "{what} has {found:?}: {text}");
    }
    the_search_finds(&needles, &secrets);
}

/// What everybody says who refuses something of this document, or cannot do it.
async fn refusals(world: &World, known: &Known) -> Vec<(String, String)> {
    let mut said = Vec::new();
    // Of the endorsers, for people and in full.
    let asked = world.ask(&world.mallory, "mallory", known.document, Duration::from_secs(30));
    for answer in world.submit(&world.mallory, &asked).await {
        said.push(("an endorser".to_owned(), format!("{answer:?}")));
    }
    // Of the crypto nodes: no certificates, somebody else's, a wrapped key that was changed, a caller without a right.
    let approved = world.approved(known.document).await;
    let own = world.request(&approved.certificates, &known.wrapped).await;
    let mut without = own.clone();
    without.certificates.clear();
    let mut changed = own.clone();
    *changed.wrapped_key.last_mut().unwrap() ^= 1;
    let mut cut = own.clone();
    cut.wrapped_key.pop();
    for node in world.nodes() {
        for request in [&without, &changed, &cut] {
            let status = world.share(&node, request).await.unwrap_err();
            said.push((node.clone(), both(&status)));
        }
        let status = world.share_as(&world.bob, &node, &own).await.unwrap_err();
        said.push((node, both(&status)));
    }
    // Of the SDK: a read and a write that are denied, material under another key or for another document.
    let mallory = world.client(&world.mallory).await;
    let denied = read(&mallory, "mallory", known.document).await.unwrap_err();
    said.push(("the SDK's read".to_owned(), both(&denied)));
    let denied = write(&mallory, known.document, MARKER.as_bytes())
        .await
        .unwrap_err();
    said.push(("the SDK's write".to_owned(), both(&denied)));
    let other = DataKey::generate(&mut OsRng);
    let refused = Material::open(&other, &known.label, &known.material).unwrap_err();
    said.push(("material under another key".to_owned(), both(&refused)));
    let mut label = known.label.clone();
    label.version += 1;
    let refused = Material::open(&known.data_key(), &label, &known.material).unwrap_err();
    said.push(("material of another version".to_owned(), both(&refused)));
    said.extend(command_lines(world, known));
    said
}

/// What the program says to mallory, who may not read, and to bob, whose key is not there.
fn command_lines(world: &World, known: &Known) -> Vec<(String, String)> {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::at(directory.path());
    let owner = Owner::User(TENANT.to_owned(), "mallory".to_owned());
    Keyring::of(&home).adopt(&owner, &world.mallory).unwrap();
    fs::write(home.profile(), toml::to_string(world.cluster.profile()).unwrap()).unwrap();
    let path = format!("{TENANT}/{DATASET}/{}", known.document);
    let mut said = Vec::new();
    for (who, status, json) in [("mallory", 2, false), ("mallory", 2, true), ("bob", 1, false)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-under-test"));
        command
            .args(["read", &path, "--as", who, "-o"])
            .arg(directory.path().join("copy"))
            .args(json.then_some("--json"))
            .env("QUORATE_HOME", home.path())
            .env("RUST_LOG", "trace")
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{who}: {errors}");
        said.push((format!("the program, to {who}"), errors));
    }
    said
}

/// As people see it, and as a log that prints everything would have it.
fn both(error: &(impl Display + Debug)) -> String {
    format!("{error}\n{error:?}\n{error:#?}")
}

/// A document whose keys are known, which the SDK never tells.
struct Known {
    document: &'static str,
    label: Label,
    wrapped: WrappedKey,
    material: Vec<u8>,
    keys: Vec<(String, Vec<u8>)>,
}

impl Known {
    /// Written as the SDK does it, to the chain, with the marker as its content.
    async fn written(world: &World, document: &'static str, like: &Label) -> Self {
        let label = Label {
            document: document.parse().unwrap(),
            version: 1,
            ..like.clone()
        };
        let (mut object, mut data) = (Zeroizing::new([0; 32]), [0; 32]);
        OsRng.fill_bytes(object.as_mut());
        OsRng.fill_bytes(&mut data);
        let object_key = ObjectKey::from_bytes(&object);
        let context = object_context(&label);
        let (encrypted, checksum) =
            encrypt_to_vec(&object_key, &context, MARKER.as_bytes(), &mut OsRng).unwrap();
        let material = Material {
            object_key,
            location: Location::OnChain,
            metadata: Metadata::new("file", MARKER.len() as u64, "text/plain").unwrap(),
        };
        let data_key = DataKey::from_bytes(data);
        let material = material.seal(&data_key, &label, &mut OsRng).unwrap();
        let custody = *world.manifest().await.manifest.custody_key();
        let wrapped = wrap(&custody, &label, &data_key, &mut OsRng).unwrap();
        let body = Body::WriteDocument {
            tenant: name(TENANT),
            dataset: name(DATASET),
            document: label.document.clone(),
            version: label.version,
            wrapped_key: Some(wrapped.clone()),
            material: material.clone(),
            checksum: checksum.to_bytes(),
            size: encrypted.len() as u64,
            inline: Some(encrypted),
        };
        world.client(&world.alice).await.apply(body).await.unwrap();
        Self {
            document,
            label,
            wrapped,
            material,
            keys: vec![
                ("a document's data key".to_owned(), data.to_vec()),
                ("a document's object key".to_owned(), object.to_vec()),
            ],
        }
    }

    fn data_key(&self) -> DataKey {
        DataKey::from_bytes(self.keys[0].1.as_slice().try_into().unwrap())
    }
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

/// Nobody on the way has what opens a document, not even while it is read; and a node has no share but its own. Only root can
/// look: to everybody else, and so to another program of the same user, the daemons' memory is closed.
#[tokio::test]
async fn p15_what_opens_a_document_is_in_no_memory_on_the_way() {
    let world = world().await;
    let like = world.write("p15/like-memory", MARKER.as_bytes()).await.label;
    let known = Known::written(&world, "p15/memory", &like).await;
    let bob = world.client(&world.bob).await;
    for _ in 0..3 {
        assert_eq!(
            read(&bob, "bob", "p15/memory").await.unwrap().0,
            MARKER.as_bytes()
        );
    }
    let mut shares = Vec::new();
    for node in world.nodes() {
        shares.push((node.clone(), share(&world, &node).await));
    }
    for name in world.names() {
        let mut needles = Needles::default();
        needles.add("a document's content", MARKER.as_bytes());
        for (what, key) in &known.keys {
            needles.add(what, key);
        }
        for (node, share) in &shares {
            needles.add(node, share);
        }
        let pid = world.cluster.pid(&name).unwrap();
        let memory = Memory::of(pid);
        if !is_root() {
            let error = memory.err().map(|error| error.kind());
            assert_eq!(error, Some(ErrorKind::PermissionDenied), "{name} can be dumped");
            continue;
        }
        let mut found = memory.unwrap().find(&needles);
        found.sort_unstable();
        found.dedup();
        // A node's own share shows that the search finds what is there.
        let expected: Vec<_> = shares.iter().map(|(node, _)| node.clone()).collect();
        let expected: Vec<_> = expected.into_iter().filter(|node| *node == name).collect();
        assert_eq!(found, expected, "in the memory of {name}");
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// What a process can write to.
struct Memory {
    file: fs::File,
    ranges: Vec<(u64, u64)>,
}

impl Memory {
    fn of(pid: u32) -> std::io::Result<Self> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let range = |line: &str| {
            let mut words = line.split(' ');
            let (from, to) = words.next()?.split_once('-')?;
            let address = |text| u64::from_str_radix(text, 16).ok();
            let writable = words.next()?.starts_with("rw");
            writable.then_some((address(from)?, address(to)?))
        };
        let ranges: Vec<_> = maps.lines().filter_map(range).collect();
        assert!(!ranges.is_empty());
        let file = fs::File::open(format!("/proc/{pid}/mem"))?;
        Ok(Self { file, ranges })
    }

    /// Piece by piece, each with the end of the one before: a needle may lie across.
    fn find(&self, needles: &Needles) -> Vec<String> {
        const PIECE: usize = 1 << 20;
        const OVERLAP: u64 = 64;
        let mut found = Vec::new();
        let mut piece = vec![0; PIECE];
        for (from, to) in &self.ranges {
            let mut at = *from;
            while at < *to {
                let length = usize::try_from(to - at).unwrap().min(PIECE);
                // It may have gone since.
                let Ok(length) = self.file.read_at(&mut piece[..length], at) else {
                    break;
                };
                found.extend(needles.find(&piece[..length]));
                at += match u64::try_from(length).unwrap() {
                    0 => break,
                    whole if at + whole >= *to => whole,
                    part => part.saturating_sub(OVERLAP).max(1),
                };
            }
        }
        found
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
