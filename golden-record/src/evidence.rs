//! Finality evidence: the votes of a quorum, checked without the consensus engine.
//!
//! Each vote is an Ed25519 signature of a validator over [`finalize_message`]:
//!
//! ```text
//! varint(62) ‖ "QUORATE_CONSENSUS_V1_" ‖ chain id (32) ‖ "_FINALIZE"
//!     ‖ varint(epoch) ‖ varint(view) ‖ varint(parent view) ‖ block hash (32)
//! ```
//!
//! with `varint` the unsigned LEB128 of Protocol Buffers in its shortest form. The validators are ordered by the bytes
//! of their public keys, ascending; a signature's index is its signer's place in that order, from 0.
//!
//! A vote is checked by the engine's own equation (ZIP 215: with the cofactor), so that whatever made a block
//! final also proves it: a strict verifier could be denied evidence by one dishonest validator. This is as
//! sound as the strict equation here, because the validators' keys are free of torsion.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest, Sha512};
use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::ids::{BlockHash, ChainId};
use threshold::signature::{PublicKey, Signature};

use crate::block::Header;
use crate::codec::{read_version, write_version};
use crate::endorsers::Endorsers;

/// Before the chain id in what validators sign.
const NAMESPACE_PREFIX: &[u8] = b"QUORATE_CONSENSUS_V1_";
/// After the chain id in what validators sign to finalize.
const NAMESPACE_SUFFIX: &[u8] = b"_FINALIZE";
/// The most signatures.
const MAX_SIGNATURES: usize = 64;

/// Why votes do not make a block final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Fewer votes than the quorum.
    #[error("{given} votes, and {needed} are needed")]
    TooFew {
        /// How many there are.
        given: usize,
        /// How many there must be.
        needed: usize,
    },
    /// The indices do not strictly ascend: somebody would be counted twice.
    #[error("validator {0} is counted twice or out of order")]
    NotAscending(u16),
    /// There is no validator with this index.
    #[error("there is no validator {0}")]
    UnknownValidator(u16),
    /// A signature does not verify.
    #[error("the vote of validator {0} does not verify")]
    Signature(u16),
    /// Nobody has shown who the epoch's validators are.
    #[error("the validators of epoch {0} are not known")]
    UnknownEpoch(u64),
    /// The validators of the epoch do not decide on blocks of this height.
    #[error("block {height} is not of epoch {epoch}, whose validators have voted for it")]
    OtherEpoch {
        /// The epoch of the votes.
        epoch: u64,
        /// The height of the block.
        height: u64,
    },
}

/// The votes that made a block final, or a later block, which makes all before it final too.
///
/// Encoded as `version (1) ‖ suite (1) ‖ u64 epoch ‖ u64 view ‖ u64 parent view ‖ payload (32) ‖ u32 count`, then for
/// each vote `u16 index ‖ signature (64)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalityEvidence {
    /// Which set of validators; 0 is that of the genesis.
    pub epoch: u64,
    /// The round in which the block was proposed.
    pub view: u64,
    /// The round in which its parent was proposed.
    pub parent_view: u64,
    /// The block's hash.
    pub payload: [u8; 32],
    /// Each voter's index and signature, by ascending index.
    pub signatures: Vec<(u16, Signature)>,
}

impl FinalityEvidence {
    /// The block that the votes are for.
    pub fn block_hash(&self) -> BlockHash {
        BlockHash(self.payload)
    }

    /// Checks that a quorum of the epoch's validators, each counted once, has voted for the block. That a block of its
    /// height is theirs to decide on is for [`FinalityEvidence::verify_header`].
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn verify(&self, endorsers: &dyn Endorsers) -> Result<(), EvidenceError> {
        let set = endorsers.of_epoch(self.epoch);
        let set = set.ok_or(EvidenceError::UnknownEpoch(self.epoch))?;
        let (needed, given) = (set.needed(), self.signatures.len());
        if given < needed {
            return Err(EvidenceError::TooFew { given, needed });
        }
        self.check_ascending()?;
        let message = self.message(&endorsers.genesis().chain_id());
        for (index, signature) in &self.signatures {
            let (_, validator) = set
                .members()
                .get(usize::from(*index))
                .ok_or(EvidenceError::UnknownValidator(*index))?;
            if !verify_vote(validator, &message, signature) {
                return Err(EvidenceError::Signature(*index));
            }
        }
        Ok(())
    }

    /// Checks the votes, and that the validators of this epoch decide on blocks of the header's height. Whether the votes are
    /// for this header the caller compares.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn verify_header(&self, endorsers: &dyn Endorsers, header: &Header) -> Result<(), EvidenceError> {
        self.verify(endorsers)?;
        if endorsers.is_in(self.epoch, header.height) {
            Ok(())
        } else {
            Err(EvidenceError::OtherEpoch {
                epoch: self.epoch,
                height: header.height,
            })
        }
    }

    fn check_ascending(&self) -> Result<(), EvidenceError> {
        let mut previous = None;
        for (index, _) in &self.signatures {
            if previous.is_some_and(|previous| previous >= *index) {
                return Err(EvidenceError::NotAscending(*index));
            }
            previous = Some(*index);
        }
        Ok(())
    }

    fn message(&self, chain_id: &ChainId) -> Vec<u8> {
        finalize_message(chain_id, self.epoch, self.view, self.parent_view, &self.payload)
    }
}

/// The bytes that a validator signs to make a block final.
pub fn finalize_message(
    chain_id: &ChainId,
    epoch: u64,
    view: u64,
    parent_view: u64,
    payload: &[u8; 32],
) -> Vec<u8> {
    let namespace = [NAMESPACE_PREFIX, chain_id.as_bytes(), NAMESPACE_SUFFIX].concat();
    let mut message = Vec::with_capacity(128);
    put_varint(&mut message, u64::try_from(namespace.len()).unwrap_or(u64::MAX));
    message.extend_from_slice(&namespace);
    put_varint(&mut message, epoch);
    put_varint(&mut message, view);
    put_varint(&mut message, parent_view);
    message.extend_from_slice(payload);
    message
}

/// Unsigned LEB128: seven bits a byte, the lowest first, the top bit set on all but the last byte.
fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(0x80 | u8::try_from(value & 0x7f).unwrap_or_default());
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap_or_default());
}

/// ZIP 215: `[8][s]B = [8]R + [8][k]A`, with s canonical, R any encoding of a point and `k = SHA-512(R ‖ A ‖ M)`.
fn verify_vote(validator: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let Some((r_bytes, s_bytes)) = signature.0.split_first_chunk::<32>() else {
        return false;
    };
    let Some(s) = <[u8; 32]>::try_from(s_bytes)
        .ok()
        .and_then(|s| Scalar::from_canonical_bytes(s).into())
    else {
        return false;
    };
    let Some(r) = CompressedEdwardsY(*r_bytes).decompress() else {
        return false;
    };
    let k = Scalar::from_hash(
        Sha512::new()
            .chain_update(r_bytes)
            .chain_update(validator.as_bytes())
            .chain_update(message),
    );
    let minus_a = -*validator.to_point().as_edwards();
    let expected_r = EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, &minus_a, &s);
    (expected_r - r).mul_by_cofactor().is_identity()
}

impl Canonical for FinalityEvidence {
    fn encode(&self, writer: &mut Writer) {
        write_version(writer);
        writer.u64(self.epoch);
        writer.u64(self.view);
        writer.u64(self.parent_view);
        writer.fixed(&self.payload);
        writer.count(self.signatures.len());
        for (index, signature) in &self.signatures {
            writer.u16(*index);
            writer.put(signature);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_version(reader, "finality evidence")?;
        let (epoch, view, parent_view) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let payload = reader.fixed()?;
        let count = reader.count(MAX_SIGNATURES)?;
        let signatures = (0..count)
            .map(|_| Ok((reader.u16()?, reader.get()?)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            epoch,
            view,
            parent_view,
            payload,
            signatures,
        })
    }
}
