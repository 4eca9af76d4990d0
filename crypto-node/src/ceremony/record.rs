//! What a node keeps of a ceremony on disk: its promises and the other members' signed ones, nothing secret.
//!
//! ```text
//! record  u8 version (1) ‖ ceremony ‖ u64 deadline, milliseconds ‖ u8 phase ‖ bytes transcript (empty or 32)
//!         ‖ joins ‖ option manifest ‖ signs ‖ confirms ‖ str reason ‖ u16 culprit (0 when none) ‖ option message
//! joins, signs, confirms  u32 count ‖ messages
//! ```

use super::message::{Body, Message, MessageError};
use std::collections::BTreeMap;
use threshold::committee::{CommitteeManifest, MAX_MEMBERS, ParticipantIndex, SignedManifest};
use threshold::dkg::Ceremony;
use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::signature::Signature;

const VERSION: u8 = 1;
const MAX_REASON: usize = 1024;

/// How far a ceremony is, as far as it matters after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Known; members consent or not.
    Proposed,
    /// Under way; its secrets are in memory only.
    Running,
    /// This node has stored its share and signed the manifest.
    Signed,
    /// All members have signed: this node tries the key, and with its confirmation it can no longer go back.
    Canary,
    /// All members have used the key: it is in use.
    Active,
    /// Over, without a key; unless this node has confirmed, and all others turn out to have, too.
    Aborted,
}

/// The messages of members, by seat.
pub type Messages = BTreeMap<ParticipantIndex, Message>;

/// A ceremony on disk.
#[derive(Debug, Clone)]
pub struct Record {
    /// The ceremony.
    pub ceremony: Ceremony,
    /// When a member that has not confirmed gives up.
    pub deadline_ms: u64,
    /// How far it is.
    pub phase: Phase,
    /// Digest of all round-1 messages, once known.
    pub transcript: Option<[u8; 32]>,
    /// Who consented.
    pub joins: Messages,
    /// The result, once this node has it.
    pub manifest: Option<CommitteeManifest>,
    /// Who signed the manifest.
    pub signs: Messages,
    /// Who has used the key.
    pub confirms: Messages,
    /// Why it was aborted.
    pub reason: String,
    /// Who is to blame, where it is proven.
    pub culprit: Option<ParticipantIndex>,
    /// The abort that ended it: this node's own, or a member's that this node passes on.
    pub abort: Option<Message>,
}

impl Record {
    /// A ceremony that was just proposed.
    #[must_use]
    pub const fn new(ceremony: Ceremony, deadline_ms: u64) -> Self {
        Self {
            ceremony,
            deadline_ms,
            phase: Phase::Proposed,
            transcript: None,
            joins: BTreeMap::new(),
            manifest: None,
            signs: BTreeMap::new(),
            confirms: BTreeMap::new(),
            reason: String::new(),
            culprit: None,
            abort: None,
        }
    }

    /// Whether every member is in the map.
    #[must_use]
    pub fn is_complete(&self, messages: &Messages) -> bool {
        messages.len() == self.ceremony.seats().len()
    }

    /// The manifest of the key to use: once every member has confirmed, and so has signed.
    #[must_use]
    pub fn confirmed_manifest(&self) -> Option<SignedManifest> {
        self.is_complete(&self.confirms)
            .then(|| self.signed_manifest())
            .flatten()
    }

    /// What proves to any member that all have confirmed.
    #[must_use]
    pub fn proof_of_confirmations(&self) -> Body {
        Body::Done(
            self.confirms
                .values()
                .map(|message| *message.signature())
                .collect(),
        )
    }

    /// Takes in the confirmations that another member proves: all of them, or it proves nothing.
    ///
    /// # Errors
    /// [`MessageError::BadSignature`].
    pub fn take_confirmations(&mut self, signatures: &[Signature]) -> Result<(), MessageError> {
        let (id, seats) = (self.ceremony.id(), self.ceremony.seats());
        if signatures.len() != seats.len() {
            return Err(MessageError::BadSignature);
        }
        self.confirms = seats
            .iter()
            .zip(signatures)
            .map(|(seat, signature)| Ok((seat.index, Message::confirmation(id, seat, *signature)?)))
            .collect::<Result<Messages, MessageError>>()?;
        Ok(())
    }

    /// The manifest with all signatures, once they are there.
    #[must_use]
    pub fn signed_manifest(&self) -> Option<SignedManifest> {
        let manifest = self.manifest.clone()?;
        let signatures: Vec<Signature> = self.signs.values().filter_map(signature).collect();
        let signed = SignedManifest { manifest, signatures };
        signed.verify().is_ok().then_some(signed)
    }
}

fn signature(message: &Message) -> Option<Signature> {
    match &message.body {
        Body::Sign { signature, .. } => Some(*signature),
        _ => None,
    }
}

impl Phase {
    const fn number(self) -> u8 {
        match self {
            Self::Proposed => 1,
            Self::Running => 2,
            Self::Signed => 3,
            Self::Canary => 4,
            Self::Active => 5,
            Self::Aborted => 6,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [
            Self::Proposed,
            Self::Running,
            Self::Signed,
            Self::Canary,
            Self::Active,
            Self::Aborted,
        ]
        .into_iter()
        .find(|phase| phase.number() == number)
    }
}

fn write_messages(writer: &mut Writer, messages: &Messages) {
    writer.count(messages.len());
    messages.values().for_each(|message| writer.put(message));
}

fn read_messages(reader: &mut Reader<'_>) -> Result<Messages, DecodeError> {
    let messages: Vec<Message> = reader.list(MAX_MEMBERS.into())?;
    Ok(messages
        .into_iter()
        .map(|message| (message.sender, message))
        .collect())
}

impl Canonical for Record {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.put(&self.ceremony);
        writer.u64(self.deadline_ms);
        writer.u8(self.phase.number());
        writer.bytes(self.transcript.as_ref().map_or(&[], |digest| digest.as_slice()));
        write_messages(writer, &self.joins);
        writer.option(self.manifest.as_ref());
        write_messages(writer, &self.signs);
        write_messages(writer, &self.confirms);
        writer.str(crate::journal::cut(&self.reason, MAX_REASON));
        writer.u16(self.culprit.map_or(0, ParticipantIndex::get));
        writer.option(self.abort.as_ref());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION {
            return Err(DecodeError::UnknownVersion("ceremony record"));
        }
        let ceremony = reader.get()?;
        let deadline_ms = reader.u64()?;
        let phase = Phase::from_number(reader.u8()?).ok_or(DecodeError::Invalid("ceremony phase"))?;
        let transcript = match reader.bytes(32)? {
            [] => None,
            digest => Some(
                digest
                    .try_into()
                    .map_err(|_| DecodeError::Invalid("transcript digest"))?,
            ),
        };
        Ok(Self {
            ceremony,
            deadline_ms,
            phase,
            transcript,
            joins: read_messages(reader)?,
            manifest: reader.option()?,
            signs: read_messages(reader)?,
            confirms: read_messages(reader)?,
            reason: reader.str(MAX_REASON)?.to_owned(),
            culprit: ParticipantIndex::new(reader.u16()?).ok(),
            abort: reader.option()?,
        })
    }
}
