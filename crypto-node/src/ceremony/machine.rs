//! The ceremony as a state machine without I/O: a message, a command or a tick in, an [`Outcome`] out.
//!
//! ```text
//! Proposed --all joined--> Running --share stored, manifest signed--> Signed --all signed--> Canary --all used it--> Active
//!     \______________________/ \__ a member that has not signed aborts ____/
//!       anything goes wrong
//! ```
//!
//! All or nothing: a member's signature on the manifest is its promise not to go back, and the key comes to be
//! only with all of them. Before it signs, a member may abort for any reason; after, only on the signed abort of
//! a member that has not signed. Should a member sign both (it then proves its own fault), the full set of
//! manifest signatures counts more than any abort: whoever has aborted on such a word takes the key up again.

use super::evidence;
use super::message::{Body, Evidence, Message, MessageError};
use super::record::{Phase, Record};
use super::rounds::{Rounds, silent};
use crate::journal::Step;
use rand_core::{CryptoRng, RngCore};
use service::Identity;
use std::collections::BTreeSet;
use threshold::committee::{CommitteeError, CommitteeManifest, ParticipantIndex, SignedManifest, Threshold};
use threshold::dkg::{Ceremony, Seat};
use threshold::ids::CeremonyId;
use threshold::secret::KeyShare;
use threshold::signature::PublicKey;

/// What comes of an input. The caller carries it out in the order of the fields, each durable before the next;
/// if one fails, the rest must not happen.
#[derive(Debug, Default)]
pub struct Outcome {
    /// A new share, to be sealed and stored.
    pub share: Option<(KeyShare, CommitteeManifest)>,
    /// What belongs in the journal.
    pub journal: Vec<(Step, String)>,
    /// Whether the record has changed.
    pub persist: bool,
    /// All members have signed: try the key with them.
    pub canary: Option<SignedManifest>,
    /// All members have tried the key: use it.
    pub activate: Option<SignedManifest>,
    /// What to send, to one member or to all others.
    pub send: Vec<(Option<ParticipantIndex>, Message)>,
    /// What to answer the member whose message this was.
    pub answer: Option<Message>,
}

/// Why a member's message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is wrong; sending it again does not help.
    #[error(transparent)]
    Wrong(#[from] MessageError),
    /// It comes too early for this node; send it again.
    #[error("this node does not know the ceremony yet")]
    Early,
}

/// Why a command of the operator was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The node has a key in use.
    #[error("this node already holds a share of a key in use; re-sharing is another ceremony")]
    HasKey,
    /// Another ceremony is under way.
    #[error("ceremony {0} is under way; join it, or abort it first")]
    Busy(CeremonyId),
    /// No such ceremony is under way.
    #[error("no ceremony {0} is under way; `status` shows the newest one")]
    Unknown(CeremonyId),
    /// The threshold does not fit the members.
    #[error(transparent)]
    Threshold(#[from] CommitteeError),
    /// The seats do not make a ceremony.
    #[error("the configured members do not make a ceremony: {0}")]
    Seats(String),
    /// The node has promised not to go back.
    #[error(
        "this node has signed the new manifest and can no longer abort ceremony {0}; it ends when every member has \
         signed, or when one that has not signed aborts"
    )]
    Signed(CeremonyId),
}

/// The machine of one node.
pub struct Machine {
    pub(super) me: ParticipantIndex,
    pub(super) identity: Identity,
    pub(super) seats: Vec<Seat>,
    pub(super) record: Option<Record>,
    pub(super) rounds: Rounds,
    pub(super) has_key: bool,
    pub(super) past: BTreeSet<CeremonyId>,
    window_ms: u64,
}

impl Machine {
    /// The machine of the member with seat `me`, as it was when the node stopped.
    ///
    /// `past` are all ceremonies the node has ever known: none of them starts again.
    #[must_use]
    pub fn new(
        me: ParticipantIndex,
        identity: Identity,
        seats: Vec<Seat>,
        record: Option<Record>,
        past: BTreeSet<CeremonyId>,
        window_ms: u64,
    ) -> Self {
        let has_key = record
            .as_ref()
            .is_some_and(|record| record.phase == Phase::Active);
        Self {
            me,
            identity,
            seats,
            record,
            rounds: Rounds::default(),
            has_key,
            past,
            window_ms,
        }
    }

    /// The newest ceremony.
    #[must_use]
    pub const fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// How far the newest ceremony is, in the numbers of the status message.
    #[must_use]
    pub fn status_phase(&self) -> proto::custody::CeremonyPhase {
        use proto::custody::CeremonyPhase as Wire;
        match self.record.as_ref().map(|record| record.phase) {
            None => Wire::Unspecified,
            Some(Phase::Proposed) => Wire::Proposed,
            Some(Phase::Running) if !self.rounds.has_dealt() => Wire::Committing,
            Some(Phase::Running) => Wire::Dealing,
            Some(Phase::Signed) => Wire::Confirming,
            Some(Phase::Canary) => Wire::Canary,
            Some(Phase::Active) => Wire::Done,
            Some(Phase::Aborted) => Wire::Aborted,
        }
    }

    /// What a node does first after a start: give up what only its memory knew, say again what may not have
    /// arrived.
    pub fn resume(&mut self, now_ms: u64) -> Outcome {
        let mut out = Outcome::default();
        let Some(record) = &self.record else { return out };
        let joined = record.joins.contains_key(&self.me);
        match record.phase {
            Phase::Proposed if !joined => {}
            Phase::Proposed | Phase::Running => {
                self.give_up(
                    "this node was restarted before it had stored its share",
                    None,
                    &mut out,
                );
            }
            Phase::Signed => self.say_again(&mut out, |record| &record.signs),
            Phase::Canary => {
                self.say_again(&mut out, |record| &record.signs);
                self.say_again(&mut out, |record| &record.confirms);
                let confirmed = self
                    .record
                    .as_ref()
                    .is_some_and(|record| record.confirms.contains_key(&self.me));
                if !confirmed {
                    out.canary = self.record.as_ref().and_then(Record::signed_manifest);
                }
            }
            Phase::Active => self.say_again(&mut out, |record| &record.confirms),
            Phase::Aborted => {
                if let Some(message) = self.end_message() {
                    out.send.push((None, message));
                }
            }
        }
        self.check_deadline(now_ms, &mut out);
        out
    }

    fn say_again(&self, out: &mut Outcome, which: impl Fn(&Record) -> &super::record::Messages) {
        let own = self
            .record
            .as_ref()
            .and_then(|record| which(record).get(&self.me));
        out.send.extend(own.map(|message| (None, message.clone())));
    }

    /// The operator proposes a key generation, and thereby consents to it.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn propose(
        &mut self,
        t: u16,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<(CeremonyId, Outcome), CommandError> {
        if self.has_key {
            return Err(CommandError::HasKey);
        }
        if let Some(live) = self.live() {
            return Err(CommandError::Busy(live));
        }
        let n = u16::try_from(self.seats.len()).unwrap_or(u16::MAX);
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let ceremony = Ceremony::new(nonce, Threshold::new(t, n)?, self.seats.clone())
            .map_err(|error| CommandError::Seats(error.to_string()))?;
        let id = ceremony.id();
        let deadline_ms = now_ms.saturating_add(self.window_ms);
        let mut out = Outcome::default();
        self.adopt(Record::new(ceremony.clone(), deadline_ms), &mut out);
        self.broadcast(
            Body::Propose {
                ceremony,
                deadline_ms,
            },
            &mut out,
        );
        self.join(id, rng, &mut out)?;
        Ok((id, out))
    }

    /// The operator consents. Consenting twice is no error.
    ///
    /// # Errors
    /// [`CommandError::Unknown`] unless this ceremony is the newest and not over.
    pub fn join(
        &mut self,
        id: CeremonyId,
        rng: &mut (impl RngCore + CryptoRng),
        out: &mut Outcome,
    ) -> Result<(), CommandError> {
        let me = self.me;
        let record = self.record.as_ref().filter(|record| record.ceremony.id() == id);
        match record.map(|record| (record.phase, record.joins.contains_key(&me))) {
            None | Some((Phase::Aborted, _)) => return Err(CommandError::Unknown(id)),
            Some((Phase::Proposed, false)) => {}
            Some(_) => return Ok(()),
        }
        let message = self.broadcast(Body::Join, out);
        if let (Some(record), Some(message)) = (self.record.as_mut(), message) {
            record.joins.insert(me, message);
        }
        out.journal.push((Step::Joined, String::new()));
        out.persist = true;
        self.advance(rng, out);
        Ok(())
    }

    /// The operator gives a ceremony up.
    ///
    /// # Errors
    /// [`CommandError::Unknown`], or [`CommandError::Signed`] when it is too late.
    pub fn abort(&mut self, id: CeremonyId) -> Result<Outcome, CommandError> {
        let phase = self
            .record
            .as_ref()
            .filter(|record| record.ceremony.id() == id)
            .map(|record| record.phase);
        let mut out = Outcome::default();
        match phase {
            None | Some(Phase::Aborted) => Err(CommandError::Unknown(id)),
            Some(Phase::Proposed | Phase::Running) => {
                self.give_up("this member's operator aborted", None, &mut out);
                Ok(out)
            }
            Some(Phase::Signed | Phase::Canary | Phase::Active) => Err(CommandError::Signed(id)),
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now_ms: u64) -> Outcome {
        let mut out = Outcome::default();
        self.check_deadline(now_ms, &mut out);
        out
    }

    /// This node has opened the canary with the shares of the others.
    pub fn canary_opened(&mut self, id: CeremonyId, rng: &mut (impl RngCore + CryptoRng)) -> Outcome {
        let mut out = Outcome::default();
        let me = self.me;
        let waiting = self.record.as_ref().is_some_and(|record| {
            record.ceremony.id() == id && record.phase == Phase::Canary && !record.confirms.contains_key(&me)
        });
        if waiting {
            let message = self.broadcast(Body::Confirm, &mut out);
            if let (Some(record), Some(message)) = (self.record.as_mut(), message) {
                record.confirms.insert(me, message);
            }
            out.journal.push((Step::Confirmed, String::new()));
            out.persist = true;
            self.advance(rng, &mut out);
        }
        out
    }

    /// A message of the member with seat `peer`, which is who the connection belongs to.
    ///
    /// # Errors
    /// [`NotTaken`]; nothing has changed then.
    pub fn message(
        &mut self,
        peer: ParticipantIndex,
        message: Message,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Outcome, NotTaken> {
        self.check_sender(peer, &message)?;
        let mut out = Outcome::default();
        self.take(message, now_ms, rng, &mut out)?;
        Ok(out)
    }

    /// A message counts as its sender's when it is signed by it and delivered by it (A13).
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn check_sender(&self, peer: ParticipantIndex, message: &Message) -> Result<(), MessageError> {
        if message.sender != peer {
            return Err(MessageError::WrongSender);
        }
        message.verify(&self.seat_identity(peer)?)
    }

    fn check_deadline(&mut self, now_ms: u64, out: &mut Outcome) {
        let late = self.record.as_ref().is_some_and(|record| {
            matches!(record.phase, Phase::Proposed | Phase::Running) && now_ms >= record.deadline_ms
        });
        if late {
            let silent = self
                .record
                .as_ref()
                .map_or_else(String::new, |record| silent(record, &self.rounds));
            self.give_up(
                &format!("the deadline has passed; not heard from: {silent}"),
                None,
                out,
            );
        }
    }

    /// Ends a ceremony that this node has not signed, and tells everybody. The culprit is who the evidence proves.
    pub(super) fn give_up(&mut self, reason: &str, evidence: Option<Evidence>, out: &mut Outcome) {
        let Some(record) = &self.record else { return };
        let culprit = evidence
            .as_ref()
            .and_then(|evidence| evidence::culprit(evidence, &record.ceremony).ok());
        self.give_up_over(reason, culprit, evidence, out);
    }

    /// As [`Self::give_up`], over a fault of a member that this node has seen by itself.
    pub(super) fn give_up_over(
        &mut self,
        reason: &str,
        culprit: Option<ParticipantIndex>,
        evidence: Option<Evidence>,
        out: &mut Outcome,
    ) {
        let signed = self
            .record
            .as_ref()
            .is_none_or(|record| record.signs.contains_key(&self.me));
        if !signed
            && let Some(message) = self.broadcast(
                Body::Abort {
                    reason: reason.to_owned(),
                    evidence,
                },
                out,
            )
        {
            self.end(reason.to_owned(), culprit, message, out);
        }
    }

    pub(super) fn end(
        &mut self,
        reason: String,
        culprit: Option<ParticipantIndex>,
        message: Message,
        out: &mut Outcome,
    ) {
        let Some(record) = self.record.as_mut() else {
            return;
        };
        tracing::warn!(ceremony = %record.ceremony.id(), ?culprit, reason, "ceremony aborted");
        record.phase = Phase::Aborted;
        record.reason.clone_from(&reason);
        record.culprit = culprit;
        record.abort = Some(message);
        // With the rounds go the secrets.
        self.rounds = Rounds::default();
        out.canary = None;
        out.share = None;
        out.journal.push((Step::Aborted, reason));
        out.persist = true;
    }

    /// What tells another member that the ceremony is over: this node's abort, or the one it acted upon.
    pub(super) fn end_message(&self) -> Option<Message> {
        let record = self.record.as_ref()?;
        let abort = record.abort.as_ref()?;
        if abort.sender == self.me {
            return Some(abort.clone());
        }
        let relay = Body::Relay(abort.nested());
        Some(Message::new(
            record.ceremony.id(),
            self.me,
            relay,
            self.identity.signing_key(),
        ))
    }

    /// The ceremony that is under way.
    #[must_use]
    pub fn live(&self) -> Option<CeremonyId> {
        let record = self.record.as_ref()?;
        (!matches!(record.phase, Phase::Aborted | Phase::Active)).then(|| record.ceremony.id())
    }

    pub(super) fn seat_identity(&self, index: ParticipantIndex) -> Result<PublicKey, MessageError> {
        self.seats
            .iter()
            .find(|seat| seat.index == index)
            .map(|seat| seat.identity)
            .ok_or(MessageError::NoSeat)
    }

    /// Signs a message of the newest ceremony.
    pub(super) fn message_of(&self, body: Body) -> Option<Message> {
        let id = self.record.as_ref()?.ceremony.id();
        Some(Message::new(id, self.me, body, self.identity.signing_key()))
    }

    /// Signs a message of the newest ceremony, for all others.
    pub(super) fn broadcast(&self, body: Body, out: &mut Outcome) -> Option<Message> {
        let message = self.message_of(body)?;
        out.send.push((None, message.clone()));
        Some(message)
    }

    pub(super) const fn set_has_key(&mut self) {
        self.has_key = true;
    }
}
