//! Every kind of transaction by every kind of author: it is done by those who may, and by nobody else.

use golden_record::Outcome::{Applied, Denied, Rejected};
use golden_record::{Body, Change, Configuration, DenialReason, Outcome, RejectionReason as Reason, Role};

use crate::bodies::{configure, erase, govern, link, revoke_user, rotate, rotate_admin, target};
use crate::support::{
    ReadWish, World, committee, create_tenant, create_user, grant, name, revoke, set_active,
};

const AUTHORS: [&str; 10] = [
    "admin-0",
    "admin-3",
    "coordinator",
    "acme-admin",
    "other-admin",
    "olga",
    "wendy",
    "rita",
    "nora",
    "eve",
];

/// Tries the same body by every author, each on a fresh copy of the chain.
fn try_all(body: impl Fn(&mut World) -> Body, expected: impl Fn(&str) -> Outcome) {
    let world = World::ready(1);
    for author in AUTHORS {
        let mut world = world.clone();
        let body = body(&mut world);
        let kind = body.kind();
        assert_eq!(world.one(author, body), expected(author), "{kind} by {author}");
    }
}

#[test]
fn publishing_a_committee_is_for_organisation_admins() {
    try_all(
        |_| Body::PublishCommittee {
            manifest: committee("second"),
        },
        |author| match author {
            "admin-0" | "admin-3" => Outcome::Pending {
                confirmed: 1,
                needed: 3,
            },
            _ => Rejected(Reason::NotOrganisationAdmin),
        },
    );
}

#[test]
fn creating_a_tenant_is_for_organisation_admins() {
    try_all(
        |_| create_tenant("third"),
        |author| match author {
            "admin-0" | "admin-3" => Applied,
            _ => Rejected(Reason::NotOrganisationAdmin),
        },
    );
}

/// What only the admin of `acme` may do.
fn by_tenant_admin(author: &str) -> Outcome {
    match author {
        "acme-admin" => Applied,
        "other-admin" => Rejected(Reason::WrongTenant),
        _ => Rejected(Reason::NotTenantAdmin),
    }
}

#[test]
fn creating_a_user_is_for_the_tenant_admin() {
    try_all(|_| create_user("acme", "frank"), by_tenant_admin);
}

#[test]
fn creating_a_dataset_is_for_the_tenant_admin() {
    try_all(|world| world.create_dataset("second"), by_tenant_admin);
}

/// What the admin of `acme` and the owner of `reports` may do.
fn by_owner(author: &str) -> Outcome {
    match author {
        "acme-admin" | "olga" => Applied,
        "other-admin" | "eve" => Rejected(Reason::WrongTenant),
        _ => Rejected(Reason::NotDatasetOwner),
    }
}

#[test]
fn granting_is_for_the_tenant_admin_and_owners() {
    try_all(|_| grant("reports", "nora", Role::Reader), by_owner);
}

#[test]
fn revoking_is_for_the_tenant_admin_and_owners() {
    try_all(|_| revoke("reports", "rita", Role::Reader), by_owner);
}

#[test]
fn switching_a_dataset_is_for_the_tenant_admin_and_owners() {
    try_all(|_| set_active("reports", false), by_owner);
}

#[test]
fn rotating_a_users_key_is_for_the_user_and_the_tenant_admin() {
    try_all(
        |_| rotate("nora", "nora's new key"),
        |author| match author {
            "acme-admin" | "nora" => Applied,
            "other-admin" | "eve" => Rejected(Reason::WrongTenant),
            _ => Rejected(Reason::NotUserOrAdmin),
        },
    );
}

#[test]
fn revoking_a_user_is_for_the_tenant_admin() {
    try_all(|_| revoke_user("rita"), by_tenant_admin);
}

#[test]
fn replacing_a_tenants_admin_is_for_the_tenant_admin() {
    try_all(|_| rotate_admin("acme's new admin"), by_tenant_admin);
}

#[test]
fn configuring_a_dataset_is_for_its_owners() {
    let configuration = Configuration {
        permissions: false,
        ..Configuration::default()
    };
    try_all(
        |_| configure("reports", configuration),
        |author| match author {
            "olga" => Applied,
            "eve" => Rejected(Reason::WrongTenant),
            _ => Rejected(Reason::NotOwner),
        },
    );
}

#[test]
fn erasing_is_for_the_tenant_admin_and_owners() {
    try_all(|_| erase("reports", "q3", 1), by_owner);
}

#[test]
fn linking_is_for_writers() {
    try_all(
        |_| link(1, Some(target("reports", "q3", 1))),
        |author| match author {
            "wendy" => Applied,
            "eve" => Rejected(Reason::WrongTenant),
            _ => Rejected(Reason::NotAWriter),
        },
    );
}

#[test]
fn governing_is_for_organisation_admins() {
    try_all(
        |_| {
            govern(
                1,
                Change::AddAuditor {
                    key: crate::support::public("a new auditor"),
                },
            )
        },
        |author| match author {
            "admin-0" | "admin-3" => Outcome::Pending {
                confirmed: 1,
                needed: 3,
            },
            _ => Rejected(Reason::NotOrganisationAdmin),
        },
    );
}

#[test]
fn writing_is_for_writers() {
    try_all(
        |world| world.write("reports", "q3", 2),
        |author| match author {
            "wendy" => Applied,
            "eve" => Rejected(Reason::WrongTenant),
            _ => Rejected(Reason::NotAWriter),
        },
    );
}

#[test]
fn reading_is_for_readers() {
    for author in AUTHORS {
        let mut world = World::ready(1);
        let wish = world.read(author, "q3", 1);
        let (_, outcome) = world.one_read(author, wish);
        match author {
            "rita" => assert!(matches!(outcome, Outcome::Approved { .. })),
            "olga" | "wendy" | "nora" => assert_eq!(outcome, Denied(DenialReason::NotAReader), "{author}"),
            "eve" => assert_eq!(outcome, Denied(DenialReason::WrongTenant)),
            _ => assert_eq!(outcome, Denied(DenialReason::NotAUser), "{author}"),
        }
    }
}

#[test]
fn a_reader_cannot_be_impersonated() {
    let mut world = World::ready(1);
    let wish = world.read("rita", "q3", 1);
    let (_, outcome) = world.one_read("nora", wish);
    assert_eq!(outcome, Denied(DenialReason::UserMismatch));
}

#[test]
fn recording_releases_is_for_coordinators() {
    let mut world = World::ready(1);
    let release = world.approved(1);
    for author in AUTHORS {
        let outcome = world.clone().one(
            author,
            Body::RecordReleases {
                releases: vec![release],
            },
        );
        let expected = if author == "coordinator" {
            Applied
        } else {
            Rejected(Reason::NotCoordinator)
        };
        assert_eq!(outcome, expected, "{author}");
    }
}

#[test]
fn the_other_tenant_learns_nothing_of_what_exists() {
    let mut world = World::ready(1);
    for (dataset, document, version) in [("reports", "q3", 1), ("nothing", "none", 7)] {
        let ReadWish { body, reader } = world.read_in("acme", dataset, "eve", document, version);
        let (_, outcome) = world.one_read("eve", ReadWish { body, reader });
        assert_eq!(outcome, Denied(DenialReason::WrongTenant));
        let outcome = world.one("eve", grant(dataset, "eve", Role::Reader));
        assert_eq!(outcome, Rejected(Reason::WrongTenant));
        let outcome = world.one("other-admin", set_active(dataset, false));
        assert_eq!(outcome, Rejected(Reason::WrongTenant));
    }
    // A user of the tenant with no role cannot tell a dataset that exists from one that does not either.
    for dataset in ["reports", "nothing"] {
        let wish = world.read_in("acme", dataset, "nora", "q3", 1);
        let (_, outcome) = world.one_read("nora", wish);
        assert_eq!(outcome, Denied(DenialReason::NotAReader));
        let outcome = world.one("nora", grant(dataset, "nora", Role::Reader));
        assert_eq!(outcome, Rejected(Reason::NotDatasetOwner));
    }
}

#[test]
fn the_same_user_name_in_two_tenants_is_two_users() {
    let mut world = World::ready(1);
    let body = Body::CreateUser {
        tenant: name("other"),
        user: name("rita"),
        key: crate::support::public("the other rita"),
    };
    world.must("other-admin", body);
    let wish = world.read("rita", "q3", 1);
    let (_, outcome) = world.one_read("the other rita", wish);
    assert_eq!(outcome, Denied(DenialReason::WrongTenant));
}
