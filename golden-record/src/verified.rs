//! A transaction whose signatures have been checked, once for this process.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use threshold::encoding::Canonical;

use crate::body::Body;
use crate::outcome::RejectionReason;
use crate::transaction::{MAX_TRANSACTION_BYTES, Transaction, TransactionError, TxId};

/// SHA-256 of all bytes of a transaction, signatures included. A cache is keyed by this and never by the id,
/// which other, invalid signatures would share.
pub type TransactionDigest = [u8; 32];

/// A transaction whose form and signatures are known to be good. The only constructor checks them.
///
/// What its body proves by itself, a wrapped key's TDH2 proof or a manifest's signatures, is checked here too,
/// because it is costly and needs no state; a failure there is not an error but the transaction's outcome, if
/// nothing else is wrong with it. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct VerifiedTransaction(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    transaction: Transaction,
    id: TxId,
    digest: TransactionDigest,
    length: usize,
    flaw: Option<RejectionReason>,
}

impl VerifiedTransaction {
    /// Checks form, size and signatures (strict).
    ///
    /// # Errors
    /// [`TransactionError`]. Such a transaction never enters a block.
    pub fn verify(transaction: Transaction) -> Result<Self, TransactionError> {
        let bytes = transaction.to_bytes();
        if bytes.len() > MAX_TRANSACTION_BYTES {
            return Err(TransactionError::TooLarge);
        }
        let id = transaction.tx_id();
        transaction.check(&id)?;
        let flaw = body_flaw(&transaction.body);
        let digest = Self::digest_of(&bytes);
        Ok(Self(Arc::new(Inner {
            transaction,
            id,
            digest,
            length: bytes.len(),
            flaw,
        })))
    }

    /// What [`VerifiedTransaction::digest`] is of a transaction with these bytes.
    pub fn digest_of(bytes: &[u8]) -> TransactionDigest {
        Sha256::digest(bytes).into()
    }

    /// The transaction.
    pub fn transaction(&self) -> &Transaction {
        &self.0.transaction
    }

    /// Its identity.
    pub fn id(&self) -> TxId {
        self.0.id
    }

    /// The digest of all its bytes.
    pub fn digest(&self) -> &TransactionDigest {
        &self.0.digest
    }

    /// How many bytes its encoding has.
    pub fn encoded_len(&self) -> usize {
        self.0.length
    }

    /// What its body fails to prove by itself.
    pub(crate) fn flaw(&self) -> Option<RejectionReason> {
        self.0.flaw
    }
}

fn body_flaw(body: &Body) -> Option<RejectionReason> {
    match body {
        Body::PublishCommittee { manifest } => {
            manifest.verify().err().map(|_| RejectionReason::InvalidManifest)
        }
        Body::WriteDocument {
            wrapped_key: Some(wrapped_key),
            ..
        } => wrapped_key.verify().err().map(|_| RejectionReason::InvalidProof),
        _ => None,
    }
}
