use std::fs::Permissions;

use rand_core::OsRng;

use super::*;

fn passphrase() -> Passphrase {
    Passphrase::new(b"correct horse".to_vec())
}

#[test]
fn what_was_sealed_opens() {
    let blob = seal(&passphrase(), "crypto-node/alpha/share", b"secret", &mut OsRng).unwrap();
    assert_eq!(
        open(&passphrase(), "crypto-node/alpha/share", &blob)
            .unwrap()
            .as_slice(),
        b"secret"
    );
    assert!(!blob.windows(6).any(|window| window == b"secret"));
}

#[test]
fn b7_a_blob_of_another_node_or_purpose_does_not_open() {
    let blob = seal(&passphrase(), "crypto-node/alpha/share", b"secret", &mut OsRng).unwrap();
    for context in [
        "crypto-node/beta/share",
        "crypto-node/alpha/identity",
        "crypto-node/alpha/shar",
        "",
    ] {
        assert_eq!(
            open(&passphrase(), context, &blob).unwrap_err(),
            SealError::Refused,
            "{context}"
        );
    }
}

#[test]
fn b9_every_flipped_byte_and_every_truncation_is_refused() {
    let blob = seal(&passphrase(), "context", b"secret", &mut OsRng).unwrap();
    for position in 0..blob.len() {
        let mut damaged = blob.clone();
        damaged[position] ^= 1;
        let expected = if position <= MAGIC.len() {
            SealError::NotSealed
        } else {
            SealError::Refused
        };
        assert_eq!(
            open(&passphrase(), "context", &damaged).unwrap_err(),
            expected,
            "byte {position}"
        );
    }
    for length in [0, HEADER - 1] {
        assert_eq!(
            open(&passphrase(), "context", &blob[..length]).unwrap_err(),
            SealError::NotSealed
        );
    }
    for length in [HEADER, HEADER + 15, blob.len() - 1] {
        assert_eq!(
            open(&passphrase(), "context", &blob[..length]).unwrap_err(),
            SealError::Refused
        );
    }
}

#[test]
fn a_wrong_passphrase_is_refused() {
    let blob = seal(&passphrase(), "context", b"secret", &mut OsRng).unwrap();
    let wrong = Passphrase::new(b"correct horsf".to_vec());
    assert_eq!(open(&wrong, "context", &blob).unwrap_err(), SealError::Refused);
}

#[test]
fn p15_a_passphrase_is_not_shown() {
    assert!(!format!("{:?}", passphrase()).contains("horse"));
}

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
        assert_eq!(Passphrase::from_file(file.path()).unwrap().0.as_slice(), b"a b ");
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
fn p15_the_ciphers_round_keys_are_wiped() {
    fn wiped_on_drop<T: zeroize::ZeroizeOnDrop>() {}
    // Does not compile without the block cipher's feature, which AES-GCM does not turn on by itself.
    wiped_on_drop::<aes::Aes256>();
}
