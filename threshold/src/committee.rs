//! Who holds the custody key: indices, thresholds, members and the manifest that they all sign.

use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::group::Point;
use crate::name::Name;
use crate::signature::PublicKey;
use curve25519_dalek::scalar::Scalar;
use std::num::NonZeroU16;

mod manifest;
#[cfg(test)]
mod tests;

pub use manifest::{CommitteeManifest, ManifestError, SignedManifest};

/// The most members a committee has.
pub const MAX_MEMBERS: u16 = 64;

/// The most bytes a member's network address has.
pub const MAX_ADDRESS: usize = 128;

/// An index or a threshold that no committee has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitteeError {
    /// Not within 1 to 64.
    #[error("participant index {0} is not within 1 to {MAX_MEMBERS}")]
    Index(u32),
    /// Not `1 < t <= n <= 64`.
    #[error("{t} of {n} is not a threshold with 1 < t <= n <= {MAX_MEMBERS}")]
    Threshold {
        /// Needed.
        t: u16,
        /// In total.
        n: u16,
    },
    /// Empty, too long or not printable ASCII.
    #[error("an address is 1 to {MAX_ADDRESS} printable ASCII characters")]
    Address,
}

/// A member's index, which is also where its share is taken on the polynomial: 1 to 64, never zero.
///
/// Encoded in two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantIndex(NonZeroU16);

impl ParticipantIndex {
    /// Checks an index.
    ///
    /// # Errors
    /// [`CommitteeError::Index`].
    pub fn new(index: u16) -> Result<Self, CommitteeError> {
        match NonZeroU16::new(index) {
            Some(index) if index.get() <= MAX_MEMBERS => Ok(Self(index)),
            _ => Err(CommitteeError::Index(index.into())),
        }
    }

    /// The index as a number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// Its place in a list of members in order.
    #[must_use]
    pub fn position(self) -> usize {
        usize::from(self.get()) - 1
    }

    pub(crate) fn scalar(self) -> Scalar {
        Scalar::from(self.get())
    }
}

impl TryFrom<u32> for ParticipantIndex {
    type Error = CommitteeError;

    fn try_from(index: u32) -> Result<Self, CommitteeError> {
        u16::try_from(index)
            .map_err(|_| CommitteeError::Index(index))
            .and_then(Self::new)
    }
}

impl core::fmt::Display for ParticipantIndex {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

impl Canonical for ParticipantIndex {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(self.get());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::new(reader.u16()?).map_err(|_| DecodeError::Invalid("participant index"))
    }
}

/// How many of how many members are needed: `1 < t <= n <= 64`.
///
/// Encoded as t and n, two bytes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Threshold {
    t: u16,
    n: u16,
}

impl Threshold {
    /// Checks a threshold.
    ///
    /// # Errors
    /// [`CommitteeError::Threshold`].
    pub fn new(t: u16, n: u16) -> Result<Self, CommitteeError> {
        if 1 < t && t <= n && n <= MAX_MEMBERS {
            Ok(Self { t, n })
        } else {
            Err(CommitteeError::Threshold { t, n })
        }
    }

    /// How many are needed.
    #[must_use]
    pub const fn t(self) -> u16 {
        self.t
    }

    /// How many there are.
    #[must_use]
    pub const fn n(self) -> u16 {
        self.n
    }

    /// Every member's index, in order.
    pub fn indices(self) -> impl Iterator<Item = ParticipantIndex> {
        (1..=self.n).filter_map(|index| ParticipantIndex::new(index).ok())
    }

    /// Whether an index is one of the n.
    #[must_use]
    pub const fn contains(self, index: ParticipantIndex) -> bool {
        index.get() <= self.n
    }
}

impl core::fmt::Display for Threshold {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} of {}", self.t, self.n)
    }
}

impl Canonical for Threshold {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(self.t);
        writer.u16(self.n);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::new(reader.u16()?, reader.u16()?).map_err(|_| DecodeError::Invalid("threshold"))
    }
}

/// One member of a committee.
///
/// Encoded as index, name, identity key, address, public share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its index on the polynomial.
    pub index: ParticipantIndex,
    /// Its name.
    pub name: Name,
    /// The key it signs with, and is known by on the network.
    pub identity: PublicKey,
    /// Where it is reached.
    pub address: String,
    /// `X_i = x_i·B`.
    pub public_share: Point,
}

impl Canonical for Member {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.index);
        writer.put(&self.name);
        writer.put(&self.identity);
        writer.str(&self.address);
        writer.put(&self.public_share);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            index: reader.get()?,
            name: reader.get()?,
            identity: reader.get()?,
            address: reader.str(MAX_ADDRESS)?.to_owned(),
            public_share: reader.get()?,
        })
    }
}

/// Checks a network address's form; whether anyone is there is not this crate's business.
pub(crate) fn check_address(address: &str) -> Result<(), CommitteeError> {
    let printable = address.bytes().all(|byte| byte.is_ascii_graphic());
    if !address.is_empty() && address.len() <= MAX_ADDRESS && printable {
        Ok(())
    } else {
        Err(CommitteeError::Address)
    }
}
