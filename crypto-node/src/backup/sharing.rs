//! Feldman's verifiable sharing of a fresh random scalar, by `vsss-rs`: whoever has a part can tell whether it is the one
//! that was dealt, without any other part.

use super::{BackupError, MAX_CUSTODIANS};
use curve25519_dalek::scalar::Scalar;
use rand_core::{CryptoRng, RngCore};
use threshold::encoding::{DecodeError, Reader, Writer};
use threshold::group::Point;
use vsss_rs::curve25519::{WrappedEdwards, WrappedScalar};
use vsss_rs::{
    FeldmanVerifierSet, IdentifierPrimeField, ReadableShareSet, ValueGroup, ValuePrimeField, feldman,
};
use zeroize::{Zeroize, Zeroizing};

type Share = (
    IdentifierPrimeField<WrappedScalar>,
    ValuePrimeField<WrappedScalar>,
);
type Verifier = ValueGroup<WrappedEdwards>;

/// One custodian's part, secret.
pub struct Part {
    number: u16,
    scalar: Scalar,
}

impl Part {
    /// Which custodian's it is, from 1.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// The part, to be encrypted.
    pub(super) fn expose(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.scalar.to_bytes())
    }

    pub(super) fn new(number: u16, scalar: &[u8; 32]) -> Option<Self> {
        let scalar = Option::from(Scalar::from_canonical_bytes(*scalar))?;
        Some(Self { number, scalar })
    }

    fn share(&self) -> Share {
        (
            identifier(self.number),
            IdentifierPrimeField(WrappedScalar(self.scalar)),
        )
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.scalar.zeroize();
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Part({}, redacted)", self.number)
    }
}

fn identifier(number: u16) -> IdentifierPrimeField<WrappedScalar> {
    IdentifierPrimeField(WrappedScalar(Scalar::from(number)))
}

/// The commitments to the polynomial's coefficients: as many as custodians are needed.
#[derive(Debug, Clone)]
pub struct Commitments(Vec<Point>);

impl Commitments {
    /// Whether a part is the one that was dealt.
    #[must_use]
    pub fn fit(&self, part: &Part) -> bool {
        let verifier = |point: &Point| ValueGroup(WrappedEdwards(*point.as_edwards()));
        let set: Vec<Verifier> = std::iter::once(Point::base())
            .chain(self.0.iter().cloned())
            .map(|point| verifier(&point))
            .collect();
        FeldmanVerifierSet::<Share, Verifier>::verify_share(&set, &part.share()).is_ok()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.count(self.0.len());
        self.0.iter().for_each(|point| writer.fixed(point.as_bytes()));
    }

    /// Reads exactly `threshold` commitments: more would mean that more custodians are needed.
    pub(super) fn read(reader: &mut Reader<'_>, threshold: u16) -> Result<Self, DecodeError> {
        let count = reader.count(MAX_CUSTODIANS)?;
        if count != usize::from(threshold) {
            return Err(DecodeError::Invalid("number of commitments"));
        }
        let mut points = Vec::with_capacity(count);
        for _ in 0..count {
            let point =
                Point::from_bytes(&reader.fixed()?).map_err(|_| DecodeError::Invalid("commitment"))?;
            points.push(point);
        }
        Ok(Self(points))
    }
}

/// The secret scalar.
pub(super) type Secret = Zeroizing<[u8; 32]>;

/// Shares a fresh random scalar out: its commitments, itself, and the parts.
pub(super) fn split(
    threshold: u16,
    custodians: usize,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<((Commitments, Secret), Vec<Part>), BackupError> {
    let failed = |error: vsss_rs::Error| BackupError::Sharing(error.to_string());
    let mut secret = IdentifierPrimeField(WrappedScalar(Scalar::random(rng)));
    let (mut shares, verifiers): (Vec<Share>, Vec<Verifier>) =
        feldman::split_secret(threshold.into(), custodians, &secret, None, &mut *rng).map_err(failed)?;
    let mut points = Vec::new();
    // The first is the generator.
    for verifier in verifiers.iter().skip(1) {
        let bytes = verifier.0.0.compress().to_bytes();
        let point = Point::from_bytes(&bytes).map_err(|error| BackupError::Sharing(error.to_string()))?;
        points.push(point);
    }
    let mut parts = Vec::with_capacity(custodians);
    for (number, (identifier_of, value)) in (1..).zip(&mut shares) {
        if *identifier_of != identifier(number) {
            return Err(BackupError::Sharing("parts out of order".to_owned()));
        }
        parts.push(Part {
            number,
            scalar: value.0.0,
        });
        value.0.0.zeroize();
    }
    let exposed = Zeroizing::new(secret.0.0.to_bytes());
    secret.0.0.zeroize();
    Ok(((Commitments(points), exposed), parts))
}

/// The secret scalar, from as many parts as are needed; each must fit.
pub(super) fn combine(parts: &[Part]) -> Result<Secret, BackupError> {
    let mut shares: Vec<Share> = parts.iter().map(Part::share).collect();
    let combined = shares.combine();
    shares.iter_mut().for_each(|(_, value)| value.0.0.zeroize());
    let mut secret = combined.map_err(|error| BackupError::Sharing(error.to_string()))?;
    let exposed = Zeroizing::new(secret.0.0.to_bytes());
    secret.0.0.zeroize();
    Ok(exposed)
}
