//! The committed vectors are what the code computes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "vectors/generate.rs"]
mod generate;

#[test]
fn the_frozen_vectors_are_what_is_computed() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    for (name, value) in generate::all() {
        let frozen = std::fs::read_to_string(directory.join(name)).unwrap();
        assert!(
            frozen == generate::text(&value),
            "{name} differs: a stored format or a transcript has changed"
        );
    }
}

#[test]
fn no_vector_file_is_left_unchecked() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let mut found: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    let mut expected: Vec<String> = generate::all()
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}
