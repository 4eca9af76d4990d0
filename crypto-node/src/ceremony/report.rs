//! The report of a ceremony that is over: one file that anybody checks offline, without the nodes.
//!
//! ```text
//! report   "quorate-report1" ‖ message of kind 16, of the member that made it
//! account  plan ‖ u64 time, milliseconds ‖ bytes transcript (empty or 32) ‖ faults ‖ verdict
//! faults   u32 count ‖ times (identity key (32) ‖ str what)
//! verdict  01 ‖ proof | 02 ‖ str reason ‖ option culprit's identity key (32) ‖ bytes message of kind 8
//! ```
//!
//! That a ceremony is done is shown by everybody whose confirmation counts: the plan binds who that is, and each has signed the end. That
//! it was given up is shown by the one who did, and in words by whoever reports. What else the report says, the
//! transcript and the faults, is the word of the member that made it.

use super::evidence;
use super::message::{Body, Message, MessageError, Nested, Proof};
use super::plan::{Party, Plan};
use super::record::{Phase, Record};
use threshold::committee::{MAX_MEMBERS, SignedManifest};
use threshold::encoding::{Canonical, DecodeError, Reader, Writer};
use threshold::signature::PublicKey;

const MAGIC: &[u8; 15] = b"quorate-report1";
/// Longer than any report: an abort may have evidence with it.
pub const MAX_REPORT: usize = 256 * 1024;
const MAX_WORDS: usize = 1024;
/// Longest abort: as a message within a message.
const MAX_ABORT: usize = 97 * 1024;

/// What a member says of a ceremony that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What it was to do.
    pub plan: Plan,
    /// When the account was given, by the member's clock: milliseconds since 1970.
    pub time_ms: u64,
    /// What was to be read aloud, if it came so far.
    pub transcript: Option<[u8; 32]>,
    /// Who was left out, and why.
    pub faults: Vec<(PublicKey, String)>,
    /// How it ended.
    pub verdict: Verdict,
}

/// How a ceremony ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All whose confirmation counts have confirmed.
    Done(Proof),
    /// A member gave it up.
    Aborted {
        /// Why, as the reporting member has it.
        reason: String,
        /// Who is to blame, as it has found.
        culprit: Option<PublicKey>,
        /// The abort of the member that gave it up.
        abort: Nested,
    },
}

/// A report whose signatures are still to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(Message);

/// Why a report shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Not the bytes of a report.
    #[error("not a ceremony's report: {0}")]
    Malformed(#[from] DecodeError),
    /// A signature, or who has signed, is not what the verdict needs.
    #[error("the report does not show what it says: {0}")]
    Unproven(#[from] MessageError),
}

/// What a report shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The member that made the report, which is a party of the ceremony.
    pub reporter: Party,
    /// What it says; the verdict is proven.
    pub account: Account,
    /// Everybody, with whether they have signed the verdict, and whether it needs their signature.
    pub parties: Vec<(Party, bool, bool)>,
    /// Who is proven to have cheated by what is in the report.
    pub proven_culprit: Option<PublicKey>,
}

impl Account {
    /// The account of a ceremony, if it is over.
    pub(super) fn of(record: &Record, now_ms: u64) -> Option<Self> {
        let verdict = match record.phase {
            Phase::Active => Verdict::Done(record.proof()?),
            Phase::Aborted => Verdict::Aborted {
                reason: record.reason.clone(),
                culprit: record.culprit,
                abort: record.abort.as_ref()?.nested(),
            },
            _ => return None,
        };
        let faults = record.faults.iter();
        Some(Self {
            plan: record.plan.clone(),
            time_ms: now_ms,
            transcript: record.transcript,
            faults: faults.map(|fault| (fault.who, fault.what.clone())).collect(),
            verdict,
        })
    }
}

impl Report {
    /// A report from a member's account.
    pub(super) fn new(message: Message) -> Option<Self> {
        matches!(message.body, Body::Account(_)).then_some(Self(message))
    }

    /// The report as the bytes of a file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [MAGIC.as_slice(), &self.0.to_bytes()].concat()
    }

    /// Takes the bytes of a file apart; shows nothing yet.
    ///
    /// # Errors
    /// [`ReportError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReportError> {
        if bytes.len() > MAX_REPORT {
            return Err(DecodeError::Invalid("length of a report").into());
        }
        let message = bytes.strip_prefix(MAGIC.as_slice());
        let message = message.ok_or(DecodeError::Invalid("magic of a report"))?;
        Self::new(Message::from_bytes(message)?)
            .ok_or_else(|| DecodeError::Invalid("kind of a report's message").into())
    }

    /// Checks the reporting member's signature, that it is a party, and that the verdict is proven.
    ///
    /// # Errors
    /// [`ReportError::Unproven`].
    pub fn check(self) -> Result<Checked, ReportError> {
        self.0.verify()?;
        let (id, sender) = (self.0.ceremony, self.0.sender);
        let Body::Account(account) = self.0.body else {
            return Err(MessageError::BadSignature.into());
        };
        let account = *account;
        if account.plan.id() != id {
            return Err(MessageError::BadSignature.into());
        }
        let reporter = account.plan.party(&sender).ok_or(MessageError::NoSeat)?;
        // A record takes a proof in from anybody, and nothing that is not one.
        let mut record = Record::new(account.plan.clone(), sender, 0);
        let (mut signed, mut needed, mut proven_culprit) = (Vec::new(), Vec::new(), None);
        match &account.verdict {
            Verdict::Done(proof) => {
                record.take_proof(proof)?;
                needed = record.confirmers();
                signed.clone_from(&needed);
            }
            Verdict::Aborted { abort, .. } => {
                let abort = abort.open(&account.plan)?;
                let Body::Abort { evidence, .. } = &abort.body else {
                    return Err(MessageError::BadSignature.into());
                };
                proven_culprit = evidence
                    .as_ref()
                    .and_then(|evidence| evidence::culprit(evidence, &account.plan).ok());
                signed.push(abort.sender);
            }
        }
        let parties = account.plan.parties().into_iter().map(|party| {
            let (has, needs) = (signed.contains(&party.identity), needed.contains(&party.identity));
            (party, has, needs)
        });
        Ok(Checked {
            reporter,
            parties: parties.collect(),
            proven_culprit,
            account,
        })
    }
}

impl Checked {
    /// The manifest that the ceremony ended in, signed by every member and confirmed by all whose confirmation counts.
    #[must_use]
    pub const fn manifest(&self) -> Option<&SignedManifest> {
        match &self.account.verdict {
            Verdict::Done(proof) => Some(&proof.signed),
            Verdict::Aborted { .. } => None,
        }
    }
}

/// Who was left out, and why.
struct Left(PublicKey, String);

impl Canonical for Left {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.0);
        writer.str(crate::journal::cut(&self.1, MAX_WORDS));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.get()?, reader.str(MAX_WORDS)?.to_owned()))
    }
}

impl Canonical for Account {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.plan);
        writer.u64(self.time_ms);
        writer.bytes(self.transcript.as_ref().map_or(&[], |digest| digest.as_slice()));
        let faults = self.faults.iter();
        let faults: Vec<Left> = faults.map(|(who, what)| Left(*who, what.clone())).collect();
        writer.list(&faults);
        match &self.verdict {
            Verdict::Done(proof) => {
                writer.u8(1);
                writer.put(proof);
            }
            Verdict::Aborted {
                reason,
                culprit,
                abort,
            } => {
                writer.u8(2);
                writer.str(crate::journal::cut(reason, MAX_WORDS));
                writer.option(culprit.as_ref());
                writer.bytes(&abort.0);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (plan, time_ms) = (reader.get()?, reader.u64()?);
        let transcript = match reader.bytes(32)? {
            [] => None,
            digest => Some(
                digest
                    .try_into()
                    .map_err(|_| DecodeError::Invalid("transcript digest"))?,
            ),
        };
        let faults: Vec<Left> = reader.list(MAX_MEMBERS.into())?;
        let verdict = match reader.u8()? {
            1 => Verdict::Done(reader.get()?),
            2 => Verdict::Aborted {
                reason: reader.str(MAX_WORDS)?.to_owned(),
                culprit: reader.option()?,
                abort: Nested(reader.bytes(MAX_ABORT)?.to_vec()),
            },
            _ => return Err(DecodeError::Invalid("verdict")),
        };
        Ok(Self {
            plan,
            time_ms,
            transcript,
            faults: faults.into_iter().map(|Left(who, what)| (who, what)).collect(),
            verdict,
        })
    }
}
