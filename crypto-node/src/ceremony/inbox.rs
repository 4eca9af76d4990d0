//! What the machine makes of each kind of message.

use super::evidence;
use super::machine::{MAX_PROPOSALS, Machine, NotTaken, Outcome, PROPOSALS_WINDOW_MS};
use super::message::{Body, Message, MessageError, Nested, Proof, Round};
use super::plan::Plan;
use super::record::{Fault, Messages, Phase, Record, blame};
use super::rounds::Rounds;
use crate::journal::Step;
use rand_core::{CryptoRng, RngCore};
use std::collections::btree_map::Entry;
use threshold::committee::CommitteeManifest;
use threshold::encoding::Canonical;
use threshold::ids::CeremonyId;
use threshold::signature::PublicKey;

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
        if let Body::Propose { plan, deadline_ms } = &message.body {
            if plan.id() != message.ceremony {
                return Err(MessageError::BadSignature.into());
            }
            plan.party(&message.sender).ok_or(MessageError::NoSeat)?;
            let proposal = Record::new(plan.as_ref().clone(), message.sender, *deadline_ms);
            return self.proposed(&proposal, now_ms, out);
        }
        match message.body {
            Body::InUse { .. } => {
                self.is_in_use(&message, out);
                return Ok(());
            }
            Body::Unheard => {
                self.remind(&message, out);
                return Ok(());
            }
            Body::Ended { plan, proof } => {
                return self.ended((message.ceremony, message.sender), *plan, &proof, out);
            }
            _ => {}
        }
        let newest = self.record.as_ref();
        let Some(record) = newest.filter(|record| record.plan.id() == message.ceremony) else {
            return self.of_another(message, rng, out);
        };
        record.plan.party(&message.sender).ok_or(MessageError::NoSeat)?;
        let sender = message.sender;
        let goes_on = !matches!(message.body, Body::Abort { .. } | Body::Relay(_) | Body::Done(_));
        match message.body {
            // Some were taken above; canaries are answered where the share is; what reminds a member is of no use to one
            // that knows, and an account is for files.
            Body::Propose { .. }
            | Body::CanaryShare(_)
            | Body::Canary { .. }
            | Body::InUse { .. }
            | Body::Unheard
            | Body::Reminder(_)
            | Body::Ended { .. }
            | Body::Account(_) => {}
            Body::Join { .. } | Body::Execute { .. } => {
                if let Some(record) = self.record.as_mut() {
                    out.persist |= gathers(record, message);
                }
            }
            Body::Round(ref round) => self.round_message(message.sender, round, out)?,
            Body::Sign { .. } => self.signed_directly(message, out),
            Body::Confirm { .. } => self.confirmed(message, out),
            Body::Abort { .. } => self.aborted(message, out),
            Body::Relay(ref nested) => self.relayed(nested, out)?,
            Body::Done(ref proof) => {
                self.done(proof, out)?;
                self.tell_the_leaver(&sender, out);
            }
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
        if self.doubt.as_ref().is_some_and(|doubt| doubt.plan.id() == id) {
            return self.of_doubt(message, rng, out);
        }
        if self.waiting.contains_key(&id) {
            return self.of_waiting(message, out);
        }
        if let Some(active) = self.active.as_ref().filter(|active| active.plan.id() == id) {
            match message.body {
                Body::Done(_) => self.tell_the_leaver(&message.sender, out),
                // It does not know the end yet.
                _ => out.answer = self.done_message(active),
            }
            return Ok(());
        }
        match message.body {
            // The end of what is not, or no longer, this node's business.
            Body::Abort { .. } | Body::Relay(_) | Body::Account(_) => Ok(()),
            Body::Reminder(nested) => self.reminded(id, message.sender, &nested, out),
            // Nobody comes so far without this member: it has gone on to another ceremony.
            Body::Sign { .. } | Body::Confirm { .. } if self.past.contains(&id) => {
                let reason = "this member no longer takes part in the ceremony";
                out.answer = Some(self.abort_of(id, reason.to_owned()));
                Ok(())
            }
            // Or its disk was lost or set back. Or whoever says so lies: so first it is to show this member's own consent.
            Body::Sign { .. } | Body::Confirm { .. } | Body::Done(_) => {
                if !self.past.contains(&id) || self.refused.contains_key(&id) {
                    out.answer = Some(self.sign(id, Body::Unheard));
                }
                Ok(())
            }
            _ if self.past.contains(&id) => Ok(()),
            _ => Err(NotTaken::Early),
        }
    }

    /// A message of a proposal that this node's operator has not consented to, beside the newest.
    fn of_waiting(&mut self, message: Message, out: &mut Outcome) -> Result<(), NotTaken> {
        let id = message.ceremony;
        let Some(record) = self.waiting.get_mut(&id) else {
            return Ok(());
        };
        let party = record.plan.party(&message.sender).ok_or(MessageError::NoSeat)?;
        match message.body {
            Body::Join { .. } | Body::Execute { .. } => {
                let gathered = gathers(record, message);
                out.others.extend(gathered.then(|| record.clone()));
                out.persist |= gathered;
            }
            Body::Abort { .. } => {
                let news = if record.plan.needs(&party) {
                    (record.phase, record.abort) = (Phase::Aborted, Some(message));
                    true
                } else {
                    record.rejections.insert(message.sender)
                };
                out.others.extend(news.then(|| record.clone()));
                out.persist |= news;
                self.waiting.retain(|_, waiting| waiting.phase == Phase::Proposed);
            }
            // A seat has no share to use.
            Body::Done(proof) if record.plan.seat_of(&self.me).is_none() => {
                let record = record.clone();
                self.adopt_ended(record, &proof, out)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Makes a ceremony the newest of which somebody shows that it is done, unless the newest is under way here. It is in the
    /// store before it goes on, with the next tick: a journal that says that its key is in use, and a store that does not
    /// know it, would not be of one time.
    fn adopt_ended(&mut self, mut record: Record, proof: &Proof, out: &mut Outcome) -> Result<(), NotTaken> {
        record.take_proof(proof)?;
        if !self.is_bound() {
            record.phase = Phase::Canary;
            self.waiting.remove(&record.plan.id());
            self.adopt(record, out);
        }
        Ok(())
    }

    /// Makes a proposal that waits the newest ceremony, unless the newest is under way here.
    pub(super) fn bring_forward(&mut self, id: CeremonyId, out: &mut Outcome) -> bool {
        if self.is_bound() {
            return false;
        }
        let Some(record) = self.waiting.remove(&id) else {
            return false;
        };
        self.adopt(record, out);
        true
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
        let goes_on = matches!(message.body, Body::Confirm { .. });
        match message.body {
            Body::Done(proof) => doubt.take_proof(&proof)?,
            Body::Confirm { .. } => drop(doubt.take_confirmation(message)),
            _ => {}
        }
        self.take_up_doubt(rng, out);
        if goes_on && let Some(doubt) = &self.doubt {
            out.answer = self.end_message(doubt);
        }
        Ok(())
    }

    pub(super) fn abort_of(&self, ceremony: CeremonyId, reason: String) -> Message {
        let body = Body::Abort {
            reason,
            evidence: None,
        };
        self.sign(ceremony, body)
    }

    /// A member that still talks about an aborted ceremony learns that it is over.
    fn answer_the_late(&self, out: &mut Outcome) {
        match &self.record {
            Some(record) if record.phase == Phase::Aborted => out.answer = self.end_message(record),
            Some(record) if record.phase == Phase::Active => out.answer = self.done_message(record),
            _ => {}
        }
    }

    fn proposed(&mut self, proposal: &Record, now_ms: u64, out: &mut Outcome) -> Result<(), NotTaken> {
        let id = proposal.plan.id();
        if self.record.as_ref().is_some_and(|record| record.plan.id() == id) {
            self.answer_the_late(out);
            return Ok(());
        }
        if self.waiting.contains_key(&id) {
            return Ok(());
        }
        if let Some(active) = self.active.as_ref().filter(|active| active.plan.id() == id) {
            out.answer = self.done_message(active);
            return Ok(());
        }
        if !self.past.contains(&id) {
            self.count_proposal(id, proposal.proposer, now_ms)?;
        }
        let objection = if let Err(objection) = self.agrees_to(&proposal.plan) {
            Some(objection)
        } else if proposal.deadline_ms <= now_ms
            || proposal.deadline_ms > now_ms.saturating_add(MAX_WINDOW_MS)
        {
            Some("the proposed deadline is past or too far away by this member's clock".to_owned())
        } else if self.past.contains(&id) {
            Some("this ceremony is over".to_owned())
        } else {
            self.yields_to(id).err()
        };
        if let Some(reason) = objection {
            self.refuse(id, proposal.proposer, reason, out);
            return Ok(());
        }
        if self.is_bound() {
            self.give_up(&format!("ceremony {id} was proposed at the same time"), None, out);
        }
        self.adopt(proposal.clone(), out);
        out.journal.push((id, Step::Proposed, proposal.plan.what()));
        Ok(())
    }

    /// Each proposal leaves its id on the others' disks: a member that makes one after the other, and nobody here consents,
    /// waits.
    fn count_proposal(&mut self, id: CeremonyId, proposer: PublicKey, now_ms: u64) -> Result<(), NotTaken> {
        let proposals = self.proposals.entry(proposer).or_default();
        proposals.retain(|(at, _)| now_ms.saturating_sub(*at) < PROPOSALS_WINDOW_MS);
        if proposals.len() >= MAX_PROPOSALS {
            return Err(NotTaken::TooMany);
        }
        proposals.push((now_ms, id));
        Ok(())
    }

    /// A member does not know a ceremony: it is told of the end, if there is one, and otherwise shown that it has consented.
    fn remind(&self, unheard: &Message, out: &mut Outcome) {
        let (id, to) = (unheard.ceremony, unheard.sender);
        let known = [&self.record, &self.active, &self.doubt];
        let mut known = known.into_iter().flatten();
        let Some(record) = known.find(|record| record.plan.id() == id && record.plan.party(&to).is_some())
        else {
            return;
        };
        if let Some(proof) = record.proof().filter(|_| record.phase == Phase::Active) {
            let (plan, proof) = (Box::new(record.plan.clone()), Box::new(proof));
            out.send.push((to, self.sign(id, Body::Ended { plan, proof })));
        } else if let Some(join) = record.joins.get(&to) {
            out.send.push((to, self.sign(id, Body::Reminder(join.nested()))));
        }
    }

    /// This node has consented to a ceremony that it does not know any more: what that needs of it is gone with its disk.
    /// Should it have confirmed, and somebody use the key, then its abort does not count.
    fn reminded(
        &mut self,
        id: CeremonyId,
        by: PublicKey,
        nested: &Nested,
        out: &mut Outcome,
    ) -> Result<(), NotTaken> {
        let own = Message::from_bytes(&nested.0).map_err(MessageError::from)?;
        if own.ceremony != id || own.sender != self.me || !matches!(own.body, Body::Join { .. }) {
            return Err(MessageError::WrongSender.into());
        }
        own.verify()?;
        let reason =
            "this member has lost its disk since it joined, and with it what the ceremony needs of it";
        self.refuse(id, by, reason.to_owned(), out);
        Ok(())
    }

    /// An old member that leaves, and was never told of the proposal, learns of the end. All that it is told is proven; a seat
    /// has no use for it, because it has no share.
    fn ended(
        &mut self,
        (id, from): (CeremonyId, PublicKey),
        plan: Plan,
        proof: &Proof,
        out: &mut Outcome,
    ) -> Result<(), NotTaken> {
        if plan.id() != id {
            return Err(MessageError::BadSignature.into());
        }
        let own = self.key.as_ref().map(|guard| guard.manifest().digest());
        let start = plan.starts_from().map(|signed| signed.manifest.digest());
        let leaves = matches!(plan, Plan::Resharing(_))
            && plan.dealer_of(&self.me).is_some()
            && plan.seat_of(&self.me).is_none();
        let known = [&self.record, &self.active, &self.doubt].into_iter().flatten();
        let known = known
            .chain(self.waiting.values())
            .any(|record| record.plan.id() == id);
        if !leaves || own.is_none() || own != start || known {
            return Ok(());
        }
        let mut record = Record::new(plan, from, self.now_ms);
        record.take_proof(proof)?;
        if self.is_bound() {
            // What it has confirmed it does not give up.
            self.give_up(&format!("ceremony {id} is done"), None, out);
        }
        self.adopt_ended(record, proof, out)
    }

    /// An old member without a seat that knows the end may not have heard who has the new epoch in use.
    fn tell_the_leaver(&self, sender: &PublicKey, out: &mut Outcome) {
        let leaves = |active: &&Record| active.plan.seat_of(sender).is_none();
        if let Some(active) = self.active.as_ref().filter(leaves) {
            out.answer = active.in_use.get(&self.me).cloned();
        }
    }

    /// Whether this node could take part: it knows everybody, and the ceremony starts from the epoch that it is in.
    fn agrees_to(&self, plan: &Plan) -> Result<(), String> {
        if plan.party(&self.me).is_none() {
            return Err("this node has no part in the proposed ceremony".to_owned());
        }
        for party in plan.parties() {
            let known = self.nodes.iter().find(|node| node.identity == party.identity);
            // An old member may have moved since its manifest was made.
            let same = known.is_some_and(|node| {
                let moved = node.address != party.address && party.seat.is_some();
                let fixed = matches!(plan, Plan::Repair(_));
                node.name == party.name && (!moved || fixed)
            });
            if !same {
                return Err(format!(
                    "the proposed members are not those in this member's configuration: {} is not",
                    party.name
                ));
            }
        }
        let Some(start) = plan.starts_from() else {
            return match &self.key {
                Some(_) => Err("this member already holds a share of a key in use".to_owned()),
                None => Ok(()),
            };
        };
        self.is_at(plan, &start.manifest)
    }

    fn is_at(&self, plan: &Plan, start: &CommitteeManifest) -> Result<(), String> {
        let Some(own) = self.key.as_ref().map(|guard| guard.manifest()) else {
            return match plan {
                // It could not help.
                Plan::Repair(_) if plan.seat_of(&self.me).is_none() => {
                    Err("this member has no share to help with".to_owned())
                }
                _ => Ok(()),
            };
        };
        if own.key_id() != start.key_id() {
            return Err(format!(
                "this member holds a share of another key, {}",
                own.key_id()
            ));
        }
        let lost = matches!(plan, Plan::Repair(_)) && plan.seat_of(&self.me).is_some();
        if lost {
            return match own.epoch() < start.epoch() {
                true => Ok(()),
                false => Err("this member has its share".to_owned()),
            };
        }
        if own.digest() == start.digest() {
            return Ok(());
        }
        Err(format!(
            "this member is in epoch {}, and the proposal starts from epoch {} with manifest {}",
            own.epoch(),
            start.epoch(),
            start.digest()
        ))
    }

    /// A ceremony that this node's operator has consented to yields to no other; of two proposals at once, to which nobody has
    /// consented but the one who proposed, the one with the lower id stays.
    fn yields_to(&self, id: CeremonyId) -> Result<(), String> {
        match self.record.as_ref().filter(|_| self.is_bound()) {
            Some(live) if live.proposer != self.me || live.joins.len() > 1 || live.plan.id() < id => {
                Err(format!("ceremony {} is under way", live.plan.id()))
            }
            _ => Ok(()),
        }
    }

    /// Whether this node's operator has consented to the newest ceremony, or its end is known, and it is not over here.
    pub(super) fn is_bound(&self) -> bool {
        let bound = |record: &Record| record.joins.contains_key(&self.me) || record.phase == Phase::Canary;
        self.live().is_some() && self.record.as_ref().is_some_and(bound)
    }

    pub(super) fn adopt(&mut self, record: Record, out: &mut Outcome) {
        self.past.insert(record.plan.id());
        let aborted = self
            .record
            .as_ref()
            .is_some_and(|before| before.phase == Phase::Aborted);
        let confirmed = self.has_confirmed() && aborted;
        let unjoined = self.live().is_some() && !self.is_bound();
        if let Some(before) = self.record.replace(record) {
            // Stored with the newest: as aborted, if it has just given way.
            out.others.push(before.clone());
            if confirmed {
                self.doubt = Some(before);
            } else if unjoined {
                // Of each proposer the newest.
                let reason = "its proposer has made another since";
                self.drop_waiting(reason, out, |waiting| waiting.proposer == before.proposer);
                self.waiting.insert(before.plan.id(), before);
            }
        }
        self.rounds = Rounds::default();
        out.persist = true;
    }

    /// A seat says that it has the new epoch in use; perhaps before this node knows that it may use it itself.
    fn is_in_use(&mut self, message: &Message, out: &mut Outcome) {
        let id = message.ceremony;
        let Body::InUse { read, .. } = message.body else {
            return;
        };
        let is_news = |record: &Record| {
            let known = record.in_use.get(&message.sender);
            let known =
                known.is_some_and(|known| !read || matches!(known.body, Body::InUse { read: true, .. }));
            record.plan.id() == id && record.plan.seat_of(&message.sender).is_some() && !known
        };
        let news = [&self.active, &self.record, &self.doubt]
            .into_iter()
            .flatten()
            .any(is_news);
        if !news {
            if !self.past.contains(&id) {
                out.answer = Some(self.sign(id, Body::Unheard));
            }
            return;
        }
        self.note(id, out, |record| {
            record.in_use.insert(message.sender, message.clone());
        });
        let Some(active) = self.active.as_ref().filter(|active| active.plan.id() == id) else {
            return;
        };
        // Whoever says so may not have heard it of this node.
        out.answer = active.in_use.get(&self.me).cloned();
        self.weigh_use(out);
    }

    fn round_message(&mut self, sender: PublicKey, round: &Round, out: &mut Outcome) -> Result<(), NotTaken> {
        let Some(record) = &self.record else { return Ok(()) };
        let agreed = record.phase == Phase::Signed && matches!(record.plan, Plan::Resharing(_));
        if !agreed && !matches!(record.phase, Phase::Proposed | Phase::Running) {
            return Ok(());
        }
        let plan = record.plan.clone();
        if let Some(evidence) = self.take_round(&plan, round, &sender)? {
            let name = plan.name_of(&sender);
            let reason = format!("member {name} sent two different messages where there is one");
            self.give_up(&reason, Some(evidence), out);
        }
        Ok(())
    }

    /// A member's messages arrive in order: one that has signed and whose share is not here was restarted before
    /// the share had left it, and nobody has it any more.
    fn signed_directly(&mut self, message: Message, out: &mut Outcome) {
        let Some(record) = &self.record else { return };
        let lost = match &record.plan {
            Plan::Generation(_) if record.phase == Phase::Running => {
                let seat = record.plan.seat_of(&message.sender);
                seat.is_some_and(|seat| !self.rounds.generation.has_share_of(seat))
            }
            _ => false,
        };
        if lost {
            let name = record.plan.name_of(&message.sender);
            let reason = format!("the share of member {name} was lost when it was restarted");
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
            tracing::error!(
                member = record.plan.name_of(&message.sender),
                "a member's signature is not one on the manifest"
            );
            return;
        }
        out.persist |= is_first(&mut record.signs, message);
    }

    fn confirmed(&mut self, message: Message, out: &mut Outcome) {
        if let Some(record) = self
            .record
            .as_mut()
            .filter(|record| record.phase != Phase::Active)
        {
            out.persist |= record.take_confirmation(message);
        }
    }

    fn aborted(&mut self, message: Message, out: &mut Outcome) {
        let Some(record) = &self.record else { return };
        let sender = message.sender;
        let Body::Abort { reason, evidence } = &message.body else {
            return;
        };
        let reason = format!("member {} aborted: {reason}", record.plan.name_of(&sender));
        let proven = evidence
            .clone()
            .filter(|evidence| evidence::culprit(evidence, &record.plan).is_ok());
        // Whoever only deals may leave until it is known that its dealing counts.
        let only_deals = matches!(record.plan, Plan::Resharing(_)) && record.plan.seat_of(&sender).is_none();
        match record.phase {
            Phase::Aborted | Phase::Active => {}
            // Whatever it brings with it, against itself or another that only deals: that leaves dealers out, and ends nothing.
            _ if only_deals && !record.confirmers().contains(&sender) => {
                let culprit = proven.as_ref();
                let culprit = culprit.and_then(|evidence| evidence::culprit(evidence, &record.plan).ok());
                if let Some(record) = self.record.as_mut()
                    && record.rejections.insert(sender)
                {
                    if culprit == Some(sender) {
                        let fault = Fault {
                            who: sender,
                            what: reason,
                            evidence: proven,
                        };
                        blame(&mut record.faults, fault);
                    }
                    out.persist = true;
                }
            }
            _ if !self.has_confirmed() => self.give_up(&reason, proven, out),
            _ if record.has_confirmed(&sender) => {
                tracing::error!(
                    member = record.plan.name_of(&sender),
                    "a member aborts although it has confirmed; its abort does not count"
                );
            }
            _ => {
                let culprit = proven.and_then(|evidence| evidence::culprit(&evidence, &record.plan).ok());
                let relay = Body::Relay(message.nested());
                self.end(reason, culprit, message, out);
                self.broadcast(relay, out);
            }
        }
    }

    /// An abort that another member passes on: checked as if it had come from its sender.
    fn relayed(&mut self, nested: &Nested, out: &mut Outcome) -> Result<(), NotTaken> {
        let Some(record) = &self.record else { return Ok(()) };
        let message = nested.open(&record.plan)?;
        if matches!(message.body, Body::Abort { .. }) {
            self.aborted(message, out);
        }
        Ok(())
    }

    /// Somebody shows that all have confirmed. A seat whose disk was set back to before it had all signatures has nothing
    /// to use, and gives up at the deadline; whoever has no seat needs nothing.
    fn done(&mut self, proof: &Proof, out: &mut Outcome) -> Result<(), NotTaken> {
        let me = self.me;
        let Some(record) = self.record.as_mut() else {
            return Ok(());
        };
        let seated = record.plan.seat_of(&me).is_some();
        match record.phase {
            Phase::Active => return Ok(()),
            Phase::Proposed | Phase::Running | Phase::Signed if seated => return Ok(()),
            Phase::Aborted if seated && record.manifest.is_none() => return Ok(()),
            _ => record.take_proof(proof)?,
        }
        if record.phase != Phase::Aborted {
            record.phase = Phase::Canary;
        }
        self.rounds = Rounds::default();
        out.persist = true;
        Ok(())
    }
}

/// What is said before a ceremony begins. Nobody but whoever proposed it says who deals, once, and each dealer once.
fn gathers(record: &mut Record, message: Message) -> bool {
    if record.phase != Phase::Proposed {
        return false;
    }
    match &message.body {
        Body::Execute { dealers } => {
            let sound = dealers.is_sorted_by(|one, other| one < other)
                && dealers
                    .iter()
                    .all(|dealer| record.plan.dealing(*dealer).is_some());
            let first = record.proposer == message.sender && record.expected.is_none();
            if sound && first {
                record.expected = Some(dealers.clone());
            }
            sound && first
        }
        _ => is_first(&mut record.joins, message),
    }
}

/// Takes a party's message in if it is the first of its kind: what it says twice is not stored twice.
fn is_first(messages: &mut Messages, message: Message) -> bool {
    match messages.entry(message.sender) {
        Entry::Vacant(vacant) => {
            vacant.insert(message);
            true
        }
        Entry::Occupied(_) => false,
    }
}
