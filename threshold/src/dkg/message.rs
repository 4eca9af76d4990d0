//! Signed messages within a ceremony, and the evidence that they are.

use super::ceremony::Ceremony;
use super::error::DkgError;
use crate::committee::ParticipantIndex;
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::ids::CeremonyId;
use crate::signature::{PublicKey, Signature, sign};
use crate::transcript::{Domain, Transcript};
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use zeroize::Zeroizing;

/// The most bytes a payload has.
pub const MAX_PAYLOAD: usize = 8192;

/// The round that a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Commitments and proof of possession, to all.
    Round1,
    /// What was received in round 1, to all.
    Equality,
    /// A share, to one member.
    Round2,
}

impl Canonical for Kind {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(match self {
            Self::Round1 => 1,
            Self::Equality => 2,
            Self::Round2 => 3,
        });
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Round1),
            2 => Ok(Self::Equality),
            3 => Ok(Self::Round2),
            _ => Err(DecodeError::Invalid("kind of ceremony message")),
        }
    }
}

/// The digest of a payload and its sender's signature: enough to show what somebody said without repeating it.
///
/// Encoded as the digest (32) and the signature (64).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attestation {
    /// The digest of the payload.
    pub payload_digest: [u8; 32],
    /// The sender's signature over ceremony id, sender, recipient, kind and payload digest.
    pub signature: Signature,
}

impl Canonical for Attestation {
    fn encode(&self, writer: &mut Writer) {
        writer.fixed(&self.payload_digest);
        writer.put(&self.signature);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            payload_digest: reader.fixed()?,
            signature: reader.get()?,
        })
    }
}

/// Where a message stands in its ceremony. All of it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) ceremony: CeremonyId,
    pub(super) sender: ParticipantIndex,
    /// `None` is everybody.
    pub(super) recipient: Option<ParticipantIndex>,
    pub(super) kind: Kind,
}

impl Envelope {
    /// Ceremony id (32), sender (2), recipient or 0 (2), kind (1), payload digest (32).
    fn signed_bytes(&self, payload_digest: &[u8; 32]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.put(self);
        writer.fixed(payload_digest);
        writer.finish()
    }

    fn attest(&self, payload: &[u8], identity: &SigningKey) -> Attestation {
        let payload_digest = payload_digest(payload);
        let signature = sign(
            identity,
            Domain::CeremonyMessage,
            &self.signed_bytes(&payload_digest),
        );
        Attestation {
            payload_digest,
            signature,
        }
    }

    /// Whether the sender's seat made this attestation.
    pub(super) fn verify(&self, ceremony: &Ceremony, attestation: &Attestation) -> Result<(), DkgError> {
        let seat = ceremony
            .seat(self.sender)
            .ok_or(DkgError::UnknownSeat(self.sender))?;
        let message = self.signed_bytes(&attestation.payload_digest);
        seat.identity
            .verify(Domain::CeremonyMessage, &message, &attestation.signature)
            .map_err(|_| DkgError::Forged { claimed: self.sender })
    }
}

impl Canonical for Envelope {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.ceremony);
        writer.put(&self.sender);
        writer.u16(self.recipient.map_or(0, ParticipantIndex::get));
        writer.put(&self.kind);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (ceremony, sender) = (reader.get()?, reader.get()?);
        let recipient = match reader.u16()? {
            0 => None,
            index => Some(ParticipantIndex::new(index).map_err(|_| DecodeError::Invalid("recipient"))?),
        };
        Ok(Self {
            ceremony,
            sender,
            recipient,
            kind: reader.get()?,
        })
    }
}

fn payload_digest(payload: &[u8]) -> [u8; 32] {
    Transcript::new(Domain::CeremonyPayload)
        .append("payload", payload)
        .digest()
}

/// A message of one seat, to all seats or to one.
///
/// Encoded as ceremony id (32), sender (2), recipient or 0 (2), kind (1), payload (length-prefixed, at most
/// [`MAX_PAYLOAD`]), signature (64). A round-2 message holds a secret share: it travels only to its recipient over
/// an authenticated, encrypted channel, and is neither logged nor stored. The payload is wiped when dropped.
pub struct SignedMessage {
    envelope: Envelope,
    payload: Zeroizing<Vec<u8>>,
    attestation: Attestation,
}

impl SignedMessage {
    pub(super) fn sign(envelope: Envelope, payload: Zeroizing<Vec<u8>>, identity: &SigningKey) -> Self {
        let attestation = envelope.attest(&payload, identity);
        Self {
            envelope,
            payload,
            attestation,
        }
    }

    /// The ceremony it belongs to.
    #[must_use]
    pub const fn ceremony(&self) -> CeremonyId {
        self.envelope.ceremony
    }

    /// The seat that it says it is from; [`SignedMessage::verify`] checks this.
    #[must_use]
    pub const fn sender(&self) -> ParticipantIndex {
        self.envelope.sender
    }

    /// The seat that it is for, or `None` for all.
    #[must_use]
    pub const fn recipient(&self) -> Option<ParticipantIndex> {
        self.envelope.recipient
    }

    /// Its round.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.envelope.kind
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What its sender signed, without the payload.
    #[must_use]
    pub const fn attestation(&self) -> Attestation {
        self.attestation
    }

    /// Checks ceremony, seat and signature. The payload is checked by the round that takes the message.
    ///
    /// # Errors
    /// [`DkgError::OtherCeremony`], [`DkgError::UnknownSeat`] or [`DkgError::Forged`]; nobody is to blame.
    pub fn verify(&self, ceremony: &Ceremony) -> Result<(), DkgError> {
        if self.envelope.ceremony != ceremony.id() {
            return Err(DkgError::OtherCeremony);
        }
        self.envelope.verify(ceremony, &self.attestation)
    }

    /// [`SignedMessage::verify`], and that it came from the peer whose seat it names.
    ///
    /// # Errors
    /// As there, and [`DkgError::OtherPeer`].
    pub fn verify_from(&self, ceremony: &Ceremony, peer: &PublicKey) -> Result<(), DkgError> {
        self.verify(ceremony)?;
        match ceremony.seat(self.sender()) {
            Some(seat) if seat.identity == *peer => Ok(()),
            _ => Err(DkgError::OtherPeer {
                claimed: self.sender(),
            }),
        }
    }

    /// The encoding in a buffer that is wiped; what [`Canonical::to_bytes`] gives is not.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::with_capacity(self.payload.len() + 128);
        self.encode(&mut writer);
        Zeroizing::new(writer.finish())
    }
}

impl Canonical for SignedMessage {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.envelope);
        writer.bytes(&self.payload);
        writer.put(&self.attestation.signature);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let envelope = reader.get()?;
        let payload = Zeroizing::new(reader.bytes(MAX_PAYLOAD)?.to_vec());
        let attestation = Attestation {
            payload_digest: payload_digest(&payload),
            signature: reader.get()?,
        };
        Ok(Self {
            envelope,
            payload,
            attestation,
        })
    }
}

impl core::fmt::Debug for SignedMessage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SignedMessage")
            .field("sender", &self.sender())
            .field("recipient", &self.recipient())
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

/// Proof that a seat signed two different payloads where one is due. Anybody with the ceremony can check it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equivocation {
    /// Who signed both.
    pub sender: ParticipantIndex,
    /// The recipient of both, or `None` for all.
    pub recipient: Option<ParticipantIndex>,
    /// The round of both.
    pub kind: Kind,
    /// One of them.
    pub first: Attestation,
    /// The other.
    pub second: Attestation,
}

impl Equivocation {
    /// Checks the evidence.
    ///
    /// # Errors
    /// [`DkgError::Forged`] or [`DkgError::UnknownSeat`] if a signature is not the sender's, and
    /// [`DkgError::NotDue`] if both payloads are the same.
    pub fn verify(&self, ceremony: &Ceremony) -> Result<(), DkgError> {
        let Self {
            sender,
            recipient,
            kind,
            first,
            second,
        } = *self;
        if first.payload_digest == second.payload_digest {
            return Err(DkgError::NotDue { sender, found: kind });
        }
        let envelope = Envelope {
            ceremony: ceremony.id(),
            sender,
            recipient,
            kind,
        };
        envelope.verify(ceremony, &first)?;
        envelope.verify(ceremony, &second)
    }
}

/// Verifies the messages of one round and has exactly one from each of the expected seats.
pub(super) fn collect(
    ceremony: &Ceremony,
    kind: Kind,
    recipient: Option<ParticipantIndex>,
    expected: impl Iterator<Item = ParticipantIndex>,
    messages: Vec<SignedMessage>,
) -> Result<BTreeMap<ParticipantIndex, SignedMessage>, DkgError> {
    let mut by_sender = BTreeMap::new();
    let mut equivocations = Vec::new();
    for message in messages {
        message.verify(ceremony)?;
        let sender = message.sender();
        if message.kind() != kind || message.recipient() != recipient {
            return Err(DkgError::NotDue {
                sender,
                found: message.kind(),
            });
        }
        match by_sender.entry(sender) {
            Entry::Vacant(vacant) => {
                vacant.insert(message);
            }
            Entry::Occupied(earlier) => equivocations.extend(contradiction(earlier.get(), &message)),
        }
    }
    if !equivocations.is_empty() {
        return Err(DkgError::Equivocation(equivocations));
    }
    let mut due = BTreeMap::new();
    let mut missing = Vec::new();
    for seat in expected {
        match by_sender.remove(&seat) {
            Some(message) => drop(due.insert(seat, message)),
            None => missing.push(seat),
        }
    }
    if let Some((sender, message)) = by_sender.first_key_value() {
        return Err(DkgError::NotDue {
            sender: *sender,
            found: message.kind(),
        });
    }
    if missing.is_empty() {
        Ok(due)
    } else {
        Err(DkgError::Missing(missing))
    }
}

/// The same message twice is a repeat on the way, not a fault.
fn contradiction(first: &SignedMessage, second: &SignedMessage) -> Option<Equivocation> {
    let Envelope {
        sender,
        recipient,
        kind,
        ..
    } = first.envelope;
    let (first, second) = (first.attestation, second.attestation);
    (first.payload_digest != second.payload_digest).then_some(Equivocation {
        sender,
        recipient,
        kind,
        first,
        second,
    })
}
