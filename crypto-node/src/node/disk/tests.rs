use super::*;
use crate::backup::tests::files::{Directory, taken};
use crate::backup::tests::shared;
use crate::ceremony::record::Phase;
use crate::ceremony::tests::vectors;
use crate::store::Change;
use crate::tests::world::NOW_MS;

fn start(directory: &Directory) -> anyhow::Result<Opened> {
    let Unlocked {
        settings,
        identity,
        share_seal,
    } = unlock(&directory.config)?;
    let clock: Clock = Arc::new(|| NOW_MS);
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let opened = open(
        &directory.config,
        settings,
        identity,
        share_seal.unwrap(),
        &clock,
        metrics,
    )?;
    Ok(opened.0)
}

/// A refresh of the key in use, so far.
fn refresh(number: u8, phase: Phase) -> Record {
    let plan = vectors::refresh(number);
    let proposer = shared().committee.manifest().members()[0].identity;
    let mut record = Record::new(plan, proposer, NOW_MS);
    record.phase = phase;
    record
}

fn store(directory: &Directory, newest: &Record, others: &[Record], doubt: Option<CeremonyId>) {
    let row = |record: &Record| (record.plan.id(), record.to_bytes());
    let change = Change {
        ceremony: newest.plan.id(),
        record: newest.to_bytes(),
        others: others.iter().map(row).collect(),
        past: Vec::new(),
        doubt,
        active: None,
    };
    directory.store().apply(&change).unwrap();
}

/// The node stopped between the journal's word and the store's; the ceremony was given up, and another proposed.
#[test]
fn p7_a16_a_key_that_did_not_come_into_use_does_not_keep_the_node_from_starting_later() {
    let directory = Directory::in_use();
    let (mut first, mut second) = (refresh(1, Phase::Canary), refresh(2, Phase::Canary));
    store(&directory, &first, &[], None);
    directory.journal(Step::Active, first.plan.id());
    // Twice: it may stop again before anything else happens.
    for _ in 0..2 {
        assert!(start(&directory).unwrap().remembered.key.is_some());
    }
    first.phase = Phase::Aborted;
    store(&directory, &second, &[first], None);
    start(&directory).unwrap();
    // And with the next one, which is in doubt.
    directory.journal(Step::Active, second.plan.id());
    let doubt = second.plan.id();
    second.phase = Phase::Aborted;
    store(&directory, &refresh(3, Phase::Proposed), &[second], Some(doubt));
    start(&directory).unwrap();
    store(&directory, &refresh(4, Phase::Proposed), &[], None);
    assert!(start(&directory).unwrap().remembered.key.is_some());
}

#[test]
fn p7_b5_a_backup_is_put_back_although_a_key_after_it_did_not_come_into_use() {
    let directory = Directory::in_use();
    let taken = taken(&directory);
    let unfinished = refresh(1, Phase::Canary);
    store(&directory, &unfinished, &[], None);
    directory.journal(Step::Active, unfinished.plan.id());
    taken.restore(&directory, None).unwrap();
    start(&directory).unwrap();
    // Once it was taken back, it stays so.
    directory.journal(Step::Active, unfinished.plan.id());
    start(&directory).unwrap();
    store(&directory, &refresh(2, Phase::Proposed), &[], None);
    taken.restore(&directory, None).unwrap();
}

#[test]
fn p10_a_store_of_an_earlier_time_does_not_start() {
    let directory = Directory::in_use();
    directory.journal(Step::Active, refresh(1, Phase::Active).plan.id());
    store(&directory, &refresh(2, Phase::Proposed), &[], None);
    let refused = start(&directory).err().unwrap().to_string();
    assert!(refused.starts_with("journal: it does not know"), "{refused}");
}

#[test]
fn a_key_whose_members_are_not_all_in_the_configuration_is_not_used() {
    let mut directory = Directory::in_use();
    let gone = directory.config.members.pop().unwrap();
    let refused = start(&directory).err().unwrap().to_string();
    let words = format!("members: {} holds a share of the key in use", gone.name);
    assert!(refused.starts_with(&words), "{refused}");
}

/// The node stopped between the store's word and the end of the old share, or while it destroyed it.
#[test]
fn b8_a_share_that_is_of_no_use_any_more_does_not_outlive_a_start() {
    let directory = Directory::in_use();
    let old = directory
        .path("shares")
        .join(format!("{}.share", CeremonyId([9; 32])));
    std::fs::write(&old, b"an old share").unwrap();
    assert!(start(&directory).unwrap().remembered.key.is_some());
    assert!(!old.exists());
    // What may yet come into use stays, and everything when the store is lost.
    let newest = refresh(1, Phase::Canary);
    let fresh = directory
        .path("shares")
        .join(format!("{}.share", newest.plan.id()));
    store(&directory, &newest, &[], None);
    std::fs::write(&fresh, b"a new share").unwrap();
    start(&directory).unwrap();
    assert!(fresh.exists());
    std::fs::remove_file(directory.path("ceremonies.redb")).unwrap();
    start(&directory).unwrap();
    assert_eq!(std::fs::read_dir(directory.path("shares")).unwrap().count(), 2);
}
