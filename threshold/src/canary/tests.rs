use super::*;
use crate::reencrypt::{reencrypt, verify_shares};
use crate::testing::{TestCommittee, TestRng, label};

fn shares(committee: &TestCommittee, canary: &Canary, members: &[usize]) -> Vec<VerifiedShare> {
    let mut rng = TestRng::new("canary shares");
    let context = canary.context(committee.manifest()).unwrap();
    let shares: Vec<_> = members
        .iter()
        .map(|i| reencrypt(&committee.shares[*i], &context, &mut rng).unwrap())
        .collect();
    verify_shares(&context, &shares, &mut rng).0
}

#[test]
fn a_canary_comes_back_from_any_t_members() {
    let mut rng = TestRng::new("canary");
    let committee = TestCommittee::generate(3, 5, &mut rng).unwrap();
    let installation = Name::new("test").unwrap();
    let canary = Canary::release(
        committee.manifest(),
        &installation,
        committee.ceremony.id(),
        &mut rng,
    )
    .unwrap();
    assert!(is_canary(canary.wrapped().label()));
    assert_eq!(canary.wrapped().verify(), Ok(()));
    for members in [[0, 1, 2], [4, 2, 0]] {
        assert_eq!(
            canary.check(committee.manifest(), &shares(&committee, &canary, &members)),
            Ok(())
        );
    }
    let few = shares(&committee, &canary, &[0, 1]);
    assert!(matches!(
        canary.check(committee.manifest(), &few),
        Err(CanaryError::Combine(_))
    ));
}

#[test]
fn a_canary_of_another_key_does_not_come_back() {
    let mut rng = TestRng::new("canaries");
    let one = TestCommittee::generate(2, 3, &mut rng).unwrap();
    let other = TestCommittee::generate(2, 3, &mut rng).unwrap();
    let installation = Name::new("test").unwrap();
    let canary = Canary::release(one.manifest(), &installation, one.ceremony.id(), &mut rng).unwrap();
    assert_eq!(
        canary.context(other.manifest()).unwrap_err(),
        CanaryError::Context(ContextError::OtherKey)
    );
}

#[test]
fn no_document_is_a_canary() {
    assert!(!is_canary(&label("canary", 1).unwrap()));
    let id = CeremonyId([7; 32]);
    let reserved = canary_label(&Name::new("test").unwrap(), id).unwrap();
    assert!(is_canary(&reserved));
    assert_eq!(reserved.document.as_str(), id.to_string());
    assert_ne!(canary_approve_id(id).0, id.0);
}

#[test]
fn a_canary_that_opens_to_another_key_has_not_come_back() {
    let mut rng = TestRng::new("canary");
    let committee = TestCommittee::generate(2, 3, &mut rng).unwrap();
    let installation = Name::new("test").unwrap();
    let mut canary = Canary::release(
        committee.manifest(),
        &installation,
        committee.ceremony.id(),
        &mut rng,
    )
    .unwrap();
    canary.data_key = DataKey::from_bytes([0; 32]);
    assert_eq!(
        canary.check(committee.manifest(), &shares(&committee, &canary, &[0, 1])),
        Err(CanaryError::OtherKey)
    );
}

#[test]
fn a_canary_is_of_one_ceremony() {
    assert_ne!(
        canary_approve_id(CeremonyId([7; 32])),
        canary_approve_id(CeremonyId([8; 32]))
    );
}
