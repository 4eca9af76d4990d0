//! What is remembered of a mirror outside of it, so that a mirror that is rewritten as a whole is noticed.
//!
//! ```text
//! quorate mirror kept 1
//! <chain id, hexadecimal>
//! <lines, decimal>
//! <hash of the last line, hexadecimal>
//! ```
//!
//! The file's name is the SHA-256 of the mirror's absolute path, in hexadecimal, and `.mirror`.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use golden_record::merkle::Hash;
use service::files::{Secrecy, write_atomically};
use sha2::{Digest, Sha256};
use threshold::ids::ChainId;

use crate::error::Error;

const HEADLINE: &str = "quorate mirror kept 1";
/// A file is not looked at beyond this: a well-formed one has at most 173 bytes.
const MOST_BYTES: u64 = 256;

/// How many lines a mirror had, and the hash of the last one, which binds all of them with their heights and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) size: u64,
    pub(super) last_hash: Hash,
}

impl Kept {
    pub(super) fn load(path: &Path, chain_id: &ChainId) -> Result<Option<Self>, Error> {
        let reading = || Error::io(format!("reading {}", path.display()));
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(reading()(error)),
        };
        let mut text = String::new();
        file.take(MOST_BYTES)
            .read_to_string(&mut text)
            .map_err(reading())?;
        let kept = Self::parse(&text, chain_id);
        // As for the checkpoint of the log: what cannot be read is not taken for a first look.
        kept.map(Some).ok_or_else(|| Error::Checkpoint {
            path: path.to_owned(),
        })
    }

    pub(super) fn store(self, path: &Path, chain_id: &ChainId) -> Result<(), Error> {
        let writing = || Error::io(format!("writing {}", path.display()));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(writing())?;
        }
        write_atomically(path, self.to_text(chain_id).as_bytes(), Secrecy::Public).map_err(writing())
    }

    fn to_text(self, chain_id: &ChainId) -> String {
        let hash = hex::encode(self.last_hash);
        format!("{HEADLINE}\n{chain_id}\n{}\n{hash}\n", self.size)
    }

    fn parse(text: &str, chain_id: &ChainId) -> Option<Self> {
        let mut lines = text.lines().skip(2);
        let size = lines.next()?.parse().ok()?;
        let mut last_hash = Hash::default();
        hex::decode_to_slice(lines.next()?, &mut last_hash).ok()?;
        let parsed = Self { size, last_hash };
        (parsed.to_text(chain_id) == text).then_some(parsed)
    }
}

/// Where in a folder what is remembered of the mirror in a directory is kept.
pub(super) fn file(folder: &Path, mirror: &Path) -> PathBuf {
    let absolute = std::path::absolute(mirror).unwrap_or_else(|_| mirror.to_owned());
    // Without a slash at the end.
    let path: PathBuf = absolute.components().collect();
    let name = hex::encode(Sha256::digest(path.as_os_str().as_encoded_bytes()));
    folder.join(format!("{name}.mirror"))
}
