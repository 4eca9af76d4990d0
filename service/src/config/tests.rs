use serde::Deserialize;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    name: String,
    address: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    listen: std::net::SocketAddr,
    limit: u32,
    identity: String,
    #[serde(default)]
    verbose: bool,
    nodes: Vec<Node>,
}

const TEXT: &str = r#"
listen = "127.0.0.1:7000"
limit = 5
identity = "00"
[[nodes]]
name = "alpha"
address = "a:1"
[[nodes]]
name = "beta"
address = "b:1"
"#;

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Sample, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("daemon.toml");
    std::fs::write(&path, text).unwrap();
    load_with(
        &path,
        "APP",
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

#[test]
fn the_file_is_taken_as_it_is() {
    let sample = with(TEXT, &[("OTHER__LIMIT", "9"), ("APPLE", "1")]).unwrap();
    assert_eq!((sample.limit, sample.nodes.len()), (5, 2));
}

#[test]
fn variables_override_values_of_every_type_and_places_in_lists() {
    // An identity of decimal digits only must not turn into a number.
    let digits = "1".repeat(64);
    let sample = with(
        TEXT,
        &[
            ("APP__LIMIT", "9"),
            ("APP__VERBOSE", "true"),
            ("APP__IDENTITY", &digits),
            ("APP__NODES__1__ADDRESS", "c:2"),
        ],
    )
    .unwrap();
    assert_eq!(sample.limit, 9);
    assert!(sample.verbose);
    assert_eq!(sample.identity, digits);
    assert_eq!(
        sample.nodes[1],
        Node {
            name: "beta".into(),
            address: "c:2".into()
        }
    );
    assert_eq!(sample.nodes[0].address, "a:1");
}

#[test]
fn an_error_names_the_file_the_key_and_the_cure() {
    for (text, variables, key) in [
        (TEXT.replace("limit = 5", "limit = \"many\""), vec![], "limit"),
        (TEXT.replace("limit = 5", ""), vec![], "limit"),
        (
            TEXT.replace("limit = 5", "limit = 5\nlimitt = 6"),
            vec![],
            "limitt",
        ),
        (TEXT.to_owned(), vec![("APP__LIMIT", "many")], "APP__LIMIT"),
    ] {
        let message = with(&text, &variables).unwrap_err().to_string();
        for part in [key, "daemon.toml", "APP__"] {
            assert!(message.contains(part), "{message:?} lacks {part}");
        }
    }
    assert!(
        load::<Sample>(Path::new("/nonexistent.toml"), "APP")
            .unwrap_err()
            .to_string()
            .contains("nonexistent")
    );
}

#[test]
fn a_number_out_of_its_range_is_refused_with_its_range() {
    for value in [1_u32, 7, 10] {
        in_range("limits.some", value, 1..=10).unwrap();
    }
    in_range("limits.some", usize::MAX, 1..=u64::MAX).unwrap();
    let said = |value: u64, range| in_range("limits.some", value, range).unwrap_err().to_string();
    assert_eq!(said(0, 1..=10), "limits.some is 0, and must be 1 to 10");
    assert_eq!(said(11, 1..=10), "limits.some is 11, and must be 1 to 10");
    assert_eq!(said(4, 5..=u64::MAX), "limits.some is 4, and must be at least 5");
}
