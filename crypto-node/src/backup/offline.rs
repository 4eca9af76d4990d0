//! Taking a backup of a stopped node, and putting a share back into one.

use super::{Backup, BackupError, Custodian, Recovered, custodian::SealedPart};
use crate::authorise::system_time;
use crate::ceremony::record::Record;
use crate::config::Config;
use crate::journal::{Event, Step, Stored, opening};
use crate::reseal::Which;
use crate::seals::{self, SealCheck, Seals};
use crate::settings::Settings;
use crate::share::ShareFiles;
use crate::store::{Before, Change, Store};
use anyhow::{Context, ensure};
use ed25519_dalek::SigningKey;
use rand_core::OsRng;
use service::files::is_there;
use service::{Identity, KeyWrap, Passphrase};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;
use threshold::ids::CeremonyId;
use threshold::signature::PublicKey;

/// Why a good backup is not put back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The committee has gone on.
    #[error(
        "the backup is of epoch {backup}, and {who} knows epoch {current}: its share was replaced, is useless, and is not \
         put back; ask the other members to repair this node's share, and take a new backup"
    )]
    Stale {
        /// The backup's epoch.
        backup: u32,
        /// The newer one.
        current: u32,
        /// Who knows it.
        who: &'static str,
    },
    /// The journal saw another ceremony's key come into use after the backup's.
    #[error(
        "this node's journal knows that the key of ceremony {0} came into use after the backup's: the backup's share was \
         replaced, and is not put back"
    )]
    Replaced(CeremonyId),
    /// Another custody key.
    #[error("the backup is of another custody key than the one that {0} knows")]
    OtherKey(&'static str),
    /// The same epoch with another manifest, or an older one.
    #[error(
        "{0} knows another manifest of that key, and not a newer one: is it the committee's present manifest?"
    )]
    OtherManifest(&'static str),
    /// Nobody has said what is current.
    #[error(
        "this node's directory does not know which epoch is current: get the committee's present manifest from another \
         member, who runs `quorate node committee`, and give it with --committee"
    )]
    Unknown,
}

/// What is known of the committee at present.
#[derive(Debug, Default)]
pub struct Present<'a> {
    /// The manifest of the key that this node has in use.
    pub own: Option<&'a SignedManifest>,
    /// The ceremony whose key came into use last, as this node's journal has it.
    pub journal: Option<CeremonyId>,
    /// The manifest that another member gave.
    pub committee: Option<&'a SignedManifest>,
}

impl Present<'_> {
    /// Whether a backup is of the present epoch.
    ///
    /// # Errors
    /// It is not, or nobody knows.
    pub fn allows(&self, backup: &Backup) -> Result<(), RestoreError> {
        let sources = [
            ("this node's directory", self.own),
            ("the committee", self.committee),
        ];
        let mut known = false;
        for (who, signed) in sources {
            let Some(signed) = signed else { continue };
            known = true;
            let (ours, theirs) = (&backup.signed_manifest().manifest, &signed.manifest);
            if theirs.key_id() != ours.key_id() {
                return Err(RestoreError::OtherKey(who));
            }
            if theirs.epoch() > ours.epoch() {
                return Err(RestoreError::Stale {
                    backup: ours.epoch(),
                    current: theirs.epoch(),
                    who,
                });
            }
            if theirs.digest() != ours.digest() {
                return Err(RestoreError::OtherManifest(who));
            }
        }
        match self.journal {
            Some(last) if last != backup.ceremony() => Err(RestoreError::Replaced(last)),
            _ if known => Ok(()),
            _ => Err(RestoreError::Unknown),
        }
    }
}

/// Makes a backup of the share that a stopped node has in use. Blocks.
///
/// # Errors
/// The node runs, or has no key; its secrets do not open; the custodians do not do.
pub fn take(
    config: &Config,
    custodians: Vec<Custodian>,
    threshold: u16,
    mut ask: impl FnMut(Which) -> anyhow::Result<Passphrase>,
) -> anyhow::Result<(Backup, Vec<SealedPart>)> {
    let store = lock(config)?;
    let seals = Seals::open(config)?;
    let identity =
        Identity::load(&seals::identity_file(config), seals.identity.as_ref()).context("identity")?;
    Settings::check(config, &identity.public_key())?;
    let (_, record) = store
        .active()?
        .context("the node has no key in use: there is nothing to back up")?;
    let record = Record::from_bytes(&record)?;
    let signed = record
        .signed_manifest()
        .context("the key's manifest is not signed by all")?;
    let share_seal = match seals.share {
        Some(seal) => seal,
        None => Arc::new(ask(Which::Old)?),
    };
    let files = ShareFiles::new(seals::share_directory(config), share_seal, identity.public_key());
    let share = files.load(
        record.plan.id(),
        &signed.manifest,
        &PublicKey::of(identity.signing_key()),
    )?;
    let made = Backup::make(
        &record,
        &share,
        identity.signing_key(),
        custodians,
        threshold,
        &mut OsRng,
    )?;
    Ok(made)
}

/// Puts a recovered share, and what belongs to it, into a stopped node's directory. Blocks.
///
/// # Errors
/// The node runs; the backup is not of the present epoch; what is there already is somebody else's.
pub fn restore(
    config: &Config,
    backup: &Backup,
    recovered: &Recovered,
    committee: Option<&SignedManifest>,
    mut ask: impl FnMut(Which) -> anyhow::Result<Passphrase>,
) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(&config.directory)
        .with_context(|| format!("cannot create {}", config.directory.display()))?;
    let store = lock(config)?;
    let node = recovered.identity.verifying_key().to_bytes();
    Settings::check(config, &node)?;
    if let Some(committee) = committee {
        committee
            .verify()
            .context("the committee's manifest is not signed by all its members")?;
    }
    let active = store.active()?;
    let id = |row: &Option<(CeremonyId, Vec<u8>)>| row.as_ref().map(|(id, _)| *id);
    let stored = Stored {
        active: id(&active),
        others: [id(&store.newest()?), id(&store.doubt()?)],
    };
    let own = match active {
        Some((id, bytes)) => {
            let record = Record::from_bytes(&bytes)?;
            Some(
                record
                    .signed_manifest()
                    .with_context(|| format!("the manifest of {id} is not signed by all"))?,
            )
        }
        None => None,
    };
    let identity = Identity::from_seed(&config.name, recovered.identity.as_bytes())?;
    let opening::Own {
        journal,
        mut marks,
        activated,
    } = opening::open(config, &identity, |_| {}, |_| {})?;
    let present = Present {
        own: own.as_ref(),
        journal: activated.finished(&stored),
        committee,
    };
    present.allows(backup)?;

    let seals = Seals::open(config)?;
    let mut written = Vec::new();
    let identity_file = seals::identity_file(config);
    restore_identity(
        config,
        &identity_file,
        &recovered.identity,
        seals.identity.as_ref(),
        &mut written,
    )?;
    let seal = match seals.share {
        Some(seal) => seal,
        None => persons_seal(&SealCheck::new(&config.directory, &node), &mut ask)?,
    };
    let directory = seals::share_directory(config);
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    ShareFiles::new(directory.clone(), seal, node).save(
        backup.ceremony(),
        &recovered.share,
        &backup.signed_manifest().manifest,
    )?;
    written.push(directory);
    // The journal before the store, as when a key comes into use.
    let event = Event::Ceremony {
        ceremony: backup.ceremony(),
        step: Step::Active,
        detail: "restored from its custodians' backup".to_owned(),
    };
    let ticket = journal.append(system_time(), event)?;
    futures::executor::block_on(ticket.durable())?;
    marks
        .store(journal.durable().context("journal: it has failed already")?)
        .context("journal mark: cannot be written")?;
    if own.is_none() {
        store.apply(&Change {
            ceremony: backup.ceremony(),
            record: backup.record().to_vec(),
            others: Vec::new(),
            past: Vec::new(),
            doubt: None,
            active: Some(Before::Gone),
        })?;
    }
    Ok(written)
}

fn lock(config: &Config) -> anyhow::Result<Store> {
    Store::open(&config.directory.join("ceremonies.redb"))
        .context("the node's directory is in use: stop the node first")
}

fn restore_identity(
    config: &Config,
    path: &Path,
    key: &SigningKey,
    seal: &dyn KeyWrap,
    written: &mut Vec<PathBuf>,
) -> anyhow::Result<()> {
    if is_there(path)? {
        let there = Identity::load(path, seal).context("identity")?;
        ensure!(
            there.public_key() == key.verifying_key().to_bytes(),
            "{} holds another identity than the backup's: move it away first",
            path.display()
        );
        return Ok(());
    }
    Identity::from_seed(&config.name, key.as_bytes())?.save(seal, path)?;
    written.push(path.to_owned());
    Ok(())
}

/// The seal of a person: the one that was set, or a new one.
fn persons_seal(
    check: &SealCheck,
    ask: &mut impl FnMut(Which) -> anyhow::Result<Passphrase>,
) -> anyhow::Result<Arc<dyn KeyWrap>> {
    if check.exists()? {
        let passphrase = ask(Which::Old)?;
        ensure!(check.accepts(&passphrase)?, "the passphrase is not the node's");
        return Ok(Arc::new(passphrase));
    }
    let passphrase = ask(Which::New)?;
    check.set(&passphrase)?;
    Ok(Arc::new(passphrase))
}

/// Proves that a backup would work, and writes nothing: the parts open, fit, and combine to the share of the manifest.
///
/// # Errors
/// As [`Backup::recover`].
pub fn drill(backup: &Backup, parts: &[super::sharing::Part]) -> Result<(), BackupError> {
    backup.recover(parts).map(drop)
}
