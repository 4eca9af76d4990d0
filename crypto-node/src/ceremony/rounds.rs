//! How the machine goes on when it has what it waits for. The rounds of each kind of ceremony are in a file of their
//! own; they end in a manifest, and from there on all ceremonies go the same way.

mod generation;
mod repair;
mod resharing;

use super::evidence;
use super::machine::{Machine, Outcome};
use super::message::{Body, Evidence, Message, MessageError, Round};
use super::plan::Plan;
use super::record::{Messages, Phase, Record};
use crate::journal::Step;
use generation::Generation;
use rand_core::{CryptoRng, RngCore};
use repair::Helping;
use resharing::HandOver;
use threshold::committee::{CommitteeManifest, ParticipantIndex};
use threshold::secret::KeyShare;
use threshold::signature::PublicKey;

/// What is in memory only, of the kind of the newest ceremony. Dropping it wipes the secrets.
#[derive(Default)]
pub(super) struct Rounds {
    pub(super) generation: Generation,
    pub(super) resharing: HandOver,
    pub(super) repair: Helping,
}

/// Whether the machine can go on after a step.
pub(super) enum Go {
    On,
    Wait,
}

impl Machine {
    /// Takes a protocol's message in.
    pub(super) fn take_round(
        &mut self,
        plan: &Plan,
        round: &Round,
        sender: &PublicKey,
    ) -> Result<Option<Evidence>, MessageError> {
        let me = self.me;
        match plan {
            Plan::Generation(ceremony) => self.rounds.generation.insert(round, ceremony, sender, &me),
            Plan::Resharing(resharing) => self.rounds.resharing.insert(round, resharing, sender, &me),
            Plan::Repair(repair) => self.rounds.repair.insert(round, repair, sender, &me),
        }
    }

    /// Goes as far as the messages that have come allow.
    pub(super) fn advance(&mut self, rng: &mut (impl RngCore + CryptoRng), out: &mut Outcome) {
        if self
            .record
            .as_ref()
            .is_some_and(|record| record.phase == Phase::Proposed)
        {
            self.begin(rng, out);
        }
        self.go_on(out);
    }

    /// As [`Self::advance`], for a ceremony that has begun.
    fn go_on(&mut self, out: &mut Outcome) {
        while let Some(phase) = self.record.as_ref().map(|record| record.phase) {
            let go = match phase {
                Phase::Running => self.run_round(out),
                Phase::Signed => self.collect_signatures(out),
                Phase::Canary | Phase::Aborted => self.collect_confirmations(out),
                Phase::Proposed | Phase::Active => Go::Wait,
            };
            if matches!(go, Go::Wait) {
                return;
            }
        }
    }

    /// Begins when everybody has joined who is needed.
    fn begin(&mut self, rng: &mut (impl RngCore + CryptoRng), out: &mut Outcome) {
        let me = self.me;
        let Some(record) = self.record.as_mut() else {
            return;
        };
        let Some(dealers) = record.can_begin() else {
            return;
        };
        let takes_part = record.plan.seat_of(&me).is_some()
            || !matches!(record.plan, Plan::Resharing(_))
            || record.plan.dealer_of(&me).is_some_and(|me| dealers.contains(&me));
        if !takes_part {
            return;
        }
        record.phase = Phase::Running;
        record.expected = Some(dealers);
        out.persist = true;
        let plan = record.plan.clone();
        match &plan {
            Plan::Generation(ceremony) => self.commit(ceremony, rng, out),
            Plan::Resharing(resharing) => self.deal_share(resharing, rng, out),
            Plan::Repair(repair) => self.help(repair, rng, out),
        }
    }

    fn run_round(&mut self, out: &mut Outcome) -> Go {
        let Some(plan) = self.record.as_ref().map(|record| record.plan.clone()) else {
            return Go::Wait;
        };
        match &plan {
            Plan::Generation(ceremony) => self.generate(ceremony, out),
            Plan::Resharing(resharing) => self.reshare(resharing, out),
            Plan::Repair(repair) => self.repair(repair, out),
        }
    }

    /// Goes on without dealers that are silent, when it is time to; and with an end that was shown, once that is stored.
    pub(super) fn lose_patience(&mut self, out: &mut Outcome) {
        if self
            .record
            .as_ref()
            .is_some_and(|record| matches!(record.phase, Phase::Running | Phase::Canary))
        {
            self.go_on(out);
        }
    }

    /// The identity of whoever gets the share with this index in the newest ceremony.
    pub(super) fn seated(&self, index: ParticipantIndex) -> Option<PublicKey> {
        self.record.as_ref()?.plan.seated(index)
    }

    /// The new share is there, and the manifest: store, and sign.
    pub(super) fn has_share(&mut self, share: KeyShare, manifest: CommitteeManifest, out: &mut Outcome) {
        if !self.has_manifest(&manifest, out) {
            return;
        }
        let body = Body::Sign {
            manifest: manifest.digest(),
            signature: manifest.sign(self.identity.signing_key()),
        };
        let sent = self.broadcast(body, out);
        if let (Some(record), Some(message)) = (self.record.as_mut(), sent) {
            record.signs.insert(self.me, message);
            let step = (record.plan.id(), Step::Signed, manifest.digest().to_string());
            out.journal.push(step);
        }
        out.share = Some((share, manifest));
    }

    /// The manifest is known: whoever has signed another ends a key generation. In a resharing the seats' confirmations
    /// tell who made them differ.
    pub(super) fn has_manifest(&mut self, manifest: &CommitteeManifest, out: &mut Outcome) -> bool {
        let Some(record) = self.record.as_mut() else {
            return false;
        };
        if matches!(record.plan, Plan::Resharing(_)) {
            record
                .signs
                .retain(|_, message| evidence::signs(message, manifest));
        }
        let liar = record
            .signs
            .values()
            .find(|message| !evidence::signs(message, manifest))
            .map(|message| record.plan.name_of(&message.sender));
        if let Some(liar) = liar {
            let reason = format!("member {liar} signed another manifest");
            self.give_up(&reason, None, out);
            return false;
        }
        record.phase = Phase::Signed;
        record.manifest = Some(manifest.clone());
        out.persist = true;
        true
    }

    /// All seats have stored their shares and signed: try the key.
    fn collect_signatures(&mut self, out: &mut Outcome) -> Go {
        if !self.reports_agree(out) {
            return Go::On;
        }
        let Some(signed) = self.record.as_ref().and_then(Record::signed_manifest) else {
            return Go::Wait;
        };
        let seated = self.is_seated();
        let Some(record) = self.record.as_mut() else {
            return Go::Wait;
        };
        record.phase = Phase::Canary;
        out.persist = true;
        self.rounds = Rounds::default();
        if seated {
            out.canary = Some(signed);
        } else {
            // It has nothing to try; that the others have signed is what its word is for.
            self.confirm(out);
        }
        Go::On
    }

    /// This node is bound to the ceremony from here on.
    pub(super) fn confirm(&mut self, out: &mut Outcome) {
        let me = self.me;
        let Some(body) = self.record.as_ref().and_then(Record::confirmation) else {
            return;
        };
        let message = self.broadcast(body, out);
        if let (Some(record), Some(message)) = (self.record.as_mut(), message) {
            record.confirms.insert(me, message);
            out.journal
                .push((record.plan.id(), Step::Confirmed, String::new()));
        }
        // And to no earlier one.
        self.doubt = None;
        out.persist = true;
    }

    /// All have confirmed, whatever was said before.
    fn collect_confirmations(&mut self, out: &mut Outcome) -> Go {
        let me = self.me;
        let Some(record) = self.record.as_mut() else {
            return Go::Wait;
        };
        let Some(manifest) = record.confirmed_manifest() else {
            return Go::Wait;
        };
        // A seat without a share has nothing to use; see `done`.
        let id = record.plan.id();
        let mut in_use = false;
        if record.phase == Phase::Aborted {
            tracing::warn!(ceremony = %id, "all have confirmed: the abort does not count");
            (record.reason, record.culprit, record.abort) = (String::new(), None, None);
        }
        record.phase = Phase::Active;
        out.persist = true;
        if record.changes_key_of(&me) {
            let digest = manifest.manifest.digest().to_string();
            out.journal.push((id, Step::Active, digest));
            self.serves_old = matches!(record.plan, Plan::Resharing(_)) && self.key.is_some();
            self.active = Some(record.clone());
            out.activate = Some(manifest);
            in_use = matches!(record.plan, Plan::Resharing(_));
        }
        // Whoever still waits, or believes in an abort, takes the result up.
        if let Some(record) = &self.record
            && let Some(message) = self.done_message(record)
        {
            self.to_all_of(record, &message, out);
        }
        if in_use {
            self.say_in_use(false, out);
            self.weigh_use(out);
        }
        Go::On
    }

    /// An earlier ceremony that was aborted: all members have confirmed it after all, and its key is in use somewhere.
    /// The newest ceremony, which this node has not confirmed, gives way.
    pub(super) fn take_up_doubt(&mut self, rng: &mut (impl RngCore + CryptoRng), out: &mut Outcome) {
        let Some(doubt) = self.doubt.take_if(|record| record.confirmed_manifest().is_some()) else {
            return;
        };
        if self.live().is_some() {
            self.give_up(
                &format!("ceremony {} is done after all", doubt.plan.id()),
                None,
                out,
            );
        }
        out.others.extend(self.record.replace(doubt));
        self.rounds = Rounds::default();
        self.advance(rng, out);
    }
}

/// Whose messages are missing from a complete set, for words about a deadline.
pub(super) fn silent(record: &Record, rounds: &Rounds) -> String {
    let heard: Vec<PublicKey> = match record.phase {
        Phase::Proposed => keys(&record.joins),
        Phase::Running => match &record.plan {
            Plan::Generation(_) => {
                let seats = rounds.generation.heard().into_iter();
                seats.filter_map(|seat| record.plan.seated(seat)).collect()
            }
            Plan::Resharing(_) => rounds.resharing.heard(&record.plan),
            Plan::Repair(_) => rounds.repair.heard(&record.plan),
        },
        Phase::Signed => keys(&record.signs),
        Phase::Canary | Phase::Active | Phase::Aborted => keys(&record.confirms),
    };
    let confirmers = record.confirmers();
    let waited_for = |party: &super::plan::Party| match record.phase {
        Phase::Proposed => true,
        Phase::Running => match record.plan {
            Plan::Resharing(_) => rounds.resharing.waits_for(party, record),
            _ => true,
        },
        Phase::Signed => party.seat.is_some(),
        Phase::Canary | Phase::Active | Phase::Aborted => confirmers.contains(&party.identity),
    };
    let parties = record.plan.parties().into_iter();
    let silent = parties.filter(|party| waited_for(party) && !heard.contains(&party.identity));
    silent
        .map(|party| party.name.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

fn keys(messages: &Messages) -> Vec<PublicKey> {
    messages
        .values()
        .map(|message: &Message| message.sender)
        .collect()
}
