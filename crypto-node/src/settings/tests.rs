//! Configurations that a node does not start with.

use super::*;
use crate::config::{JournalConfig, LimitsConfig, MemberConfig, SealsConfig};
use crate::tests::world::{CHAIN, NOW_MS, roots};
use approval::{ApprovalConfig, OrganisationConfig};

fn key(seed: u8) -> [u8; 32] {
    let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    PublicKey::of(&key).to_bytes()
}

fn text(seed: u8) -> String {
    hex::encode(key(seed))
}

/// Three members, two coordinators, two operators, three organisations; this node is member 2.
fn config() -> Config {
    let member = |seed: u8| MemberConfig {
        name: format!("node-{seed}"),
        identity: text(seed),
        address: format!("192.0.2.{seed}:7000"),
    };
    let organisation = |(name, root): (&str, Vec<u8>)| OrganisationConfig {
        name: name.into(),
        root: approval::pem::encode(&root),
    };
    Config {
        name: "node-2".into(),
        installation: "test".into(),
        listen: "127.0.0.1:1".parse().unwrap(),
        operations: "127.0.0.1:2".parse().unwrap(),
        directory: "/nowhere".into(),
        passphrase_file: None,
        seal: SealsConfig::default(),
        identity_file: None,
        members: [1, 2, 3].map(member).into(),
        coordinators: vec![text(11), text(12)],
        operators: vec![text(21), text(22)],
        approval: ApprovalConfig {
            chain_id: CHAIN.to_string(),
            version: 4,
            policy: "OUTOF(2, north, south, east)".into(),
            organisations: roots(NOW_MS).into_iter().map(organisation).collect(),
        },
        journal: JournalConfig::default(),
        limits: LimitsConfig {
            approval_lifetime_s: 90,
            clock_skew_s: 7,
            ..LimitsConfig::default()
        },
    }
}

/// What makes a limit senseless, and what is said of it.
type Spoilt = (fn(&mut LimitsConfig), &'static str);

/// Where the fault is, and what makes it.
type Case<'a> = (&'a str, &'a dyn Fn(&mut Config));

/// Why it is refused.
fn refused(change: impl FnOnce(&mut Config)) -> String {
    let mut config = config();
    change(&mut config);
    format!("{:#}", Settings::check(&config, &key(2)).unwrap_err())
}

#[test]
fn what_holds_becomes_settings() {
    let settings = Settings::check(&config(), &key(2)).unwrap();
    assert_eq!(settings.installation.as_str(), "test");
    assert_eq!(settings.me.get(), 2);
    let seats: Vec<_> = settings.seats.iter().map(|seat| seat.index.get()).collect();
    assert_eq!(seats, [1, 2, 3]);
    assert_eq!(settings.seats[2].address, "192.0.2.3:7000");
    assert_eq!(settings.coordinators, [key(11), key(12)].into());
    assert_eq!(settings.operators, [key(21), key(22)].into());
    let limits = (settings.limits.max_lifetime_s, settings.limits.max_skew_s);
    assert_eq!(limits, (90, 7));
}

#[test]
fn p11_only_members_coordinators_and_operators_connect_each_in_its_role() {
    let settings = Settings::check(&config(), &key(2)).unwrap();
    let all = [1, 2, 3, 11, 12, 21, 22].map(key);
    assert_eq!(settings.peers(), all.into());
    let seat = |seed| settings.node(&key(seed)).map(|seat| seat.index.get());
    assert_eq!(
        [1, 2, 3, 11, 21, 99].map(seat),
        [Some(1), Some(2), Some(3), None, None, None]
    );
}

#[test]
fn a8_p11_members_that_are_not_distinct_are_refused_by_their_place() {
    let same_key = refused(|config| config.members[2].identity = text(1));
    assert_eq!(same_key, "members[2]: another member has this identity");
    let same_name = refused(|config| config.members[2].name = "node-1".into());
    assert_eq!(same_name, "members[2]: another member has this name");
}

#[test]
fn a12_a_committee_of_one_or_of_too_many_is_refused() {
    let alone = refused(|config| {
        config.members.remove(0);
        config.members.remove(1);
    });
    assert_eq!(alone, "members: a committee has at least two");
    let many = refused(|config| {
        for number in 4..=300_u16 {
            let mut seed = [0; 32];
            seed[..2].copy_from_slice(&number.to_be_bytes());
            let key = ed25519_dalek::SigningKey::from_bytes(&seed);
            config.members.push(MemberConfig {
                name: format!("node-{number}"),
                identity: PublicKey::of(&key).to_string(),
                address: "192.0.2.1:7000".into(),
            });
        }
    });
    assert!(many.starts_with("members["), "{many}");
}

#[test]
fn a13_a_node_that_is_not_the_member_it_is_called_is_refused() {
    let error = Settings::check(&config(), &key(99)).unwrap_err();
    assert!(error.to_string().starts_with("members: none has"), "{error}");
    let other_name = refused(|config| config.name = "node-1".into());
    assert!(other_name.starts_with("name: "), "{other_name}");
}

#[test]
fn p11_a_key_with_two_roles_is_refused() {
    let roles: [fn(&mut Config); 3] = [
        |config| config.coordinators[1] = text(3),
        |config| config.operators[1] = text(3),
        |config| config.operators[1] = text(11),
    ];
    for change in roles {
        let why = refused(change);
        assert!(why.contains("has two roles"), "{why}");
    }
}

#[test]
fn d3_keys_and_names_that_are_none_are_refused_by_their_place() {
    // Of small order: signatures under it mean nothing.
    let weak = format!("01{}", "0".repeat(62));
    let cases: [Case<'_>; 8] = [
        ("installation", &|config| config.installation = "no name".into()),
        ("members[1]", &|config| config.members[1].name = "no name".into()),
        ("members[1]", &|config| config.members[1].identity = weak.clone()),
        ("members[0]", &|config| config.members[0].identity = "12".into()),
        ("coordinators", &|config| config.coordinators[0] = weak.clone()),
        ("coordinators", &|config| config.coordinators[1] = String::new()),
        ("operators", &|config| config.operators[0] = weak.clone()),
        ("operators", &|config| config.operators[1] = "zz".repeat(32)),
    ];
    for (place, change) in cases {
        let why = refused(change);
        assert!(why.starts_with(place), "{place}: {why}");
    }
}

#[test]
fn p11_d2_a_trust_bundle_that_does_not_hold_is_refused() {
    let cases: [Case<'_>; 8] = [
        ("approval.chain_id", &|config| {
            config.approval.chain_id = "12".into()
        }),
        ("approval.policy", &|config| {
            config.approval.policy = "OUTOF(".into()
        }),
        // An organisation that the policy names and nobody pins.
        ("approval", &|config| {
            config.approval.policy = "OUTOF(2, north, south, west)".into();
        }),
        ("approval", &|config| {
            config.approval.organisations[1].root = config.approval.organisations[0].root.clone();
        }),
        ("approval", &|config| {
            config.approval.organisations[1].name = "north".into();
        }),
        ("approval.organisations: no name", &|config| {
            config.approval.organisations[0].name = "no name".into();
        }),
        ("approval.organisations: north: cannot read root", &|config| {
            config.approval.organisations[0].root = "/nowhere/root.pem".into();
        }),
        ("approval.organisations: north", &|config| {
            config.approval.organisations[0].root.truncate(100);
        }),
    ];
    for (place, change) in cases {
        let why = refused(change);
        assert!(why.starts_with(place), "{place}: {why}");
    }
}

#[test]
fn limits_that_are_out_of_their_range_are_refused_with_it() {
    let cases: [Spoilt; 9] = [
        (
            |limits| limits.requests_per_second = 0,
            "limits.requests_per_second is 0, and must be at least 1",
        ),
        (
            |limits| limits.burst = 0,
            "limits.burst is 0, and must be at least 1",
        ),
        (
            |limits| limits.approval_lifetime_s = 0,
            "limits.approval_lifetime_s is 0, and must be 1 to 600",
        ),
        (
            |limits| limits.approval_lifetime_s = 601,
            "limits.approval_lifetime_s is 601, and must be 1 to 600",
        ),
        (
            |limits| limits.clock_skew_s = 61,
            "limits.clock_skew_s is 61, and must be 0 to 60",
        ),
        (
            |limits| limits.ceremony_s = 0,
            "limits.ceremony_s is 0, and must be 1 to 86400",
        ),
        (
            |limits| limits.ceremony_s = 86_401,
            "limits.ceremony_s is 86401, and must be 1 to 86400",
        ),
        (
            |limits| limits.connections = 0,
            "limits.connections is 0, and must be 1 to 65536",
        ),
        (
            |limits| limits.connections = 65_537,
            "limits.connections is 65537, and must be 1 to 65536",
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(refused(|config| change(&mut config.limits)), expected);
    }
}

#[test]
fn a_root_may_be_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config();
    for organisation in &mut config.approval.organisations {
        let path = directory.path().join(&organisation.name);
        std::fs::write(&path, &organisation.root).unwrap();
        organisation.root = path.to_str().unwrap().to_owned();
    }
    Settings::check(&config, &key(2)).unwrap();
}
