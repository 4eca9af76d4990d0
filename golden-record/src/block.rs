//! Blocks: a header that binds everything, and the entries.

use sha2::{Digest, Sha256};
use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::ids::{BlockHash, ChainId};
use threshold::transcript::{Domain, Transcript};

use crate::codec::{read_version, write_version};
use crate::entry::Entry;
use crate::merkle::Hash;
use crate::state::Changes;

/// No block has more entries, whatever its genesis says; bounds decoding before the genesis is known.
pub(crate) const MAX_ENTRIES: usize = 65_536;

/// What a block's hash covers.
///
/// ```text
/// version (1) ‖ suite (1) ‖ chain id (32) ‖ u64 height ‖ parent (32) ‖ u64 time_ms ‖ u32 entries
///     ‖ body hash (32) ‖ u64 log size ‖ log root (32) ‖ state digest (32)
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The chain.
    pub chain_id: ChainId,
    /// 0 for the genesis block.
    pub height: u64,
    /// The hash of the block before; zeros for the genesis block.
    pub parent: BlockHash,
    /// The proposer's clock in milliseconds since the Unix epoch, never before the parent's.
    pub time_ms: u64,
    /// How many entries the block has.
    pub entries: u32,
    /// `Transcript(BlockBody).append("entries", u32 count ‖ the entries)`.
    pub body_hash: Hash,
    /// How many entries the log has with this block.
    pub log_size: u64,
    /// The RFC 6962 root over all of them.
    pub log_root: Hash,
    /// Binds the state after this block by the digest before it and every change: see `docs/ledger-bytes.md`.
    pub state_digest: Hash,
}

impl Header {
    /// The block's hash: `Transcript(Block).append("header", canonical bytes)`.
    pub fn hash(&self) -> BlockHash {
        BlockHash(
            Transcript::new(Domain::Block)
                .append_object("header", self)
                .digest(),
        )
    }

    /// The index in the log of the block's first entry.
    pub fn first_index(&self) -> u64 {
        self.log_size.saturating_sub(u64::from(self.entries))
    }
}

impl Canonical for Header {
    fn encode(&self, writer: &mut Writer) {
        write_version(writer);
        writer.put(&self.chain_id);
        writer.u64(self.height);
        writer.put(&self.parent);
        writer.u64(self.time_ms);
        writer.u32(self.entries);
        writer.fixed(&self.body_hash);
        writer.u64(self.log_size);
        writer.fixed(&self.log_root);
        writer.fixed(&self.state_digest);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_version(reader, "header")?;
        let header = Self {
            chain_id: reader.get()?,
            height: reader.u64()?,
            parent: reader.get()?,
            time_ms: reader.u64()?,
            entries: reader.u32()?,
            body_hash: reader.fixed()?,
            log_size: reader.u64()?,
            log_root: reader.fixed()?,
            state_digest: reader.fixed()?,
        };
        if u64::from(header.entries) > header.log_size {
            return Err(DecodeError::Invalid("log size"));
        }
        Ok(header)
    }
}

/// Why bytes are not a block. The proposer's, or the sender's, fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockDecodeError {
    /// Not a canonical encoding.
    #[error("malformed block: {0}")]
    Malformed(#[from] DecodeError),
    /// The entries are not those that the header binds, by number or by hash.
    #[error("the entries are not those of the header")]
    Body,
}

/// A header and its entries. Encoded as `header ‖ u32 count ‖ entries`.
///
/// The body matches the header: no other value of this type can be made. What the block says is not checked by
/// that, see [`VerifiedBlock`](crate::VerifiedBlock) and [`verify_block`](crate::verify_block).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    header: Header,
    entries: Vec<Entry>,
}

impl Block {
    /// Joins a header and the entries it was computed from.
    pub(crate) fn assemble(header: Header, entries: Vec<Entry>) -> Self {
        Self { header, entries }
    }

    /// Reads a block that fills `bytes`, and checks that its entries are those the header binds. Whoever accepts
    /// such bytes for a block's hash can therefore be given no others.
    ///
    /// # Errors
    /// [`BlockDecodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BlockDecodeError> {
        let (header, mut body) = open(bytes)?;
        let entries: Vec<Entry> = body.list(MAX_ENTRIES)?;
        body.finish()?;
        Self::counted(header, entries)
    }

    /// Joins a header and entries whose hash has been compared; refuses another number than the header's.
    pub(crate) fn counted(header: Header, entries: Vec<Entry>) -> Result<Self, BlockDecodeError> {
        match u32::try_from(entries.len()) {
            Ok(count) if count == header.entries => Ok(Self { header, entries }),
            _ => Err(BlockDecodeError::Body),
        }
    }

    /// Reads the header of a block and checks that it binds all of `bytes`, without parsing an entry. It costs
    /// a hash; what it accepts may still be no block.
    ///
    /// # Errors
    /// [`BlockDecodeError`].
    pub fn inspect(bytes: &[u8]) -> Result<Header, BlockDecodeError> {
        open(bytes).map(|(header, _)| header)
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.put(&self.header);
        writer.list(&self.entries);
        writer.finish()
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The entries, in the order in which they were executed.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries, by value.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// The block's hash.
    pub fn hash(&self) -> BlockHash {
        self.header.hash()
    }

    /// The entries with their indices in the log.
    pub fn indexed_entries(&self) -> impl Iterator<Item = (u64, &Entry)> {
        (self.header.first_index()..).zip(&self.entries)
    }
}

/// The header, and a reader at the start of the body, which is the one the header binds.
pub(crate) fn open(bytes: &[u8]) -> Result<(Header, Reader<'_>), BlockDecodeError> {
    let mut reader = Reader::new(bytes);
    let header: Header = reader.get()?;
    if hash_body(reader.rest()) == header.body_hash {
        Ok((header, reader))
    } else {
        Err(BlockDecodeError::Body)
    }
}

/// The hash of a body with these entries.
pub(crate) fn body_hash(entries: &[Entry]) -> Hash {
    let mut writer = Writer::new();
    writer.list(entries);
    hash_body(&writer.finish())
}

fn hash_body(bytes: &[u8]) -> Hash {
    Transcript::new(Domain::BlockBody)
        .append("entries", bytes)
        .digest()
}

/// Binds a state by how it came about: the digest before, and every change of the block in the order of the
/// keys, `chain/header` excepted, which holds the result.
///
/// ```text
/// Transcript(State).append("previous", digest before).append("changes", SHA-256 of the changes)
/// changes   per key: u32 length ‖ key ‖ 0x00 (removed), or 0x01 ‖ u32 length ‖ value
/// ```
pub(crate) fn state_digest(previous: &Hash, changes: &Changes) -> Hash {
    let mut hasher = Sha256::new();
    for (key, value) in changes.iter() {
        let mut writer = Writer::new();
        writer.bytes(key);
        crate::codec::write_optional_bytes(&mut writer, value);
        hasher.update(writer.finish());
    }
    let changes: Hash = hasher.finalize().into();
    Transcript::new(Domain::State)
        .append("previous", previous)
        .append("changes", &changes)
        .digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_digest_is_of_all_that_was_before_and_all_that_changed() {
        let changes = |key: &[u8], value: Option<&[u8]>| {
            let mut changes = Changes::new();
            match value {
                Some(value) => changes.put(key.to_vec(), value.to_vec()),
                None => changes.remove(key.to_vec()),
            }
            changes
        };
        let digests = [
            state_digest(&[0; 32], &Changes::new()),
            state_digest(&[1; 32], &Changes::new()),
            state_digest(&[0; 32], &changes(b"a", Some(b"1"))),
            state_digest(&[0; 32], &changes(b"b", Some(b"1"))),
            state_digest(&[0; 32], &changes(b"a", Some(b"2"))),
            state_digest(&[0; 32], &changes(b"a", Some(b""))),
            state_digest(&[0; 32], &changes(b"a", None)),
        ];
        assert_eq!(std::collections::BTreeSet::from(digests).len(), digests.len());
    }
}
