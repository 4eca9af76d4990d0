//! A damaged byte anywhere is found.

use receipt::{Verdict, verify};

use crate::support::Scene;

/// How many bits of each byte are flipped, one at a time: all in a full run, which takes a minute.
fn bits(place: usize) -> impl Iterator<Item = usize> {
    let all = std::env::var_os("QUORATE_EVERY_BIT").is_some();
    (0..8).filter(move |bit| all || *bit == place % 8)
}

fn no_flip_is_valid(text: &str, scene: &Scene) -> usize {
    let mut undecided = 0;
    for place in 0..text.len() {
        for bit in bits(place) {
            let mut bad = text.as_bytes().to_vec();
            bad[place] ^= 1 << bit;
            match verify(&bad, &scene.roots) {
                Ok(_) => panic!("byte {place}, bit {bit} is not noticed"),
                Err(judged) if judged.verdict == Verdict::CannotTell => undecided += 1,
                Err(_) => {}
            }
        }
    }
    undecided
}

#[test]
fn e8_a_flipped_bit_anywhere_is_found() {
    let scene = Scene::new();
    // Only the epoch of the votes can be changed so that one must say: those validators are not pinned.
    assert!(no_flip_is_valid(&scene.approved.to_text(), &scene) <= 8 * 8);
    assert!(no_flip_is_valid(&scene.denied.to_text(), &scene) <= 8 * 8);
}

#[test]
fn e8_a_missing_an_added_and_a_repeated_byte_are_found() {
    let scene = Scene::new();
    let text = scene.denied.to_text().into_bytes();
    for place in 0..text.len() {
        let (head, tail) = text.split_at(place);
        for bad in [
            head.to_vec(),
            [head, &tail[1..]].concat(),
            [head, b"A", tail].concat(),
            [head, b"\n", tail].concat(),
            [head, &tail[..1], tail].concat(),
        ] {
            assert!(verify(&bad, &scene.roots).is_err(), "at byte {place}");
        }
    }
}

#[test]
fn e8_a_line_that_is_left_out_moved_or_repeated_is_found() {
    let scene = Scene::new();
    let text = scene.approved.to_text();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for place in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(place);
        let mut twice = lines.clone();
        twice.insert(place, lines[place]);
        let mut swapped = lines.clone();
        swapped.swap(place, (place + 1) % lines.len());
        for bad in [without, twice, swapped] {
            let same = bad.concat() == text;
            assert!(
                same || verify(bad.concat().as_bytes(), &scene.roots).is_err(),
                "at line {place}"
            );
        }
    }
}
