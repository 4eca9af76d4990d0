//! A block as the engine sees it: opaque bytes, and their place in the chain.

use std::sync::Arc;

use commonware_codec::{Buf, EncodeSize, Error, RangeCfg, Read, Write};
use commonware_consensus::{Block as ConsensusBlock, BoundedBlock, Heightable, types::Height};
use commonware_cryptography::{Digested, Digestible, sha256::Digest};
use commonware_runtime::BufMut;

use crate::{
    application::{BlockBytes, BlockMeta},
    config::Inspect,
};

/// What bytes must pass to become a [`Block`]: the codec's configuration.
#[derive(Clone, Copy)]
pub(crate) struct Admission {
    pub(crate) inspect: Inspect,
    pub(crate) max_bytes: usize,
}

impl Admission {
    /// The one way from bytes to a block.
    pub(crate) fn admit(&self, bytes: BlockBytes) -> Option<Block> {
        if bytes.is_empty() || bytes.len() > self.max_bytes {
            return None;
        }
        let meta = (self.inspect)(&bytes)?;
        Some(Block { bytes, meta })
    }
}

/// A block whose bytes `inspect` has accepted.
///
/// On the wire and on disk: the length as a varint, then the bytes.
#[derive(Clone)]
pub(crate) struct Block {
    bytes: BlockBytes,
    meta: BlockMeta,
}

impl Block {
    pub(crate) fn bytes(&self) -> BlockBytes {
        Arc::clone(&self.bytes)
    }

    /// Pairs the block with the digest that `inspect` read, so that nobody computes it again.
    pub(crate) fn digested(self) -> Digested<Self> {
        let digest = self.digest();
        Digested::precomputed(self, digest)
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block")
            .field("height", &self.meta.height)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

impl Write for Block {
    fn write(&self, buf: &mut impl BufMut) {
        self.bytes.len().write(buf);
        buf.put_slice(&self.bytes);
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        self.bytes.len().encode_size() + self.bytes.len()
    }
}

impl Read for Block {
    type Cfg = Admission;

    fn read_cfg(buf: &mut impl Buf, admission: &Admission) -> Result<Self, Error> {
        // The length is checked before anything is allocated for it.
        let length = usize::read_cfg(buf, &RangeCfg::new(1..=admission.max_bytes))?;
        if buf.remaining() < length {
            return Err(Error::EndOfBuffer);
        }
        let mut bytes = vec![0; length];
        buf.copy_to_slice(&mut bytes);
        admission
            .admit(bytes.into())
            .ok_or(Error::Invalid("Block", "refused by the application"))
    }
}

impl Digestible for Block {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        Digest(self.meta.digest)
    }
}

impl Heightable for Block {
    fn height(&self) -> Height {
        Height::new(self.meta.height)
    }
}

impl ConsensusBlock for Block {
    fn parent(&self) -> Digest {
        Digest(self.meta.parent)
    }
}

impl BoundedBlock for Block {
    fn max_encode_size(admission: &Admission) -> usize {
        admission.max_bytes.encode_size() + admission.max_bytes
    }
}

#[cfg(test)]
mod tests {
    use commonware_codec::{Decode as _, Encode as _};

    use super::*;

    /// One byte of height, then anything; the digest is made of the length and the first byte.
    fn inspect(bytes: &[u8]) -> Option<BlockMeta> {
        let height = u64::from(*bytes.first()?);
        (height != 255).then_some(BlockMeta {
            digest: [bytes[0]; 32],
            parent: [0; 32],
            height,
        })
    }

    const ADMISSION: Admission = Admission {
        inspect,
        max_bytes: 300,
    };

    fn encoded(length: usize, first: u8) -> Vec<u8> {
        let mut bytes = vec![first; length];
        bytes[0] = first;
        let mut out = Vec::new();
        length.write(&mut out);
        out.extend(bytes);
        out
    }

    #[test]
    fn a_block_survives_its_encoding() {
        for length in [1, 127, 128, 300] {
            let bytes = encoded(length, 7);
            let block = Block::decode_cfg(bytes.clone(), &ADMISSION).unwrap();
            assert_eq!(block.height(), Height::new(7));
            assert_eq!(block.encode().to_vec(), bytes);
        }
    }

    #[test]
    fn bytes_that_inspect_refuses_are_no_block() {
        assert!(Block::decode_cfg(encoded(10, 254), &ADMISSION).is_ok());
        assert!(Block::decode_cfg(encoded(10, 255), &ADMISSION).is_err());
    }

    #[test]
    fn empty_oversized_short_and_trailing_bytes_are_no_block() {
        assert!(Block::decode_cfg(vec![0], &ADMISSION).is_err());
        assert!(Block::decode_cfg(encoded(301, 7), &ADMISSION).is_err());
        let mut bytes = encoded(10, 7);
        bytes.pop();
        assert!(Block::decode_cfg(bytes, &ADMISSION).is_err());
        let mut bytes = encoded(10, 7);
        bytes.push(0);
        assert!(Block::decode_cfg(bytes, &ADMISSION).is_err());
        // A length in more bytes than it needs would be a second encoding of the same block.
        let mut bytes = encoded(10, 7);
        bytes.splice(0..1, [0x8a, 0x00]);
        assert!(Block::decode_cfg(bytes, &ADMISSION).is_err());
    }
}
