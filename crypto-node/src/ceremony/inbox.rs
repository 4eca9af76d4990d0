//! What the machine makes of each kind of message.

use super::evidence;
use super::machine::{Machine, NotTaken, Outcome};
use super::message::{Body, Message, MessageError, Nested, Round};
use super::record::{Phase, Record};
use super::rounds::Rounds;
use crate::journal::Step;
use rand_core::{CryptoRng, RngCore};
use threshold::committee::ParticipantIndex;
use threshold::ids::CeremonyId;
use threshold::signature::Signature;

/// A ceremony's deadline may not be further away than this, whatever its proposer's clock says.
const MAX_WINDOW_MS: u64 = 24 * 60 * 60 * 1000;

impl Machine {
    pub(super) fn take(
        &mut self,
        message: Message,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
        out: &mut Outcome,
    ) -> Result<(), NotTaken> {
        if let Body::Propose {
            ceremony,
            deadline_ms,
        } = &message.body
        {
            if ceremony.id() != message.ceremony {
                return Err(MessageError::BadSignature.into());
            }
            self.proposed(&Record::new(ceremony.clone(), *deadline_ms), now_ms, out);
            return Ok(());
        }
        if self
            .record
            .as_ref()
            .is_none_or(|record| record.ceremony.id() != message.ceremony)
        {
            return self.of_another(message, rng, out);
        }
        let goes_on = !matches!(message.body, Body::Abort { .. } | Body::Relay(_) | Body::Done(_));
        match message.body {
            // Proposals were taken above; canaries are answered where the share is.
            Body::Propose { .. } | Body::CanaryShare(_) | Body::Canary { .. } => {}
            Body::Join => self.joined(message, out),
            Body::Round(ref round) => self.round_message(message.sender, round, out)?,
            Body::Sign { .. } => self.signed_directly(message, out),
            Body::Confirm => self.confirmed(message, out),
            Body::Abort { .. } => self.aborted(message, out),
            Body::Relay(ref nested) => self.relayed(nested, out)?,
            Body::Done(ref signatures) => self.done(signatures)?,
        }
        self.advance(rng, out);
        if goes_on {
            self.answer_the_late(out);
        }
        Ok(())
    }

    /// A message of a ceremony that is not the newest.
    fn of_another(
        &mut self,
        message: Message,
        rng: &mut (impl RngCore + CryptoRng),
        out: &mut Outcome,
    ) -> Result<(), NotTaken> {
        let id = message.ceremony;
        if self.doubt.as_ref().is_some_and(|doubt| doubt.ceremony.id() == id) {
            return self.of_doubt(message, rng, out);
        }
        match message.body {
            // The end of what is not, or no longer, this node's business.
            Body::Abort { .. } | Body::Relay(_) | Body::Done(_) => Ok(()),
            // Nobody comes so far without this member: it has gone on to another ceremony, or its disk was lost or set back,
            // and what the ceremony needs of it with it. Should it have confirmed, and somebody use the key, then its
            // abort does not count.
            Body::Sign { .. } | Body::Confirm => {
                let reason = "this member no longer takes part in the ceremony, or has lost its disk since";
                out.answer = Some(self.abort_of(id, reason.to_owned()));
                Ok(())
            }
            _ if self.past.contains(&id) => Ok(()),
            _ => Err(NotTaken::Early),
        }
    }

    /// A confirmation of the ceremony that this node has confirmed and given up, or the proof of all.
    fn of_doubt(
        &mut self,
        message: Message,
        rng: &mut (impl RngCore + CryptoRng),
        out: &mut Outcome,
    ) -> Result<(), NotTaken> {
        let Some(doubt) = self.doubt.as_mut() else {
            return Ok(());
        };
        let goes_on = matches!(message.body, Body::Confirm);
        match message.body {
            Body::Done(signatures) => doubt.take_confirmations(&signatures)?,
            Body::Confirm => drop(doubt.confirms.entry(message.sender).or_insert(message)),
            _ => {}
        }
        self.take_up_doubt(rng, out);
        if goes_on && let Some(doubt) = &self.doubt {
            out.answer = self.end_message(doubt);
        }
        Ok(())
    }

    fn abort_of(&self, ceremony: CeremonyId, reason: String) -> Message {
        let body = Body::Abort {
            reason,
            evidence: None,
        };
        Message::new(ceremony, self.me, body, self.identity.signing_key())
    }

    /// A member that still talks about an aborted ceremony learns that it is over.
    fn answer_the_late(&self, out: &mut Outcome) {
        if let Some(record) = &self.record
            && record.phase == Phase::Aborted
        {
            out.answer = self.end_message(record);
        }
    }

    fn proposed(&mut self, proposal: &Record, now_ms: u64, out: &mut Outcome) {
        let id = proposal.ceremony.id();
        if self
            .record
            .as_ref()
            .is_some_and(|record| record.ceremony.id() == id)
        {
            self.answer_the_late(out);
            return;
        }
        let objection = if proposal.ceremony.seats() != self.seats {
            Some("the proposed members are not those in this member's configuration".to_owned())
        } else if proposal.deadline_ms <= now_ms
            || proposal.deadline_ms > now_ms.saturating_add(MAX_WINDOW_MS)
        {
            Some("the proposed deadline is past or too far away by this member's clock".to_owned())
        } else if self.has_key {
            Some("this member already holds a share of a key in use".to_owned())
        } else if self.past.contains(&id) {
            Some("this ceremony is over".to_owned())
        } else {
            self.yields_to(id).err()
        };
        if let Some(reason) = objection {
            out.answer = Some(self.abort_of(id, reason));
            return;
        }
        if self.live().is_some() {
            self.give_up(&format!("ceremony {id} was proposed at the same time"), None, out);
        }
        self.adopt(proposal.clone(), out);
        out.journal
            .push((id, Step::Proposed, format!("{}", proposal.ceremony.threshold())));
    }

    /// Of two proposals at once the one with the lower id stays, on every member; one that has begun stays too.
    fn yields_to(&self, id: CeremonyId) -> Result<(), String> {
        match self.record.as_ref().filter(|_| self.live().is_some()) {
            Some(live) if live.phase != Phase::Proposed || live.ceremony.id() < id => {
                Err(format!("ceremony {} is under way", live.ceremony.id()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn adopt(&mut self, record: Record, out: &mut Outcome) {
        self.past.insert(record.ceremony.id());
        let confirmed = self.has_confirmed();
        if let Some(before) = self.record.replace(record) {
            // Stored with the newest: as aborted, if it has just given way.
            out.displaced = Some(before.clone());
            if confirmed {
                self.doubt = Some(before);
            }
        }
        self.rounds = Rounds::default();
        out.persist = true;
    }

    fn joined(&mut self, message: Message, out: &mut Outcome) {
        if let Some(record) = self
            .record
            .as_mut()
            .filter(|record| record.phase == Phase::Proposed)
        {
            record.joins.entry(message.sender).or_insert(message);
            out.persist = true;
        }
    }

    fn round_message(
        &mut self,
        sender: ParticipantIndex,
        round: &Round,
        out: &mut Outcome,
    ) -> Result<(), NotTaken> {
        let Some(record) = &self.record else { return Ok(()) };
        if !matches!(record.phase, Phase::Proposed | Phase::Running) {
            return Ok(());
        }
        if let Some(evidence) = self.rounds.insert(round, &record.ceremony, sender, self.me)? {
            let reason = format!("member {sender} sent two different messages where there is one");
            self.give_up(&reason, Some(evidence), out);
        }
        Ok(())
    }

    /// A member's messages arrive in order: one that has signed and whose share is not here was restarted before
    /// the share had left it, and nobody has it any more.
    fn signed_directly(&mut self, message: Message, out: &mut Outcome) {
        let running = self
            .record
            .as_ref()
            .is_some_and(|record| record.phase == Phase::Running);
        if running && !self.rounds.has_share_of(message.sender) {
            let reason = format!(
                "the share of member {} was lost when it was restarted",
                message.sender
            );
            return self.give_up(&reason, None, out);
        }
        self.signed(message, out);
    }

    fn signed(&mut self, message: Message, out: &mut Outcome) {
        let Some(record) = self.record.as_mut() else {
            return;
        };
        if matches!(record.phase, Phase::Canary | Phase::Active | Phase::Aborted) {
            return;
        }
        if let Some(manifest) = &record.manifest
            && !evidence::signs(&message, manifest)
        {
            tracing::error!(member = %message.sender, "a member's signature is not one on the manifest");
            return;
        }
        record.signs.entry(message.sender).or_insert(message);
        out.persist = true;
    }

    fn confirmed(&mut self, message: Message, out: &mut Outcome) {
        if let Some(record) = self
            .record
            .as_mut()
            .filter(|record| record.phase != Phase::Active)
        {
            record.confirms.entry(message.sender).or_insert(message);
            out.persist = true;
        }
    }

    fn aborted(&mut self, message: Message, out: &mut Outcome) {
        let Some(record) = &self.record else { return };
        let sender = message.sender;
        let Body::Abort { reason, evidence } = &message.body else {
            return;
        };
        let reason = format!("member {sender} aborted: {reason}");
        let proven = evidence
            .clone()
            .filter(|evidence| evidence::culprit(evidence, &record.ceremony).is_ok());
        match record.phase {
            Phase::Aborted | Phase::Active => {}
            _ if !self.has_confirmed() => self.give_up(&reason, proven, out),
            _ if record.confirms.contains_key(&sender) => {
                tracing::error!(member = %sender, "a member aborts although it has confirmed; its abort does not count");
            }
            _ => {
                let culprit = proven.and_then(|evidence| evidence::culprit(&evidence, &record.ceremony).ok());
                let relay = Body::Relay(message.nested());
                self.end(reason, culprit, message, out);
                self.broadcast(relay, out);
            }
        }
    }

    /// An abort that another member passes on: checked as if it had come from its sender.
    fn relayed(&mut self, nested: &Nested, out: &mut Outcome) -> Result<(), NotTaken> {
        let Some(record) = &self.record else { return Ok(()) };
        let message = nested.open(&record.ceremony)?;
        if matches!(message.body, Body::Abort { .. }) {
            self.aborted(message, out);
        }
        Ok(())
    }

    /// A member that uses the key shows that all have confirmed. One whose disk was set back to before it had all
    /// signatures has nothing to use, and gives up at the deadline.
    fn done(&mut self, signatures: &[Signature]) -> Result<(), NotTaken> {
        if let Some(record) = self
            .record
            .as_mut()
            .filter(|record| matches!(record.phase, Phase::Canary | Phase::Aborted))
        {
            record.take_confirmations(signatures)?;
        }
        Ok(())
    }
}
