use super::*;
use threshold::testing::{TestCommittee, TestRng};

const NOW_MS: u64 = 1_800_000_000_000;
const NOW_S: u64 = NOW_MS / 1000;

/// Five members, three of whom are needed, all well; seen by the first.
fn well() -> Facts {
    let committee = TestCommittee::generate(3, 5, &mut TestRng::new("diagnosis")).unwrap();
    let manifest = committee.manifest().clone();
    let members = manifest.members().iter();
    let seen = Seen {
        offset_ms: 20,
        manifest: Some(manifest.digest()),
        epoch: 1,
    };
    let others = members.clone().skip(1);
    Facts {
        me: manifest.members()[0].identity,
        now_ms: NOW_MS,
        others: others
            .map(|member| (member.identity, (member.name.clone(), Some(seen))))
            .collect(),
        manifest: Some(manifest),
        serves_epoch: None,
        ceremony: None,
        ceremonies_work: true,
        journal_works: true,
        roots: vec![(Name::new("north").unwrap(), 0..=NOW_S + 90 * 24 * 60 * 60)],
        max_skew_s: 10,
    }
}

fn of(facts: &Facts, name: &str) -> Check {
    let checks = facts.checks();
    checks.into_iter().find(|check| check.name == name).unwrap()
}

fn level(facts: &Facts, name: &str) -> Level {
    let check = of(facts, name);
    assert_eq!(check.level == Level::Ok, check.advice.is_empty(), "{check:?}");
    check.level
}

/// The first so many of the others say nothing, or something else.
fn change(facts: &mut Facts, count: usize, change: impl Fn(&mut Option<Seen>)) {
    facts
        .others
        .values_mut()
        .take(count)
        .for_each(|(_, seen)| change(seen));
}

#[test]
fn p17_a_node_that_is_well_has_nothing_to_do() {
    let facts = well();
    assert!(
        facts
            .checks()
            .iter()
            .all(|check| check.level == Level::Ok && check.advice.is_empty())
    );
    let figures = facts.figures();
    assert_eq!(
        (figures.reachable, figures.margin, figures.other_epoch),
        (5, 2, 0)
    );
    assert_eq!(figures.offset_ms, 20);
}

#[test]
fn p17_half_of_the_margin_lost_warns_and_the_last_of_it_is_an_error() {
    let cases = [
        (0, Level::Ok),
        (1, Level::Warn),
        (2, Level::Error),
        (3, Level::Error),
    ];
    for (lost, expected) in cases {
        let mut facts = well();
        change(&mut facts, lost, |seen| *seen = None);
        let check = of(&facts, "quorum");
        assert_eq!(check.level, expected, "{lost}: {}", check.found);
        assert_eq!(facts.figures().margin, 2 - i64::try_from(lost).unwrap());
        for (place, (name, _)) in facts.others.values().enumerate() {
            assert_eq!(
                check.found.contains(name.as_str()),
                place < lost,
                "{}",
                check.found
            );
        }
    }
    let mut stopped = well();
    change(&mut stopped, 3, |seen| *seen = None);
    assert!(of(&stopped, "quorum").advice.contains("have stopped"));
}

#[test]
fn p17_a_member_in_another_epoch_is_named_and_does_not_count() {
    let mut facts = well();
    change(&mut facts, 1, |seen| {
        *seen = Some(Seen {
            offset_ms: 0,
            manifest: None,
            epoch: 0,
        });
    });
    let name = facts.others.values().next().unwrap().0.clone();
    assert_eq!(level(&facts, "epoch"), Level::Warn);
    assert!(of(&facts, "epoch").found.contains(&format!("{name} has no key")));
    assert_eq!(level(&facts, "quorum"), Level::Warn);
    assert_eq!(facts.figures().other_epoch, 1);
    change(&mut facts, 1, |seen| {
        *seen = Some(Seen {
            offset_ms: 0,
            manifest: Some(ManifestDigest([7; 32])),
            epoch: 2,
        });
    });
    assert!(of(&facts, "epoch").advice.contains("this node may be behind"));
}

#[test]
fn p17_no_key_and_an_old_share_are_said_with_what_to_do() {
    let mut facts = well();
    facts.serves_epoch = Some(1);
    assert_eq!(level(&facts, "old-share"), Level::Warn);
    facts.manifest = None;
    assert_eq!(level(&facts, "key"), Level::Error);
    assert_eq!(facts.figures().reachable, 0);
}

#[test]
fn p17_a_root_that_expires_is_announced_a_month_before() {
    let month = 30 * 24 * 60 * 60;
    let cases = [
        (0..=NOW_S + month, Level::Ok),
        (0..=NOW_S + month - 1, Level::Warn),
        (0..=NOW_S, Level::Warn),
        (0..=NOW_S - 1, Level::Error),
        (NOW_S + 1..=NOW_S + 2 * month, Level::Error),
    ];
    for (root, expected) in cases {
        let mut facts = well();
        facts.roots.push((Name::new("south").unwrap(), root.clone()));
        assert_eq!(level(&facts, "certificates"), expected, "{root:?}");
        let named = of(&facts, "certificates").found.contains("south");
        assert_eq!(named, expected != Level::Ok);
        assert_eq!(
            facts.figures().root_expires_s,
            (*root.end()).min(NOW_S + 3 * month)
        );
    }
}

#[test]
fn p17_one_clock_that_differs_is_that_nodes_and_most_are_this_nodes() {
    for (offset_ms, wrong, expected) in [
        (10_000, 4, Level::Ok),
        (10_001, 1, Level::Warn),
        (-10_001, 2, Level::Warn),
        (10_001, 3, Level::Error),
    ] {
        let mut facts = well();
        change(&mut facts, wrong, |seen| {
            *seen = seen.map(|seen| Seen { offset_ms, ..seen });
        });
        assert_eq!(level(&facts, "clock"), expected, "{offset_ms} {wrong}");
    }
}

#[test]
fn p17_ceremonies_and_journal_are_looked_at() {
    let mut facts = well();
    facts.journal_works = false;
    assert_eq!(level(&facts, "journal"), Level::Error);
    let ceremony = |phase, joined, deadline_ms| Ceremony {
        id: CeremonyId([1; 32]),
        phase,
        joined,
        deadline_ms,
        missing: vec![Name::new("absent").unwrap()],
    };
    let later = NOW_MS + 1;
    let cases = [
        (ceremony(Phase::Proposed, false, later), Level::Warn, "operator"),
        (ceremony(Phase::Proposed, true, later), Level::Ok, "under way"),
        (ceremony(Phase::Canary, true, later), Level::Ok, "under way"),
        (ceremony(Phase::Canary, true, NOW_MS), Level::Warn, "absent"),
        (ceremony(Phase::Active, true, 0), Level::Ok, "done"),
        (ceremony(Phase::Aborted, true, 0), Level::Ok, "given up"),
    ];
    for (ceremony, expected, words) in cases {
        facts.ceremony = Some(ceremony.clone());
        assert_eq!(level(&facts, "ceremony"), expected, "{ceremony:?}");
        assert!(of(&facts, "ceremony").found.contains(words), "{ceremony:?}");
    }
    facts.ceremonies_work = false;
    assert_eq!(level(&facts, "ceremony"), Level::Error);
}
