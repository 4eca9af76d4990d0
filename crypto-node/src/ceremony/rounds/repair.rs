//! The rounds of a repair: helpers split their shares, add up what they got, and the member adds up the sums.

use super::Go;
use crate::ceremony::evidence::of_repair;
use crate::ceremony::machine::{Machine, Outcome};
use crate::ceremony::message::{Body, Evidence, MessageError, Round};
use crate::ceremony::plan::Plan;
use crate::ceremony::record::Phase;
use crate::journal::Step;
use rand_core::{CryptoRng, RngCore};
use std::collections::BTreeMap;
use threshold::committee::ParticipantIndex;
use threshold::message::MessageError as ProtocolError;
use threshold::repair::{
    Equivocation, Evidence as Proof, Kind, Repair, RepairError, SignedMessage, part2, part3,
};
use threshold::signature::PublicKey;

/// What is in memory only. Dropping it wipes the secrets.
#[derive(Default)]
pub(in crate::ceremony) struct Helping {
    /// By kind and helper.
    came: BTreeMap<(Kind, ParticipantIndex), Round>,
    /// Whether this helper has passed its sum on.
    summed: bool,
}

impl Helping {
    /// Takes a message in. The first of each kind stays; a different second one is evidence.
    pub(in crate::ceremony) fn insert(
        &mut self,
        packed: &Round,
        repair: &Repair,
        sender: &PublicKey,
        me: &PublicKey,
    ) -> Result<Option<Evidence>, MessageError> {
        let message: SignedMessage = packed.unpack()?;
        let own = repair
            .manifest()
            .member_by_identity(me)
            .map(|member| member.index);
        let due = match message.kind() {
            Kind::Commitments => message.recipient().is_none(),
            Kind::Part => own.is_some() && message.recipient() == own && own != Some(repair.lost()),
            Kind::Sum => own == Some(repair.lost()) && message.recipient() == own,
        };
        if !due {
            return Err(MessageError::WrongSender);
        }
        message.verify_from(repair, sender).map_err(|error| match error {
            RepairError::Message(ProtocolError::OtherPeer { .. }) => MessageError::WrongSender,
            _ => MessageError::BadSignature,
        })?;
        let place = (message.kind(), message.sender());
        let Some(earlier) = self.came.get(&place) else {
            self.came.insert(place, packed.clone());
            return Ok(None);
        };
        let (first, second) = (earlier.unpack::<Kind>()?.attestation(), message.attestation());
        let found = Proof::Equivocation(Equivocation {
            sender: message.sender(),
            recipient: message.recipient(),
            kind: message.kind(),
            first,
            second,
        });
        let differ = first.payload_digest != second.payload_digest;
        Ok(Some(found).filter(|_| differ).as_ref().and_then(of_repair))
    }

    /// The messages of a kind, once every helper's is there.
    fn all(&self, kind: Kind, repair: &Repair) -> Option<Vec<SignedMessage>> {
        let messages = repair.helpers().iter().map(|helper| {
            let round = self.came.get(&(kind, *helper))?;
            round.unpack().ok()
        });
        messages.collect()
    }

    /// From which helpers anything has come that is for all.
    pub(in crate::ceremony) fn heard(&self, plan: &Plan) -> Vec<PublicKey> {
        let commitments = self.came.keys().filter(|(kind, _)| *kind == Kind::Commitments);
        commitments
            .filter_map(|(_, helper)| plan.dealing(*helper))
            .collect()
    }
}

impl Machine {
    /// Everybody has joined: split the share, if this node helps.
    pub(super) fn help(&mut self, repair: &Repair, rng: &mut (impl RngCore + CryptoRng), out: &mut Outcome) {
        let me = self.me;
        let helps = self.record.as_ref().and_then(|record| record.plan.dealer_of(&me));
        let Some(guard) = self.key.clone().filter(|_| helps.is_some()) else {
            return;
        };
        let (commitments, parts) = match guard.help(repair, self.identity.signing_key(), rng) {
            Ok(split) => split,
            Err(error) => return self.give_up(&format!("this member cannot help: {error}"), None, out),
        };
        out.journal.push((repair.id(), Step::Dealt, String::new()));
        let packed = Round::pack(&commitments);
        self.broadcast(Body::Round(packed.clone()), out);
        let helper = commitments.sender();
        self.rounds
            .repair
            .came
            .insert((Kind::Commitments, helper), packed);
        for part in parts {
            let packed = Round::pack(&part);
            let to = part.recipient().and_then(|index| repair.manifest().member(index));
            match to.map(|member| member.identity) {
                Some(identity) if identity == me => {
                    self.rounds.repair.came.insert((Kind::Part, helper), packed);
                }
                Some(identity) => out
                    .send
                    .push((identity, self.sign(repair.id(), Body::Round(packed)))),
                None => {}
            }
        }
    }

    pub(super) fn repair(&mut self, repair: &Repair, out: &mut Outcome) -> Go {
        let is_lost = self.is_seated();
        let kind = if is_lost { Kind::Sum } else { Kind::Part };
        let rounds = &self.rounds.repair;
        let (Some(commitments), Some(secrets), false) = (
            rounds.all(Kind::Commitments, repair),
            rounds.all(kind, repair),
            rounds.summed,
        ) else {
            return Go::Wait;
        };
        if is_lost {
            return self.put_together(repair, commitments, secrets, out);
        }
        match part2(repair, commitments, secrets, self.identity.signing_key()) {
            Ok(sum) => {
                self.rounds.repair.summed = true;
                let lost = repair.manifest().member(repair.lost());
                let message = self.sign(repair.id(), Body::Round(Round::pack(&sum)));
                out.send.extend(lost.map(|lost| (lost.identity, message)));
            }
            Err(error) => self.repair_failed(&error, out),
        }
        Go::On
    }

    /// The share is what the manifest says: nobody else's word is needed, and nobody else's share has changed.
    fn put_together(
        &mut self,
        repair: &Repair,
        commitments: Vec<SignedMessage>,
        sums: Vec<SignedMessage>,
        out: &mut Outcome,
    ) -> Go {
        match part3(repair, commitments, sums, self.identity.signing_key()) {
            Ok(share) => {
                let manifest = repair.manifest().clone();
                if let Some(record) = self.record.as_mut() {
                    record.phase = Phase::Canary;
                    record.transcript = Some(*manifest.digest().as_bytes());
                    record.manifest = Some(manifest.clone());
                }
                self.rounds = super::Rounds::default();
                self.confirm(out);
                out.share = Some((share, manifest));
            }
            Err(error) => self.repair_failed(&error, out),
        }
        Go::On
    }

    /// A repair did not hold: give up, and name whoever is to blame.
    fn repair_failed(&mut self, error: &RepairError, out: &mut Outcome) {
        let proof = match error {
            RepairError::Cheated(evidence) => evidence.first().and_then(of_repair),
            RepairError::Message(ProtocolError::Equivocation(found)) => {
                let found = found.first().copied().map(Proof::Equivocation);
                found.as_ref().and_then(of_repair)
            }
            _ => None,
        };
        let culprit = error.culprits().first().copied();
        let culprit = culprit.and_then(|helper| self.record.as_ref()?.plan.dealing(helper));
        self.give_up_over(&error.to_string(), culprit, proof, out);
    }
}
