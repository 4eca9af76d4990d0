use super::*;
use crate::Passphrase;

fn passphrase() -> Passphrase {
    Passphrase::new(b"correct horse".to_vec())
}

#[test]
fn an_identity_survives_a_restart_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity");
    let created = Identity::create("alpha", &passphrase(), &path).unwrap();
    let loaded = Identity::load(&path, &passphrase()).unwrap();
    assert_eq!(loaded.public_key(), created.public_key());
    assert_eq!(loaded.name(), "alpha");
    let file = std::fs::read(&path).unwrap();
    assert!(
        !file
            .windows(SEED)
            .any(|window| window == created.signing_key().as_bytes())
    );
}

#[test]
fn an_identity_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity");
    let first = Identity::create("alpha", &passphrase(), &path).unwrap();
    assert!(matches!(
        Identity::create("alpha", &passphrase(), &path),
        Err(IdentityError::Exists(_))
    ));
    let kept = Identity::load_or_create("alpha", &passphrase(), &path).unwrap();
    assert_eq!(kept.public_key(), first.public_key());
}

#[test]
fn an_identity_that_cannot_be_looked_for_is_not_replaced() {
    // The way to it leads through a file: not there and not to be told are different answers.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let path = file.join("identity");
    for refused in [
        Identity::load_or_create("alpha", &passphrase(), &path),
        Identity::create("alpha", &passphrase(), &path),
    ] {
        assert!(matches!(refused, Err(IdentityError::Unknown { .. })));
    }
    // Nor one on a medium that is not mounted.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
    let refused = Identity::load_or_create("alpha", &passphrase(), &link);
    assert!(matches!(refused, Err(IdentityError::File { .. })));
    assert!(link.is_symlink());
}

#[test]
fn b7_another_sealed_file_is_no_identity() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity");
    let blob = seal::seal(&passphrase(), "crypto-node/alpha/share", &[7; 40], &mut OsRng).unwrap();
    std::fs::write(&path, blob).unwrap();
    assert!(matches!(
        Identity::load(&path, &passphrase()),
        Err(IdentityError::Sealed {
            source: SealError::Elsewhere { .. },
            ..
        })
    ));
}

#[test]
fn p15_an_identity_does_not_show_its_key() {
    let identity = Identity::ephemeral("alpha").unwrap();
    assert!(!format!("{identity:?}").contains(&hex::encode(identity.signing_key().as_bytes())));
}

#[test]
fn a_name_that_would_spoil_a_log_is_refused() {
    for name in ["", "a\nb", &"a".repeat(65)] {
        assert!(
            matches!(Identity::ephemeral(name), Err(IdentityError::Name)),
            "{name:?}"
        );
    }
}
