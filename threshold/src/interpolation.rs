//! Lagrange interpolation over participant indices. All of it is public arithmetic.

use crate::committee::ParticipantIndex;
use curve25519_dalek::scalar::Scalar;

#[cfg(test)]
mod tests;

/// The coefficients λ_i(x) with `f(x) = Σ λ_i(x)·f(i)` for every polynomial of degree below the number of indices.
///
/// `None` if two indices are equal: then no polynomial is determined.
pub(crate) fn coefficients(indices: &[ParticipantIndex], at: Scalar) -> Option<Vec<Scalar>> {
    let points: Vec<Scalar> = indices.iter().map(|index| index.scalar()).collect();
    let mut numerators = Vec::with_capacity(points.len());
    let mut denominators = Vec::with_capacity(points.len());
    for (i, own) in points.iter().enumerate() {
        let (mut numerator, mut denominator) = (Scalar::ONE, Scalar::ONE);
        for (_, other) in points.iter().enumerate().filter(|(j, _)| *j != i) {
            numerator *= at - other;
            denominator *= own - other;
        }
        if denominator == Scalar::ZERO {
            return None;
        }
        numerators.push(numerator);
        denominators.push(denominator);
    }
    Scalar::batch_invert(&mut denominators);
    Some(
        numerators
            .iter()
            .zip(&denominators)
            .map(|(numerator, inverse)| numerator * inverse)
            .collect(),
    )
}
