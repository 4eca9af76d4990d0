//! Points of the prime-order subgroup of edwards25519, parsed strictly.

use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::ids::{parse_hex, write_hex};
use crate::recent::Recent;
use crate::transcript::{Domain, Transcript};
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsBasepointTable, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{BasepointTable, Identity};
use std::sync::LazyLock;

#[cfg(test)]
mod tests;

/// Bytes are not a point that this protocol accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointError {
    /// Not on the curve, or not the one encoding of its point.
    #[error("not a canonical point encoding")]
    Encoding,
    /// The neutral element, which hides nothing and proves nothing.
    #[error("the point is the identity")]
    Identity,
    /// The point has a component of small order, which would leak a secret modulo 8.
    #[error("the point is outside the prime-order subgroup")]
    Torsion,
}

/// A point of the prime-order subgroup that is not the identity, with its encoding.
///
/// Encoded as 32 bytes. Equality, order and hash are those of the encoding, which is unique.
#[derive(Clone, Copy)]
pub struct Point {
    point: EdwardsPoint,
    bytes: [u8; 32],
}

/// The checks cost as much as verifying a signature, and one request brings the same point more than once.
static CHECKED: Recent<Point> = Recent::new();

impl Point {
    /// Parses 32 bytes: canonical, not the identity, in the prime-order subgroup.
    ///
    /// # Errors
    /// The first of the three that does not hold.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, PointError> {
        CHECKED.get_or(bytes, || Self::check(bytes))
    }

    fn check(bytes: &[u8; 32]) -> Result<Self, PointError> {
        let point = decompress_canonical(bytes).ok_or(PointError::Encoding)?;
        if point == EdwardsPoint::identity() {
            return Err(PointError::Identity);
        }
        if !is_torsion_free(&point) {
            return Err(PointError::Torsion);
        }
        Ok(Self { point, bytes: *bytes })
    }

    /// A computed point of the subgroup, such as a multiple of another.
    ///
    /// # Errors
    /// [`PointError::Identity`].
    pub(crate) fn from_subgroup(point: EdwardsPoint) -> Result<Self, PointError> {
        if point == EdwardsPoint::identity() {
            return Err(PointError::Identity);
        }
        Ok(Self {
            point,
            bytes: point.compress().to_bytes(),
        })
    }

    /// A point whose encoding is known and whose checks have been made.
    pub(crate) const fn from_checked(point: EdwardsPoint, bytes: [u8; 32]) -> Self {
        Self { point, bytes }
    }

    /// The base point B of RFC 8032.
    #[must_use]
    pub fn base() -> Self {
        Self {
            point: ED25519_BASEPOINT_POINT,
            bytes: ED25519_BASEPOINT_POINT.compress().to_bytes(),
        }
    }

    /// The point for arithmetic.
    #[must_use]
    pub const fn as_edwards(&self) -> &EdwardsPoint {
        &self.point
    }

    /// The encoding.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// Decompresses the only encoding of a point; `decompress` alone also takes the non-canonical ones.
pub(crate) fn decompress_canonical(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    // y must be below p = 2^255 - 19, and x = 0 has no sign: recompression shows both.
    let point = CompressedEdwardsY(*bytes).decompress()?;
    (point.compress().as_bytes() == bytes).then_some(point)
}

/// Whether the group order times the point is the identity. In variable time: received points are public.
fn is_torsion_free(point: &EdwardsPoint) -> bool {
    // (l - 1)·P = -P, since l itself is not a representable scalar.
    let almost_order = -Scalar::ONE;
    EdwardsPoint::vartime_double_scalar_mul_basepoint(&almost_order, point, &Scalar::ZERO) == -point
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Point {}

impl core::hash::Hash for Point {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl core::fmt::Display for Point {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write_hex(f, &self.bytes)
    }
}

impl core::fmt::Debug for Point {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Point({self})")
    }
}

impl core::str::FromStr for Point {
    type Err = PointError;

    fn from_str(text: &str) -> Result<Self, PointError> {
        Self::from_bytes(&parse_hex(text).ok_or(PointError::Encoding)?)
    }
}

impl Canonical for Point {
    fn encode(&self, writer: &mut Writer) {
        writer.fixed(&self.bytes);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::from_bytes(&reader.fixed()?).map_err(|_| DecodeError::Invalid("point"))
    }
}

/// Reads a scalar below the group order, 32 bytes little-endian.
pub(crate) fn decode_scalar(reader: &mut Reader<'_>) -> Result<Scalar, DecodeError> {
    Option::from(Scalar::from_canonical_bytes(reader.fixed()?)).ok_or(DecodeError::Invalid("scalar"))
}

/// The second generator B2, of which nobody knows the logarithm to the base B.
///
/// Candidate i is the 32-byte digest of the transcript `SecondGenerator{"counter": u32 i}`, read as a compressed
/// point. The first that is a canonical encoding is multiplied by the cofactor 8; B2 is the first such multiple
/// that is not the identity.
#[must_use]
pub fn second_generator() -> Point {
    SECOND.point
}

/// The table that multiplies B2 in constant time.
pub(crate) fn second_generator_table() -> &'static EdwardsBasepointTable {
    &SECOND.table
}

struct SecondGenerator {
    point: Point,
    table: EdwardsBasepointTable,
}

static SECOND: LazyLock<SecondGenerator> = LazyLock::new(|| {
    let point = derive_second_generator();
    SecondGenerator {
        point,
        table: EdwardsBasepointTable::create(point.as_edwards()),
    }
});

fn derive_second_generator() -> Point {
    let mut counter = 0_u32;
    loop {
        let digest = Transcript::new(Domain::SecondGenerator)
            .append("counter", &counter.to_be_bytes())
            .digest();
        let multiple = decompress_canonical(&digest).map(|candidate| candidate.mul_by_cofactor());
        if let Some(Ok(point)) = multiple.map(Point::from_subgroup) {
            return point;
        }
        // About every second candidate is on the curve.
        counter = counter.wrapping_add(1);
    }
}
