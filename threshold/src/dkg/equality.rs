//! The equality round: all members have received the same commitments from every dealer, or the liar is named.
//!
//! Each member signs a report of what it received: the digest of each dealer's package, with the dealer's signature on it.
//! Two reports that differ show either two packages signed by one dealer, or a report of what no dealer signed.

use super::ceremony::Ceremony;
use super::error::DkgError;
use super::message::{Attestation, Envelope, Equivocation, Kind, SignedMessage, collect};
use super::round1;
use crate::committee::{MAX_MEMBERS, ParticipantIndex};
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::signature::PublicKey;
use crate::transcript::{Domain, SUITE_ID, Transcript};
use ed25519_dalek::SigningKey;
use frost_ed25519 as frost;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Every seat's round-1 package, strictly parsed, as one member received them.
#[derive(Debug, Clone)]
pub struct Round1 {
    transcript: [u8; 32],
    attestations: Vec<Attestation>,
    packages: BTreeMap<ParticipantIndex, frost::keys::dkg::round1::Package>,
}

impl Round1 {
    /// Takes one message from every seat, this member's own among them.
    ///
    /// # Errors
    /// [`DkgError`]: a message that is not due, is missing or contradicts another; a package that is malformed, of
    /// another degree than `t - 1`, with an improper point, or with a proof of possession that does not hold.
    pub fn collect(ceremony: &Ceremony, messages: Vec<SignedMessage>) -> Result<Self, DkgError> {
        let threshold = ceremony.threshold();
        let messages = collect(ceremony, Kind::Round1, None, threshold.indices(), messages)?;
        let mut transcript = Transcript::new(Domain::Transcript).append("ceremony", ceremony.id().as_bytes());
        let mut packages = BTreeMap::new();
        for (dealer, message) in &messages {
            packages.insert(*dealer, commitments(ceremony, message)?);
            transcript.add("package", message.payload());
        }
        let attestations = messages.values().map(SignedMessage::attestation).collect();
        Ok(Self {
            transcript: transcript.digest(),
            attestations,
            packages,
        })
    }

    /// The digest of the ceremony id and all packages in seat order.
    #[must_use]
    pub const fn transcript(&self) -> &[u8; 32] {
        &self.transcript
    }

    /// This member's signed report, to all.
    ///
    /// # Errors
    /// [`DkgError::NotASeat`].
    pub fn report(&self, ceremony: &Ceremony, identity: &SigningKey) -> Result<SignedMessage, DkgError> {
        let seat = ceremony
            .seat_of(&PublicKey::of(identity))
            .ok_or(DkgError::NotASeat)?;
        let report = EqualityReport {
            attestations: self.attestations.clone(),
        };
        let envelope = Envelope {
            ceremony: ceremony.id(),
            sender: seat.index,
            recipient: None,
            kind: Kind::Equality,
        };
        Ok(SignedMessage::sign(
            envelope,
            Zeroizing::new(report.to_bytes()),
            identity,
        ))
    }
}

/// What a member says it received in round 1.
///
/// Encoded as version 2, suite, attestation count (4), attestations (96 each) in seat order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EqualityReport {
    /// Each dealer's payload digest and signature.
    pub attestations: Vec<Attestation>,
}

const VERSION: u8 = 2;

impl Canonical for EqualityReport {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.list(&self.attestations);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("equality report"));
        }
        Ok(Self {
            attestations: reader.list(MAX_MEMBERS.into())?,
        })
    }
}

/// The package of a round-1 message, checked as far as it can be by itself.
fn commitments(
    ceremony: &Ceremony,
    message: &SignedMessage,
) -> Result<frost::keys::dkg::round1::Package, DkgError> {
    let culprit = message.sender();
    round1::Package::from_bytes(message.payload())
        .map_err(|error| DkgError::Malformed { culprit, error })?
        .to_frost(ceremony.threshold(), culprit)
}

/// The report of a message of the equality round.
fn reported(message: &SignedMessage) -> Result<EqualityReport, DkgError> {
    let culprit = message.sender();
    EqualityReport::from_bytes(message.payload()).map_err(|error| DkgError::Malformed { culprit, error })
}

/// Checks a message to all by itself, as anybody can: commitments, or a report.
///
/// # Errors
/// With a culprit if what its sender signed is wrong: [`DkgError::Malformed`], [`DkgError::CommitmentCount`],
/// [`DkgError::Commitment`] or [`DkgError::Proof`] of commitments, [`DkgError::Malformed`] or [`DkgError::FalseReport`] of
/// a report. Without one if the message is no evidence: another ceremony's, forged, or not to all.
pub fn check_message(ceremony: &Ceremony, message: &SignedMessage) -> Result<(), DkgError> {
    message.verify(ceremony)?;
    message.expect(message.kind(), None)?;
    match message.kind() {
        Kind::Round1 => commitments(ceremony, message).map(drop),
        Kind::Equality => {
            let report = reported(message)?;
            let seats = ceremony.threshold().indices();
            let signed = |(sender, attestation)| {
                let envelope = Envelope {
                    ceremony: ceremony.id(),
                    sender,
                    recipient: None,
                    kind: Kind::Round1,
                };
                envelope.verify(ceremony, attestation).is_ok()
            };
            if report.attestations.len() == ceremony.seats().len()
                && seats.zip(&report.attestations).all(signed)
            {
                Ok(())
            } else {
                let culprit = message.sender();
                Err(DkgError::FalseReport { culprit })
            }
        }
        Kind::Round2 => Err(DkgError::NotDue {
            sender: message.sender(),
            found: Kind::Round2,
        }),
    }
}

/// All members have signed that they received the same packages. Only [`Agreement::reach`] makes one.
#[derive(Debug, Clone)]
pub struct Agreement {
    ceremony: Ceremony,
    round1: Round1,
}

impl Agreement {
    /// Compares the reports of all seats, this member's own among them, with what this member received.
    ///
    /// # Errors
    /// [`DkgError::Equivocation`] with the evidence against each dealer, or [`DkgError::FalseReport`]; and as for
    /// every round, messages that are not due, missing, malformed or contradictory.
    pub fn reach(ceremony: &Ceremony, round1: Round1, reports: Vec<SignedMessage>) -> Result<Self, DkgError> {
        let messages = collect(
            ceremony,
            Kind::Equality,
            None,
            ceremony.threshold().indices(),
            reports,
        )?;
        let mut equivocations: BTreeMap<ParticipantIndex, Equivocation> = BTreeMap::new();
        let mut liar = None;
        for (reporter, message) in &messages {
            match compare(ceremony, &round1, &reported(message)?) {
                Some(found) => {
                    equivocations.extend(found.into_iter().map(|evidence| (evidence.sender, evidence)));
                }
                None => liar = liar.or(Some(*reporter)),
            }
        }
        if !equivocations.is_empty() {
            return Err(DkgError::Equivocation(equivocations.into_values().collect()));
        }
        match liar {
            Some(culprit) => Err(DkgError::FalseReport { culprit }),
            None => Ok(Self {
                ceremony: ceremony.clone(),
                round1,
            }),
        }
    }

    /// The ceremony.
    #[must_use]
    pub const fn ceremony(&self) -> &Ceremony {
        &self.ceremony
    }

    /// The digest that all members have signed.
    #[must_use]
    pub const fn transcript(&self) -> &[u8; 32] {
        &self.round1.transcript
    }

    pub(super) fn payload_digest(&self, seat: ParticipantIndex) -> Option<&[u8; 32]> {
        self.round1
            .attestations
            .get(seat.position())
            .map(|attestation| &attestation.payload_digest)
    }

    pub(super) const fn packages(&self) -> &BTreeMap<ParticipantIndex, frost::keys::dkg::round1::Package> {
        &self.round1.packages
    }
}

/// Where the report differs, each time by its dealer's fault; `None` if the report lists what no dealer signed.
fn compare(ceremony: &Ceremony, own: &Round1, report: &EqualityReport) -> Option<Vec<Equivocation>> {
    if report.attestations.len() != own.attestations.len() {
        return None;
    }
    let pairs = own.attestations.iter().zip(&report.attestations);
    let differ = ceremony.threshold().indices().zip(pairs);
    let differ = differ.filter(|(_, (first, second))| first.payload_digest != second.payload_digest);
    differ
        .map(|(sender, (first, second))| {
            let evidence = Equivocation {
                sender,
                recipient: None,
                kind: Kind::Round1,
                first: *first,
                second: *second,
            };
            evidence.verify(ceremony).is_ok().then_some(evidence)
        })
        .collect()
}
