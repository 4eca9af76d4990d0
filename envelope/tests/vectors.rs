//! The frozen vectors of both layers. They were made once; a change of one byte here is a change of the format.
//!
//! To change the format on purpose, delete the files in `vectors/`, run
//! `QUORATE_WRITE_VECTORS=1 cargo nextest run -p quorate-envelope frozen`, and say so in the change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]
#![allow(clippy::cast_possible_truncation)]

mod support;

use std::path::Path;

use quorate_envelope::{
    Checksum, Location, Material, Metadata, ObjectKey, decrypt_to_vec, encrypt_to_vec, object_context,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use support::{Scripted, decrypt_independently, pattern};
use threshold::encoding::Canonical;
use threshold::label::Label;
use threshold::secret::DataKey;
use zeroize::Zeroizing;

/// `plaintext` is byte i = i mod 251, `plaintext_bytes` long. `encrypted` is there for short objects only.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct ObjectVector {
    object_key: String,
    salt: String,
    context: String,
    plaintext_bytes: usize,
    header: String,
    encrypted_bytes: usize,
    encrypted: Option<String>,
    checksum: String,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct MaterialVector {
    data_key: String,
    label: String,
    object_context: String,
    object_key: String,
    local_id: Option<String>,
    name: String,
    size: u64,
    content_type: String,
    salt: String,
    sealed: String,
}

fn bytes<const N: usize>(first: u8) -> [u8; N] {
    core::array::from_fn(|i| first.wrapping_add(i as u8))
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn object_vector(plaintext_bytes: usize, context: &[u8]) -> ObjectVector {
    let (key, salt) = (bytes::<32>(0x10), bytes::<24>(0x80));
    let object_key = ObjectKey::from_bytes(&Zeroizing::new(key));
    let mut rng = Scripted(salt.to_vec());
    let (encrypted, checksum) =
        encrypt_to_vec(&object_key, context, &pattern(plaintext_bytes), &mut rng).unwrap();
    ObjectVector {
        object_key: hex::encode(key),
        salt: hex::encode(salt),
        context: hex::encode(context),
        plaintext_bytes,
        header: hex::encode(&encrypted[..56]),
        encrypted_bytes: encrypted.len(),
        encrypted: (plaintext_bytes <= 64).then(|| hex::encode(&encrypted)),
        checksum: checksum.to_string(),
    }
}

fn label() -> Label {
    Label {
        installation: "example".parse().unwrap(),
        tenant: "bank".parse().unwrap(),
        dataset: "loans".parse().unwrap(),
        document: "2026/contract-7".parse().unwrap(),
        version: 3,
    }
}

fn material_vector(local_id: Option<&str>) -> MaterialVector {
    let (data_key, object_key, salt) = (bytes::<32>(0x20), bytes::<32>(0x40), bytes::<24>(0xa0));
    let material = Material {
        object_key: ObjectKey::from_bytes(&Zeroizing::new(object_key)),
        location: local_id.map_or(Location::OnChain, |id| Location::Local {
            id: id.parse().unwrap(),
        }),
        metadata: Metadata::new("contract é.pdf", 20_000, "application/pdf").unwrap(),
    };
    let sealed = material
        .seal(
            &DataKey::from_bytes(data_key),
            &label(),
            &mut Scripted(salt.to_vec()),
        )
        .unwrap();
    MaterialVector {
        data_key: hex::encode(data_key),
        label: hex::encode(label().to_bytes()),
        object_context: hex::encode(object_context(&label())),
        object_key: hex::encode(object_key),
        local_id: local_id.map(str::to_owned),
        name: material.metadata.name().to_owned(),
        size: material.metadata.size(),
        content_type: material.metadata.content_type().to_owned(),
        salt: hex::encode(salt),
        sealed: hex::encode(sealed),
    }
}

fn object_vectors() -> Vec<ObjectVector> {
    let lengths = [0, 1, 64, 16_383, 16_384, 16_385, 32_768, 50_000];
    lengths
        .into_iter()
        .flat_map(|length| [&b""[..], b"context"].map(|c| object_vector(length, c)))
        .collect()
}

fn material_vectors() -> Vec<MaterialVector> {
    [None, Some("0123456789abcdef")].map(material_vector).into()
}

/// The vectors in a file, which is written if it is missing and that is asked for.
fn frozen<T: Serialize + DeserializeOwned>(name: &str, vectors: fn() -> Vec<T>) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    if std::env::var_os("QUORATE_WRITE_VECTORS").is_some() && !path.exists() {
        let text = serde_json::to_string_pretty(&vectors()).unwrap() + "\n";
        std::fs::write(&path, text).unwrap();
    }
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

#[test]
fn objects_are_as_frozen() {
    let frozen: Vec<ObjectVector> = frozen("objects.json", object_vectors);
    assert_eq!(object_vectors(), frozen);
}

#[test]
fn material_is_as_frozen() {
    let frozen: Vec<MaterialVector> = frozen("material.json", material_vectors);
    assert_eq!(material_vectors(), frozen);
}

#[test]
fn frozen_objects_open_here_and_by_a_second_implementation() {
    let frozen: Vec<ObjectVector> = frozen("objects.json", object_vectors);
    for vector in frozen.iter().filter(|vector| vector.encrypted.is_some()) {
        let (key, context) = (array(&vector.object_key), hex::decode(&vector.context).unwrap());
        let encrypted = hex::decode(vector.encrypted.as_ref().unwrap()).unwrap();
        let checksum: Checksum = vector.checksum.parse().unwrap();
        let object_key = ObjectKey::from_bytes(&Zeroizing::new(key));
        let opened = decrypt_to_vec(&object_key, &context, &encrypted, Some(checksum)).unwrap();
        assert_eq!(*opened, pattern(vector.plaintext_bytes));
        assert_eq!(
            decrypt_independently(&key, &context, &encrypted).unwrap(),
            *opened
        );
    }
}

#[test]
fn frozen_material_opens() {
    let frozen: Vec<MaterialVector> = frozen("material.json", material_vectors);
    for vector in frozen {
        let label = Label::from_bytes(&hex::decode(&vector.label).unwrap()).unwrap();
        let sealed = hex::decode(&vector.sealed).unwrap();
        let opened = Material::open(&DataKey::from_bytes(array(&vector.data_key)), &label, &sealed).unwrap();
        assert_eq!(opened.metadata.name(), vector.name);
        assert_eq!(opened.metadata.size(), vector.size);
        assert_eq!(opened.metadata.content_type(), vector.content_type);
        match opened.location {
            Location::Local { id } => assert_eq!(Some(id.to_string()), vector.local_id),
            _ => assert_eq!(None, vector.local_id),
        }
    }
}
