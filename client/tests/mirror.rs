//! A mirror of the log: copied in steps, read again, and every byte of it watched.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use golden_record::merkle::Hash;
use golden_record::{Outcome, RejectionReason};
use quorate_client::{Damage, Error, Mirror};
use sha2::{Digest, Sha256};
use support::{Behaviour, ORGANISATIONS, World};

fn mirror(world: &World, directory: &Path) -> Mirror {
    Mirror::new(directory, world.chain().genesis)
}

async fn copied(world: &World, directory: &Path) -> Mirror {
    let mirror = mirror(world, directory);
    mirror.update(&world.client().await).await.unwrap();
    mirror
}

fn damage(error: Error) -> Damage {
    match error {
        Error::Damaged(damage) => *damage,
        error => panic!("{error}"),
    }
}

fn head(directory: &Path) -> PathBuf {
    directory.join("mirror")
}

fn lines(directory: &Path) -> PathBuf {
    directory.join("lines/0000000000.txt")
}

fn append(world: &World, numbers: std::ops::Range<u8>) {
    for number in numbers {
        world.chain.lock().unwrap().append(number, Outcome::Applied);
    }
}

#[tokio::test]
async fn a_mirror_is_copied_once_and_then_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(7).await;
    let mirror = mirror(&world, folder.path());
    assert_eq!(mirror.check().unwrap().size(), 0);
    let client = world.client().await;
    let first = mirror.update(&client).await.unwrap();
    assert_eq!((first.before, first.size), (0, 7));
    let before = fs::read(lines(folder.path())).unwrap();
    append(&world, 20..25);
    let second = mirror.update(&client).await.unwrap();
    assert_eq!((second.before, second.size), (7, 12));
    let after = fs::read(lines(folder.path())).unwrap();
    assert!(after.starts_with(&before));
    let contents = mirror.check().unwrap();
    assert_eq!(contents.size(), 12);
    let checkpoint = contents.checkpoint.unwrap();
    assert_eq!(checkpoint.checkpoint().size, 12);
    checkpoint.verify(&world.chain().genesis).unwrap();
    // With nothing new, nothing is written.
    mirror.update(&client).await.unwrap();
    assert_eq!(fs::read(lines(folder.path())).unwrap(), after);
}

#[tokio::test]
async fn e8_every_changed_byte_is_found_and_in_which_line() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(4).await;
    let mirror = copied(&world, folder.path()).await;
    // With one signature more than a quorum, so that one that is changed leaves enough.
    let mut note = world.chain().checkpoint(ORGANISATIONS[0], 0);
    for (place, organisation) in ORGANISATIONS.iter().enumerate().skip(1) {
        note.merge(&world.chain().checkpoint(organisation, place));
    }
    let text = fs::read_to_string(head(folder.path())).unwrap();
    let (before, _) = text.split_once("\n\n").unwrap();
    fs::write(head(folder.path()), format!("{before}\n\n{}", note.to_text())).unwrap();
    mirror.check().unwrap();
    for path in [lines(folder.path()), head(folder.path())] {
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            // Another bit each time, and for a line also one that leaves a character of text.
            let flips = if path == head(folder.path()) { 1 } else { 2 };
            for flip in [1 << (at % 8), 0x01].into_iter().take(flips) {
                let mut changed = whole.clone();
                changed[at] ^= flip;
                fs::write(&path, &changed).unwrap();
                let found = damage(
                    mirror
                        .check()
                        .expect_err(&format!("byte {at} of {}", path.display())),
                );
                if path == lines(folder.path()) {
                    let index = whole[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
                    assert_eq!(
                        (&found.file, found.index, found.line),
                        (&path, Some(index), Some(index + 1)),
                        "byte {at}: {found}"
                    );
                } else {
                    assert_eq!(found.file, path, "byte {at}: {found}");
                }
            }
        }
        for removed in [0, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed.remove(removed);
            fs::write(&path, &changed).unwrap();
            assert_eq!(damage(mirror.check().unwrap_err()).file, path);
        }
        let mut added = whole.clone();
        added.push(b'\n');
        fs::write(&path, added).unwrap();
        assert_eq!(damage(mirror.check().unwrap_err()).file, path);
        fs::remove_file(&path).unwrap();
        assert_eq!(damage(mirror.check().unwrap_err()).file, path);
        fs::write(&path, whole).unwrap();
        mirror.check().unwrap();
    }
    let further = folder.path().join("lines/0000010000.txt");
    fs::write(&further, "").unwrap();
    assert_eq!(damage(mirror.check().unwrap_err()).file, further);
    fs::remove_file(&further).unwrap();
    let stranger = folder.path().join("lines/readme");
    fs::write(&stranger, "").unwrap();
    assert_eq!(damage(mirror.check().unwrap_err()).file, stranger);
}

/// The lines with one of them changed, and all hashes after it made to fit.
fn rewritten(text: &str, chain_id: Hash, victim: usize, change: impl Fn(&str) -> String) -> (String, Hash) {
    let (mut out, mut previous) = (String::new(), chain_id);
    for (place, line) in text.lines().enumerate() {
        let (body, _) = line.rsplit_once(' ').unwrap();
        let body = if place == victim {
            change(body)
        } else {
            body.to_owned()
        };
        previous = Sha256::new()
            .chain_update(b"quorate mirror line 1")
            .chain_update(previous)
            .chain_update(&body)
            .finalize()
            .into();
        out.push_str(&format!("{body} {}\n", hex::encode(previous)));
    }
    (out, previous)
}

#[tokio::test]
async fn p10_a_line_that_is_rewritten_with_all_hashes_is_found_and_the_chain_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(6).await;
    let mirror = copied(&world, folder.path()).await;
    let text = fs::read_to_string(lines(folder.path())).unwrap();
    // The entry of line 3 in place of that of line 2.
    let stolen = text.lines().nth(3).unwrap().split(' ').nth(3).unwrap().to_owned();
    let (forged, last) = rewritten(&text, world.chain().genesis.chain_id().0, 2, |body| {
        let mut parts: Vec<&str> = body.split(' ').collect();
        parts[3] = &stolen;
        parts.join(" ")
    });
    fs::write(lines(folder.path()), forged).unwrap();
    let old = fs::read_to_string(head(folder.path())).unwrap();
    let (first, rest) = old.split_once('\n').unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    fs::write(
        head(folder.path()),
        format!("{first}\n{}\n{rest}", hex::encode(last)),
    )
    .unwrap();
    let alone = damage(mirror.check().unwrap_err());
    assert_eq!((alone.index, alone.file), (None, head(folder.path())));
    let located = damage(mirror.update(&world.client().await).await.unwrap_err());
    assert_eq!((located.index, located.line), (Some(2), Some(3)));
    assert_eq!(located.file, lines(folder.path()));
}

#[tokio::test]
async fn p10_a_chain_that_was_rewritten_or_cut_is_caught_by_the_mirror() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(8).await;
    let mirror = copied(&world, folder.path()).await;
    let mut other = world.chain().cut(5);
    for number in 50..60 {
        other.append(number, Outcome::Rejected(RejectionReason::TenantExists));
    }
    for (size, ahead) in [(15, false), (8, false), (6, true)] {
        world.all_behave(&Behaviour::Shows(other.cut(size)));
        // A client that remembers nothing: the mirror does.
        let error = mirror.update(&world.client().await).await.unwrap_err();
        match error {
            Error::MirrorForked { mirrored, signed } if !ahead => {
                assert_eq!((mirrored.size, signed.size), (8, size as u64));
            }
            Error::MirrorAhead { mirrored: 8, .. } if ahead => {}
            error => panic!("{size}: {error}"),
        }
        assert_eq!(mirror.check().unwrap().size(), 8);
    }
    world.all_behave(&Behaviour::Honest);
    mirror.update(&world.client().await).await.unwrap();
}

#[tokio::test]
async fn an_endorser_that_gives_other_lines_is_named_and_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(5).await;
    world.behave(0, Behaviour::Rewrites(3));
    let mirror = mirror(&world, folder.path());
    let mirrored = mirror.update(&world.client().await).await.unwrap();
    assert_eq!((mirrored.size, mirrored.faults[0].check), (5, "lines"));
    assert_eq!(mirror.check().unwrap().size(), 5);
}

#[tokio::test]
async fn what_an_interrupted_copy_has_left_is_removed_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(5).await;
    let mirror = copied(&world, folder.path()).await;
    let before = fs::read(head(folder.path())).unwrap();
    append(&world, 30..33);
    mirror.update(&world.client().await).await.unwrap();
    let whole = fs::read(lines(folder.path())).unwrap();
    // The lines were written, and then the power went.
    fs::write(head(folder.path()), before).unwrap();
    fs::write(lines(folder.path()), &whole[..whole.len() - 100]).unwrap();
    assert_eq!(damage(mirror.check().unwrap_err()).file, lines(folder.path()));
    let mirrored = mirror.update(&world.client().await).await.unwrap();
    assert_eq!((mirrored.before, mirrored.size), (5, 8));
    assert_eq!(fs::read(lines(folder.path())).unwrap(), whole);
    mirror.check().unwrap();
}

/// Puts a changed part of one line into the mirror, with all hashes made to fit.
fn forge(world: &World, directory: &Path, victim: usize, part: usize, value: &str) {
    let text = fs::read_to_string(lines(directory)).unwrap();
    let (forged, last) = rewritten(&text, world.chain().genesis.chain_id().0, victim, |body| {
        let mut parts: Vec<&str> = body.split(' ').collect();
        parts[part] = value;
        parts.join(" ")
    });
    fs::write(lines(directory), forged).unwrap();
    let old = fs::read_to_string(head(directory)).unwrap();
    let rest = old.splitn(3, '\n').nth(2).unwrap();
    let text = format!("quorate mirror 1\n{}\n{rest}", hex::encode(last));
    fs::write(head(directory), text).unwrap();
}

#[tokio::test]
async fn p10_heights_and_times_that_are_rewritten_with_all_hashes_are_noticed_by_what_is_kept_elsewhere() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let world = World::start(6).await;
    let mirror = mirror(&world, folder.path()).remembered_in(elsewhere.path());
    mirror.update(&world.client().await).await.unwrap();
    let whole = (
        fs::read(lines(folder.path())).unwrap(),
        fs::read(head(folder.path())).unwrap(),
    );
    // The last line of height 6 and time 6 becomes one of height 9, or of time 9.
    for part in [1, 2] {
        forge(&world, folder.path(), 5, part, "9");
        // By itself the mirror holds.
        assert_eq!(copied_check(&world, folder.path()), 6);
        let alone = damage(mirror.check().unwrap_err());
        assert!(alone.what.contains("other lines"), "{alone}");
        let updated = damage(mirror.update(&world.client().await).await.unwrap_err());
        assert!(updated.what.contains("other lines"), "{updated}");
        fs::write(lines(folder.path()), &whole.0).unwrap();
        fs::write(head(folder.path()), &whole.1).unwrap();
        mirror.check().unwrap();
    }
    // Neither is it overlooked that all of it is gone.
    fs::remove_dir_all(folder.path()).unwrap();
    let gone = damage(mirror.update(&world.client().await).await.unwrap_err());
    assert!(gone.what.contains("fewer lines"), "{gone}");
}

fn copied_check(world: &World, directory: &Path) -> u64 {
    mirror(world, directory).check().unwrap().size()
}

#[tokio::test]
async fn heights_and_times_that_decrease_are_noticed_with_nothing_kept() {
    for (part, value) in [(1, "1"), (2, "1"), (1, "9"), (2, "9")] {
        let folder = tempfile::tempdir().unwrap();
        let world = World::start(6).await;
        let mirror = copied(&world, folder.path()).await;
        forge(&world, folder.path(), 3, part, value);
        let found = damage(mirror.check().unwrap_err());
        assert!(found.what.contains("earlier block or time"), "{found}");
        let at = if value == "1" { 3 } else { 4 };
        assert_eq!(found.index, Some(at));
    }
}

#[tokio::test]
async fn a_second_run_at_once_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(5).await;
    let mirror = copied(&world, folder.path()).await;
    append(&world, 30..32);
    // Another run.
    let held = fs::File::open(folder.path().join("lock")).unwrap();
    held.lock().unwrap();
    let before = fs::read(lines(folder.path())).unwrap();
    let error = mirror.update(&world.client().await).await.unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(fs::read(lines(folder.path())).unwrap(), before);
    drop(held);
    assert_eq!(mirror.update(&world.client().await).await.unwrap().size, 7);
}

/// Waited for until its deadline, it would take 15 seconds.
#[tokio::test]
async fn p3_an_endorser_that_stalls_keeps_nobody_from_a_mirror() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(4).await;
    let mirror = mirror(&world, folder.path());
    let client = world.client().await;
    world.behave(0, Behaviour::Stalls);
    let in_time = tokio::time::timeout(Duration::from_secs(14), mirror.update(&client)).await;
    assert_eq!(in_time.unwrap().unwrap().size, 4);
}
