//! Which dealers count, the manifest that follows from them, and the signatures of every new seat on it.

use super::ceremony::{Party, Resharing};
use super::error::ReshareError;
use super::evidence::{Evidence, parse};
use super::message::{Equivocation, Kind, SignedMessage};
use super::report::{Dealing, Received, Verdict, equivocation};
use crate::committee::{CommitteeManifest, MAX_MEMBERS, Member, ParticipantIndex, SignedManifest};
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::feldman::Commitments;
use crate::group::Point;
use crate::ids::ManifestDigest;
use crate::interpolation;
use crate::message::{Attestation, BySender, Envelope, collect};
use crate::secret::{KeyShare, SecretScalar};
use crate::signature::{PublicKey, Signature};
use crate::transcript::{Domain, SUITE_ID};
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Why a member of the old committee is not among the dealers.
#[derive(Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// These seats did not receive all of its dealing. Nobody is to blame for it.
    NotReceived(Vec<ParticipantIndex>),
    /// It is proven to have cheated.
    Cheated(Box<Evidence>),
}

impl Exclusion {
    /// The culprit, if there is one.
    #[must_use]
    pub fn culprit(&self) -> Option<Party> {
        match self {
            Self::NotReceived(_) => None,
            Self::Cheated(evidence) => Some(evidence.accused()),
        }
    }
}

/// All reports are in and true, and t dealers remain. Only [`Agreement::reach`] makes one.
///
/// Every seat that has the same reports comes to the same manifest.
#[derive(Debug)]
pub struct Agreement {
    resharing: Resharing,
    dealers: Vec<ParticipantIndex>,
    excluded: BTreeMap<ParticipantIndex, Exclusion>,
    reports: Vec<Attestation>,
    manifest: CommitteeManifest,
    share: Option<KeyShare>,
}

impl Agreement {
    /// Weighs the reports of all seats, this member's own among them, and combines what the dealers dealt.
    ///
    /// # Errors
    /// [`ReshareError::Cheated`] with the evidence against each lying seat; [`ReshareError::TooFewDealers`];
    /// [`ReshareError::OwnReport`]; [`ReshareError::Message`] if a report is missing, contradictory or not due, or if
    /// an observer lacks a dealer's commitments.
    pub fn reach(
        resharing: &Resharing,
        received: Received,
        reports: Vec<SignedMessage>,
    ) -> Result<Self, ReshareError> {
        let seats = resharing.threshold().indices();
        let messages = collect(resharing, Kind::Report, None, seats, reports)?;
        if let Some(own) = received.seat.and_then(|seat| messages.get(&seat))
            && own.payload() != received.report.to_bytes()
        {
            return Err(ReshareError::OwnReport);
        }
        let Weighed { accepted, excluded } = weigh(resharing, &received, &messages)?;
        let needed = usize::from(resharing.previous().threshold().t());
        if accepted.len() < needed {
            let found = accepted.len();
            return Err(ReshareError::TooFewDealers {
                needed,
                found,
                excluded,
            });
        }
        received.lacks(&accepted)?;
        let dealers: Vec<ParticipantIndex> = accepted.into_keys().collect();
        let lambda = interpolation::coefficients(&dealers, Scalar::ZERO).ok_or(ReshareError::Degenerate)?;
        let manifest = next_manifest(resharing, &received, &dealers, &lambda)?;
        let share = match received.seat {
            Some(seat) => Some(new_share(&received, &dealers, &lambda, seat, &manifest)?),
            None => None,
        };
        Ok(Self {
            resharing: resharing.clone(),
            dealers,
            excluded,
            reports: messages.values().map(SignedMessage::attestation).collect(),
            manifest,
            share,
        })
    }

    /// The dealers that count, in order.
    #[must_use]
    pub fn dealers(&self) -> &[ParticipantIndex] {
        &self.dealers
    }

    /// The other members of the old committee, and why they do not count.
    #[must_use]
    pub const fn excluded(&self) -> &BTreeMap<ParticipantIndex, Exclusion> {
        &self.excluded
    }

    /// The manifest of the new epoch. It is nothing before every seat has signed it.
    #[must_use]
    pub const fn manifest(&self) -> &CommitteeManifest {
        &self.manifest
    }

    /// This seat's share of the new epoch, for sealing before it confirms; `None` for an observer.
    #[must_use]
    pub const fn share(&self) -> Option<&KeyShare> {
        self.share.as_ref()
    }

    /// The same, while the agreement waits for the confirmations; there is none afterwards.
    #[must_use]
    pub fn take_share(&mut self) -> Option<KeyShare> {
        self.share.take()
    }

    /// This seat's signature on the manifest, with the reports that it follows from, to all. A node makes its share
    /// durable before it says this.
    ///
    /// # Errors
    /// [`ReshareError::NotASeat`].
    pub fn confirm(&self, identity: &SigningKey) -> Result<SignedMessage, ReshareError> {
        let seat = self.resharing.seat_of(&PublicKey::of(identity));
        let envelope = Envelope {
            ceremony: self.resharing.id(),
            sender: seat.ok_or(ReshareError::NotASeat)?.index,
            recipient: None,
            kind: Kind::Confirmation,
        };
        let confirmation = Confirmation {
            manifest_digest: self.manifest.digest(),
            signature: self.manifest.sign(identity),
            reports: self.reports.clone(),
        };
        let payload = Zeroizing::new(confirmation.to_bytes());
        Ok(SignedMessage::sign(envelope, payload, identity))
    }

    /// The end: every seat has signed the very manifest that follows from the reports which all of them have seen.
    ///
    /// # Errors
    /// [`ReshareError::Cheated`] with the evidence against a seat that gave different members different reports;
    /// [`ReshareError::FalseConfirmation`]; and as for every round, messages that are missing, contradictory or not due.
    pub fn conclude(&self, confirmations: Vec<SignedMessage>) -> Result<SignedManifest, ReshareError> {
        let seats = self.resharing.threshold().indices();
        let messages = collect(&self.resharing, Kind::Confirmation, None, seats, confirmations)?;
        let mut equivocations = BTreeMap::new();
        let (mut signatures, mut liars) = (Vec::new(), Vec::new());
        for (seat, message) in &messages {
            match Confirmation::from_bytes(message.payload()).map(|said| self.compare(*seat, &said)) {
                Ok(Comparison::Equal(signature)) => signatures.push(signature),
                Ok(Comparison::Equivocations(found)) => {
                    equivocations.extend(found.into_iter().map(|evidence| (evidence.sender, evidence)));
                }
                Ok(Comparison::False) | Err(_) => liars.push(*seat),
            }
        }
        if !equivocations.is_empty() {
            let evidence = equivocations.into_values().map(Evidence::Equivocation);
            return Err(ReshareError::Cheated(evidence.collect()));
        }
        if !liars.is_empty() {
            return Err(ReshareError::FalseConfirmation(liars));
        }
        Ok(SignedManifest {
            manifest: self.manifest.clone(),
            signatures,
        })
    }

    fn compare(&self, seat: ParticipantIndex, said: &Confirmation) -> Comparison {
        if said.reports.len() != self.reports.len() {
            return Comparison::False;
        }
        let mut found = Vec::new();
        let pairs = self.reports.iter().zip(&said.reports);
        for (sender, (first, second)) in self.resharing.threshold().indices().zip(pairs) {
            if first.payload_digest == second.payload_digest {
                continue;
            }
            let evidence = Equivocation {
                sender,
                recipient: None,
                kind: Kind::Report,
                first: *first,
                second: *second,
            };
            match evidence.check(&self.resharing) {
                Ok(()) => found.push(evidence),
                Err(_) => return Comparison::False,
            }
        }
        if !found.is_empty() {
            return Comparison::Equivocations(found);
        }
        let (digest, member) = (self.manifest.digest(), self.manifest.member(seat));
        let signs = member.is_some_and(|member| {
            let message = digest.as_bytes();
            let verified = member
                .identity
                .verify(Domain::ManifestSignature, message, &said.signature);
            said.manifest_digest == digest && verified.is_ok()
        });
        if signs {
            Comparison::Equal(said.signature)
        } else {
            Comparison::False
        }
    }
}

enum Comparison {
    Equal(Signature),
    Equivocations(Vec<Equivocation>),
    False,
}

struct Weighed {
    /// Each dealer whom every seat accepts, with the commitments that it means.
    accepted: BTreeMap<ParticipantIndex, Attestation>,
    excluded: BTreeMap<ParticipantIndex, Exclusion>,
}

/// What the reports together say about each dealer.
fn weigh(
    resharing: &Resharing,
    received: &Received,
    messages: &BySender<Kind>,
) -> Result<Weighed, ReshareError> {
    let mut liars = Vec::new();
    let mut reports = Vec::new();
    for (reporter, message) in messages {
        match parse(resharing, message, |dealer| received.dealings.get(&dealer)) {
            Ok(report) => reports.push((*reporter, report)),
            Err(_) => liars.push(against(resharing, received, message)),
        }
    }
    if !liars.is_empty() {
        return Err(ReshareError::Cheated(liars));
    }
    let mut weighed = Weighed {
        accepted: BTreeMap::new(),
        excluded: BTreeMap::new(),
    };
    for dealer in resharing.dealers() {
        let verdicts = reports
            .iter()
            .filter_map(|(reporter, report)| Some((*reporter, report.verdicts.get(dealer.position())?)));
        match judge(dealer, received.dealings.get(&dealer), verdicts) {
            Ok(attestation) => drop(weighed.accepted.insert(dealer, attestation)),
            Err(exclusion) => drop(weighed.excluded.insert(dealer, exclusion)),
        }
    }
    Ok(weighed)
}

/// The evidence against a false report: the report alone, or with the commitments about which it is false.
fn against(resharing: &Resharing, received: &Received, report: &SignedMessage) -> Evidence {
    let report = || report.duplicate();
    let with = |commitments| Evidence::Report {
        report: report(),
        commitments,
    };
    let alone = with(None);
    if alone.culprit(resharing).is_ok() {
        return alone;
    }
    received
        .dealings
        .values()
        .map(|dealing| with(Some(dealing.message.duplicate())))
        .find(|evidence| evidence.culprit(resharing).is_ok())
        .unwrap_or(alone)
}

/// One dealer, by true verdicts: the commitments that all have accepted, or why it is left out.
fn judge<'a>(
    dealer: ParticipantIndex,
    known: Option<&Dealing>,
    verdicts: impl Iterator<Item = (ParticipantIndex, &'a Verdict)>,
) -> Result<Attestation, Exclusion> {
    let mut reference = known.map(|known| known.message.attestation());
    let mut fault = None;
    let mut without = Vec::new();
    for (reporter, verdict) in verdicts {
        if let Some(attestation) = verdict.attestation() {
            let first = *reference.get_or_insert(*attestation);
            if first.payload_digest != attestation.payload_digest {
                let evidence = equivocation(dealer, &first, attestation);
                fault = fault.or(Some(Evidence::Equivocation(evidence)));
            }
        }
        let commitments = || known.map(|known| known.message.duplicate());
        match verdict {
            Verdict::Accepted(_) => {}
            Verdict::Contradiction(first, second) => {
                fault = fault.or(Some(Evidence::Equivocation(equivocation(dealer, first, second))));
            }
            Verdict::Improper(_) => fault = fault.or_else(|| commitments().map(Evidence::Commitments)),
            Verdict::Complaint(_, share) => {
                let share = share.duplicate();
                fault =
                    fault.or_else(|| commitments().map(|commitments| Evidence::Share { commitments, share }));
            }
            Verdict::Nothing | Verdict::NoShare(_) => {}
        }
        if !matches!(verdict, Verdict::Accepted(_)) {
            without.push(reporter);
        }
    }
    match (fault, reference) {
        (Some(evidence), _) => Err(Exclusion::Cheated(Box::new(evidence))),
        (None, Some(attestation)) if without.is_empty() => Ok(attestation),
        _ => Err(Exclusion::NotReceived(without)),
    }
}

/// `F = Σ λ_d·f_d` has the commitments `Σ λ_d·A_dk`, the constant term X, and the new public shares as its values.
fn next_manifest(
    resharing: &Resharing,
    received: &Received,
    dealers: &[ParticipantIndex],
    lambda: &[Scalar],
) -> Result<CommitteeManifest, ReshareError> {
    let commitments = dealers.iter().map(|dealer| {
        let dealing = received.dealings.get(dealer);
        dealing.and_then(|dealing| dealing.commitments.as_ref().ok())
    });
    let commitments: Option<Vec<&Commitments>> = commitments.collect();
    let combined = commitments
        .and_then(|commitments| Commitments::combine(&commitments, lambda))
        .ok_or(ReshareError::Degenerate)?;
    let members = resharing.seats().iter().map(|seat| {
        let public_share = Point::from_subgroup(combined.evaluate(seat.index));
        Ok(Member {
            index: seat.index,
            name: seat.name.clone(),
            identity: seat.identity,
            address: seat.address.clone(),
            public_share: public_share.map_err(|_| ReshareError::Degenerate)?,
        })
    });
    resharing
        .previous()
        .next(
            resharing.threshold(),
            members.collect::<Result<_, ReshareError>>()?,
        )
        .map_err(|_| ReshareError::Degenerate)
}

/// `x'_j = Σ λ_d·f_d(j)`.
fn new_share(
    received: &Received,
    dealers: &[ParticipantIndex],
    lambda: &[Scalar],
    seat: ParticipantIndex,
    manifest: &CommitteeManifest,
) -> Result<KeyShare, ReshareError> {
    let mut sum = Zeroizing::new(Scalar::ZERO);
    for (dealer, lambda) in dealers.iter().zip(lambda) {
        let share = received.shares.get(dealer).ok_or(ReshareError::Degenerate)?;
        *sum += lambda * share.expose();
    }
    KeyShare::new(seat, SecretScalar::new(*sum), manifest).map_err(|_| ReshareError::Degenerate)
}

/// What a seat signs at the end.
///
/// Encoded as version 1, suite, manifest digest (32), signature on the manifest (64), attestation count (4), the
/// attestation (96) of every seat's report in seat order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// The manifest that the seat came to.
    pub manifest_digest: ManifestDigest,
    /// Its signature on that manifest.
    pub signature: Signature,
    /// The reports that it came to it from.
    pub reports: Vec<Attestation>,
}

const VERSION: u8 = 1;

impl Canonical for Confirmation {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.put(&self.manifest_digest);
        writer.put(&self.signature);
        writer.list(&self.reports);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("confirmation"));
        }
        Ok(Self {
            manifest_digest: reader.get()?,
            signature: reader.get()?,
            reports: reader.list(MAX_MEMBERS.into())?,
        })
    }
}
