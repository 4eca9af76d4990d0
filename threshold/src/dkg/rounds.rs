//! The three parts of the key generation, in the order in which a member runs them.

use super::ceremony::Ceremony;
use super::equality::Agreement;
use super::error::DkgError;
use super::message::{Envelope, Kind, SignedMessage, collect};
use super::round1::{self, library};
use super::round2;
use crate::committee::{CommitteeManifest, Member, ParticipantIndex};
use crate::encoding::Canonical;
use crate::group::{Point, decode_scalar};
use crate::secret::{KeyShare, SecretScalar};
use crate::signature::PublicKey;
use ed25519_dalek::SigningKey;
use frost_ed25519 as frost;
use frost_ed25519::keys::dkg;
use rand_core::{CryptoRng, RngCore};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Round 1: draws this seat's polynomial and commits to it. The seat is that of the identity key.
///
/// # Errors
/// [`DkgError::NotASeat`].
pub fn part1(
    ceremony: &Ceremony,
    identity: &SigningKey,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(round1::SecretPackage, SignedMessage), DkgError> {
    let index = ceremony
        .seat_of(&PublicKey::of(identity))
        .ok_or(DkgError::NotASeat)?
        .index;
    let (t, n) = (ceremony.threshold().t(), ceremony.threshold().n());
    let (secret, package) = dkg::part1(identifier(index)?, n, t, &mut *rng).map_err(library)?;
    let payload = Zeroizing::new(round1::Package::from_frost(&package)?.to_bytes());
    let envelope = Envelope {
        ceremony: ceremony.id(),
        sender: index,
        recipient: None,
        kind: Kind::Round1,
    };
    let message = SignedMessage::sign(envelope, payload, identity);
    let payload_digest = message.attestation().payload_digest;
    Ok((
        round1::SecretPackage {
            ceremony: ceremony.id(),
            index,
            payload_digest,
            frost: secret,
        },
        message,
    ))
}

/// Round 2: deals this seat's shares, one message a member.
///
/// # Errors
/// [`DkgError::OwnPackage`] if this seat's package is not the agreed one.
pub fn part2(
    secret: round1::SecretPackage,
    agreement: &Agreement,
    identity: &SigningKey,
) -> Result<(round2::SecretPackage, Vec<SignedMessage>), DkgError> {
    let ceremony = agreement.ceremony();
    let round1::SecretPackage {
        ceremony: id,
        index,
        payload_digest,
        frost: secret,
    } = secret;
    if id != ceremony.id() {
        return Err(DkgError::OtherCeremony);
    }
    if agreement.payload_digest(index) != Some(&payload_digest) {
        return Err(DkgError::OwnPackage);
    }
    let (secret, packages) = dkg::part2(secret, &others(agreement, index)?).map_err(library)?;
    let mut messages = Vec::with_capacity(packages.len());
    for recipient in ceremony.threshold().indices().filter(|seat| *seat != index) {
        let package = packages
            .get(&identifier(recipient)?)
            .ok_or(DkgError::Degenerate)?;
        let share = Zeroizing::new(package.signing_share().serialize());
        let share = decode_scalar(&mut crate::encoding::Reader::new(&share)).map_err(library)?;
        let payload = round2::Package {
            share: SecretScalar::new(share),
        }
        .to_secret_bytes();
        let recipient = Some(recipient);
        let envelope = Envelope {
            ceremony: id,
            sender: index,
            recipient,
            kind: Kind::Round2,
        };
        messages.push(SignedMessage::sign(envelope, payload, identity));
    }
    Ok((
        round2::SecretPackage {
            ceremony: id,
            index,
            frost: secret,
        },
        messages,
    ))
}

/// The end: checks every dealer's share against its commitments, adds them, and computes everybody's public share.
///
/// The manifest is not signed yet. The key is not usable until every member has signed it and a canary came back.
///
/// # Errors
/// [`DkgError::Share`] names the dealer, whose signed message is the evidence; and as for every round, messages
/// that are not due, missing, malformed or contradictory.
pub fn part3(
    secret: round2::SecretPackage,
    agreement: &Agreement,
    messages: Vec<SignedMessage>,
) -> Result<(KeyShare, CommitteeManifest), DkgError> {
    let ceremony = agreement.ceremony();
    let round2::SecretPackage {
        ceremony: id,
        index,
        frost: secret,
    } = secret;
    if id != ceremony.id() {
        return Err(DkgError::OtherCeremony);
    }
    let dealers = ceremony.threshold().indices().filter(|seat| *seat != index);
    let mut received = BTreeMap::new();
    for (dealer, message) in collect(ceremony, Kind::Round2, Some(index), dealers, messages)? {
        let package =
            round2::Package::from_bytes(message.payload()).map_err(|error| DkgError::Malformed {
                culprit: dealer,
                error,
            })?;
        let share =
            frost::keys::SigningShare::deserialize(package.share.expose().as_bytes()).map_err(library)?;
        received.insert(identifier(dealer)?, dkg::round2::Package::new(share));
    }
    let (key, public) = dkg::part3(&secret, &others(agreement, index)?, &received)
        .map_err(|error| refusal(&error, ceremony))?;
    let manifest = manifest(ceremony, &public)?;
    let share = Zeroizing::new(key.signing_share().serialize());
    let share = decode_scalar(&mut crate::encoding::Reader::new(&share)).map_err(library)?;
    let share =
        KeyShare::new(index, SecretScalar::new(share), &manifest).map_err(|_| DkgError::Degenerate)?;
    Ok((share, manifest))
}

/// The manifest, from the commitments alone: X is the sum of constant terms, `X_i` their polynomials at i.
fn manifest(
    ceremony: &Ceremony,
    public: &frost::keys::PublicKeyPackage,
) -> Result<CommitteeManifest, DkgError> {
    let point = |bytes: Result<Vec<u8>, frost::Error>| {
        let bytes = bytes
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or(DkgError::Degenerate)?;
        Point::from_bytes(&bytes).map_err(|_| DkgError::Degenerate)
    };
    let mut members = Vec::with_capacity(ceremony.seats().len());
    for seat in ceremony.seats() {
        let share = public
            .verifying_shares()
            .get(&identifier(seat.index)?)
            .ok_or(DkgError::Degenerate)?;
        members.push(Member {
            index: seat.index,
            name: seat.name.clone(),
            identity: seat.identity,
            address: seat.address.clone(),
            public_share: point(share.serialize())?,
        });
    }
    let public_key = point(public.verifying_key().serialize())?;
    CommitteeManifest::first(public_key, ceremony.threshold(), members).map_err(library)
}

fn identifier(index: ParticipantIndex) -> Result<frost::Identifier, DkgError> {
    frost::Identifier::try_from(index.get()).map_err(library)
}

/// The packages of all other dealers, as the library wants them.
fn others(
    agreement: &Agreement,
    own: ParticipantIndex,
) -> Result<BTreeMap<frost::Identifier, dkg::round1::Package>, DkgError> {
    let others = agreement.packages().iter().filter(|(dealer, _)| **dealer != own);
    others
        .map(|(dealer, package)| Ok((identifier(*dealer)?, package.clone())))
        .collect()
}

/// The library's refusal of a share with its first culprit, if it names one.
fn refusal(error: &frost::Error, ceremony: &Ceremony) -> DkgError {
    let named = error.culprits();
    let is_named =
        |seat: &ParticipantIndex| identifier(*seat).is_ok_and(|identifier| named.contains(&identifier));
    ceremony
        .threshold()
        .indices()
        .find(is_named)
        .map_or_else(|| library(error), |culprit| DkgError::Share { culprit })
}
