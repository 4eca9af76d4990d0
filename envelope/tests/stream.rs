//! Streams: what goes in comes out, and nothing else does (P16, F5).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]
#![allow(clippy::cast_possible_truncation)]

mod support;

use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;
use quorate_envelope::layout::{
    CHUNK_SIZE, ENCRYPTED_CHUNK_SIZE, HEADER_SIZE, encrypted_length, plaintext_length,
};
use quorate_envelope::{
    Checksum, Decryptor, Encryptor, Error, ObjectKey, RangeReader, decrypt_to_vec, encrypt_to_vec,
};
use rand_core::OsRng;
use support::{decrypt_independently, pattern};
use zeroize::Zeroizing;

const CONTEXT: &[u8] = b"a context";

fn key(byte: u8) -> ObjectKey {
    ObjectKey::from_bytes(&Zeroizing::new([byte; 32]))
}

fn encrypted(length: usize) -> Vec<u8> {
    encrypt_to_vec(&key(1), CONTEXT, &pattern(length), &mut OsRng)
        .unwrap()
        .0
}

fn open(object: &[u8]) -> Result<Vec<u8>, Error> {
    decrypt_to_vec(&key(1), CONTEXT, object, None).map(|plaintext| plaintext.to_vec())
}

const LENGTHS: [usize; 11] = [
    0,
    1,
    15,
    16,
    CHUNK_SIZE - 1,
    CHUNK_SIZE,
    CHUNK_SIZE + 1,
    2 * CHUNK_SIZE - 1,
    2 * CHUNK_SIZE,
    2 * CHUNK_SIZE + 1,
    5 * CHUNK_SIZE + 77,
];

#[test]
fn every_length_around_a_chunk_goes_round_and_agrees_with_a_second_implementation() {
    for length in LENGTHS {
        let object = encrypted(length);
        assert_eq!(object.len() as u64, encrypted_length(length as u64).unwrap());
        assert_eq!(plaintext_length(object.len() as u64).unwrap(), length as u64);
        assert_eq!(open(&object).unwrap(), pattern(length));
        assert_eq!(
            decrypt_independently(&[1; 32], CONTEXT, &object).unwrap(),
            pattern(length)
        );
    }
}

#[test]
fn the_pieces_in_which_a_stream_is_written_and_read_do_not_matter() {
    let plaintext = pattern(3 * CHUNK_SIZE + 5);
    let mut encryptor = Encryptor::new(Vec::new(), &key(1), CONTEXT, &mut OsRng).unwrap();
    for piece in plaintext.chunks(1009) {
        encryptor.write_all(piece).unwrap();
        encryptor.flush().unwrap();
    }
    let finished = encryptor.finish().unwrap();
    assert_eq!(finished.plaintext_bytes, plaintext.len() as u64);
    assert_eq!(finished.encrypted_bytes, finished.writer.len() as u64);
    assert_eq!(finished.checksum, Checksum::of(&finished.writer));

    let mut decryptor = Decryptor::new(OneByteAtATime(&finished.writer), &key(1), CONTEXT).unwrap();
    let mut read = Vec::new();
    let mut piece = [0; 777];
    loop {
        let count = decryptor.read(&mut piece).unwrap();
        if count == 0 {
            break;
        }
        read.extend_from_slice(&piece[..count]);
    }
    assert_eq!(read, plaintext);
    let opened = decryptor.finish(Some(finished.checksum)).unwrap();
    assert_eq!(opened.checksum, finished.checksum);
    assert_eq!(opened.encrypted_bytes, finished.encrypted_bytes);
    assert_eq!(opened.plaintext_bytes, finished.plaintext_bytes);
}

struct OneByteAtATime<'a>(&'a [u8]);

impl Read for OneByteAtATime<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = out.len().min(1);
        self.0.read(&mut out[..count])
    }
}

/// Counts what has been handed out, to see how far a decryptor reads ahead and what it holds.
#[test]
fn p16_no_byte_is_released_before_its_chunk_is_authenticated() {
    let mut object = encrypted(3 * CHUNK_SIZE);
    // Break the last ciphertext byte of the second chunk: the whole chunk must stay inside.
    let broken = HEADER_SIZE + 2 * ENCRYPTED_CHUNK_SIZE - 17;
    object[broken] ^= 1;
    let mut decryptor = Decryptor::new(object.as_slice(), &key(1), CONTEXT).unwrap();
    let mut released = Vec::new();
    let error = decryptor.read_to_end(&mut released).unwrap_err();
    assert!(matches!(
        Error::of(&error),
        Some(Error::NotAuthentic { chunk: 1 })
    ));
    assert_eq!(released, pattern(CHUNK_SIZE));
    // And it stays failed: the intact third chunk is not given out after a refused second.
    let again = decryptor.read(&mut [0; 10]).unwrap_err();
    assert!(matches!(Error::of(&again), Some(Error::AlreadyFailed)));
    assert!(matches!(decryptor.finish(None), Err(Error::AlreadyFailed)));
}

#[test]
fn f5_an_object_cut_anywhere_is_refused() {
    let object = encrypted(2 * CHUNK_SIZE + 3);
    let near = |edge: usize| edge.saturating_sub(20)..edge + 20;
    let mut cuts: Vec<usize> = (0..HEADER_SIZE + 40).collect();
    cuts.extend(near(HEADER_SIZE + ENCRYPTED_CHUNK_SIZE));
    cuts.extend(near(HEADER_SIZE + 2 * ENCRYPTED_CHUNK_SIZE).filter(|cut| *cut < object.len()));
    for cut in cuts {
        let error = open(&object[..cut]).unwrap_err();
        assert!(
            matches!(error, Error::Truncated | Error::NotAuthentic { .. }),
            "{cut}: {error}"
        );
        assert!(
            RangeReader::open(Cursor::new(&object[..cut]), &key(1), CONTEXT).is_err(),
            "{cut}"
        );
    }
    let boundary = HEADER_SIZE + ENCRYPTED_CHUNK_SIZE;
    assert!(matches!(open(&object[..boundary]), Err(Error::Truncated)));
}

#[test]
fn f5_dropping_the_encryptor_leaves_an_object_that_is_refused() {
    let mut written = Vec::new();
    let mut encryptor = Encryptor::new(&mut written, &key(1), CONTEXT, &mut OsRng).unwrap();
    encryptor.write_all(&pattern(2 * CHUNK_SIZE)).unwrap();
    drop(encryptor);
    assert!(matches!(open(&written), Err(Error::Truncated)));
}

#[test]
fn f5_chunks_dropped_doubled_swapped_or_spliced_are_refused() {
    let object = encrypted(3 * CHUNK_SIZE + 9);
    let other = encrypted(3 * CHUNK_SIZE + 9);
    let (header, body) = object.split_at(HEADER_SIZE);
    let chunks: Vec<&[u8]> = body.chunks(ENCRYPTED_CHUNK_SIZE).collect();
    let foreign: Vec<&[u8]> = other[HEADER_SIZE..].chunks(ENCRYPTED_CHUNK_SIZE).collect();
    let variants: [(&str, Vec<&[u8]>); 8] = [
        ("first dropped", vec![chunks[1], chunks[2], chunks[3]]),
        ("middle dropped", vec![chunks[0], chunks[2], chunks[3]]),
        (
            "doubled",
            vec![chunks[0], chunks[0], chunks[1], chunks[2], chunks[3]],
        ),
        ("swapped", vec![chunks[1], chunks[0], chunks[2], chunks[3]]),
        ("spliced", vec![chunks[0], foreign[1], chunks[2], chunks[3]]),
        (
            "final of another",
            vec![chunks[0], chunks[1], chunks[2], foreign[3]],
        ),
        ("final too early", vec![chunks[0], chunks[3]]),
        (
            "final doubled",
            vec![chunks[0], chunks[1], chunks[2], chunks[3], chunks[3]],
        ),
    ];
    for (what, chunks) in variants {
        let forged = [header, &chunks.concat()].concat();
        assert!(matches!(open(&forged), Err(Error::NotAuthentic { .. })), "{what}");
    }
}

#[test]
fn f5_appended_bytes_are_refused() {
    for length in [0, 5, CHUNK_SIZE - 1, CHUNK_SIZE] {
        for appended in [1, 16, ENCRYPTED_CHUNK_SIZE, 2 * ENCRYPTED_CHUNK_SIZE] {
            let mut object = encrypted(length);
            object.resize(object.len() + appended, 0);
            assert!(
                matches!(open(&object), Err(Error::NotAuthentic { .. })),
                "{length} + {appended}"
            );
        }
    }
}

#[test]
fn f5_a_header_or_a_body_of_another_object_is_refused() {
    let (one, two) = (encrypted(10), encrypted(10));
    let spliced = [&one[..HEADER_SIZE], &two[HEADER_SIZE..]].concat();
    assert!(matches!(open(&spliced), Err(Error::NotAuthentic { chunk: 0 })));
    let salt_swapped = [&two[..24], &one[24..]].concat();
    assert!(matches!(open(&salt_swapped), Err(Error::WrongKey)));
}

#[test]
fn c16_a_wrong_commitment_is_refused_before_any_chunk() {
    let mut object = encrypted(100);
    object[24] ^= 1;
    // Key, salt and every chunk are right: only the commitment check can refuse this.
    assert!(matches!(open(&object), Err(Error::WrongKey)));
    assert!(matches!(
        RangeReader::open(Cursor::new(&object), &key(1), CONTEXT).map(|_| ()),
        Err(Error::WrongKey)
    ));
}

#[test]
fn another_key_or_another_context_is_refused() {
    let object = encrypted(100);
    assert!(matches!(
        decrypt_to_vec(&key(2), CONTEXT, &object, None),
        Err(Error::WrongKey)
    ));
    assert!(matches!(
        decrypt_to_vec(&key(1), b"another", &object, None),
        Err(Error::WrongKey)
    ));
}

#[test]
fn the_recorded_checksum_is_compared() {
    let object = encrypted(CHUNK_SIZE + 1);
    let other = Checksum::of(b"another object");
    assert!(matches!(
        decrypt_to_vec(&key(1), CONTEXT, &object, Some(other)),
        Err(Error::ChecksumMismatch)
    ));
    let mut decryptor = Decryptor::new(object.as_slice(), &key(1), CONTEXT).unwrap();
    io::copy(&mut decryptor, &mut io::sink()).unwrap();
    assert!(matches!(
        decryptor.finish(Some(other)),
        Err(Error::ChecksumMismatch)
    ));
    assert_eq!(
        Checksum::of(&object).to_string().parse::<Checksum>().unwrap(),
        Checksum::of(&object)
    );
    for bad in ["", "00", &"g".repeat(64), &"é".repeat(32)] {
        assert!(bad.parse::<Checksum>().is_err());
    }
}

#[test]
fn finish_before_the_end_is_refused() {
    let object = encrypted(CHUNK_SIZE + 10);
    let mut decryptor = Decryptor::new(object.as_slice(), &key(1), CONTEXT).unwrap();
    decryptor.read_exact(&mut vec![0; CHUNK_SIZE + 9]).unwrap();
    assert!(matches!(decryptor.finish(None), Err(Error::NotFinished)));
    let decryptor = Decryptor::new(object.as_slice(), &key(1), CONTEXT).unwrap();
    assert!(matches!(decryptor.finish(None), Err(Error::NotFinished)));
}

struct FullDisk {
    space: usize,
}

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.space {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space"));
        }
        self.space -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failed_write_stops_the_encryptor() {
    let disk = FullDisk {
        space: HEADER_SIZE + ENCRYPTED_CHUNK_SIZE,
    };
    let mut encryptor = Encryptor::new(disk, &key(1), CONTEXT, &mut OsRng).unwrap();
    encryptor.write_all(&pattern(CHUNK_SIZE)).unwrap();
    let error = encryptor.write_all(&pattern(CHUNK_SIZE)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let again = encryptor.write(b"more").unwrap_err();
    assert!(matches!(Error::of(&again), Some(Error::AlreadyFailed)));
    assert!(matches!(encryptor.finish(), Err(Error::AlreadyFailed)));
}

#[test]
fn ranges_give_the_same_bytes_as_the_whole() {
    for length in LENGTHS {
        let (object, plaintext) = (encrypted(length), pattern(length));
        let mut reader = RangeReader::open(Cursor::new(&object), &key(1), CONTEXT).unwrap();
        assert_eq!(reader.length(), length as u64);
        let edges = [
            0,
            1,
            CHUNK_SIZE - 1,
            CHUNK_SIZE,
            CHUNK_SIZE + 1,
            2 * CHUNK_SIZE,
            length,
        ];
        for from in edges.into_iter().filter(|edge| *edge <= length) {
            for until in edges.into_iter().filter(|edge| (from..=length).contains(edge)) {
                let mut out = Vec::new();
                reader.copy_range(from as u64..until as u64, &mut out).unwrap();
                assert_eq!(out, plaintext[from..until], "{from}..{until} of {length}");
            }
        }
        let beyond = length as u64 + 1;
        assert!(matches!(
            reader.copy_range(0..beyond, &mut Vec::new()),
            Err(Error::OutOfRange)
        ));
        #[allow(clippy::reversed_empty_ranges)]
        let backwards = 1..0;
        assert!(matches!(
            reader.copy_range(backwards, &mut Vec::new()),
            Err(Error::OutOfRange)
        ));
    }
}

#[test]
fn p16_a_range_releases_nothing_of_a_broken_chunk_and_serves_the_others() {
    let mut object = encrypted(3 * CHUNK_SIZE + 1);
    object[HEADER_SIZE + ENCRYPTED_CHUNK_SIZE + 5] ^= 1;
    let mut reader = RangeReader::open(Cursor::new(&object), &key(1), CONTEXT).unwrap();
    let mut out = Vec::new();
    let chunk = CHUNK_SIZE as u64;
    assert!(matches!(
        reader.copy_range(chunk..chunk + 1, &mut out),
        Err(Error::NotAuthentic { chunk: 1 })
    ));
    assert!(out.is_empty());
    reader.copy_range(2 * chunk..2 * chunk + 2, &mut out).unwrap();
    assert_eq!(out, pattern(3 * CHUNK_SIZE)[2 * CHUNK_SIZE..2 * CHUNK_SIZE + 2]);
    assert!(reader.copy_range(chunk..chunk + 1, &mut out).is_err());
}

#[test]
fn f5_a_range_reader_does_not_believe_a_shortened_length() {
    let object = encrypted(3 * CHUNK_SIZE + 100);
    for keep in [
        HEADER_SIZE + 2 * ENCRYPTED_CHUNK_SIZE + 50,
        HEADER_SIZE + ENCRYPTED_CHUNK_SIZE + 16,
    ] {
        let shortened = RangeReader::open(Cursor::new(&object[..keep]), &key(1), CONTEXT);
        assert!(matches!(shortened.map(|_| ()), Err(Error::NotAuthentic { .. })));
    }
}

#[test]
fn impossible_lengths_are_refused() {
    for bad in [0, 55, 56, 71, 56 + 16400, 56 + 16400 + 15] {
        assert!(matches!(plaintext_length(bad), Err(Error::Truncated)), "{bad}");
    }
    assert!(matches!(encrypted_length(1 << 52), Err(Error::TooLong)));
    assert!(encrypted_length((1 << 52) - 1).is_ok());
    assert!(matches!(
        plaintext_length(u64::MAX),
        Err(Error::TooLong | Error::Truncated)
    ));
}

#[test]
fn p15_a_key_does_not_print() {
    assert_eq!(format!("{:?}", key(0x41)), "ObjectKey(redacted)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_changed_bit_is_noticed(length in 0usize..40_000, at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut object = encrypted(length);
        let at = at.index(object.len());
        object[at] ^= 1 << bit;
        prop_assert!(open(&object).is_err());
    }

    #[test]
    fn random_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40_000)) {
        prop_assert!(open(&bytes).is_err());
        prop_assert!(RangeReader::open(Cursor::new(&bytes), &key(1), CONTEXT).is_err());
    }

    #[test]
    fn lengths_are_inverse(length in 0u64..1 << 52) {
        prop_assert_eq!(plaintext_length(encrypted_length(length).unwrap()).unwrap(), length);
    }
}
