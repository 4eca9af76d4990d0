//! The journal in a node's directory, checked against its mark.

use super::{Activated, Disk, Entry, Expected, Journal, MarkFile};
use crate::config::Config;
use anyhow::Context;
use service::Identity;
use std::time::Duration;

/// The journal of a node, where it is marked, and which keys it saw come into use.
pub struct Own {
    /// The journal, checked.
    pub journal: Journal,
    /// Its mark, not yet renewed.
    pub marks: MarkFile,
    /// Which keys came into use.
    pub activated: Activated,
}

/// Opens the journal of the node with this configuration, or begins one, and shows each entry to `visit`.
///
/// # Errors
/// The file system's; another process has the journal; anything but what [`Journal::open`] and the mark want.
pub fn open(
    config: &Config,
    identity: &Identity,
    mut visit: impl FnMut(&Entry),
    synced: impl Fn(Duration) + Send + 'static,
) -> anyhow::Result<Own> {
    let path = config.directory.join("journal");
    let disk = Disk::open(&path).with_context(|| format!("journal {}", path.display()))?;
    let marks = MarkFile::open(config.journal.mark_path(&config.directory), identity.clone())?;
    let expected = Expected {
        mark: marks.stored().copied(),
        accepted: config.journal.accepted.clone(),
    };
    let mut activated = Activated::default();
    let see = |entry: &Entry, _: &[u8; 32]| {
        activated.see(entry);
        visit(entry);
    };
    let journal = Journal::open(disk, &identity.public_key(), Some(&expected), see, synced)?;
    Ok(Own {
        journal,
        marks,
        activated,
    })
}
