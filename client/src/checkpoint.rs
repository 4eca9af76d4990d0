//! What was verified of the log before, so that a log that has been cut or rewritten since is noticed.
//!
//! A checkpoint is the size of a verified log and its root. Every later log must begin with it. Where it is kept in a
//! directory, each chain has a file of its own there:
//!
//! ```text
//! quorate log checkpoint 1
//! <chain id, hexadecimal>
//! <entries, decimal>
//! <root, hexadecimal>
//! ```

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use golden_record::merkle::Hash;
use service::files::{Secrecy, write_atomically};
use threshold::ids::ChainId;

use crate::error::Error;

#[cfg(test)]
mod tests;

/// The first line of a file.
const HEADLINE: &str = "quorate log checkpoint 1";
/// A file is not looked at beyond this: a well-formed one has at most 178 bytes.
const MOST_BYTES: u64 = 256;

/// A log that was verified: how long it was, and its Merkle root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many entries it had.
    pub size: u64,
    /// The RFC 6962 root over them.
    pub root: Hash,
}

/// Where checkpoints are kept.
#[derive(Debug)]
pub struct Checkpoints(Kept);

#[derive(Debug)]
enum Kept {
    Memory(Mutex<Option<Checkpoint>>),
    Directory(PathBuf),
}

impl Checkpoints {
    /// In memory: what was verified is forgotten with the client.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(Kept::Memory(Mutex::default()))
    }

    /// In a directory, which is created when there is something to keep.
    #[must_use]
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self(Kept::Directory(directory.into()))
    }

    /// The newest checkpoint of a chain. Blocks.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when there is a file and it is not what was written; [`Error::Io`].
    pub(crate) fn newest(&self, chain_id: &ChainId) -> Result<Option<Checkpoint>, Error> {
        match &self.0 {
            Kept::Memory(newest) => Ok(*newest.lock().unwrap_or_else(PoisonError::into_inner)),
            Kept::Directory(directory) => load(&file(directory, chain_id), chain_id),
        }
    }

    /// Keeps a checkpoint, unless a longer one is kept already. Blocks.
    ///
    /// # Errors
    /// As [`Checkpoints::newest`].
    pub(crate) fn keep(&self, chain_id: &ChainId, new: Checkpoint) -> Result<(), Error> {
        let longer = |old: Option<Checkpoint>| old.is_none_or(|old| new.size > old.size);
        match &self.0 {
            Kept::Memory(newest) => {
                let mut newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
                if longer(*newest) {
                    *newest = Some(new);
                }
                Ok(())
            }
            Kept::Directory(directory) => {
                let path = file(directory, chain_id);
                let _turn = turn(directory)?;
                // Another client may have verified more in the meantime.
                if longer(load(&path, chain_id)?) {
                    write_atomically(&path, new.to_text(chain_id).as_bytes(), Secrecy::Public)
                        .map_err(Error::io(format!("keeping the checkpoint {}", path.display())))?;
                }
                Ok(())
            }
        }
    }
}

impl Checkpoint {
    fn to_text(self, chain_id: &ChainId) -> String {
        let root = hex::encode(self.root);
        format!("{HEADLINE}\n{chain_id}\n{}\n{root}\n", self.size)
    }

    /// Exactly what [`Checkpoint::to_text`] writes, of this chain.
    fn parse(text: &str, chain_id: &ChainId) -> Option<Self> {
        let mut lines = text.lines();
        let (headline, _chain_id) = (lines.next()?, lines.next()?);
        let size = lines.next()?.parse().ok()?;
        let mut root = Hash::default();
        hex::decode_to_slice(lines.next()?, &mut root).ok()?;
        let parsed = Self { size, root };
        (headline == HEADLINE && parsed.to_text(chain_id) == text).then_some(parsed)
    }
}

fn file(directory: &Path, chain_id: &ChainId) -> PathBuf {
    directory.join(format!("{chain_id}.checkpoint"))
}

fn load(path: &Path, chain_id: &ChainId) -> Result<Option<Checkpoint>, Error> {
    use std::io::Read;
    let reading = || Error::io(format!("reading the checkpoint {}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(reading()(error)),
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(reading())?;
    let parsed = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| Checkpoint::parse(text, chain_id));
    match parsed {
        Some(checkpoint) => Ok(Some(checkpoint)),
        None => Err(Error::Checkpoint {
            path: path.to_owned(),
        }),
    }
}

/// The right to write in the directory, until it is dropped: two processes must not overtake each other.
fn turn(directory: &Path) -> Result<File, Error> {
    let doing = || Error::io(format!("keeping a checkpoint in {}", directory.display()));
    std::fs::create_dir_all(directory).map_err(doing())?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join("lock"))
        .map_err(doing())?;
    file.lock().map_err(doing())?;
    Ok(file)
}
