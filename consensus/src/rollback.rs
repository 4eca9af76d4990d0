//! Whether what is on the disk belongs together: an old copy of a part of it is noticed at the start (attack E9).
//!
//! A validator makes things durable in this order: its votes and the certificates it sees, in the record of votes; then a
//! final block, in the archives; then the same block, in the application. So whatever was killed at whatever time,
//!
//! - the archives hold the newest block of the application, and
//! - the record of votes reaches the view of the newest certificate in the archives.
//!
//! Where one of these is not so, the later part was kept and the earlier one was replaced by an old copy, with which this
//! validator could vote a second time in views that it has voted in. An application that is behind the
//! archives is only given its blocks again.
//!
//! Whoever catches up over the end of an epoch gets the votes for its last block before it has seen any of its views, and notes
//! that height first; when the newest certificate is of exactly that block, then, the views are not compared. Whoever told the
//! height may have lied: that excuses no other certificate.
//!
//! What this cannot notice: a copy in which all parts are of the same age, which looks like having been away; and
//! votes cut off the record that were cast after its newest certificate.

use commonware_consensus::types::Round;
use commonware_storage::archive::{Archive as _, Identifier};

use crate::{
    application::Application,
    error::Error,
    standing::MARGIN,
    store::Archives,
    validator::{Ended, Runtime, unusable},
};

/// Refuses a disk with an old part. The votes are those of an epoch, and views are counted in each. Without votes nothing can be
/// voted twice: then only a chain that is another is refused.
pub(crate) async fn check<E: Runtime>(
    context: &E,
    votes: &str,
    archives: &Archives<E>,
    application: &dyn Application,
    has_voted: bool,
    epoch: u64,
    over: &Ended<E>,
) -> Result<(), Error> {
    let height = application.applied_height();
    if height > 0 {
        match digest(archives, height).await? {
            Some(digest) if application.digest(height) == Some(digest) => {}
            Some(_) => {
                return Err(Error::RolledBack(format!(
                    "the consensus directory and the application hold different blocks at height {height}"
                )));
            }
            None if has_voted => {
                return Err(Error::RolledBack(format!(
                    "the application has block {height}, and the consensus directory does not"
                )));
            }
            None => {}
        }
    }
    if has_voted
        && let Some(newest) = archives.certificates.last_index()
        && !over.is(epoch, newest)
        && let Some(certified) = certified(archives, newest).await?
        && certified.epoch().get() == epoch
        && let certified = certified.view()
        && newest_view(context, votes).await? < certified.get()
    {
        return Err(Error::RolledBack(format!(
            "the consensus directory has a final block of view {certified}, and its record of votes ends before"
        )));
    }
    Ok(())
}

/// The hash of the block that the archives hold at this height.
pub(crate) async fn digest<E: Runtime>(
    archives: &Archives<E>,
    height: u64,
) -> Result<Option<[u8; 32]>, Error> {
    use commonware_cryptography::Digestible as _;
    let block = archives.blocks.get(Identifier::Index(height)).await;
    Ok(block.map_err(unusable)?.map(|block| block.digest().0))
}

/// Whether the record of votes of an epoch reaches its end: whether this validator was there for the votes for its last block, a
/// few views more or less.
pub(crate) async fn was_there<E: Runtime>(
    context: &E,
    votes: &str,
    archives: &Archives<E>,
    last: u64,
) -> Result<bool, Error> {
    let Some(certified) = certified(archives, last).await? else {
        return Ok(false);
    };
    let newest = newest_view(context, votes).await?;
    Ok(newest.saturating_add(MARGIN) >= certified.view().get())
}

/// The epoch and the view of the certificate that the archives hold for this height.
async fn certified<E: Runtime>(archives: &Archives<E>, height: u64) -> Result<Option<Round>, Error> {
    let certificate = archives.certificates.get(Identifier::Index(height)).await;
    Ok(certificate
        .map_err(unusable)?
        .map(|certificate| certificate.round()))
}

/// The newest view with anything in the record of votes, which has one file for each; 0 when it is empty.
async fn newest_view<E: Runtime>(context: &E, votes: &str) -> Result<u64, Error> {
    let names = match context.scan(votes).await {
        Ok(names) => names,
        Err(commonware_runtime::Error::PartitionMissing(_)) => Vec::new(),
        Err(error) => return Err(unusable(error)),
    };
    let views = names
        .iter()
        .filter_map(|name| Some(u64::from_be_bytes(name.as_slice().try_into().ok()?)));
    Ok(views.max().unwrap_or(0))
}
