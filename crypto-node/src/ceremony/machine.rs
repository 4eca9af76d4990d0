//! The ceremony as a state machine without I/O: a message, a command or a tick in, an [`Outcome`] out.
//!
//! ```text
//! Proposed --all joined--> Running --share stored--> Signed --all signed--> Canary --all have confirmed--> Active
//!     \______________________________ a member that has not confirmed aborts __/                           ^
//!                                               v                                                          |
//!                                            Aborted ------ all have confirmed, this member too -----------/
//! ```
//!
//! All or nothing, by three rules:
//!
//! 1. A member that has not confirmed may abort at any time. It says so with a signature of its own, and never confirms.
//! 2. A member that has confirmed waits for the others' confirmations, or for the abort of a member whose confirmation
//!    it does not hold. It passes that abort on to all.
//! 3. All confirmations together count more than any abort, and whoever uses the key sends them to everybody. A member
//!    that has confirmed takes the key up on them, whatever it believed before, unless it has confirmed a later ceremony.
//!
//! Why nobody is left behind. No member uses a key without all confirmations, so if one honest member has aborted before it
//! confirmed, nobody ever uses the key, and its abort ends the ceremony for everybody. Otherwise all honest members have
//! confirmed; as soon as one of them uses the key, all have the proof that they may. If nobody does, nobody uses it. What
//! two honest members never do is use different keys, because all honest members confirm ceremonies in the same
//! order. The long form, with the one limit, is `docs/decisions/0006-no-return-after-confirm.md`.

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
    pub journal: Vec<(CeremonyId, Step, String)>,
    /// Whether the record has changed.
    pub persist: bool,
    /// The record of a ceremony that gave way to the newest.
    pub displaced: Option<Record>,
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
    /// It is too late.
    #[error("ceremony {0} is done and its key in use; it can no longer be aborted")]
    Done(CeremonyId),
}

/// The machine of one node.
pub struct Machine {
    pub(super) me: ParticipantIndex,
    pub(super) identity: Identity,
    pub(super) seats: Vec<Seat>,
    pub(super) record: Option<Record>,
    /// An aborted ceremony before the newest, which this node has confirmed: it listens on for the others'
    /// confirmations.
    pub(super) doubt: Option<Record>,
    pub(super) rounds: Rounds,
    pub(super) has_key: bool,
    pub(super) past: BTreeSet<CeremonyId>,
    window_ms: u64,
}

impl Machine {
    /// The machine of the member with seat `me`, as it was when the node stopped.
    ///
    /// `doubt` is as in [`Self::doubt`]; `past` are all ceremonies the node has ever known: none of them starts
    /// again.
    #[must_use]
    pub fn new(
        me: ParticipantIndex,
        identity: Identity,
        seats: Vec<Seat>,
        record: Option<Record>,
        doubt: Option<Record>,
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
            doubt,
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

    /// The aborted ceremony before the newest that the node has confirmed, and of which it does not know that no member
    /// uses its key.
    #[must_use]
    pub const fn doubt(&self) -> Option<&Record> {
        self.doubt.as_ref()
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
                if !self.has_confirmed() {
                    out.canary = self.record.as_ref().and_then(Record::signed_manifest);
                }
            }
            Phase::Active => {
                let proof = record.proof_of_confirmations();
                self.broadcast(proof, &mut out);
            }
            Phase::Aborted => {}
        }
        let ended = [self.record.as_ref(), self.doubt.as_ref()];
        let ends = ended
            .into_iter()
            .flatten()
            .filter_map(|record| self.end_message(record));
        out.send.extend(ends.map(|message| (None, message)));
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
        out.journal.push((id, Step::Joined, String::new()));
        out.persist = true;
        self.advance(rng, out);
        Ok(())
    }

    /// The operator gives a ceremony up. After this node has confirmed, that binds nobody else, and all confirmations
    /// together still count more: it is for when a member never answers again.
    ///
    /// # Errors
    /// [`CommandError::Unknown`], or [`CommandError::Done`] when the key is in use.
    pub fn abort(&mut self, id: CeremonyId) -> Result<Outcome, CommandError> {
        let phase = self
            .record
            .as_ref()
            .filter(|record| record.ceremony.id() == id)
            .map(|record| record.phase);
        let mut out = Outcome::default();
        match phase {
            None | Some(Phase::Aborted) => Err(CommandError::Unknown(id)),
            Some(Phase::Active) => Err(CommandError::Done(id)),
            Some(_) if self.has_confirmed() => {
                self.stop_waiting(&mut out);
                Ok(out)
            }
            Some(_) => {
                self.give_up("this member's operator aborted", None, &mut out);
                Ok(out)
            }
        }
    }

    fn stop_waiting(&mut self, out: &mut Outcome) {
        let Some(record) = &self.record else { return };
        let reason = format!(
            "this member's operator no longer waits for the confirmation of {}",
            silent(record, &self.rounds)
        );
        let abort = Body::Abort {
            reason: reason.clone(),
            evidence: None,
        };
        if let Some(message) = self.broadcast(abort, out) {
            self.end(reason, None, message, out);
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
        if self.tries_key_of(id) {
            let message = self.broadcast(Body::Confirm, &mut out);
            if let (Some(record), Some(message)) = (self.record.as_mut(), message) {
                record.confirms.insert(me, message);
            }
            // From here on this member is bound to this ceremony, and to no earlier one.
            self.doubt = None;
            out.journal.push((id, Step::Confirmed, String::new()));
            out.persist = true;
            self.advance(rng, &mut out);
        }
        out
    }

    /// The canary did not open with the shares that came.
    pub fn canary_failed(
        &mut self,
        id: CeremonyId,
        reason: &str,
        culprit: Option<ParticipantIndex>,
    ) -> Outcome {
        let mut out = Outcome::default();
        if self.tries_key_of(id) {
            self.give_up_over(reason, culprit, None, &mut out);
        }
        out
    }

    /// Whether this node is trying the key of this ceremony with the others, and has not confirmed yet.
    #[must_use]
    pub fn tries_key_of(&self, id: CeremonyId) -> bool {
        self.record
            .as_ref()
            .is_some_and(|record| record.ceremony.id() == id && record.phase == Phase::Canary)
            && !self.has_confirmed()
    }

    /// Whether this node has confirmed the newest ceremony.
    pub(super) fn has_confirmed(&self) -> bool {
        self.record
            .as_ref()
            .is_some_and(|record| record.confirms.contains_key(&self.me))
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
        let late = self.live().is_some()
            && !self.has_confirmed()
            && self
                .record
                .as_ref()
                .is_some_and(|record| now_ms >= record.deadline_ms);
        if late {
            let Some(record) = &self.record else { return };
            let reason = match record.phase {
                Phase::Canary => "the deadline has passed before the canary opened on this node".to_owned(),
                _ => format!(
                    "the deadline has passed; not heard from: {}",
                    silent(record, &self.rounds)
                ),
            };
            self.give_up(&reason, None, out);
        }
    }

    /// Ends a ceremony that this node has not confirmed, and tells everybody. The culprit is who the evidence proves.
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
        if !self.has_confirmed()
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
        let id = record.ceremony.id();
        out.journal.push((id, Step::Aborted, reason));
        out.persist = true;
    }

    /// What tells another member that a ceremony is over: this node's abort, or the one it acted upon.
    pub(super) fn end_message(&self, record: &Record) -> Option<Message> {
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
