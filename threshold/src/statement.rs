//! A node's signed statement that it released a share.

use crate::committee::ParticipantIndex;
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::ids::{ApproveId, ManifestDigest, WriteId};
use crate::signature::{PublicKey, Signature, SignatureError, sign};
use crate::transcript::{Domain, SUITE_ID};
use ed25519_dalek::SigningKey;

#[cfg(test)]
mod tests;

/// What a node says it released, to whom, under which approval, and where its journal has it.
///
/// Encoded as version 1, suite, manifest digest (32), index (2), approve id (32), write id (32), Q (32), share
/// digest (32), repeat (1), time (8), journal position (8), journal head (32), signature (64): 277 bytes. The
/// signature, under the node's identity and [`Domain::Statement`], is over all bytes before it. Public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseStatement {
    /// The committee and epoch.
    pub manifest_digest: ManifestDigest,
    /// The node.
    pub index: ParticipantIndex,
    /// The approved read.
    pub approve_id: ApproveId,
    /// The wrapped key.
    pub write_id: WriteId,
    /// The reader's key.
    pub q: PublicKey,
    /// The digest of the share that was given.
    pub share_digest: [u8; 32],
    /// Whether the same read had been answered before.
    pub repeat: bool,
    /// The node's clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// The entry of the node's journal.
    pub journal_position: u64,
    /// The hash of the journal up to and including that entry.
    pub journal_head: [u8; 32],
    /// The node's signature.
    pub signature: Signature,
}

impl ReleaseStatement {
    /// The statement with the node's signature in place of whatever signature it had.
    #[must_use]
    pub fn sign(self, identity: &SigningKey) -> Self {
        let signature = sign(identity, Domain::Statement, &self.unsigned_bytes());
        Self { signature, ..self }
    }

    /// Checks that the holder of `identity` made this statement.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, identity: &PublicKey) -> Result<(), SignatureError> {
        identity.verify(Domain::Statement, &self.unsigned_bytes(), &self.signature)
    }

    fn unsigned_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.encode_unsigned(&mut writer);
        writer.finish()
    }

    fn encode_unsigned(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.put(&self.manifest_digest);
        writer.put(&self.index);
        writer.put(&self.approve_id);
        writer.put(&self.write_id);
        writer.put(&self.q);
        writer.fixed(&self.share_digest);
        writer.bool(self.repeat);
        writer.u64(self.time_ms);
        writer.u64(self.journal_position);
        writer.fixed(&self.journal_head);
    }
}

const VERSION: u8 = 1;

impl Canonical for ReleaseStatement {
    fn encode(&self, writer: &mut Writer) {
        self.encode_unsigned(writer);
        writer.put(&self.signature);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("release statement"));
        }
        Ok(Self {
            manifest_digest: reader.get()?,
            index: reader.get()?,
            approve_id: reader.get()?,
            write_id: reader.get()?,
            q: reader.get()?,
            share_digest: reader.fixed()?,
            repeat: reader.bool()?,
            time_ms: reader.u64()?,
            journal_position: reader.u64()?,
            journal_head: reader.fixed()?,
            signature: reader.get()?,
        })
    }
}
