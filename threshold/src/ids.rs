//! The 32-byte identifiers, one type each, so that none is taken for another.

use crate::encoding::{Canonical, DecodeError, Reader, Writer};

/// Text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits")]
pub struct ParseIdError;

/// Writes bytes as lower-case hexadecimal.
pub(crate) fn write_hex(f: &mut core::fmt::Formatter<'_>, bytes: &[u8]) -> core::fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Reads exactly `2 * N` hexadecimal digits of either case.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *byte = (*byte << 4) | u8::try_from(value).ok()?;
        }
    }
    Some(bytes)
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Encoded as its 32 bytes; printed and parsed as 64 hexadecimal digits.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The identifier's bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl core::str::FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text).map(Self).ok_or(ParseIdError)
            }
        }

        impl Canonical for $name {
            fn encode(&self, writer: &mut Writer) {
                writer.fixed(&self.0);
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self(reader.fixed()?))
            }
        }
    };
}

identifier! {
    /// A custody key: the hash of its public key X, the same in every epoch.
    KeyId
}
identifier! {
    /// A wrapped key: the SHA-256 of its bytes.
    WriteId
}
identifier! {
    /// An approved read: the identity of the transaction that asked for it.
    ApproveId
}
identifier! {
    /// The digest of a committee manifest.
    ManifestDigest
}
identifier! {
    /// A chain: the hash of its genesis.
    ChainId
}
identifier! {
    /// A block: the hash of its header.
    BlockHash
}
identifier! {
    /// A key-generation ceremony: binds its nonce, threshold and seats.
    CeremonyId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_both_ways_and_nothing_else_parses() {
        let id = KeyId([0xa7; 32]);
        assert_eq!(id.to_string().parse::<KeyId>(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse::<KeyId>(), Ok(id));
        for bad in ["", "a7", &"a7".repeat(33), &"+7".repeat(32), &"é".repeat(32)] {
            assert_eq!(bad.parse::<KeyId>(), Err(ParseIdError), "{bad}");
        }
    }
}
