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
//! order. The long form, with the one limit, is `docs/decisions/0006-no-return-after-confirm.md`; what "member" means
//! there in a resharing or a repair is in `docs/decisions/0012-whose-confirmation-counts.md`.

use super::evidence;
use super::message::{Body, Evidence, Message, MessageError};
use super::plan::Plan;
use super::record::{Phase, Record};
use super::report::{Account, Report};
use super::rounds::{Rounds, silent};
use crate::journal::{Step, Stored};
use crate::share::Guard;
use rand_core::{CryptoRng, RngCore};
use service::Identity;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use threshold::committee::{CommitteeManifest, SignedManifest};
use threshold::dkg::Seat;
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
    /// The records of other ceremonies than the newest that have changed: one that gave way to it, proposals that wait.
    pub others: Vec<Record>,
    /// A ceremony that this node has refused with its signature, and for whom: it never takes part in it.
    pub refused: Option<(CeremonyId, PublicKey)>,
    /// All members have signed: try the key with them.
    pub canary: Option<SignedManifest>,
    /// All have confirmed: use the key, if this node is a member; if it no longer is, its share serves the epoch before.
    pub activate: Option<SignedManifest>,
    /// Enough seats have the new epoch, and it is used: destroy the share of the one before.
    pub retire: bool,
    /// What to send, and to whom.
    pub send: Vec<(PublicKey, Message)>,
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
    /// Its sender has proposed more than this node's operator can look at; send it again later.
    #[error(
        "this member has made too many proposals to which this node's operator has not consented: wait, or ask the operator"
    )]
    TooMany,
}

/// What a node knew when it stopped.
#[derive(Debug, Default)]
pub struct Memory {
    /// The newest ceremony.
    pub record: Option<Record>,
    /// As in [`Machine::doubt`].
    pub doubt: Option<Record>,
    /// The ceremony whose result is in use.
    pub active: Option<Record>,
    /// All ceremonies that the node has ever known: none of them starts again.
    pub past: BTreeSet<CeremonyId>,
    /// The share in use.
    pub key: Option<Arc<Guard>>,
    /// Whether a share of the epoch before is still there.
    pub serves_old: bool,
    /// Proposals beside the newest to which the operator has not consented.
    pub waiting: Vec<Record>,
    /// Ceremonies that the node has refused with its signature, and for whom.
    pub refused: BTreeMap<CeremonyId, PublicKey>,
}

impl Memory {
    /// The ceremonies that the node has a record of for more than that it was there.
    #[must_use]
    pub fn stored(&self) -> Stored {
        let id = |record: &Option<Record>| record.as_ref().map(|record| record.plan.id());
        Stored {
            active: id(&self.active),
            others: [id(&self.record), id(&self.doubt)],
        }
    }
}

/// Proposals of one member without the consent of this node's operator, within [`PROPOSALS_WINDOW_MS`].
pub const MAX_PROPOSALS: usize = 20;
/// See [`MAX_PROPOSALS`].
pub const PROPOSALS_WINDOW_MS: u64 = 60 * 60 * 1000;
/// Ceremonies that a node refuses with its signature for one member, and remembers, ever. Beyond that it says nothing.
pub const MAX_REFUSALS: usize = 256;

/// The machine of one node.
pub struct Machine {
    pub(super) me: PublicKey,
    pub(super) identity: Identity,
    /// Every node that this one knows, itself among them.
    pub(super) nodes: Vec<Seat>,
    pub(super) record: Option<Record>,
    /// An aborted ceremony before the newest, which this node has confirmed: it listens on for the others'
    /// confirmations.
    pub(super) doubt: Option<Record>,
    /// The ceremony whose result is in use.
    pub(super) active: Option<Record>,
    pub(super) rounds: Rounds,
    pub(super) key: Option<Arc<Guard>>,
    pub(super) past: BTreeSet<CeremonyId>,
    /// Proposals beside the newest, one of each proposer, to which this node's operator has not consented.
    pub(super) waiting: BTreeMap<CeremonyId, Record>,
    /// Ceremonies that this node has refused with its signature, and for whom.
    pub(super) refused: BTreeMap<CeremonyId, PublicKey>,
    /// When each member has proposed what this node's operator has not consented to.
    pub(super) proposals: BTreeMap<PublicKey, Vec<(u64, CeremonyId)>>,
    /// Whether a share of the epoch before is still there.
    pub(super) serves_old: bool,
    /// When this machine was last told the time.
    pub(super) now_ms: u64,
    pub(super) window_ms: u64,
}

impl Machine {
    /// The machine of the node with this identity, as it was when the node stopped. `nodes` are all that it knows.
    #[must_use]
    pub fn new(identity: Identity, nodes: Vec<Seat>, memory: Memory, window_ms: u64) -> Self {
        Self {
            me: PublicKey::of(identity.signing_key()),
            identity,
            nodes,
            record: memory.record,
            doubt: memory.doubt,
            active: memory.active,
            rounds: Rounds::default(),
            key: memory.key,
            past: memory.past,
            waiting: memory
                .waiting
                .into_iter()
                .map(|waiting| (waiting.plan.id(), waiting))
                .collect(),
            refused: memory.refused,
            proposals: BTreeMap::new(),
            serves_old: memory.serves_old,
            now_ms: 0,
            window_ms,
        }
    }

    /// The share that is in use from now on; none when this node has left the committee.
    pub fn use_key(&mut self, key: Option<Arc<Guard>>) {
        self.key = key;
    }

    /// The epoch before, if its share is still there, whether it can be read or not.
    #[must_use]
    pub fn epoch_before(&self) -> Option<u32> {
        let active = self.active.as_ref().filter(|_| self.serves_old);
        active
            .and_then(|active| active.plan.starts_from())
            .map(|before| before.manifest.epoch())
    }

    /// The ceremony whose result is in use.
    #[must_use]
    pub const fn active(&self) -> Option<&Record> {
        self.active.as_ref()
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

    /// Whether this node's operator has consented to the newest ceremony.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        let joined = |record: &Record| record.joins.contains_key(&self.me);
        self.record.as_ref().is_some_and(joined)
    }

    /// How far the newest ceremony is, in the numbers of the status message.
    #[must_use]
    pub fn status_phase(&self) -> proto::custody::CeremonyPhase {
        use proto::custody::CeremonyPhase as Wire;
        match self.record.as_ref().map(|record| record.phase) {
            None => Wire::Unspecified,
            Some(Phase::Proposed) => Wire::Proposed,
            Some(Phase::Running) if !self.has_dealt() => Wire::Committing,
            Some(Phase::Running) => Wire::Dealing,
            Some(Phase::Signed) => Wire::Confirming,
            Some(Phase::Canary) => Wire::Canary,
            Some(Phase::Active) => Wire::Done,
            Some(Phase::Aborted) => Wire::Aborted,
        }
    }

    fn has_dealt(&self) -> bool {
        self.rounds.generation.has_dealt() || self.rounds.resharing.has_reported()
    }

    /// What a node does first after a start: give up what only its memory knew, say again what may not have
    /// arrived.
    pub fn resume(&mut self, now_ms: u64) -> Outcome {
        let mut out = Outcome::default();
        self.now_ms = now_ms;
        self.drop_late_proposals(&mut out);
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
                if !self.has_confirmed() && self.is_seated() {
                    out.canary = self.record.as_ref().and_then(Record::signed_manifest);
                }
            }
            Phase::Active | Phase::Aborted => {}
        }
        self.destroy_old(&mut out);
        self.say_what_is_in_use(&mut out);
        // A leaver that was shown the end, and stopped before it took it up.
        self.lose_patience(&mut out);
        let ended = [self.record.as_ref(), self.doubt.as_ref()];
        for record in ended.into_iter().flatten() {
            if let Some(message) = self.end_message(record) {
                self.to_all_of(record, &message, &mut out);
            }
        }
        self.check_deadline(now_ms, &mut out);
        out
    }

    fn say_again(&self, out: &mut Outcome, which: impl Fn(&Record) -> &super::record::Messages) {
        let Some(record) = &self.record else { return };
        if let Some(message) = which(record).get(&self.me) {
            self.to_all_of(record, message, out);
        }
    }

    /// Whoever was away when a ceremony ended learns of it, and of the old share's end.
    fn say_what_is_in_use(&self, out: &mut Outcome) {
        let Some(record) = &self.active else { return };
        if let Some(message) = self.done_message(record) {
            self.to_all_of(record, &message, out);
        }
        if let Some(message) = record.in_use.get(&self.me) {
            self.to_all_of(record, message, out);
        }
    }

    /// What shows that a ceremony is done, if it is.
    pub(super) fn done_message(&self, record: &Record) -> Option<Message> {
        let proof = record.proof().filter(|_| record.phase == Phase::Active)?;
        Some(self.sign(record.plan.id(), Body::Done(Box::new(proof))))
    }

    /// Time has passed.
    pub fn tick(&mut self, now_ms: u64) -> Outcome {
        let mut out = Outcome::default();
        self.now_ms = now_ms;
        self.drop_late_proposals(&mut out);
        self.lose_patience(&mut out);
        self.check_deadline(now_ms, &mut out);
        self.turn_to_the_next(&mut out);
        out
    }

    /// This node has used the new epoch for an approved read.
    pub fn used_new_epoch(&mut self) -> Outcome {
        let mut out = Outcome::default();
        self.is_read(&mut out);
        self.destroy_old(&mut out);
        out
    }

    fn drop_late_proposals(&mut self, out: &mut Outcome) {
        let now_ms = self.now_ms;
        self.drop_waiting("its time has passed", out, |waiting| {
            now_ms >= waiting.deadline_ms
        });
    }

    /// Proposals that wait no longer. That is durable: what this node may refuse from now on does not come back with a restart.
    pub(super) fn drop_waiting(
        &mut self,
        reason: &str,
        out: &mut Outcome,
        is_over: impl Fn(&Record) -> bool,
    ) {
        for waiting in self.waiting.values_mut().filter(|waiting| is_over(waiting)) {
            (waiting.phase, waiting.reason) = (Phase::Aborted, reason.to_owned());
            out.others.push(waiting.clone());
            out.persist = true;
        }
        self.waiting.retain(|_, waiting| waiting.phase == Phase::Proposed);
    }

    /// The new epoch is read with, so it is published: says so. That alone destroys nothing.
    pub(super) fn is_read(&mut self, out: &mut Outcome) {
        let resharing = |record: &&Record| matches!(record.plan, Plan::Resharing(_)) && !record.used;
        let Some(id) = self
            .active
            .as_ref()
            .filter(resharing)
            .map(|active| active.plan.id())
        else {
            return;
        };
        self.note(id, out, |record| record.used = true);
        self.say_in_use(true, out);
    }

    /// Says that this node's share of the newest epoch is in use, if it has one.
    pub(super) fn say_in_use(&mut self, read: bool, out: &mut Outcome) {
        let me = self.me;
        let Some(active) = self
            .active
            .as_ref()
            .filter(|active| active.plan.seat_of(&me).is_some())
        else {
            return;
        };
        let Some(manifest) = active.manifest.as_ref().map(CommitteeManifest::digest) else {
            return;
        };
        let id = active.plan.id();
        let message = self.sign(id, Body::InUse { manifest, read });
        self.to_all_of(active, &message, out);
        self.note(id, out, |record| {
            record.in_use.insert(me, message.clone());
        });
    }

    /// Changes what is kept of a ceremony, wherever it is kept.
    pub(super) fn note(&mut self, id: CeremonyId, out: &mut Outcome, change: impl Fn(&mut Record)) {
        let is_it = |record: &&mut Record| record.plan.id() == id;
        let newest = self.record.as_mut().filter(is_it).map(&change).is_some();
        for record in [&mut self.doubt, &mut self.active].into_iter().flatten() {
            if record.plan.id() == id {
                change(record);
                if !newest {
                    out.others.push(record.clone());
                }
            }
        }
        out.persist = true;
    }

    /// What follows from what the seats say of the newest epoch.
    pub(super) fn weigh_use(&mut self, out: &mut Outcome) {
        // One of t is honest.
        let read = |active: &Record| active.seats_in_use().1 >= usize::from(active.plan.threshold().t());
        if self.active.as_ref().is_some_and(read) {
            self.is_read(out);
        }
        self.destroy_old(out);
    }

    pub(super) fn destroy_old(&mut self, out: &mut Outcome) {
        if let Some(active) = self
            .active
            .as_ref()
            .filter(|active| active.ends_epoch_before() && self.serves_old)
        {
            out.journal.push((active.plan.id(), Step::Retired, String::new()));
            out.retire = true;
            self.serves_old = false;
        }
    }

    /// This node has opened the canary with the shares of the others.
    pub fn canary_opened(&mut self, id: CeremonyId, rng: &mut (impl RngCore + CryptoRng)) -> Outcome {
        let mut out = Outcome::default();
        if self.tries_key_of(id) {
            self.confirm(&mut out);
            self.advance(rng, &mut out);
        }
        out
    }

    /// The canary did not open with the shares that came.
    pub fn canary_failed(
        &mut self,
        id: CeremonyId,
        reason: &str,
        culprit: Option<PublicKey>,
        evidence: Option<Evidence>,
    ) -> Outcome {
        let mut out = Outcome::default();
        if self.tries_key_of(id) {
            self.give_up_over(reason, culprit, evidence, &mut out);
        }
        out
    }

    /// Whether this node is trying the key of this ceremony with the others, and has not confirmed yet.
    #[must_use]
    pub fn tries_key_of(&self, id: CeremonyId) -> bool {
        self.record
            .as_ref()
            .is_some_and(|record| record.plan.id() == id && record.phase == Phase::Canary)
            && !self.has_confirmed()
    }

    /// Whether this node gets a share in the newest ceremony.
    pub(super) fn is_seated(&self) -> bool {
        let seat = |record: &Record| record.plan.seat_of(&self.me);
        self.record.as_ref().and_then(seat).is_some()
    }

    /// Whether this node has confirmed the newest ceremony.
    pub(super) fn has_confirmed(&self) -> bool {
        self.record
            .as_ref()
            .is_some_and(|record| record.confirms.contains_key(&self.me))
    }

    /// Takes no part in a ceremony, and says so with its signature. That is durable before it is said: whoever has such a
    /// word must never see this node confirm.
    pub(super) fn refuse(&mut self, id: CeremonyId, by: PublicKey, reason: String, out: &mut Outcome) {
        if !self.past.contains(&id) {
            if self.refused.values().filter(|refused| **refused == by).count() >= MAX_REFUSALS {
                return;
            }
            self.past.insert(id);
            self.refused.insert(id, by);
            out.refused = Some((id, by));
        }
        out.answer = Some(self.abort_of(id, reason));
    }

    /// A message of the node with the identity `peer`, which is who the connection belongs to.
    ///
    /// # Errors
    /// [`NotTaken`]; nothing has changed then.
    pub fn message(
        &mut self,
        peer: &PublicKey,
        message: Message,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Outcome, NotTaken> {
        self.now_ms = now_ms;
        check_sender(peer, &message)?;
        let mut out = Outcome::default();
        self.take(message, now_ms, rng, &mut out)?;
        self.turn_to_the_next(&mut out);
        Ok(out)
    }

    /// When the newest ceremony was given up, the operator sees a proposal that waits beside it: of several the one that
    /// would have stayed, had they met, so that all members turn to the same.
    pub(super) fn turn_to_the_next(&mut self, out: &mut Outcome) {
        let over = self
            .record
            .as_ref()
            .is_some_and(|record| record.phase == Phase::Aborted);
        let next = self.waiting.keys().next().copied().filter(|_| over);
        if let Some(next) = next {
            self.bring_forward(next, out);
        }
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
            .and_then(|evidence| evidence::culprit(evidence, &record.plan).ok());
        self.give_up_over(reason, culprit, evidence, out);
    }

    /// As [`Self::give_up`], over a fault of a member that this node has seen by itself.
    pub(super) fn give_up_over(
        &mut self,
        reason: &str,
        culprit: Option<PublicKey>,
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
        culprit: Option<PublicKey>,
        message: Message,
        out: &mut Outcome,
    ) {
        let Some(record) = self.record.as_mut() else {
            return;
        };
        tracing::warn!(ceremony = %record.plan.id(), ?culprit, reason, "ceremony aborted");
        record.phase = Phase::Aborted;
        record.reason.clone_from(&reason);
        record.culprit = culprit;
        record.abort = Some(message);
        // With the rounds go the secrets.
        self.rounds = Rounds::default();
        out.canary = None;
        out.share = None;
        let id = record.plan.id();
        out.journal.push((id, Step::Aborted, reason));
        out.persist = true;
    }

    /// What tells another member that a ceremony is over: this node's abort, or the one it acted upon.
    pub(super) fn end_message(&self, record: &Record) -> Option<Message> {
        let abort = record.abort.as_ref()?;
        if abort.sender == self.me {
            return Some(abort.clone());
        }
        Some(self.sign(record.plan.id(), Body::Relay(abort.nested())))
    }

    /// How the newest ceremony that is over ended.
    #[must_use]
    pub fn report_of_the_end(&self, now_ms: u64) -> Option<Report> {
        let records = [self.record.as_ref(), self.active.as_ref()];
        let account = records
            .into_iter()
            .flatten()
            .find_map(|record| Some((record.plan.id(), Account::of(record, now_ms)?)));
        let (id, account) = account?;
        Report::new(self.sign(id, Body::Account(Box::new(account))))
    }

    /// The ceremony that is under way.
    #[must_use]
    pub fn live(&self) -> Option<CeremonyId> {
        let record = self.record.as_ref()?;
        (!matches!(record.phase, Phase::Aborted | Phase::Active)).then(|| record.plan.id())
    }

    pub(super) fn sign(&self, ceremony: CeremonyId, body: Body) -> Message {
        Message::new(ceremony, body, self.identity.signing_key())
    }

    /// Signs a message of the newest ceremony.
    pub(super) fn message_of(&self, body: Body) -> Option<Message> {
        let id = self.record.as_ref()?.plan.id();
        Some(self.sign(id, body))
    }

    /// Signs a message of the newest ceremony, for all its other parties.
    pub(super) fn broadcast(&self, body: Body, out: &mut Outcome) -> Option<Message> {
        let record = self.record.as_ref()?;
        let message = self.sign(record.plan.id(), body);
        self.to_all_of(record, &message, out);
        Some(message)
    }

    /// Sends a message to all other parties of a ceremony.
    pub(super) fn to_all_of(&self, record: &Record, message: &Message, out: &mut Outcome) {
        let parties = record.plan.parties().into_iter();
        let others = parties.filter(|party| party.identity != self.me);
        out.send
            .extend(others.map(|party| (party.identity, message.clone())));
    }
}

/// A message counts as its sender's when it is signed by it and delivered by it (A13).
///
/// # Errors
/// [`MessageError`].
pub(super) fn check_sender(peer: &PublicKey, message: &Message) -> Result<(), MessageError> {
    if message.sender != *peer {
        return Err(MessageError::WrongSender);
    }
    message.verify()
}
