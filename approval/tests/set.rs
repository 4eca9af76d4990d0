//! Sets of certificates: each good by itself, refused together or for this wrapped key.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use quorate_approval::oid::Extension;
use quorate_approval::{ApprovalFields, CertificateFault, MAX_CERTIFICATES, Refusal};
use support::{Fixture, LIFETIME_S, NOW_MS, authority, bundle, label, name, public_key, wrapped};
use threshold::encoding::Canonical;
use threshold::label::Label;
use threshold::wrap::WrappedKey;

#[test]
fn the_number_of_certificates_is_bounded_before_anything_is_parsed() {
    let fixture = Fixture::new();
    assert_eq!(fixture.check(&[]), Err(Refusal::NoCertificates));
    let many = vec![vec![]; MAX_CERTIFICATES + 1];
    assert_eq!(
        fixture.check(&many),
        Err(Refusal::TooManyCertificates {
            count: MAX_CERTIFICATES + 1
        })
    );
    // One fewer is looked at.
    let refusal = Refusal::Certificate {
        index: 0,
        fault: CertificateFault::Size,
    };
    assert_eq!(fixture.check(&many[1..]), Err(refusal));
}

#[test]
fn d2_an_organisation_does_not_count_twice() {
    let fixture = Fixture::new();
    let refusal = Err(Refusal::RepeatedOrganisation(name("bank")));
    assert_eq!(fixture.check(&fixture.issue_all(&[0, 0, 1])), refusal);
    let mut two_of_one = fixture.issue_all(&[0, 1]);
    two_of_one.push(
        authority(0)
            .issue(&fixture.fields, NOW_MS - 1000, LIFETIME_S)
            .unwrap(),
    );
    assert_eq!(fixture.check(&two_of_one), refusal);
}

#[test]
fn p11_fewer_organisations_than_the_policy_needs_are_refused() {
    let fixture = Fixture::new();
    for few in [&[0][..], &[0, 1], &[2, 3]] {
        let refused = fixture.check(&fixture.issue_all(few));
        assert!(
            matches!(refused, Err(Refusal::PolicyNotSatisfied { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn d15_an_organisation_outside_the_policy_does_not_help() {
    let mut fixture = Fixture::new();
    fixture.trust = bundle(7, 0xc4, "test", "OUTOF(3, bank, notary, regulator)");
    assert!(matches!(
        fixture.check(&fixture.issue_all(&[0, 1, 3])),
        Err(Refusal::PolicyNotSatisfied { .. })
    ));
    assert!(fixture.check(&fixture.issue_all(&[0, 1, 2])).is_ok());
}

#[test]
fn every_certificate_of_the_set_must_be_good_also_beyond_the_quorum() {
    let fixture = Fixture::new();
    for bad in 0..4 {
        let mut set = fixture.issue_all(&[0, 1, 2, 3]);
        let last = set[bad].len() - 1;
        set[bad][last] ^= 1;
        let refusal = Refusal::Certificate {
            index: bad,
            fault: CertificateFault::Signature,
        };
        assert_eq!(fixture.check(&set), Err(refusal));
    }
}

/// Three organisations approve, the third something that differs in one field: each certificate is good.
fn mixed(change: impl FnOnce(&mut ApprovalFields)) -> Refusal {
    let fixture = Fixture::new();
    let mut set = fixture.issue_all(&[0, 1]);
    let mut fields = fixture.fields.clone();
    change(&mut fields);
    set.push(authority(2).issue(&fields, NOW_MS, LIFETIME_S).unwrap());
    fixture.check(&set).unwrap_err()
}

#[test]
fn d14_a_quorum_that_does_not_agree_on_every_field_is_refused() {
    let differ = |field| Refusal::Disagreement { index: 2, field };
    assert_eq!(
        mixed(|fields| fields.approve_id = [1; 32].into()),
        differ(Extension::ApproveId)
    );
    assert_eq!(
        mixed(|fields| fields.write_id = [1; 32].into()),
        differ(Extension::WriteId)
    );
    assert_eq!(
        mixed(|fields| fields.q = public_key(3)),
        differ(Extension::ReaderKey)
    );
    assert_eq!(
        mixed(|fields| fields.key_id = [1; 32].into()),
        differ(Extension::KeyId)
    );
    assert_eq!(
        mixed(|fields| fields.label.version += 1),
        differ(Extension::Label)
    );
    assert_eq!(
        mixed(|fields| fields.chain_id = [1; 32].into()),
        differ(Extension::ChainId)
    );
    assert_eq!(mixed(|fields| fields.height += 1), differ(Extension::Height));
    assert_eq!(
        mixed(|fields| fields.block_hash = [1; 32].into()),
        differ(Extension::BlockHash)
    );
    assert_eq!(
        mixed(|fields| fields.policy_version += 1),
        differ(Extension::PolicyVersion)
    );
}

#[test]
fn d12_one_approve_id_with_two_contents_is_refused() {
    assert_eq!(
        mixed(|fields| {
            fields.write_id = [1; 32].into();
            fields.q = public_key(3);
        }),
        Refusal::Disagreement {
            index: 2,
            field: Extension::WriteId
        }
    );
}

/// All organisations approve the changed statement; the wrapped key and the pins stay.
fn unanimous(change: impl FnOnce(&mut ApprovalFields)) -> Refusal {
    let mut fixture = Fixture::new();
    change(&mut fixture.fields);
    fixture.check(&fixture.issue_all(&[0, 1, 2])).unwrap_err()
}

#[test]
fn d13_an_approval_of_another_chain_installation_or_policy_is_refused() {
    assert_eq!(
        unanimous(|fields| fields.chain_id = [1; 32].into()),
        Refusal::Chain
    );
    assert_eq!(
        unanimous(|fields| fields.label.installation = name("other")),
        Refusal::Installation
    );
    assert_eq!(
        unanimous(|fields| fields.policy_version = 6),
        Refusal::PolicyVersion {
            certified: 6,
            pinned: 7
        }
    );
    assert_eq!(
        unanimous(|fields| fields.policy_version = 8),
        Refusal::PolicyVersion {
            certified: 8,
            pinned: 7
        }
    );
}

#[test]
fn d13_an_approval_of_another_wrapped_key_is_refused() {
    assert_eq!(
        unanimous(|fields| fields.write_id = [1; 32].into()),
        Refusal::WriteId
    );
    assert_eq!(unanimous(|fields| fields.key_id = [1; 32].into()), Refusal::KeyId);
    assert_eq!(
        unanimous(|fields| fields.label.tenant = name("another")),
        Refusal::Label
    );
    assert_eq!(unanimous(|fields| fields.label.version += 1), Refusal::Label);
}

#[test]
fn d13_c4_an_approval_does_not_open_another_wrapped_key() {
    let fixture = Fixture::new();
    let certificates = fixture.issue_all(&[0, 1, 2]);
    let refused = |wrapped: WrappedKey| {
        let other = Fixture {
            wrapped,
            ..Fixture::new()
        };
        other.check(&certificates).unwrap_err()
    };
    // The same document, wrapped once more: another U.
    assert_eq!(refused(wrapped(1, &label())), Refusal::WriteId);
    assert_eq!(refused(wrapped(4, &label())), Refusal::KeyId);
    let other_document = Label {
        document: "other".parse().unwrap(),
        ..label()
    };
    assert_eq!(refused(wrapped(1, &other_document)), Refusal::Label);
    assert!(fixture.check(&certificates).is_ok());
}

#[test]
fn c6_a_wrapped_key_without_a_proof_is_refused_even_if_approved() {
    // The label is exchanged in a wrapped key; endorsers that do not look approve its hash.
    let original = wrapped(
        1,
        &Label {
            document: "victim-doc-xx".parse().unwrap(),
            ..label()
        },
    );
    let bytes = original.to_bytes();
    let place = bytes
        .windows(13)
        .position(|window| window == b"victim-doc-xx")
        .unwrap();
    let mut mauled = bytes;
    mauled[place..place + 13].copy_from_slice(b"2027/contract");
    let mauled = WrappedKey::from_bytes(&mauled).unwrap();
    assert_eq!(*mauled.label(), label());
    let mut fixture = Fixture::new();
    fixture.fields.write_id = mauled.write_id();
    fixture.wrapped = mauled;
    assert_eq!(
        fixture.check(&fixture.issue_all(&[0, 1, 2])),
        Err(Refusal::WrapProof)
    );
}

#[test]
fn codes_are_distinct_and_in_snake_case() {
    use CertificateFault as Fault;
    let faults = [
        Fault::Size,
        Fault::Der(quorate_approval::DerFault::Tag),
        Fault::NotX509,
        Fault::Version,
        Fault::Serial,
        Fault::SignatureAlgorithm,
        Fault::SignatureLength,
        Fault::UniqueIdentifier,
        Fault::UnknownExtension { critical: true },
        Fault::DuplicateExtension(Extension::Label),
        Fault::MissingExtension(Extension::Label),
        Fault::ExtensionCriticality(Extension::Label),
        Fault::ExtensionOrder,
        Fault::BasicConstraints,
        Fault::KeyUsage,
        Fault::ExtendedKeyUsage,
        Fault::UnknownIssuer,
        Fault::IssuerName,
        Fault::ExtensionValue(Extension::Label),
        Fault::SubjectName,
        Fault::SubjectKey,
        Fault::SubjectKeyIdentifier,
        Fault::Validity,
        Fault::Lifetime,
        Fault::NotYetValid,
        Fault::Expired,
        Fault::RootNotValid,
        Fault::NotCanonical,
        Fault::ReaderKey,
        Fault::Signature,
    ];
    let refusals = [
        Refusal::NoCertificates,
        Refusal::TooManyCertificates { count: 17 },
        Refusal::RepeatedOrganisation(name("a")),
        Refusal::Disagreement {
            index: 1,
            field: Extension::Label,
        },
        Refusal::Chain,
        Refusal::Installation,
        Refusal::PolicyVersion {
            certified: 1,
            pinned: 2,
        },
        Refusal::WriteId,
        Refusal::KeyId,
        Refusal::Label,
        Refusal::PolicyNotSatisfied {
            policy: String::new(),
        },
        Refusal::WrapProof,
        Refusal::NoLongerValid,
    ];
    let mut codes: Vec<&str> = faults.iter().map(|fault| fault.code()).collect();
    codes.extend(refusals.iter().map(|refusal| refusal.code()));
    let count = codes.len();
    assert!(codes.iter().all(|code| {
        code.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    }));
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), count);
    let within = Refusal::Certificate {
        index: 0,
        fault: Fault::Expired,
    };
    assert_eq!(within.code(), Fault::Expired.code());
}
