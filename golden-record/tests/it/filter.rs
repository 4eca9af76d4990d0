//! What matches a filter, and what its words are.

use golden_record::{Body, Entry, Filter, Kind, Outcome, Verdict, Within};
use threshold::name::Name;

use crate::support::{World, document, name};

fn entries(world: &World) -> Vec<Entry> {
    world
        .blocks
        .iter()
        .flat_map(|block| block.entries().to_vec())
        .collect()
}

/// The words of all kinds and verdicts are those that entries have.
#[test]
fn every_entry_is_found_by_its_own_kind_and_verdict_and_by_no_other() {
    let world = World::ready(31);
    for entry in entries(&world) {
        for word in Body::KINDS {
            let kind: Kind = word.parse().unwrap();
            let filter = Filter {
                kind: Some(kind),
                ..Filter::default()
            };
            let own = entry.transaction.body.kind() == *word;
            assert_eq!(filter.matches(&entry, 0, None), own, "{word}");
        }
        for word in Outcome::KINDS {
            let verdict: Verdict = word.parse().unwrap();
            let filter = Filter {
                verdict: Some(verdict),
                ..Filter::default()
            };
            assert_eq!(
                filter.matches(&entry, 0, None),
                entry.outcome.kind() == *word,
                "{word}"
            );
        }
        assert!(entry.transaction.body.kind().parse::<Kind>().is_ok());
        assert!(entry.outcome.kind().parse::<Verdict>().is_ok());
    }
    assert!("reading".parse::<Kind>().is_err());
    assert!("perhaps".parse::<Verdict>().is_err());
    assert!("not_a_reader".parse::<Verdict>().is_ok());
    assert!("stale_version".parse::<Verdict>().is_ok());
}

#[test]
fn a_part_of_the_log_has_no_gaps_in_its_name() {
    let (tenant, dataset) = (name("acme"), name("reports"));
    let one = document("q3");
    assert_eq!(Within::new(None, Some(dataset.clone()), None), None);
    assert_eq!(Within::new(None, None, Some(one.clone())), None);
    assert_eq!(Within::new(Some(tenant.clone()), None, Some(one.clone())), None);
    assert_eq!(
        Within::new(Some(tenant.clone()), Some(dataset.clone()), Some(one.clone())),
        Some(Within::Document(tenant, dataset, one))
    );
}

#[test]
fn each_part_of_a_filter_restricts_what_matches() {
    let world = World::ready(31);
    let all = entries(&world);
    let count = |filter: &Filter| {
        let matches = all.iter().filter(|entry| filter.matches(entry, 1_000, None));
        matches.count()
    };
    let whole = Filter::default();
    assert_eq!(count(&whole), all.len());
    let within = |within: Within| Filter {
        within,
        ..Filter::default()
    };
    let of_tenant = count(&within(Within::Tenant(name("acme"))));
    let of_dataset = count(&within(Within::Dataset(name("acme"), name("reports"))));
    assert!(0 < of_dataset && of_dataset < of_tenant && of_tenant < all.len());
    assert_eq!(count(&within(Within::Tenant(name("nobody")))), 0);
    for (since_ms, until_ms, found) in [
        (Some(1_000), None, true),
        (Some(1_001), None, false),
        (None, Some(1_000), false),
        (None, Some(1_001), true),
    ] {
        let filter = Filter {
            since_ms,
            until_ms,
            ..Filter::default()
        };
        assert_eq!(count(&filter) == all.len(), found);
    }
}

#[test]
fn a_user_is_found_by_its_name_and_by_its_signature_and_only_in_its_tenant() {
    let world = World::ready(31);
    let all = entries(&world);
    let entry = all
        .iter()
        .find(|entry| matches!(entry.transaction.body, Body::CreateUser { .. }))
        .unwrap();
    let named: Name = entry.transaction.body.user().unwrap().clone();
    let of = |tenant: &str, user: &Name| Filter {
        user: Some((name(tenant), user.clone())),
        ..Filter::default()
    };
    assert!(of("acme", &named).matches(entry, 0, None));
    assert!(!of("other", &named).matches(entry, 0, None));
    let author = name("somebody");
    assert!(!of("acme", &author).matches(entry, 0, None));
    assert!(of("acme", &author).matches(entry, 0, Some((&name("acme"), &author))));
    assert!(!of("acme", &author).matches(entry, 0, Some((&name("other"), &author))));
}
