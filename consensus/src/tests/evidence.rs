//! Checks finality evidence from its documentation alone: no type of the engine appears in the check.

use commonware_consensus::{
    simplex::{
        scheme::ed25519::Scheme,
        types::{Proposal, Subject},
    },
    types::{Epoch, Round, View},
};
use commonware_cryptography::{Signer as _, certificate::Scheme as _, ed25519::PrivateKey, sha256::Digest};
use commonware_utils::ordered::Set;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::{Evidence, evidence::vote_namespace};

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
        key.verify_strict(&message, &Signature::from_bytes(signature))
            .map_err(|_| "a signature is false")?;
    }
    Ok(())
}

/// Every change to valid evidence makes it invalid, for its own reason.
pub(super) fn check_changes(evidence: &Evidence, chain: &[u8], keys: &[[u8; 32]]) {
    let changed = |change: fn(&mut Evidence)| {
        let mut evidence = evidence.clone();
        change(&mut evidence);
        check(&evidence, chain, keys)
    };
    check(evidence, chain, keys).unwrap();
    assert_eq!(check(evidence, &[99; 32], keys), Err("a signature is false"));
    assert_eq!(
        changed(|evidence| evidence.epoch += 1),
        Err("a signature is false")
    );
    assert_eq!(
        changed(|evidence| evidence.view += 1),
        Err("a signature is false")
    );
    assert_eq!(
        changed(|evidence| evidence.parent_view += 1),
        Err("a signature is false")
    );
    assert_eq!(
        changed(|evidence| evidence.payload[31] ^= 1),
        Err("a signature is false")
    );
    assert_eq!(
        changed(|evidence| evidence.signatures[0].1[0] ^= 1),
        Err("a signature is false")
    );
    assert_eq!(
        changed(|evidence| evidence.signatures.truncate(2)),
        Err("too few")
    );
    assert_eq!(
        changed(|evidence| evidence.signatures[1] = evidence.signatures[0]),
        Err("not ascending")
    );
    assert_eq!(
        changed(|evidence| evidence.signatures.last_mut().unwrap().0 = 4),
        Err("no such validator")
    );
    let mut strangers = keys.to_vec();
    strangers[0] = SigningKey::from_bytes(&[77; 32]).verifying_key().to_bytes();
    strangers[1] = SigningKey::from_bytes(&[78; 32]).verifying_key().to_bytes();
    assert!(check(evidence, chain, &strangers).is_err());
}

#[test]
fn the_documented_bytes_are_what_the_engine_signs() {
    let seed = [5; 32];
    let (ours, theirs) = (SigningKey::from_bytes(&seed), private(&seed));
    assert_eq!(
        ours.verifying_key().as_bytes().as_slice(),
        theirs.public_key().as_ref()
    );
    let chain = [9; 32];
    let set = Set::from_iter_dedup([theirs.public_key()]);
    let scheme = Scheme::signer(&vote_namespace(&chain), set, theirs).unwrap();
    for number in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
        let evidence = Evidence {
            epoch: number / 3,
            view: number,
            parent_view: number / 2,
            payload: [7; 32],
            signatures: Vec::new(),
        };
        let round = Round::new(Epoch::new(evidence.epoch), View::new(evidence.view));
        let proposal = Proposal::new(round, View::new(evidence.parent_view), Digest(evidence.payload));
        let attestation = scheme.sign(Subject::Finalize { proposal: &proposal }).unwrap();
        let signature: &[u8] = attestation.signature.get().unwrap().as_ref();
        assert_eq!(signature, ours.sign(&signed_bytes(&evidence, &chain)).to_bytes());
    }
}

fn private(seed: &[u8; 32]) -> PrivateKey {
    use commonware_codec::DecodeExt as _;
    PrivateKey::decode(seed.to_vec()).unwrap()
}

#[test]
fn the_example_of_the_documentation_holds() {
    let evidence = Evidence {
        epoch: 0,
        view: 300,
        parent_view: 299,
        payload: [0xcc; 32],
        signatures: Vec::new(),
    };
    let bytes = signed_bytes(&evidence, &[0xaa; 32]);
    let expected = [
        &b"\x3eQUORATE_CONSENSUS_V1_"[..],
        &[0xaa; 32],
        b"_FINALIZE\x00\xac\x02\xab\x02",
        &[0xcc; 32],
    ];
    assert_eq!(bytes, expected.concat());
    assert_eq!(bytes.len(), 1 + 62 + 5 + 32);
}
