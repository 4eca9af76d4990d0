//! Checkpoints that are lost, old, of another chain, or not what was written.

use super::*;

const CHAIN: ChainId = ChainId([7; 32]);

fn checkpoint(size: u64) -> Checkpoint {
    let root = [u8::try_from(size).unwrap(); 32];
    Checkpoint { size, root }
}

#[test]
fn the_longest_is_kept_in_memory_and_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("below").join("checkpoints");
    for kept in [Checkpoints::in_memory(), Checkpoints::in_directory(&directory)] {
        assert_eq!(kept.newest(&CHAIN).unwrap(), None);
        for (new, newest) in [(3, 3), (9, 9), (5, 9)] {
            kept.keep(&CHAIN, checkpoint(new)).unwrap();
            assert_eq!(kept.newest(&CHAIN).unwrap(), Some(checkpoint(newest)));
        }
    }
    let later = Checkpoints::in_directory(&directory);
    assert_eq!(later.newest(&CHAIN).unwrap(), Some(checkpoint(9)));
}

#[test]
fn each_chain_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Checkpoints::in_directory(folder.path());
    kept.keep(&CHAIN, checkpoint(3)).unwrap();
    let other = ChainId([8; 32]);
    assert_eq!(kept.newest(&other).unwrap(), None);
    // Nor does the file of one pass as that of another.
    std::fs::copy(file(folder.path(), &CHAIN), file(folder.path(), &other)).unwrap();
    assert!(matches!(kept.newest(&other), Err(Error::Checkpoint { .. })));
}

#[test]
fn p10_a_damaged_checkpoint_is_an_error_and_not_a_fresh_start() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Checkpoints::in_directory(folder.path());
    kept.keep(&CHAIN, checkpoint(3)).unwrap();
    let path = file(folder.path(), &CHAIN);
    let good = std::fs::read(&path).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    let damaged = [
        Vec::new(),
        good[..good.len() - 1].to_vec(),
        [good.as_slice(), b"\n"].concat(),
        text.replace("\n3\n", "\n03\n").into_bytes(),
        text.replace("\n3\n", "\n-3\n").into_bytes(),
        text.replace("checkpoint 1", "checkpoint 2").into_bytes(),
        text.to_uppercase().into_bytes(),
        vec![0xff; 1 << 20],
    ];
    for bytes in damaged {
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(kept.newest(&CHAIN), Err(Error::Checkpoint { .. })));
        // It is not overwritten either: that is for a person to decide.
        assert!(kept.keep(&CHAIN, checkpoint(9)).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}
