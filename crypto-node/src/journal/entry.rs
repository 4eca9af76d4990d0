//! What the journal records.
//!
//! ```text
//! entry    u8 version (1) ‖ u64 position ‖ u64 time, milliseconds ‖ u8 kind ‖ fields
//! 1 started    -
//! 2 release    approveID ‖ writeID ‖ Q (32) ‖ u64 expires, milliseconds ‖ coordinator key (32) ‖ bool repeat
//! 3 withheld   u64 position of the release
//! 4 refusals   u32 count ‖ str code ‖ peer key (32) ‖ option approveID
//! 5 ceremony   ceremony id ‖ u8 step ‖ str detail
//! ```

use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::ids::{ApproveId, CeremonyId, WriteId};

const VERSION: u8 = 1;
const MAX_CODE: usize = 64;
/// The most bytes of a ceremony's detail; longer text is cut.
pub const MAX_DETAIL: usize = 512;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its position, from 0.
    pub position: u64,
    /// The node's clock when it was made.
    pub time_ms: u64,
    /// What happened.
    pub event: Event,
}

/// A use of the share: for this approval, this wrapped key, towards this ephemeral key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// The approved read.
    pub approve_id: ApproveId,
    /// The wrapped key.
    pub write_id: WriteId,
    /// The reader's ephemeral key, in Ed25519 form.
    pub q: [u8; 32],
    /// When the approval expires, by its certificates.
    pub expires_ms: u64,
    /// Identity key of the coordinator that asked.
    pub coordinator: [u8; 32],
    /// Whether the very same use was journalled before.
    pub repeat: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The node started.
    Started,
    /// The share was used; the answer left the node unless a withheld entry follows.
    Release(Release),
    /// The release at this position did not leave the node: it expired while it was being recorded.
    Withheld {
        /// Position of the release.
        position: u64,
    },
    /// Requests of one peer were refused for one reason.
    Refusals {
        /// How many; the first of a kind is recorded at once, the following together.
        count: u32,
        /// Stable code of the refusal.
        code: String,
        /// Identity key of the peer.
        peer: [u8; 32],
        /// The approval of the newest of them, where it was known.
        approve_id: Option<ApproveId>,
    },
    /// A ceremony went a step further.
    Ceremony {
        /// Which ceremony.
        ceremony: CeremonyId,
        /// Which step.
        step: Step,
        /// In words: the reason of an abort, the digest of a manifest.
        detail: String,
    },
}

/// A step of a ceremony that is worth a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A member proposed.
    Proposed,
    /// This node's operator consented.
    Joined,
    /// The new share is stored and the manifest signed.
    Signed,
    /// This node used the new key with the others and it opens.
    Confirmed,
    /// The key is in use.
    Active,
    /// The ceremony ended without a key.
    Aborted,
    /// The share was used for another member's canary.
    Canary,
    /// The share was dealt to the next committee, or split to help a member that has lost its own.
    Dealt,
    /// A dealer was left out.
    Excluded,
    /// The share of the epoch before was destroyed.
    Retired,
    /// The key was not in use yet when the node stopped, although the journal says so already.
    Withdrawn,
}

impl Step {
    const ALL: [Self; 11] = [
        Self::Proposed,
        Self::Joined,
        Self::Signed,
        Self::Confirmed,
        Self::Active,
        Self::Aborted,
        Self::Canary,
        Self::Dealt,
        Self::Excluded,
        Self::Retired,
        Self::Withdrawn,
    ];

    const fn number(self) -> u8 {
        match self {
            Self::Proposed => 1,
            Self::Joined => 2,
            Self::Signed => 3,
            Self::Confirmed => 4,
            Self::Active => 5,
            Self::Aborted => 6,
            Self::Canary => 7,
            Self::Dealt => 8,
            Self::Excluded => 9,
            Self::Retired => 10,
            Self::Withdrawn => 11,
        }
    }
}

impl Canonical for Entry {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u64(self.position);
        writer.u64(self.time_ms);
        match &self.event {
            Event::Started => writer.u8(1),
            Event::Release(release) => {
                writer.u8(2);
                writer.put(&release.approve_id);
                writer.put(&release.write_id);
                writer.fixed(&release.q);
                writer.u64(release.expires_ms);
                writer.fixed(&release.coordinator);
                writer.bool(release.repeat);
            }
            Event::Withheld { position } => {
                writer.u8(3);
                writer.u64(*position);
            }
            Event::Refusals {
                count,
                code,
                peer,
                approve_id,
            } => {
                writer.u8(4);
                writer.u32(*count);
                writer.str(cut(code, MAX_CODE));
                writer.fixed(peer);
                writer.option(approve_id.as_ref());
            }
            Event::Ceremony {
                ceremony,
                step,
                detail,
            } => {
                writer.u8(5);
                writer.put(ceremony);
                writer.u8(step.number());
                writer.str(cut(detail, MAX_DETAIL));
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION {
            return Err(DecodeError::UnknownVersion("journal entry"));
        }
        let position = reader.u64()?;
        let time_ms = reader.u64()?;
        let event = match reader.u8()? {
            1 => Event::Started,
            2 => Event::Release(Release {
                approve_id: reader.get()?,
                write_id: reader.get()?,
                q: reader.fixed()?,
                expires_ms: reader.u64()?,
                coordinator: reader.fixed()?,
                repeat: reader.bool()?,
            }),
            3 => Event::Withheld {
                position: reader.u64()?,
            },
            4 => Event::Refusals {
                count: reader.u32()?,
                code: reader.str(MAX_CODE)?.to_owned(),
                peer: reader.fixed()?,
                approve_id: reader.option()?,
            },
            5 => {
                let ceremony = reader.get()?;
                let number = reader.u8()?;
                let step = Step::ALL.into_iter().find(|step| step.number() == number);
                Event::Ceremony {
                    ceremony,
                    step: step.ok_or(DecodeError::Invalid("ceremony step"))?,
                    detail: reader.str(MAX_DETAIL)?.to_owned(),
                }
            }
            _ => return Err(DecodeError::Invalid("journal event")),
        };
        Ok(Self {
            position,
            time_ms,
            event,
        })
    }
}

/// The longest prefix of at most `max` bytes that ends between characters.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
