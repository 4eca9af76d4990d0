//! The rounds of a resharing: dealings, reports, and what follows from them.
//!
//! A seat waits for the dealers that are expected, and after a while for no more than t of them: whoever is left out is named, and
//! the resharing goes on. Old members without a new seat follow the same messages, because their word is needed too.

use super::Go;
use crate::ceremony::evidence::of_resharing;
use crate::ceremony::machine::{Machine, Outcome};
use crate::ceremony::message::{Body, Evidence, MessageError, Round};
use crate::ceremony::plan::{Party, Plan};
use crate::ceremony::record::{Fault, Record, blame};
use crate::journal::Step;
use rand_core::{CryptoRng, RngCore};
use std::collections::BTreeMap;
use threshold::committee::ParticipantIndex;
use threshold::message::MessageError as ProtocolError;
use threshold::reshare::{
    Agreement, Equivocation, Evidence as Proof, Exclusion, Kind, Party as Accused, Received, ReshareError,
    Resharing, SignedMessage,
};
use threshold::signature::PublicKey;

/// How long a silent dealer is waited for when t others have dealt; never longer than a quarter of the ceremony's time.
const PATIENCE_MS: u64 = 10_000;

/// Where this node is within the rounds.
#[derive(Default)]
enum Own {
    /// The ceremony has not begun here.
    #[default]
    Idle,
    /// For dealings, or without a seat for what the seats report.
    Waiting,
    /// The report was sent.
    Reported(Box<Received>),
    /// Manifest and share are there; the confirmations show whether all have seen the same reports.
    Agreed(Box<Agreement>),
}

/// What is in memory only. Dropping it wipes the secrets.
#[derive(Default)]
pub(in crate::ceremony) struct HandOver {
    own: Own,
    /// Commitments and shares by dealer, of each at most two that differ.
    dealt: BTreeMap<(ParticipantIndex, Kind), Vec<Round>>,
    /// By seat.
    reports: BTreeMap<ParticipantIndex, Round>,
    confirmations: BTreeMap<ParticipantIndex, Round>,
    patient_until_ms: u64,
}

impl HandOver {
    pub(in crate::ceremony) const fn has_reported(&self) -> bool {
        matches!(self.own, Own::Reported(_))
    }

    /// Takes a message in. What a dealer says twice goes into the report; a seat that contradicts itself is named at once.
    pub(in crate::ceremony) fn insert(
        &mut self,
        packed: &Round,
        resharing: &Resharing,
        sender: &PublicKey,
        me: &PublicKey,
    ) -> Result<Option<Evidence>, MessageError> {
        let message: SignedMessage = packed.unpack()?;
        let (kind, from) = (message.kind(), message.sender());
        let recipient = match kind {
            Kind::Share => resharing.seat_of(me).map(|seat| seat.index),
            Kind::Commitments | Kind::Report | Kind::Confirmation => None,
        };
        if message.recipient() != recipient || (kind == Kind::Share && recipient.is_none()) {
            return Err(MessageError::WrongSender);
        }
        message
            .verify_from(resharing, sender)
            .map_err(|error| match error {
                ReshareError::Message(ProtocolError::OtherPeer { .. }) => MessageError::WrongSender,
                _ => MessageError::BadSignature,
            })?;
        let kept: &mut BTreeMap<_, _> = match kind {
            Kind::Commitments | Kind::Share => {
                let earlier = self.dealt.entry((from, kind)).or_default();
                let known = earlier
                    .iter()
                    .any(|earlier| differ(earlier, &message) == Ok(None));
                if !known && earlier.len() < 2 {
                    earlier.push(packed.clone());
                }
                return Ok(None);
            }
            Kind::Report => &mut self.reports,
            Kind::Confirmation => &mut self.confirmations,
        };
        match kept.get(&from) {
            Some(earlier) => {
                let found = differ(earlier, &message)?.map(Proof::Equivocation);
                Ok(found.as_ref().and_then(of_resharing))
            }
            None => {
                kept.insert(from, packed.clone());
                Ok(None)
            }
        }
    }

    /// Whether commitments and share of a dealer are there.
    fn has_dealt(&self, dealer: ParticipantIndex) -> bool {
        let came = |kind| self.dealt.contains_key(&(dealer, kind));
        came(Kind::Commitments) && came(Kind::Share)
    }

    /// From whom that is there which is waited for.
    pub(in crate::ceremony) fn heard(&self, plan: &Plan) -> Vec<PublicKey> {
        let parties = plan.parties().into_iter();
        let heard = parties.filter(|party| match self.own {
            Own::Reported(_) | Own::Agreed(_) => {
                party.seat.is_some_and(|seat| self.reports.contains_key(&seat))
            }
            Own::Idle | Own::Waiting => party.dealer.is_some_and(|dealer| self.has_dealt(dealer)),
        });
        heard.map(|party| party.identity).collect()
    }

    /// Whether something is waited for from a party.
    pub(in crate::ceremony) fn waits_for(&self, party: &Party, record: &Record) -> bool {
        match self.own {
            Own::Reported(_) | Own::Agreed(_) => party.seat.is_some(),
            Own::Idle | Own::Waiting => {
                let expected = record.expected.as_deref().unwrap_or_default();
                party.dealer.is_some_and(|dealer| expected.contains(&dealer))
            }
        }
    }

    /// What came from the dealers that were to deal and have not left: the rest has no part in the report.
    fn dealings(&self, record: &Record) -> Result<Vec<SignedMessage>, MessageError> {
        let expected = self
            .dealt
            .iter()
            .filter(|((dealer, _), _)| record.expects(*dealer));
        let rounds = expected.flat_map(|(_, rounds)| rounds);
        Ok(rounds.map(Round::unpack).collect::<Result<_, _>>()?)
    }

    /// The commitments alone.
    fn commitments(&self) -> Result<Vec<SignedMessage>, MessageError> {
        let of_kind = self
            .dealt
            .iter()
            .filter(|((_, kind), _)| *kind == Kind::Commitments);
        let rounds = of_kind.flat_map(|(_, rounds)| rounds);
        Ok(rounds.map(Round::unpack).collect::<Result<_, _>>()?)
    }
}

/// Proof that two messages at one place differ, if they do.
fn differ(earlier: &Round, message: &SignedMessage) -> Result<Option<Equivocation>, MessageError> {
    let (first, second) = (earlier.unpack::<Kind>()?.attestation(), message.attestation());
    let differ = first.payload_digest != second.payload_digest;
    Ok(differ.then_some(Equivocation {
        sender: message.sender(),
        recipient: message.recipient(),
        kind: message.kind(),
        first,
        second,
    }))
}

impl Machine {
    /// Everybody has joined who is needed: deal, if this node is to.
    pub(super) fn deal_share(
        &mut self,
        resharing: &Resharing,
        rng: &mut (impl RngCore + CryptoRng),
        out: &mut Outcome,
    ) {
        let Some(record) = &self.record else { return };
        let time = record.deadline_ms.saturating_sub(self.now_ms) / 4;
        self.rounds.resharing.patient_until_ms = self.now_ms.saturating_add(time.min(PATIENCE_MS));
        self.rounds.resharing.own = Own::Waiting;
        let own = record.plan.dealer_of(&self.me);
        let expected = own.is_some_and(|own| {
            record
                .expected
                .as_ref()
                .is_some_and(|expected| expected.contains(&own))
        });
        let Some(guard) = self.key.clone().filter(|_| expected) else {
            return;
        };
        let (commitments, shares) = match guard.deal(resharing, self.identity.signing_key(), rng) {
            Ok(dealt) => dealt,
            Err(error) => return self.give_up(&format!("this member cannot deal: {error}"), None, out),
        };
        out.journal.push((resharing.id(), Step::Dealt, String::new()));
        let packed = Round::pack(&commitments);
        self.broadcast(Body::Round(packed.clone()), out);
        let dealer = commitments.sender();
        let dealt = &mut self.rounds.resharing.dealt;
        dealt.insert((dealer, Kind::Commitments), vec![packed]);
        for share in shares {
            let packed = Round::pack(&share);
            let seat = share.recipient().and_then(|index| resharing.seat(index));
            match seat.map(|seat| seat.identity) {
                Some(identity) if identity == self.me => {
                    let dealt = &mut self.rounds.resharing.dealt;
                    dealt.insert((dealer, Kind::Share), vec![packed]);
                }
                Some(identity) => {
                    out.send
                        .push((identity, self.sign(resharing.id(), Body::Round(packed))));
                }
                None => {}
            }
        }
    }

    pub(super) fn reshare(&mut self, resharing: &Resharing, out: &mut Outcome) -> Go {
        let seated = resharing.seat_of(&self.me).is_some();
        match std::mem::take(&mut self.rounds.resharing.own) {
            Own::Waiting if seated && self.enough_have_dealt(resharing) => {
                self.report_dealings(resharing, out)
            }
            Own::Waiting if !seated && self.all_have_reported(resharing) => {
                return self.observe(resharing, out);
            }
            Own::Reported(received) if self.all_have_reported(resharing) => {
                self.agree(resharing, *received, out);
            }
            waiting => {
                self.rounds.resharing.own = waiting;
                return Go::Wait;
            }
        }
        Go::On
    }

    fn enough_have_dealt(&self, resharing: &Resharing) -> bool {
        let Some(record) = &self.record else { return false };
        let expected = record.expected.as_deref().unwrap_or_default();
        let rounds = &self.rounds.resharing;
        let dealt = |dealer: &&ParticipantIndex| record.expects(**dealer) && rounds.has_dealt(**dealer);
        let there = expected.iter().filter(dealt).count();
        let needed = usize::from(resharing.previous().threshold().t());
        let mut awaited = expected
            .iter()
            .filter(|dealer| record.expects(**dealer) && !rounds.has_dealt(**dealer));
        let patient = self.now_ms < rounds.patient_until_ms;
        there >= needed && (!patient || awaited.next().is_none())
    }

    fn all_have_reported(&self, resharing: &Resharing) -> bool {
        self.rounds.resharing.reports.len() == usize::from(resharing.threshold().n())
    }

    /// What came from the dealers, to all.
    fn report_dealings(&mut self, resharing: &Resharing, out: &mut Outcome) {
        let key = self.identity.signing_key();
        let me = self.me;
        let Some(record) = &self.record else { return };
        let reported = self
            .rounds
            .resharing
            .dealings(record)
            .map_err(|error| error.to_string());
        let reported = reported.and_then(|messages| {
            let received = Received::collect(resharing, &me, messages).map_err(|error| error.to_string())?;
            let report = received
                .report(resharing, key)
                .map_err(|error| error.to_string())?;
            Ok((received, report))
        });
        match reported {
            Ok((received, report)) => {
                let packed = Round::pack(&report);
                self.broadcast(Body::Round(packed.clone()), out);
                self.rounds.resharing.reports.insert(report.sender(), packed);
                self.rounds.resharing.own = Own::Reported(Box::new(received));
            }
            Err(error) => self.give_up(&error, None, out),
        }
    }

    /// Without a seat: what follows from the reports, as soon as the commitments have come that they are about.
    fn observe(&mut self, resharing: &Resharing, out: &mut Outcome) -> Go {
        let commitments = self
            .rounds
            .resharing
            .commitments()
            .map_err(|error| error.to_string());
        let received = commitments
            .and_then(|messages| Received::observe(resharing, messages).map_err(|error| error.to_string()));
        match received.and_then(|received| Ok((self.reports()?, received))) {
            Ok((reports, received)) => match Agreement::reach(resharing, received, reports) {
                Err(ReshareError::Message(ProtocolError::Missing(_))) => {
                    self.rounds.resharing.own = Own::Waiting;
                    return Go::Wait;
                }
                reached => self.reached(reached, out),
            },
            Err(error) => self.give_up(&error, None, out),
        }
        Go::On
    }

    fn reports(&self) -> Result<Vec<SignedMessage>, String> {
        let reports = self.rounds.resharing.reports.values().map(Round::unpack);
        reports
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())
    }

    fn agree(&mut self, resharing: &Resharing, received: Received, out: &mut Outcome) {
        match self.reports() {
            Ok(reports) => self.reached(Agreement::reach(resharing, received, reports), out),
            Err(error) => self.give_up(&error, None, out),
        }
    }

    /// The new manifest, and this seat's share.
    fn reached(&mut self, reached: Result<Agreement, ReshareError>, out: &mut Outcome) {
        let mut agreement = match reached {
            Ok(agreement) => agreement,
            Err(error) => return self.reshare_failed(&error, out),
        };
        self.note_excluded(&agreement, out);
        let left = self.record.as_ref().and_then(|record| {
            let counted = agreement.dealers().iter();
            let mut counted = counted.filter_map(|dealer| record.plan.dealing(*dealer));
            counted.find(|dealer| record.rejections.contains(dealer))
        });
        if let (Some(left), Some(record)) = (left, &self.record) {
            let reason = format!("member {} has dealt and left", record.plan.name_of(&left));
            return self.give_up(&reason, None, out);
        }
        if let Some(record) = self.record.as_mut() {
            record.counted = agreement.dealers().to_vec();
            record.transcript = Some(*agreement.manifest().digest().as_bytes());
        }
        let manifest = agreement.manifest().clone();
        match agreement.take_share() {
            Some(share) => {
                if let Ok(confirmation) = agreement.confirm(self.identity.signing_key()) {
                    let packed = Round::pack(&confirmation);
                    self.broadcast(Body::Round(packed.clone()), out);
                    let confirmations = &mut self.rounds.resharing.confirmations;
                    confirmations.insert(confirmation.sender(), packed);
                }
                self.has_share(share, manifest, out);
            }
            None => drop(self.has_manifest(&manifest, out)),
        }
        if self.live().is_some() {
            self.rounds.resharing.own = Own::Agreed(Box::new(agreement));
        }
    }

    /// Whoever was to deal and does not count is named.
    fn note_excluded(&mut self, agreement: &Agreement, out: &mut Outcome) {
        let Some(record) = self.record.as_mut() else {
            return;
        };
        let Plan::Resharing(resharing) = &record.plan else {
            return;
        };
        let expected = record.expected.clone().unwrap_or_default();
        for (dealer, exclusion) in agreement.excluded() {
            let Some(who) = record.plan.dealing(*dealer) else {
                continue;
            };
            let (what, evidence) = match exclusion {
                Exclusion::NotReceived(_) if !expected.contains(dealer) => continue,
                Exclusion::NotReceived(seats) => {
                    let names = seats.iter().filter_map(|seat| resharing.seat(*seat));
                    let names: Vec<&str> = names.map(|seat| seat.name.as_str()).collect();
                    (format!("its dealing did not reach {}", names.join(", ")), None)
                }
                Exclusion::Cheated(proof) => {
                    let fault = proof.culprit(resharing).map(|culprit| culprit.fault.to_string());
                    (fault.unwrap_or_default(), of_resharing(proof))
                }
            };
            let words = format!("member {} does not count: {what}", record.plan.name_of(&who));
            tracing::warn!(ceremony = %record.plan.id(), words, "ceremony");
            out.journal.push((record.plan.id(), Step::Excluded, words));
            blame(&mut record.faults, Fault { who, what, evidence });
        }
    }

    /// Whether the seats' confirmations show that all have seen the same reports. After a restart that is not known, and
    /// all signatures on one manifest are enough.
    pub(super) fn reports_agree(&mut self, out: &mut Outcome) -> bool {
        let Own::Agreed(agreement) = &self.rounds.resharing.own else {
            return true;
        };
        let confirmations = &self.rounds.resharing.confirmations;
        if confirmations.len() < usize::from(agreement.manifest().threshold().n()) {
            return true;
        }
        let Ok(messages) = confirmations
            .values()
            .map(Round::unpack)
            .collect::<Result<Vec<_>, _>>()
        else {
            return true;
        };
        match agreement.conclude(messages) {
            Ok(_) => true,
            Err(error) => {
                self.reshare_failed(&error, out);
                false
            }
        }
    }

    /// A resharing did not hold: give up, and name whoever is to blame.
    fn reshare_failed(&mut self, error: &ReshareError, out: &mut Outcome) {
        let proof = match error {
            ReshareError::Cheated(evidence) => evidence.first().and_then(of_resharing),
            ReshareError::Message(ProtocolError::Equivocation(found)) => {
                let found = found.first().copied().map(Proof::Equivocation);
                found.as_ref().and_then(of_resharing)
            }
            ReshareError::TooFewDealers { excluded, .. } => excluded.values().find_map(|why| match why {
                Exclusion::Cheated(proof) => of_resharing(proof),
                Exclusion::NotReceived(_) => None,
            }),
            _ => None,
        };
        let culprit = error.culprits().first().copied().and_then(|culprit| {
            let plan = &self.record.as_ref()?.plan;
            match culprit {
                Accused::Dealer(index) => plan.dealing(index),
                Accused::Receiver(index) => plan.seated(index),
            }
        });
        self.give_up_over(&error.to_string(), culprit, proof, out);
    }
}
