//! What a wrapped key is a key to.

use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::name::{DocumentName, Name};

/// The document a wrapped key belongs to; bound into the ciphertext, its key and its proof.
///
/// Encoded as the four names, each length-prefixed, then the version in eight bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// The installation of Quorate.
    pub installation: Name,
    /// The tenant.
    pub tenant: Name,
    /// The dataset within the tenant.
    pub dataset: Name,
    /// The document within the dataset.
    pub document: DocumentName,
    /// The document's version, counted from 1. Version 0 belongs to canaries, and no document has it.
    pub version: u64,
}

impl core::fmt::Display for Label {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            installation,
            tenant,
            dataset,
            document,
            version,
        } = self;
        write!(f, "{installation}:{tenant}/{dataset}/{document}#{version}")
    }
}

impl Canonical for Label {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.installation);
        writer.put(&self.tenant);
        writer.put(&self.dataset);
        writer.put(&self.document);
        writer.u64(self.version);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            installation: reader.get()?,
            tenant: reader.get()?,
            dataset: reader.get()?,
            document: reader.get()?,
            version: reader.u64()?,
        })
    }
}
