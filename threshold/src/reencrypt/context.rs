//! What a re-encryption share is for.

use crate::committee::CommitteeManifest;
use crate::group::Point;
use crate::ids::{ApproveId, ManifestDigest, WriteId};
use crate::signature::PublicKey;
use crate::transcript::{Domain, Transcript};
use crate::wrap::WrappedKey;

/// The committee does not hold the key that the wrapped key is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// Wrapped under another custody key.
    #[error("the wrapped key is under another custody key than the committee's")]
    OtherKey,
}

/// One read: the committee, the wrapped key, the approval and the reader's key. Every proof is made in it.
///
/// U and the write id come from the wrapped key itself, never from a request beside it.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    manifest: &'a CommitteeManifest,
    pub(super) write_id: WriteId,
    pub(super) approve_id: ApproveId,
    pub(super) u: Point,
    pub(super) q: Point,
    pub(super) digest: [u8; 32],
}

impl<'a> Context<'a> {
    /// The context of one read. The wrapped key's proof is not checked here: a node does that once, with
    /// everything else that it checks, by [`WrappedKey::verify`].
    ///
    /// # Errors
    /// [`ContextError::OtherKey`].
    pub fn new(
        manifest: &'a CommitteeManifest,
        wrapped: &WrappedKey,
        approve_id: ApproveId,
        q: &PublicKey,
    ) -> Result<Self, ContextError> {
        if wrapped.key_id() != manifest.key_id() {
            return Err(ContextError::OtherKey);
        }
        let (write_id, u, q) = (wrapped.write_id(), *wrapped.u(), q.to_point());
        let mut context = Self {
            manifest,
            write_id,
            approve_id,
            u,
            q,
            digest: [0; 32],
        };
        context.digest = context.compute_digest();
        Ok(context)
    }

    /// The committee.
    #[must_use]
    pub const fn manifest(&self) -> &'a CommitteeManifest {
        self.manifest
    }

    /// The committee manifest's digest.
    #[must_use]
    pub const fn manifest_digest(&self) -> ManifestDigest {
        self.manifest.digest()
    }

    /// The wrapped key.
    #[must_use]
    pub const fn write_id(&self) -> WriteId {
        self.write_id
    }

    /// The approved read.
    #[must_use]
    pub const fn approve_id(&self) -> ApproveId {
        self.approve_id
    }

    /// U of the wrapped key.
    #[must_use]
    pub const fn u(&self) -> &Point {
        &self.u
    }

    /// Q, the reader's key.
    #[must_use]
    pub const fn q(&self) -> &Point {
        &self.q
    }

    /// The digest of all of the above; a verified share carries it.
    pub(super) const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Key id and epoch are in the manifest's digest as well; they are named here because every proof names them.
    pub(super) fn compute_digest(&self) -> [u8; 32] {
        Transcript::new(Domain::ReencryptContext)
            .append("key id", self.manifest.key_id().as_bytes())
            .append("epoch", &self.manifest.epoch().to_be_bytes())
            .append("manifest digest", self.manifest.digest().as_bytes())
            .append("write id", self.write_id.as_bytes())
            .append("approve id", self.approve_id.as_bytes())
            .append("U", self.u.as_bytes())
            .append("Q", self.q.as_bytes())
            .digest()
    }
}
