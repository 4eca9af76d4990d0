//! The checksum of an encrypted object: SHA-256 over every stored byte, header included.

use core::fmt;
use core::str::FromStr;

use aws_lc_rs::digest;

/// SHA-256 of the encrypted object, as recorded on the chain. Not secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum([u8; 32]);

impl Checksum {
    /// A recorded checksum.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The checksum of an encrypted object held in memory.
    #[must_use]
    pub fn of(encrypted: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(encrypted);
        hasher.finish()
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({self})")
    }
}

impl FromStr for Checksum {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = crate::Error::Field {
            field: "checksum",
            why: "64 lower-case hexadecimal digits are needed",
        };
        let mut bytes = [0u8; 32];
        if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(refused);
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            let digits = text
                .get(2 * i..2 * i + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok());
            let Some(value) = digits else { return Err(refused) };
            *byte = value;
        }
        Ok(Self(bytes))
    }
}

pub(crate) struct Hasher(digest::Context);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Checksum {
        let mut bytes = [0u8; 32];
        // SHA-256 gives 32 bytes: nothing is cut and nothing stays zero.
        for (to, from) in bytes.iter_mut().zip(self.0.finish().as_ref()) {
            *to = *from;
        }
        Checksum(bytes)
    }
}
