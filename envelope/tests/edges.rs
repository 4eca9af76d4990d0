//! Readers that fail or change under the hands, and texts and material that are nearly right.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]
#![allow(clippy::cast_possible_truncation)]

mod support;

use std::cell::RefCell;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::rc::Rc;

use quorate_envelope::layout::{CHUNK_SIZE, ENCRYPTED_CHUNK_SIZE, HEADER_SIZE, SALT_SIZE};
use quorate_envelope::{Checksum, Decryptor, Error, Material, ObjectKey, RangeReader, encrypt_to_vec};
use rand_core::OsRng;
use support::{Scripted, pattern};
use threshold::encoding::{Canonical, Writer};
use threshold::label::Label;
use threshold::secret::DataKey;
use threshold::transcript::{Domain, Transcript};
use zeroize::Zeroizing;

const CONTEXT: &[u8] = b"a context";

fn key() -> ObjectKey {
    ObjectKey::from_bytes(&Zeroizing::new([1; 32]))
}

/// An object of this length. All have one salt, so that they are chunks of one key stream.
fn encrypted(length: usize) -> Vec<u8> {
    let salt = Scripted(vec![7; SALT_SIZE]);
    encrypt_to_vec(&key(), CONTEXT, &pattern(length), &mut { salt })
        .unwrap()
        .0
}

/// Reads to a point, and fails there.
struct Unplugged(Cursor<Vec<u8>>);

impl Read for Unplugged {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(io::Error::new(io::ErrorKind::ConnectionReset, "unplugged")),
            count => Ok(count),
        }
    }
}

#[test]
fn p16_what_was_read_before_a_reader_failed_is_not_released() {
    let mut object = encrypted(2 * CHUNK_SIZE);
    object.truncate(HEADER_SIZE + ENCRYPTED_CHUNK_SIZE + 100);
    let mut decryptor = Decryptor::new(Unplugged(Cursor::new(object)), &key(), CONTEXT).unwrap();
    let mut released = Vec::new();
    let error = decryptor.read_to_end(&mut released).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(released, pattern(CHUNK_SIZE));
    let again = decryptor.read(&mut [0; 100]).unwrap_err();
    assert!(matches!(Error::of(&again), Some(Error::AlreadyFailed)));
}

/// A file that somebody may replace while it is open.
#[derive(Clone)]
struct Shared {
    object: Rc<RefCell<Vec<u8>>>,
    position: u64,
}

impl Read for Shared {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let object = self.object.borrow();
        let count = object
            .get(self.position as usize..)
            .unwrap_or_default()
            .read(out)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Shared {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let object = self.object.borrow();
        let mut cursor = Cursor::new(object.as_slice());
        cursor.set_position(self.position);
        self.position = cursor.seek(to)?;
        Ok(self.position)
    }
}

#[test]
fn f5_an_object_that_is_exchanged_for_a_shorter_one_ends_as_truncated() {
    let (long, short) = (CHUNK_SIZE + 100, CHUNK_SIZE + 50);
    let object = Rc::new(RefCell::new(encrypted(long)));
    let shared = Shared {
        object: Rc::clone(&object),
        position: 0,
    };
    let mut reader = RangeReader::open(shared, &key(), CONTEXT).unwrap();
    // The final chunk was looked at when it was opened; another one in between, and it is read again.
    reader.copy_range(0..1, &mut io::sink()).unwrap();
    *object.borrow_mut() = encrypted(short);
    let mut out = Vec::new();
    let error = reader
        .copy_range(short as u64..long as u64, &mut out)
        .unwrap_err();
    assert!(matches!(error, Error::Truncated), "{error}");
    assert!(out.is_empty());
}

#[test]
fn a_checksum_has_one_text() {
    let text = Checksum::of(b"an object").to_string();
    assert!(text.parse::<Checksum>().is_ok());
    for bad in [
        format!("{text}00"),
        text[..62].to_owned(),
        text.to_uppercase(),
        "+f".repeat(32),
    ] {
        let error = bad.parse::<Checksum>().unwrap_err();
        assert!(
            matches!(
                error,
                Error::Field {
                    field: "checksum",
                    ..
                }
            ),
            "{bad}"
        );
    }
}

fn label() -> Label {
    Label {
        installation: "test".parse().unwrap(),
        tenant: "north".parse().unwrap(),
        dataset: "loans".parse().unwrap(),
        document: "a".parse().unwrap(),
        version: 1,
    }
}

/// Opens material of these parts, sealed by somebody who holds the data key and keeps to no limit.
fn opened(kind: u8, id: Option<&str>, name: &str, content_type: &str) -> Result<Material, Error> {
    let mut plaintext = Writer::new();
    plaintext.fixed(&[3; 32]);
    plaintext.u8(kind);
    if let Some(id) = id {
        plaintext.str(id);
    }
    plaintext.str(name);
    plaintext.u64(5);
    plaintext.str(content_type);
    let context = Transcript::new(Domain::Material)
        .append("format", &[1, 1])
        .append("label", &label().to_bytes())
        .digest();
    let key = ObjectKey::from_bytes(&Zeroizing::new([9; 32]));
    let sealed = encrypt_to_vec(&key, &context, &plaintext.finish(), &mut OsRng).unwrap();
    let sealed = [vec![1, 1], sealed.0].concat();
    Material::open(&DataKey::from_bytes([9; 32]), &label(), &sealed)
}

#[test]
fn material_is_somewhere_that_is_known() {
    assert!(opened(0, None, "name", "text/plain").is_ok());
    assert!(opened(1, Some("id"), "name", "text/plain").is_ok());
    assert!(matches!(
        opened(2, None, "name", "text/plain"),
        Err(Error::Malformed)
    ));
}

#[test]
fn p12_the_texts_in_material_are_bounded_before_they_are_looked_at() {
    for (id, name, content_type) in [(Some(129), 4, 10), (None, 256, 10), (None, 4, 128)] {
        let id: Option<String> = id.map(|length| "x".repeat(length));
        let refused = opened(
            u8::from(id.is_some()),
            id.as_deref(),
            &"x".repeat(name),
            &"x".repeat(content_type),
        );
        assert!(matches!(refused, Err(Error::Malformed)), "{refused:?}");
    }
}
