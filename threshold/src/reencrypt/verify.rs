//! Verification of shares, one by one and many in one multiscalar multiplication.
//!
//! A proof holds if, with e recomputed from the commitments,
//!
//! ```text
//! 8·(z1·B       - e·X_i - T1) = 0
//! 8·(z2·B       - e·R_i - T2) = 0
//! 8·(z1·U + z2·Q - e·D_i - T3) = 0
//! ```
//!
//! Both forms check a weighted sum of these equations. Multiplication by the cofactor makes them agree on every
//! input: what one accepts, the other accepts.

use super::context::Context;
use super::share::ReencryptionShare;
use crate::committee::ParticipantIndex;
use crate::encoding::Canonical;
use crate::group::Point;
use crate::transcript::{Domain, Transcript};
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use rand_core::{CryptoRng, RngCore};

/// What is wrong with a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareFault {
    /// The committee has no such member.
    #[error("the committee has no such member")]
    UnknownIndex,
    /// The proof does not hold in this context.
    #[error("the proof does not hold")]
    Proof,
}

/// A member whose share is refused. Anybody with the context and the share can repeat the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("share of member {index} refused: {fault}")]
pub struct Culprit {
    /// The index that the share carries.
    pub index: ParticipantIndex,
    /// What is wrong.
    pub fault: ShareFault,
}

/// A share whose proof holds, and the context it holds in. Only verification makes one.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedShare {
    pub(super) share: ReencryptionShare,
    pub(super) context: [u8; 32],
}

impl VerifiedShare {
    /// The member whose share it is.
    #[must_use]
    pub const fn index(&self) -> ParticipantIndex {
        self.share.index
    }

    /// The share.
    #[must_use]
    pub const fn share(&self) -> &ReencryptionShare {
        &self.share
    }
}

/// Verifies one share.
///
/// # Errors
/// The culprit, if it does not hold.
pub fn verify_share(context: &Context<'_>, share: &ReencryptionShare) -> Result<VerifiedShare, Culprit> {
    let public_share = public_share(context, share)?;
    let e = share.statement(context, public_share).challenge();
    let mut sum = Sum::new();
    sum.add(share, public_share, e, own_weights(e, share));
    if sum.is_zero(context) {
        Ok(VerifiedShare {
            share: *share,
            context: *context.digest(),
        })
    } else {
        Err(Culprit {
            index: share.index,
            fault: ShareFault::Proof,
        })
    }
}

/// Verifies many shares in one multiscalar multiplication; if it fails, one by one, to name who is to blame.
///
/// Order is kept. A member's share that comes twice is verified twice; [`super::combine`] takes it once only.
pub fn verify_shares(
    context: &Context<'_>,
    shares: &[ReencryptionShare],
    rng: &mut (impl RngCore + CryptoRng),
) -> (Vec<VerifiedShare>, Vec<Culprit>) {
    if let Some(verified) = verify_together(context, shares, rng) {
        return (verified, Vec::new());
    }
    let (mut verified, mut culprits) = (Vec::new(), Vec::new());
    for share in shares {
        match verify_share(context, share) {
            Ok(share) => verified.push(share),
            Err(culprit) => culprits.push(culprit),
        }
    }
    (verified, culprits)
}

fn verify_together(
    context: &Context<'_>,
    shares: &[ReencryptionShare],
    rng: &mut (impl RngCore + CryptoRng),
) -> Option<Vec<VerifiedShare>> {
    let mut sum = Sum::new();
    let mut fresh = vec![0; 48 * shares.len()];
    rng.fill_bytes(&mut fresh);
    for (share, fresh) in shares.iter().zip(fresh.chunks_exact(48)) {
        let public_share = public_share(context, share).ok()?;
        let e = share.statement(context, public_share).challenge();
        let (first, rest) = fresh.split_at(16);
        let (second, third) = rest.split_at(16);
        let weights = [weight(first), weight(second), weight(third)];
        sum.add(share, public_share, e, weights);
    }
    let verified = |share: &ReencryptionShare| VerifiedShare {
        share: *share,
        context: *context.digest(),
    };
    sum.is_zero(context)
        .then(|| shares.iter().map(verified).collect())
}

fn public_share<'a>(context: &Context<'a>, share: &ReencryptionShare) -> Result<&'a Point, Culprit> {
    let member = context.manifest().member(share.index);
    member.map(|member| &member.public_share).ok_or(Culprit {
        index: share.index,
        fault: ShareFault::UnknownIndex,
    })
}

/// The weights of one share's equations. They come from a hash over everything in the equations, so that a prover
/// fixes its proof before it knows them.
pub(super) fn own_weights(e: Scalar, share: &ReencryptionShare) -> [Scalar; 3] {
    let digest = Transcript::new(Domain::BatchWeights)
        .append("challenge", e.as_bytes())
        .append_object("share", share)
        .digest();
    let (second, third) = digest.split_at(16);
    [Scalar::ONE, weight(second), weight(third)]
}

/// A weight of 128 bits: long enough that a false equation hides with probability 2^-128, short to multiply by.
fn weight(sixteen_bytes: &[u8]) -> Scalar {
    Scalar::from(
        sixteen_bytes
            .iter()
            .rev()
            .fold(0_u128, |number, byte| (number << 8) | u128::from(*byte)),
    )
}

/// A weighted sum of verification equations, with the terms of B, U and Q collected.
struct Sum {
    base: Scalar,
    u: Scalar,
    q: Scalar,
    scalars: Vec<Scalar>,
    points: Vec<EdwardsPoint>,
}

impl Sum {
    const fn new() -> Self {
        let zero = Scalar::ZERO;
        Self {
            base: zero,
            u: zero,
            q: zero,
            scalars: Vec::new(),
            points: Vec::new(),
        }
    }

    fn add(&mut self, share: &ReencryptionShare, public_share: &Point, e: Scalar, [w1, w2, w3]: [Scalar; 3]) {
        let [t1, t2, t3] = &share.t;
        self.base += w1 * share.z1 + w2 * share.z2;
        self.u += w3 * share.z1;
        self.q += w3 * share.z2;
        // T1 to T3 with the negated sign on the other side, so that their short weights stay short.
        for (weight, witness, commitment) in [(w1, public_share, t1), (w2, &share.r, t2), (w3, &share.d, t3)]
        {
            self.scalars.extend([weight * e, weight]);
            self.points.extend([*witness.as_edwards(), commitment.point]);
        }
    }

    fn is_zero(&self, context: &Context<'_>) -> bool {
        let constants = [
            (-self.base, ED25519_BASEPOINT_POINT),
            (-self.u, *context.u().as_edwards()),
            (-self.q, *context.q().as_edwards()),
        ];
        let scalars = self
            .scalars
            .iter()
            .copied()
            .chain(constants.iter().map(|(scalar, _)| *scalar));
        let points = self
            .points
            .iter()
            .copied()
            .chain(constants.iter().map(|(_, point)| *point));
        EdwardsPoint::vartime_multiscalar_mul(scalars, points)
            .mul_by_cofactor()
            .is_identity()
    }
}

impl PartialEq for VerifiedShare {
    fn eq(&self, other: &Self) -> bool {
        self.context == other.context && self.share.to_bytes() == other.share.to_bytes()
    }
}

impl Eq for VerifiedShare {}
