use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
struct File {
    seal: SealConfig,
}

fn parse(text: &str) -> Result<SealConfig, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, format!("[seal]\n{text}")).unwrap();
    let file: Result<File, _> = crate::config::load(&path, "SEAL_SETTINGS_TEST");
    file.map(|file| file.seal).map_err(|error| error.to_string())
}

#[test]
fn each_seal_is_written_in_a_configuration() {
    assert_eq!(
        parse("method = \"passphrase\"\nfrom = { file = \"/etc/p\" }").unwrap(),
        SealConfig::Passphrase {
            from: SecretSource::File("/etc/p".into())
        }
    );
    assert_eq!(
        parse("method = \"passphrase\"\nfrom = { credential = \"p\" }").unwrap(),
        SealConfig::Passphrase {
            from: SecretSource::Credential("p".into())
        }
    );
    assert_eq!(
        parse("method = \"token\"\nmodule = \"/m.so\"\ntoken = \"t\"\nkey = \"k\"\npin = { credential = \"pin\" }")
            .unwrap(),
        SealConfig::Token {
            module: "/m.so".into(),
            token: "t".into(),
            key: "k".into(),
            pin: SecretSource::Credential("pin".into()),
        }
    );
    assert_eq!(parse("method = \"operator\"").unwrap(), SealConfig::Operator);
}

#[test]
fn a_secret_or_a_misspelt_key_in_the_configuration_is_refused() {
    for text in [
        "method = \"passphrase\"\npassphrase = \"correct horse\"",
        "method = \"passphrase\"\nfrom = { file = \"/etc/p\" }\npassphrase = \"correct horse\"",
        "method = \"passphrase\"\nfrom = { environment = \"P\" }",
        "method = \"token\"\nmodule = \"/m.so\"\ntoken = \"t\"\nkey = \"k\"\npin = \"1234\"",
        "method = \"none\"",
        "",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_seal_that_only_a_person_opens_does_not_open_by_itself() {
    let error = SealConfig::Operator.open(None).unwrap_err();
    assert!(matches!(error, SettingsError::Operator), "{error}");
}

#[cfg(not(feature = "pkcs11"))]
#[test]
fn a_program_without_pkcs11_says_so() {
    let config = SealConfig::Token {
        module: "/m.so".into(),
        token: "t".into(),
        key: "k".into(),
        pin: SecretSource::Credential("pin".into()),
    };
    let error = config.open(None).unwrap_err();
    assert!(error.to_string().contains("--features pkcs11"), "{error}");
}
