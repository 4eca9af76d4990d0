use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::seal::passphrase::forbidden;

fn file(contents: &[u8], mode: u32) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), contents).unwrap();
    std::fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
    file
}

#[test]
fn a_passphrase_file_is_read_without_its_final_line_break() {
    for contents in [&b"a b "[..], b"a b \n", b"a b \r\n"] {
        let file = file(contents, 0o400);
        assert_eq!(Passphrase::from_file(file.path()).unwrap().expose(), b"a b ");
    }
}

#[test]
fn a_passphrase_file_that_others_can_use_is_refused_with_the_cure() {
    for mode in [0o640, 0o604, 0o620] {
        let file = file(b"secret", mode);
        let error = Passphrase::from_file(file.path()).unwrap_err();
        assert!(matches!(error, PassphraseError::TooOpen { mode: found, .. } if found == mode));
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}

#[test]
fn an_empty_missing_or_overlong_passphrase_file_is_refused() {
    assert!(matches!(
        Passphrase::from_file(file(b"\n", 0o600).path()),
        Err(PassphraseError::Empty(_))
    ));
    assert!(matches!(
        Passphrase::from_file(file(&[b'a'; 1025], 0o600).path()),
        Err(PassphraseError::TooLong(_))
    ));
    let missing = Passphrase::from_file(Path::new("/nonexistent/passphrase")).unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/passphrase"));
}

#[test]
fn a_typed_passphrase_is_neither_empty_nor_overlong() {
    assert!(matches!(
        Passphrase::typed(Vec::new()),
        Err(PassphraseError::Length)
    ));
    assert!(matches!(
        Passphrase::typed(vec![b'a'; 1025]),
        Err(PassphraseError::Length)
    ));
    assert_eq!(Passphrase::typed(b" ".to_vec()).unwrap().expose(), b" ");
}

/// The directory that systemd makes for one service.
fn credentials(mode: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passphrase");
    std::fs::write(&path, b"secret\n").unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    folder
}

fn credential(name: &str) -> SecretSource {
    SecretSource::Credential(name.to_owned())
}

#[test]
fn a_credential_is_read_from_the_directory_of_the_service() {
    // 0440 is what it looks like with a dynamic user: the group's bit is the mask of an access-control list.
    for mode in [0o400, 0o440] {
        let folder = credentials(mode);
        let secret = credential("passphrase").read(Some(folder.path())).unwrap();
        assert_eq!(secret.expose(), b"secret");
    }
}

#[test]
fn only_what_systemd_hands_over_may_look_group_readable() {
    let (own, other) = (
        Path::new("/run/credentials/own"),
        Path::new("/run/credentials/other"),
    );
    let file = own.join("passphrase");
    assert_eq!(forbidden(&file, Some(own)), 0o037);
    assert_eq!(forbidden(&file, Some(other)), 0o077);
    assert_eq!(forbidden(&own.join("more").join("passphrase"), Some(own)), 0o077);
    assert_eq!(forbidden(&file, None), 0o077);
}

#[test]
fn a_credential_that_others_can_use_is_refused() {
    for mode in [0o444, 0o460, 0o404, 0o402] {
        let folder = credentials(mode);
        let error = credential("passphrase").read(Some(folder.path())).unwrap_err();
        assert!(
            matches!(error, PassphraseError::TooOpen { .. }),
            "{mode:o}: {error}"
        );
    }
}

#[test]
fn a_credential_is_a_name_and_needs_a_service() {
    let folder = credentials(0o400);
    for name in ["", ".", "..", "../passphrase", "/etc/passwd"] {
        let error = credential(name).read(Some(folder.path())).unwrap_err();
        assert!(
            matches!(error, PassphraseError::CredentialName(_)),
            "{name}: {error}"
        );
    }
    let error = credential("passphrase").read(None).unwrap_err();
    assert!(
        error.to_string().contains("LoadCredentialEncrypted=passphrase:"),
        "{error}"
    );
    let error = credential("pin").read(Some(folder.path())).unwrap_err();
    assert!(matches!(error, PassphraseError::Unreadable { .. }), "{error}");
}
