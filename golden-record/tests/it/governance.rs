//! What the organisations decide together.

use golden_record::Outcome::{Applied, Pending, Rejected};
use golden_record::{
    AdmissionError, Body, Change, Organisations, Party, RejectionReason as Reason, VerifiedTransaction,
    admissible, queries,
};

use crate::bodies::govern;
use crate::support::{World, committee, create_tenant, create_user, name, public};

fn organisations(world: &World) -> Organisations {
    queries::organisations(&world.state).unwrap()
}

/// Confirmed by three of the four.
fn decide(world: &mut World, change: &Change) {
    let body = govern(organisations(world).revision, change.clone());
    for (admin, confirmed) in [("admin-0", 1), ("admin-1", 2)] {
        assert_eq!(
            world.one(admin, body.clone()),
            Pending { confirmed, needed: 3 },
            "{change:?}"
        );
    }
    assert_eq!(world.one("admin-2", body), Applied, "{change:?}");
}

fn admitted(world: &mut World, who: &str, body: Body) -> Result<(), AdmissionError> {
    let transaction = VerifiedTransaction::verify(world.sign(who, body)).unwrap();
    admissible(&world.state, &transaction, world.time_ms)
}

fn replace_admin(key: &str) -> Change {
    Change::ReplaceAdmin {
        organisation: name("org-3"),
        key: public(key),
    }
}

fn certificate(organisation: &str, certificate: &[u8]) -> Change {
    Change::ReplaceCertificate {
        organisation: name(organisation),
        certificate: certificate.to_vec(),
    }
}

#[test]
fn nothing_changes_before_enough_have_confirmed() {
    let mut world = World::ready(24);
    let before = organisations(&world);
    let body = govern(1, replace_admin("a new admin"));
    for admin in ["admin-0", "admin-1"] {
        assert!(matches!(world.one(admin, body.clone()), Pending { .. }));
        assert_eq!(world.one(admin, body.clone()), Rejected(Reason::AlreadyConfirmed));
        assert_eq!(organisations(&world), before);
        assert_eq!(
            queries::party(&world.state, &public("a new admin")).unwrap(),
            None
        );
    }
    assert_eq!(world.one("admin-3", body), Applied);
    assert_eq!(organisations(&world).revision, 2);
}

#[test]
fn an_organisations_admin_is_replaced_and_revoked() {
    let mut world = World::ready(24);
    decide(&mut world, &replace_admin("a new admin"));
    assert_eq!(organisations(&world).members[3].admin, public("a new admin"));
    world.must("a new admin", create_tenant("third"));
    let refused = admitted(&mut world, "admin-3", create_tenant("fourth"));
    assert_eq!(refused, Err(AdmissionError::AuthorMayNotWrite));

    let revoke = Change::RevokeAdmin {
        organisation: name("org-3"),
    };
    decide(&mut world, &revoke);
    let refused = admitted(&mut world, "a new admin", create_tenant("fourth"));
    assert_eq!(refused, Err(AdmissionError::AuthorMayNotWrite));
    assert_eq!(
        world.one("admin-0", govern(3, revoke)),
        Rejected(Reason::AlreadyRevoked)
    );
    decide(&mut world, &replace_admin("a third admin"));
    world.must("a third admin", create_tenant("fourth"));
}

#[test]
fn enough_admins_stay_to_decide() {
    let mut world = World::ready(24);
    let revoke = |organisation: &str| Change::RevokeAdmin {
        organisation: name(organisation),
    };
    decide(&mut world, &revoke("org-3"));
    for organisation in ["org-0", "org-1", "org-2"] {
        assert_eq!(
            world.one("admin-0", govern(2, revoke(organisation))),
            Rejected(Reason::TooFewAdmins)
        );
    }
}

#[test]
fn a_certificate_is_replaced() {
    let mut world = World::ready(24);
    decide(&mut world, &certificate("org-2", b"another certificate"));
    let members = organisations(&world).members;
    assert_eq!(members[2].ca_certificate, b"another certificate");
    assert_eq!(members[1].ca_certificate, b"certificate of org-1");
}

#[test]
fn coordinators_and_auditors_come_and_go() {
    for (add, remove, holder) in [
        (
            Change::AddCoordinator { key: public("new") },
            Change::RemoveCoordinator { key: public("new") },
            Party::Coordinator,
        ),
        (
            Change::AddAuditor { key: public("new") },
            Change::RemoveAuditor { key: public("new") },
            Party::Auditor,
        ),
    ] {
        let mut world = World::ready(24);
        decide(&mut world, &add);
        let party = |world: &World| queries::party(&world.state, &public("new")).unwrap();
        assert_eq!(party(&world), Some(holder));
        decide(&mut world, &remove);
        assert_eq!(party(&world), Some(Party::Retired));
        // For ever.
        assert_eq!(world.one("admin-0", govern(3, add)), Rejected(Reason::KeyInUse));
        assert_eq!(
            world.one("admin-0", govern(3, remove)),
            Rejected(Reason::UnknownKey)
        );
    }
}

#[test]
fn a_tenants_admin_is_replaced_by_the_organisations() {
    let mut world = World::ready(24);
    decide(
        &mut world,
        &Change::ReplaceTenantAdmin {
            tenant: name("acme"),
            key: public("acme's new admin"),
        },
    );
    world.must("acme's new admin", create_user("acme", "frank"));
    let refused = admitted(&mut world, "acme-admin", create_user("acme", "gina"));
    assert_eq!(refused, Err(AdmissionError::AuthorMayNotWrite));
}

#[test]
fn what_cannot_be_done_is_not_confirmed() {
    let mut world = World::ready(24);
    let unknown = |key| Change::ReplaceAdmin {
        organisation: name("org-9"),
        key,
    };
    let cases = [
        (unknown(public("new")), Reason::UnknownOrganisation),
        (
            Change::RevokeAdmin {
                organisation: name("org-9"),
            },
            Reason::UnknownOrganisation,
        ),
        (certificate("org-9", b"one"), Reason::UnknownOrganisation),
        (certificate("org-1", b""), Reason::InvalidCertificate),
        (
            certificate("org-1", b"certificate of org-0"),
            Reason::InvalidCertificate,
        ),
        (
            certificate("org-1", b"certificate of org-1"),
            Reason::InvalidCertificate,
        ),
        (replace_admin("validator-3"), Reason::KeyInUse),
        (replace_admin("admin-3"), Reason::KeyInUse),
        (Change::AddCoordinator { key: public("rita") }, Reason::KeyInUse),
        (
            Change::RemoveCoordinator {
                key: public("auditor"),
            },
            Reason::UnknownKey,
        ),
        (
            Change::RemoveAuditor {
                key: public("coordinator"),
            },
            Reason::UnknownKey,
        ),
        (
            Change::RemoveAuditor {
                key: public("nobody"),
            },
            Reason::UnknownKey,
        ),
        (
            Change::ReplaceTenantAdmin {
                tenant: name("nobody"),
                key: public("new"),
            },
            Reason::UnknownTenant,
        ),
    ];
    for (change, reason) in cases {
        assert_eq!(
            world.one("admin-0", govern(1, change.clone())),
            Rejected(reason),
            "{change:?}"
        );
    }
}

#[test]
fn confirmations_of_an_earlier_revision_count_no_more() {
    let mut world = World::ready(24);
    let late = replace_admin("a new admin");
    for admin in ["admin-0", "admin-1"] {
        assert!(matches!(
            world.one(admin, govern(1, late.clone())),
            Pending { .. }
        ));
    }
    let manifest = committee("second");
    let publish = || Body::PublishCommittee {
        manifest: manifest.clone(),
    };
    for admin in ["admin-0", "admin-1"] {
        assert!(matches!(world.one(admin, publish()), Pending { .. }));
    }
    decide(&mut world, &certificate("org-2", b"another certificate"));
    assert_eq!(
        world.one("admin-2", govern(1, late.clone())),
        Rejected(Reason::StaleVersion)
    );
    assert_eq!(
        world.one("admin-2", govern(2, late)),
        Pending {
            confirmed: 1,
            needed: 3
        }
    );
    assert_eq!(
        world.one("admin-2", publish()),
        Pending {
            confirmed: 1,
            needed: 3
        }
    );
}

#[test]
fn two_wishes_for_the_same_thing_are_counted_apart() {
    let mut world = World::ready(24);
    for (admin, key) in [("admin-0", "one"), ("admin-1", "two"), ("admin-2", "three")] {
        assert_eq!(
            world.one(admin, govern(1, replace_admin(key))),
            Pending {
                confirmed: 1,
                needed: 3
            }
        );
    }
}

#[test]
fn an_organisation_with_a_new_key_has_one_voice() {
    let mut world = World::ready(24);
    decide(&mut world, &replace_admin("a new admin"));
    let body = govern(2, certificate("org-2", b"another certificate"));
    assert!(matches!(
        world.one("a new admin", body.clone()),
        Pending { confirmed: 1, .. }
    ));
    assert_eq!(world.one("a new admin", body), Rejected(Reason::AlreadyConfirmed));
}
