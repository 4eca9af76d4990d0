//! Combining t verified shares, and opening the result.

use super::context::Context;
use super::reader::ReaderKey;
use super::verify::VerifiedShare;
use crate::committee::ParticipantIndex;
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::group::Point;
use crate::interpolation;
use crate::secret::DataKey;
use crate::transcript::SUITE_ID;
use crate::wrap::WrappedKey;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use zeroize::Zeroizing;

/// Why shares were not combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// Not exactly t shares.
    #[error("{found} shares where exactly {needed} are combined")]
    Count {
        /// t.
        needed: usize,
        /// Given.
        found: usize,
    },
    /// A share was verified in another read, committee or epoch.
    #[error("the share of member {0} was verified in another context")]
    OtherContext(ParticipantIndex),
    /// A member's share is there twice.
    #[error("two shares of member {0}")]
    Duplicate(ParticipantIndex),
    /// The combination is the identity, which chance does not make.
    #[error("the shares combine to the identity")]
    Identity,
}

/// A fresh ElGamal encryption of S under the reader's Q: `(R, D)` with `D - q·R = S`.
///
/// Encoded as version 1, suite, R (32), D (32): 66 bytes. Public; it opens for the holder of q only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reencryption {
    /// R = Σ λ_i·R_i.
    pub r: Point,
    /// D = Σ λ_i·D_i.
    pub d: Point,
}

/// Combines exactly t verified shares of distinct members: `(R, D) = Σ λ_i·(R_i, D_i)`.
///
/// An index that is zero or not the committee's cannot get here: neither [`ParticipantIndex`] nor
/// [`VerifiedShare`] admits it.
///
/// # Errors
/// [`CombineError`].
pub fn combine(context: &Context<'_>, shares: &[VerifiedShare]) -> Result<Reencryption, CombineError> {
    let needed = usize::from(context.manifest().threshold().t());
    if shares.len() != needed {
        return Err(CombineError::Count {
            needed,
            found: shares.len(),
        });
    }
    if let Some(stranger) = shares.iter().find(|share| share.context != *context.digest()) {
        return Err(CombineError::OtherContext(stranger.index()));
    }
    let indices: Vec<ParticipantIndex> = shares.iter().map(VerifiedShare::index).collect();
    if let Some(twice) = first_duplicate(&indices) {
        return Err(CombineError::Duplicate(twice));
    }
    let lambda = interpolation::coefficients(&indices, Scalar::ZERO).ok_or(CombineError::Identity)?;
    let sum = |part: fn(&VerifiedShare) -> &EdwardsPoint| {
        let sum = EdwardsPoint::vartime_multiscalar_mul(&lambda, shares.iter().map(part));
        Point::from_subgroup(sum).map_err(|_| CombineError::Identity)
    };
    Ok(Reencryption {
        r: sum(|s| s.share.r.as_edwards())?,
        d: sum(|s| s.share.d.as_edwards())?,
    })
}

fn first_duplicate(indices: &[ParticipantIndex]) -> Option<ParticipantIndex> {
    let mut seen = std::collections::BTreeSet::new();
    indices.iter().copied().find(|index| !seen.insert(*index))
}

/// The re-encryption does not open the wrapped key for this reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the re-encryption does not open this wrapped key with this reader's key")]
pub struct OpenError;

/// Opens a re-encryption: `S = D - q·R`, then K, then c.
///
/// # Errors
/// [`OpenError`], the same for every reason.
pub fn open(
    reader: &ReaderKey,
    reencryption: &Reencryption,
    wrapped: &WrappedKey,
) -> Result<DataKey, OpenError> {
    let blind = reencryption.r.as_edwards() * *reader.scalar();
    let shared = Zeroizing::new((reencryption.d.as_edwards() - blind).compress().to_bytes());
    wrapped.open(&shared).ok_or(OpenError)
}

const VERSION: u8 = 1;

impl Canonical for Reencryption {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.put(&self.r);
        writer.put(&self.d);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("re-encryption"));
        }
        Ok(Self {
            r: reader.get()?,
            d: reader.get()?,
        })
    }
}
