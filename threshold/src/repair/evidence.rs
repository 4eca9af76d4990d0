//! Evidence of cheating: the check that anybody can repeat, from the repair and the evidence alone.

use super::ceremony::Repair;
use super::error::RepairError;
use super::message::{Equivocation, Kind, SignedMessage};
use super::rounds::Sum;
use crate::committee::{MAX_MEMBERS, ParticipantIndex};
use crate::dkg::round2;
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::feldman::{CommitmentError, Package, parse_points};
use crate::group::Point;
use crate::message::{Attestation, collect};
use curve25519_dalek::constants::ED25519_BASEPOINT_TABLE;
use curve25519_dalek::edwards::EdwardsPoint;

/// What is wrong with what a helper signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Two different messages where one is due.
    #[error("it signed two different messages")]
    Equivocation,
    /// A payload that is not what it should be.
    #[error("its payload is malformed: {0}")]
    Malformed(DecodeError),
    /// Another number of commitments than helpers, or improper ones.
    #[error("it made {0}")]
    Commitments(CommitmentError),
    /// Commitments that do not add up to its public share: a repair of another share.
    #[error("its commitments do not add up to its public share")]
    Total,
    /// A part that does not fit its commitment.
    #[error("its part does not match its commitment")]
    Part,
    /// A sum that does not fit the commitments to its parts.
    #[error("its sum does not match the commitments")]
    Sum,
    /// It says that it received what no helper signed.
    #[error("it reports what no helper signed")]
    FalseReport,
}

/// Who is proven to have cheated, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Culprit {
    /// Which helper.
    pub helper: ParticipantIndex,
    /// How.
    pub fault: Fault,
}

/// The evidence proves nothing against anybody.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEvidence {
    /// The messages are not those of this repair's helpers, or not of the kinds that are needed.
    #[error("the messages are no evidence: {0}")]
    Messages(RepairError),
    /// The messages are as they should be.
    #[error("the messages are as they should be")]
    Sound,
}

/// What shows that a helper cheated. It cannot be framed: all that counts bears its signature.
///
/// A part or a sum in it is a wrong one, and tells nothing about a share. Encoded as one byte, 1 to 4 in the order
/// below, then the parts.
#[derive(Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Two messages where one is due.
    Equivocation(Equivocation),
    /// Commitments that are none.
    Commitments(SignedMessage),
    /// A part beside the commitments that it does not fit.
    Part {
        /// The helper's commitments.
        commitments: SignedMessage,
        /// Its part for some helper.
        part: SignedMessage,
    },
    /// A sum beside everybody's commitments, which it does not fit.
    Sum {
        /// The helper's sum.
        sum: SignedMessage,
        /// The commitments of all helpers, in order.
        commitments: Vec<SignedMessage>,
    },
}

impl Evidence {
    /// Whom it accuses. [`Evidence::culprit`] is what proves it.
    #[must_use]
    pub const fn accused(&self) -> ParticipantIndex {
        match self {
            Self::Equivocation(evidence) => evidence.sender,
            Self::Commitments(message)
            | Self::Part { part: message, .. }
            | Self::Sum { sum: message, .. } => message.sender(),
        }
    }

    /// Checks the evidence.
    ///
    /// # Errors
    /// [`NoEvidence`] when it proves nothing.
    pub fn culprit(&self, repair: &Repair) -> Result<Culprit, NoEvidence> {
        let fault = self.fault(repair).map_err(NoEvidence::Messages)?;
        let helper = self.accused();
        fault
            .map(|fault| Culprit { helper, fault })
            .ok_or(NoEvidence::Sound)
    }

    fn fault(&self, repair: &Repair) -> Result<Option<Fault>, RepairError> {
        match self {
            Self::Equivocation(evidence) => {
                evidence.verify(repair)?;
                Ok(Some(Fault::Equivocation))
            }
            Self::Commitments(commitments) => {
                commitments.verify(repair)?;
                commitments.expect(Kind::Commitments, None)?;
                Ok(proper(repair, commitments).err())
            }
            Self::Part { commitments, part } => part_fault(repair, commitments, part),
            Self::Sum { sum, commitments } => sum_fault(repair, sum, commitments),
        }
    }
}

/// A helper's commitments, if they are proper: t proper points that add up to `λ_i·X_i`.
pub(super) fn proper(repair: &Repair, commitments: &SignedMessage) -> Result<Vec<Point>, Fault> {
    let package = Package::from_bytes(commitments.payload()).map_err(Fault::Malformed)?;
    let threshold = repair.manifest().threshold();
    let points = parse_points(&package.commitments, threshold).map_err(Fault::Commitments)?;
    let total: EdwardsPoint = points.iter().map(Point::as_edwards).sum();
    let (helper, member) = (
        commitments.sender(),
        repair.manifest().member(commitments.sender()),
    );
    let expected = member.and_then(|member| Some(member.public_share.as_edwards() * repair.lambda(helper)?));
    if expected == Some(total) {
        Ok(points)
    } else {
        Err(Fault::Total)
    }
}

/// `Σ_i D_ij`: what a helper's sum of parts commits to.
pub(super) fn sum_of(repair: &Repair, helper: ParticipantIndex, commitments: &[&[Point]]) -> EdwardsPoint {
    let at = repair.position(helper);
    let points = commitments.iter().filter_map(|points| points.get(at?));
    points.map(Point::as_edwards).sum()
}

/// Who signed other commitments for somebody else than for whoever has `own`.
pub(super) fn compare(
    repair: &Repair,
    own: &[Attestation],
    said: &[Attestation],
) -> Result<Vec<Equivocation>, Fault> {
    if own.len() != said.len() {
        return Err(Fault::FalseReport);
    }
    let mut found = Vec::new();
    for (sender, (first, second)) in repair.helpers().iter().zip(own.iter().zip(said)) {
        if first.payload_digest == second.payload_digest {
            continue;
        }
        let evidence = Equivocation {
            sender: *sender,
            recipient: None,
            kind: Kind::Commitments,
            first: *first,
            second: *second,
        };
        evidence.check(repair).map_err(|_| Fault::FalseReport)?;
        found.push(evidence);
    }
    Ok(found)
}

fn part_fault(
    repair: &Repair,
    commitments: &SignedMessage,
    part: &SignedMessage,
) -> Result<Option<Fault>, RepairError> {
    commitments.verify(repair)?;
    commitments.expect(Kind::Commitments, None)?;
    part.verify(repair)?;
    part.expect(Kind::Part, part.recipient())?;
    let at = part.recipient().and_then(|to| repair.position(to));
    let (Some(at), true) = (at, commitments.sender() == part.sender()) else {
        // For nobody who helps, or beside another helper's commitments: nothing to compare.
        return Ok(None);
    };
    let points = match proper(repair, commitments) {
        Ok(points) => points,
        Err(fault) => return Ok(Some(fault)),
    };
    let fits = round2::Package::from_bytes(part.payload()).is_ok_and(|package| {
        let point = ED25519_BASEPOINT_TABLE * package.share.expose();
        points
            .get(at)
            .is_some_and(|expected| *expected.as_edwards() == point)
    });
    Ok((!fits).then_some(Fault::Part))
}

fn sum_fault(
    repair: &Repair,
    sum: &SignedMessage,
    commitments: &[SignedMessage],
) -> Result<Option<Fault>, RepairError> {
    sum.verify(repair)?;
    sum.expect(Kind::Sum, Some(repair.lost()))?;
    let said = match Sum::from_bytes(sum.payload()) {
        Ok(said) => said,
        Err(error) => return Ok(Some(Fault::Malformed(error))),
    };
    let helpers = repair.helpers().iter().copied();
    let copies = commitments.iter().map(SignedMessage::duplicate).collect();
    let messages = collect(repair, Kind::Commitments, None, helpers, copies)?;
    let own: Vec<Attestation> = messages.values().map(SignedMessage::attestation).collect();
    match compare(repair, &own, &said.commitments) {
        Err(fault) => return Ok(Some(fault)),
        // It had other commitments, which their helper signed.
        Ok(found) if !found.is_empty() => return Ok(None),
        Ok(_) => {}
    }
    let points: Result<Vec<_>, Fault> = messages.values().map(|message| proper(repair, message)).collect();
    let Ok(points) = points else { return Ok(None) };
    let points: Vec<&[Point]> = points.iter().map(Vec::as_slice).collect();
    let fits = ED25519_BASEPOINT_TABLE * said.sum.expose() == sum_of(repair, sum.sender(), &points);
    Ok((!fits).then_some(Fault::Sum))
}

impl Canonical for Evidence {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Equivocation(evidence) => {
                writer.u8(1);
                writer.put(evidence);
            }
            Self::Commitments(commitments) => {
                writer.u8(2);
                writer.put(commitments);
            }
            Self::Part { commitments, part } => {
                writer.u8(3);
                writer.put(commitments);
                writer.put(part);
            }
            Self::Sum { sum, commitments } => {
                writer.u8(4);
                writer.put(sum);
                writer.list(commitments);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Equivocation(reader.get()?)),
            2 => Ok(Self::Commitments(reader.get()?)),
            3 => Ok(Self::Part {
                commitments: reader.get()?,
                part: reader.get()?,
            }),
            4 => Ok(Self::Sum {
                sum: reader.get()?,
                commitments: reader.list(MAX_MEMBERS.into())?,
            }),
            _ => Err(DecodeError::Invalid("evidence")),
        }
    }
}
