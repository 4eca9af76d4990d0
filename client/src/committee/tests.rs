//! Endorsers that give a committee of their own making, or none.

use threshold::testing::{TestCommittee, TestRng};

use super::*;

fn committee(seed: &str) -> Committee {
    Committee::new(
        TestCommittee::generate(2, 3, &mut TestRng::new(seed))
            .unwrap()
            .signed,
    )
}

fn endorser(name: &str) -> Party {
    Party::Endorser(name.parse().unwrap())
}

#[test]
fn a_committee_that_one_endorser_gives_is_not_believed() {
    let mut found = Found::new(1);
    assert!(found.take(endorser("west"), Ok(committee("forged"))).is_none());
    assert!(found.take(endorser("north"), Ok(committee("real"))).is_none());
    let believed = found.take(endorser("east"), Ok(committee("real"))).unwrap();
    assert_eq!(believed.digest(), committee("real").digest());
}

#[test]
fn with_nobody_to_confirm_it_all_are_named() {
    let mut found = Found::new(1);
    assert!(found.take(endorser("west"), Ok(committee("forged"))).is_none());
    let none = || Err(Error::NotFound("committee".into()));
    assert!(found.take(endorser("north"), none()).is_none());
    let Error::TooFew { faults, .. } = found.too_few() else {
        panic!("one of two answers decides nothing")
    };
    assert_eq!(faults.len(), 2);
}

#[test]
fn that_there_is_none_is_believed_of_more_than_can_lie() {
    let mut found = Found::new(1);
    let none = || Err(Error::NotFound("committee".into()));
    assert!(found.take(endorser("west"), Ok(committee("forged"))).is_none());
    assert!(found.take(endorser("north"), none()).is_none());
    assert!(found.take(endorser("east"), none()).is_none());
    assert!(matches!(found.too_few(), Error::NotFound(_)));
}
