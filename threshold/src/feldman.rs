//! Feldman's verifiable secret sharing: a polynomial is dealt, and its commitments let every share be checked.
//!
//! `vsss-rs` draws the polynomial, evaluates and commits; `docs/decisions/0007-sharing-a-share.md` says why the rest is here.

use crate::committee::{MAX_MEMBERS, ParticipantIndex, Threshold};
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::group::{Point, PointError};
use crate::secret::SecretScalar;
use crate::transcript::SUITE_ID;
use curve25519_dalek::constants::ED25519_BASEPOINT_TABLE;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, VartimeMultiscalarMul};
use rand_core::{CryptoRng, RngCore};
use vsss_rs::curve25519::{WrappedEdwards, WrappedScalar};
use vsss_rs::{IdentifierPrimeField, Share, ShareVerifierGroup, ValuePrimeField};
use zeroize::Zeroize;

#[cfg(test)]
mod tests;

/// Commitments that are not those of a polynomial of degree `t - 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitmentError {
    /// Another number of commitments than t: another degree.
    #[error("{found} commitments instead of {expected}")]
    Count {
        /// t.
        expected: usize,
        /// Given.
        found: usize,
    },
    /// A commitment that is not a proper point; an identity in front would be a lower degree.
    #[error("an improper commitment: {0}")]
    Point(#[from] PointError),
}

/// What a dealer says to all: commitments to what it deals.
///
/// Encoded as version 1, suite, commitment count (4), commitments (32 each). The points are kept as bytes until
/// their number is known to be t: nothing is computed on a polynomial of another degree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// In resharing `A_0 .. A_{t-1}`, constant term first; in repair one for each helper, in order.
    pub commitments: Vec<[u8; 32]>,
}

const VERSION: u8 = 1;

impl Canonical for Package {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.count(self.commitments.len());
        for commitment in &self.commitments {
            writer.fixed(commitment);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("commitments"));
        }
        let count = reader.count(MAX_MEMBERS.into())?;
        let commitments = (0..count).map(|_| reader.fixed()).collect::<Result<_, _>>()?;
        Ok(Self { commitments })
    }
}

/// Exactly t proper points. The number is compared before anything is computed.
pub(crate) fn parse_points(
    commitments: &[[u8; 32]],
    threshold: Threshold,
) -> Result<Vec<Point>, CommitmentError> {
    let (expected, found) = (usize::from(threshold.t()), commitments.len());
    if found != expected {
        return Err(CommitmentError::Count { expected, found });
    }
    let points = commitments.iter().map(Point::from_bytes);
    Ok(points.collect::<Result<_, _>>()?)
}

/// `A_k = a_k·B` for every coefficient of a polynomial, constant term first. All of it is public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commitments(Vec<Point>);

impl Commitments {
    /// Takes exactly t proper points.
    pub(crate) fn parse(commitments: &[[u8; 32]], threshold: Threshold) -> Result<Self, CommitmentError> {
        parse_points(commitments, threshold).map(Self)
    }

    /// The commitment to the polynomial's value at 0.
    pub(crate) fn constant(&self) -> Option<&Point> {
        self.0.first()
    }

    /// `f(i)·B = Σ i^k·A_k`, by Horner's rule.
    pub(crate) fn evaluate(&self, at: ParticipantIndex) -> EdwardsPoint {
        self.0.iter().rev().fold(EdwardsPoint::identity(), |sum, point| {
            times(&sum, at.get()) + point.as_edwards()
        })
    }

    /// Whether a share is the polynomial's value at an index.
    pub(crate) fn fit(&self, at: ParticipantIndex, share: &SecretScalar) -> bool {
        ED25519_BASEPOINT_TABLE * share.expose() == self.evaluate(at)
    }

    /// The commitments of `Σ λ_d·f_d`. `None` if a sum is the identity: of lower degree, or without a secret.
    pub(crate) fn combine(dealers: &[&Self], lambda: &[Scalar]) -> Option<Self> {
        let degree = dealers.first()?.0.len();
        let column = |k: usize| {
            let points = dealers.iter().map(|dealer| Some(*dealer.0.get(k)?.as_edwards()));
            let sum = EdwardsPoint::optional_multiscalar_mul(lambda, points)?;
            Point::from_subgroup(sum).ok()
        };
        (0..degree).map(column).collect::<Option<_>>().map(Self)
    }
}

/// A point times a small number, in variable time: both are public.
fn times(point: &EdwardsPoint, factor: u16) -> EdwardsPoint {
    let bits = (0..u16::BITS - factor.leading_zeros()).rev();
    bits.fold(EdwardsPoint::identity(), |sum, bit| {
        let doubled = sum + sum;
        if factor >> bit & 1 == 1 {
            doubled + point
        } else {
            doubled
        }
    })
}

/// A polynomial that was dealt: its commitments, and its values at 1 to n.
#[derive(Debug)]
pub(crate) struct Dealt {
    pub(crate) commitments: Vec<[u8; 32]>,
    pub(crate) shares: Vec<SecretScalar>,
}

/// Shares a secret among n by a fresh polynomial of degree `t - 1`, which is wiped when this returns.
///
/// `None` if the library refuses, which a valid threshold excludes.
pub(crate) fn deal(
    secret: &SecretScalar,
    threshold: Threshold,
    rng: &mut (impl RngCore + CryptoRng),
) -> Option<Dealt> {
    let (t, n) = (usize::from(threshold.t()), usize::from(threshold.n()));
    let mut value = IdentifierPrimeField(WrappedScalar(*secret.expose()));
    let split = vsss_rs::feldman::split_secret::<WipedShare, ShareVerifierGroup<WrappedEdwards>>(
        t, n, &value, None, rng,
    );
    value.0.0.zeroize();
    let (shares, mut verifiers) = split.ok()?;
    // The library's list of verifiers begins with the generator.
    let commitments = verifiers
        .drain(..)
        .skip(1)
        .map(|point| point.0.0.compress().to_bytes());
    Some(Dealt {
        commitments: commitments.collect(),
        shares: shares
            .iter()
            .map(|share| SecretScalar::new(share.value.0.0))
            .collect(),
    })
}

/// A share as the library wants it, which is also how it holds a polynomial's coefficients: wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
struct WipedShare {
    identifier: IdentifierPrimeField<WrappedScalar>,
    value: ValuePrimeField<WrappedScalar>,
}

impl Drop for WipedShare {
    fn drop(&mut self) {
        self.identifier.0.0.zeroize();
        self.value.0.0.zeroize();
    }
}

impl core::fmt::Debug for WipedShare {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("WipedShare(redacted)")
    }
}

impl Share for WipedShare {
    type Identifier = IdentifierPrimeField<WrappedScalar>;
    type Value = ValuePrimeField<WrappedScalar>;

    fn with_identifier_and_value(identifier: Self::Identifier, value: Self::Value) -> Self {
        Self { identifier, value }
    }

    fn identifier(&self) -> &Self::Identifier {
        &self.identifier
    }

    fn identifier_mut(&mut self) -> &mut Self::Identifier {
        &mut self.identifier
    }

    fn value(&self) -> &Self::Value {
        &self.value
    }

    fn value_mut(&mut self) -> &mut Self::Value {
        &mut self.value
    }
}
