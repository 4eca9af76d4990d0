//! What an honest authority issues, and who accepts it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::process::Command;

use quorate_approval::{
    Authority, AuthorityError, Limits, MAX_CERTIFICATE_SIZE, MAX_LIFETIME_S, MAX_ROOT_SIZE, Refusal,
    RootFault, check_certificate, pem,
};
use sha2::{Digest, Sha256};
use support::{Fixture, Forge, LIFETIME_S, NOW_MS, ORGANISATIONS, authority, name, root, seed};
use threshold::label::Label;

#[test]
fn a_quorum_of_organisations_approves() {
    let fixture = Fixture::new();
    let approved = fixture.check(&fixture.issue_all(&[3, 0, 2])).unwrap();
    assert_eq!(*approved.fields(), fixture.fields);
    assert_eq!(approved.approve_id(), fixture.fields.approve_id);
    assert_eq!(approved.write_id(), fixture.wrapped.write_id());
    assert_eq!(approved.q(), fixture.fields.q);
    assert_eq!(approved.key_id(), fixture.wrapped.key_id());
    assert_eq!(approved.label(), fixture.wrapped.label());
    assert_eq!(approved.chain_id(), fixture.trust.chain_id());
    assert_eq!(approved.height(), fixture.fields.height);
    assert_eq!(approved.block_hash(), fixture.fields.block_hash);
    assert_eq!(approved.policy_version(), fixture.trust.version());
    assert_eq!(approved.expires_ms(), NOW_MS + u64::from(LIFETIME_S) * 1000 + 999);
    let names: Vec<&str> = approved.organisations().iter().map(AsRef::as_ref).collect();
    assert_eq!(names, ["bank", "regulator", "university"]);
    assert!(fixture.check(&fixture.issue_all(&[0, 1, 2, 3])).is_ok());
}

#[test]
fn one_certificate_can_be_checked_by_itself() {
    let fixture = Fixture::new();
    let (organisation, fields) =
        check_certificate(&fixture.issue(1), &fixture.trust, NOW_MS, &fixture.limits).unwrap();
    assert_eq!(organisation, name(ORGANISATIONS[1]));
    assert_eq!(fields, fixture.fields);
}

/// The forge writes from the documented profile, so equal bytes mean that the document describes what is issued.
#[test]
fn an_issued_certificate_has_exactly_the_documented_bytes() {
    let fixture = Fixture::new();
    let mut serial = Sha256::new();
    serial.update(b"quorate approval serial v1");
    serial.update(authority(0).public_key().as_bytes());
    serial.update(fixture.fields.approve_id.as_bytes());
    serial.update(fixture.fields.q.as_bytes());
    serial.update((NOW_MS / 1000).to_be_bytes());
    serial.update((NOW_MS / 1000 + u64::from(LIFETIME_S)).to_be_bytes());
    let mut serial = serial.finalize()[..16].to_vec();
    serial[0] = (serial[0] & 0x7f) | 0x40;
    let forged = fixture.forge().with(|forge| forge.serial = serial).build();
    assert_eq!(hex::encode(fixture.issue(0)), hex::encode(forged));
}

#[test]
fn a_root_has_exactly_the_documented_form() {
    let made = root(0);
    let mut forge = Forge::root(ORGANISATIONS[0], seed(0));
    forge.not_before = support::utc_time("270115070000Z");
    let mut serial = Sha256::new();
    serial.update(b"quorate approval root serial v1");
    serial.update(authority(0).public_key().as_bytes());
    serial.update((NOW_MS / 1000).to_be_bytes());
    forge.serial = serial.finalize()[..16].to_vec();
    forge.serial[0] = (forge.serial[0] & 0x7f) | 0x40;
    assert_eq!(hex::encode(made), hex::encode(forge.build()));
}

#[test]
fn the_longest_names_stay_within_the_size_limits() {
    let mut fixture = Fixture::new();
    let longest = name(&"x".repeat(48));
    fixture.fields.label = Label {
        installation: longest.clone(),
        tenant: longest.clone(),
        dataset: longest.clone(),
        document: "x".repeat(96).parse().unwrap(),
        version: u64::MAX,
    };
    let root = Authority::generate(&longest, &seed(0), NOW_MS).unwrap();
    assert!(root.len() <= MAX_ROOT_SIZE);
    let authority = Authority::from_seed(&seed(0), &root).unwrap();
    let certificate = authority.issue(&fixture.fields, NOW_MS, LIFETIME_S).unwrap();
    assert!(
        certificate.len() <= MAX_CERTIFICATE_SIZE / 2,
        "{}",
        certificate.len()
    );
}

#[test]
fn an_authority_refuses_what_it_should_not_issue() {
    let fields = Fixture::new().fields;
    for lifetime in [0, MAX_LIFETIME_S + 1, u32::MAX] {
        assert_eq!(
            authority(0).issue(&fields, NOW_MS, lifetime),
            Err(AuthorityError::Validity)
        );
    }
    assert_eq!(
        authority(0).issue(&fields, u64::MAX, 60),
        Err(AuthorityError::Validity)
    );
    assert_eq!(
        Authority::generate(&name("a"), &seed(0), u64::MAX),
        Err(AuthorityError::Validity)
    );
}

#[test]
fn an_authority_takes_up_only_its_own_root() {
    assert_eq!(
        Authority::from_seed(&seed(1), &root(0)).unwrap_err(),
        AuthorityError::OtherKey
    );
    let leaf = Fixture::new().issue(0);
    assert!(matches!(
        Authority::from_seed(&seed(0), &leaf).unwrap_err(),
        AuthorityError::Root(RootFault::Algorithm | RootFault::NotSelfIssued)
    ));
}

#[test]
fn p15_an_authority_does_not_print_its_key() {
    let printed = format!("{:?}", authority(0));
    assert!(
        printed.contains("public_key") && !printed.contains("10, 10"),
        "{printed}"
    );
}

#[test]
fn d10_an_approval_is_asked_again_before_it_is_used() {
    let fixture = Fixture::new();
    let approved = fixture.check(&fixture.issue_all(&[0, 1, 2])).unwrap();
    let Limits { max_skew_s, .. } = fixture.limits;
    let last = NOW_MS + (u64::from(LIFETIME_S) + max_skew_s) * 1000 + 999;
    for valid in [NOW_MS, NOW_MS - max_skew_s * 1000, last] {
        assert_eq!(approved.still_valid(valid), Ok(()));
    }
    for paused_or_stepped_back in [last + 1, NOW_MS - max_skew_s * 1000 - 1, 0, u64::MAX] {
        assert_eq!(
            approved.still_valid(paused_or_stepped_back),
            Err(Refusal::NoLongerValid)
        );
    }
}

#[test]
fn an_approval_lasts_no_longer_than_its_first_certificate_to_expire() {
    let fixture = Fixture::new();
    let mut certificates = fixture.issue_all(&[0, 1]);
    certificates.push(authority(2).issue(&fixture.fields, NOW_MS - 3000, 20).unwrap());
    let approved = fixture.check(&certificates).unwrap();
    assert_eq!(approved.expires_ms(), NOW_MS + 17_000 + 999);
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(arguments)
        .output()
        .expect("the openssl command (Debian: openssl)");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {text}");
    text
}

/// Needs the `openssl` command (Debian package openssl), and fails without it.
#[test]
fn openssl_prints_and_verifies_an_approval() {
    let fixture = Fixture::new();
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, der: &[u8]| {
        let path = folder.path().join(file);
        std::fs::write(&path, pem::encode(der)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (root, leaf) = (
        write("root.pem", &root(0)),
        write("approval.pem", &fixture.issue(0)),
    );

    let text = openssl(&["x509", "-in", &leaf, "-noout", "-text"]);
    let approve_id = fixture.fields.approve_id.to_string();
    for shown in [
        approve_id.as_str(),
        "ED25519",
        "CA:FALSE",
        "Digital Signature",
        "1.3.6.1.4.1.32473.81.2.1",
    ] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    for component in 1..=9 {
        assert!(
            text.contains(&format!("1.3.6.1.4.1.32473.81.1.{component}: ")),
            "{component} in {text}"
        );
    }

    let now = (NOW_MS / 1000).to_string();
    let verified = openssl(&["verify", "-x509_strict", "-attime", &now, "-CAfile", &root, &leaf]);
    assert!(verified.contains("OK"), "{verified}");
    openssl(&[
        "verify",
        "-attime",
        &now,
        "-CAfile",
        &root,
        "-check_ss_sig",
        &root,
    ]);

    let other = write("other.pem", &support::root(1));
    let refused = Command::new("openssl")
        .args(["verify", "-attime", &now, "-CAfile", &other, &leaf])
        .output()
        .unwrap();
    assert!(!refused.status.success());
}
