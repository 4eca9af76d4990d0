//! What stands at fixed places at the beginning of a transaction, read without parsing the rest.
//!
//! ```text
//! version (1) ‖ suite (1) ‖ chain id (32) ‖ author (32) ‖ nonce (16) ‖ u64 expires_ms ‖ …
//! ```

use golden_record::{MAX_TRANSACTION_BYTES, Party, StateError, StateReader, TransactionError};
use threshold::encoding::{Canonical, DecodeError, Reader};

/// The fields, none of them believed yet: the signature is not checked, nor the author a point.
#[derive(Debug)]
pub(super) struct Preamble {
    pub(super) chain_id: [u8; 32],
    pub(super) author: [u8; 32],
    pub(super) expires_ms: u64,
}

impl Preamble {
    /// Reads the fields.
    ///
    /// # Errors
    /// When there are fewer bytes, or more than a transaction may have.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, TransactionError> {
        if bytes.len() > MAX_TRANSACTION_BYTES {
            return Err(TransactionError::TooLarge);
        }
        let mut reader = Reader::new(bytes);
        let _version_and_suite: [u8; 2] = reader.fixed()?;
        let (chain_id, author) = (reader.fixed()?, reader.fixed()?);
        let _nonce: [u8; 16] = reader.fixed()?;
        Ok(Self {
            chain_id,
            author,
            expires_ms: reader.u64()?,
        })
    }

    /// Whose key the author's is, by the key's bytes alone: to see whether they are a point costs more than all of
    /// this.
    pub(super) fn party(&self, state: &dyn StateReader) -> Result<Option<Party>, StateError> {
        let key = party_key(&self.author);
        let parse = |bytes: Vec<u8>| {
            Party::from_bytes(&bytes).map_err(|error: DecodeError| StateError::Store(error.to_string()))
        };
        state.get(&key)?.map(parse).transpose()
    }
}

/// What `golden_record::keys::party` gives for the key with these bytes.
fn party_key(key: &[u8; 32]) -> Vec<u8> {
    format!("party/{}", hex::encode(key)).into_bytes()
}

#[cfg(test)]
mod tests {
    use golden_record::keys;

    use super::*;
    use crate::{
        common::{World, public},
        testing::NOW_MS,
    };

    #[test]
    fn the_fields_are_those_of_the_transaction() {
        let world = World::new(NOW_MS);
        let transaction = world.request_read();
        let preamble = Preamble::read(&transaction.to_bytes()).unwrap();
        assert_eq!(preamble.chain_id, *transaction.chain_id.as_bytes());
        assert_eq!(preamble.author, *transaction.author.as_bytes());
        assert_eq!(preamble.expires_ms, transaction.expires_ms);
        assert_eq!(party_key(&preamble.author), keys::party(&public(&world.reader)));
    }
}
