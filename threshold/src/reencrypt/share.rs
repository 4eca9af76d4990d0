//! One node's share of a re-encryption, and the proof that it is right.

use super::context::Context;
use crate::committee::ParticipantIndex;
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::group::{Point, PointError, decode_scalar, decompress_canonical};
use crate::ids::{ApproveId, KeyId, ManifestDigest, WriteId};
use crate::secret::{KeyShare, SecretScalar};
use crate::transcript::{Domain, SUITE_ID, Transcript};
use curve25519_dalek::constants::ED25519_BASEPOINT_TABLE;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::MultiscalarMul;
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

/// Why a node gave no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReencryptError {
    /// The node's share is of another committee or epoch than the read's.
    #[error("the key share belongs to another committee manifest than the read")]
    OtherManifest,
    /// The random number generator returned what no random generator returns.
    #[error("the random number generator is broken")]
    Randomness,
}

impl From<PointError> for ReencryptError {
    fn from(_: PointError) -> Self {
        Self::Randomness
    }
}

/// A commitment of a proof, T1 to T3: canonical, and of any order, because verification is cofactored.
#[derive(Clone, Copy)]
pub(super) struct Commitment {
    pub(super) point: EdwardsPoint,
    pub(super) bytes: [u8; 32],
}

impl From<EdwardsPoint> for Commitment {
    fn from(point: EdwardsPoint) -> Self {
        Self {
            point,
            bytes: point.compress().to_bytes(),
        }
    }
}

/// `(R_i, D_i) = (k·B, x_i·U + k·Q)` and the proof of `(x_i, k)`.
///
/// Encoded as version 1, suite, index (2), R, D, T1, T2, T3 (32 each), z1, z2 (32 each): 228 bytes. Public.
/// R and D are strictly parsed points. T1 to T3 need only be canonical.
#[derive(Clone, Copy)]
pub struct ReencryptionShare {
    pub(super) index: ParticipantIndex,
    pub(super) r: Point,
    pub(super) d: Point,
    pub(super) t: [Commitment; 3],
    pub(super) z1: Scalar,
    pub(super) z2: Scalar,
}

impl ReencryptionShare {
    /// The length of the encoding.
    pub const LENGTH: usize = 228;

    /// The member whose share this claims to be.
    #[must_use]
    pub const fn index(&self) -> ParticipantIndex {
        self.index
    }

    /// The digest that a release statement names.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Transcript::new(Domain::ReencryptShare)
            .append_object("share", self)
            .digest()
    }

    /// Everything that the challenge of this share's proof is computed from.
    pub(super) fn statement(&self, context: &Context<'_>, public_share: &Point) -> ProofStatement {
        let [t1, t2, t3] = &self.t;
        ProofStatement {
            key_id: context.manifest().key_id(),
            epoch: context.manifest().epoch(),
            manifest_digest: context.manifest_digest(),
            index: self.index,
            write_id: context.write_id(),
            approve_id: context.approve_id(),
            public_share: *public_share.as_bytes(),
            u: *context.u().as_bytes(),
            q: *context.q().as_bytes(),
            r: *self.r.as_bytes(),
            d: *self.d.as_bytes(),
            t1: t1.bytes,
            t2: t2.bytes,
            t3: t3.bytes,
        }
    }
}

/// What a share's proof is about, field by field.
#[derive(Clone, Copy)]
pub(super) struct ProofStatement {
    pub(super) key_id: KeyId,
    pub(super) epoch: u32,
    pub(super) manifest_digest: ManifestDigest,
    pub(super) index: ParticipantIndex,
    pub(super) write_id: WriteId,
    pub(super) approve_id: ApproveId,
    pub(super) public_share: [u8; 32],
    pub(super) u: [u8; 32],
    pub(super) q: [u8; 32],
    pub(super) r: [u8; 32],
    pub(super) d: [u8; 32],
    pub(super) t1: [u8; 32],
    pub(super) t2: [u8; 32],
    pub(super) t3: [u8; 32],
}

impl ProofStatement {
    /// e = H(suite, key id, epoch, manifest digest, i, writeID, approveID, X_i, U, Q, R_i, D_i, T1, T2, T3).
    pub(super) fn challenge(&self) -> Scalar {
        Transcript::new(Domain::Reencrypt)
            .append("key id", self.key_id.as_bytes())
            .append("epoch", &self.epoch.to_be_bytes())
            .append("manifest digest", self.manifest_digest.as_bytes())
            .append("index", &self.index.get().to_be_bytes())
            .append("write id", self.write_id.as_bytes())
            .append("approve id", self.approve_id.as_bytes())
            .append("X_i", &self.public_share)
            .append("U", &self.u)
            .append("Q", &self.q)
            .append("R_i", &self.r)
            .append("D_i", &self.d)
            .append("T1", &self.t1)
            .append("T2", &self.t2)
            .append("T3", &self.t3)
            .challenge()
    }
}

/// Makes this node's share for one read. The caller has checked that the read is approved and recorded.
///
/// All arithmetic on the share and the nonces is constant-time. The nonces k, a and b are derived from fresh
/// randomness, the share and the whole context together.
///
/// # Errors
/// [`ReencryptError::OtherManifest`], or [`ReencryptError::Randomness`] for a zero that chance does not make.
pub fn reencrypt(
    share: &KeyShare,
    context: &Context<'_>,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<ReencryptionShare, ReencryptError> {
    if share.manifest_digest() != context.manifest_digest() {
        return Err(ReencryptError::OtherManifest);
    }
    let (u, q) = (context.u().as_edwards(), context.q().as_edwards());
    let x = share.secret();
    let [k, a, b] = nonces(share, context, rng);
    // R_i = k·B;  D_i = x_i·U + k·Q
    let r = Point::from_subgroup(ED25519_BASEPOINT_TABLE * k.expose())?;
    let d = Point::from_subgroup(EdwardsPoint::multiscalar_mul([x.expose(), k.expose()], [u, q]))?;
    // T1 = a·B;  T2 = b·B;  T3 = a·U + b·Q
    let t = [
        (ED25519_BASEPOINT_TABLE * a.expose()).into(),
        (ED25519_BASEPOINT_TABLE * b.expose()).into(),
        EdwardsPoint::multiscalar_mul([a.expose(), b.expose()], [u, q]).into(),
    ];
    let mut answer = ReencryptionShare {
        index: share.index(),
        r,
        d,
        t,
        z1: Scalar::ZERO,
        z2: Scalar::ZERO,
    };
    // z1 = a + e·x_i;  z2 = b + e·k
    let e = answer.statement(context, share.public_share()).challenge();
    answer.z1 = a.expose() + e * x.expose();
    answer.z2 = b.expose() + e * k.expose();
    Ok(answer)
}

/// A generator that repeats itself gives equal nonces only for equal contexts, and then an equal answer. The share
/// keeps them secret from whoever knows the generator; the index says no more than the share does.
pub(super) fn nonces(
    share: &KeyShare,
    context: &Context<'_>,
    rng: &mut (impl RngCore + CryptoRng),
) -> [SecretScalar; 3] {
    let mut fresh = Zeroizing::new([0; 64]);
    rng.fill_bytes(fresh.as_mut());
    let transcript = Transcript::new(Domain::ReencryptNonce)
        .append("randomness", fresh.as_ref())
        .append("x_i", share.secret().expose().as_bytes())
        .append("index", &share.index().get().to_be_bytes())
        .append("context", context.digest());
    [b"k", b"a", b"b"].map(|name| SecretScalar::new(transcript.clone().append("nonce", name).challenge()))
}

const VERSION: u8 = 1;

impl Canonical for ReencryptionShare {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.put(&self.index);
        writer.put(&self.r);
        writer.put(&self.d);
        for commitment in &self.t {
            writer.fixed(&commitment.bytes);
        }
        writer.fixed(self.z1.as_bytes());
        writer.fixed(self.z2.as_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("re-encryption share"));
        }
        Ok(Self {
            index: reader.get()?,
            r: reader.get()?,
            d: reader.get()?,
            t: [
                decode_commitment(reader)?,
                decode_commitment(reader)?,
                decode_commitment(reader)?,
            ],
            z1: decode_scalar(reader)?,
            z2: decode_scalar(reader)?,
        })
    }
}

fn decode_commitment(reader: &mut Reader<'_>) -> Result<Commitment, DecodeError> {
    let bytes = reader.fixed()?;
    let point = decompress_canonical(&bytes).ok_or(DecodeError::Invalid("point"))?;
    Ok(Commitment { point, bytes })
}

impl PartialEq for ReencryptionShare {
    fn eq(&self, other: &Self) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

impl Eq for ReencryptionShare {}

impl core::fmt::Debug for ReencryptionShare {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReencryptionShare")
            .field("index", &self.index)
            .field("r", &self.r)
            .finish_non_exhaustive()
    }
}
