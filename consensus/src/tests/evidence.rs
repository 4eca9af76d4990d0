//! Checks finality evidence from its documentation alone: no type of the engine appears here.

use ed25519_dalek::{Signature, VerifyingKey};

use crate::Evidence;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 128 {
        bytes.push(u8::try_from(value % 128).unwrap() | 0x80);
        value /= 128;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// The bytes that a validator signs to finalize a block.
pub(super) fn signed_bytes(evidence: &Evidence, chain: &[u8]) -> Vec<u8> {
    let namespace = [b"QUORATE_CONSENSUS_V1_", chain, b"_FINALIZE"].concat();
    [
        varint(namespace.len() as u64),
        namespace,
        varint(evidence.epoch),
        varint(evidence.view),
        varint(evidence.parent_view),
        evidence.payload.to_vec(),
    ]
    .concat()
}

/// Checks evidence as a stranger would, who has the chain id and the validators' keys in any order.
pub(super) fn check(evidence: &Evidence, chain: &[u8], keys: &[[u8; 32]]) -> Result<(), &'static str> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    if evidence.signatures.len() < keys.len() - (keys.len() - 1) / 3 {
        return Err("too few");
    }
    if !evidence.signatures.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        return Err("not ascending");
    }
    let message = signed_bytes(evidence, chain);
    for (index, signature) in &evidence.signatures {
        let key = keys.get(usize::from(*index)).ok_or("no such validator")?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| "not a key")?;
        key.verify_strict(&message, &Signature::from_bytes(signature)).map_err(|_| "a signature is false")?;
    }
    Ok(())
}
