//! What may be pinned, and what a trust bundle refuses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use quorate_approval::{MAX_ROOT_SIZE, RootFault, TrustBundle, TrustError, TrustedOrganisation};
use support::{
    Fixture, Forge, ForgedExtension, NOW_MS, algorithm, common_name, name, root, seed, seq, spki, tlv,
    trusted, utc_time,
};

fn fault_of(der: &[u8]) -> RootFault {
    match TrustedOrganisation::new(name("bank"), der).unwrap_err() {
        TrustError::Root { fault, organisation } if organisation == name("bank") => fault,
        other => panic!("{other:?}"),
    }
}

fn fault(change: impl FnOnce(&mut Forge)) -> RootFault {
    fault_of(&Forge::root("bank", seed(0)).with(change).build())
}

#[test]
fn the_forge_itself_is_accepted() {
    let pinned = TrustedOrganisation::new(name("bank"), &Forge::root("bank", seed(0)).build()).unwrap();
    assert_eq!(*pinned.public_key(), *support::authority(0).public_key());
    assert!(pinned.validity().contains(&(NOW_MS / 1000)));
}

#[test]
fn d3_weak_root_keys_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let order_eight = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
    let order_eight: [u8; 32] = hex::decode(order_eight).unwrap().try_into().unwrap();
    let mut non_canonical = [0xff; 32];
    non_canonical[0] = 0xee;
    non_canonical[31] = 0x7f;
    for weak in [identity, [0; 32], order_eight, non_canonical] {
        assert_eq!(fault(|forge| forge.set_root_key(&weak)), RootFault::WeakKey);
    }
}

#[test]
fn d4_a_leaf_is_not_a_root() {
    assert_eq!(fault_of(&Fixture::new().issue(0)), RootFault::NotSelfIssued);
    for value in [seq(&[]), seq(&[&tlv(2, &[0])])] {
        assert_eq!(
            fault(|forge| forge.extensions[2].value = value),
            RootFault::NotACa
        );
    }
    assert_eq!(
        fault(|forge| forge.extensions[2].critical = false),
        RootFault::NotACa
    );
    assert_eq!(fault(|forge| drop(forge.extensions.remove(2))), RootFault::NotACa);
}

#[test]
fn d4_a_root_may_sign_certificates() {
    for value in [vec![3, 2, 7, 0x80], vec![3, 2, 1, 2], vec![3, 1, 0]] {
        assert_eq!(
            fault(|forge| forge.extensions[0].value = value),
            RootFault::KeyUsage
        );
    }
    assert_eq!(
        fault(|forge| forge.extensions[0].critical = false),
        RootFault::KeyUsage
    );
    assert_eq!(
        fault(|forge| drop(forge.extensions.remove(0))),
        RootFault::KeyUsage
    );
    let with_crl_sign =
        Forge::root("bank", seed(0)).with(|forge| forge.extensions[0].value = vec![3, 2, 1, 6]);
    assert!(TrustedOrganisation::new(name("bank"), &with_crl_sign.build()).is_ok());
}

#[test]
fn a_root_is_signed_by_itself() {
    assert_eq!(fault(|forge| forge.signer = [66; 32]), RootFault::SelfSignature);
    assert_eq!(
        fault(|forge| forge.issuer = common_name("another")),
        RootFault::NotSelfIssued
    );
}

#[test]
fn a_root_is_ed25519_throughout() {
    let ed448 = algorithm(&[0x2b, 0x65, 0x71]);
    assert_eq!(
        fault(|forge| forge.inner_algorithm = ed448.clone()),
        RootFault::Algorithm
    );
    assert_eq!(
        fault(|forge| forge.outer_algorithm = ed448.clone()),
        RootFault::Algorithm
    );
    let key = *support::authority(0).public_key().as_bytes();
    assert_eq!(
        fault(|forge| forge.spki = seq(&[&ed448, &tlv(3, &[&[0], key.as_slice()].concat())])),
        RootFault::Algorithm
    );
    // It ends like the right one: Ed25519 as a parameter of something else.
    let within_another = seq(&[&tlv(6, &[0x2b, 0x65, 0x71]), &algorithm(&support::ED25519_OID)]);
    assert_eq!(
        fault(|forge| forge.outer_algorithm = within_another),
        RootFault::Algorithm
    );
    assert_eq!(
        fault(|forge| forge.signature_tail = vec![0]),
        RootFault::Algorithm
    );
    assert_eq!(
        fault(|forge| forge.spki = [spki(&key), vec![5, 0]].concat()),
        RootFault::NotX509
    );
}

#[test]
fn a_roots_form_and_extensions_are_checked() {
    assert_eq!(fault_of(&[]), RootFault::Size);
    assert_eq!(fault_of(&vec![0x30; MAX_ROOT_SIZE + 1]), RootFault::Size);
    assert!(matches!(
        fault_of(&[root(0), vec![0]].concat()),
        RootFault::Der(_)
    ));
    assert_eq!(fault(|forge| forge.version = vec![]), RootFault::NotX509);
    assert_eq!(
        fault(|forge| forge.extensions.push(forge.extensions[2].clone())),
        RootFault::Extensions
    );
    let extra = |critical| ForgedExtension {
        oid: vec![0x2a, 3],
        critical,
        value: vec![5, 0],
    };
    assert_eq!(
        fault(|forge| forge.extensions.push(extra(true))),
        RootFault::Extensions
    );
    let harmless = Forge::root("bank", seed(0))
        .with(|forge| forge.extensions.push(extra(false)))
        .build();
    assert!(TrustedOrganisation::new(name("bank"), &harmless).is_ok());
    assert_eq!(
        fault(|forge| drop(forge.extensions.remove(1))),
        RootFault::SubjectKeyIdentifier
    );
    for length in [19, 21] {
        assert_eq!(
            fault(|forge| forge.extensions[1].value = tlv(4, &vec![1; length])),
            RootFault::SubjectKeyIdentifier
        );
    }
    assert_eq!(
        fault(|forge| forge.not_before = utc_time("691231235959Z")),
        RootFault::Validity
    );
    assert_eq!(
        fault(|forge| forge.not_after = utc_time("270115075959Z")),
        RootFault::Validity
    );
}

fn bundle(organisations: Vec<TrustedOrganisation>, policy: &str) -> Result<TrustBundle, TrustError> {
    TrustBundle::new(
        1,
        [1; 32].into(),
        name("test"),
        organisations,
        policy.parse().unwrap(),
    )
}

#[test]
fn d2_one_key_under_two_names_is_refused() {
    let mut organisations = trusted();
    organisations.push(TrustedOrganisation::new(name("sister"), &root(0)).unwrap());
    assert_eq!(
        bundle(organisations, "bank"),
        Err(TrustError::RepeatedKey(name("bank"), name("sister")))
    );
    // The same key in another root certificate is still the same key.
    let mut organisations = trusted();
    let renamed = Forge::root("sister", seed(0)).build();
    organisations.push(TrustedOrganisation::new(name("sister"), &renamed).unwrap());
    assert_eq!(
        bundle(organisations, "bank"),
        Err(TrustError::RepeatedKey(name("bank"), name("sister")))
    );
}

#[test]
fn two_roots_of_one_name_or_one_identifier_are_refused() {
    let mut organisations = trusted();
    organisations
        .push(TrustedOrganisation::new(name("bank"), &Forge::root("bank", [66; 32]).build()).unwrap());
    assert_eq!(
        bundle(organisations, "bank"),
        Err(TrustError::RepeatedName(name("bank")))
    );
    let copied = Forge::root("bank", seed(0)).extensions[1].value.clone();
    let imitation = Forge::root("imitator", [66; 32])
        .with(|forge| forge.extensions[1].value = copied)
        .build();
    let mut organisations = trusted();
    organisations.push(TrustedOrganisation::new(name("imitator"), &imitation).unwrap());
    assert_eq!(
        bundle(organisations, "bank"),
        Err(TrustError::RepeatedKeyIdentifier(name("bank"), name("imitator")))
    );
}

#[test]
fn a_policy_that_no_request_can_satisfy_is_refused() {
    let organisations: Vec<TrustedOrganisation> = (0..17)
        .map(|place| {
            let text = format!("o{place}");
            let root = Forge::root(&text, [100 + place; 32]).build();
            TrustedOrganisation::new(name(&text), &root).unwrap()
        })
        .collect();
    let names = (0..17)
        .map(|place| format!("o{place}"))
        .collect::<Vec<_>>()
        .join(", ");
    let all = bundle(organisations.clone(), &format!("AND({names})"));
    assert_eq!(all, Err(TrustError::TooManyNeeded(17)));
    assert!(bundle(organisations, &format!("OUTOF(16, {names})")).is_ok());
}

#[test]
fn a_policy_names_only_pinned_organisations() {
    assert_eq!(
        bundle(trusted(), "AND(bank, nobody)"),
        Err(TrustError::UnknownOrganisation(name("nobody")))
    );
    assert_eq!(bundle(vec![], "bank"), Err(TrustError::OrganisationCount(0)));
    assert_eq!(
        bundle(vec![trusted().remove(0); 65], "bank"),
        Err(TrustError::OrganisationCount(65))
    );
}
