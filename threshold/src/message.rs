//! Signed messages within a ceremony, and the evidence that they are.
//!
//! One envelope for every ceremony. What differs from ceremony to ceremony is the kinds of message and who sends
//! which: a [`Roster`] says that.

use crate::committee::ParticipantIndex;
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::ids::CeremonyId;
use crate::signature::{PublicKey, Signature, sign};
use crate::transcript::{Domain, Transcript};
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use zeroize::Zeroizing;

/// The kinds of message that one ceremony has. Each is one byte, and no two ceremonies share one.
pub trait MessageKind: Canonical + Copy + Eq + Ord + core::fmt::Debug {
    /// The most bytes a payload of this kind has.
    fn max_payload(self) -> usize;
}

/// Who may say what in a ceremony.
pub trait Roster {
    /// The kinds of message that it has.
    type Kind: MessageKind;
    /// How its refusals are typed.
    type Error: From<MessageError<Self::Kind>>;

    /// Its identity, which every message names.
    fn id(&self) -> CeremonyId;

    /// The identity key of whoever sends messages of a kind under an index; `None` if nobody does.
    fn sender(&self, kind: Self::Kind, index: ParticipantIndex) -> Option<PublicKey>;
}

/// Why a message, or a round of them, is refused.
///
/// Only an equivocation blames somebody: anybody could have caused the rest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError<K: MessageKind> {
    /// A message of another ceremony.
    #[error("the message belongs to another ceremony")]
    OtherCeremony,
    /// A message whose sender has no place in the ceremony that lets it say this.
    #[error("nobody sends {kind:?} messages as member {sender} in this ceremony")]
    UnknownSender {
        /// The sender that the message names.
        sender: ParticipantIndex,
        /// The kind of message.
        kind: K,
    },
    /// The signature is not that of the sender whom the message names.
    #[error("the signature is not that of member {claimed}")]
    Forged {
        /// The sender that the message names.
        claimed: ParticipantIndex,
    },
    /// The message came over the connection of another identity than the sender's.
    #[error("a message of member {claimed} came from another peer")]
    OtherPeer {
        /// The sender that the message names.
        claimed: ParticipantIndex,
    },
    /// A message of another round, or for another recipient, than is due.
    #[error("member {sender} sent a {found:?} message or recipient that is not due")]
    NotDue {
        /// The sender; a third party may have brought its message here.
        sender: ParticipantIndex,
        /// The kind of message.
        found: K,
    },
    /// These have sent nothing yet.
    #[error("nothing has come from {} members", .0.len())]
    Missing(Vec<ParticipantIndex>),
    /// Members that signed two different messages where one is due.
    #[error("{} members sent different members different messages", .0.len())]
    Equivocation(Vec<Equivocation<K>>),
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
pub(crate) struct Envelope<K> {
    pub(crate) ceremony: CeremonyId,
    pub(crate) sender: ParticipantIndex,
    /// `None` is everybody.
    pub(crate) recipient: Option<ParticipantIndex>,
    pub(crate) kind: K,
}

impl<K: MessageKind> Envelope<K> {
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

    /// Whether the sender made this attestation.
    pub(crate) fn verify<R: Roster<Kind = K>>(
        &self,
        roster: &R,
        attestation: &Attestation,
    ) -> Result<(), MessageError<K>> {
        let (sender, kind) = (self.sender, self.kind);
        let identity = roster
            .sender(kind, sender)
            .ok_or(MessageError::UnknownSender { sender, kind })?;
        let message = self.signed_bytes(&attestation.payload_digest);
        identity
            .verify(Domain::CeremonyMessage, &message, &attestation.signature)
            .map_err(|_| MessageError::Forged { claimed: sender })
    }
}

impl<K: MessageKind> Canonical for Envelope<K> {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.ceremony);
        writer.put(&self.sender);
        put_recipient(writer, self.recipient);
        writer.put(&self.kind);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            ceremony: reader.get()?,
            sender: reader.get()?,
            recipient: get_recipient(reader)?,
            kind: reader.get()?,
        })
    }
}

fn payload_digest(payload: &[u8]) -> [u8; 32] {
    Transcript::new(Domain::CeremonyPayload)
        .append("payload", payload)
        .digest()
}

/// A message of one member, to all or to one.
///
/// Encoded as ceremony id (32), sender (2), recipient or 0 (2), kind (1), payload (length-prefixed, at most what
/// its kind has), signature (64). A message that holds a secret travels only to its recipient over an
/// authenticated, encrypted channel, and is neither logged nor stored in the clear. The payload is wiped when dropped.
pub struct SignedMessage<K> {
    envelope: Envelope<K>,
    payload: Zeroizing<Vec<u8>>,
    attestation: Attestation,
}

impl<K: MessageKind> SignedMessage<K> {
    pub(crate) fn sign(envelope: Envelope<K>, payload: Zeroizing<Vec<u8>>, identity: &SigningKey) -> Self {
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

    /// The index that it says it is from; [`SignedMessage::verify`] checks this.
    #[must_use]
    pub const fn sender(&self) -> ParticipantIndex {
        self.envelope.sender
    }

    /// The index that it is for, or `None` for all.
    #[must_use]
    pub const fn recipient(&self) -> Option<ParticipantIndex> {
        self.envelope.recipient
    }

    /// Its round.
    #[must_use]
    pub const fn kind(&self) -> K {
        self.envelope.kind
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) const fn payload_digest(&self) -> &[u8; 32] {
        &self.attestation.payload_digest
    }

    /// What its sender signed, without the payload.
    #[must_use]
    pub const fn attestation(&self) -> Attestation {
        self.attestation
    }

    /// Checks ceremony, sender and signature. The payload is checked by the round that takes the message.
    ///
    /// # Errors
    /// [`MessageError::OtherCeremony`], [`MessageError::UnknownSender`] or [`MessageError::Forged`]; nobody is to
    /// blame.
    pub fn verify<R: Roster<Kind = K>>(&self, roster: &R) -> Result<(), R::Error> {
        Ok(self.check(roster)?)
    }

    /// [`SignedMessage::verify`], and that it came from the peer whom it names.
    ///
    /// # Errors
    /// As there, and [`MessageError::OtherPeer`].
    pub fn verify_from<R: Roster<Kind = K>>(&self, roster: &R, peer: &PublicKey) -> Result<(), R::Error> {
        self.check(roster)?;
        if roster.sender(self.kind(), self.sender()) == Some(*peer) {
            Ok(())
        } else {
            let claimed = self.sender();
            Err(MessageError::OtherPeer { claimed }.into())
        }
    }

    fn check<R: Roster<Kind = K>>(&self, roster: &R) -> Result<(), MessageError<K>> {
        if self.envelope.ceremony != roster.id() {
            return Err(MessageError::OtherCeremony);
        }
        self.envelope.verify(roster, &self.attestation)
    }

    /// Refuses a message of another kind or for another recipient.
    pub(crate) fn expect(&self, kind: K, recipient: Option<ParticipantIndex>) -> Result<(), MessageError<K>> {
        if self.kind() == kind && self.recipient() == recipient {
            Ok(())
        } else {
            Err(MessageError::NotDue {
                sender: self.sender(),
                found: self.kind(),
            })
        }
    }

    /// A second copy, for evidence. What is copied is wiped as the first.
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            envelope: self.envelope,
            payload: self.payload.clone(),
            attestation: self.attestation,
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

impl<K: MessageKind> Canonical for SignedMessage<K> {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.envelope);
        writer.bytes(&self.payload);
        writer.put(&self.attestation.signature);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let envelope: Envelope<K> = reader.get()?;
        let payload = Zeroizing::new(reader.bytes(envelope.kind.max_payload())?.to_vec());
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

impl<K: MessageKind> PartialEq for SignedMessage<K> {
    /// By what was signed: the payload's digest stands for the payload.
    fn eq(&self, other: &Self) -> bool {
        self.envelope == other.envelope && self.attestation == other.attestation
    }
}

impl<K: MessageKind> Eq for SignedMessage<K> {}

impl<K: MessageKind> core::fmt::Debug for SignedMessage<K> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SignedMessage")
            .field("sender", &self.sender())
            .field("recipient", &self.recipient())
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

/// Proof that a member signed two different payloads where one is due. Anybody with the ceremony can check it.
///
/// Encoded as sender (2), recipient or 0 (2), kind (1), and the two attestations (96 each).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equivocation<K> {
    /// Who signed both.
    pub sender: ParticipantIndex,
    /// The recipient of both, or `None` for all.
    pub recipient: Option<ParticipantIndex>,
    /// The round of both.
    pub kind: K,
    /// One of them.
    pub first: Attestation,
    /// The other.
    pub second: Attestation,
}

impl<K: MessageKind> Equivocation<K> {
    /// Checks the evidence.
    ///
    /// # Errors
    /// [`MessageError::Forged`] or [`MessageError::UnknownSender`] if a signature is not the sender's, and
    /// [`MessageError::NotDue`] if both payloads are the same.
    pub fn verify<R: Roster<Kind = K>>(&self, roster: &R) -> Result<(), R::Error> {
        Ok(self.check(roster)?)
    }

    pub(crate) fn check<R: Roster<Kind = K>>(&self, roster: &R) -> Result<(), MessageError<K>> {
        let Self {
            sender,
            recipient,
            kind,
            first,
            second,
        } = *self;
        if first.payload_digest == second.payload_digest {
            return Err(MessageError::NotDue { sender, found: kind });
        }
        let envelope = Envelope {
            ceremony: roster.id(),
            sender,
            recipient,
            kind,
        };
        envelope.verify(roster, &first)?;
        envelope.verify(roster, &second)
    }
}

/// One message of each sender.
pub(crate) type BySender<K> = BTreeMap<ParticipantIndex, SignedMessage<K>>;

/// Verifies the messages of one round and has exactly one from each of the expected senders.
pub(crate) fn collect<R: Roster>(
    roster: &R,
    kind: R::Kind,
    recipient: Option<ParticipantIndex>,
    expected: impl Iterator<Item = ParticipantIndex>,
    messages: Vec<SignedMessage<R::Kind>>,
) -> Result<BySender<R::Kind>, MessageError<R::Kind>> {
    let mut by_sender = BTreeMap::new();
    let mut equivocations = Vec::new();
    for message in messages {
        message.check(roster)?;
        message.expect(kind, recipient)?;
        match by_sender.entry(message.sender()) {
            Entry::Vacant(vacant) => {
                vacant.insert(message);
            }
            Entry::Occupied(earlier) => equivocations.extend(contradiction(earlier.get(), &message)),
        }
    }
    if !equivocations.is_empty() {
        return Err(MessageError::Equivocation(equivocations));
    }
    let mut due = BTreeMap::new();
    let mut missing = Vec::new();
    for sender in expected {
        match by_sender.remove(&sender) {
            Some(message) => drop(due.insert(sender, message)),
            None => missing.push(sender),
        }
    }
    if let Some((sender, message)) = by_sender.first_key_value() {
        return Err(MessageError::NotDue {
            sender: *sender,
            found: message.kind(),
        });
    }
    if missing.is_empty() {
        Ok(due)
    } else {
        Err(MessageError::Missing(missing))
    }
}

/// The same message twice is a repeat on the way, not a fault.
pub(crate) fn contradiction<K: MessageKind>(
    first: &SignedMessage<K>,
    second: &SignedMessage<K>,
) -> Option<Equivocation<K>> {
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

fn put_recipient(writer: &mut Writer, recipient: Option<ParticipantIndex>) {
    writer.u16(recipient.map_or(0, ParticipantIndex::get));
}

fn get_recipient(reader: &mut Reader<'_>) -> Result<Option<ParticipantIndex>, DecodeError> {
    match reader.u16()? {
        0 => Ok(None),
        index => ParticipantIndex::new(index)
            .map(Some)
            .map_err(|_| DecodeError::Invalid("recipient")),
    }
}

impl<K: MessageKind> Canonical for Equivocation<K> {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.sender);
        put_recipient(writer, self.recipient);
        writer.put(&self.kind);
        writer.put(&self.first);
        writer.put(&self.second);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            sender: reader.get()?,
            recipient: get_recipient(reader)?,
            kind: reader.get()?,
            first: reader.get()?,
            second: reader.get()?,
        })
    }
}
