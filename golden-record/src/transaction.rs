//! A transaction: a body, its author, and what makes it unique and short-lived.

use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};
use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::ids::{ApproveId, ChainId};
use threshold::reencrypt::ReaderKey;
use threshold::signature::{PublicKey, Signature, sign};
use threshold::transcript::{Domain, Transcript};

use crate::body::Body;
use crate::codec::{read_version, write_version};

/// The most bytes of an encoded transaction.
pub const MAX_TRANSACTION_BYTES: usize = 65_536;

/// A transaction's identity. An approved read's is its approveID.
pub type TxId = ApproveId;

/// Why bytes are not a transaction that may enter a block, whatever the state says. The sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Not a canonical encoding, or a field over its limit.
    #[error("malformed transaction: {0}")]
    Malformed(#[from] DecodeError),
    /// Longer than [`MAX_TRANSACTION_BYTES`].
    #[error("the transaction is longer than {MAX_TRANSACTION_BYTES} bytes")]
    TooLarge,
    /// The author's signature does not verify.
    #[error("the author's signature does not verify")]
    Signature,
    /// A read request without the proof that q is held, or anything else with one.
    #[error("a read request, and nothing else, proves possession of its key")]
    PossessionMisplaced,
    /// The proof of possession does not verify under q.
    #[error("the proof of possession does not verify under the ephemeral key")]
    Possession,
}

/// A signed transaction, as it travels.
///
/// ```text
/// version (1) ‖ suite (1) ‖ chain id (32) ‖ author (32) ‖ nonce (16) ‖ u64 expires_ms ‖ body
///     ‖ signature (64) ‖ 0x00, or 0x01 ‖ possession (64)
/// ```
///
/// The first line is what [`Transaction::tx_id`] hashes and both signatures sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The chain it is for.
    pub chain_id: ChainId,
    /// Whose signature it bears.
    pub author: PublicKey,
    /// Random, so that the same wish can be expressed twice.
    pub nonce: [u8; 16],
    /// It enters no block of this time or later. Milliseconds since the Unix epoch.
    pub expires_ms: u64,
    /// What is asked for.
    pub body: Body,
    /// The author's Ed25519 signature over the id, in [`Domain::TransactionSignature`].
    pub signature: Signature,
    /// For a read request: q's Ed25519 signature over the id, in [`Domain::Possession`].
    pub possession: Option<Signature>,
}

impl Transaction {
    /// Signs a transaction that is not a read request.
    pub fn sign(
        chain_id: ChainId,
        key: &SigningKey,
        nonce: [u8; 16],
        expires_ms: u64,
        body: Body,
    ) -> Transaction {
        let author = PublicKey::of(key);
        let mut transaction = Self::unsigned(chain_id, author, nonce, expires_ms, body);
        transaction.signature = sign(key, Domain::TransactionSignature, transaction.tx_id().as_bytes());
        transaction
    }

    /// Signs a read request, by its author and by its ephemeral key. The body's `q` must be `reader`'s.
    pub fn sign_read(
        chain_id: ChainId,
        key: &SigningKey,
        reader: &ReaderKey,
        nonce: [u8; 16],
        expires_ms: u64,
        body: Body,
    ) -> Transaction {
        let mut transaction = Self::sign(chain_id, key, nonce, expires_ms, body);
        transaction.possession = Some(reader.sign(Domain::Possession, transaction.tx_id().as_bytes()));
        transaction
    }

    fn unsigned(chain_id: ChainId, author: PublicKey, nonce: [u8; 16], expires_ms: u64, body: Body) -> Self {
        Self {
            chain_id,
            author,
            nonce,
            expires_ms,
            body,
            signature: Signature([0; 64]),
            possession: None,
        }
    }

    /// Its identity: `Transcript(Transaction).append("transaction", all fields before the signatures)`. Two
    /// signatures over one wish are one transaction.
    pub fn tx_id(&self) -> TxId {
        let mut writer = Writer::new();
        self.encode_unsigned(&mut writer);
        ApproveId(
            Transcript::new(Domain::Transaction)
                .append("transaction", &writer.finish())
                .digest(),
        )
    }

    /// SHA-256 of all its bytes, the signatures included: what a cache of checked transactions is keyed by.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.to_bytes()).into()
    }

    /// Reads a transaction that a stranger sent.
    ///
    /// # Errors
    /// [`TransactionError::TooLarge`] before anything is parsed, or [`TransactionError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TransactionError> {
        if bytes.len() > MAX_TRANSACTION_BYTES {
            return Err(TransactionError::TooLarge);
        }
        Ok(Self::from_bytes(bytes)?)
    }

    /// Checks the form and both signatures (RFC 8032, strict), for the transaction whose id is `id`.
    pub(crate) fn check(&self, id: &TxId) -> Result<(), TransactionError> {
        self.body.check()?;
        let possession = self.check_possession_place()?;
        self.author
            .verify(Domain::TransactionSignature, id.as_bytes(), &self.signature)
            .map_err(|_| TransactionError::Signature)?;
        match possession {
            None => Ok(()),
            Some((q, signature)) => q
                .verify(Domain::Possession, id.as_bytes(), signature)
                .map_err(|_| TransactionError::Possession),
        }
    }

    fn check_possession_place(&self) -> Result<Option<(&PublicKey, &Signature)>, TransactionError> {
        match (&self.body, &self.possession) {
            (Body::RequestRead { q, .. }, Some(signature)) => Ok(Some((q, signature))),
            (Body::RequestRead { .. }, None) | (_, Some(_)) => Err(TransactionError::PossessionMisplaced),
            (_, None) => Ok(None),
        }
    }

    fn encode_unsigned(&self, writer: &mut Writer) {
        write_version(writer);
        writer.put(&self.chain_id);
        writer.put(&self.author);
        writer.fixed(&self.nonce);
        writer.u64(self.expires_ms);
        writer.put(&self.body);
    }
}

impl Canonical for Transaction {
    fn encode(&self, writer: &mut Writer) {
        self.encode_unsigned(writer);
        writer.put(&self.signature);
        writer.option(self.possession.as_ref());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_version(reader, "transaction")?;
        let transaction = Self {
            chain_id: reader.get()?,
            author: reader.get()?,
            nonce: reader.fixed()?,
            expires_ms: reader.u64()?,
            body: reader.get()?,
            signature: reader.get()?,
            possession: reader.option()?,
        };
        transaction
            .check_possession_place()
            .map_err(|_| DecodeError::Invalid("possession"))?;
        Ok(transaction)
    }
}
