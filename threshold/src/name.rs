//! Names of installations, organisations, tenants, users, datasets and documents.

use crate::encoding::{Canonical, DecodeError, Reader, Writer};

/// A name is empty, too long, or has a character that is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not within the length limits.
    #[error("a name has 1 to {max} characters")]
    Length {
        /// The most this kind of name may have.
        max: usize,
    },
    /// A character outside the set of a plain name.
    #[error("a name consists of letters, digits and . _ @ -")]
    Character,
    /// A character outside the set of a document name, or a slash that separates nothing.
    #[error("a document name consists of letters, digits and . _ @ -, with single slashes inside")]
    Path,
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'@' | b'-')
}

fn check_length(text: &str, max: usize) -> Result<(), NameError> {
    if text.is_empty() || text.len() > max {
        Err(NameError::Length { max })
    } else {
        Ok(())
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $max:expr, $check:expr) => {
        $(#[$doc])*
        ///
        /// Encoded as a length-prefixed string. Ordered by bytes.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The most bytes a name of this kind has.
            pub const MAX_LENGTH: usize = $max;

            /// Checks and takes a name.
            ///
            /// # Errors
            /// [`NameError`], by length first.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check_length(text, $max)?;
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl core::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Canonical for $name {
            fn encode(&self, writer: &mut Writer) {
                writer.str(&self.0);
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Self::new(reader.str($max)?).map_err(|_| DecodeError::Invalid("name"))
            }
        }
    };
}

fn check_plain(text: &str) -> Result<(), NameError> {
    if text.bytes().all(is_plain) {
        Ok(())
    } else {
        Err(NameError::Character)
    }
}

fn check_path(text: &str) -> Result<(), NameError> {
    // An empty part is a leading, a trailing or a double slash.
    let parts_hold = text
        .split('/')
        .all(|part| !part.is_empty() && part.bytes().all(is_plain));
    if parts_hold { Ok(()) } else { Err(NameError::Path) }
}

name_type! {
    /// 1 to 48 bytes of `[A-Za-z0-9._@-]`.
    Name, 48, check_plain
}
name_type! {
    /// 1 to 96 bytes of the same characters and `/`, with no slash first, last or doubled.
    DocumentName, 96, check_path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_to_their_alphabet_and_length() {
        for good in ["a", "bank-north", "A.b_c@d-9", &"x".repeat(48)] {
            assert_eq!(Name::new(good).unwrap().to_string(), good);
        }
        for bad in ["", " ", "a b", "a/b", "a\n", "é", "a\0", &"x".repeat(49)] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn document_names_have_single_inner_slashes() {
        for good in ["a", "2026/q3/report.pdf", &"x".repeat(96)] {
            assert_eq!(DocumentName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "/", "/a", "a/", "a//b", "a b", "a\\b", &"x".repeat(97)] {
            assert!(DocumentName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_encoded_name_is_checked_again() {
        let mut writer = Writer::new();
        writer.str("not a name");
        assert_eq!(
            Name::from_bytes(&writer.finish()),
            Err(DecodeError::Invalid("name"))
        );
        let mut writer = Writer::new();
        writer.str(&"x".repeat(49));
        assert_eq!(
            Name::from_bytes(&writer.finish()),
            Err(DecodeError::TooLong("field"))
        );
    }
}
