use approval::{CertificateFault, TrustBundle, TrustedOrganisation, check_certificate};
use golden_record::{Configuration, DocumentVersion, Encryption, Transaction};
use threshold::encoding::Canonical;

use super::*;
use crate::{
    common::{World, name},
    ledger::Ledger,
    testing::{NOW_MS, commit, founded, id},
};

const SEED: [u8; 32] = [3; 32];
const ROOT_MS: u64 = NOW_MS - 86_400_000;

fn certifier(world: &World, lifetime_s: u32) -> Certifier {
    let root = Authority::generate(&name("alpha"), &SEED, ROOT_MS).unwrap();
    let authority = Authority::from_seed(&SEED, &root).unwrap();
    Certifier::new(authority, name("test"), world.genesis.chain_id(), lifetime_s, 1)
}

fn trust(world: &World) -> TrustBundle {
    let root_der = Authority::generate(&name("alpha"), &SEED, ROOT_MS).unwrap();
    let organisation = TrustedOrganisation::new(name("alpha"), &root_der).unwrap();
    TrustBundle::new(
        1,
        world.genesis.chain_id(),
        name("test"),
        vec![organisation],
        "AND(alpha)".parse().unwrap(),
    )
    .unwrap()
}

fn committed(ledger: &Ledger, transaction: &Transaction) -> Committed {
    commit(ledger, std::slice::from_ref(transaction), NOW_MS);
    Committed::find(&ledger.store().snapshot().unwrap(), id(transaction))
        .unwrap()
        .unwrap()
}

fn approve(
    certifier: &Certifier,
    ledger: &Ledger,
    read: &Committed,
    now_ms: u64,
) -> Result<Approval, ApproveError> {
    certifier.approve(&ledger.store().snapshot().unwrap(), read, now_ms)
}

/// Whether a crypto node would take the certificate at a time.
fn accepted(world: &World, certificate: &[u8], now_ms: u64) -> Result<(), CertificateFault> {
    let limits = approval::Limits {
        max_skew_s: 0,
        ..approval::Limits::default()
    };
    check_certificate(certificate, &trust(world), now_ms, &limits).map(drop)
}

#[test]
fn p1_an_approved_read_gets_a_certificate_that_says_what_the_chain_says() {
    let world = World::new(NOW_MS);
    let ledger = founded(&world);
    let read = committed(&ledger, &world.request_read());
    let approval = approve(&certifier(&world, 120), &ledger, &read, NOW_MS).unwrap();
    let document = DocumentVersion::from_bytes(&approval.document).unwrap();
    let wrapped = document.wrapped_key.unwrap();
    let (_, fields) = check_certificate(
        &approval.certificate,
        &trust(&world),
        NOW_MS,
        &approval::Limits::default(),
    )
    .unwrap();
    assert_eq!(fields.approve_id, read.id);
    assert_eq!(fields.write_id, wrapped.write_id());
    assert_eq!(fields.key_id, wrapped.key_id());
    assert_eq!(fields.label, *wrapped.label());
    assert_eq!((fields.height, fields.block_hash), (9, ledger.store().tip().hash));
    assert_eq!(fields.chain_id, world.genesis.chain_id());
    assert_eq!(fields.policy_version, 1);
}

#[test]
fn d18_nothing_but_an_approved_read_gets_a_certificate() {
    let world = World::new(NOW_MS);
    let ledger = founded(&world);
    let certifier = certifier(&world, 120);
    let denied = committed(
        &ledger,
        &world.request_read_by("writer", &world.writer, NOW_MS + 60_000),
    );
    assert!(matches!(
        approve(&certifier, &ledger, &denied, NOW_MS),
        Err(ApproveError::NotApproved)
    ));
    let other = committed(&ledger, &world.write_document("other", 1));
    assert!(matches!(
        approve(&certifier, &ledger, &other, NOW_MS),
        Err(ApproveError::NotApproved)
    ));
}

#[test]
fn d9_a_certificate_lives_no_longer_than_the_request_and_the_maximum() {
    let world = World::new(NOW_MS);
    let ledger = founded(&world);
    let long = committed(&ledger, &world.request_read());
    let certificate = approve(&certifier(&world, 600), &ledger, &long, NOW_MS)
        .unwrap()
        .certificate;
    // The maximum of 120 s counts from the backdated beginning, 5 s ago.
    assert!(accepted(&world, &certificate, NOW_MS - 5_000).is_ok());
    assert_eq!(
        accepted(&world, &certificate, NOW_MS - 6_000),
        Err(CertificateFault::NotYetValid)
    );
    assert!(accepted(&world, &certificate, NOW_MS + 115_000).is_ok());
    assert_eq!(
        accepted(&world, &certificate, NOW_MS + 116_000),
        Err(CertificateFault::Expired)
    );

    let short = committed(
        &ledger,
        &world.request_read_by("reader", &world.reader, NOW_MS + 30_000),
    );
    let certificate = approve(&certifier(&world, 120), &ledger, &short, NOW_MS)
        .unwrap()
        .certificate;
    assert!(accepted(&world, &certificate, NOW_MS + 30_000).is_ok());
    assert_eq!(
        accepted(&world, &certificate, NOW_MS + 31_000),
        Err(CertificateFault::Expired)
    );
}

#[test]
fn e5_an_expired_request_gets_no_certificate() {
    let world = World::new(NOW_MS);
    let ledger = founded(&world);
    let certifier = certifier(&world, 120);
    let read = committed(
        &ledger,
        &world.request_read_by("reader", &world.reader, NOW_MS + 30_000),
    );
    assert!(approve(&certifier, &ledger, &read, NOW_MS + 28_000).is_ok());
    assert!(matches!(
        approve(&certifier, &ledger, &read, NOW_MS + 30_000),
        Err(ApproveError::Expired)
    ));
}

/// A certificate counts in whole seconds: in the last one of the request there is none left to live.
#[test]
fn e5_a_request_in_its_last_second_gets_no_certificate() {
    let world = World::new(NOW_MS);
    let ledger = founded(&world);
    let certifier = certifier(&world, 120);
    let read = committed(
        &ledger,
        &world.request_read_by("reader", &world.reader, NOW_MS + 30_900),
    );
    assert!(matches!(
        approve(&certifier, &ledger, &read, NOW_MS + 30_100),
        Err(ApproveError::Expired)
    ));
    let certificate = approve(&certifier, &ledger, &read, NOW_MS + 29_999)
        .unwrap()
        .certificate;
    assert!(accepted(&world, &certificate, NOW_MS + 30_000).is_ok());
    assert_eq!(
        accepted(&world, &certificate, NOW_MS + 31_000),
        Err(CertificateFault::Expired)
    );
}

#[test]
fn a_configured_lifetime_that_is_no_life_is_the_shortest() {
    let world = World::new(NOW_MS);
    let ledger = founded(&world);
    let read = committed(&ledger, &world.request_read());
    let certifier = certifier(&world, 1);
    let certificate = approve(&certifier, &ledger, &read, NOW_MS).unwrap().certificate;
    // Asked again at once, as by a client with several connections, it is not made again.
    assert!(!approve(&certifier, &ledger, &read, NOW_MS).unwrap().fresh);
    assert!(accepted(&world, &certificate, NOW_MS + 5_000).is_ok());
    assert_eq!(
        accepted(&world, &certificate, NOW_MS + 6_000),
        Err(CertificateFault::Expired)
    );
}

#[test]
fn d13_a_read_of_the_latest_version_is_certified_for_the_version_that_it_was() {
    let world = World::new(NOW_MS);
    let ledger = founded(&world);
    let certifier = certifier(&world, 120);
    let first = committed(&ledger, &world.request_read_of(0));
    committed(&ledger, &world.write_document(crate::common::DOCUMENT, 2));
    let second = committed(&ledger, &world.request_read_of(0));
    let of = |read: &Committed| {
        let approval = approve(&certifier, &ledger, read, NOW_MS).unwrap();
        let limits = approval::Limits::default();
        let checked = check_certificate(&approval.certificate, &trust(&world), NOW_MS, &limits);
        let document = DocumentVersion::from_bytes(&approval.document).unwrap();
        (checked.unwrap().1.label.version, document.version)
    };
    assert_eq!((of(&first), of(&second)), ((1, 1), (2, 2)));

    // What was approved is gone; that there is a newer version does not matter.
    let erase = Body::EraseDocument {
        tenant: name("north"),
        dataset: name("loans"),
        document: crate::common::DOCUMENT.parse().unwrap(),
        version: 1,
    };
    committed(&ledger, &world.sign(&world.writer, erase));
    let refused = approve(&certifier, &ledger, &first, NOW_MS).unwrap_err();
    assert!(matches!(refused, ApproveError::Withdrawn(_)), "{refused}");
    assert_eq!(of(&second), (2, 2));
}

#[test]
fn a_repeat_gets_the_same_certificate_while_it_has_half_its_life() {
    let world = World::new(NOW_MS);
    let ledger = founded(&world);
    let certifier = certifier(&world, 100);
    let read = committed(&ledger, &world.request_read());
    let first = approve(&certifier, &ledger, &read, NOW_MS).unwrap();
    // Of 100 s it has begun 5 s ago.
    let second = approve(&certifier, &ledger, &read, NOW_MS + 44_999).unwrap();
    assert!(first.fresh && !second.fresh);
    assert_eq!(first.certificate, second.certificate);
    let third = approve(&certifier, &ledger, &read, NOW_MS + 45_000).unwrap();
    assert!(third.fresh && third.certificate != first.certificate);
}

#[test]
fn a_revocation_ends_the_certificates_of_approved_reads() {
    let world = World::new(NOW_MS);
    let ledger = founded(&world);
    let certifier = certifier(&world, 120);
    let (read, unused) = (
        committed(&ledger, &world.request_read()),
        committed(&ledger, &world.request_read()),
    );
    approve(&certifier, &ledger, &read, NOW_MS).unwrap();
    committed(&ledger, &world.revoke_reader());
    // Neither the one in the cache again, nor a first one.
    for read in [read, unused] {
        let refused = approve(&certifier, &ledger, &read, NOW_MS + 1).unwrap_err();
        assert!(
            matches!(refused, ApproveError::Withdrawn(DenialReason::NotAReader)),
            "{refused}"
        );
    }
    let next = committed(&ledger, &world.request_read());
    assert!(matches!(
        approve(&certifier, &ledger, &next, NOW_MS),
        Err(ApproveError::NotApproved)
    ));
}

#[test]
fn a_document_without_a_wrapped_key_is_given_without_a_certificate() {
    let world = World::new(NOW_MS);
    let ledger = founded(&world);
    let configuration = Configuration {
        encryption: Encryption::Platform,
        ..Configuration::default()
    };
    let (tenant, dataset) = (name("north"), name("loans"));
    let configure = Body::ConfigureDataset {
        tenant,
        dataset,
        configuration,
        expected: None,
    };
    committed(&ledger, &world.sign(&world.writer, configure));
    let mut open = world.write_document(crate::common::DOCUMENT, 2);
    if let Body::WriteDocument { wrapped_key, .. } = &mut open.body {
        *wrapped_key = None;
    }
    committed(&ledger, &world.sign(&world.writer, open.body));
    let read = committed(&ledger, &world.request_read_of(2));
    let refused = approve(&certifier(&world, 120), &ledger, &read, NOW_MS);
    assert!(matches!(refused, Err(ApproveError::NotApproved)));
    let given = |read, now_ms| document(&ledger.store().snapshot().unwrap(), read, now_ms);
    let found = DocumentVersion::from_bytes(&given(&read, NOW_MS).unwrap()).unwrap();
    assert_eq!((found.version, found.wrapped_key), (2, None));
    let expires_ms = read.entry().transaction.expires_ms;
    assert!(matches!(given(&read, expires_ms), Err(ApproveError::Expired)));
    let denied = committed(
        &ledger,
        &world.request_read_by("writer", &world.writer, NOW_MS + 60_000),
    );
    assert!(matches!(given(&denied, NOW_MS), Err(ApproveError::NotApproved)));
    committed(&ledger, &world.revoke_reader());
    assert!(matches!(
        given(&read, NOW_MS),
        Err(ApproveError::Withdrawn(DenialReason::NotAReader))
    ));
}

#[test]
fn the_cache_is_bounded() {
    let world = World::new(NOW_MS);
    let certifier = certifier(&world, 120);
    let certificate = Certificate {
        der: Arc::from([0].as_slice()),
        renew_after_ms: u64::MAX,
    };
    // Renewed ones take no second place.
    for _ in 0..10 {
        certifier.keep([0; 32].into(), certificate.clone());
    }
    assert_eq!(certifier.issued.lock().unwrap().order.len(), 1);
    for number in 0..=CACHED {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        certifier.keep(id.into(), certificate.clone());
    }
    assert_eq!(certifier.issued.lock().unwrap().certificates.len(), CACHED);
    assert!(certifier.issued_before(&[0; 32].into(), NOW_MS).is_none());
}
