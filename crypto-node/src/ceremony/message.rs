//! What members say to each other in a ceremony.
//!
//! ```text
//! message  u8 version (3) ‖ ceremony id (32) ‖ sender's identity key (32) ‖ u8 kind ‖ body ‖ signature (64)
//! ```
//!
//! The signature is the sender's identity key's over everything before it (domain member-message). The messages of the
//! protocols themselves, which are signed for their own, travel inside. A message within a message travels as
//! length-prefixed bytes and is taken apart only by whoever needs it, so that nesting is never deeper than the
//! code that looks.

use super::plan::Plan;
use super::report::Account;
use ed25519_dalek::SigningKey;
use threshold::committee::{CommitteeManifest, MAX_MEMBERS, ParticipantIndex, SignedManifest};
use threshold::dkg::{Attestation, Equivocation, Kind as RoundKind};
use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::ids::{CeremonyId, ManifestDigest, WriteId};
use threshold::message::{MessageKind, SignedMessage};
use threshold::reencrypt::ReencryptionShare;
use threshold::signature::{PublicKey, Signature, sign};
use threshold::transcript::Domain;
use threshold::wrap::WrappedKey;
use zeroize::Zeroizing;

const VERSION: u8 = 3;
/// Longest reason of an abort, in bytes.
const MAX_REASON: usize = 300;
/// Longest message of a protocol, envelope included: a report of a resharing has the longest payload, 15110 bytes.
const MAX_ROUND: usize = 16 * 1024;
/// What is around a body in bytes, and more: version, ceremony, sender, kind, length, signature.
const ENVELOPE: usize = 160;
/// Longest evidence. That of a wrong sum in a repair with more than forty helpers is longer, and is not passed on.
pub(super) const MAX_EVIDENCE: usize = 96 * 1024;
/// Longest message within a message: an abort with the evidence for it.
const MAX_NESTED: usize = MAX_EVIDENCE + 1024;
/// More than an answer to a canary has.
const MAX_CANARY_SHARE: usize = 1024;

/// Why a message is not accepted; the sender is not to blame for what somebody else may have made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not the encoding of a message.
    #[error("malformed ceremony message: {0}")]
    Malformed(#[from] DecodeError),
    /// The sender is not a member.
    #[error("the sender has no seat in the ceremony")]
    NoSeat,
    /// The claimed sender is not the peer that delivered it.
    #[error("the sender named in the message is not the peer that delivered it")]
    WrongSender,
    /// The signature is not the sender's.
    #[error("the message is not signed by its sender")]
    BadSignature,
}

/// A signed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The ceremony it belongs to.
    pub ceremony: CeremonyId,
    /// The sender's identity key.
    pub sender: PublicKey,
    /// What it says.
    pub body: Body,
    signature: Signature,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Start this ceremony, by this time.
    Propose {
        /// What it is to do.
        plan: Box<Plan>,
        /// After this time a member that has not signed the result gives up.
        deadline_ms: u64,
    },
    /// The sender's operator consents.
    Join {
        /// Whether the sender has the share that it is to deal.
        deals: bool,
    },
    /// A message of the protocol: commitments, a report, or a secret for the receiver alone. A secret is never stored, and
    /// never passed on except as evidence when the ceremony is over.
    Round(Round),
    /// The sender has stored its share and signs the manifest.
    Sign {
        /// The manifest's digest.
        manifest: ManifestDigest,
        /// The sender's signature on the manifest.
        signature: Signature,
    },
    /// Re-encrypt this canary, please.
    Canary {
        /// A key that the sender wrapped itself, with the canary's label.
        wrapped: Box<WrappedKey>,
        /// The ephemeral key.
        q: PublicKey,
    },
    /// The answer to a canary.
    CanaryShare(Box<CanaryShare>),
    /// The sender has used the new key with the others, and it opens. Says what ended: a confirmation of one end shows nothing
    /// of another.
    Confirm {
        /// The digest of the manifest that the ceremony ends in.
        manifest: ManifestDigest,
        /// The dealers that count, under their old indices.
        dealers: Vec<ParticipantIndex>,
    },
    /// The sender gives up.
    Abort {
        /// Why, in words.
        reason: String,
        /// What proves it, if somebody cheated.
        evidence: Option<Evidence>,
    },
    /// Another member's abort that the sender passes on.
    Relay(Nested),
    /// The sender knows that the ceremony is done, and how.
    Done(Box<Proof>),
    /// Whoever proposed the ceremony begins it, with these dealers: old members whose operators have not consented are not
    /// waited for any longer.
    Execute {
        /// Under their old indices.
        dealers: Vec<ParticipantIndex>,
    },
    /// The sender's share of this manifest is durable, and it answers under it.
    InUse {
        /// The manifest's digest.
        manifest: ManifestDigest,
        /// Whether the sender knows that an approved read was answered under it: it is published.
        read: bool,
    },
    /// The sender does not know the ceremony that the receiver speaks of.
    Unheard,
    /// The receiver's own consent to the ceremony, which it does not know any more.
    Reminder(Nested),
    /// What the ceremony was to do, and what shows that it is done: for an old member that was never told.
    Ended {
        /// What it was to do.
        plan: Box<Plan>,
        /// What shows that it is done.
        proof: Box<Proof>,
    },
    /// What a member puts into a report of the ceremony for its operator; not sent to other members.
    Account(Box<Account>),
}

/// What shows that a ceremony is done, also to a party that was not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The manifest that it ended in, signed by every member.
    pub signed: SignedManifest,
    /// The dealers that counted, under their old indices.
    pub dealers: Vec<ParticipantIndex>,
    /// The signatures of the confirmations of all whose confirmation counts, in the order of the parties.
    pub confirmations: Vec<Signature>,
}

/// The bytes of a signed message of a protocol, wiped when dropped: they may hold a share.
#[derive(Clone, PartialEq, Eq)]
pub struct Round(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Round({} bytes)", self.0.len())
    }
}

impl Round {
    /// Packs a message.
    #[must_use]
    pub fn pack<K: MessageKind>(message: &SignedMessage<K>) -> Self {
        Self(message.to_secret_bytes())
    }

    /// Takes the message apart. Its signature is not checked here.
    ///
    /// # Errors
    /// The decoder's.
    pub fn unpack<K: MessageKind>(&self) -> Result<SignedMessage<K>, DecodeError> {
        SignedMessage::from_bytes(&self.0)
    }
}

/// A message within a message, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nested(pub Vec<u8>);

/// The answer to a canary. It names what was asked, so that a wrong one can be shown to anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryShare {
    /// The manifest under which the sender answers.
    pub manifest: ManifestDigest,
    /// The canary.
    pub write_id: WriteId,
    /// The ephemeral key.
    pub q: PublicKey,
    /// The share.
    pub share: ReencryptionShare,
}

/// What proves to anybody that a member cheated; see [`super::evidence`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// Two different messages of the key generation where there is one.
    Equivocation(Equivocation),
    /// A share that does not lie on the polynomial its dealer committed to.
    BadShare {
        /// The dealer's commitments.
        commitments: Round,
        /// The share.
        share: Round,
    },
    /// Commitments, or a report of them, that are wrong by themselves.
    BadMessage(Round),
    /// The answer to a canary that is none.
    BadCanary {
        /// The manifest that the answer names.
        manifest: Box<CommitteeManifest>,
        /// The canary that it names.
        wrapped: Box<WrappedKey>,
        /// The ephemeral key that it names.
        q: PublicKey,
        /// The message of kind 6.
        answer: Nested,
    },
    /// What a resharing brings against a party, as bytes of [`threshold::reshare::Evidence`].
    Resharing(Nested),
    /// What a repair brings against a helper, as bytes of [`threshold::repair::Evidence`].
    Repair(Nested),
}

impl Message {
    /// Signs a message.
    #[must_use]
    pub fn new(ceremony: CeremonyId, body: Body, key: &SigningKey) -> Self {
        let sender = PublicKey::of(key);
        let signature = sign(
            key,
            Domain::MemberMessage,
            &signed_bytes(ceremony, &sender, &body),
        );
        Self {
            ceremony,
            sender,
            body,
            signature,
        }
    }

    /// A party's confirmation, from the signature that somebody who knows the end passes on.
    ///
    /// # Errors
    /// [`MessageError::BadSignature`].
    pub fn confirmation(
        ceremony: CeremonyId,
        sender: PublicKey,
        body: Body,
        signature: Signature,
    ) -> Result<Self, MessageError> {
        let message = Self {
            ceremony,
            sender,
            body,
            signature,
        };
        message.verify().map(|()| message)
    }

    /// The sender's signature.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Checks that the sender has signed it.
    ///
    /// # Errors
    /// [`MessageError::BadSignature`].
    pub fn verify(&self) -> Result<(), MessageError> {
        let bytes = signed_bytes(self.ceremony, &self.sender, &self.body);
        self.sender
            .verify(Domain::MemberMessage, &bytes, &self.signature)
            .map_err(|_| MessageError::BadSignature)
    }

    /// The message as bytes, for whoever wipes them after use: of a round-2 message they hold a share.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::with_capacity(ENVELOPE + self.body.size_of_secret());
        self.encode(&mut writer);
        Zeroizing::new(writer.finish())
    }

    /// The message as bytes to put within another.
    #[must_use]
    pub fn nested(&self) -> Nested {
        Nested(self.to_bytes())
    }
}

impl Nested {
    /// Takes the message apart and checks that a party of the ceremony has signed it.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn open(&self, plan: &Plan) -> Result<Message, MessageError> {
        let message = Message::from_bytes(&self.0)?;
        if message.ceremony != plan.id() {
            return Err(MessageError::BadSignature);
        }
        plan.party(&message.sender).ok_or(MessageError::NoSeat)?;
        message.verify()?;
        Ok(message)
    }
}

/// Wiped when dropped, because a body may hold a share; and never reallocated, which would leave a copy behind.
fn signed_bytes(ceremony: CeremonyId, sender: &PublicKey, body: &Body) -> Zeroizing<Vec<u8>> {
    let mut writer = Writer::with_capacity(ENVELOPE + body.size_of_secret());
    writer.u8(VERSION);
    writer.put(&ceremony);
    writer.put(sender);
    writer.put(body);
    Zeroizing::new(writer.finish())
}

impl Canonical for Message {
    fn encode(&self, writer: &mut Writer) {
        writer.fixed(&signed_bytes(self.ceremony, &self.sender, &self.body));
        writer.put(&self.signature);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION {
            return Err(DecodeError::UnknownVersion("ceremony message"));
        }
        Ok(Self {
            ceremony: reader.get()?,
            sender: reader.get()?,
            body: reader.get()?,
            signature: reader.get()?,
        })
    }
}

impl Body {
    /// What of the encoding may be secret.
    fn size_of_secret(&self) -> usize {
        match self {
            Self::Round(round) => round.0.len(),
            _ => 0,
        }
    }
}

impl Canonical for Body {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Propose { plan, deadline_ms } => {
                writer.u8(1);
                writer.put(plan.as_ref());
                writer.u64(*deadline_ms);
            }
            Self::Join { deals } => {
                writer.u8(2);
                writer.bool(*deals);
            }
            Self::Round(round) => {
                writer.u8(3);
                writer.bytes(&round.0);
            }
            Self::Sign { manifest, signature } => {
                writer.u8(4);
                writer.put(manifest);
                writer.put(signature);
            }
            Self::Canary { wrapped, q } => {
                writer.u8(5);
                writer.put(wrapped.as_ref());
                writer.put(q);
            }
            Self::CanaryShare(share) => {
                writer.u8(6);
                writer.put(&share.manifest);
                writer.put(&share.write_id);
                writer.put(&share.q);
                writer.put(&share.share);
            }
            Self::Confirm { manifest, dealers } => {
                writer.u8(7);
                writer.put(manifest);
                writer.list(dealers);
            }
            Self::Abort { reason, evidence } => {
                writer.u8(8);
                writer.str(crate::journal::cut(reason, MAX_REASON));
                writer.option(evidence.as_ref());
            }
            Self::Relay(message) => {
                writer.u8(9);
                writer.bytes(&message.0);
            }
            Self::Done(proof) => {
                writer.u8(10);
                writer.put(proof.as_ref());
            }
            Self::Execute { dealers } => {
                writer.u8(11);
                writer.list(dealers);
            }
            Self::InUse { manifest, read } => {
                writer.u8(12);
                writer.put(manifest);
                writer.bool(*read);
            }
            Self::Unheard => writer.u8(13),
            Self::Reminder(message) => {
                writer.u8(14);
                writer.bytes(&message.0);
            }
            Self::Ended { plan, proof } => {
                writer.u8(15);
                writer.put(plan.as_ref());
                writer.put(proof.as_ref());
            }
            Self::Account(account) => {
                writer.u8(16);
                writer.put(account.as_ref());
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            1 => Self::Propose {
                plan: Box::new(reader.get()?),
                deadline_ms: reader.u64()?,
            },
            2 => Self::Join {
                deals: reader.bool()?,
            },
            3 => Self::Round(round(reader)?),
            4 => Self::Sign {
                manifest: reader.get()?,
                signature: reader.get()?,
            },
            5 => Self::Canary {
                wrapped: Box::new(reader.get()?),
                q: reader.get()?,
            },
            6 => Self::CanaryShare(Box::new(CanaryShare {
                manifest: reader.get()?,
                write_id: reader.get()?,
                q: reader.get()?,
                share: reader.get()?,
            })),
            7 => Self::Confirm {
                manifest: reader.get()?,
                dealers: reader.list(MAX_MEMBERS.into())?,
            },
            8 => Self::Abort {
                reason: reader.str(MAX_REASON)?.to_owned(),
                evidence: reader.option()?,
            },
            9 => Self::Relay(nested(reader)?),
            10 => Self::Done(Box::new(reader.get()?)),
            11 => Self::Execute {
                dealers: reader.list(MAX_MEMBERS.into())?,
            },
            12 => Self::InUse {
                manifest: reader.get()?,
                read: reader.bool()?,
            },
            13 => Self::Unheard,
            14 => Self::Reminder(nested(reader)?),
            15 => Self::Ended {
                plan: Box::new(reader.get()?),
                proof: Box::new(reader.get()?),
            },
            16 => Self::Account(Box::new(reader.get()?)),
            _ => return Err(DecodeError::Invalid("kind of ceremony message")),
        })
    }
}

fn nested(reader: &mut Reader<'_>) -> Result<Nested, DecodeError> {
    Ok(Nested(reader.bytes(MAX_NESTED)?.to_vec()))
}

fn round(reader: &mut Reader<'_>) -> Result<Round, DecodeError> {
    Ok(Round(Zeroizing::new(reader.bytes(MAX_ROUND)?.to_vec())))
}

impl Canonical for Proof {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.signed);
        writer.list(&self.dealers);
        writer.list(&self.confirmations);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            signed: reader.get()?,
            dealers: reader.list(MAX_MEMBERS.into())?,
            confirmations: reader.list(2 * usize::from(MAX_MEMBERS))?,
        })
    }
}

impl Canonical for Evidence {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Equivocation(equivocation) => {
                writer.u8(1);
                writer.put(&equivocation.sender);
                writer.u16(equivocation.recipient.map_or(0, ParticipantIndex::get));
                writer.put(&equivocation.kind);
                writer.put(&equivocation.first);
                writer.put(&equivocation.second);
            }
            Self::BadShare { commitments, share } => {
                writer.u8(2);
                writer.bytes(&commitments.0);
                writer.bytes(&share.0);
            }
            Self::BadMessage(message) => {
                writer.u8(5);
                writer.bytes(&message.0);
            }
            Self::BadCanary {
                manifest,
                wrapped,
                q,
                answer,
            } => {
                writer.u8(6);
                writer.put(manifest.as_ref());
                writer.put(wrapped.as_ref());
                writer.put(q);
                writer.bytes(&answer.0);
            }
            Self::Resharing(evidence) => {
                writer.u8(3);
                writer.bytes(&evidence.0);
            }
            Self::Repair(evidence) => {
                writer.u8(4);
                writer.bytes(&evidence.0);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Equivocation(equivocation(reader)?)),
            2 => Ok(Self::BadShare {
                commitments: round(reader)?,
                share: round(reader)?,
            }),
            3 => Ok(Self::Resharing(Nested(reader.bytes(MAX_EVIDENCE)?.to_vec()))),
            4 => Ok(Self::Repair(Nested(reader.bytes(MAX_EVIDENCE)?.to_vec()))),
            5 => Ok(Self::BadMessage(round(reader)?)),
            6 => Ok(Self::BadCanary {
                manifest: Box::new(reader.get()?),
                wrapped: Box::new(reader.get()?),
                q: reader.get()?,
                answer: Nested(reader.bytes(MAX_CANARY_SHARE)?.to_vec()),
            }),
            _ => Err(DecodeError::Invalid("kind of evidence")),
        }
    }
}

fn equivocation(reader: &mut Reader<'_>) -> Result<Equivocation, DecodeError> {
    let sender = reader.get()?;
    let recipient = match reader.u16()? {
        0 => None,
        index => Some(ParticipantIndex::new(index).map_err(|_| DecodeError::Invalid("recipient"))?),
    };
    let kind: RoundKind = reader.get()?;
    let (first, second): (Attestation, Attestation) = (reader.get()?, reader.get()?);
    Ok(Equivocation {
        sender,
        recipient,
        kind,
        first,
        second,
    })
}
