use super::*;
use crate::config::{JournalConfig, LimitsConfig, SealsConfig};
use crate::share::ShareFiles;
use crate::store::Change;
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use approval::ApprovalConfig;
use service::seal::SecretSource;
use threshold::ids::CeremonyId;
use threshold::testing::{TestCommittee, TestRng};

const ID: CeremonyId = CeremonyId([3; 32]);
const OLD: &str = "old passphrase";
const NEW: &str = "new passphrase";

/// A stopped node's directory: an identity and a share, sealed under the old passphrase.
struct Directory {
    folder: tempfile::TempDir,
    committee: TestCommittee,
}

impl Directory {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let committee = TestCommittee::generate(2, 3, &mut TestRng::new("reseal")).unwrap();
        let directory = Self { folder, committee };
        for text in [OLD, NEW, "another"] {
            write_atomically(&directory.passphrase_file(text), text.as_bytes(), Secrecy::Secret).unwrap();
        }
        std::fs::create_dir(directory.shares()).unwrap();
        let identity = directory.identity();
        identity
            .save(&passphrase(OLD), &directory.path("identity"))
            .unwrap();
        let files = directory.share_files(OLD);
        files
            .save(ID, &directory.committee.shares[0], directory.committee.manifest())
            .unwrap();
        directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn shares(&self) -> PathBuf {
        self.path("shares")
    }

    fn share(&self) -> PathBuf {
        self.shares().join(format!("{ID}.share"))
    }

    fn check(&self) -> PathBuf {
        self.path("seal-check")
    }

    fn passphrase_file(&self, text: &str) -> PathBuf {
        self.path(&format!("passphrase of {text}"))
    }

    fn identity(&self) -> Identity {
        Identity::from_seed("node-1", self.committee.identities[0].as_bytes()).unwrap()
    }

    fn share_files(&self, text: &str) -> ShareFiles {
        ShareFiles::new(
            self.shares(),
            Arc::new(passphrase(text)),
            self.identity().public_key(),
        )
    }

    /// A configuration whose seals are these; `None` for the share is the identity's.
    fn config(&self, identity: &str, share: Option<SealConfig>) -> Config {
        let from = SecretSource::File(self.passphrase_file(identity));
        let unused = "127.0.0.1:0".parse().unwrap();
        Config {
            name: "node-1".into(),
            installation: "test".into(),
            listen: unused,
            operations: unused,
            directory: self.folder.path().to_owned(),
            passphrase_file: None,
            seal: SealsConfig {
                identity: Some(SealConfig::Passphrase { from }),
                share,
            },
            identity_file: None,
            journal: JournalConfig::default(),
            members: Vec::new(),
            coordinators: Vec::new(),
            operators: vec!["somebody".into()],
            approval: ApprovalConfig {
                chain_id: String::new(),
                version: 1,
                policy: String::new(),
                organisations: Vec::new(),
            },
            limits: LimitsConfig::default(),
        }
    }

    /// Every sealed file, as it is now.
    fn blobs(&self) -> Vec<Vec<u8>> {
        let files = [self.path("identity"), self.share(), self.check()];
        files
            .iter()
            .map(|path| std::fs::read(path).unwrap_or_default())
            .collect()
    }

    /// Whether identity and share open with these passphrases, and are what they were.
    fn opens(&self, identity: &str, share: &str) -> bool {
        let manifest = self.committee.manifest();
        let loaded = Identity::load(&self.path("identity"), &passphrase(identity));
        let opened = self
            .share_files(share)
            .load(ID, manifest, &manifest.members()[0].identity);
        loaded.is_ok_and(|loaded| loaded.public_key() == self.identity().public_key())
            && opened.is_ok_and(|opened| opened.public_share() == self.committee.shares[0].public_share())
    }
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes().to_vec())
}

fn nobody(_: Which) -> anyhow::Result<Passphrase> {
    bail!("nobody is here")
}

#[test]
fn every_file_gets_the_new_seal_and_keeps_its_secret() {
    let directory = Directory::new();
    let (old, new) = (directory.config(OLD, None), directory.config(NEW, None));
    assert!(directory.opens(OLD, OLD));
    let done = reseal(&old, &new, nobody).unwrap();
    assert_eq!((done.changed.len(), done.already.len()), (2, 0));
    assert!(directory.opens(NEW, NEW));
    assert!(!directory.opens(OLD, NEW) && !directory.opens(NEW, OLD));
}

#[test]
fn b9_after_a_crash_between_any_two_files_the_same_command_completes() {
    for done in 0..=2 {
        let directory = Directory::new();
        let (old, new) = (directory.config(OLD, None), directory.config(NEW, None));
        let mut plan = Plan::make(&old, &new, nobody).unwrap();
        plan.files.truncate(done);
        plan.run().unwrap();
        let resealed = reseal(&old, &new, nobody).unwrap();
        assert_eq!((resealed.changed.len(), resealed.already.len()), (2 - done, done));
        assert!(directory.opens(NEW, NEW));
    }
}

#[test]
fn b9_one_file_that_opens_with_neither_seal_and_nothing_is_changed() {
    let directory = Directory::new();
    let mut damaged = std::fs::read(directory.share()).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(directory.share(), damaged).unwrap();
    let before = directory.blobs();
    let error = reseal(&directory.config(OLD, None), &directory.config(NEW, None), nobody).unwrap_err();
    assert!(format!("{error:#}").contains("nothing was changed"), "{error:#}");
    assert_eq!(directory.blobs(), before);

    let error = reseal(
        &directory.config("another", None),
        &directory.config(NEW, None),
        nobody,
    )
    .unwrap_err();
    assert!(format!("{error:#}").contains("identity"), "{error:#}");
    assert_eq!(directory.blobs(), before);
}

#[test]
fn the_directory_of_a_running_node_or_of_another_is_left_alone() {
    let directory = Directory::new();
    let (old, new) = (directory.config(OLD, None), directory.config(NEW, None));
    let before = directory.blobs();
    let running = Store::open(&directory.path("ceremonies.redb")).unwrap();
    let error = reseal(&old, &new, nobody).unwrap_err();
    assert!(format!("{error:#}").contains("stop the node"), "{error:#}");
    drop(running);
    type Change = fn(&mut Config);
    let changes: [Change; 3] = [
        |config| config.name = "node-2".into(),
        |config| config.directory = "/elsewhere".into(),
        |config| config.identity_file = Some("/elsewhere".into()),
    ];
    for change in changes {
        let mut other = new.clone();
        change(&mut other);
        let error = reseal(&old, &other, nobody).unwrap_err();
        assert!(error.to_string().contains("not of one node"), "{error:#}");
    }
    assert_eq!(directory.blobs(), before);
}

#[test]
fn the_share_goes_into_a_persons_hands_and_back() {
    let directory = Directory::new();
    let file = directory.config(OLD, None);
    let person = directory.config(OLD, Some(SealConfig::Operator));
    let asked = |wanted: Which, text: &'static str| {
        move |which| {
            assert_eq!(which, wanted);
            Ok(passphrase(text))
        }
    };
    reseal(&file, &person, asked(Which::New, NEW)).unwrap();
    assert!(directory.opens(OLD, NEW));
    let check = SealCheck::new(directory.folder.path(), &directory.identity().public_key());
    assert!(check.accepts(&passphrase(NEW)).unwrap() && !check.accepts(&passphrase(OLD)).unwrap());

    // Another passphrase of the person, then none any more.
    let error = reseal(&person, &file, asked(Which::Old, "another")).unwrap_err();
    assert!(format!("{error:#}").contains("nothing was changed"), "{error:#}");
    let both = |which| Ok(passphrase(if which == Which::Old { NEW } else { "another" }));
    reseal(&person, &person, both).unwrap();
    assert!(directory.opens(OLD, "another") && check.accepts(&passphrase("another")).unwrap());
    reseal(&person, &file, asked(Which::Old, "another")).unwrap();
    assert!(directory.opens(OLD, OLD));
    assert!(!check.exists().unwrap());
}

#[test]
fn secrets_of_version_1_get_the_new_seal_too() {
    let directory = Directory::new();
    let (manifest, share) = (directory.committee.manifest(), &directory.committee.shares[0]);
    let node = directory.identity().public_key();
    let seed = directory.committee.identities[0].to_bytes();
    let identity = version_1(OLD, service::identity::CONTEXT, &[&seed[..], b"node-1"].concat());
    std::fs::write(directory.path("identity"), identity).unwrap();
    let context = share::context(&node, manifest, share.index());
    std::fs::write(
        directory.share(),
        version_1(OLD, &context, &share.to_secret_bytes()),
    )
    .unwrap();
    assert!(directory.opens(OLD, OLD));

    // The file does not say what it is sealed for: the record of its ceremony does.
    let (old, new) = (directory.config(OLD, None), directory.config(NEW, None));
    let before = directory.blobs();
    let error = reseal(&old, &new, nobody).unwrap_err();
    assert!(
        format!("{error:#}").contains("not the share of a ceremony"),
        "{error:#}"
    );
    assert_eq!(directory.blobs(), before);
    let mut record = Record::new(
        crate::ceremony::plan::Plan::Generation(directory.committee.ceremony.clone()),
        directory.committee.manifest().members()[0].identity,
        0,
    );
    record.manifest = Some(manifest.clone());
    let store = Store::open(&directory.path("ceremonies.redb")).unwrap();
    let change = Change {
        ceremony: ID,
        record: record.to_bytes(),
        others: Vec::new(),
        past: Vec::new(),
        doubt: None,
        active: Some(crate::store::Before::Gone),
    };
    store.apply(&change).unwrap();
    drop(store);
    reseal(&old, &new, nobody).unwrap();
    assert!(directory.opens(NEW, NEW));
}

/// A secret as version 1 sealed it, written from docs/protocol-bytes.md.
fn version_1(text: &str, context: &str, msg: &[u8]) -> Vec<u8> {
    let (salt, nonce) = ([5; 16], [6; 12]);
    let header = [b"quorseal\x01".as_slice(), &salt, &nonce].concat();
    let params = argon2::Params::new(32 * 1024, 3, 1, Some(32)).unwrap();
    let mut key = [0; 32];
    argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
        .hash_password_into(text.as_bytes(), &salt, &mut key)
        .unwrap();
    let aad = [header.as_slice(), context.as_bytes()].concat();
    let sealed = Aes256Gcm::new(&key.into())
        .encrypt(&Nonce::from(nonce), Payload { msg, aad: &aad })
        .unwrap();
    [header, sealed].concat()
}
