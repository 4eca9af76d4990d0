//! The one transcript, and the one table of domain labels.
//!
//! A transcript is a SHA-512 hash over an injective framing:
//!
//! ```text
//! start   u8 len(SUITE) ‖ SUITE ‖ u8 len(domain) ‖ domain
//! append  0x01 ‖ u8 len(label) ‖ label ‖ u32 len(data) ‖ data          (once per field)
//! end     0x02 for a digest, 0x03 for a challenge
//! ```
//!
//! `digest` is the first 32 bytes of the hash; `challenge` is all 64 bytes, little-endian, reduced modulo the
//! group order. The kind of end is hashed, so a digest never equals a part of a challenge over the same fields.

use crate::encoding::Canonical;
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// The suite of this version of the protocol; it opens every transcript.
pub const SUITE: &str = "quorate-v1-edwards25519-sha512";

/// The suite's number in stored objects.
pub const SUITE_ID: u8 = 1;

/// What a hash or a signature is for. No two purposes share a label.
///
/// Whoever adds one runs `cargo run -p quorate-threshold --example make_vectors`, which freezes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Domain {
    /// The key id of a custody key.
    KeyId,
    /// The digest of a committee manifest.
    Manifest,
    /// A member's signature on a committee manifest.
    ManifestSignature,
    /// The key schedule of a wrapped key.
    Wrap,
    /// The exponents of a wrapped key.
    WrapNonce,
    /// The TDH2 proof of a wrapped key.
    WrapProof,
    /// The proof of a re-encryption share.
    Reencrypt,
    /// The context that a verified share belongs to.
    ReencryptContext,
    /// The nonces of a re-encryption share.
    ReencryptNonce,
    /// The digest of a re-encryption share.
    ReencryptShare,
    /// The random weights of a batch verification.
    BatchWeights,
    /// A node's signed statement of a release.
    Statement,
    /// The identity of a key-generation ceremony.
    Ceremony,
    /// A signed message within a ceremony.
    CeremonyMessage,
    /// The digest of a message's payload within a ceremony.
    CeremonyPayload,
    /// Reserved: nothing is hashed in it.
    DkgRound1,
    /// The transcript of a key generation that all members sign.
    Transcript,
    /// The derivation of the second generator.
    SecondGenerator,
    /// The identity of a chain.
    Genesis,
    /// The identity of a transaction.
    Transaction,
    /// The author's signature on a transaction.
    TransactionSignature,
    /// The reader's proof that it holds its ephemeral key.
    Possession,
    /// The hash of a block header.
    Block,
    /// The hash of a block's body.
    BlockBody,
    /// The digest of the ledger's state.
    State,
    /// The hash chain of a node's journal, and its signed mark.
    Journal,
    /// Reserved: nothing is hashed or signed in it. Checkpoints are signed as C2SP says.
    Checkpoint,
    /// The contexts of a document's object and of its sealed material.
    Material,
    /// Reserved: nothing is signed in it.
    EndorserStatus,
    /// Reserved: nothing is signed in it.
    Operator,
    /// The approve id of a canary.
    Canary,
    /// What a crypto node says to its fellow members in a ceremony, around the key generation's own messages.
    MemberMessage,
    /// The identity of a resharing.
    Resharing,
    /// The identity of a share's repair.
    Repair,
}

impl Domain {
    /// Every domain, in the table's order.
    pub const ALL: [Self; 34] = [
        Self::KeyId,
        Self::Manifest,
        Self::ManifestSignature,
        Self::Wrap,
        Self::WrapNonce,
        Self::WrapProof,
        Self::Reencrypt,
        Self::ReencryptContext,
        Self::ReencryptNonce,
        Self::ReencryptShare,
        Self::BatchWeights,
        Self::Statement,
        Self::Ceremony,
        Self::CeremonyMessage,
        Self::CeremonyPayload,
        Self::DkgRound1,
        Self::Transcript,
        Self::SecondGenerator,
        Self::Genesis,
        Self::Transaction,
        Self::TransactionSignature,
        Self::Possession,
        Self::Block,
        Self::BlockBody,
        Self::State,
        Self::Journal,
        Self::Checkpoint,
        Self::Material,
        Self::EndorserStatus,
        Self::Operator,
        Self::Canary,
        Self::MemberMessage,
        Self::Resharing,
        Self::Repair,
    ];

    /// The label that is hashed.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::KeyId => "key-id",
            Self::Manifest => "manifest",
            Self::ManifestSignature => "manifest-signature",
            Self::Wrap => "wrap",
            Self::WrapNonce => "wrap-nonce",
            Self::WrapProof => "wrap-proof",
            Self::Reencrypt => "reencrypt",
            Self::ReencryptContext => "reencrypt-context",
            Self::ReencryptNonce => "reencrypt-nonce",
            Self::ReencryptShare => "reencrypt-share",
            Self::BatchWeights => "batch-weights",
            Self::Statement => "statement",
            Self::Ceremony => "ceremony",
            Self::CeremonyMessage => "ceremony-message",
            Self::CeremonyPayload => "ceremony-payload",
            Self::DkgRound1 => "dkg-round1",
            Self::Transcript => "dkg-transcript",
            Self::SecondGenerator => "second-generator",
            Self::Genesis => "genesis",
            Self::Transaction => "transaction",
            Self::TransactionSignature => "transaction-signature",
            Self::Possession => "possession",
            Self::Block => "block",
            Self::BlockBody => "block-body",
            Self::State => "state",
            Self::Journal => "journal",
            Self::Checkpoint => "checkpoint",
            Self::Material => "material",
            Self::EndorserStatus => "endorser-status",
            Self::Operator => "operator",
            Self::Canary => "canary",
            Self::MemberMessage => "member-message",
            Self::Resharing => "resharing",
            Self::Repair => "repair",
        }
    }
}

const FIELD: u8 = 1;
const END_DIGEST: u8 = 2;
const END_CHALLENGE: u8 = 3;

/// A domain-separated, length-prefixed hash over labelled fields.
#[derive(Clone)]
pub struct Transcript {
    hash: Sha512,
}

impl core::fmt::Debug for Transcript {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // The state may hold a secret: nonces are derived through a transcript.
        f.write_str("Transcript(..)")
    }
}

impl Transcript {
    /// An empty transcript for one purpose.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        let mut transcript = Self { hash: Sha512::new() };
        transcript.short(SUITE);
        transcript.short(domain.label());
        transcript
    }

    /// Adds one field. Two different sequences of fields never give the same hashed bytes.
    #[must_use]
    pub fn append(mut self, label: &'static str, data: &[u8]) -> Self {
        self.add(label, data);
        self
    }

    /// Adds one object by its canonical encoding.
    #[must_use]
    pub fn append_object<T: Canonical>(self, label: &'static str, object: &T) -> Self {
        self.append(label, &object.to_bytes())
    }

    /// [`Transcript::append`] in place.
    pub fn add(&mut self, label: &'static str, data: &[u8]) {
        self.hash.update([FIELD]);
        self.short(label);
        // A field of 4 GiB does not occur: every encoding here is bounded far below.
        self.hash
            .update(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.hash.update(data);
    }

    /// The first 32 bytes of the hash.
    #[must_use]
    pub fn digest(self) -> [u8; 32] {
        let mut digest = [0; 32];
        for (byte, hashed) in digest.iter_mut().zip(self.end(END_DIGEST).iter()) {
            *byte = *hashed;
        }
        digest
    }

    /// The whole hash, reduced modulo the group order.
    #[must_use]
    pub fn challenge(self) -> Scalar {
        Scalar::from_bytes_mod_order_wide(&self.end(END_CHALLENGE))
    }

    /// Wiped, because nonces are reduced from it: with one, whoever reads the memory has the secret behind it.
    fn end(mut self, kind: u8) -> Zeroizing<[u8; 64]> {
        self.hash.update([kind]);
        let mut hashed = Zeroizing::new([0; 64]);
        self.hash.finalize_into((&mut *hashed).into());
        hashed
    }

    fn short(&mut self, text: &str) {
        // Labels are short constants of this crate's callers; a test holds the table's to 255 bytes.
        self.hash.update([u8::try_from(text.len()).unwrap_or(u8::MAX)]);
        self.hash.update(text.as_bytes());
    }
}
