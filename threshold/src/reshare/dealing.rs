//! What a dealer does: share its share.

use super::ceremony::Resharing;
use super::error::ReshareError;
use super::evidence::Fault;
use super::message::{Kind, SignedMessage};
use crate::committee::ParticipantIndex;
use crate::dkg::round2;
use crate::encoding::Canonical;
use crate::feldman::{self, Commitments, Package};
use crate::message::Envelope;
use crate::secret::KeyShare;
use crate::signature::PublicKey;
use ed25519_dalek::SigningKey;
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

/// The commitments of a dealer, if they are proper: t of them, proper points, and the dealer's `X_i` in front.
pub(super) fn proper(
    resharing: &Resharing,
    dealer: ParticipantIndex,
    payload: &[u8],
) -> Result<Commitments, Fault> {
    let package = Package::from_bytes(payload).map_err(Fault::Malformed)?;
    let commitments =
        Commitments::parse(&package.commitments, resharing.threshold()).map_err(Fault::Commitments)?;
    let member = resharing.previous().member(dealer);
    if commitments.constant() == member.map(|member| &member.public_share) {
        Ok(commitments)
    } else {
        Err(Fault::ConstantTerm)
    }
}

/// Whether a share message holds what its dealer's commitments say.
pub(super) fn fits(commitments: &Commitments, to: ParticipantIndex, share: &SignedMessage) -> bool {
    round2::Package::from_bytes(share.payload()).is_ok_and(|package| commitments.fit(to, &package.share))
}

/// A dealer's part: its commitments, to all, and its share for each new seat, each in confidence. One of the
/// recipients may be the dealer itself.
///
/// A dealer that deals twice in one resharing contradicts itself: it sends these messages again, or none.
///
/// # Errors
/// [`ReshareError::NotADealer`] if the identity or the share is not an old member's, and
/// [`ReshareError::OtherManifest`] if the share is of another epoch or key than the resharing starts from.
pub fn deal(
    resharing: &Resharing,
    share: &KeyShare,
    identity: &SigningKey,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(SignedMessage, Vec<SignedMessage>), ReshareError> {
    if share.manifest_digest() != resharing.previous().digest() {
        return Err(ReshareError::OtherManifest);
    }
    let sender = match resharing.dealer_of(&PublicKey::of(identity)) {
        Some(member) if member.index == share.index() => member.index,
        _ => return Err(ReshareError::NotADealer),
    };
    let dealt = feldman::deal(share.secret(), resharing.threshold(), rng).ok_or(ReshareError::Degenerate)?;
    let say = |kind, recipient, payload| {
        let envelope = Envelope {
            ceremony: resharing.id(),
            sender,
            recipient,
            kind,
        };
        SignedMessage::sign(envelope, payload, identity)
    };
    let package = Package {
        commitments: dealt.commitments,
    };
    let commitments = say(Kind::Commitments, None, Zeroizing::new(package.to_bytes()));
    let seats = resharing.threshold().indices();
    let shares = seats.zip(dealt.shares).map(|(seat, share)| {
        let payload = round2::Package { share }.to_secret_bytes();
        say(Kind::Share, Some(seat), payload)
    });
    Ok((commitments, shares.collect()))
}
