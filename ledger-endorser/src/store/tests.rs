use std::sync::Arc;

use golden_record::{Entry, EntryProof, FinalityEvidence, StateReader, keys, merkle, queries::LogNodes};
use redb::backends::InMemoryBackend;

use super::*;
use crate::{
    common::{World, name},
    ledger::Ledger,
    testing::{CACHE, NOW_MS, commit, founded, id, ledger, ledger_over, offer, propose, store, votes},
};

fn reopen(path: &Path, world: &World) -> Result<Store, StoreError> {
    Store::open(path, &world.genesis, CACHE)
}

fn on_file(path: &Path, world: &World) -> Ledger {
    ledger_over(world, reopen(path, world).unwrap())
}

#[test]
fn what_was_appended_is_there_after_a_reopening() {
    let (world, folder) = (World::new(NOW_MS), tempfile::tempdir().unwrap());
    let path = folder.path().join("ledger.redb");
    let transactions = world.foundation();
    let tip = {
        let ledger = on_file(&path, &world);
        for transaction in &transactions {
            commit(&ledger, std::slice::from_ref(transaction), NOW_MS);
        }
        ledger.store().tip()
    };
    let store = reopen(&path, &world).unwrap();
    assert_eq!(store.tip(), tip);
    let snapshot = store.snapshot().unwrap();
    for (index, transaction) in (0..).zip(&transactions) {
        assert_eq!(
            snapshot.index_of(id(transaction).as_bytes()).unwrap(),
            Some(index)
        );
        let line = snapshot.line(index).unwrap().unwrap();
        assert_eq!(line.height, index + 1);
        assert_eq!(Entry::from_bytes(&line.entry).unwrap().transaction, *transaction);
    }
    assert_eq!(snapshot.line(8).unwrap(), None);
    assert_eq!(
        snapshot.get(keys::HEADER).unwrap().unwrap(),
        tip.header.to_bytes()
    );
}

#[test]
fn a_store_of_another_chain_or_layout_is_refused() {
    let (world, folder) = (World::new(NOW_MS), tempfile::tempdir().unwrap());
    let path = folder.path().join("ledger.redb");
    drop(reopen(&path, &world).unwrap());
    let other = World::new(NOW_MS + 1);
    assert!(matches!(reopen(&path, &other), Err(StoreError::OtherChain)));
    {
        let database = Database::create(&path).unwrap();
        let write = database.begin_write().unwrap();
        write
            .open_table(tables::META)
            .unwrap()
            .insert("layout", 3u64.to_be_bytes().as_slice())
            .unwrap();
        write.commit().unwrap();
    }
    assert!(matches!(reopen(&path, &world), Err(StoreError::UnknownLayout(3))));
}

#[test]
fn a_block_that_does_not_follow_changes_nothing() {
    let world = World::new(NOW_MS);
    let (ledger, other) = (ledger(&world), ledger(&world));
    commit(&other, &world.foundation(), NOW_MS);
    let skipped = propose(&other, NOW_MS);
    let ground = other.ground(&[]).unwrap();
    other.check(&skipped, &ground).unwrap();
    let block = Arc::new(Block::from_bytes(&skipped).unwrap());
    let hash = block.hash();
    let second = FinalBlock {
        block,
        hash,
        ids: Vec::new(),
        changes: Arc::new(Changes::new()),
        evidence: None,
    };
    let before = ledger.store().tip();
    let refused = ledger.store().append(std::slice::from_ref(&second));
    assert!(matches!(
        refused,
        Err(StoreError::NotNext { newest: 0, given: 2 })
    ));
    assert_eq!(ledger.store().tip(), before);
    assert_eq!(ledger.store().snapshot().unwrap().newest().height, 0);
}

#[test]
fn a_snapshot_does_not_see_what_comes_later() {
    let world = World::new(NOW_MS);
    let ledger = ledger(&world);
    let snapshot = ledger.store().snapshot().unwrap();
    let tenant = world.create_tenant("north", &world.tenant_admin);
    commit(&ledger, std::slice::from_ref(&tenant), NOW_MS);
    assert_eq!(snapshot.newest().height, 0);
    assert_eq!(snapshot.index_of(id(&tenant).as_bytes()).unwrap(), None);
    assert_eq!(snapshot.get(&keys::tenant(&name("north"))).unwrap(), None);
}

#[test]
fn keys_are_listed_from_where_the_list_ended() {
    let world = World::new(NOW_MS);
    let snapshot = founded(&world).store().snapshot().unwrap();
    let users = keys::users(&name("north"));
    let list = |after: &[u8], limit| snapshot.keys_after(&users, after, limit).unwrap();
    assert_eq!(list(b"", 10), [b"reader", b"writer"]);
    assert_eq!(list(b"", 1), [b"reader"]);
    assert_eq!(list(b"reader", 1), [b"writer"]);
    assert_eq!(list(b"r", 1), [b"reader"]);
    assert!(list(b"writer", 10).is_empty());
}

#[test]
fn pages_end_at_their_limits() {
    let world = World::new(NOW_MS);
    let snapshot = founded(&world).store().snapshot().unwrap();
    let indices = |lines: Vec<LogLine>| lines.iter().map(|line| line.index).collect::<Vec<_>>();
    assert_eq!(
        indices(snapshot.page(0, 100, usize::MAX).unwrap()),
        [0, 1, 2, 3, 4, 5, 6, 7]
    );
    assert_eq!(indices(snapshot.page(2, 3, usize::MAX).unwrap()), [2, 3, 4]);
    assert_eq!(indices(snapshot.page(8, 3, usize::MAX).unwrap()), [0; 0]);
    // One line, whatever its size; more only as far as they fit.
    assert_eq!(indices(snapshot.page(1, 100, 0).unwrap()), [1]);
    let two = snapshot.line(1).unwrap().unwrap().entry.len() + snapshot.line(2).unwrap().unwrap().entry.len();
    assert_eq!(indices(snapshot.page(1, 100, two).unwrap()), [1, 2]);
    // The publication of the committee concerns no tenant.
    assert_eq!(
        indices(snapshot.tenant_page("north", 0, 100, usize::MAX).unwrap()),
        [1, 2, 3, 4, 7]
    );
    assert_eq!(
        indices(snapshot.tenant_page("north", 3, 2, usize::MAX).unwrap()),
        [3, 4]
    );
    assert_eq!(
        indices(snapshot.tenant_page("nort", 0, 100, usize::MAX).unwrap()),
        [0; 0]
    );
}

#[test]
fn evidence_of_a_later_block_proves_an_earlier_entry() {
    let world = World::new(NOW_MS);
    let ledger = ledger(&world);
    let tenant = world.create_tenant("north", &world.tenant_admin);
    offer(&ledger, std::slice::from_ref(&tenant));
    let first = propose(&ledger, NOW_MS);
    ledger.apply(vec![(first, None)]).unwrap();
    assert_eq!(ledger.store().snapshot().unwrap().evidence_from(1).unwrap(), None);
    let second = propose(&ledger, NOW_MS);
    let evidence = votes(&world, &second, 3);
    ledger.apply(vec![(second, Some(evidence.clone()))]).unwrap();

    let snapshot = ledger.store().snapshot().unwrap();
    let (height, bytes) = snapshot.evidence_from(1).unwrap().unwrap();
    assert_eq!(
        (height, FinalityEvidence::from_bytes(&bytes).unwrap()),
        (2, evidence.clone())
    );
    assert_eq!(snapshot.newest_evidence().unwrap().unwrap().0, 2);
    let headers = [1, 2]
        .map(|height| snapshot.header(height).unwrap().unwrap())
        .to_vec();
    let path = merkle::inclusion_proof(&LogNodes(&snapshot), 0, headers[0].log_size).unwrap();
    let proof = EntryProof {
        index: 0,
        path,
        headers,
        evidence,
    };
    let entry = Entry::from_bytes(&snapshot.line(0).unwrap().unwrap().entry).unwrap();
    proof.verify(&world.genesis, &entry).unwrap();
}

/// Makes what waits final, with evidence or without.
fn append(world: &World, ledger: &Ledger, with_evidence: bool) {
    let block = propose(ledger, NOW_MS);
    let evidence = with_evidence.then(|| votes(world, &block, 3));
    ledger.apply(vec![(block, evidence)]).unwrap();
}

/// The heights whose headers are there.
fn kept(ledger: &Ledger) -> Vec<u64> {
    let snapshot = ledger.store().snapshot().unwrap();
    (0..=snapshot.newest().height)
        .filter(|height| snapshot.header(*height).unwrap().is_some())
        .collect()
}

#[test]
fn a_chain_at_rest_does_not_grow_and_loses_no_proof() {
    let world = World::new(NOW_MS);
    let ledger = ledger(&world);
    (0..20).for_each(|_| append(&world, &ledger, true));
    assert_eq!(kept(&ledger), [0, 20]);
    offer(&ledger, &[world.create_tenant("north", &world.tenant_admin)]);
    append(&world, &ledger, false);
    (0..2).for_each(|_| append(&world, &ledger, false));
    assert_eq!(kept(&ledger), [0, 20, 21, 22, 23]);
    (0..20).for_each(|_| append(&world, &ledger, true));
    // The entry's block is 21, and the next evidence that of 24.
    assert_eq!(kept(&ledger), [0, 21, 22, 23, 24, 43]);
    let snapshot = ledger.store().snapshot().unwrap();
    assert_eq!(snapshot.evidence_from(21).unwrap().unwrap().0, 24);
    assert_eq!(snapshot.newest_evidence().unwrap().unwrap().0, 43);
    offer(&ledger, &[world.create_tenant("south", &world.reader)]);
    (0..20).for_each(|_| append(&world, &ledger, true));
    assert_eq!(kept(&ledger), [0, 21, 22, 23, 24, 44, 63]);
    assert_eq!(
        ledger
            .store()
            .snapshot()
            .unwrap()
            .evidence_from(25)
            .unwrap()
            .unwrap()
            .0,
        44
    );
}

#[tokio::test]
async fn a_store_is_closed_when_its_file_is_free() {
    use futures::FutureExt as _;

    let (world, folder) = (World::new(NOW_MS), tempfile::tempdir().unwrap());
    let path = folder.path().join("ledger.redb");
    let store = reopen(&path, &world).unwrap();
    let mut closed = Box::pin(store.closed());
    assert!((&mut closed).now_or_never().is_none());
    assert!(matches!(reopen(&path, &world), Err(StoreError::Database(_))));
    drop(store);
    closed.await;
    reopen(&path, &world).unwrap();
}

#[test]
fn the_store_of_a_new_chain_has_the_genesis() {
    let world = World::new(NOW_MS);
    let store = store(&world);
    assert_eq!(store.tip().hash, world.genesis.block().0.hash());
    let empty = Store::on_disk(InMemoryBackend::new(), &World::new(NOW_MS + 1).genesis, CACHE).unwrap();
    assert_ne!(empty.tip().hash, store.tip().hash);
}
