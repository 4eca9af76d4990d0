use rand_core::OsRng;
use threshold::group::second_generator;
use threshold::ids::WriteId;
use threshold::name::Name;
use threshold::secret::DataKey;
use threshold::testing::label;
use threshold::wrap::{CustodyKey, wrap};
use tonic::Code;

use super::*;

fn wrapped() -> Vec<u8> {
    let key = CustodyKey::new(second_generator());
    let label = label("2026/loan-17", 1).unwrap();
    wrap(&key, &label, &DataKey::generate(&mut OsRng), &mut OsRng)
        .unwrap()
        .to_bytes()
}

#[test]
fn a_field_is_one_value_and_nothing_else() {
    let bytes = wrapped();
    let parsed: WrappedKey = parse("wrapped_key", &bytes).unwrap();
    assert_eq!(parsed.to_bytes(), bytes);
    let with_more = [bytes.as_slice(), &[0]].concat();
    let cut = &bytes[..bytes.len() - 1];
    for wrong in [with_more.as_slice(), cut, &[]] {
        let error = parse::<WrappedKey>("wrapped_key", wrong).unwrap_err();
        assert_eq!(error.field, "wrapped_key");
    }
}

#[test]
fn p12_a_field_over_its_size_is_refused_before_it_is_read() {
    let error = parse::<WrappedKey>("wrapped_key", &[0; limits::WRAPPED_KEY + 1]).unwrap_err();
    assert_eq!(error.reason, "513 bytes, where at most 512 are taken");
    let items = vec![Vec::new(); 3];
    let error = parse_all::<WrappedKey>("shares", &items, 2).unwrap_err();
    assert_eq!(error.reason, "3 items, where at most 2 are taken");
}

#[test]
fn an_empty_optional_field_is_none() {
    assert_eq!(parse_optional::<WrappedKey>("wrapped_key", &[]), Ok(None));
    assert!(
        parse_optional::<WrappedKey>("wrapped_key", &wrapped())
            .unwrap()
            .is_some()
    );
    parse_optional::<WrappedKey>("wrapped_key", &[1]).unwrap_err();
}

#[test]
fn an_identifier_has_32_bytes() {
    assert_eq!(id::<WriteId>("write_id", &[7; 32]), Ok(WriteId([7; 32])));
    for length in [0, 31, 33] {
        assert_eq!(
            id::<WriteId>("write_id", &vec![7; length]).unwrap_err().field,
            "write_id"
        );
    }
}

#[test]
fn a8_an_index_is_1_to_64() {
    assert_eq!(index("index", 64).unwrap().get(), 64);
    for wrong in [0, 65, 65_537, u32::MAX] {
        index("index", wrong).unwrap_err();
    }
}

#[test]
fn text_has_its_form() {
    assert_eq!(text::<Name>("tenant", "bank").unwrap().to_string(), "bank");
    assert_eq!(text::<Name>("tenant", "ba nk").unwrap_err().field, "tenant");
}

#[test]
fn d16_certificates_are_bounded_in_number_and_size() {
    let good = vec![1; limits::CERTIFICATE];
    certificates("certificates", &vec![good.clone(); limits::CERTIFICATES]).unwrap();
    for wrong in [
        vec![],
        vec![good.clone(); limits::CERTIFICATES + 1],
        vec![vec![]],
        vec![vec![1; limits::CERTIFICATE + 1]],
    ] {
        certificates("certificates", &wrong).unwrap_err();
    }
}

#[test]
fn a_refusal_is_an_invalid_argument_that_names_the_field() {
    let status = Status::from(parse::<WrappedKey>("wrapped_key", &[]).unwrap_err());
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().starts_with("wrapped_key: "),
        "{}",
        status.message()
    );
}

#[test]
fn the_schema_is_there_for_reflection() {
    let schema = crate::FILE_DESCRIPTOR_SET;
    for service in [
        "LedgerService",
        "CustodyService",
        "CeremonyService",
        "OperatorService",
        "CoordinatorService",
    ] {
        assert!(
            schema
                .windows(service.len())
                .any(|window| window == service.as_bytes()),
            "{service}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn p12_no_bytes_make_a_field_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
        let _ = parse::<WrappedKey>("f", &bytes);
        let _ = parse::<SignedManifest>("f", &bytes);
        let _ = parse::<Transaction>("f", &bytes);
        let _ = parse::<ReleaseStatement>("f", &bytes);
        let _ = parse::<EntryProof>("f", &bytes);
    }
}
