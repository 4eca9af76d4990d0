use rand_core::OsRng;

use super::*;

mod secret_files;
mod settings;

const CONTEXT: &str = "crypto-node/alpha/share/key/1/2";

fn passphrase() -> Passphrase {
    Passphrase::new(b"correct horse".to_vec())
}

/// A token that keeps its word and its key in this process.
struct OtherSeal(SecretKey);

impl OtherSeal {
    fn new(byte: u8) -> Self {
        Self(Zeroizing::new([byte; KEY]))
    }
}

impl KeyWrap for OtherSeal {
    fn method(&self) -> Method {
        Method::Token
    }

    fn wrap(
        &self,
        key: &SecretKey,
        associated: &[u8],
        _: &mut dyn CryptoRngCore,
    ) -> Result<Vec<u8>, SealError> {
        encrypt(&self.0, key.as_ref(), associated)
    }

    fn unwrap(&self, wrapped: &[u8], associated: &[u8]) -> Result<SecretKey, SealError> {
        let key = decrypt(&self.0, wrapped, associated)?;
        Ok(Zeroizing::new(key.as_slice().try_into().unwrap()))
    }
}

/// A seal that wraps what it cannot unwrap.
struct Broken;

impl KeyWrap for Broken {
    fn method(&self) -> Method {
        Method::Token
    }

    fn wrap(&self, _: &SecretKey, _: &[u8], _: &mut dyn CryptoRngCore) -> Result<Vec<u8>, SealError> {
        Ok(vec![0; 48])
    }

    fn unwrap(&self, _: &[u8], _: &[u8]) -> Result<SecretKey, SealError> {
        Err(SealError::Refused)
    }
}

#[test]
fn what_was_sealed_opens() {
    let blob = seal(&passphrase(), CONTEXT, b"secret", &mut OsRng).unwrap();
    assert_eq!(open(&passphrase(), CONTEXT, &blob).unwrap().as_slice(), b"secret");
    assert!(!blob.windows(6).any(|window| window == b"secret"));
}

#[test]
fn b7_a_blob_of_another_node_or_purpose_does_not_open() {
    let blob = seal(&passphrase(), CONTEXT, b"secret", &mut OsRng).unwrap();
    for context in [
        "crypto-node/beta/share/key/1/2",
        "crypto-node/alpha/identity",
        "crypto-node/alpha/share/key/2/2",
        "",
    ] {
        let error = open(&passphrase(), context, &blob).unwrap_err();
        assert!(
            matches!(&error, SealError::Elsewhere { found, .. } if found == CONTEXT),
            "{context}: {error}"
        );
    }
}

#[test]
fn b7_the_context_in_a_blob_cannot_be_rewritten() {
    let blob = seal(&passphrase(), CONTEXT, b"secret", &mut OsRng).unwrap();
    let place = blob.windows(5).position(|window| window == b"alpha").unwrap();
    let mut stolen = blob.clone();
    stolen[place..place + 5].copy_from_slice(b"gamma");
    let error = open(&passphrase(), &CONTEXT.replace("alpha", "gamma"), &stolen).unwrap_err();
    assert_eq!(
        error,
        SealError::Refused,
        "the wrapped key is bound to its context"
    );

    // A wrapped key of the right context does not lend it to a secret of another: both are bound.
    let other = CONTEXT.replace("alpha", "gamma");
    let seal_of = OtherSeal::new(7);
    let theirs = seal(&seal_of, CONTEXT, b"secret", &mut OsRng).unwrap();
    let parts = Parts::parse(&theirs).unwrap();
    let key = parts.key(&seal_of).unwrap();
    let method = Method::Token;
    let wrapped = seal_of
        .wrap(&key, &key_associated(method, &other), &mut OsRng)
        .unwrap();
    let spliced = Parts {
        method,
        context: &other,
        wrapped: &wrapped,
        sealed: parts.sealed,
    };
    assert_eq!(
        open(&seal_of, &other, &spliced.write().unwrap()).unwrap_err(),
        SealError::Refused
    );
}

#[test]
fn b7_a_wrapped_key_is_bound_to_its_method() {
    struct Renamed(OtherSeal);
    impl KeyWrap for Renamed {
        fn method(&self) -> Method {
            Method::Passphrase
        }
        fn wrap(
            &self,
            key: &SecretKey,
            aad: &[u8],
            rng: &mut dyn CryptoRngCore,
        ) -> Result<Vec<u8>, SealError> {
            self.0.wrap(key, aad, rng)
        }
        fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<SecretKey, SealError> {
            self.0.unwrap(wrapped, aad)
        }
    }
    let mut blob = seal(&OtherSeal::new(7), CONTEXT, b"secret", &mut OsRng).unwrap();
    blob[MAGIC.len() + 1] = Method::Passphrase.number();
    let error = open(&Renamed(OtherSeal::new(7)), CONTEXT, &blob).unwrap_err();
    assert_eq!(error, SealError::Refused);
}

/// Every bit counts, whatever the seal: the fast one stands for both.
#[test]
fn b9_every_flipped_byte_and_every_truncation_is_refused() {
    let seal_of = OtherSeal::new(7);
    let blob = seal(&seal_of, CONTEXT, b"secret", &mut OsRng).unwrap();
    for position in 0..blob.len() {
        for bit in 0..8 {
            let mut damaged = blob.clone();
            damaged[position] ^= 1 << bit;
            assert!(
                open(&seal_of, CONTEXT, &damaged).is_err(),
                "byte {position}, bit {bit}"
            );
        }
        assert!(
            open(&seal_of, CONTEXT, &blob[..position]).is_err(),
            "{position} bytes"
        );
    }
    let longer = [blob.as_slice(), b"x"].concat();
    assert_eq!(open(&seal_of, CONTEXT, &longer).unwrap_err(), SealError::Refused);
}

#[test]
fn b9_a_damaged_secret_under_a_passphrase_is_refused() {
    let blob = seal(&passphrase(), CONTEXT, b"secret", &mut OsRng).unwrap();
    let wrapped = MAGIC.len() + 2 + 2 + CONTEXT.len() + 2;
    // Salt, ciphertext and tag of the key; ciphertext and tag of the secret.
    for position in [wrapped, wrapped + 16, wrapped + 63, wrapped + 64, blob.len() - 1] {
        let mut damaged = blob.clone();
        damaged[position] ^= 1;
        assert_eq!(
            open(&passphrase(), CONTEXT, &damaged).unwrap_err(),
            SealError::Refused,
            "byte {position}"
        );
    }
}

#[test]
fn a_wrong_passphrase_is_refused() {
    let blob = seal(&passphrase(), CONTEXT, b"secret", &mut OsRng).unwrap();
    let wrong = Passphrase::new(b"correct horsf".to_vec());
    assert_eq!(open(&wrong, CONTEXT, &blob).unwrap_err(), SealError::Refused);
}

#[test]
fn another_method_is_refused_by_name() {
    let blob = seal(&passphrase(), CONTEXT, b"secret", &mut OsRng).unwrap();
    let error = open(&OtherSeal::new(7), CONTEXT, &blob).unwrap_err();
    assert_eq!(
        error,
        SealError::OtherMethod {
            found: Method::Passphrase,
            given: Method::Token
        }
    );
    assert!(error.to_string().contains("configuration"), "{error}");
}

#[test]
fn a_context_is_plain_text_of_bounded_length() {
    for context in ["", "two words", "ümlaut", &"a".repeat(MAX_FIELD + 1)] {
        let error = seal(&OtherSeal::new(7), context, b"secret", &mut OsRng).unwrap_err();
        assert_eq!(error, SealError::Context, "{context}");
    }
    seal(&OtherSeal::new(7), &"a".repeat(MAX_FIELD), b"secret", &mut OsRng).unwrap();
}

#[test]
fn the_seal_changes_and_the_secret_stays() {
    let (old, new) = (OtherSeal::new(7), passphrase());
    let blob = seal(&old, CONTEXT, b"secret", &mut OsRng).unwrap();
    let rewrapped = rewrap(&blob, &old, &new, &mut OsRng).unwrap();
    assert_eq!(open(&new, CONTEXT, &rewrapped).unwrap().as_slice(), b"secret");
    assert!(open(&old, CONTEXT, &rewrapped).is_err());
    let body = &blob[blob.len() - 22..];
    assert!(rewrapped.ends_with(body), "the secret is encrypted once");
    // And back.
    let back = rewrap(&rewrapped, &new, &old, &mut OsRng).unwrap();
    assert_eq!(open(&old, CONTEXT, &back).unwrap().as_slice(), b"secret");
}

#[test]
fn b9_a_damaged_secret_or_a_seal_that_does_not_work_is_not_taken_for_a_new_one() {
    let (old, new) = (OtherSeal::new(7), OtherSeal::new(8));
    let blob = seal(&old, CONTEXT, b"secret", &mut OsRng).unwrap();
    let mut damaged = blob.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(
        rewrap(&damaged, &old, &new, &mut OsRng).unwrap_err(),
        SealError::Refused
    );
    assert_eq!(
        rewrap(&blob, &new, &old, &mut OsRng).unwrap_err(),
        SealError::Refused
    );
    assert_eq!(
        rewrap(&blob, &old, &Broken, &mut OsRng).unwrap_err(),
        SealError::Refused
    );
}

/// A secret of version 1, under "correct horse", for "crypto-node/alpha/share".
const VERSION_1: &str = "71756f727365616c01070707070707070707070707070707070909090909090909090909\
                         09eca65cbd15ba9e43265bcd9c8ce46f612e9c976b0bcd";

#[test]
fn a_secret_of_version_1_opens_where_it_belongs() {
    let blob = hex::decode(VERSION_1).unwrap();
    let context = "crypto-node/alpha/share";
    assert_eq!(open(&passphrase(), context, &blob).unwrap().as_slice(), b"secret");
    for context in ["crypto-node/beta/share", "crypto-node/alpha/identity", ""] {
        assert_eq!(
            open(&passphrase(), context, &blob).unwrap_err(),
            SealError::Refused,
            "{context}"
        );
    }
    for position in [9, 25, 37, blob.len() - 1] {
        let mut damaged = blob.clone();
        damaged[position] ^= 1;
        assert_eq!(
            open(&passphrase(), context, &damaged).unwrap_err(),
            SealError::Refused
        );
    }
    assert_eq!(
        open(&passphrase(), context, &blob[..36]).unwrap_err(),
        SealError::NotSealed
    );
    let error = open(&OtherSeal::new(7), context, &blob).unwrap_err();
    assert!(matches!(error, SealError::OtherMethod { .. }));
    let error = rewrap(&blob, &passphrase(), &OtherSeal::new(7), &mut OsRng).unwrap_err();
    assert_eq!(error, SealError::Version1);
}

#[test]
fn p15_a_passphrase_is_not_shown() {
    assert!(!format!("{:?}", passphrase()).contains("horse"));
    let seal: &dyn KeyWrap = &passphrase();
    assert_eq!(format!("{seal:?}"), "KeyWrap(a passphrase)");
}

#[test]
fn p15_the_ciphers_round_keys_are_wiped() {
    fn wiped_on_drop<T: zeroize::ZeroizeOnDrop>() {}
    // Does not compile without the block cipher's feature, which AES-GCM does not turn on by itself.
    wiped_on_drop::<aes::Aes256>();
}
