//! Finality evidence: the votes that make a block final, checkable without this crate.
//!
//! # What a validator signs to finalize a block
//!
//! A plain RFC 8032 Ed25519 signature (no prehash, no context), with the validator's own key, over
//!
//! ```text
//! varint(len(ns)) ‖ ns ‖ varint(epoch) ‖ varint(view) ‖ varint(parent_view) ‖ payload
//!
//! ns          = "QUORATE_CONSENSUS_V1_" ‖ namespace ‖ "_FINALIZE"     (ASCII, no terminator)
//! namespace   = Config::namespace, the chain id: its 32 raw bytes
//! epoch       = Evidence::epoch         which validator set; 0 for the first
//! view        = Evidence::view          the view in which this block was proposed, from 1
//! parent_view = Evidence::parent_view   the view in which its parent was proposed; 0 for the genesis
//! payload     = Evidence::payload       the block's hash, 32 bytes, without a length
//! ```
//!
//! `varint` is the unsigned LEB128 of Protocol Buffers: seven bits a byte, the lowest first, the top bit set
//! on all but the last byte, in the fewest bytes (0 is `00`, 127 is `7f`, 128 is `80 01`, 300 is `ac 02`). With a
//! chain id of 32 bytes, `ns` has 21 + 32 + 9 = 62 bytes, so the message begins with `3e`, and is 98 bytes long
//! while all three numbers are below 128.
//!
//! Example: chain id 32 times `aa`, epoch 0, view 300, parent view 299, block hash 32 times `cc`:
//!
//! ```text
//! 3e 51554f524154455f434f4e53454e5355535f56315f aa..aa 5f46494e414c495a45 00 ac02 ab02 cc..cc
//! ```
//!
//! # What makes evidence valid
//!
//! - The validators of the epoch are ordered by the bytes of their 32-byte public keys, ascending, as unsigned
//!   bytes from the first to the last. A signature's index is its signer's place in that order, from 0.
//! - Indices strictly ascend, each below n, so that nobody counts twice.
//! - There are at least `n - floor((n - 1) / 3)` signatures (3 of 4, 5 of 7), and every one of them verifies.
//!
//! The engine checks signatures by ZIP 215, that is with the cofactor: `[8][s]B = [8]R + [8][k]A`. A validator
//! that wants to can make a signature that passes so and that a check without the cofactor (`verify_strict`)
//! refuses. A verifier that should accept whatever made a block final uses the cofactored equation
//! and takes the keys from the genesis, where they are checked to have no torsion; a strict verifier
//! accepts nothing false, and can be denied evidence by one dishonest validator.
//!
//! Two honest nodes may hold different evidence for one block: other signers, even another view. Both are
//! valid; it is the payload that counts. A block without evidence of its own is proved final by that of
//! a descendant and the hashes between.

use commonware_consensus::{
    Epochable as _, Viewable as _,
    simplex::{scheme::ed25519::Scheme, types::Finalization},
};
use commonware_cryptography::sha256::Digest;

/// Before the chain id in everything that validators sign.
const VOTES: &[u8] = b"QUORATE_CONSENSUS_V1_";

/// Before the chain id in the handshakes of the transport.
const TRANSPORT: &[u8] = b"QUORATE_TRANSPORT_V1_";

/// The namespace of all votes of one chain; the engine adds `_NOTARIZE`, `_NULLIFY` or `_FINALIZE`.
pub(crate) fn vote_namespace(chain: &[u8]) -> Vec<u8> {
    [VOTES, chain].concat()
}

/// The namespace of the transport of one chain.
pub(crate) fn transport_namespace(chain: &[u8]) -> Vec<u8> {
    [TRANSPORT, chain].concat()
}

/// The votes of a quorum that made one block final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The epoch of the validator set. 0 for the first.
    pub epoch: u64,
    /// The view in which the block was proposed.
    pub view: u64,
    /// The view in which the block's parent was proposed; 0 for the genesis.
    pub parent_view: u64,
    /// The hash of the block, [`BlockMeta::digest`](crate::BlockMeta::digest).
    pub payload: [u8; 32],
    /// Validator index (place in the set sorted by public key, from 0) and RFC 8032 signature, ascending.
    pub signatures: Vec<(u16, [u8; 64])>,
}

impl Evidence {
    /// Takes the plain data out of the engine's own certificate. `None` for what cannot be written so, which a
    /// certificate that was verified never is.
    pub(crate) fn of(finalization: &Finalization<Scheme, Digest>) -> Option<Self> {
        let certificate = &finalization.certificate;
        let mut signatures = Vec::with_capacity(certificate.signatures.len());
        for (signer, signature) in certificate.signers.iter().zip(&certificate.signatures) {
            let signature: &[u8] = signature.get()?.as_ref();
            signatures.push((u16::try_from(signer.get()).ok()?, signature.try_into().ok()?));
        }
        Some(Self {
            epoch: finalization.epoch().get(),
            view: finalization.view().get(),
            parent_view: finalization.proposal.parent.get(),
            payload: finalization.proposal.payload.0,
            signatures,
        })
    }
}
