use super::*;
use proptest::prelude::*;

#[test]
fn integers_are_big_endian_and_lengths_take_four_bytes() {
    let mut writer = Writer::new();
    writer.u8(1);
    writer.u16(0x0203);
    writer.u32(0x0405_0607);
    writer.u64(0x0809_0a0b_0c0d_0e0f);
    writer.bytes(b"xy");
    writer.bool(true);
    assert_eq!(
        writer.finish(),
        [
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0, 2, b'x', b'y', 1
        ]
    );
}

#[test]
fn a_length_over_the_limit_is_refused_before_the_bytes_are_looked_for() {
    let claim = 0xffff_ffff_u32.to_be_bytes();
    assert_eq!(Reader::new(&claim).bytes(16), Err(DecodeError::TooLong("field")));
    assert_eq!(Reader::new(&[0, 0, 0, 16]).bytes(16), Err(DecodeError::Truncated));
}

#[test]
fn a_count_that_the_bytes_cannot_hold_allocates_nothing() {
    struct Byte;
    impl Canonical for Byte {
        fn encode(&self, _: &mut Writer) {}
        fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.u8().map(|_| Self)
        }
    }
    let claim = 0x7fff_ffff_u32.to_be_bytes();
    assert!(matches!(
        Reader::new(&claim).list::<Byte>(usize::MAX),
        Err(DecodeError::Truncated)
    ));
}

#[test]
fn booleans_are_zero_or_one_and_text_is_utf8() {
    assert_eq!(Reader::new(&[2]).bool(), Err(DecodeError::Invalid("boolean")));
    assert_eq!(
        Reader::new(&[0, 0, 0, 1, 0xff]).str(8),
        Err(DecodeError::Invalid("UTF-8 string"))
    );
}

#[test]
fn bytes_behind_an_object_are_refused() {
    let id = crate::ids::KeyId([7; 32]);
    let mut bytes = id.to_bytes();
    assert_eq!(crate::ids::KeyId::from_bytes(&bytes), Ok(id));
    bytes.push(0);
    assert_eq!(crate::ids::KeyId::from_bytes(&bytes), Err(DecodeError::Trailing));
    assert_eq!(
        crate::ids::KeyId::from_bytes(&bytes[..31]),
        Err(DecodeError::Truncated)
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(a: u16, b: u64, text in ".{0,40}", bytes: Vec<u8>) {
        let mut writer = Writer::new();
        writer.u16(a);
        writer.str(&text);
        writer.u64(b);
        writer.bytes(&bytes);
        let written = writer.finish();
        let mut reader = Reader::new(&written);
        prop_assert_eq!(reader.u16(), Ok(a));
        prop_assert_eq!(reader.str(4096), Ok(text.as_str()));
        prop_assert_eq!(reader.u64(), Ok(b));
        prop_assert_eq!(reader.bytes(4096), Ok(bytes.as_slice()));
        prop_assert_eq!(reader.finish(), Ok(()));
    }
}
