//! Votes: enough of them, each by another validator of this chain, for this block.

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::{Signer, SigningKey};
use golden_record::{EvidenceError, FinalityEvidence, Genesis, finalize_message};
use sha2::{Digest, Sha512};
use threshold::encoding::{Canonical, DecodeError};
use threshold::ids::ChainId;
use threshold::signature::{PublicKey, Signature};

use crate::support::{genesis, key};

/// The validators' signing keys in the order in which their votes are counted.
pub fn validators(genesis: &Genesis) -> Vec<SigningKey> {
    let mut keys: Vec<_> = (0..4).map(|index| key(&format!("validator-{index}"))).collect();
    keys.sort_by_key(|key| key.verifying_key().to_bytes());
    let expected: Vec<_> = keys.iter().map(PublicKey::of).collect();
    assert_eq!(expected, genesis.validators());
    keys
}

/// Evidence for a block by the validators with these indices.
pub fn evidence(genesis: &Genesis, payload: [u8; 32], voters: &[u16]) -> FinalityEvidence {
    let (epoch, view, parent_view) = (0, 300, 299);
    let message = finalize_message(&genesis.chain_id(), epoch, view, parent_view, &payload);
    let keys = validators(genesis);
    let sign = |voter: &u16| {
        (
            *voter,
            Signature(keys[usize::from(*voter)].sign(&message).to_bytes()),
        )
    };
    FinalityEvidence {
        epoch,
        view,
        parent_view,
        payload,
        signatures: voters.iter().map(sign).collect(),
    }
}

#[test]
fn the_signed_bytes_are_the_documented_ones() {
    let message = finalize_message(&ChainId([0xab; 32]), 0, 300, 127, &[0xcd; 32]);
    let expected = [
        &[62][..],
        b"QUORATE_CONSENSUS_V1_",
        &[0xab; 32],
        b"_FINALIZE",
        &[0x00, 0xac, 0x02, 0x7f],
        &[0xcd; 32],
    ]
    .concat();
    assert_eq!(message, expected);
    assert_eq!(finalize_message(&ChainId([0; 32]), 0, 1, 0, &[0; 32]).len(), 98);
    let large = finalize_message(&ChainId([0; 32]), u64::MAX, 0, 128, &[0; 32]);
    assert_eq!(
        &large[63..73],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
    );
    assert_eq!(&large[73..76], &[0x00, 0x80, 0x01]);
}

#[test]
fn a_quorum_makes_a_block_final() {
    let genesis = genesis();
    for voters in [&[0, 1, 2][..], &[0, 1, 3], &[1, 2, 3], &[0, 1, 2, 3]] {
        let evidence = evidence(&genesis, [5; 32], voters);
        assert_eq!(evidence.verify(&genesis), Ok(()));
        assert_eq!(FinalityEvidence::from_bytes(&evidence.to_bytes()), Ok(evidence));
    }
}

#[test]
fn fewer_votes_do_not() {
    let genesis = genesis();
    for voters in [&[][..], &[0], &[2, 3]] {
        let refused = evidence(&genesis, [5; 32], voters).verify(&genesis);
        assert_eq!(
            refused,
            Err(EvidenceError::TooFew {
                given: voters.len(),
                needed: 3
            })
        );
    }
}

#[test]
fn d2_p11_nobody_is_counted_twice() {
    let genesis = genesis();
    assert_eq!(
        evidence(&genesis, [5; 32], &[0, 1, 1]).verify(&genesis),
        Err(EvidenceError::NotAscending(1))
    );
    assert_eq!(
        evidence(&genesis, [5; 32], &[0, 2, 1]).verify(&genesis),
        Err(EvidenceError::NotAscending(1))
    );
    // One validator's signature under another's index.
    let mut borrowed = evidence(&genesis, [5; 32], &[0, 1, 2]);
    borrowed.signatures[2].1 = borrowed.signatures[1].1;
    assert_eq!(borrowed.verify(&genesis), Err(EvidenceError::Signature(2)));
}

#[test]
fn an_index_out_of_bounds_is_refused() {
    let genesis = genesis();
    let mut out = evidence(&genesis, [5; 32], &[0, 1, 2]);
    out.signatures[2].0 = 4;
    assert_eq!(out.verify(&genesis), Err(EvidenceError::UnknownValidator(4)));
}

#[test]
fn every_signed_field_is_bound() {
    let genesis = genesis();
    let good = evidence(&genesis, [5; 32], &[0, 1, 2]);
    let other_view = FinalityEvidence {
        view: 301,
        ..good.clone()
    };
    let other_parent = FinalityEvidence {
        parent_view: 298,
        ..good.clone()
    };
    let other_block = FinalityEvidence {
        payload: [6; 32],
        ..good.clone()
    };
    for changed in [other_view, other_parent, other_block] {
        assert_eq!(changed.verify(&genesis), Err(EvidenceError::Signature(0)));
    }
    let other_epoch = FinalityEvidence {
        epoch: 1,
        ..good.clone()
    };
    assert_eq!(other_epoch.verify(&genesis), Err(EvidenceError::UnknownEpoch(1)));
    for at in 0..3 {
        let mut changed = good.clone();
        changed.signatures[at].1.0[40] ^= 1;
        assert!(matches!(
            changed.verify(&genesis),
            Err(EvidenceError::Signature(_))
        ));
    }
}

#[test]
fn the_votes_of_another_chain_or_kind_do_not_count() {
    let genesis = genesis();
    let keys = validators(&genesis);
    let ours = finalize_message(&genesis.chain_id(), 0, 300, 299, &[5; 32]);
    let foreign = finalize_message(&ChainId([1; 32]), 0, 300, 299, &[5; 32]);
    // A vote to notarize has another suffix, and so another length before it.
    let mut notarize = vec![62];
    notarize.extend_from_slice(b"QUORATE_CONSENSUS_V1_");
    notarize.extend_from_slice(genesis.chain_id().as_bytes());
    notarize.extend_from_slice(b"_NOTARIZE");
    notarize.extend_from_slice(&ours[63..]);
    for message in [foreign, notarize] {
        let mut evidence = evidence(&genesis, [5; 32], &[0, 1, 2]);
        for (voter, signature) in &mut evidence.signatures {
            signature.0 = keys[usize::from(*voter)].sign(&message).to_bytes();
        }
        assert_eq!(evidence.verify(&genesis), Err(EvidenceError::Signature(0)));
    }
}

/// A signature whose R has a component of small order: the engine's equation has the cofactor and accepts it.
fn with_torsion(key: &SigningKey, message: &[u8]) -> Signature {
    let nonce = Scalar::from(12345u64);
    let r = (EdwardsPoint::mul_base(&nonce) + EIGHT_TORSION[1]).compress();
    let hash = Sha512::new()
        .chain_update(r.as_bytes())
        .chain_update(key.verifying_key().as_bytes())
        .chain_update(message);
    let s = nonce + Scalar::from_hash(hash) * key.to_scalar();
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(r.as_bytes());
    bytes[32..].copy_from_slice(s.as_bytes());
    Signature(bytes)
}

#[test]
fn one_dishonest_validator_cannot_spoil_what_the_engine_accepted() {
    let genesis = genesis();
    let mut evidence = evidence(&genesis, [5; 32], &[0, 1, 2]);
    let message = finalize_message(&genesis.chain_id(), 0, 300, 299, &[5; 32]);
    let dishonest = &validators(&genesis)[1];
    evidence.signatures[1].1 = with_torsion(dishonest, &message);
    assert_eq!(evidence.verify(&genesis), Ok(()));
    // It is a signature that a strict check refuses.
    let strict = PublicKey::of(dishonest).verify_raw(&message, &evidence.signatures[1].1);
    assert!(strict.is_err());
}

#[test]
fn a_scalar_that_is_not_canonical_is_refused() {
    let genesis = genesis();
    let mut evidence = evidence(&genesis, [5; 32], &[0, 1, 2]);
    // s + l is the same scalar, written in another way.
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut carry = 0u16;
    for (byte, addend) in evidence.signatures[0].1.0[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(addend);
        *byte = carry as u8;
        carry >>= 8;
    }
    assert_eq!(evidence.verify(&genesis), Err(EvidenceError::Signature(0)));
}

#[test]
fn a_flood_of_signatures_is_not_decoded() {
    let genesis = genesis();
    let good = evidence(&genesis, [5; 32], &[0, 1, 2]);
    let mut flood = good.clone();
    flood.signatures = vec![good.signatures[0]; 65];
    assert_eq!(
        FinalityEvidence::from_bytes(&flood.to_bytes()),
        Err(DecodeError::TooLong("field"))
    );
}
