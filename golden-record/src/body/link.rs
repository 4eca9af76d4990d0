//! What a link joins.

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::name::{DocumentName, Name};

/// Where a link begins: a document of the link's own dataset.
///
/// Encoded as `document ‖ u64 version`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkSource {
    /// The document.
    pub document: DocumentName,
    /// Its version; 0 for the document as such, whatever its version.
    pub version: u64,
}

impl Canonical for LinkSource {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.document);
        writer.u64(self.version);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            document: reader.get()?,
            version: reader.u64()?,
        })
    }
}

/// Where a link points: a document of the same tenant.
///
/// Encoded as `dataset ‖ document ‖ u64 version`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkTarget {
    /// The dataset.
    pub dataset: Name,
    /// The document.
    pub document: DocumentName,
    /// Its version; 0 for the document as such, whatever its version.
    pub version: u64,
}

impl Canonical for LinkTarget {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.dataset);
        writer.put(&self.document);
        writer.u64(self.version);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            dataset: reader.get()?,
            document: reader.get()?,
            version: reader.u64()?,
        })
    }
}
