//! Organisations and their endorsers come, go and change keys; each time another epoch begins.

use golden_record::Outcome::{Applied, Pending, Rejected};
use golden_record::{
    AdmissionError, Body, Change, EPOCH_DELAY, Epoch, Genesis, Limits, Organisation, Party,
    RejectionReason as Reason, VerifiedTransaction, admissible, queries,
};

use crate::bodies::govern;
use crate::support::{START_MS, World, create_tenant, name, organisation, public};

pub fn add(index: usize) -> Change {
    Change::AddOrganisation {
        organisation: organisation(index),
        address: format!("endorser-{index}.example:7000").parse().unwrap(),
    }
}

pub fn remove(index: usize) -> Change {
    Change::RemoveOrganisation {
        organisation: name(&format!("org-{index}")),
    }
}

pub fn replace(index: usize, validator: &str, address: &str) -> Change {
    Change::ReplaceEndorser {
        organisation: name(&format!("org-{index}")),
        validator: public(validator),
        address: address.parse().unwrap(),
    }
}

/// Proposes a change by one admin after the other, until one is refused or it is made.
fn decide(world: &mut World, admins: &[&str], change: &Change) -> golden_record::Outcome {
    let body = govern(
        queries::organisations(&world.state).unwrap().revision,
        change.clone(),
    );
    for admin in admins {
        match world.one(admin, body.clone()) {
            Pending { .. } => {}
            outcome => return outcome,
        }
    }
    panic!("{change:?} is pending");
}

pub fn made(world: &mut World, change: &Change) {
    let admins = ["admin-1", "admin-2", "admin-3", "admin-4", "admin-5"];
    assert_eq!(decide(world, &admins, change), Applied, "{change:?}");
}

/// Empty blocks until the newest epoch has begun.
pub fn until_it_begins(world: &mut World) {
    let epoch = newest(world);
    while world.header.height + 1 < epoch.first {
        world.add(&[]);
    }
}

fn newest(world: &World) -> Epoch {
    let number = queries::newest_epoch(&world.state).unwrap();
    queries::epoch(&world.state, number).unwrap().unwrap()
}

fn endorsers(epoch: &Epoch) -> Vec<&str> {
    epoch
        .endorsers
        .iter()
        .map(|one| one.organisation.as_str())
        .collect()
}

fn refused(world: &mut World, change: &Change) -> Reason {
    match decide(world, &["admin-1"], change) {
        Rejected(reason) => reason,
        outcome => panic!("{change:?}: {outcome}"),
    }
}

#[test]
fn an_organisation_joins_and_its_endorser_votes_from_the_next_epoch_on() {
    let mut world = World::ready(41);
    made(&mut world, &add(4));
    let decided = world.header.clone();
    let epoch = newest(&world);
    assert_eq!(endorsers(&epoch), ["org-0", "org-1", "org-2", "org-3", "org-4"]);
    assert_eq!(epoch.first, decided.height + EPOCH_DELAY + 1);
    assert_eq!(epoch.log_index, decided.log_size - 1);
    assert_eq!(
        epoch.endorsers[4].address.as_ref().unwrap().as_str(),
        "endorser-4.example:7000"
    );
    assert!(epoch.endorsers[..4].iter().all(|one| one.address.is_none()));
    assert_eq!(queries::epoch_of(&world.state, epoch.first - 1), Ok(0));
    assert_eq!(queries::epoch_of(&world.state, epoch.first), Ok(1));
    // It decides with the others at once: four of the five.
    let wish = govern(2, Change::AddAuditor { key: public("new") });
    assert_eq!(
        world.one("admin-4", wish),
        Pending {
            confirmed: 1,
            needed: 4
        }
    );
    let holder = queries::party(&world.state, &public("validator-4")).unwrap();
    assert_eq!(
        holder,
        Some(Party::Validator {
            organisation: name("org-4")
        })
    );
}

#[test]
fn an_organisation_leaves_and_its_keys_are_nobodys_for_ever() {
    let mut world = World::ready(42);
    made(&mut world, &add(4));
    until_it_begins(&mut world);
    assert_eq!(
        decide(
            &mut world,
            &["admin-0", "admin-1", "admin-2", "admin-4"],
            &remove(0)
        ),
        Applied
    );
    assert_eq!(endorsers(&newest(&world)), ["org-1", "org-2", "org-3", "org-4"]);
    let body = create_tenant("third");
    let transaction = VerifiedTransaction::verify(world.sign("admin-0", body)).unwrap();
    let admitted = admissible(&world.state, &transaction, world.time_ms);
    assert_eq!(admitted, Err(AdmissionError::AuthorMayNotWrite));
    until_it_begins(&mut world);
    // The keys are retired; the name is free, with others.
    assert_eq!(refused(&mut world, &add(0)), Reason::KeyInUse);
    let back = Change::AddOrganisation {
        organisation: Organisation {
            validator: public("another validator"),
            admin: public("another admin"),
            ..organisation(0)
        },
        address: "back.example:7000".parse().unwrap(),
    };
    made(&mut world, &back);
    assert_eq!(queries::newest_epoch(&world.state), Ok(3));
}

#[test]
fn an_endorser_has_another_key_or_another_address() {
    let mut world = World::ready(43);
    made(&mut world, &replace(2, "a new validator", "north.example:7000"));
    let epoch = newest(&world);
    assert_eq!(epoch.endorsers[2].validator, public("a new validator"));
    let old = queries::party(&world.state, &public("validator-2")).unwrap();
    assert_eq!(old, Some(Party::Retired));
    until_it_begins(&mut world);
    let moved = replace(2, "a new validator", "south.example:7000");
    made(&mut world, &moved);
    let epoch = newest(&world);
    assert_eq!(
        epoch.endorsers[2].address.as_ref().unwrap().as_str(),
        "south.example:7000"
    );
    until_it_begins(&mut world);
    assert_eq!(refused(&mut world, &moved), Reason::EndorserUnchanged);
    assert_eq!(
        refused(&mut world, &replace(2, "validator-2", "south.example:7000")),
        Reason::KeyInUse
    );
}

#[test]
fn one_change_of_the_endorsers_at_a_time() {
    let mut world = World::ready(44);
    made(&mut world, &add(4));
    for change in [add(5), remove(0), replace(2, "a new validator", "a.example:1")] {
        assert_eq!(refused(&mut world, &change), Reason::EpochPending, "{change:?}");
    }
    // Other changes go on, and the next of the endorsers from the first block of the epoch on.
    made(
        &mut world,
        &Change::AddAuditor {
            key: public("another auditor"),
        },
    );
    until_it_begins(&mut world);
    assert_eq!(newest(&world).first, world.header.height + 1);
    made(&mut world, &add(5));
    assert_eq!(queries::newest_epoch(&world.state), Ok(2));
}

#[test]
fn two_changes_in_one_block_are_not_both_made() {
    let mut world = World::ready(45);
    for change in [add(4), add(5)] {
        let body = govern(1, change);
        for admin in ["admin-1", "admin-2"] {
            assert!(matches!(world.one(admin, body.clone()), Pending { .. }));
        }
    }
    let last = [add(4), add(5)].map(|change| world.sign("admin-3", govern(1, change)));
    assert_eq!(world.add(&last), [Applied, Rejected(Reason::StaleVersion)]);
}

#[test]
fn what_cannot_be_done_to_the_endorsers_is_not_confirmed() {
    let mut world = World::ready(46);
    let with = |change: fn(&mut Organisation)| {
        let mut organisation = organisation(4);
        change(&mut organisation);
        Change::AddOrganisation {
            organisation,
            address: "a.example:1".parse().unwrap(),
        }
    };
    let cases = [
        (with(|one| one.name = name("org-1")), Reason::OrganisationExists),
        (
            with(|one| one.ca_certificate = b"certificate of org-1".to_vec()),
            Reason::InvalidCertificate,
        ),
        (with(|one| one.ca_certificate.clear()), Reason::InvalidCertificate),
        (
            with(|one| one.validator = public("validator-1")),
            Reason::KeyInUse,
        ),
        (with(|one| one.admin = public("admin-1")), Reason::KeyInUse),
        (with(|one| one.admin = public("rita")), Reason::KeyInUse),
        (with(|one| one.admin = one.validator), Reason::KeyInUse),
        (remove(9), Reason::UnknownOrganisation),
        (remove(1), Reason::TooFewEndorsers),
        (
            replace(9, "a new validator", "a.example:1"),
            Reason::UnknownOrganisation,
        ),
        (replace(1, "validator-0", "a.example:1"), Reason::KeyInUse),
        (replace(1, "auditor", "a.example:1"), Reason::KeyInUse),
    ];
    for (change, reason) in cases {
        assert_eq!(refused(&mut world, &change), reason, "{change:?}");
    }
    assert_eq!(queries::newest_epoch(&world.state), Ok(0));
}

#[test]
fn nobody_but_an_organisations_admin_changes_the_endorsers_and_only_under_the_present_revision() {
    let mut world = World::ready(47);
    for change in [add(4), remove(1), replace(1, "new", "a.example:1")] {
        for author in ["acme-admin", "rita", "coordinator"] {
            assert_eq!(
                world.one(author, govern(1, change.clone())),
                Rejected(Reason::NotOrganisationAdmin),
                "{author}"
            );
        }
        for revision in [0, 2] {
            assert_eq!(
                world.one("admin-1", govern(revision, change.clone())),
                Rejected(Reason::StaleVersion)
            );
        }
    }
}

#[test]
fn enough_admins_stay_when_an_organisation_leaves() {
    let mut world = World::ready(48);
    for index in 4..7 {
        made(&mut world, &add(index));
        until_it_begins(&mut world);
    }
    for index in 0..2 {
        let revoke = Change::RevokeAdmin {
            organisation: name(&format!("org-{index}")),
        };
        made(&mut world, &revoke);
    }
    // Five of the seven have an admin, and five of six would have to decide.
    let refused = decide(&mut world, &["admin-2"], &remove(2));
    assert_eq!(refused, Rejected(Reason::TooFewAdmins));
    let admins = ["admin-2", "admin-3", "admin-4", "admin-5", "admin-6"];
    assert_eq!(decide(&mut world, &admins, &remove(0)), Applied);
}

#[test]
fn there_are_no_more_organisations_than_there_may_be() {
    let full = Genesis::new(
        name("test-net"),
        START_MS,
        (0..64).map(organisation).collect(),
        vec![],
        vec![],
        Limits::default(),
    );
    let mut world = World::begin(full.unwrap(), 49);
    assert_eq!(refused(&mut world, &add(64)), Reason::TooManyOrganisations);
}

#[test]
fn a_change_that_is_too_long_is_not_written() {
    let mut world = World::ready(50);
    let change = Change::AddOrganisation {
        organisation: Organisation {
            ca_certificate: vec![1; 2049],
            ..organisation(4)
        },
        address: "a.example:1".parse().unwrap(),
    };
    let transaction = world.sign("admin-1", Body::Govern { revision: 1, change });
    assert!(VerifiedTransaction::verify(transaction).is_err());
}
