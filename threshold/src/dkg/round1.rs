//! Round 1: commitments to a polynomial, and the proof that its constant term is known.

use crate::committee::{MAX_MEMBERS, ParticipantIndex, Threshold};
use crate::dkg::error::DkgError;
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::group::{Point, PointError};
use crate::ids::CeremonyId;
use crate::transcript::SUITE_ID;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use frost::Ciphersuite as _;
use frost_ed25519 as frost;

/// What travels: the commitments, constant term first, and a Schnorr proof of possession of the constant term.
///
/// Encoded as version 1, suite, commitment count (4), commitments (32 each), proof R (32) and z (32). The points
/// are kept as bytes until their number is known to be t: nothing is computed on a package of another degree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// `A_0 .. A_{t-1}`.
    pub commitments: Vec<[u8; 32]>,
    /// R of the proof.
    pub proof_r: [u8; 32],
    /// z of the proof, little-endian.
    pub proof_z: [u8; 32],
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
        writer.fixed(&self.proof_r);
        writer.fixed(&self.proof_z);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("round-1 package"));
        }
        let count = reader.count(MAX_MEMBERS.into())?;
        let commitments = (0..count).map(|_| reader.fixed()).collect::<Result<_, _>>()?;
        Ok(Self {
            commitments,
            proof_r: reader.fixed()?,
            proof_z: reader.fixed()?,
        })
    }
}

impl Package {
    pub(super) fn from_frost(package: &frost::keys::dkg::round1::Package) -> Result<Self, DkgError> {
        let commitments = package
            .commitment()
            .serialize()
            .map_err(library)?
            .iter()
            .map(|bytes| bytes.as_slice().try_into().map_err(library))
            .collect::<Result<_, _>>()?;
        let proof = package.proof_of_knowledge().serialize().map_err(library)?;
        let (proof_r, proof_z) = proof.split_at_checked(32).ok_or(DkgError::Degenerate)?;
        Ok(Self {
            commitments,
            proof_r: proof_r.try_into().map_err(library)?,
            proof_z: proof_z.try_into().map_err(library)?,
        })
    }

    /// The package for the library: degree first, then every point and scalar strictly, then the proof. The library checks
    /// the proof again, but only of a whole round; here a third party can check it of one package.
    pub(super) fn to_frost(
        &self,
        threshold: Threshold,
        culprit: ParticipantIndex,
    ) -> Result<frost::keys::dkg::round1::Package, DkgError> {
        let (expected, found) = (usize::from(threshold.t()), self.commitments.len());
        if found != expected {
            return Err(DkgError::CommitmentCount {
                culprit,
                expected,
                found,
            });
        }
        let point = |bytes| {
            Point::from_bytes(bytes).map_err(|error: PointError| DkgError::Commitment { culprit, error })
        };
        let commitments = self.commitments.iter().map(point);
        let commitments = commitments.collect::<Result<Vec<_>, _>>()?;
        let r = point(&self.proof_r)?;
        let z = Option::<Scalar>::from(Scalar::from_canonical_bytes(self.proof_z));
        let z = z.ok_or(DkgError::Malformed {
            culprit,
            error: DecodeError::Invalid("scalar"),
        })?;
        let constant = commitments.first().ok_or(DkgError::Degenerate)?;
        if !proves_possession(culprit, constant, &r, &z)? {
            return Err(DkgError::Proof { culprit });
        }
        let commitment = frost::keys::VerifiableSecretSharingCommitment::deserialize(&self.commitments);
        let proof = frost::Signature::deserialize(&[self.proof_r, self.proof_z].concat());
        Ok(frost::keys::dkg::round1::Package::new(
            commitment.map_err(library)?,
            proof.map_err(library)?,
        ))
    }
}

/// Whether `z·B = R + c·A_0`, with the challenge that the library hashes from the seat, `A_0` and R.
fn proves_possession(
    seat: ParticipantIndex,
    constant: &Point,
    r: &Point,
    z: &Scalar,
) -> Result<bool, DkgError> {
    let identifier = frost::Identifier::try_from(seat.get())
        .map_err(library)?
        .serialize();
    let preimage = [identifier.as_slice(), constant.as_bytes(), r.as_bytes()].concat();
    let c = frost::Ed25519Sha512::HDKG(&preimage).ok_or(DkgError::Degenerate)?;
    let found = EdwardsPoint::vartime_double_scalar_mul_basepoint(&-c, constant.as_edwards(), z);
    Ok(found == *r.as_edwards())
}

/// What stays: the polynomial. Consumed by [`super::part2`], wiped when dropped.
pub struct SecretPackage {
    pub(super) ceremony: CeremonyId,
    pub(super) index: ParticipantIndex,
    pub(super) payload_digest: [u8; 32],
    pub(super) frost: frost::keys::dkg::round1::SecretPackage,
}

impl core::fmt::Debug for SecretPackage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("round1::SecretPackage")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// A refusal that the checks before it exclude.
pub(super) fn library(error: impl core::fmt::Display) -> DkgError {
    DkgError::Library(error.to_string())
}
