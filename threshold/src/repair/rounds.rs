//! The three parts of a repair, in the order in which they are run.

use super::ceremony::Repair;
use super::error::RepairError;
use super::evidence::{Evidence, Fault, compare, proper, sum_of};
use super::message::{Kind, SignedMessage};
use crate::committee::{MAX_MEMBERS, ParticipantIndex};
use crate::dkg::round2;
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::feldman::Package;
use crate::group::{Point, decode_scalar};
use crate::message::{Attestation, BySender, Envelope, collect};
use crate::secret::{KeyShare, SecretScalar};
use crate::signature::PublicKey;
use crate::transcript::SUITE_ID;
use curve25519_dalek::constants::ED25519_BASEPOINT_TABLE;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::SigningKey;
use rand_core::{CryptoRng, RngCore};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// What a helper passes on: the sum of its parts, and which commitments it checked them against.
///
/// Encoded as version 1, suite, the sum (32, little-endian, below the group order), attestation count (4), the
/// attestation (96) of every helper's commitments in order. Secret.
#[derive(Debug)]
pub struct Sum {
    /// `σ_j = Σ δ_ij`.
    pub sum: SecretScalar,
    /// What each helper signed.
    pub commitments: Vec<Attestation>,
}

const VERSION: u8 = 1;

impl Sum {
    /// The encoding in a buffer that is wiped.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::with_capacity(2 + 32 + 4 + self.commitments.len() * 96);
        self.encode(&mut writer);
        Zeroizing::new(writer.finish())
    }
}

impl Canonical for Sum {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.fixed(self.sum.expose().as_bytes());
        writer.list(&self.commitments);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("repair sum"));
        }
        Ok(Self {
            sum: SecretScalar::new(decode_scalar(reader)?),
            commitments: reader.list(MAX_MEMBERS.into())?,
        })
    }
}

fn helper(repair: &Repair, identity: &SigningKey) -> Result<ParticipantIndex, RepairError> {
    let member = repair.manifest().member_by_identity(&PublicKey::of(identity));
    member
        .map(|member| member.index)
        .filter(|index| repair.helpers().contains(index))
        .ok_or(RepairError::NotAHelper)
}

fn envelope(
    repair: &Repair,
    sender: ParticipantIndex,
    recipient: Option<ParticipantIndex>,
    kind: Kind,
) -> Envelope<Kind> {
    Envelope {
        ceremony: repair.id(),
        sender,
        recipient,
        kind,
    }
}

/// A helper splits `λ_i·x_i` at random: its commitments, to all, and its part for each helper, itself among them.
///
/// # Errors
/// [`RepairError::NotAHelper`], and [`RepairError::OtherManifest`] if the share is of another epoch or key.
pub fn part1(
    repair: &Repair,
    share: &KeyShare,
    identity: &SigningKey,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(SignedMessage, Vec<SignedMessage>), RepairError> {
    if share.manifest_digest() != repair.manifest().digest() {
        return Err(RepairError::OtherManifest);
    }
    let sender = helper(repair, identity)?;
    let lambda = repair
        .lambda(sender)
        .filter(|_| share.index() == sender)
        .ok_or(RepairError::NotAHelper)?;
    // All parts but the last are random; the last is what is left.
    let mut rest = Zeroizing::new(lambda * share.secret().expose());
    let mut parts = Vec::with_capacity(repair.helpers().len());
    for _ in repair.helpers().iter().skip(1) {
        let part = SecretScalar::random(rng);
        *rest -= part.expose();
        parts.push(part);
    }
    parts.push(SecretScalar::new(*rest));
    let commit = |part: &SecretScalar| {
        let point = Point::from_subgroup(ED25519_BASEPOINT_TABLE * part.expose());
        point.map(|point| *point.as_bytes())
    };
    let package = Package {
        commitments: parts
            .iter()
            .map(commit)
            .collect::<Result<_, _>>()
            .map_err(|_| RepairError::Degenerate)?,
    };
    let commitments = SignedMessage::sign(
        envelope(repair, sender, None, Kind::Commitments),
        Zeroizing::new(package.to_bytes()),
        identity,
    );
    let messages = repair.helpers().iter().zip(parts).map(|(to, part)| {
        let envelope = envelope(repair, sender, Some(*to), Kind::Part);
        let payload = round2::Package { share: part }.to_secret_bytes();
        SignedMessage::sign(envelope, payload, identity)
    });
    Ok((commitments, messages.collect()))
}

/// Everybody's commitments, each proper, with what its helper signed.
struct Committed {
    messages: BySender<Kind>,
    points: BTreeMap<ParticipantIndex, Vec<Point>>,
}

impl Committed {
    fn collect(repair: &Repair, messages: Vec<SignedMessage>) -> Result<Self, RepairError> {
        let helpers = repair.helpers().iter().copied();
        let messages = collect(repair, Kind::Commitments, None, helpers, messages)?;
        let (mut points, mut evidence) = (BTreeMap::new(), Vec::new());
        for (helper, message) in &messages {
            match proper(repair, message) {
                Ok(proper) => drop(points.insert(*helper, proper)),
                Err(_) => evidence.push(Evidence::Commitments(message.duplicate())),
            }
        }
        if evidence.is_empty() {
            Ok(Self { messages, points })
        } else {
            Err(RepairError::Cheated(evidence))
        }
    }

    fn attestations(&self) -> Vec<Attestation> {
        self.messages.values().map(SignedMessage::attestation).collect()
    }

    fn duplicates(&self) -> Vec<SignedMessage> {
        self.messages.values().map(SignedMessage::duplicate).collect()
    }
}

/// A helper checks the parts that it got from every helper, and adds them, for the member that lost its share.
///
/// # Errors
/// [`RepairError::Cheated`] with the evidence against each helper whose commitments do not add up, or whose part does not
/// fit them; [`RepairError::NotAHelper`]; and messages that are missing, contradictory or not due.
pub fn part2(
    repair: &Repair,
    commitments: Vec<SignedMessage>,
    parts: Vec<SignedMessage>,
    identity: &SigningKey,
) -> Result<SignedMessage, RepairError> {
    let me = helper(repair, identity)?;
    let committed = Committed::collect(repair, commitments)?;
    let helpers = repair.helpers().iter().copied();
    let parts = collect(repair, Kind::Part, Some(me), helpers, parts)?;
    let (mut sum, mut evidence) = (Zeroizing::new(Scalar::ZERO), Vec::new());
    for (sender, part) in parts {
        let parsed = round2::Package::from_bytes(part.payload()).ok();
        let points = committed.points.get(&sender);
        let expected = repair.position(me).and_then(|at| points?.get(at));
        match (parsed, expected) {
            (Some(package), Some(point))
                if ED25519_BASEPOINT_TABLE * package.share.expose() == *point.as_edwards() =>
            {
                *sum += package.share.expose();
            }
            _ => {
                let message = committed.messages.get(&sender).map(SignedMessage::duplicate);
                let commitments = message.ok_or(RepairError::Degenerate)?;
                evidence.push(Evidence::Part { commitments, part });
            }
        }
    }
    if !evidence.is_empty() {
        return Err(RepairError::Cheated(evidence));
    }
    let payload = Sum {
        sum: SecretScalar::new(*sum),
        commitments: committed.attestations(),
    }
    .to_secret_bytes();
    let envelope = envelope(repair, me, Some(repair.lost()), Kind::Sum);
    Ok(SignedMessage::sign(envelope, payload, identity))
}

/// The member adds the sums to its share, `x_r = Σ σ_j`, and checks it against the manifest.
///
/// # Errors
/// [`RepairError::Cheated`] with the evidence against each helper whose commitments do not add up or differ from helper
/// to helper, or whose sum does not fit them; [`RepairError::NotTheLost`]; and messages that are missing,
/// contradictory or not due.
pub fn part3(
    repair: &Repair,
    commitments: Vec<SignedMessage>,
    sums: Vec<SignedMessage>,
    identity: &SigningKey,
) -> Result<KeyShare, RepairError> {
    let lost = repair.lost();
    let member = repair.manifest().member_by_identity(&PublicKey::of(identity));
    if member.is_none_or(|member| member.index != lost) {
        return Err(RepairError::NotTheLost);
    }
    let committed = Committed::collect(repair, commitments)?;
    let helpers = repair.helpers().iter().copied();
    let sums = collect(repair, Kind::Sum, Some(lost), helpers, sums)?;
    let own = committed.attestations();
    let points: Vec<&[Point]> = committed.points.values().map(Vec::as_slice).collect();
    let (mut share, mut evidence) = (Zeroizing::new(Scalar::ZERO), Vec::new());
    let mut equivocations = BTreeMap::new();
    for (helper, message) in sums {
        let parsed = Sum::from_bytes(message.payload()).map_err(Fault::Malformed);
        let checked = parsed.and_then(|said| {
            let found = compare(repair, &own, &said.commitments)?;
            if found.is_empty()
                && ED25519_BASEPOINT_TABLE * said.sum.expose() != sum_of(repair, helper, &points)
            {
                return Err(Fault::Sum);
            }
            Ok((said, found))
        });
        match checked {
            Ok((said, found)) => {
                *share += said.sum.expose();
                equivocations.extend(found.into_iter().map(|evidence| (evidence.sender, evidence)));
            }
            Err(_) => evidence.push(Evidence::Sum {
                sum: message,
                commitments: committed.duplicates(),
            }),
        }
    }
    evidence.extend(equivocations.into_values().map(Evidence::Equivocation));
    if !evidence.is_empty() {
        return Err(RepairError::Cheated(evidence));
    }
    KeyShare::new(lost, SecretScalar::new(*share), repair.manifest()).map_err(|_| RepairError::Degenerate)
}
