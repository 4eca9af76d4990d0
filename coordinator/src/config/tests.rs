use super::*;
use approval::{Authority, OrganisationConfig};

type Spoil = fn(&mut LimitsConfig);

fn key(seed: u8) -> String {
    hex::encode(
        ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
            .verifying_key()
            .as_bytes(),
    )
}

fn root() -> Vec<u8> {
    let name = Name::new("north").unwrap();
    Authority::generate(&name, &[1; 32], 1_800_000_000_000).unwrap()
}

pub(crate) fn config() -> Config {
    let node = |seed: u8| NodeConfig {
        name: format!("node-{seed}"),
        identity: key(seed),
        address: "127.0.0.1:1".into(),
    };
    let endorser = EndorserConfig {
        organisation: "north".into(),
        identity: key(9),
        address: "127.0.0.1:2".into(),
    };
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        operations: ([127, 0, 0, 1], 0).into(),
        directory: "data".into(),
        passphrase_file: "passphrase".into(),
        identity_file: None,
        installation: "test".into(),
        approval: ApprovalConfig {
            chain_id: "02".repeat(32),
            version: 1,
            policy: "OUTOF(1, north)".into(),
            organisations: vec![OrganisationConfig {
                name: "north".into(),
                root: approval::pem::encode(&root()),
            }],
        },
        nodes: (1..=3).map(node).collect(),
        endorsers: vec![endorser],
        limits: LimitsConfig::default(),
    }
}

#[test]
fn the_defaults_hold_together() {
    let settings = Settings::check(&config()).unwrap();
    assert_eq!((settings.nodes.len(), settings.endorsers.len()), (3, 1));
}

#[test]
fn d2_a_key_that_stands_twice_is_refused() {
    let mut twice = config();
    twice.nodes[2].identity = twice.nodes[0].identity.to_uppercase();
    assert_eq!(
        Settings::check(&twice).unwrap_err(),
        SettingError::Repeated("nodes[2]".into())
    );
    let mut both = config();
    both.endorsers[0].identity = key(1);
    assert_eq!(
        Settings::check(&both).unwrap_err(),
        SettingError::Repeated("endorsers[0]".into())
    );
}

#[test]
fn d3_what_is_no_proper_key_is_refused_by_its_place() {
    let identity_point = format!("01{}", "00".repeat(31));
    for wrong in [
        String::new(),
        "zz".repeat(32),
        key(1)[2..].to_owned(),
        identity_point,
    ] {
        let mut config = config();
        config.nodes[1].identity = wrong;
        assert_eq!(
            Settings::check(&config).unwrap_err(),
            SettingError::Identity("nodes[1]".into())
        );
    }
}

#[test]
fn empty_lists_and_senseless_limits_are_refused() {
    let mut nobody = config();
    nobody.nodes.clear();
    assert_eq!(
        Settings::check(&nobody).unwrap_err(),
        SettingError::Empty("nodes")
    );
    let mut nowhere = config();
    nowhere.endorsers.clear();
    assert_eq!(
        Settings::check(&nowhere).unwrap_err(),
        SettingError::Empty("endorsers")
    );
    let limits: [(Spoil, &str); 17] = [
        (|limits| limits.deadline_ms = 0, "deadline_ms is 0"),
        (|limits| limits.hedge_min_ms = 0, "hedge_min_ms is 0"),
        (|limits| limits.hedge_max_ms = 1, "hedge_max_ms is 1"),
        (|limits| limits.in_progress = 0, "in_progress is 0"),
        (|limits| limits.in_progress = 65_537, "in_progress is 65537"),
        (
            |limits| limits.requests_per_second = 0,
            "requests_per_second is 0",
        ),
        (|limits| limits.burst = 0, "burst is 0"),
        (|limits| limits.peers = 0, "peers is 0"),
        (|limits| limits.connections = 0, "connections is 0"),
        (|limits| limits.connections = 65_537, "connections is 65537"),
        (|limits| limits.receipts = 0, "receipts is 0"),
        (
            |limits| limits.receipts_per_transaction = 0,
            "receipts_per_transaction is 0",
        ),
        (
            |limits| limits.receipts_per_transaction = golden_record::MAX_RELEASES + 1,
            "receipts_per_transaction is",
        ),
        (
            |limits| limits.approval_lifetime_s = 0,
            "approval_lifetime_s is 0",
        ),
        (
            |limits| limits.approval_lifetime_s = 601,
            "approval_lifetime_s is 601",
        ),
        (|limits| limits.clock_skew_s = 61, "clock_skew_s is 61"),
        (
            |limits| limits.committee_refresh_ms = 0,
            "committee_refresh_ms is 0",
        ),
    ];
    for (spoil, said) in limits {
        let mut config = config();
        spoil(&mut config.limits);
        let why = Settings::check(&config).unwrap_err().to_string();
        assert!(why.starts_with(&format!("limits.{said}")), "{why}");
        assert!(why.contains(", and must be "), "{why}");
    }
}

#[test]
fn an_installation_or_a_bundle_that_does_not_hold_is_refused_by_its_key() {
    let refused = |change: fn(&mut Config)| {
        let mut config = config();
        change(&mut config);
        Settings::check(&config).unwrap_err().to_string()
    };
    let installation = refused(|config| config.installation = "no name".into());
    assert!(installation.starts_with("installation: "), "{installation}");
    let policy = refused(|config| config.approval.policy = "OUTOF(".into());
    assert!(policy.starts_with("approval.policy: "), "{policy}");
    let root = refused(|config| config.approval.organisations[0].root = "/nowhere/root.pem".into());
    assert!(root.contains("cannot read root /nowhere/root.pem"), "{root}");
}
