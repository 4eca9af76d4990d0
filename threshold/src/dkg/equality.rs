//! The equality round: all members have received the same commitments from every dealer, or the liar is named.
//!
//! Each member signs a report of what it received: the digest of all packages, and each dealer's signature on its
//! own. Two reports that differ show either two packages signed by one dealer, or a report that no dealer signed.

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
    /// another degree than `t - 1`, or with an improper point.
    pub fn collect(ceremony: &Ceremony, messages: Vec<SignedMessage>) -> Result<Self, DkgError> {
        let threshold = ceremony.threshold();
        let messages = collect(ceremony, Kind::Round1, None, threshold.indices(), messages)?;
        let mut transcript = Transcript::new(Domain::Transcript).append("ceremony", ceremony.id().as_bytes());
        let mut packages = BTreeMap::new();
        for (dealer, message) in &messages {
            let package =
                round1::Package::from_bytes(message.payload()).map_err(|error| DkgError::Malformed {
                    culprit: *dealer,
                    error,
                })?;
            packages.insert(*dealer, package.to_frost(threshold, *dealer)?);
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
            transcript: self.transcript,
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
/// Encoded as version 1, suite, transcript digest (32), attestation count (4), attestations (96 each) in seat order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EqualityReport {
    /// The digest of the ceremony id and all packages in seat order.
    pub transcript: [u8; 32],
    /// Each dealer's payload digest and signature.
    pub attestations: Vec<Attestation>,
}

const VERSION: u8 = 1;

impl Canonical for EqualityReport {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.fixed(&self.transcript);
        writer.list(&self.attestations);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("equality report"));
        }
        Ok(Self {
            transcript: reader.fixed()?,
            attestations: reader.list(MAX_MEMBERS.into())?,
        })
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
            let report =
                EqualityReport::from_bytes(message.payload()).map_err(|error| DkgError::Malformed {
                    culprit: *reporter,
                    error,
                })?;
            match compare(ceremony, &round1, &report) {
                Comparison::Equal => {}
                Comparison::Equivocations(found) => {
                    equivocations.extend(found.into_iter().map(|evidence| (evidence.sender, evidence)));
                }
                Comparison::False => liar = liar.or(Some(*reporter)),
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

enum Comparison {
    Equal,
    Equivocations(Vec<Equivocation>),
    False,
}

fn compare(ceremony: &Ceremony, own: &Round1, report: &EqualityReport) -> Comparison {
    if report.attestations.len() != own.attestations.len() {
        return Comparison::False;
    }
    let mut found = Vec::new();
    let pairs = own.attestations.iter().zip(&report.attestations);
    for (sender, (first, second)) in ceremony.threshold().indices().zip(pairs) {
        if first.payload_digest == second.payload_digest {
            continue;
        }
        let evidence = Equivocation {
            sender,
            recipient: None,
            kind: Kind::Round1,
            first: *first,
            second: *second,
        };
        match evidence.verify(ceremony) {
            Ok(()) => found.push(evidence),
            Err(_) => return Comparison::False,
        }
    }
    match (found.is_empty(), own.transcript == report.transcript) {
        (true, true) => Comparison::Equal,
        (false, false) => Comparison::Equivocations(found),
        // The digest and the list beneath it say different things.
        _ => Comparison::False,
    }
}
