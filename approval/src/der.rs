//! A strict reading of DER, done before the certificate parser sees the bytes.
//!
//! The parser tolerates lengths that are not minimal and times that RFC 5280 forbids. A signature is checked over the
//! bytes as received, so a lax reading is no forgery by itself, but two parsers that disagree about one
//! certificate are (D6, D17). So: one element, nothing after it, minimal definite lengths, single-byte
//! tags, bounded nesting, and each primitive in its only form.

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DerFault {
    /// The bytes end inside an element.
    #[error("truncated")]
    Truncated,
    /// Bytes follow the certificate.
    #[error("bytes follow the end")]
    Trailing,
    /// An indefinite length, or one not in its shortest form.
    #[error("a length is not minimal")]
    Length,
    /// A tag that no certificate of this profile has.
    #[error("an unexpected tag")]
    Tag,
    /// Nested deeper than `MAX_DEPTH`.
    #[error("nested too deep")]
    Depth,
    /// A primitive value not in its only form.
    #[error("a value is not in its canonical form")]
    Value,
}

/// A certificate of this profile nests seven deep.
pub(crate) const MAX_DEPTH: usize = 12;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONSTRUCTED: u8 = 0x20;
const CONTEXT: u8 = 0x80;
const CLASS: u8 = 0xc0;
const MULTI_BYTE_TAG: u8 = 0x1f;

/// Refuse whatever is not exactly one SEQUENCE in strict DER.
pub(crate) fn check_strict(bytes: &[u8]) -> Result<(), DerFault> {
    let (tag, content, rest) = element(bytes)?;
    if tag != SEQUENCE {
        return Err(DerFault::Tag);
    }
    if !rest.is_empty() {
        return Err(DerFault::Trailing);
    }
    check_contents(content, 1)
}

fn check_contents(mut bytes: &[u8], depth: usize) -> Result<(), DerFault> {
    if depth > MAX_DEPTH {
        return Err(DerFault::Depth);
    }
    while !bytes.is_empty() {
        let (tag, content, rest) = element(bytes)?;
        if tag & CONSTRUCTED != 0 {
            if tag != SEQUENCE && tag != SET && tag & CLASS != CONTEXT {
                return Err(DerFault::Tag);
            }
            check_contents(content, depth + 1)?;
        } else if tag & CLASS != CONTEXT {
            check_primitive(tag, content)?;
        }
        bytes = rest;
    }
    Ok(())
}

/// Split off the first element: its tag, its content, and what follows.
fn element(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), DerFault> {
    let (&tag, rest) = bytes.split_first().ok_or(DerFault::Truncated)?;
    if tag & MULTI_BYTE_TAG == MULTI_BYTE_TAG {
        return Err(DerFault::Tag);
    }
    let (&first, rest) = rest.split_first().ok_or(DerFault::Truncated)?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&[length], rest) = rest.split_first_chunk().ok_or(DerFault::Truncated)?;
            if length < 0x80 {
                return Err(DerFault::Length);
            }
            (usize::from(length), rest)
        }
        0x82 => {
            let (&length, rest) = rest.split_first_chunk().ok_or(DerFault::Truncated)?;
            let length = u16::from_be_bytes(length);
            if length < 0x100 {
                return Err(DerFault::Length);
            }
            (usize::from(length), rest)
        }
        // Indefinite, or more than 64 KiB, which the size limit has excluded already.
        _ => return Err(DerFault::Length),
    };
    let (content, rest) = rest.split_at_checked(length).ok_or(DerFault::Truncated)?;
    Ok((tag, content, rest))
}

fn check_primitive(tag: u8, content: &[u8]) -> Result<(), DerFault> {
    let canonical = match tag {
        // Both booleans of a certificate default to FALSE, which DER leaves out.
        BOOLEAN => content == [0xff],
        INTEGER => minimal_integer(content),
        BIT_STRING => match content {
            [unused, bits @ ..] => unused_bits_are_zero(*unused, bits),
            [] => false,
        },
        OBJECT_IDENTIFIER => minimal_oid(content),
        UTC_TIME => is_zulu(content, 12),
        // RFC 5280: dates through 2049 are UTCTime, so no moment has two encodings.
        GENERALIZED_TIME => is_zulu(content, 14) && content >= b"2050",
        NULL => content.is_empty(),
        OCTET_STRING | UTF8_STRING | PRINTABLE_STRING | IA5_STRING => true,
        _ => return Err(DerFault::Tag),
    };
    if canonical { Ok(()) } else { Err(DerFault::Value) }
}

fn minimal_integer(content: &[u8]) -> bool {
    match content {
        [] => false,
        [0x00, next, ..] => next & 0x80 != 0,
        [0xff, next, ..] => next & 0x80 == 0,
        _ => true,
    }
}

fn unused_bits_are_zero(unused: u8, bits: &[u8]) -> bool {
    match bits.last() {
        None => unused == 0,
        Some(last) => unused < 8 && last.trailing_zeros() >= u32::from(unused),
    }
}

fn minimal_oid(content: &[u8]) -> bool {
    let mut begins = true;
    for byte in content {
        if begins && *byte == 0x80 {
            return false;
        }
        begins = byte & 0x80 == 0;
    }
    !content.is_empty() && begins
}

/// RFC 5280 section 4.1.2.5: digits down to the second, then Z; no fraction, no offset.
fn is_zulu(content: &[u8], digits: usize) -> bool {
    matches!(content.split_last(), Some((b'Z', time)) if time.len() == digits && time.iter().all(u8::is_ascii_digit))
}

fn only(tag: u8, bytes: &[u8]) -> Option<&[u8]> {
    match element(bytes) {
        Ok((found, content, [])) if found == tag => Some(content),
        _ => None,
    }
}

/// The signed part of a certificate that [`check_strict`] has passed: the first element inside the outer one, header included, as
/// received. Signatures are checked over these bytes and never over an encoding of our own.
pub(crate) fn signed_part(certificate: &[u8]) -> Option<&[u8]> {
    let content = only(SEQUENCE, certificate)?;
    let (_, _, rest) = element(content).ok()?;
    content.get(..content.len().checked_sub(rest.len())?)
}

/// The content of bytes that are exactly one OCTET STRING.
pub(crate) fn octets(bytes: &[u8]) -> Option<&[u8]> {
    only(OCTET_STRING, bytes)
}

/// The value of bytes that are exactly one non-negative INTEGER below 2^64.
pub(crate) fn unsigned(bytes: &[u8]) -> Option<u64> {
    let content = only(INTEGER, bytes).filter(|content| minimal_integer(content))?;
    let magnitude = match content {
        [0x00, rest @ ..] => rest,
        [first, ..] if first & 0x80 != 0 => return None,
        all => all,
    };
    if magnitude.len() > 8 {
        return None;
    }
    Some(
        magnitude
            .iter()
            .fold(0, |value, byte| (value << 8) | u64::from(*byte)),
    )
}

/// One element with its length in the shortest form.
pub(crate) fn write(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    // Everything written here is far below 64 KiB.
    match u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes() {
        [0, short @ 0..=0x7f] => der.push(short),
        [0, length] => der.extend([0x81, length]),
        [high, low] => der.extend([0x82, high, low]),
    }
    der.extend_from_slice(content);
    der
}

/// An OCTET STRING.
pub(crate) fn octet_string(content: &[u8]) -> Vec<u8> {
    write(OCTET_STRING, content)
}

/// An INTEGER.
pub(crate) fn integer(value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    let sign = match significant.first() {
        Some(first) if first & 0x80 == 0 => None,
        _ => Some(0),
    };
    write(INTEGER, &sign.into_iter().chain(significant).collect::<Vec<u8>>())
}

/// A distinguished name of one relative name with one UTF-8 common name.
pub(crate) fn common_name(text: &str) -> Vec<u8> {
    let value = write(UTF8_STRING, text.as_bytes());
    let attribute = [[OBJECT_IDENTIFIER, 3, 0x55, 0x04, 0x03].as_slice(), &value].concat();
    write(SEQUENCE, &write(SET, &write(SEQUENCE, &attribute)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_go_both_ways() {
        for value in [
            0,
            1,
            0x7f,
            0x80,
            0xff,
            0x100,
            0x7fff_ffff,
            0x8000_0000,
            u64::MAX - 1,
            u64::MAX,
        ] {
            assert_eq!(unsigned(&integer(value)), Some(value), "{value}");
        }
        assert_eq!(integer(0), [2, 1, 0]);
        assert_eq!(integer(0x80), [2, 2, 0, 0x80]);
    }

    #[test]
    fn d8_an_extension_value_is_one_element_and_nothing_more() {
        assert_eq!(octets(&[4, 2, 7, 8]), Some([7, 8].as_slice()));
        for bad in [
            &[4, 2, 7, 8, 9][..],
            &[4, 2, 7],
            &[4, 0x81, 2, 7, 8],
            &[5, 0],
            &[],
            &[0x24, 4, 4, 2, 7, 8],
        ] {
            assert_eq!(octets(bad), None, "{bad:?}");
        }
        for bad in [
            &[2, 2, 0, 1][..],
            &[2, 1, 0x80],
            &[2, 0],
            &[2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            &[2, 1, 1, 0],
        ] {
            assert_eq!(unsigned(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn d6_what_is_not_strict_der_is_refused() {
        let cases: &[(&[u8], DerFault)] = &[
            (&[], DerFault::Truncated),
            (&[0x30], DerFault::Truncated),
            (&[0x30, 5, 0], DerFault::Truncated),
            (&[0x30, 0, 0], DerFault::Trailing),
            (&[0x31, 0], DerFault::Tag),
            (&[0x30, 0x80, 0, 0], DerFault::Length),
            (&[0x30, 0x81, 2, 5, 0], DerFault::Length),
            (&[0x30, 0x82, 0, 2, 5, 0], DerFault::Length),
            (&[0x30, 0x83, 0, 0, 2, 5, 0], DerFault::Length),
            (&[0x30, 3, 0x1f, 0x81, 0], DerFault::Tag),
            (&[0x30, 2, 0x24, 0], DerFault::Tag),
            (&[0x30, 2, 0x10, 0], DerFault::Tag),
            (&[0x30, 2, 0x14, 0], DerFault::Tag),
            (&[0x30, 3, 1, 1, 1], DerFault::Value),
            (&[0x30, 3, 1, 1, 0], DerFault::Value),
            (&[0x30, 2, 2, 0], DerFault::Value),
            (&[0x30, 4, 2, 2, 0, 1], DerFault::Value),
            (&[0x30, 4, 2, 2, 0xff, 0x80], DerFault::Value),
            (&[0x30, 2, 3, 0], DerFault::Value),
            (&[0x30, 3, 3, 1, 1], DerFault::Value),
            (&[0x30, 4, 3, 2, 1, 1], DerFault::Value),
            (&[0x30, 4, 3, 2, 8, 0], DerFault::Value),
            (&[0x30, 3, 5, 1, 0], DerFault::Value),
            (&[0x30, 2, 6, 0], DerFault::Value),
            (&[0x30, 4, 6, 2, 0x2b, 0x81], DerFault::Value),
            (&[0x30, 5, 6, 3, 0x2b, 0x80, 0x01], DerFault::Value),
        ];
        for (bytes, fault) in cases {
            assert_eq!(check_strict(bytes), Err(*fault), "{bytes:02x?}");
        }
        assert_eq!(check_strict(&[0x30, 4, 3, 2, 7, 0x80]), Ok(()));
    }

    #[test]
    fn d9_times_have_seconds_and_z_and_nothing_else() {
        let time = |tag: u8, text: &str| write(SEQUENCE, &write(tag, text.as_bytes()));
        assert_eq!(check_strict(&time(UTC_TIME, "261121000000Z")), Ok(()));
        assert_eq!(check_strict(&time(GENERALIZED_TIME, "20501121000000Z")), Ok(()));
        for (tag, bad) in [
            (UTC_TIME, "2611210000Z"),
            (UTC_TIME, "261121000000"),
            (UTC_TIME, "261121000000X"),
            (UTC_TIME, "261121000000+0100"),
            (UTC_TIME, "26112100000 Z"),
            (GENERALIZED_TIME, "20491231235959Z"),
            (GENERALIZED_TIME, "20501121000000.5Z"),
            (GENERALIZED_TIME, "20501121000000+0000"),
            (GENERALIZED_TIME, "20501121000000"),
        ] {
            assert_eq!(check_strict(&time(tag, bad)), Err(DerFault::Value), "{bad}");
        }
    }

    #[test]
    fn d16_nesting_is_bounded() {
        let nested = |depth: usize| (0..depth).fold(vec![5, 0], |inner, _| write(SEQUENCE, &inner));
        assert_eq!(check_strict(&nested(MAX_DEPTH)), Ok(()));
        assert_eq!(check_strict(&nested(MAX_DEPTH + 1)), Err(DerFault::Depth));
        assert_eq!(check_strict(&nested(1000)), Err(DerFault::Depth));
    }
}
