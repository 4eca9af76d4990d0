//! Tenants, users, datasets and roles.

use golden_record::Outcome::{Applied, Rejected};
use golden_record::{Body, Configuration, Party, RejectionReason as Reason, Role, queries};

use crate::support::{
    World, committee, create_tenant, create_user, grant, name, names, public, revoke, set_active,
};

#[test]
fn names_are_taken_once() {
    let mut world = World::ready(2);
    let again = |body: Body| body;
    let tenant = Body::CreateTenant {
        tenant: name("acme"),
        admin: public("somebody new"),
    };
    assert_eq!(world.one("admin-2", tenant), Rejected(Reason::TenantExists));
    let user = Body::CreateUser {
        tenant: name("acme"),
        user: name("rita"),
        key: public("somebody new"),
    };
    assert_eq!(world.one("acme-admin", user), Rejected(Reason::UserExists));
    let dataset = again(world.create_dataset("reports"));
    assert_eq!(world.one("acme-admin", dataset), Rejected(Reason::DatasetExists));
}

#[test]
fn a_key_has_one_holder() {
    let mut world = World::ready(2);
    for holder in [
        "admin-0",
        "validator-2",
        "coordinator",
        "auditor",
        "acme-admin",
        "rita",
        "eve",
    ] {
        let key = public(holder);
        let user = Body::CreateUser {
            tenant: name("other"),
            user: name("frank"),
            key,
        };
        assert_eq!(
            world.one("other-admin", user),
            Rejected(Reason::KeyInUse),
            "{holder}"
        );
        let tenant = Body::CreateTenant {
            tenant: name("third"),
            admin: key,
        };
        assert_eq!(
            world.one("admin-0", tenant),
            Rejected(Reason::KeyInUse),
            "{holder}"
        );
    }
    assert_eq!(
        queries::party(&world.state, &public("rita")).unwrap(),
        Some(Party::User {
            tenant: name("acme"),
            user: name("rita")
        })
    );
}

#[test]
fn a_rejection_changes_nothing_but_the_log() {
    let mut world = World::ready(2);
    let before: Vec<_> = world.state.range(b"user/").map(|(key, _)| key.to_vec()).collect();
    let size = world.header.log_size;
    assert_eq!(
        world.one("rita", create_user("acme", "frank")),
        Rejected(Reason::NotTenantAdmin)
    );
    let after: Vec<_> = world.state.range(b"user/").map(|(key, _)| key.to_vec()).collect();
    assert_eq!(before, after);
    assert_eq!(queries::party(&world.state, &public("frank")).unwrap(), None);
    assert_eq!(world.header.log_size, size + 1);
}

#[test]
fn a_dataset_has_known_members_and_an_owner() {
    let mut world = World::ready(2);
    let dataset = |owners: &[&str], writers: &[&str], readers: &[&str]| Body::CreateDataset {
        tenant: name("acme"),
        dataset: name("second"),
        owners: names(owners),
        writers: names(writers),
        readers: names(readers),
        configuration: Configuration::default(),
    };
    let cases = [
        (dataset(&[], &["wendy"], &[]), Reason::NoOwner),
        (dataset(&["frank"], &[], &[]), Reason::UnknownUser),
        (dataset(&["olga"], &["frank"], &[]), Reason::UnknownUser),
        // A user of another tenant is not a user of this one.
        (dataset(&["olga"], &[], &["eve"]), Reason::UnknownUser),
    ];
    for (body, reason) in cases {
        assert_eq!(world.one("acme-admin", body), Rejected(reason));
    }
    assert_eq!(world.one("acme-admin", dataset(&["olga"], &[], &[])), Applied);
}

#[test]
fn roles_are_granted_and_revoked_once() {
    let mut world = World::ready(2);
    assert_eq!(
        world.one("olga", grant("reports", "rita", Role::Reader)),
        Rejected(Reason::AlreadyGranted)
    );
    assert_eq!(
        world.one("olga", revoke("reports", "nora", Role::Reader)),
        Rejected(Reason::NotGranted)
    );
    assert_eq!(
        world.one("olga", grant("reports", "frank", Role::Reader)),
        Rejected(Reason::UnknownUser)
    );
    assert_eq!(
        world.one("olga", grant("reports", "eve", Role::Reader)),
        Rejected(Reason::UnknownUser)
    );
    let unknown = grant("nothing", "rita", Role::Reader);
    assert_eq!(world.one("acme-admin", unknown), Rejected(Reason::UnknownDataset));
    for role in Role::ALL {
        assert_eq!(world.one("olga", grant("reports", "nora", role)), Applied);
        assert_eq!(world.one("olga", revoke("reports", "nora", role)), Applied);
        let (tenant, dataset, user) = (name("acme"), name("reports"), name("nora"));
        assert!(!queries::has_role(&world.state, &tenant, &dataset, role, &user).unwrap());
    }
}

#[test]
fn roles_are_exactly_what_is_granted() {
    let mut world = World::ready(2);
    // An owner does not write until it is a writer, which it may make itself.
    let body = world.write("reports", "q3", 2);
    assert_eq!(world.one("olga", body), Rejected(Reason::NotAWriter));
    assert_eq!(world.one("olga", grant("reports", "olga", Role::Writer)), Applied);
    let body = world.write("reports", "q3", 2);
    assert_eq!(world.one("olga", body), Applied);
}

#[test]
fn the_last_owner_stays() {
    let mut world = World::ready(2);
    assert_eq!(
        world.one("acme-admin", revoke("reports", "olga", Role::Owner)),
        Rejected(Reason::LastOwner)
    );
    assert_eq!(world.one("olga", grant("reports", "nora", Role::Owner)), Applied);
    assert_eq!(world.one("nora", revoke("reports", "olga", Role::Owner)), Applied);
    assert_eq!(
        world.one("nora", revoke("reports", "nora", Role::Owner)),
        Rejected(Reason::LastOwner)
    );
    let dataset = queries::dataset(&world.state, &name("acme"), &name("reports"))
        .unwrap()
        .unwrap();
    assert_eq!(dataset.owners, 1);
}

#[test]
fn within_one_block_each_transaction_sees_those_before_it() {
    let mut world = World::ready(2);
    let bodies = [
        grant("reports", "nora", Role::Owner),
        grant("reports", "nora", Role::Owner),
        revoke("reports", "olga", Role::Owner),
        revoke("reports", "nora", Role::Owner),
    ];
    let transactions: Vec<_> = bodies
        .into_iter()
        .map(|body| world.sign("acme-admin", body))
        .collect();
    let expected = [
        Applied,
        Rejected(Reason::AlreadyGranted),
        Applied,
        Rejected(Reason::LastOwner),
    ];
    assert_eq!(world.add(&transactions), expected);
}

#[test]
fn a_dataset_is_switched_off_and_on() {
    let mut world = World::ready(2);
    assert_eq!(
        world.one("olga", set_active("reports", true)),
        Rejected(Reason::ActivityUnchanged)
    );
    assert_eq!(world.one("olga", set_active("reports", false)), Applied);
    assert_eq!(
        world.one("olga", set_active("reports", false)),
        Rejected(Reason::ActivityUnchanged)
    );
    let body = world.write("reports", "q3", 2);
    assert_eq!(world.one("wendy", body), Rejected(Reason::DatasetInactive));
    assert_eq!(world.one("olga", set_active("reports", true)), Applied);
    let body = world.write("reports", "q3", 2);
    assert_eq!(world.one("wendy", body), Applied);
}

#[test]
fn committees_are_published_once() {
    let mut world = World::empty(2);
    let first = committee("first");
    let publish = |manifest| Body::PublishCommittee { manifest };
    world.publish(&first);
    assert_eq!(
        world.one("admin-3", publish(first.clone())),
        Rejected(Reason::DuplicateCommittee)
    );
    // The same key with other members: a hand-over that nobody has agreed to.
    let stolen = {
        let manifest = &first.manifest;
        let mut members = manifest.members().to_vec();
        members[0].identity = public("thief");
        let manifest = threshold::committee::CommitteeManifest::first(
            *manifest.public_key(),
            manifest.threshold(),
            members,
        )
        .unwrap();
        let keys = ["thief", "first node-2", "first node-3"];
        let signatures = keys
            .iter()
            .map(|who| manifest.sign(&crate::support::key(who)))
            .collect();
        threshold::committee::SignedManifest { manifest, signatures }
    };
    assert_eq!(
        world.one("admin-2", publish(stolen)),
        Rejected(Reason::KeyAlreadyPublished)
    );
    let published = queries::newest_committee(&world.state).unwrap().unwrap();
    assert_eq!(published, first);
    let digest = first.manifest.digest();
    assert_eq!(
        queries::committee_by_digest(&world.state, &digest).unwrap(),
        Some(first)
    );
}

#[test]
fn a_committee_that_a_member_has_not_signed_is_refused() {
    let mut world = World::empty(2);
    let mut unsigned = committee("first");
    unsigned.signatures[1] = unsigned.signatures[0];
    let outcome = world.one(
        "admin-0",
        Body::PublishCommittee {
            manifest: unsigned.clone(),
        },
    );
    assert_eq!(outcome, Rejected(Reason::InvalidManifest));
    unsigned.signatures.truncate(2);
    let outcome = world.one("admin-0", Body::PublishCommittee { manifest: unsigned });
    assert_eq!(outcome, Rejected(Reason::InvalidManifest));
    assert_eq!(queries::newest_committee(&world.state).unwrap(), None);
    assert_eq!(world.one("admin-0", create_tenant("acme")), Applied);
}
