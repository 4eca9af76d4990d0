//! Keys that are rotated and revoked: of users and of tenants' admins.

use golden_record::Outcome::{Applied, Approved, Denied, Rejected};
use golden_record::{
    AdmissionError, Body, DenialReason, Outcome, Party, RejectionReason as Reason, Role, VerifiedTransaction,
    admissible, queries,
};

use crate::bodies::{expecting, revoke_user, rotate, rotate_admin};
use crate::support::{ReadWish, World, create_user, grant, name, public};

/// What a block would say to a transaction by this key.
fn admitted(world: &mut World, who: &str, body: Body) -> Result<(), AdmissionError> {
    let transaction = VerifiedTransaction::verify(world.sign(who, body)).unwrap();
    admissible(&world.state, &transaction, world.time_ms)
}

fn read(world: &mut World, key: &str) -> Outcome {
    let ReadWish { body, reader } = world.read("rita", "q3", 1);
    world.one_read(key, ReadWish { body, reader }).1
}

#[test]
fn a_rotated_key_is_the_users_and_the_old_one_nobodys() {
    for author in ["rita", "acme-admin"] {
        let mut world = World::ready(20);
        world.must(author, rotate("rita", "rita's new key"));
        assert!(matches!(read(&mut world, "rita's new key"), Approved { .. }));
        let refused = admitted(&mut world, "rita", rotate("rita", "another"));
        assert_eq!(refused, Err(AdmissionError::AuthorMayNotWrite));
        let user = queries::user(&world.state, &name("acme"), &name("rita"))
            .unwrap()
            .unwrap();
        assert_eq!((user.version, user.key), (2, Some(public("rita's new key"))));
        let old = queries::party(&world.state, &public("rita")).unwrap();
        assert_eq!(old, Some(Party::Retired));
    }
}

#[test]
fn a_revoked_user_does_nothing_until_it_has_a_new_key() {
    let mut world = World::ready(20);
    world.must("acme-admin", revoke_user("rita"));
    let refused = admitted(&mut world, "rita", rotate("rita", "another"));
    assert_eq!(refused, Err(AdmissionError::AuthorMayNotWrite));
    assert_eq!(
        world.one("acme-admin", revoke_user("rita")),
        Rejected(Reason::AlreadyRevoked)
    );
    assert_eq!(
        world.one("acme-admin", create_user("acme", "rita")),
        Rejected(Reason::UserExists)
    );
    world.must("acme-admin", rotate("rita", "rita's new key"));
    assert!(matches!(read(&mut world, "rita's new key"), Approved { .. }));
}

#[test]
fn a_revocation_counts_at_once() {
    let mut world = World::ready(20);
    let revocation = world.sign("acme-admin", revoke_user("olga"));
    let grant = world.sign("olga", grant("reports", "nora", Role::Reader));
    world.time_ms += 10;
    let executed = world.build(&[revocation, grant.clone()]);
    assert_eq!(executed.block.entries().len(), 1);
    assert_eq!(executed.dropped.len(), 1);
    assert_eq!(executed.dropped[0].id, grant.tx_id());
    assert_eq!(executed.dropped[0].error, AdmissionError::AuthorMayNotWrite);
}

#[test]
fn an_approved_read_of_a_revoked_user_is_allowed_no_longer() {
    let mut world = World::ready(20);
    let wish = world.read("rita", "q3", 1);
    let question = golden_record::ReadQuestion::of(&wish.body).unwrap();
    queries::decide_read(&world.state, &public("rita"), &question)
        .unwrap()
        .unwrap();
    world.must("acme-admin", revoke_user("rita"));
    assert_eq!(
        queries::decide_read(&world.state, &public("rita"), &question).unwrap(),
        Err(DenialReason::NotAUser)
    );
}

#[test]
fn a_tenants_administration_changes_hands() {
    let mut world = World::ready(20);
    world.must("acme-admin", rotate_admin("acme's new admin"));
    world.must("acme's new admin", create_user("acme", "frank"));
    let refused = admitted(&mut world, "acme-admin", create_user("acme", "gina"));
    assert_eq!(refused, Err(AdmissionError::AuthorMayNotWrite));
    let tenant = queries::tenant(&world.state, &name("acme")).unwrap().unwrap();
    assert_eq!((tenant.version, tenant.admin), (2, public("acme's new admin")));
}

#[test]
fn a_key_that_somebody_has_or_had_is_given_to_nobody() {
    let mut world = World::ready(20);
    world.must("rita", rotate("rita", "rita's new key"));
    // Somebody else's, one's own, a validator's, a retired one.
    for taken in [
        "wendy",
        "rita's new key",
        "validator-0",
        "eve",
        "acme-admin",
        "rita",
    ] {
        let bodies = [
            ("acme-admin", rotate("nora", taken)),
            ("nora", rotate("nora", taken)),
            ("acme-admin", rotate_admin(taken)),
        ];
        for (author, body) in bodies {
            assert_eq!(world.one(author, body), Rejected(Reason::KeyInUse), "{taken}");
        }
    }
}

#[test]
fn who_is_meant_must_be_there_and_of_the_expected_version() {
    let mut world = World::ready(20);
    for body in [rotate("nobody", "a key"), revoke_user("nobody")] {
        assert_eq!(world.one("acme-admin", body), Rejected(Reason::UnknownUser));
    }
    let cases = [
        rotate("rita", "a key"),
        revoke_user("rita"),
        rotate_admin("another key"),
    ];
    for body in cases {
        for stale in [0, 2] {
            assert_eq!(
                world.one("acme-admin", expecting(body.clone(), stale)),
                Rejected(Reason::StaleVersion),
                "{}",
                body.kind()
            );
        }
    }
    assert_eq!(world.one("rita", expecting(rotate("rita", "a key"), 1)), Applied);
    assert_eq!(
        world.one("a key", expecting(rotate("rita", "third"), 1)),
        Rejected(Reason::StaleVersion)
    );
    assert_eq!(world.one("a key", expecting(rotate("rita", "third"), 2)), Applied);
}

#[test]
fn a_user_without_a_key_is_denied_by_every_question() {
    let mut world = World::ready(20);
    world.must("acme-admin", revoke_user("rita"));
    let wish = world.read("rita", "q3", 1);
    assert_eq!(world.one_read("nora", wish).1, Denied(DenialReason::UserMismatch));
}
