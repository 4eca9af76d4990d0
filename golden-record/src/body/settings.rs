//! Roles and the configuration of a dataset.

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};

/// What a user may do in a dataset. Each role is granted by itself: an owner is neither a writer nor a reader
/// until somebody, perhaps it, grants that.
///
/// Encoded as one byte: 1 owner, 2 writer, 3 reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Grants and revokes roles, switches the dataset on and off.
    Owner,
    /// Writes documents.
    Writer,
    /// Reads documents.
    Reader,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Owner, Self::Writer, Self::Reader];

    /// Its name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Writer => "writer",
            Self::Reader => "reader",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(DecodeError::Invalid("role"))
    }
}

impl Canonical for Role {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(match self {
            Self::Owner => 1,
            Self::Writer => 2,
            Self::Reader => 3,
        });
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Owner),
            2 => Ok(Self::Writer),
            3 => Ok(Self::Reader),
            _ => Err(DecodeError::Invalid("role")),
        }
    }
}

/// Who encrypts the documents of a dataset.
///
/// Encoded as one byte: 1 none, 2 platform, 3 threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encryption {
    /// Nobody: the documents are public among those who see the dataset.
    None,
    /// The platform, with keys of its own, of which the ledger knows nothing.
    Platform,
    /// Under a key wrapped for a custody key: every read needs approvals and a quorum of crypto nodes.
    Threshold,
}

impl Encryption {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::None, Self::Platform, Self::Threshold];

    /// Its name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Platform => "platform",
            Self::Threshold => "threshold",
        }
    }
}

impl std::fmt::Display for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Encryption {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        Self::ALL
            .into_iter()
            .find(|one| one.as_str() == text)
            .ok_or(DecodeError::Invalid("encryption"))
    }
}

impl Canonical for Encryption {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(match self {
            Self::None => 1,
            Self::Platform => 2,
            Self::Threshold => 3,
        });
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::None),
            2 => Ok(Self::Platform),
            3 => Ok(Self::Threshold),
            _ => Err(DecodeError::Invalid("encryption")),
        }
    }
}

/// Where the objects of a dataset are kept.
///
/// Encoded as one byte: 1 chain, 2 outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Storage {
    /// On the chain, forever, what is small enough: an object of at most 2048 bytes must be, one of more than 2304
    /// cannot be.
    Chain,
    /// Never on the chain, so that every object can be erased where it is.
    Outside,
}

impl Storage {
    /// Every place.
    pub const ALL: [Self; 2] = [Self::Chain, Self::Outside];

    /// Its name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Outside => "outside",
        }
    }
}

impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Storage {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        Self::ALL
            .into_iter()
            .find(|one| one.as_str() == text)
            .ok_or(DecodeError::Invalid("storage"))
    }
}

impl Canonical for Storage {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(match self {
            Self::Chain => 1,
            Self::Outside => 2,
        });
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Chain),
            2 => Ok(Self::Outside),
            _ => Err(DecodeError::Invalid("storage")),
        }
    }
}

/// How a dataset treats its documents. It holds for what is written and asked for from then on: versions that are there
/// stay as they were written.
///
/// Encoded as `encryption (1) ‖ storage (1) ‖ permissions (1) ‖ fixed (1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Configuration {
    /// Who encrypts.
    pub encryption: Encryption,
    /// Where objects are kept.
    pub storage: Storage,
    /// Whether only writers write and only readers read; if not, every user of the tenant does both.
    pub permissions: bool,
    /// Whether this configuration is final.
    pub fixed: bool,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            encryption: Encryption::Threshold,
            storage: Storage::Chain,
            permissions: true,
            fixed: false,
        }
    }
}

impl Canonical for Configuration {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.encryption);
        writer.put(&self.storage);
        writer.bool(self.permissions);
        writer.bool(self.fixed);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            encryption: reader.get()?,
            storage: reader.get()?,
            permissions: reader.bool()?,
            fixed: reader.bool()?,
        })
    }
}
