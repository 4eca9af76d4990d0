//! What the encodings have in common: a version and a suite that are known, and bounds on whatever is repeated.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use core::fmt::Debug;
use ed25519_dalek::SigningKey;
use quorate_threshold::committee::{
    CommitteeManifest, MAX_ADDRESS, MAX_MEMBERS, Member, ParticipantIndex, SignedManifest, Threshold,
};
use quorate_threshold::dkg::{Attestation, Ceremony, EqualityReport, Seat, round1, round2};
use quorate_threshold::encoding::{Canonical, DecodeError, Reader};
use quorate_threshold::group::Point;
use quorate_threshold::ids::{ApproveId, ManifestDigest, WriteId};
use quorate_threshold::reencrypt::{Context, ReaderKey, Reencryption, ReencryptionShare, reencrypt};
use quorate_threshold::secret::{DataKey, KeyShare, SecretScalar, ShareError};
use quorate_threshold::signature::{PublicKey, Signature};
use quorate_threshold::statement::ReleaseStatement;
use quorate_threshold::testing::{TestCommittee, TestRng, label};
use quorate_threshold::wrap::{WrappedKey, wrap};

fn committee() -> TestCommittee {
    TestCommittee::generate(2, 3, &mut TestRng::new("encodings")).unwrap()
}

fn wrapped(committee: &TestCommittee) -> WrappedKey {
    let mut rng = TestRng::new("wrapped");
    let key = DataKey::generate(&mut rng);
    wrap(
        committee.manifest().custody_key(),
        &label("report", 1).unwrap(),
        &key,
        &mut rng,
    )
    .unwrap()
}

fn statement() -> ReleaseStatement {
    ReleaseStatement {
        manifest_digest: ManifestDigest([1; 32]),
        index: committee().shares[0].index(),
        approve_id: ApproveId([3; 32]),
        write_id: WriteId([4; 32]),
        q: PublicKey::of(&SigningKey::from_bytes(&[5; 32])),
        share_digest: [6; 32],
        repeat: false,
        time_ms: 0,
        journal_position: 7,
        journal_head: [8; 32],
        signature: Signature([0; 64]),
    }
}

fn round1_package() -> round1::Package {
    round1::Package {
        commitments: vec![*Point::base().as_bytes(); 2],
        proof_r: *Point::base().as_bytes(),
        proof_z: [0; 32],
    }
}

/// Whether the bytes decode, and no longer do with another number for the version or for the suite.
fn is_of_one_version<T: Canonical + Debug>(bytes: &[u8], version_at: usize, object: &'static str) {
    assert!(T::from_bytes(bytes).is_ok(), "{object}");
    for at in [version_at, version_at + 1] {
        for other in [0, 3, 0xff] {
            let mut changed = bytes.to_vec();
            changed[at] = other;
            let error = T::from_bytes(&changed).unwrap_err();
            assert_eq!(error, DecodeError::UnknownVersion(object), "byte {at} = {other}");
        }
    }
}

#[test]
fn d17_objects_of_another_version_or_suite_are_refused() {
    let committee = committee();
    let wrapped = wrapped(&committee);
    let reader = ReaderKey::generate(&mut TestRng::new("reader"));
    let context = Context::new(
        committee.manifest(),
        &wrapped,
        ApproveId([3; 32]),
        &reader.public(),
    )
    .unwrap();
    let share = reencrypt(&committee.shares[0], &context, &mut TestRng::new("share")).unwrap();
    let report = EqualityReport {
        attestations: Vec::new(),
    };
    let dealt = round2::Package {
        share: SecretScalar::random(&mut TestRng::new("dealt")),
    };
    let reencryption = Reencryption {
        r: Point::base(),
        d: Point::base(),
    };
    is_of_one_version::<Ceremony>(&committee.ceremony.to_bytes(), 0, "ceremony");
    is_of_one_version::<EqualityReport>(&report.to_bytes(), 0, "equality report");
    is_of_one_version::<round1::Package>(&round1_package().to_bytes(), 0, "round-1 package");
    is_of_one_version::<round2::Package>(&dealt.to_bytes(), 0, "round-2 package");
    is_of_one_version::<CommitteeManifest>(&committee.manifest().to_bytes(), 0, "committee manifest");
    is_of_one_version::<ReleaseStatement>(&statement().to_bytes(), 0, "release statement");
    is_of_one_version::<ReencryptionShare>(&share.to_bytes(), 0, "re-encryption share");
    is_of_one_version::<Reencryption>(&reencryption.to_bytes(), 0, "re-encryption");
    is_of_one_version::<WrappedKey>(&wrapped.to_bytes(), 2, "wrapped key");
}

#[test]
fn what_does_not_begin_as_a_wrapped_key_is_none() {
    let bytes = wrapped(&committee()).to_bytes();
    for at in [0, 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 0x20;
        let error = WrappedKey::from_bytes(&changed).unwrap_err();
        assert_eq!(error, DecodeError::UnknownVersion("wrapped key"));
    }
}

#[test]
fn b9_a_stored_share_of_another_version_or_suite_is_refused() {
    let committee = committee();
    let bytes = committee.shares[0].to_secret_bytes();
    for at in [0, 1] {
        let mut changed = bytes.to_vec();
        changed[at] = 2;
        let error = KeyShare::from_secret_bytes(&changed, committee.manifest()).unwrap_err();
        let unknown = DecodeError::UnknownVersion("key share");
        assert_eq!(error, ShareError::Malformed(unknown));
    }
}

#[test]
fn p12_addresses_are_bounded_before_they_are_copied() {
    let committee = committee();
    let seat = Seat {
        address: "x".repeat(MAX_ADDRESS + 1),
        ..committee.ceremony.seats()[0].clone()
    };
    assert_eq!(
        Seat::from_bytes(&seat.to_bytes()),
        Err(DecodeError::TooLong("field"))
    );
    let member = Member {
        address: "x".repeat(MAX_ADDRESS + 1),
        ..committee.manifest().members()[0].clone()
    };
    assert_eq!(
        Member::from_bytes(&member.to_bytes()),
        Err(DecodeError::TooLong("field"))
    );
}

#[test]
fn p12_no_list_is_longer_than_a_committee() {
    let committee = committee();
    let too_many = u32::from(MAX_MEMBERS) + 1;
    let with_count = |mut bytes: Vec<u8>, at: usize| {
        bytes[at..at + 4].copy_from_slice(&too_many.to_be_bytes());
        bytes
    };
    // Version, suite, nonce and threshold stand before the seats; key id, X and epoch before the members.
    let seats = with_count(committee.ceremony.to_bytes(), 1 + 1 + 32 + 4);
    assert_eq!(Ceremony::from_bytes(&seats), Err(DecodeError::TooLong("field")));
    let members = with_count(committee.manifest().to_bytes(), 1 + 1 + 32 + 32 + 4 + 4);
    assert_eq!(
        CommitteeManifest::from_bytes(&members),
        Err(DecodeError::TooLong("field"))
    );
    let signatures = SignedManifest {
        signatures: vec![Signature([0; 64]); 65],
        ..committee.signed.clone()
    };
    assert_eq!(
        SignedManifest::from_bytes(&signatures.to_bytes()),
        Err(DecodeError::TooLong("field"))
    );
    let attestation = Attestation {
        payload_digest: [0; 32],
        signature: Signature([0; 64]),
    };
    let report = EqualityReport {
        attestations: vec![attestation; 65],
    };
    assert_eq!(
        EqualityReport::from_bytes(&report.to_bytes()),
        Err(DecodeError::TooLong("field"))
    );
    let mut package = round1_package();
    package.commitments = vec![*Point::base().as_bytes(); 65];
    assert_eq!(
        round1::Package::from_bytes(&package.to_bytes()),
        Err(DecodeError::TooLong("field"))
    );
}

#[test]
fn p12_a_count_that_the_bytes_cannot_hold_allocates_nothing() {
    // Four billion members would be hundreds of gigabytes: reserving them ends the process.
    let bytes = u32::MAX.to_be_bytes();
    let read = Reader::new(&bytes).list::<Member>(usize::MAX);
    assert_eq!(read.unwrap_err(), DecodeError::Truncated);
}

#[test]
fn a8_a_committee_has_no_member_beyond_n() {
    let threshold = Threshold::new(2, 3).unwrap();
    let member = |index| ParticipantIndex::new(index).unwrap();
    assert!(threshold.contains(member(1)) && threshold.contains(member(3)));
    assert!(!threshold.contains(member(4)));
    assert_eq!(threshold.indices().last(), Some(member(3)));
}
