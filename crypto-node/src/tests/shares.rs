use super::world::committee;
use crate::ceremony::tests::simulation::who;
use crate::share::{GuardError, ProvenCanary, ShareFiles};
use rand_core::OsRng;
use service::Passphrase;
use std::sync::Arc;
use threshold::canary::{Canary, canary_label};
use threshold::ids::CeremonyId;
use threshold::secret::DataKey;
use threshold::wrap::wrap;

const ID: CeremonyId = CeremonyId([3; 32]);

fn files(folder: &std::path::Path, node: u8) -> ShareFiles {
    ShareFiles::new(
        folder.to_owned(),
        Arc::new(Passphrase::new(b"correct horse".to_vec())),
        [node; 32],
    )
}

#[test]
fn b7_b9_p15_a_sealed_share_opens_only_unchanged_and_in_its_own_place() {
    let folder = tempfile::tempdir().unwrap();
    let committee = committee();
    let manifest = committee.common_key().manifest;
    let share = committee.share(1);
    let own = files(folder.path(), 1);
    own.save(ID, &share, &manifest).unwrap();
    assert_eq!(
        own.load(ID, &manifest, &who(1)).unwrap().public_share(),
        share.public_share()
    );

    let path = folder.path().join(format!("{ID}.share"));
    let sealed = std::fs::read(&path).unwrap();
    let secret = share.to_secret_bytes();
    let scalar = &secret[secret.len() - 32..];
    assert!(
        !sealed.windows(32).any(|window| window == scalar),
        "the share is on the disk in the clear"
    );

    // Another node with the same passphrase, another seat, another committee.
    assert!(matches!(
        files(folder.path(), 2).load(ID, &manifest, &who(1)),
        Err(GuardError::Sealed { .. })
    ));
    assert!(matches!(
        own.load(ID, &manifest, &who(2)),
        Err(GuardError::Sealed { .. })
    ));
    let other = super::world::committee().common_key().manifest;
    assert!(
        matches!(own.load(ID, &other, &who(1)), Err(GuardError::Sealed { .. })),
        "p8"
    );

    // One byte of each field: magic, version, salt, nonce, ciphertext, tag.
    for at in [0, 8, 10, 30, 50, sealed.len() - 1] {
        let mut damaged = sealed.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        let error = own.load(ID, &manifest, &who(1)).unwrap_err();
        assert!(matches!(error, GuardError::Sealed { .. }), "byte {at}: {error}");
    }
}

#[test]
fn b8_shares_of_ceremonies_that_gave_no_key_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, gone) = (format!("{ID}.share"), format!("{}.share", CeremonyId([4; 32])));
    for file in [&kept, &gone] {
        std::fs::write(folder.path().join(file), b"x").unwrap();
    }
    files(folder.path(), 1).keep_only(&[ID]).unwrap();
    assert!(folder.path().join(kept).exists() && !folder.path().join(gone).exists());
}

#[test]
fn c6_a_document_is_never_taken_for_a_canary() {
    let committee = committee();
    let manifest = committee.common_key().manifest;
    let installation = super::world::name("test");
    let canary = Canary::release(&manifest, &installation, ID, &mut OsRng).unwrap();
    let q = canary.reader();
    ProvenCanary::prove(canary.wrapped().clone(), q, &installation, ID).unwrap();

    let document = super::world::wrapped(manifest.custody_key(), "a");
    assert!(ProvenCanary::prove(document, q, &installation, ID).is_err());
    let mut label = canary_label(&installation, ID).unwrap();
    label.version = 1;
    let data_key = DataKey::from_bytes([9; 32]);
    let version_one = wrap(manifest.custody_key(), &label, &data_key, &mut OsRng).unwrap();
    assert!(ProvenCanary::prove(version_one, q, &installation, ID).is_err());
    let other = CeremonyId([8; 32]);
    assert!(ProvenCanary::prove(canary.wrapped().clone(), q, &installation, other).is_err());
}
