//! What a new seat received from every dealer, and what it says about it.

use super::ceremony::Resharing;
use super::dealing::{fits, proper};
use super::error::ReshareError;
use super::evidence::Fault;
use super::message::{Equivocation, Kind, SignedMessage};
use crate::committee::{MAX_MEMBERS, ParticipantIndex};
use crate::dkg::round2;
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::feldman::Commitments;
use crate::message::{Attestation, Envelope, MessageError, contradiction};
use crate::secret::SecretScalar;
use crate::signature::PublicKey;
use crate::transcript::SUITE_ID;
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use zeroize::Zeroizing;

/// What a seat says about one dealer.
///
/// Encoded as one byte, 0 to 5 in the order below, then the attestations (96 each) of the dealer's commitments, then
/// for a complaint the dealer's share message.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No commitments came.
    Nothing,
    /// Two different commitments came.
    Contradiction(Attestation, Attestation),
    /// The commitments are not a proper dealing, as everybody who has them can see.
    Improper(Attestation),
    /// Proper commitments came, and no share.
    NoShare(Attestation),
    /// The share that came does not fit the proper commitments. Publishing it harms nobody but its dealer.
    Complaint(Attestation, SignedMessage),
    /// The share fits the commitments.
    Accepted(Attestation),
}

impl Verdict {
    /// The commitments it is about, unless there are none or two.
    pub(super) const fn attestation(&self) -> Option<&Attestation> {
        match self {
            Self::Nothing | Self::Contradiction(..) => None,
            Self::Improper(attestation)
            | Self::NoShare(attestation)
            | Self::Complaint(attestation, _)
            | Self::Accepted(attestation) => Some(attestation),
        }
    }

    /// Whether a seat may say this about a dealer: what it says the dealer signed, the dealer signed; and where the
    /// same commitments are known here, they are as it says.
    pub(super) fn is_true(
        &self,
        resharing: &Resharing,
        reporter: ParticipantIndex,
        dealer: ParticipantIndex,
        known: Option<&Dealing>,
    ) -> bool {
        if let Self::Contradiction(first, second) = self {
            return equivocation(dealer, first, second).check(resharing).is_ok();
        }
        let Some(attestation) = self.attestation() else {
            return true;
        };
        let known = known.filter(|known| known.digest() == &attestation.payload_digest);
        // The very signature that has been verified here needs no second look: the most frequent case by far.
        let verified = known.is_some_and(|known| known.message.attestation() == *attestation);
        if !verified
            && envelope(resharing, dealer)
                .verify(resharing, attestation)
                .is_err()
        {
            return false;
        }
        if let Self::Complaint(_, share) = self {
            let of_dealer = share.sender() == dealer && share.verify(resharing).is_ok();
            if !of_dealer || share.expect(Kind::Share, Some(reporter)).is_err() {
                return false;
            }
        }
        let Some(known) = known else { return true };
        match (self, &known.commitments) {
            (Self::Improper(_), commitments) => commitments.is_err(),
            (Self::Complaint(_, share), Ok(commitments)) => !fits(commitments, reporter, share),
            (_, commitments) => commitments.is_ok(),
        }
    }
}

/// Where a dealer's commitments stand.
fn envelope(resharing: &Resharing, dealer: ParticipantIndex) -> Envelope<Kind> {
    Envelope {
        ceremony: resharing.id(),
        sender: dealer,
        recipient: None,
        kind: Kind::Commitments,
    }
}

pub(super) const fn equivocation(
    dealer: ParticipantIndex,
    first: &Attestation,
    second: &Attestation,
) -> Equivocation {
    Equivocation {
        sender: dealer,
        recipient: None,
        kind: Kind::Commitments,
        first: *first,
        second: *second,
    }
}

impl Canonical for Verdict {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(match self {
            Self::Nothing => 0,
            Self::Contradiction(..) => 1,
            Self::Improper(_) => 2,
            Self::NoShare(_) => 3,
            Self::Complaint(..) => 4,
            Self::Accepted(_) => 5,
        });
        if let Self::Contradiction(first, second) = self {
            writer.put(first);
            writer.put(second);
        }
        if let Some(attestation) = self.attestation() {
            writer.put(attestation);
        }
        if let Self::Complaint(_, share) = self {
            writer.put(share);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            0 => Ok(Self::Nothing),
            1 => Ok(Self::Contradiction(reader.get()?, reader.get()?)),
            2 => Ok(Self::Improper(reader.get()?)),
            3 => Ok(Self::NoShare(reader.get()?)),
            4 => {
                let attestation = reader.get()?;
                let share: SignedMessage = reader.get()?;
                // Keeps a report within its bounds: the payload of other kinds may be longer.
                if share.kind() == Kind::Share {
                    Ok(Self::Complaint(attestation, share))
                } else {
                    Err(DecodeError::Invalid("share message"))
                }
            }
            5 => Ok(Self::Accepted(reader.get()?)),
            _ => Err(DecodeError::Invalid("verdict")),
        }
    }
}

/// A seat's verdict on every member of the old committee, in order of their indices.
///
/// Encoded as version 1, suite, verdict count (4), verdicts.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// One for each old member.
    pub verdicts: Vec<Verdict>,
}

const VERSION: u8 = 1;

impl Canonical for Report {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.list(&self.verdicts);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("resharing report"));
        }
        Ok(Self {
            verdicts: reader.list(MAX_MEMBERS.into())?,
        })
    }
}

/// A dealer's commitments, and what they are found to be.
#[derive(Debug)]
pub(super) struct Dealing {
    pub(super) message: SignedMessage,
    pub(super) commitments: Result<Commitments, Fault>,
}

impl Dealing {
    /// Looks at a verified message.
    pub(super) fn new(resharing: &Resharing, message: SignedMessage) -> Self {
        let commitments = proper(resharing, message.sender(), message.payload());
        Self { message, commitments }
    }

    pub(super) const fn digest(&self) -> &[u8; 32] {
        self.message.payload_digest()
    }
}

/// What one member has received from the dealers. Shares are wiped when it is dropped.
#[derive(Debug)]
pub struct Received {
    pub(super) seat: Option<ParticipantIndex>,
    pub(super) dealings: BTreeMap<ParticipantIndex, Dealing>,
    pub(super) shares: BTreeMap<ParticipantIndex, SecretScalar>,
    pub(super) report: Report,
}

impl Received {
    /// Takes what the dealers sent to the seat of an identity: any number of commitments and shares, in any order.
    ///
    /// What a dealer did not send, or sent wrong, is no error here: it goes into the report.
    ///
    /// # Errors
    /// [`ReshareError::NotASeat`], and a message that should have been refused when it came: forged, of another
    /// ceremony, or not due here.
    pub fn collect(
        resharing: &Resharing,
        identity: &PublicKey,
        messages: Vec<SignedMessage>,
    ) -> Result<Self, ReshareError> {
        let seat = resharing.seat_of(identity).ok_or(ReshareError::NotASeat)?;
        Self::take(resharing, Some(seat.index), messages)
    }

    /// Takes the commitments alone, as a member of the old committee who has no new seat, or anybody else, can.
    ///
    /// # Errors
    /// As [`Received::collect`].
    pub fn observe(resharing: &Resharing, messages: Vec<SignedMessage>) -> Result<Self, ReshareError> {
        Self::take(resharing, None, messages)
    }

    fn take(
        resharing: &Resharing,
        seat: Option<ParticipantIndex>,
        messages: Vec<SignedMessage>,
    ) -> Result<Self, ReshareError> {
        let mut first = BTreeMap::new();
        let mut second = BTreeMap::new();
        let mut dealt: BTreeMap<ParticipantIndex, Vec<SignedMessage>> = BTreeMap::new();
        for message in messages {
            message.verify(resharing)?;
            let dealer = message.sender();
            if message.kind() == Kind::Share && seat.is_some() {
                message.expect(Kind::Share, seat)?;
                dealt.entry(dealer).or_default().push(message);
                continue;
            }
            message.expect(Kind::Commitments, None)?;
            match first.entry(dealer) {
                Entry::Vacant(vacant) => drop(vacant.insert(message)),
                Entry::Occupied(earlier) => {
                    if let Some(found) = contradiction(earlier.get(), &message) {
                        second.insert(dealer, found);
                    }
                }
            }
        }
        let mut received = Self {
            seat,
            dealings: BTreeMap::new(),
            shares: BTreeMap::new(),
            report: Report { verdicts: Vec::new() },
        };
        for dealer in resharing.dealers() {
            let shares = dealt.remove(&dealer).unwrap_or_default();
            let verdict = match (first.remove(&dealer), second.remove(&dealer)) {
                (None, _) => Verdict::Nothing,
                (Some(_), Some(found)) => Verdict::Contradiction(found.first, found.second),
                (Some(message), None) => received.judge(Dealing::new(resharing, message), shares),
            };
            received.report.verdicts.push(verdict);
        }
        Ok(received)
    }

    /// Keeps a dealer's commitments and the share that fits them.
    fn judge(&mut self, dealing: Dealing, shares: Vec<SignedMessage>) -> Verdict {
        let (dealer, attestation) = (dealing.message.sender(), dealing.message.attestation());
        let mut verdict = Verdict::NoShare(attestation);
        match (&dealing.commitments, self.seat) {
            (Err(_), _) => verdict = Verdict::Improper(attestation),
            (Ok(_), None) => {}
            (Ok(commitments), Some(seat)) => {
                // Of two shares the one that fits will do.
                for share in shares {
                    if !fits(commitments, seat, &share) {
                        verdict = Verdict::Complaint(attestation, share);
                    } else if let Ok(package) = round2::Package::from_bytes(share.payload()) {
                        self.shares.insert(dealer, package.share);
                        verdict = Verdict::Accepted(attestation);
                        break;
                    }
                }
            }
        }
        self.dealings.insert(dealer, dealing);
        verdict
    }

    /// This seat's verdicts.
    #[must_use]
    pub const fn verdicts(&self) -> &Report {
        &self.report
    }

    /// The dealers from whom something is still missing here: worth waiting for, until the deadline.
    #[must_use]
    pub fn missing(&self) -> Vec<ParticipantIndex> {
        let verdicts = (1..).zip(&self.report.verdicts);
        verdicts
            .filter(|(_, verdict)| matches!(verdict, Verdict::Nothing | Verdict::NoShare(_)))
            .filter_map(|(index, _)| ParticipantIndex::new(index).ok())
            .collect()
    }

    /// This seat's signed report, to all. It is said once: another report in the same resharing contradicts it.
    ///
    /// # Errors
    /// [`ReshareError::NotASeat`] if the identity is not that of the seat which received.
    pub fn report(
        &self,
        resharing: &Resharing,
        identity: &SigningKey,
    ) -> Result<SignedMessage, ReshareError> {
        let seat = resharing.seat_of(&PublicKey::of(identity));
        let (Some(seat), Some(own)) = (seat, self.seat) else {
            return Err(ReshareError::NotASeat);
        };
        if seat.index != own {
            return Err(ReshareError::NotASeat);
        }
        let envelope = Envelope {
            ceremony: resharing.id(),
            sender: own,
            recipient: None,
            kind: Kind::Report,
        };
        let payload = Zeroizing::new(self.report.to_bytes());
        Ok(SignedMessage::sign(envelope, payload, identity))
    }

    /// Commitments that a dealer signed and this member lacks.
    pub(super) fn lacks(
        &self,
        dealers: &BTreeMap<ParticipantIndex, Attestation>,
    ) -> Result<(), MessageError<Kind>> {
        let lacking = dealers.iter().filter(|(dealer, attestation)| {
            let known = self.dealings.get(dealer);
            known.is_none_or(|known| known.digest() != &attestation.payload_digest)
        });
        let lacking: Vec<ParticipantIndex> = lacking.map(|(dealer, _)| *dealer).collect();
        if lacking.is_empty() {
            Ok(())
        } else {
            Err(MessageError::Missing(lacking))
        }
    }
}
