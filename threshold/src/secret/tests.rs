use super::*;
use crate::testing::{TestCommittee, TestRng};

fn committee() -> TestCommittee {
    TestCommittee::generate(2, 3, &mut TestRng::new("secret")).unwrap()
}

#[test]
fn p15_secrets_do_not_print() {
    let committee = committee();
    let share = &committee.shares[0];
    let printed = format!(
        "{:?} {:?} {:?}",
        DataKey::from_bytes([0xa5; 32]),
        SecretScalar::new(Scalar::from(0xdead_beef_u32)),
        share
    );
    assert!(
        !printed.contains("a5") && !printed.contains("165") && !printed.contains("beef"),
        "{printed}"
    );
    let bytes = share.secret().expose().to_bytes();
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert!(!format!("{committee:?}").contains(&hex));
}

#[test]
fn a_sealed_share_comes_back_for_its_manifest() {
    let committee = committee();
    for share in &committee.shares {
        let bytes = share.to_secret_bytes();
        assert_eq!(bytes.len(), SECRET_LENGTH);
        let back = KeyShare::from_secret_bytes(&bytes, committee.manifest()).unwrap();
        assert_eq!(back.index(), share.index());
        assert_eq!(back.secret().expose(), share.secret().expose());
    }
}

#[test]
fn b9_every_flipped_byte_of_a_share_is_refused() {
    let committee = committee();
    let bytes = committee.shares[1].to_secret_bytes();
    for position in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut flipped = bytes.to_vec();
            flipped[position] ^= bit;
            assert!(
                KeyShare::from_secret_bytes(&flipped, committee.manifest()).is_err(),
                "byte {position} bit {bit}"
            );
        }
    }
}

#[test]
fn b7_one_members_share_does_not_pass_for_anothers() {
    let committee = committee();
    let mut bytes = committee.shares[0].to_secret_bytes();
    // Index 1 becomes 2; everything else is right.
    bytes[35] = 2;
    assert_eq!(
        KeyShare::from_secret_bytes(&bytes, committee.manifest()).unwrap_err(),
        ShareError::OtherPublicShare
    );
}

#[test]
fn p8_a_share_of_another_epoch_is_refused() {
    let committee = committee();
    let manifest = committee.manifest();
    let next = manifest
        .next(manifest.threshold(), manifest.members().to_vec())
        .unwrap();
    let bytes = committee.shares[0].to_secret_bytes();
    assert_eq!(
        KeyShare::from_secret_bytes(&bytes, &next).unwrap_err(),
        ShareError::OtherManifest
    );
}

#[test]
fn a7_a_zero_share_is_refused() {
    let committee = committee();
    let zero = SecretScalar::new(Scalar::ZERO);
    let index = ParticipantIndex::new(1).unwrap();
    assert_eq!(
        KeyShare::new(index, zero, committee.manifest()).unwrap_err(),
        ShareError::OtherPublicShare
    );
}

#[test]
fn b9_bytes_after_a_stored_share_are_refused() {
    let committee = committee();
    let mut bytes = committee.shares[0].to_secret_bytes().to_vec();
    bytes.push(0);
    let error = KeyShare::from_secret_bytes(&bytes, committee.manifest()).unwrap_err();
    assert_eq!(error, ShareError::Malformed(DecodeError::Trailing));
}
