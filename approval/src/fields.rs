//! What an approval certificate states.

use threshold::encoding::Canonical;
use threshold::ids::{ApproveId, BlockHash, ChainId, KeyId, WriteId};
use threshold::label::Label;
use threshold::signature::PublicKey;

use crate::der;
use crate::oid::Extension;

/// One approved read, as committed on the chain. Every field becomes an extension of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalFields {
    /// The transaction that asked for the read; also the subject's common name.
    pub approve_id: ApproveId,
    /// The hash of the wrapped key.
    pub write_id: WriteId,
    /// The reader's ephemeral key; also the subject's public key.
    pub q: PublicKey,
    /// The custody key under which the data key is wrapped.
    pub key_id: KeyId,
    /// The document.
    pub label: Label,
    /// The chain that recorded the approval.
    pub chain_id: ChainId,
    /// The height of the block that recorded it.
    pub height: u64,
    /// That block's hash.
    pub block_hash: BlockHash,
    /// The version of the trust roots and policy under which it was issued.
    pub policy_version: u32,
}

impl ApprovalFields {
    /// Our nine extensions with their DER values, in profile order.
    pub(crate) fn extension_values(&self) -> [(Extension, Vec<u8>); 9] {
        let octets = |bytes: &[u8]| der::octet_string(bytes);
        [
            (Extension::WriteId, octets(self.write_id.as_bytes())),
            (Extension::ReaderKey, octets(self.q.as_bytes())),
            (Extension::ApproveId, octets(self.approve_id.as_bytes())),
            (Extension::KeyId, octets(self.key_id.as_bytes())),
            (Extension::Label, octets(&self.label.to_bytes())),
            (Extension::ChainId, octets(self.chain_id.as_bytes())),
            (Extension::Height, der::integer(self.height)),
            (Extension::BlockHash, octets(self.block_hash.as_bytes())),
            (
                Extension::PolicyVersion,
                der::integer(u64::from(self.policy_version)),
            ),
        ]
    }
}

/// The same fields as read from one certificate, before Q has been found to be a proper point: that costs a
/// scalar multiplication and is done once for a set of certificates that agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) approve_id: ApproveId,
    pub(crate) write_id: WriteId,
    pub(crate) q: [u8; 32],
    pub(crate) key_id: KeyId,
    pub(crate) label: Label,
    pub(crate) chain_id: ChainId,
    pub(crate) height: u64,
    pub(crate) block_hash: BlockHash,
    pub(crate) policy_version: u32,
}

impl Claim {
    /// Read the nine values; on failure, the extension whose value is not in its form.
    pub(crate) fn read<'a>(value: impl Fn(Extension) -> Option<&'a [u8]>) -> Result<Self, Extension> {
        let octets = |extension| value(extension).and_then(der::octets).ok_or(extension);
        let fixed = |extension| octets(extension)?.try_into().map_err(|_| extension);
        let number = |extension| value(extension).and_then(der::unsigned).ok_or(extension);
        let label = octets(Extension::Label)?;
        let policy_version = number(Extension::PolicyVersion)?;
        Ok(Self {
            approve_id: ApproveId(fixed(Extension::ApproveId)?),
            write_id: WriteId(fixed(Extension::WriteId)?),
            q: fixed(Extension::ReaderKey)?,
            key_id: KeyId(fixed(Extension::KeyId)?),
            label: Label::from_bytes(label).map_err(|_| Extension::Label)?,
            chain_id: ChainId(fixed(Extension::ChainId)?),
            height: number(Extension::Height)?,
            block_hash: BlockHash(fixed(Extension::BlockHash)?),
            policy_version: u32::try_from(policy_version).map_err(|_| Extension::PolicyVersion)?,
        })
    }

    /// The first field in which two claims differ.
    pub(crate) fn difference(&self, other: &Self) -> Option<Extension> {
        // Taken apart, so that a new field cannot be forgotten here.
        let Self {
            approve_id,
            write_id,
            q,
            key_id,
            label,
            chain_id,
            height,
            block_hash,
            policy_version,
        } = self;
        [
            (*approve_id != other.approve_id, Extension::ApproveId),
            (*write_id != other.write_id, Extension::WriteId),
            (*q != other.q, Extension::ReaderKey),
            (*key_id != other.key_id, Extension::KeyId),
            (*label != other.label, Extension::Label),
            (*chain_id != other.chain_id, Extension::ChainId),
            (*height != other.height, Extension::Height),
            (*block_hash != other.block_hash, Extension::BlockHash),
            (*policy_version != other.policy_version, Extension::PolicyVersion),
        ]
        .into_iter()
        .find_map(|(differs, field)| differs.then_some(field))
    }

    pub(crate) fn with_reader_key(self, q: PublicKey) -> ApprovalFields {
        ApprovalFields {
            approve_id: self.approve_id,
            write_id: self.write_id,
            q,
            key_id: self.key_id,
            label: self.label,
            chain_id: self.chain_id,
            height: self.height,
            block_hash: self.block_hash,
            policy_version: self.policy_version,
        }
    }
}
