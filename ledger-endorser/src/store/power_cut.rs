//! E4: whatever was acknowledged is there after a power cut at any write, sync or change of length.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use golden_record::{Block, StateReader, keys, queries};
use threshold::encoding::Canonical;

use super::{
    Store, StoreError,
    disk::{Chance, Disk, Sync},
};
use crate::{
    common::{World, key},
    ledger::Ledger,
    testing::{CACHE, NOW_MS, ledger, ledger_over, offer, propose},
};

/// A chain of blocks made beforehand: each with a transaction or two.
fn chain(world: &World, length: u64) -> Vec<Arc<[u8]>> {
    let ledger = ledger(world);
    let blocks = (0..length).map(|number| {
        let tenant = |suffix: &str| {
            let name = format!("tenant-{number}{suffix}");
            world.create_tenant(&name, &key(&name))
        };
        offer(
            &ledger,
            &[tenant("a"), tenant("b")][..1 + usize::from(number % 3 == 0)],
        );
        let block = propose(&ledger, NOW_MS + number);
        ledger.apply(vec![(Arc::clone(&block), None)]).unwrap();
        block
    });
    blocks.collect()
}

fn open(world: &World, disk: &Disk) -> Result<Ledger, StoreError> {
    Ok(ledger_over(
        world,
        Store::on_disk(disk.clone(), &world.genesis, CACHE)?,
    ))
}

/// Appends the rest of the chain in batches until the power is cut; gives the acknowledged height.
fn run(ledger: &Ledger, chain: &[Arc<[u8]>], chance: &mut Chance) -> u64 {
    let mut height = ledger.store().tip().header.height;
    while let Some(rest) = chain
        .get(usize::try_from(height).unwrap()..)
        .filter(|rest| !rest.is_empty())
    {
        let batch = rest.iter().take(1 + usize::try_from(chance.below(3)).unwrap());
        if ledger
            .apply(batch.map(|block| (Arc::clone(block), None)).collect())
            .is_err()
        {
            return height;
        }
        height = ledger.store().tip().header.height;
    }
    height
}

/// Whether the store holds the chain up to its own tip, whole and consistent.
fn check(ledger: &Ledger, chain: &[Arc<[u8]>]) -> Result<(), StoreError> {
    let snapshot = ledger.store().snapshot()?;
    let height = snapshot.newest().height;
    for bytes in chain.iter().take(usize::try_from(height).unwrap()) {
        let block = Block::from_bytes(bytes).unwrap();
        let damaged = StoreError::Damaged("a block is not what was appended");
        if snapshot.header(block.header().height)?.as_ref() != Some(block.header()) {
            return Err(damaged);
        }
        for (index, entry) in block.indexed_entries() {
            let line = snapshot
                .line(index)?
                .ok_or(StoreError::Damaged("a line is gone"))?;
            let found = snapshot.index_of(entry.transaction.tx_id().as_bytes())?;
            if line.entry != entry.to_bytes() || found != Some(index) {
                return Err(damaged);
            }
        }
    }
    // The world state is the one after exactly this block.
    let header = queries::header(&snapshot).map_err(|_| StoreError::Damaged("the state has no header"))?;
    if header != *snapshot.newest() || snapshot.get(keys::FRONTIER).is_err() {
        return Err(StoreError::Damaged("the state is not the newest block's"));
    }
    Ok(())
}

/// One life after another on one disk, each ended by a cut, until the chain is complete. Gives the number of
/// cuts, or what was lost.
fn lives(world: &World, chain: &[Arc<[u8]>], seed: u64, sync: Sync) -> Result<u32, String> {
    let mut chance = Chance(seed);
    let mut content = Vec::new();
    let mut acknowledged = 0;
    let complete = u64::try_from(chain.len()).unwrap();
    for cuts in 0.. {
        let disk = Disk::new(content, sync);
        disk.cut_after(10 + chance.below(60));
        if let Ok(ledger) = open(world, &disk) {
            let found = ledger.store().tip().header.height;
            if found < acknowledged {
                return Err(format!(
                    "height {acknowledged} was acknowledged, {found} is there"
                ));
            }
            check(&ledger, chain).map_err(|error| error.to_string())?;
            acknowledged = run(&ledger, chain, &mut chance);
            if acknowledged == complete {
                return Ok(cuts);
            }
        } else if acknowledged > 0 {
            // Either the power went during the opening, or the file is lost: a calm opening tells.
            let calm = Disk::new(disk.after_the_cut(&mut chance), sync);
            open(world, &calm).map_err(|error| format!("the store does not open: {error:?}"))?;
        }
        content = disk.after_the_cut(&mut chance);
        assert!(cuts < 10_000, "the chain never becomes complete");
    }
    unreachable!("the loop returns")
}

#[test]
fn e4_a_power_cut_at_any_moment_loses_nothing_acknowledged() {
    let world = World::new(NOW_MS);
    let chain = chain(&world, 24);
    let cuts: u32 = (0..24)
        .map(|seed| lives(&world, &chain, seed, Sync::Honoured).unwrap())
        .sum();
    assert!(cuts > 100, "the power was cut too seldom: {cuts}");
}

#[test]
fn e4_the_test_can_fail_a_disk_that_ignores_syncs_loses_something() {
    let world = World::new(NOW_MS);
    let chain = chain(&world, 24);
    // A file torn in this way can also make the database panic on what it reads.
    let life = |seed| catch_unwind(AssertUnwindSafe(|| lives(&world, &chain, seed, Sync::Ignored)));
    let lost = (0..24).filter(|seed| !matches!(life(*seed), Ok(Ok(_)))).count();
    assert!(lost > 12, "only {lost} of 24 lives lost something");
}
