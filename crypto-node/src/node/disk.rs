//! What a node has on disk: read, and checked against each other, before anything of it counts.

use crate::authorise::Clock;
use crate::ceremony::driver::load_share;
use crate::ceremony::machine::Memory as Remembered;
use crate::ceremony::record::Record;
use crate::config::Config;
use crate::journal::{Activated, Entry, Event, Journal, MarkFile, Release, Step, opening};
use crate::memory::{Memory, Use};
use crate::metrics::Metrics;
use crate::seals::{self, Seals};
use crate::settings::Settings;
use crate::share::{Guard, ShareFiles};
use crate::store::Store;
use anyhow::{Context, ensure};
use service::{Identity, KeyWrap};
use std::collections::BTreeMap;
use std::sync::Arc;
use threshold::encoding::Canonical;
use threshold::ids::CeremonyId;
use threshold::signature::PublicKey;

#[cfg(test)]
mod tests;

/// What is on disk, checked.
pub(super) struct Opened {
    pub(super) settings: Settings,
    pub(super) identity: Identity,
    pub(super) journal: Journal,
    pub(super) memory: Memory,
    pub(super) metrics: Metrics,
    pub(super) store: Store,
    pub(super) shares: ShareFiles,
    pub(super) remembered: Remembered,
    pub(super) before: Option<Arc<Guard>>,
}

/// What opens without a person.
pub(super) struct Unlocked {
    pub(super) settings: Settings,
    pub(super) identity: Identity,
    /// The shares' seal, unless a person brings it.
    pub(super) share_seal: Option<Arc<dyn KeyWrap>>,
}

/// Opens the identity, and checks the configuration against it. Blocks.
pub(super) fn unlock(config: &Config) -> anyhow::Result<Unlocked> {
    let seals = Seals::open(config)?;
    let identity =
        Identity::load(&seals::identity_file(config), seals.identity.as_ref()).context("identity")?;
    Ok(Unlocked {
        settings: Settings::check(config, &identity.public_key())?,
        identity,
        share_seal: seals.share,
    })
}

/// Opens journal, store and shares, and checks that they are of one time. Blocks.
pub(super) fn open(
    config: &Config,
    settings: Settings,
    identity: Identity,
    share_seal: Arc<dyn KeyWrap>,
    clock: &Clock,
    metrics: Metrics,
) -> anyhow::Result<(Opened, MarkFile)> {
    let share_directory = seals::share_directory(config);
    std::fs::create_dir_all(&share_directory)
        .with_context(|| format!("directory: cannot create {}", share_directory.display()))?;
    let shares = ShareFiles::new(share_directory, share_seal, identity.public_key());
    let OpenJournal {
        journal,
        marks,
        memory,
        activated,
    } = open_journal(config, &identity, clock, &metrics)?;
    let store = Store::open(&config.directory.join("ceremonies.redb"))?;
    let me = PublicKey::of(identity.signing_key());
    let mut remembered = remember(&store, &me)?;
    take_back(&journal, &activated, &remembered, clock)?;
    if let Some(active) = &remembered.active {
        remembered.key = open_key(active, &shares, &settings, &me)?.map(Arc::new);
    }
    let before = open_before(&store, &shares, &remembered, &me)?.map(Arc::new);
    remembered.serves_old = store.before()?.is_some();
    let opened = Opened {
        settings,
        identity,
        journal,
        memory,
        metrics,
        store,
        shares,
        remembered,
        before,
    };
    Ok((opened, marks))
}

/// The journal, where it is marked, the memory that it gives, and the ceremonies whose keys it saw come into use.
struct OpenJournal {
    journal: Journal,
    marks: MarkFile,
    memory: Memory,
    activated: Activated,
}

fn open_journal(
    config: &Config,
    identity: &Identity,
    clock: &Clock,
    metrics: &Metrics,
) -> anyhow::Result<OpenJournal> {
    let mut memory = Memory::new(clock());
    let synced = metrics.clone();
    let remember = |entry: &Entry| {
        if let Event::Release(release) = entry.event {
            let Release {
                approve_id,
                write_id,
                q,
                expires_ms,
                ..
            } = release;
            memory.remember(&Use {
                approve_id,
                write_id,
                q,
                expires_ms,
            });
        }
    };
    let opening::Own {
        journal,
        mut marks,
        activated,
    } = opening::open(config, identity, remember, move |took| synced.synced(took))?;
    // From here on there is a mark, so that a journal without one is known to have lost it.
    marks
        .store(journal.durable().context("journal: it has failed already")?)
        .context("journal mark: cannot be written")?;
    // Nobody waits for it: the next release makes it durable.
    let _ = journal.append(clock(), Event::Started)?;
    Ok(OpenJournal {
        journal,
        marks,
        memory,
        activated,
    })
}

/// What the ceremony store knows. The key in use is opened later.
fn remember(store: &Store, me: &PublicKey) -> anyhow::Result<Remembered> {
    let record = row(store.newest()?)?;
    let refused = store.refused()?.into_iter().map(|(id, by)| {
        let by = PublicKey::from_bytes(&by).context("ceremonies.redb: who was refused")?;
        Ok((id, by))
    });
    let refused: BTreeMap<_, _> = refused.collect::<anyhow::Result<_>>()?;
    let (mut past, mut waiting) = (store.past()?, Vec::new());
    past.extend(refused.keys());
    let newest = record.as_ref().map(|record| record.plan.id());
    store.each(|id, bytes| {
        past.insert(id);
        let known = decode((id, bytes))?;
        waiting.extend(Some(known).filter(|known| known.waits(me) && Some(id) != newest));
        anyhow::Ok(())
    })?;
    Ok(Remembered {
        record,
        doubt: row(store.doubt()?)?,
        active: row(store.active()?)?,
        past,
        key: None,
        serves_old: false,
        waiting,
        refused,
    })
}

fn row(row: Option<(CeremonyId, Vec<u8>)>) -> anyhow::Result<Option<Record>> {
    row.map(|(id, bytes)| decode((id, &bytes))).transpose()
}

fn decode((id, bytes): (CeremonyId, &[u8])) -> anyhow::Result<Record> {
    Record::from_bytes(bytes)
        .with_context(|| format!("ceremonies.redb: the record of ceremony {id} does not decode"))
}

/// Checks that journal and store are of one time, and takes back what the journal says of a key that was not in use yet when
/// the node stopped. That is durable before the ceremony goes on: it may end without a key, and be forgotten.
fn take_back(
    journal: &Journal,
    activated: &Activated,
    remembered: &Remembered,
    clock: &Clock,
) -> anyhow::Result<()> {
    if let Some(ceremony) = activated.unfinished(&remembered.stored())? {
        let event = Event::Ceremony {
            ceremony,
            step: Step::Withdrawn,
            detail: "the node stopped before the key was in use".to_owned(),
        };
        let ticket = journal.append(clock(), event)?;
        futures::executor::block_on(ticket.durable())?;
    }
    Ok(())
}

/// The share in use, if this node is a member of the newest epoch: the manifest signed by all, the members known, the
/// share its own.
fn open_key(
    active: &Record,
    shares: &ShareFiles,
    settings: &Settings,
    me: &PublicKey,
) -> anyhow::Result<Option<Guard>> {
    let id = active.plan.id();
    let signed = active
        .signed_manifest()
        .with_context(|| format!("ceremonies.redb: the manifest of {id} is not signed by all"))?;
    if signed.manifest.member_by_identity(me).is_none() {
        return Ok(None);
    }
    for member in signed.manifest.members() {
        let known = settings.seats.iter().any(|seat| seat.identity == member.identity);
        ensure!(
            known,
            "members: {} holds a share of the key in use and is not among them; another committee takes a re-sharing, not a \
             configuration",
            member.name
        );
    }
    Ok(Some(load_share(shares, id, signed, me)?))
}

/// The share of the epoch before. If there is none, or the newest has ended it, whatever other share is still there is destroyed:
/// the node stopped while it did that. One that cannot be read is said and not waited for: the newest serves without it.
fn open_before(
    store: &Store,
    shares: &ShareFiles,
    remembered: &Remembered,
    me: &PublicKey,
) -> anyhow::Result<Option<Guard>> {
    let before = row(store.before()?)?;
    let active = remembered.active.as_ref();
    if active.is_some_and(|active| before.is_none() || active.ends_epoch_before()) {
        let stored = remembered.stored();
        let kept = [stored.active].into_iter().chain(stored.others).flatten();
        shares.keep_only(&kept.collect::<Vec<_>>())?;
        store.retire()?;
        return Ok(None);
    }
    let Some((id, signed)) = before.and_then(|record| Some((record.plan.id(), record.signed_manifest()?)))
    else {
        return Ok(None);
    };
    match shares.is_there(id)? {
        true => Ok(load_share(shares, id, signed, me)
            .inspect_err(|error| tracing::warn!(%error, "the share of the epoch before cannot be read"))
            .ok()),
        false => {
            store.retire()?;
            Ok(None)
        }
    }
}
