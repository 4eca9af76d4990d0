//! What a genesis must be.

use golden_record::{Block, Genesis, GenesisError, Limits, Organisation, Outcome, queries};
use golden_record::{DenialReason, RejectionReason};
use threshold::encoding::{Canonical, DecodeError};

use crate::support::{START_MS, World, genesis, name, organisation, public};

fn build(organisations: Vec<Organisation>, limits: Limits) -> Result<Genesis, GenesisError> {
    Genesis::new(
        name("test-net"),
        START_MS,
        organisations,
        vec![public("coordinator")],
        Vec::new(),
        limits,
    )
}

#[test]
fn a_genesis_travels_and_names_its_chain() {
    let genesis = genesis();
    let again = Genesis::from_bytes(&genesis.to_bytes()).unwrap();
    assert_eq!(again, genesis);
    assert_eq!(again.chain_id(), genesis.chain_id());
    let other = build((0..4).map(organisation).collect(), Limits::default()).unwrap();
    assert_ne!(other.chain_id(), genesis.chain_id());
    let world = World::empty(8);
    assert_eq!(queries::genesis(&world.state).unwrap(), genesis);
    assert_eq!(queries::header(&world.state).unwrap(), world.header);
    assert_eq!(
        Block::from_bytes(&world.blocks[0].to_bytes()).unwrap(),
        world.blocks[0]
    );
}

#[test]
fn validators_are_ordered_by_their_bytes() {
    let genesis = genesis();
    let validators = genesis.validators();
    assert!(
        validators
            .windows(2)
            .all(|pair| pair[0].as_bytes() < pair[1].as_bytes())
    );
    assert_eq!((validators.len(), genesis.quorum().unwrap().needed()), (4, 3));
}

#[test]
fn d2_p11_no_key_stands_twice() {
    let good = || (0..4).map(organisation).collect::<Vec<_>>();
    build(good(), Limits::default()).unwrap();
    let mut two_votes = good();
    two_votes[1].validator = two_votes[0].validator;
    assert!(matches!(
        build(two_votes, Limits::default()),
        Err(GenesisError::DuplicateKey(_))
    ));
    let mut shared = good();
    shared[1].admin = shared[0].validator;
    assert!(matches!(
        build(shared, Limits::default()),
        Err(GenesisError::DuplicateKey(_))
    ));
    let mut coordinator = good();
    coordinator[2].admin = public("coordinator");
    assert!(matches!(
        build(coordinator, Limits::default()),
        Err(GenesisError::DuplicateKey(_))
    ));
    let mut named = good();
    named[1].name = named[0].name.clone();
    assert!(matches!(
        build(named, Limits::default()),
        Err(GenesisError::DuplicateName(_))
    ));
    let mut certified = good();
    certified[1].ca_certificate = certified[0].ca_certificate.clone();
    assert!(matches!(
        build(certified, Limits::default()),
        Err(GenesisError::Certificate(_))
    ));
}

#[test]
fn counts_and_limits_are_checked() {
    assert_eq!(build(Vec::new(), Limits::default()), Err(GenesisError::Count));
    assert_eq!(
        build((0..65).map(organisation).collect(), Limits::default()),
        Err(GenesisError::Count)
    );
    let organisations = || vec![organisation(0)];
    let none = Limits {
        max_block_entries: 0,
        ..Limits::default()
    };
    let small = Limits {
        max_block_bytes: 65_536,
        ..Limits::default()
    };
    let instant = Limits {
        max_lifetime_ms: 0,
        ..Limits::default()
    };
    for limits in [none, small, instant] {
        assert_eq!(build(organisations(), limits), Err(GenesisError::Limits));
    }
    for certificate in [Vec::new(), vec![0; 2049]] {
        let long = Organisation {
            ca_certificate: certificate,
            ..organisation(0)
        };
        assert!(matches!(
            build(vec![long], Limits::default()),
            Err(GenesisError::Certificate(_))
        ));
    }
}

#[test]
fn an_encoded_genesis_is_checked_again() {
    let genesis = genesis();
    let mut bytes = genesis.to_bytes();
    bytes[0] = 2;
    assert_eq!(
        Genesis::from_bytes(&bytes),
        Err(DecodeError::UnknownVersion("genesis"))
    );
    let bytes = genesis.to_bytes();
    let (first, second) = (public("validator-0"), public("validator-1"));
    let at = bytes
        .windows(32)
        .position(|window| window == second.as_bytes())
        .unwrap();
    let mut doubled = bytes;
    doubled[at..at + 32].copy_from_slice(first.as_bytes());
    assert_eq!(
        Genesis::from_bytes(&doubled),
        Err(DecodeError::Invalid("genesis"))
    );
}

#[test]
fn reasons_have_distinct_numbers_and_codes() {
    let mut numbers = std::collections::BTreeSet::new();
    let mut codes = std::collections::BTreeSet::new();
    for reason in RejectionReason::ALL {
        assert!(numbers.insert(reason.number()) && codes.insert(reason.code()));
        let outcome = Outcome::Rejected(*reason);
        assert_eq!(Outcome::from_bytes(&outcome.to_bytes()), Ok(outcome));
        assert_eq!(outcome.reason(), Some(reason.code()));
    }
    assert_eq!(RejectionReason::ALL.len(), 58);
    for reason in DenialReason::ALL {
        let outcome = Outcome::Denied(*reason);
        assert_eq!(Outcome::from_bytes(&outcome.to_bytes()), Ok(outcome));
    }
    assert_eq!(
        Outcome::from_bytes(&[4, 59]),
        Err(DecodeError::Invalid("reason of a rejection"))
    );
    assert_eq!(
        Outcome::from_bytes(&[3, 9]),
        Err(DecodeError::Invalid("reason of a denial"))
    );
}
