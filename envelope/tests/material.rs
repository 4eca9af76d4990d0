//! The second layer: sealed under one data key for one label.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]
#![allow(clippy::cast_possible_truncation)]

mod support;

use proptest::prelude::*;
use quorate_envelope::material::{MAX_CONTENT_TYPE, MAX_NAME, MAX_OBJECT_ID, MAX_SEALED_SIZE};
use quorate_envelope::{
    Error, Location, Material, Metadata, ObjectId, ObjectKey, decrypt_to_vec, encrypt_to_vec, object_context,
};
use rand_core::OsRng;
use support::decrypt_independently;
use threshold::label::Label;
use threshold::secret::DataKey;
use zeroize::Zeroizing;

fn label(document: &str) -> Label {
    Label {
        installation: "test".parse().unwrap(),
        tenant: "bank".parse().unwrap(),
        dataset: "loans".parse().unwrap(),
        document: document.parse().unwrap(),
        version: 1,
    }
}

fn data_key(byte: u8) -> DataKey {
    DataKey::from_bytes([byte; 32])
}

fn material() -> Material {
    Material {
        object_key: ObjectKey::from_bytes(&Zeroizing::new([5; 32])),
        location: Location::Local {
            id: "0a1b.enc".parse().unwrap(),
        },
        metadata: Metadata::new("Bericht é.pdf", 12345, "application/pdf").unwrap(),
    }
}

fn sealed() -> Vec<u8> {
    material().seal(&data_key(9), &label("a"), &mut OsRng).unwrap()
}

#[test]
fn material_goes_round() {
    let opened = Material::open(&data_key(9), &label("a"), &sealed()).unwrap();
    assert_eq!(opened.location, material().location);
    assert_eq!(opened.metadata, material().metadata);
    // The key is not comparable from outside: it must decrypt what the original encrypted.
    let context = object_context(&label("a"));
    let (object, checksum) = encrypt_to_vec(&material().object_key, &context, b"text", &mut OsRng).unwrap();
    let plaintext = decrypt_to_vec(&opened.object_key, &context, &object, Some(checksum)).unwrap();
    assert_eq!(*plaintext, b"text");
}

#[test]
fn the_object_of_one_document_does_not_open_as_another() {
    let (object, _) = encrypt_to_vec(
        &material().object_key,
        &object_context(&label("a")),
        b"text",
        &mut OsRng,
    )
    .unwrap();
    let moved = decrypt_to_vec(
        &material().object_key,
        &object_context(&label("b")),
        &object,
        None,
    );
    assert!(matches!(moved, Err(Error::WrongKey)));
}

#[test]
fn material_of_another_key_or_another_document_is_refused() {
    assert!(matches!(
        Material::open(&data_key(8), &label("a"), &sealed()),
        Err(Error::WrongKey)
    ));
    assert!(matches!(
        Material::open(&data_key(9), &label("b"), &sealed()),
        Err(Error::WrongKey)
    ));
    let newer = Label {
        version: 2,
        ..label("a")
    };
    assert!(matches!(
        Material::open(&data_key(9), &newer, &sealed()),
        Err(Error::WrongKey)
    ));
}

/// Two keys for one blob need two keys that derive one commitment. Everything else of this blob is right.
#[test]
fn c16_sealed_material_with_a_wrong_commitment_is_refused() {
    let mut blob = sealed();
    blob[2 + 24 + 31] ^= 1;
    assert!(matches!(
        Material::open(&data_key(9), &label("a"), &blob),
        Err(Error::WrongKey)
    ));
}

#[test]
fn oversized_unknown_and_cut_blobs_are_refused() {
    let open = |blob: &[u8]| Material::open(&data_key(9), &label("a"), blob).unwrap_err();
    assert!(matches!(open(&vec![1; MAX_SEALED_SIZE + 1]), Error::TooLarge));
    for at in [0, 1] {
        let mut blob = sealed();
        blob[at] = 2;
        assert!(matches!(open(&blob), Error::UnknownSuite));
    }
    let blob = sealed();
    for cut in 0..blob.len() {
        assert!(
            matches!(open(&blob[..cut]), Error::Truncated | Error::NotAuthentic { .. }),
            "{cut}"
        );
    }
}

#[test]
fn fields_are_bounded() {
    let refused = |name: &str, content_type: &str| {
        matches!(Metadata::new(name, 0, content_type), Err(Error::Field { .. }))
    };
    assert!(refused("", ""));
    assert!(refused(&"n".repeat(MAX_NAME + 1), ""));
    assert!(refused("line\nbreak", ""));
    assert!(refused("escape\u{1b}[2J", ""));
    assert!(refused("a", &"t".repeat(MAX_CONTENT_TYPE + 1)));
    assert!(refused("a", "text\r\nx: y"));
    assert!(Metadata::new(&"n".repeat(MAX_NAME), u64::MAX, &"t".repeat(MAX_CONTENT_TYPE)).is_ok());
    for bad in [
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "a\\b",
        "a b",
        "é",
        &"x".repeat(MAX_OBJECT_ID + 1),
    ] {
        assert!(bad.parse::<ObjectId>().is_err(), "{bad}");
    }
}

#[test]
fn the_largest_material_fits_on_the_chain() {
    let largest = Material {
        object_key: ObjectKey::generate(&mut OsRng),
        location: Location::Local {
            id: "x".repeat(MAX_OBJECT_ID).parse().unwrap(),
        },
        metadata: Metadata::new(&"n".repeat(MAX_NAME), u64::MAX, &"t".repeat(MAX_CONTENT_TYPE)).unwrap(),
    };
    let blob = largest.seal(&data_key(9), &label("a"), &mut OsRng).unwrap();
    assert!(blob.len() <= MAX_SEALED_SIZE, "{}", blob.len());
    assert_eq!(
        Material::open(&data_key(9), &label("a"), &blob).unwrap().metadata,
        largest.metadata
    );
}

/// Seal arbitrary bytes as material, as a writer who holds the data key could.
fn seal_bytes(plaintext: &[u8]) -> Vec<u8> {
    let context = threshold::transcript::Transcript::new(threshold::transcript::Domain::Material)
        .append("format", &[1, 1])
        .append("label", &threshold::encoding::Canonical::to_bytes(&label("a")))
        .digest();
    let key = ObjectKey::from_bytes(&Zeroizing::new([9; 32]));
    [
        vec![1, 1],
        encrypt_to_vec(&key, &context, plaintext, &mut OsRng).unwrap().0,
    ]
    .concat()
}

#[test]
fn authentic_but_malformed_material_is_refused() {
    let whole = decrypt_independently(
        &[9; 32],
        &threshold::transcript::Transcript::new(threshold::transcript::Domain::Material)
            .append("format", &[1, 1])
            .append("label", &threshold::encoding::Canonical::to_bytes(&label("a")))
            .digest(),
        &sealed()[2..],
    )
    .unwrap();
    let open = |plaintext: &[u8]| Material::open(&data_key(9), &label("a"), &seal_bytes(plaintext));
    assert!(open(&whole).is_ok());
    for cut in 0..whole.len() {
        assert!(
            matches!(open(&whole[..cut]), Err(Error::Malformed | Error::Field { .. })),
            "{cut}"
        );
    }
    assert!(matches!(
        open(&[whole.as_slice(), &[0]].concat()),
        Err(Error::Malformed)
    ));
    let mut unknown_location = whole.clone();
    unknown_location[32] = 7;
    assert!(matches!(open(&unknown_location), Err(Error::Malformed)));
    let mut path = whole;
    path[37] = b'/';
    assert!(matches!(
        open(&path),
        Err(Error::Field {
            field: "object id",
            ..
        })
    ));
}

#[test]
fn p15_material_does_not_print_its_key() {
    let printed = format!("{:?}", material());
    assert!(printed.contains("redacted"));
    assert!(!printed.contains("5, 5"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_changed_bit_of_sealed_material_is_noticed(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut blob = sealed();
        let at = at.index(blob.len());
        blob[at] ^= 1 << bit;
        prop_assert!(Material::open(&data_key(9), &label("a"), &blob).is_err());
    }

    #[test]
    fn material_of_any_plaintext_decodes_or_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        let _ = Material::open(&data_key(9), &label("a"), &seal_bytes(&bytes));
    }
}
