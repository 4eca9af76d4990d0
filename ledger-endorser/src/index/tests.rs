use std::fs;

use golden_record::{Entry, Filter, Within};
use threshold::{encoding::Canonical, name::Name};

use super::{follow::advance, *};
use crate::{
    common::{DOCUMENT, World, name},
    ledger::Ledger,
    testing::{NOW_MS, commit, founded},
};

const CACHE: u64 = 1 << 20;

fn open(directory: &Path, world: &World) -> Arc<SearchIndex> {
    Arc::new(SearchIndex::open(directory, world.genesis.chain_id(), CACHE))
}

fn catch_up(index: &SearchIndex, ledger: &Ledger) {
    while advance(index, ledger, None).unwrap() {}
}

/// A ledger with some of everything in it.
fn ledger(world: &World) -> Ledger {
    let ledger = founded(world);
    for round in 0..3 {
        let reads = [
            world.request_read(),
            world.request_read_by("writer", &world.writer, NOW_MS + 60_000 + round),
            // Signed by another than the one that is named.
            world.request_read_by("reader", &world.writer, NOW_MS + 60_000 + round),
        ];
        commit(&ledger, &reads, NOW_MS);
    }
    commit(&ledger, &[world.revoke_reader()], NOW_MS);
    commit(&ledger, &[world.request_read()], NOW_MS);
    ledger
}

fn filters() -> Vec<Filter> {
    let within = [
        Within::Everything,
        Within::Tenant(name("north")),
        Within::Tenant(name("south")),
        Within::Dataset(name("north"), name("loans")),
        Within::Document(name("north"), name("loans"), DOCUMENT.parse().unwrap()),
        Within::Document(name("north"), name("loans"), "other".parse().unwrap()),
    ];
    let users = [None, Some("reader"), Some("writer"), Some("nobody")];
    let kinds = [None, Some("request_read"), Some("write_document")];
    let verdicts = [None, Some("denied"), Some("user_mismatch"), Some("applied")];
    let mut filters = Vec::new();
    for within in within {
        for user in users {
            for kind in kinds {
                for verdict in verdicts {
                    filters.push(Filter {
                        within: within.clone(),
                        user: user.map(|user| (name("north"), name(user))),
                        kind: kind.map(|kind| kind.parse().unwrap()),
                        verdict: verdict.map(|verdict| verdict.parse().unwrap()),
                        ..Filter::default()
                    });
                }
            }
        }
    }
    filters
}

/// What a look at every entry finds.
fn scan(ledger: &Ledger, filter: &Filter) -> Vec<u64> {
    let snapshot = ledger.store().snapshot().unwrap();
    let lines = snapshot.page(0, 1_000, usize::MAX).unwrap();
    let matches = |entry: &Entry, height| {
        let author = author(&snapshot, entry, height).unwrap();
        let author = author
            .as_ref()
            .map(|(tenant, user): &(Name, Name)| (tenant, user));
        filter.matches(entry, 0, author)
    };
    lines
        .iter()
        .filter(|line| matches(&Entry::from_bytes(&line.entry).unwrap(), line.height))
        .map(|line| line.index)
        .collect()
}

fn look_up(index: &Arc<SearchIndex>, filter: &Filter) -> Result<Vec<u64>, IndexError> {
    let terms = Term::of_filter(filter);
    let index = index.view();
    let all = 0..index.covered();
    if terms.is_empty() {
        return Ok(all.collect());
    }
    let found = index.candidates(&terms, all.clone(), usize::MAX, &mut usize::MAX.clone())?;
    assert_eq!(found.next, all.end);
    Ok(found.indices)
}

#[test]
fn the_index_finds_what_a_look_at_every_entry_finds() {
    let world = World::new(NOW_MS);
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&world);
    let index = open(folder.path(), &world);
    catch_up(&index, &ledger);
    let mut found = 0;
    for filter in filters() {
        let expected = scan(&ledger, &filter);
        found += expected.len();
        assert_eq!(look_up(&index, &filter).unwrap(), expected, "{filter:?}");
    }
    assert!(found > 100);
}

#[test]
fn what_a_user_has_signed_is_found_whomever_it_names() {
    let world = World::new(NOW_MS);
    let ledger = ledger(&world);
    let mismatched = Filter {
        user: Some((name("north"), name("writer"))),
        verdict: Some("user_mismatch".parse().unwrap()),
        ..Filter::default()
    };
    assert_eq!(scan(&ledger, &mismatched).len(), 3);
    let written = Filter {
        user: Some((name("north"), name("writer"))),
        kind: Some("write_document".parse().unwrap()),
        ..Filter::default()
    };
    assert_eq!(scan(&ledger, &written), [7]);
}

#[test]
fn blocks_are_followed_as_they_come_and_after_a_gap() {
    let world = World::new(NOW_MS);
    let folder = tempfile::tempdir().unwrap();
    let ledger = founded(&world);
    let index = open(folder.path(), &world);
    let mut blocks = ledger.final_blocks();
    commit(&ledger, &[world.request_read()], NOW_MS);
    let first = blocks.try_recv().unwrap();
    // There are eight entries before it.
    assert!(advance(&index, &ledger, Some(&first)).unwrap() || index.covered() == 9);
    catch_up(&index, &ledger);
    commit(&ledger, &[world.request_read()], NOW_MS);
    let next = blocks.try_recv().unwrap();
    assert!(!advance(&index, &ledger, Some(&next)).unwrap());
    assert_eq!(index.covered(), 10);
    // One that is in it already adds nothing.
    assert!(!advance(&index, &ledger, Some(&next)).unwrap());
    assert_eq!(index.covered(), 10);
    for filter in filters() {
        assert_eq!(look_up(&index, &filter).unwrap(), scan(&ledger, &filter));
    }
}

#[test]
fn an_index_is_kept_and_one_of_another_chain_or_too_far_is_made_again() {
    let world = World::new(NOW_MS);
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&world);
    let index = open(folder.path(), &world);
    catch_up(&index, &ledger);
    let covered = index.covered();
    drop(index);
    let index = open(folder.path(), &world);
    assert_eq!(index.covered(), covered);
    // The store was lost and is empty.
    let other = founded(&world);
    assert!(advance(&index, &other, None).unwrap());
    assert_eq!(index.covered(), 0);
    catch_up(&index, &other);
    assert_eq!(index.covered(), 8);
    drop(index);
    let stranger = World::new(NOW_MS + 1);
    assert_eq!(open(folder.path(), &stranger).covered(), 0);
}

#[test]
fn a_view_that_is_held_while_the_index_is_made_again_hides_nothing() {
    let world = World::new(NOW_MS);
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&world);
    let index = open(folder.path(), &world);
    catch_up(&index, &ledger);
    let before = index.view();
    index.reset(&IndexError::Damaged("the test says so"));
    let terms = Term::of_filter(&filters()[1]);
    let all = 0..before.covered();
    assert!(all.end > 0 && index.view().covered() == 0);
    // It still has all that it covers, or says that it has not.
    if let Ok(found) = before.candidates(&terms, all, usize::MAX, &mut usize::MAX.clone()) {
        assert_eq!(found.indices, scan(&ledger, &filters()[1]));
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
}

#[test]
fn a_damaged_index_is_made_again_and_finds_the_same() {
    let world = World::new(NOW_MS);
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&world);
    let whole = folder.path().join("whole");
    let index = open(&whole, &world);
    catch_up(&index, &ledger);
    let covered = index.covered();
    drop(index);
    let expected: Vec<_> = filters().iter().map(|filter| scan(&ledger, filter)).collect();
    let (mut tried, mut remade) = (0, 0);
    for (number, file) in files(&whole).iter().enumerate() {
        let original = fs::read(file).unwrap();
        // Files of sled are mostly zeros after what was written.
        let used = original
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        let damages = (0..used).step_by((used / 40).max(1)).map(Some).chain([None]);
        for at in damages {
            let damaged = folder
                .path()
                .join(format!("damaged-{number}-{}", at.unwrap_or(usize::MAX)));
            copy(&whole, &damaged);
            let victim = damaged.join(file.strip_prefix(&whole).unwrap());
            let mut bytes = original.clone();
            match at {
                Some(at) => bytes[at] ^= 0x41,
                None => bytes.truncate(used / 2),
            }
            fs::write(&victim, bytes).unwrap();
            let index = open(&damaged, &world);
            tried += 1;
            remade += usize::from(index.covered() != covered);
            for _ in 0..5 {
                catch_up(&index, &ledger);
                let found: Result<Vec<_>, _> =
                    filters().iter().map(|filter| look_up(&index, filter)).collect();
                // What is damaged may be noticed only now.
                let Ok(found) = found else { continue };
                assert_eq!(found, expected, "{} at {at:?}", file.display());
            }
            assert_eq!(index.covered(), covered);
            drop(index);
            fs::remove_dir_all(&damaged).unwrap();
        }
    }
    assert!(tried > 20 && remade > 0, "{remade} of {tried}");
}

#[test]
fn a_lookup_over_many_chunks_is_that_of_the_sets() {
    let world = World::new(NOW_MS);
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), &world);
    let names: Vec<Name> = (0..5).map(|number| name(&format!("tenant-{number}"))).collect();
    // The first in every entry, the second in every third, the third in one chunk, the fourth late, the fifth nowhere.
    let has = |term: usize, index: u64| match term {
        0 => true,
        1 => index.is_multiple_of(3),
        2 => (700..720).contains(&index),
        3 => index >= 1_900,
        _ => false,
    };
    let entries: Vec<Vec<Term>> = (0..2_000)
        .map(|index| {
            let terms = (0..5).filter(|term| has(*term, index));
            terms.map(|term| Term::tenant(&names[term])).collect()
        })
        .collect();
    // In batches that do not end with a chunk.
    for batch in entries.chunks(301) {
        index.add(batch).unwrap();
    }
    assert_eq!(index.covered(), 2_000);
    let sets: [&[usize]; 7] = [&[0], &[1], &[0, 1], &[1, 2], &[2, 3], &[0, 1, 3], &[4]];
    for set in sets {
        let terms: Vec<Term> = set.iter().map(|term| Term::tenant(&names[*term])).collect();
        for range in [0..2_000, 5..705, 255..257, 256..256, 1_899..1_950] {
            let expected: Vec<u64> = range
                .clone()
                .filter(|index| set.iter().all(|term| has(*term, *index)))
                .collect();
            // In pages of some, and with few lookups at a time, it is the same.
            for (most, lookups) in [
                (usize::MAX, 1_000),
                (7, 1_000),
                (7, 2 * set.len()),
                (1, set.len()),
            ] {
                let (mut at, mut found, mut pages) = (range.start, Vec::new(), 0);
                while at < range.end {
                    let page = index
                        .view()
                        .candidates(&terms, at..range.end, most, &mut lookups.clone())
                        .unwrap();
                    assert!(page.next > at && page.indices.len() <= most);
                    found.extend(page.indices);
                    at = page.next;
                    pages += 1;
                    assert!(pages < 3_000);
                }
                assert_eq!(found, expected, "{set:?} {range:?} {most} {lookups}");
            }
        }
    }
}
