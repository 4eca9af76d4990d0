//! Stores that give another object than the recorded one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use envelope::layout::{CHUNK_SIZE, ENCRYPTED_CHUNK_SIZE, HEADER_SIZE};
use envelope::{ObjectKey, encrypt_to_vec};
use golden_record::DocumentVersion;
use threshold::committee::SignedManifest;
use threshold::ids::ApproveId;
use threshold::secret::DataKey;
use threshold::testing::{TestCommittee, TestRng, label};
use threshold::wrap::{WrappedKey, wrap};
use zeroize::Zeroizing;

use super::*;

/// Two whole chunks and a bit.
const LENGTH: usize = 2 * CHUNK_SIZE + 100;

/// A document whose data key has been opened, and its object as it was written.
struct Scene {
    label: Label,
    wrapped_key: WrappedKey,
    committee: SignedManifest,
    stored: Vec<u8>,
    checksum: [u8; 32],
}

fn key() -> ObjectKey {
    ObjectKey::from_bytes(&Zeroizing::new([3; 32]))
}

fn content(byte: u8) -> Vec<u8> {
    vec![byte; LENGTH]
}

/// An object that opens under this document's object key, and its checksum.
fn object(key: &ObjectKey, label: &Label, content: &[u8]) -> (Vec<u8>, [u8; 32]) {
    let mut rng = TestRng::new("object");
    let (stored, checksum) = encrypt_to_vec(key, &object_context(label), content, &mut rng).unwrap();
    (stored, checksum.to_bytes())
}

impl Scene {
    fn new() -> Self {
        let mut rng = TestRng::new("read");
        let committee = TestCommittee::generate(2, 3, &mut rng).unwrap();
        let label = label("contract", 1).unwrap();
        let data_key = DataKey::from_bytes([9; 32]);
        let wrapped_key = wrap(committee.manifest().custody_key(), &label, &data_key, &mut rng).unwrap();
        let (stored, checksum) = object(&key(), &label, &content(1));
        Self {
            label,
            wrapped_key,
            committee: committee.signed,
            stored,
            checksum,
        }
    }

    fn material(&self, size: usize) -> Material {
        Material {
            object_key: key(),
            location: Location::Local {
                id: "object".parse().unwrap(),
            },
            metadata: Metadata::new("contract", size as u64, "").unwrap(),
        }
    }

    fn record(&self) -> DocumentVersion {
        DocumentVersion {
            tenant: self.label.tenant.clone(),
            dataset: self.label.dataset.clone(),
            document: self.label.document.clone(),
            version: self.label.version,
            wrapped_key: Some(self.wrapped_key.clone()),
            material: Vec::new(),
            checksum: self.checksum,
            size: self.stored.len() as u64,
            inline: None,
            writer: "alice".parse().unwrap(),
            height: 1,
            log_index: 1,
            time_ms: 1,
        }
    }

    /// The opened document, with what its store gives.
    fn document(&self, encrypted: impl Read + Send + 'static) -> Document {
        let report = ReadReport {
            label: self.label.clone(),
            approve_id: ApproveId([7; 32]),
            write_id: self.wrapped_key.write_id(),
            index: 1,
            height: 1,
            approved_by: Vec::new(),
            released_by: Vec::new(),
            faults: Vec::new(),
            approval_time: Duration::ZERO,
            release_time: Duration::ZERO,
            evidence: ReadEvidence {
                certificates: Vec::new(),
                wrapped_key: self.wrapped_key.clone(),
                committee: self.committee.clone(),
                released: Vec::new(),
            },
        };
        Document {
            report,
            material: self.material(LENGTH),
            record: self.record(),
            encrypted: Box::new(encrypted),
        }
    }

    /// What comes out of the store's bytes, and how it ends.
    fn opens(&self, stored: Vec<u8>) -> (Vec<u8>, Result<ReadReport, Error>) {
        let mut out = Vec::new();
        let ended = self.document(Cursor::new(stored)).copy_to(&mut out);
        (out, ended)
    }
}

/// Refused as another object than the recorded one, for the reason that is expected.
fn assert_refused(ended: Result<ReadReport, Error>, reason: &str) {
    match ended {
        Err(Error::Object(why)) => assert!(why.contains(reason), "{why}"),
        other => panic!("{reason}: {other:?}"),
    }
}

#[test]
fn the_object_as_it_was_written_comes_out() {
    let scene = Scene::new();
    let (out, ended) = scene.opens(scene.stored.clone());
    assert_eq!(out, content(1));
    assert_eq!(ended.unwrap().label, scene.label);
    let (vec, _) = scene
        .document(Cursor::new(scene.stored.clone()))
        .into_vec()
        .unwrap();
    assert_eq!(vec, content(1));
}

/// Every earlier reader knows the object key: only the checksum on the chain shows that the object is another.
#[test]
fn f5_an_object_made_anew_under_the_documents_own_key_is_not_the_recorded_one() {
    let scene = Scene::new();
    let (forged, checksum) = object(&key(), &scene.label, &content(2));
    assert_eq!(forged.len(), scene.stored.len());
    assert_ne!(checksum, scene.checksum);
    let (_, ended) = scene.opens(forged.clone());
    assert_refused(ended, "the checksum");
    let refused = scene.document(Cursor::new(forged)).into_vec();
    assert_refused(refused.map(|(_, report)| report), "the checksum");
}

#[test]
fn an_object_that_its_writer_recorded_with_another_size_is_refused() {
    let scene = Scene::new();
    let opened = |change: &dyn Fn(&mut Document)| {
        let mut document = scene.document(Cursor::new(scene.stored.clone()));
        change(&mut document);
        document.copy_to(&mut io::sink())
    };
    assert!(opened(&|_| ()).is_ok());
    assert_refused(opened(&|document| document.record.size += 1), "the recorded size");
    for size in [LENGTH - 1, LENGTH + 1] {
        let another = |document: &mut Document| document.material = scene.material(size);
        assert_refused(opened(&another), "the recorded size");
    }
}

/// Gives the same byte for ever, and counts.
struct Endless(Arc<AtomicU64>);

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        out.fill(0);
        self.0.fetch_add(out.len() as u64, Ordering::Relaxed);
        Ok(out.len())
    }
}

#[test]
fn p12_an_object_that_is_longer_than_the_recorded_one_is_not_read_on() {
    let scene = Scene::new();
    let longer = content(1).repeat(50);
    let (forged, _) = object(&key(), &scene.label, &longer);
    let (out, ended) = scene.opens(forged);
    assert!(out.len() <= LENGTH, "{}", out.len());
    assert_refused(ended, "not authentic");

    let read = Arc::new(AtomicU64::new(0));
    let endless = Cursor::new(scene.stored.clone()).chain(Endless(Arc::clone(&read)));
    let refused = scene.document(endless).copy_to(&mut io::sink());
    assert_refused(refused, "not authentic");
    assert!(read.load(Ordering::Relaxed) <= 1);
}

#[test]
fn f5_p16_a_changed_cut_or_exchanged_object_is_refused_and_nothing_of_it_comes_out() {
    let scene = Scene::new();
    let honest = content(1);
    let changed = |place: usize| {
        let mut stored = scene.stored.clone();
        stored[place] ^= 1;
        stored
    };
    let other = label("another", 1).unwrap();
    let second = HEADER_SIZE + ENCRYPTED_CHUNK_SIZE;
    let cases = [
        ("key commitment", 0, changed(0)),
        ("chunk 0 is not authentic", 0, changed(HEADER_SIZE)),
        ("chunk 1 is not authentic", CHUNK_SIZE, changed(second)),
        (
            "chunk 2 is not authentic",
            2 * CHUNK_SIZE,
            changed(scene.stored.len() - 1),
        ),
        ("truncated", 0, Vec::new()),
        ("truncated", 0, scene.stored[..HEADER_SIZE - 1].to_vec()),
        ("truncated", CHUNK_SIZE, scene.stored[..second].to_vec()),
        (
            "chunk 1 is not authentic",
            CHUNK_SIZE,
            scene.stored[..second + 50].to_vec(),
        ),
        // Another document's object, and one that its store's owner has encrypted.
        ("key commitment", 0, object(&key(), &other, &honest).0),
        (
            "key commitment",
            0,
            object(
                &ObjectKey::from_bytes(&Zeroizing::new([4; 32])),
                &scene.label,
                &honest,
            )
            .0,
        ),
    ];
    for (reason, authentic, stored) in cases {
        let (out, ended) = scene.opens(stored);
        assert_refused(ended, reason);
        assert_eq!(out, honest[..authentic], "{reason}");
    }
}

/// A disk that breaks is not a forged object.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is broken"))
    }
}

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is full"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_machine_that_fails_is_not_taken_for_a_forged_object() {
    let scene = Scene::new();
    let beginning = |length: usize| Cursor::new(scene.stored[..length].to_vec());
    let failures = [
        scene.document(Broken).copy_to(&mut io::sink()),
        scene
            .document(beginning(HEADER_SIZE + 5).chain(Broken))
            .copy_to(&mut io::sink()),
        scene.document(beginning(scene.stored.len())).copy_to(&mut Broken),
    ];
    for failed in failures {
        assert!(matches!(&failed, Err(Error::Io { .. })), "{failed:?}");
    }
}

#[test]
fn an_object_is_only_where_its_material_says() {
    let scene = Scene::new();
    let directory = tempfile::tempdir().unwrap();
    let objects = ObjectStore::new(directory.path());
    let read = |material: &Material, record: &DocumentVersion| {
        let mut bytes = Vec::new();
        encrypted(&objects, material, record).map(|mut object| {
            object.read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    let local = scene.material(LENGTH);
    let on_chain = Material {
        location: Location::OnChain,
        ..scene.material(LENGTH)
    };
    let mut record = scene.record();
    for (material, missing) in [(&local, "it is not at"), (&on_chain, "on the chain and is not")] {
        match read(material, &record) {
            Err(Error::Object(why)) => assert!(why.contains(missing), "{why}"),
            other => panic!("{missing}: {other:?}"),
        }
    }
    std::fs::write(directory.path().join("object"), b"stored").unwrap();
    record.inline = Some(b"recorded".to_vec());
    assert_eq!(read(&local, &record).unwrap(), b"stored");
    assert_eq!(read(&on_chain, &record).unwrap(), b"recorded");
}
