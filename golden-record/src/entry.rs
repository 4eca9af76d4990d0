//! One line of the log.

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};

use crate::merkle::{Hash, leaf_hash};
use crate::outcome::Outcome;
use crate::transaction::{MAX_TRANSACTION_BYTES, Transaction};

/// A transaction and what became of it: one leaf of the log. Encoded as
/// `u32 length ‖ transaction ‖ outcome`, so that a transaction can be recognised before it is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What was asked.
    pub transaction: Transaction,
    /// What became of it.
    pub outcome: Outcome,
}

impl Entry {
    /// The hash of this leaf: SHA-256(0x00 ‖ canonical bytes).
    pub fn leaf_hash(&self) -> Hash {
        leaf_hash(&self.to_bytes())
    }
}

impl Canonical for Entry {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.transaction.to_bytes());
        writer.put(&self.outcome);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let transaction = Transaction::from_bytes(reader.bytes(MAX_TRANSACTION_BYTES)?)?;
        Ok(Self {
            transaction,
            outcome: reader.get()?,
        })
    }
}
