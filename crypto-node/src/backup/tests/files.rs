//! A node's directory: a backup of it, and what is put back.

use super::*;
use crate::backup::offline::{restore, take};
use crate::config::{Config, JournalConfig, LimitsConfig, MemberConfig, SealsConfig};
use crate::journal::{Disk, Event, Journal, MarkFile, Step};
use crate::node::{Seams, run_with};
use crate::reseal::Which;
use crate::share::ShareFiles;
use crate::store::{Change, Store};
use crate::tests::world::{CHAIN, NOW_MS, roots};
use approval::{ApprovalConfig, OrganisationConfig};
use service::files::{Secrecy, write_atomically};
use service::{Identity, Passphrase, SealConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A node's directory, and its configuration.
pub(crate) struct Directory {
    folder: tempfile::TempDir,
    pub(crate) config: Config,
}

fn nobody(_: Which) -> anyhow::Result<Passphrase> {
    anyhow::bail!("nobody is here")
}

fn passphrase() -> Passphrase {
    Passphrase::new(b"a passphrase".to_vec())
}

fn identity() -> Identity {
    Identity::from_seed("node-1", shared().committee.identities[0].as_bytes()).unwrap()
}

impl Directory {
    /// The directory of member 1, with nothing in it.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let passphrase_file = folder.path().join("passphrase");
        write_atomically(&passphrase_file, b"a passphrase\n", Secrecy::Secret).unwrap();
        let members = shared().committee.manifest().members().iter();
        let organisation = |(name, der): (&str, Vec<u8>)| OrganisationConfig {
            name: name.to_owned(),
            root: approval::pem::encode(&der),
        };
        let any = "127.0.0.1:0".parse().unwrap();
        let config = Config {
            name: "node-1".into(),
            installation: "test".into(),
            listen: any,
            operations: any,
            directory: folder.path().join("data"),
            passphrase_file: Some(passphrase_file),
            seal: SealsConfig::default(),
            identity_file: None,
            journal: JournalConfig::default(),
            members: members
                .map(|member| MemberConfig {
                    name: member.name.to_string(),
                    identity: hex::encode(member.identity.to_bytes()),
                    address: "127.0.0.1:9".into(),
                })
                .collect(),
            coordinators: Vec::new(),
            operators: vec![hex::encode(
                Identity::from_seed("operator", &[201; 32]).unwrap().public_key(),
            )],
            approval: ApprovalConfig {
                chain_id: CHAIN.to_string(),
                version: 1,
                policy: "OUTOF(2, north, south, east)".into(),
                organisations: roots(NOW_MS).into_iter().map(organisation).collect(),
            },
            limits: LimitsConfig::default(),
        };
        std::fs::create_dir(&config.directory).unwrap();
        Self { folder, config }
    }

    /// The same with a key in use.
    pub(crate) fn in_use() -> Self {
        let directory = Self::empty();
        let World { committee, record } = shared();
        let ceremony = record.plan.id();
        identity()
            .save(&passphrase(), &directory.path("identity"))
            .unwrap();
        std::fs::create_dir(directory.path("shares")).unwrap();
        directory
            .share_files()
            .save(ceremony, &committee.shares[0], committee.manifest())
            .unwrap();
        directory.journal(Step::Active, ceremony);
        let change = Change {
            ceremony,
            record: record.to_bytes(),
            others: Vec::new(),
            past: Vec::new(),
            doubt: None,
            active: Some(crate::store::Before::Gone),
        };
        directory.store().apply(&change).unwrap();
        directory
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.config.directory.join(name)
    }

    fn share_files(&self) -> ShareFiles {
        ShareFiles::new(
            self.path("shares"),
            Arc::new(passphrase()),
            identity().public_key(),
        )
    }

    fn share_file(&self) -> PathBuf {
        self.path("shares")
            .join(format!("{}.share", shared().record.plan.id()))
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.path("ceremonies.redb")).unwrap()
    }

    pub(crate) fn journal(&self, step: Step, ceremony: CeremonyId) {
        let disk = Disk::open(&self.path("journal")).unwrap();
        let journal = Journal::open(disk, &identity().public_key(), None, |_, _| {}, |_| {}).unwrap();
        let mut marks = MarkFile::open(self.path("journal.mark"), identity()).unwrap();
        let event = Event::Ceremony {
            ceremony,
            step,
            detail: String::new(),
        };
        let ticket = journal.append(NOW_MS, event).unwrap();
        futures::executor::block_on(ticket.durable()).unwrap();
        marks.store(journal.durable().unwrap()).unwrap();
    }

    /// Whether the node starts from what is here, with its key.
    async fn starts(&self) -> anyhow::Result<()> {
        let seams = Seams {
            clock: Arc::new(|| NOW_MS),
            ..Seams::default()
        };
        run_with(self.config.clone(), std::future::ready(()), seams).await?;
        let manifest = shared().committee.manifest();
        let share = self.share_files().load(
            shared().record.plan.id(),
            manifest,
            &manifest.members()[0].identity,
        )?;
        assert_eq!(share.public_share(), shared().committee.shares[0].public_share());
        Ok(())
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path)
                } else {
                    found.push(path)
                }
            }
        }
        found
    }
}

pub(crate) struct Taken {
    backup: Backup,
    parts: Vec<SealedPart>,
    keys: Vec<SecretKey>,
}

pub(crate) fn taken(directory: &Directory) -> Taken {
    let keys = keys(3);
    let (backup, parts) = take(&directory.config, custodians(&keys), 2, nobody).unwrap();
    Taken { backup, parts, keys }
}

impl Taken {
    fn recovered(&self) -> Recovered {
        let open = |place: usize| self.parts[place].open(Stage::Kept, &self.keys[place]).unwrap();
        self.backup.recover(&[open(2), open(0)]).unwrap()
    }

    pub(crate) fn restore(
        &self,
        directory: &Directory,
        committee: Option<&SignedManifest>,
    ) -> anyhow::Result<()> {
        restore(
            &directory.config,
            &self.backup,
            &self.recovered(),
            committee,
            nobody,
        )
        .map(drop)
    }
}

#[tokio::test]
async fn a_lost_share_is_put_back() {
    let directory = Directory::in_use();
    let taken = taken(&directory);
    directory.starts().await.unwrap();
    std::fs::remove_file(directory.share_file()).unwrap();
    assert!(directory.starts().await.is_err());
    taken.restore(&directory, None).unwrap();
    directory.starts().await.unwrap();
}

#[tokio::test]
async fn b5_a_wiped_disk_is_restored_when_the_committee_says_that_the_epoch_is_current() {
    let taken = taken(&Directory::in_use());
    let directory = Directory::empty();
    let error = taken.restore(&directory, None).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&RestoreError::Unknown));
    assert!(!directory.path("identity").exists() && !directory.share_file().exists());

    let signed = &shared().committee.signed;
    let mut forged = signed.clone();
    forged.signatures.swap(0, 1);
    let error = taken.restore(&directory, Some(&forged)).unwrap_err();
    assert!(error.to_string().contains("not signed by all"), "{error:#}");
    assert!(!directory.path("identity").exists() && !directory.share_file().exists());

    taken.restore(&directory, Some(signed)).unwrap();
    directory.starts().await.unwrap();
    let secret = shared().committee.shares[0].to_secret_bytes();
    let seed = shared().committee.identities[0].to_bytes();
    for file in directory.files() {
        let bytes = std::fs::read(&file).unwrap();
        for secret in [&secret[secret.len() - 32..], &seed] {
            assert!(
                !bytes.windows(32).any(|window| window == secret),
                "p15: {}",
                file.display()
            );
        }
    }
}

#[test]
fn b5_p8_an_old_share_is_refused_when_the_journal_knows_a_newer_one() {
    let directory = Directory::in_use();
    let taken = taken(&directory);
    let share = std::fs::read(directory.share_file()).unwrap();
    let newer = CeremonyId([9; 32]);
    directory.journal(Step::Active, newer);
    let error = taken.restore(&directory, None).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&RestoreError::Replaced(newer)));
    assert_eq!(std::fs::read(directory.share_file()).unwrap(), share);
    // A ceremony that did not end changes nothing.
    let directory = Directory::in_use();
    directory.journal(Step::Joined, newer);
    taken.restore(&directory, None).unwrap();
}

#[test]
fn a_backup_goes_into_its_own_members_stopped_node_only() {
    let directory = Directory::in_use();
    let taken = taken(&directory);
    let running = directory.store();
    for error in [
        taken.restore(&directory, None).unwrap_err(),
        take(&directory.config, custodians(&keys(3)), 2, nobody).unwrap_err(),
    ] {
        assert!(error.to_string().contains("stop the node"), "{error:#}");
    }
    drop(running);

    let other = Directory::empty();
    std::fs::copy(
        other.config.passphrase_file.as_ref().unwrap(),
        other.folder.path().join("copy"),
    )
    .unwrap();
    let stranger = Identity::from_seed("node-1", &[3; 32]).unwrap();
    stranger.save(&passphrase(), &other.path("identity")).unwrap();
    let error = taken
        .restore(&other, Some(&shared().committee.signed))
        .unwrap_err();
    assert!(error.to_string().contains("another identity"), "{error:#}");

    // A node that is no member, and one without a key.
    let mut elsewhere = Directory::empty();
    elsewhere.config.members.remove(0);
    let error = taken
        .restore(&elsewhere, Some(&shared().committee.signed))
        .unwrap_err();
    assert!(
        error.to_string().contains("none has this node's identity"),
        "{error:#}"
    );
    let empty = Directory::empty();
    identity().save(&passphrase(), &empty.path("identity")).unwrap();
    let error = take(&empty.config, custodians(&keys(3)), 2, nobody).unwrap_err();
    assert!(error.to_string().contains("nothing to back up"), "{error:#}");
}

#[test]
fn a_share_is_restored_under_a_persons_passphrase() {
    let taken = taken(&Directory::in_use());
    let mut directory = Directory::empty();
    directory.config.seal.share = Some(SealConfig::Operator);
    let signed = Some(&shared().committee.signed);
    let person = |text: &'static str, wanted: Which| {
        move |which| {
            assert_eq!(which, wanted);
            Ok(Passphrase::new(text.as_bytes().to_vec()))
        }
    };
    let recovered = taken.recovered();
    restore(
        &directory.config,
        &taken.backup,
        &recovered,
        signed,
        person("known", Which::New),
    )
    .unwrap();
    // Once more: the passphrase that was set is the node's.
    let error = restore(
        &directory.config,
        &taken.backup,
        &recovered,
        signed,
        person("mistyped", Which::Old),
    );
    assert!(error.unwrap_err().to_string().contains("not the node's"));
    restore(
        &directory.config,
        &taken.backup,
        &recovered,
        signed,
        person("known", Which::Old),
    )
    .unwrap();
    // And the share can be backed up again from under it.
    take(
        &directory.config,
        custodians(&keys(2)),
        2,
        person("known", Which::Old),
    )
    .unwrap();
    assert!(Path::new(&directory.share_file()).exists());
}
