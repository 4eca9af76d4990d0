//! How far the journal was durable at some time: what shows that it was cut between two records, or replaced by an
//! older copy of itself.
//!
//! ```text
//! mark  u8 version (1) ‖ u64 entries ‖ head (32) ‖ signature (64)
//! ```
//!
//! The signature is the node's identity key's over what precedes it (domain journal). The file is written now and
//! then and when the node stops, so that what was recorded since the newest mark, and a mark that was put back
//! together with the journal, go unnoticed here. Keeping the mark on another disk makes the second one less likely.

#[cfg(test)]
mod tests;

use super::JournalError;
use ed25519_dalek::SigningKey;
use service::Identity;
use service::files::{Secrecy, write_atomically};
use std::io;
use std::path::PathBuf;
use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::signature::{PublicKey, Signature, sign};
use threshold::transcript::Domain;

const VERSION: u8 = 1;

/// So many entries, and the hash of the chain with the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The number of entries.
    pub entries: u64,
    /// The hash of the newest.
    pub head: [u8; 32],
}

/// What a journal is expected to hold.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Where it was marked. Without a mark only an empty journal is as expected.
    pub mark: Option<Mark>,
    /// Hash of the newest entry of the journal that is taken whatever was marked, hexadecimal.
    pub accepted: Option<String>,
}

impl Expected {
    /// Whether the operator accepts the journal that has this as its newest entry.
    pub(super) fn accepts(&self, head: &[u8; 32]) -> bool {
        self.accepted.as_ref() == Some(&hex::encode(head))
    }

    /// Checks a journal with so many entries and this newest hash, which had `at_mark` where it was marked. What the operator accepts
    /// is for a journal that would otherwise not be taken: left in the configuration it would one day take an old copy.
    pub(super) fn check(
        &self,
        entries: u64,
        head: &[u8; 32],
        at_mark: Option<&[u8; 32]>,
    ) -> Result<(), JournalError> {
        let unneeded = || match &self.accepted {
            Some(_) => Err(JournalError::Unneeded),
            None => Ok(()),
        };
        let what = match (self.mark, at_mark) {
            (None, _) if entries == 0 => return unneeded(),
            (None, _) => "it has entries, and its mark is missing".to_owned(),
            (Some(mark), Some(found)) if mark.head == *found => return unneeded(),
            _ if self.accepts(head) => return Ok(()),
            (Some(_), Some(_)) => "its entries are not those that were marked".to_owned(),
            (Some(mark), None) => {
                format!(
                    "it has {entries} entries, and had {} when it was marked",
                    mark.entries
                )
            }
        };
        Err(JournalError::SetBack { what, head: *head })
    }
}

struct SignedMark {
    mark: Mark,
    signature: Signature,
}

impl Mark {
    fn signed_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(VERSION);
        writer.u64(self.entries);
        writer.fixed(&self.head);
        writer.finish()
    }

    fn sign(self, key: &SigningKey) -> SignedMark {
        let signature = sign(key, Domain::Journal, &self.signed_bytes());
        SignedMark {
            mark: self,
            signature,
        }
    }
}

impl Canonical for SignedMark {
    fn encode(&self, writer: &mut Writer) {
        writer.fixed(&self.mark.signed_bytes());
        writer.put(&self.signature);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION {
            return Err(DecodeError::UnknownVersion("journal mark"));
        }
        let mark = Mark {
            entries: reader.u64()?,
            head: reader.fixed()?,
        };
        let signature = reader.get()?;
        Ok(Self { mark, signature })
    }
}

/// The file that holds the newest mark.
#[derive(Debug)]
pub struct MarkFile {
    path: PathBuf,
    identity: Identity,
    stored: Option<Mark>,
}

impl MarkFile {
    /// Reads the mark of the node with this identity, if there is one.
    ///
    /// # Errors
    /// The file system's, or [`JournalError::Mark`] when the file is not a mark of this node.
    pub fn open(path: PathBuf, identity: Identity) -> Result<Self, JournalError> {
        let stored = match std::fs::read(&path) {
            Ok(bytes) => Some(read(&bytes, &identity.public_key())?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            path,
            identity,
            stored,
        })
    }

    /// The mark in the file.
    #[must_use]
    pub const fn stored(&self) -> Option<&Mark> {
        self.stored.as_ref()
    }

    /// Replaces the mark in the file, if it is another. Blocks.
    ///
    /// # Errors
    /// The file system's.
    pub fn store(&mut self, mark: Mark) -> io::Result<()> {
        if self.stored != Some(mark) {
            let bytes = mark.sign(self.identity.signing_key()).to_bytes();
            write_atomically(&self.path, &bytes, Secrecy::Secret)?;
            self.stored = Some(mark);
        }
        Ok(())
    }
}

fn read(bytes: &[u8], identity: &[u8; 32]) -> Result<Mark, JournalError> {
    let signed = SignedMark::from_bytes(bytes)
        .map_err(|_| JournalError::Mark("the file is not the encoding of one"))?;
    PublicKey::from_bytes(identity)
        .ok()
        .filter(|key| {
            key.verify(Domain::Journal, &signed.mark.signed_bytes(), &signed.signature)
                .is_ok()
        })
        .map(|_| signed.mark)
        .ok_or(JournalError::Mark("it is not signed by this node"))
}
