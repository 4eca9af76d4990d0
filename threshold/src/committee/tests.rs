use super::*;
use crate::signature::{PublicKey, Signature};
use crate::testing::{TestCommittee, TestRng};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;

fn committee() -> TestCommittee {
    TestCommittee::generate(2, 3, &mut TestRng::new("committee")).unwrap()
}

fn rebuild(
    manifest: &CommitteeManifest,
    change: impl FnOnce(&mut Vec<Member>),
) -> Result<CommitteeManifest, ManifestError> {
    let mut members = manifest.members().to_vec();
    change(&mut members);
    CommitteeManifest::first(*manifest.public_key(), manifest.threshold(), members)
}

#[test]
fn a8_indices_are_one_to_sixty_four() {
    for bad in [0, 65, 256, u16::MAX] {
        assert_eq!(ParticipantIndex::new(bad), Err(CommitteeError::Index(bad.into())));
        assert!(ParticipantIndex::from_bytes(&bad.to_be_bytes()).is_err());
    }
    // What would be 1 after truncation to 16 bits.
    assert_eq!(
        ParticipantIndex::try_from(0x1_0001_u32),
        Err(CommitteeError::Index(0x1_0001))
    );
    assert!(
        [1, 64]
            .into_iter()
            .all(|good| ParticipantIndex::new(good).is_ok())
    );
}

#[test]
fn a12_thresholds_are_more_than_one_and_at_most_all() {
    for (t, n) in [(0, 5), (1, 1), (1, 5), (6, 5), (2, 65), (0, 0), (2, 0), (65, 65)] {
        assert_eq!(Threshold::new(t, n), Err(CommitteeError::Threshold { t, n }));
        let bytes = [t.to_be_bytes(), n.to_be_bytes()].concat();
        assert!(Threshold::from_bytes(&bytes).is_err());
    }
    assert!(
        [(2, 2), (3, 5), (64, 64)]
            .into_iter()
            .all(|(t, n)| Threshold::new(t, n).is_ok())
    );
}

#[test]
fn a_manifest_is_what_it_is_made_of() {
    let committee = committee();
    let manifest = committee.manifest();
    assert_eq!(
        CommitteeManifest::from_bytes(&manifest.to_bytes()).as_ref(),
        Ok(manifest)
    );
    assert_eq!(rebuild(manifest, |_| {}).unwrap().digest(), manifest.digest());
    let index = ParticipantIndex::new(2).unwrap();
    let member = manifest.member(index).unwrap();
    assert_eq!(manifest.member_by_identity(&member.identity), Some(member));
    assert_eq!(manifest.member(ParticipantIndex::new(4).unwrap()), None);
}

#[test]
fn p11_members_have_distinct_keys_and_names() {
    let committee = committee();
    let manifest = committee.manifest();
    let third = ParticipantIndex::new(3).unwrap();
    let same_key = rebuild(manifest, |members| members[2].identity = members[0].identity);
    assert_eq!(same_key, Err(ManifestError::DuplicateIdentity(third)));
    let same_name = rebuild(manifest, |members| members[2].name = members[0].name.clone());
    assert_eq!(same_name, Err(ManifestError::DuplicateName(third)));
}

#[test]
fn members_are_numbered_in_order_with_addresses() {
    let committee = committee();
    let manifest = committee.manifest();
    assert_eq!(
        rebuild(manifest, |members| members.swap(0, 1)),
        Err(ManifestError::Indices)
    );
    assert_eq!(
        rebuild(manifest, |members| drop(members.pop())),
        Err(ManifestError::Indices)
    );
    let second = ParticipantIndex::new(2).unwrap();
    for bad in ["", "two words", "caf\u{e9}:1", &"x".repeat(129)] {
        let changed = rebuild(manifest, |members| bad.clone_into(&mut members[1].address));
        assert_eq!(changed, Err(ManifestError::Address(second)), "{bad:?}");
    }
}

#[test]
fn a_manifest_follows_only_the_one_that_it_links() {
    let committee = committee();
    let first = committee.manifest();
    let second = first.next(first.threshold(), first.members().to_vec()).unwrap();
    assert_eq!((second.epoch(), second.previous()), (2, Some(first.digest())));
    assert_eq!(second.follows(first), Ok(()));
    assert_eq!(
        CommitteeManifest::from_bytes(&second.to_bytes()).as_ref(),
        Ok(&second)
    );
    let third = second.next(first.threshold(), first.members().to_vec()).unwrap();
    let renamed = rebuild(first, |members| {
        members[0].name = crate::name::Name::new("other").unwrap()
    });
    let other_first = renamed.unwrap();
    for (manifest, other) in [
        (first, first),
        (first, &second),
        (&second, &second),
        (&third, first),
        // The same epoch, of a committee that was never this one's.
        (&second, &other_first),
    ] {
        assert_eq!(manifest.follows(other), Err(ManifestError::NotTheNext));
    }
    assert_eq!(third.follows(&second), Ok(()));
    // The link is part of the digest: only in it do these two differ.
    let twin = other_first
        .next(first.threshold(), first.members().to_vec())
        .unwrap();
    assert_ne!(twin.digest(), second.digest());
}

#[test]
fn the_last_epoch_has_no_next() {
    let committee = committee();
    let first = committee.manifest();
    let second = first.next(first.threshold(), first.members().to_vec()).unwrap();
    let mut bytes = second.to_bytes();
    bytes[2 + 32 + 32..][..4].fill(0xff);
    let last = CommitteeManifest::from_bytes(&bytes).unwrap();
    assert_eq!(last.epoch(), u32::MAX);
    let next = last.next(first.threshold(), first.members().to_vec());
    assert_eq!(next, Err(ManifestError::Epoch));
}

#[test]
fn epoch_zero_does_not_exist() {
    let committee = committee();
    let mut bytes = committee.manifest().to_bytes();
    // Version, suite, key id and X, then the epoch in four bytes.
    bytes[2 + 32 + 32 + 3] = 0;
    assert_eq!(
        CommitteeManifest::from_bytes(&bytes),
        Err(DecodeError::Invalid("committee manifest"))
    );
}

#[test]
fn public_shares_lie_on_one_polynomial_through_the_key() {
    let committee = committee();
    let manifest = committee.manifest();
    for i in 0..3 {
        let changed = rebuild(manifest, |members| members[i].public_share = Point::base());
        assert_eq!(changed, Err(ManifestError::Interpolation), "member {i}");
    }
    let other = CommitteeManifest::first(Point::base(), manifest.threshold(), manifest.members().to_vec());
    assert_eq!(other, Err(ManifestError::Interpolation));
    // Shares of degree 1 are not shares of a threshold of three, although three of them do interpolate.
    let three = Threshold::new(3, 3).unwrap();
    assert!(CommitteeManifest::first(*manifest.public_key(), three, manifest.members().to_vec()).is_ok());
    let wide = TestCommittee::generate(3, 5, &mut TestRng::new("wide")).unwrap();
    let lowered = CommitteeManifest::first(
        *wide.manifest().public_key(),
        Threshold::new(2, 5).unwrap(),
        wide.manifest().members().to_vec(),
    );
    assert_eq!(lowered, Err(ManifestError::Interpolation));
}

#[test]
fn every_member_signs_and_nobody_else() {
    let committee = committee();
    let signed = &committee.signed;
    assert_eq!(signed.verify(), Ok(()));
    let mut short = signed.clone();
    short.signatures.pop();
    assert_eq!(
        short.verify(),
        Err(ManifestError::SignatureCount {
            expected: 3,
            found: 2
        })
    );
    let mut swapped = signed.clone();
    swapped.signatures.swap(0, 1);
    assert_eq!(
        swapped.verify(),
        Err(ManifestError::Signature(ParticipantIndex::new(1).unwrap()))
    );
    let mut foreign = signed.clone();
    foreign.signatures[2] = signed.manifest.sign(&SigningKey::from_bytes(&[9; 32]));
    assert_eq!(
        foreign.verify(),
        Err(ManifestError::Signature(ParticipantIndex::new(3).unwrap()))
    );
}

#[test]
fn a_changed_manifest_is_not_the_signed_one() {
    let committee = committee();
    let stranger = PublicKey::of(&SigningKey::from_bytes(&[9; 32]));
    let changed = rebuild(committee.manifest(), |members| members[0].identity = stranger).unwrap();
    assert_ne!(changed.digest(), committee.manifest().digest());
    let forged = SignedManifest {
        manifest: changed,
        signatures: committee.signed.signatures.clone(),
    };
    assert!(forged.verify().is_err());
}

#[test]
fn every_flipped_byte_of_a_signed_manifest_is_refused() {
    let signed = committee().signed;
    let bytes = signed.to_bytes();
    for position in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1;
        let accepted = SignedManifest::from_bytes(&flipped).is_ok_and(|signed| signed.verify().is_ok());
        assert!(!accepted, "byte {position}");
    }
}

#[test]
fn a_wrong_member_count_is_refused_before_any_point_is_parsed() {
    let manifest = committee().manifest().to_bytes();
    // version, suite, key id, X, epoch, threshold, then the count.
    let at = 2 + 32 + 32 + 4 + 4;
    let mut fewer = manifest.clone();
    fewer[at + 3] = 2;
    assert_eq!(
        CommitteeManifest::from_bytes(&fewer),
        Err(DecodeError::Invalid("number of members"))
    );
    let mut more = manifest;
    more[at] = 1;
    assert_eq!(
        CommitteeManifest::from_bytes(&more),
        Err(DecodeError::TooLong("field"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn p12_random_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(SignedManifest::from_bytes(&bytes).is_err());
        let mut prefixed = vec![1, 1];
        prefixed.extend(bytes);
        prop_assert!(CommitteeManifest::from_bytes(&prefixed).is_err());
    }
}

#[test]
fn a_signed_manifest_goes_both_ways() {
    let signed = committee().signed;
    assert_eq!(
        SignedManifest::from_bytes(&signed.to_bytes()).as_ref(),
        Ok(&signed)
    );
    let none: Vec<Signature> = Vec::new();
    let unsigned = SignedManifest {
        manifest: signed.manifest,
        signatures: none,
    };
    assert!(unsigned.verify().is_err());
}
