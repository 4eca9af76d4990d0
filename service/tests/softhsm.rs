//! Seals with a key in a PKCS#11 token. SoftHSM (Debian package `softhsm2`) stands for the hardware.
//!
//! SoftHSM finds its tokens by an environment variable, so that each test runs itself again in a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use quorate_service as service;
use rand_core::OsRng;
use service::seal::{self, KeyWrap, Passphrase, SealConfig, SealError, SecretSource, SettingsError};

const PIN: &str = "2468";
const CONTEXT: &str = "crypto-node/alpha/share/key/1/2";
const WORLD: &str = "QUORATE_TEST_TOKEN_WORLD";

fn module() -> PathBuf {
    [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
    ]
    .into_iter()
    .map(PathBuf::from)
    .find(|path| path.exists())
    .expect("SoftHSM is not installed: apt-get install softhsm2")
}

/// Runs `body` in a process that has one token, labelled "quorate", of its own.
fn in_a_world_with_a_token(test: &str, body: impl FnOnce(&Path)) {
    if let Some(world) = std::env::var_os(WORLD) {
        body(Path::new(&world));
        return;
    }
    let world = tempfile::tempdir().unwrap();
    let tokens = world.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let configuration = world.path().join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(&configuration, text).unwrap();
    let made = Command::new("softhsm2-util")
        .args([
            "--init-token",
            "--free",
            "--label",
            "quorate",
            "--pin",
            PIN,
            "--so-pin",
            "1357",
        ])
        .env("SOFTHSM2_CONF", &configuration)
        .output()
        .expect("SoftHSM is not installed: apt-get install softhsm2");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let ran = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env("SOFTHSM2_CONF", &configuration)
        .env(WORLD, world.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(
        said.contains("1 passed"),
        "the test {test} did not run itself: {said}"
    );
}

fn make_key(label: &str, extractable: bool) {
    let library = Pkcs11::new(module()).unwrap();
    library
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .unwrap();
    let slot = library.get_slots_with_initialized_token().unwrap()[0];
    let session = library.open_rw_session(slot).unwrap();
    session
        .login(UserType::User, Some(&AuthPin::new(PIN.into())))
        .unwrap();
    let template = [
        Attribute::Token(true),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::ValueLen(32.into()),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Sensitive(!extractable),
        Attribute::Extractable(extractable),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
    drop(session);
    library.finalize().unwrap();
}

fn config(world: &Path, token: &str, key: &str, pin: &str) -> SealConfig {
    let file = world.join("pin");
    std::fs::write(&file, pin).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    SealConfig::Token {
        module: module(),
        token: token.into(),
        key: key.into(),
        pin: SecretSource::File(file),
    }
}

fn token(world: &Path, key: &str) -> Arc<dyn KeyWrap> {
    config(world, "quorate", key, PIN).open(None).unwrap()
}

fn refusal(config: &SealConfig) -> String {
    match config.open(None) {
        Err(SettingsError::Token(error @ SealError::Token(_))) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the token was taken"),
    }
}

#[test]
fn b7_b9_a_token_seals_for_one_place_and_opens_nothing_that_was_changed() {
    in_a_world_with_a_token(
        "b7_b9_a_token_seals_for_one_place_and_opens_nothing_that_was_changed",
        |world| {
            make_key("share-seal", false);
            make_key("other", false);
            let own = token(world, "share-seal");
            let blob = seal::seal(own.as_ref(), CONTEXT, b"secret", &mut OsRng).unwrap();
            assert_eq!(
                seal::open(own.as_ref(), CONTEXT, &blob).unwrap().as_slice(),
                b"secret"
            );
            assert!(!blob.windows(6).any(|window| window == b"secret"));

            // Another key of the same token; another place; every byte.
            let error = seal::open(token(world, "other").as_ref(), CONTEXT, &blob).unwrap_err();
            assert_eq!(error, SealError::Refused);
            let mut elsewhere = blob.clone();
            let place = blob.windows(5).position(|window| window == b"alpha").unwrap();
            elsewhere[place..place + 5].copy_from_slice(b"gamma");
            let context = CONTEXT.replace("alpha", "gamma");
            assert_eq!(
                seal::open(own.as_ref(), &context, &elsewhere).unwrap_err(),
                SealError::Refused
            );
            for position in 0..blob.len() {
                let mut damaged = blob.clone();
                damaged[position] ^= 1;
                assert!(
                    seal::open(own.as_ref(), CONTEXT, &damaged).is_err(),
                    "byte {position}"
                );
            }
        },
    );
}

#[test]
fn the_seal_changes_from_a_passphrase_to_a_token_and_back() {
    in_a_world_with_a_token(
        "the_seal_changes_from_a_passphrase_to_a_token_and_back",
        |world| {
            make_key("share-seal", false);
            let token = token(world, "share-seal");
            let passphrase = Passphrase::new(b"correct horse".to_vec());
            let first = seal::seal(&passphrase, CONTEXT, b"secret", &mut OsRng).unwrap();
            let second = seal::rewrap(&first, &passphrase, token.as_ref(), &mut OsRng).unwrap();
            assert_eq!(
                seal::open(token.as_ref(), CONTEXT, &second).unwrap().as_slice(),
                b"secret"
            );
            assert!(matches!(
                seal::open(&passphrase, CONTEXT, &second),
                Err(SealError::OtherMethod { .. })
            ));
            let third = seal::rewrap(&second, token.as_ref(), &passphrase, &mut OsRng).unwrap();
            assert_eq!(
                seal::open(&passphrase, CONTEXT, &third).unwrap().as_slice(),
                b"secret"
            );
        },
    );
}

#[test]
fn a_token_is_taken_by_its_label_its_pin_and_a_key_that_stays_in_it() {
    in_a_world_with_a_token(
        "a_token_is_taken_by_its_label_its_pin_and_a_key_that_stays_in_it",
        |world| {
            make_key("loose", true);
            make_key("twice", false);
            make_key("twice", false);
            // A wrong PIN first: once logged in, a process stays so.
            let wrong = refusal(&config(world, "quorate", "twice", "9999"));
            assert!(
                wrong.contains("check the PIN") && !wrong.contains("9999"),
                "{wrong}"
            );
            for (token, key, what) in [
                ("another", "twice", "no token is labelled"),
                ("quorate", "missing", "no AES key"),
                ("quorate", "loose", "cannot be extracted"),
                ("quorate", "twice", "several keys"),
            ] {
                let error = refusal(&config(world, token, key, PIN));
                assert!(error.contains(what), "{token} {key}: {error}");
            }
            let mut missing = config(world, "quorate", "twice", PIN);
            if let SealConfig::Token { module, .. } = &mut missing {
                *module = "/nonexistent.so".into();
            }
            let error = refusal(&missing);
            assert!(error.contains("/nonexistent.so"), "{error}");
        },
    );
}
