//! The rounds of the key generation: what is in memory only, and how the machine goes on when a round is complete.

use super::evidence;
use super::machine::{Machine, Outcome};
use super::message::{Body, Evidence, Message, MessageError, Round};
use super::record::{Messages, Phase, Record};
use crate::journal::Step;
use rand_core::{CryptoRng, RngCore};
use std::collections::BTreeMap;
use threshold::committee::ParticipantIndex;
use threshold::dkg::{
    Agreement, Ceremony, DkgError, Equivocation, Kind, Round1, SignedMessage, part1, part2, part3, round1,
    round2,
};

/// The messages of one round, by seat.
type Received = BTreeMap<ParticipantIndex, SignedMessage>;

/// Where this node is within the rounds; the secrets are taken by value from one to the next.
#[derive(Default)]
enum Own {
    /// Nothing was sent.
    #[default]
    Idle,
    /// Round 1 was sent.
    Committed(round1::SecretPackage),
    /// The report of round 1 was sent.
    Reported(round1::SecretPackage, Box<Round1>),
    /// Round 2 was sent.
    Dealt(round2::SecretPackage, Box<Agreement>),
}

/// What is in memory only. Dropping it wipes the secrets.
#[derive(Default)]
pub(super) struct Rounds {
    own: Own,
    commitments: Received,
    reports: Received,
    shares: Received,
    /// Kept as evidence: [`Round1::collect`] consumes the messages.
    packed: BTreeMap<ParticipantIndex, Round>,
}

impl Rounds {
    pub(super) const fn has_dealt(&self) -> bool {
        matches!(self.own, Own::Dealt(..))
    }

    /// Whether the member's round-2 message has come.
    pub(super) fn has_share_of(&self, member: ParticipantIndex) -> bool {
        self.shares.contains_key(&member)
    }

    /// The members from whom the message that is waited for has come.
    pub(super) fn heard(&self) -> Vec<ParticipantIndex> {
        let received = match self.own {
            Own::Idle | Own::Committed(_) => &self.commitments,
            Own::Reported(..) => &self.reports,
            Own::Dealt(..) => &self.shares,
        };
        received.keys().copied().collect()
    }

    /// Takes a message in. The first of each kind stays; a different second one is evidence.
    pub(super) fn insert(
        &mut self,
        packed: &Round,
        ceremony: &Ceremony,
        sender: ParticipantIndex,
        me: ParticipantIndex,
    ) -> Result<Option<Evidence>, MessageError> {
        let message = packed.unpack()?;
        let due = match message.kind() {
            Kind::Round1 | Kind::Equality => message.recipient().is_none(),
            Kind::Round2 => message.recipient() == Some(me),
        };
        if message.sender() != sender || !due {
            return Err(MessageError::WrongSender);
        }
        message.verify(ceremony).map_err(|_| MessageError::BadSignature)?;
        let second = message.attestation();
        // Of a round that is over, the packed message is what is left to compare with.
        let kept = (message.kind() == Kind::Round1)
            .then(|| self.packed.get(&sender))
            .flatten();
        let earlier = match kept {
            Some(packed) => Some(packed.unpack()?.attestation()),
            None => self
                .round(message.kind())
                .get(&sender)
                .map(SignedMessage::attestation),
        };
        if let Some(first) = earlier {
            let (kind, recipient) = (message.kind(), message.recipient());
            let differ = first.payload_digest != second.payload_digest;
            let evidence = Equivocation {
                sender,
                recipient,
                kind,
                first,
                second,
            };
            return Ok(differ.then_some(Evidence::Equivocation(evidence)));
        }
        if message.kind() == Kind::Round1 {
            self.packed.insert(sender, packed.clone());
        }
        self.round(message.kind()).insert(sender, message);
        Ok(None)
    }

    const fn round(&mut self, kind: Kind) -> &mut Received {
        match kind {
            Kind::Round1 => &mut self.commitments,
            Kind::Equality => &mut self.reports,
            Kind::Round2 => &mut self.shares,
        }
    }

    /// What proves a fault that a round found, where a third party can check it.
    fn evidence(&self, error: &DkgError, shares: &BTreeMap<ParticipantIndex, Round>) -> Option<Evidence> {
        match error {
            DkgError::Equivocation(found) => found.first().copied().map(Evidence::Equivocation),
            DkgError::Share { culprit } => Some(Evidence::BadShare {
                commitments: self.packed.get(culprit)?.clone(),
                share: shares.get(culprit)?.clone(),
            }),
            _ => None,
        }
    }
}

/// Whether the machine can go on after a step.
enum Go {
    On,
    Wait,
}

impl Machine {
    /// Goes as far as the messages that have come allow.
    pub(super) fn advance(&mut self, rng: &mut (impl RngCore + CryptoRng), out: &mut Outcome) {
        while let Some(phase) = self.record.as_ref().map(|record| record.phase) {
            let go = match phase {
                Phase::Proposed => self.begin(rng, out),
                Phase::Running => self.run_round(out),
                Phase::Signed => self.collect_signatures(out),
                Phase::Canary | Phase::Aborted => self.collect_confirmations(out),
                Phase::Active => Go::Wait,
            };
            if matches!(go, Go::Wait) {
                return;
            }
        }
    }

    /// Everybody has joined: commit.
    fn begin(&mut self, rng: &mut (impl RngCore + CryptoRng), out: &mut Outcome) -> Go {
        let Some(record) = self
            .record
            .as_mut()
            .filter(|record| record.is_complete(&record.joins))
        else {
            return Go::Wait;
        };
        match part1(&record.ceremony, self.identity.signing_key(), rng) {
            Ok((secret, message)) => {
                record.phase = Phase::Running;
                out.persist = true;
                self.rounds.own = Own::Committed(secret);
                self.send_round(message, out);
            }
            Err(error) => self.fail(&error, None, out),
        }
        Go::On
    }

    fn run_round(&mut self, out: &mut Outcome) -> Go {
        let Some(ceremony) = self.record.as_ref().map(|record| record.ceremony.clone()) else {
            return Go::Wait;
        };
        let n = usize::from(ceremony.threshold().n());
        match std::mem::take(&mut self.rounds.own) {
            Own::Committed(secret) if self.rounds.commitments.len() == n => {
                self.report(&ceremony, secret, out)
            }
            Own::Reported(secret, round1) if self.rounds.reports.len() == n => {
                self.deal(&ceremony, secret, *round1, out);
            }
            Own::Dealt(secret, agreement) if self.rounds.shares.len() == n - 1 => {
                self.finish(secret, &agreement, out);
            }
            waiting => {
                self.rounds.own = waiting;
                return Go::Wait;
            }
        }
        Go::On
    }

    /// All commitments are there: say what they are.
    fn report(&mut self, ceremony: &Ceremony, secret: round1::SecretPackage, out: &mut Outcome) {
        let messages = std::mem::take(&mut self.rounds.commitments)
            .into_values()
            .collect();
        let collected = Round1::collect(ceremony, messages)
            .and_then(|round1| Ok((round1.report(ceremony, self.identity.signing_key())?, round1)));
        match collected {
            Ok((report, round1)) => {
                if let Some(record) = self.record.as_mut() {
                    record.transcript = Some(*round1.transcript());
                }
                self.rounds.own = Own::Reported(secret, Box::new(round1));
                self.send_round(report, out);
            }
            Err(error) => self.fail(&error, None, out),
        }
    }

    /// All members report the same: deal.
    fn deal(
        &mut self,
        ceremony: &Ceremony,
        secret: round1::SecretPackage,
        round1: Round1,
        out: &mut Outcome,
    ) {
        let reports = std::mem::take(&mut self.rounds.reports).into_values().collect();
        let dealt = Agreement::reach(ceremony, round1, reports).and_then(|agreement| {
            let (secret, shares) = part2(secret, &agreement, self.identity.signing_key())?;
            Ok((secret, shares, agreement))
        });
        match dealt {
            Ok((secret, shares, agreement)) => {
                self.rounds.own = Own::Dealt(secret, Box::new(agreement));
                for share in shares {
                    let receiver = share.recipient();
                    if let Some(message) = self.message_of(Body::Round(Round::pack(&share))) {
                        out.send.push((receiver, message));
                    }
                }
            }
            Err(error) => self.fail(&error, None, out),
        }
    }

    /// All shares are there: add them up, store, sign.
    fn finish(&mut self, secret: round2::SecretPackage, agreement: &Agreement, out: &mut Outcome) {
        let shares = std::mem::take(&mut self.rounds.shares);
        let packed = shares
            .iter()
            .map(|(dealer, message)| (*dealer, Round::pack(message)))
            .collect();
        let (share, manifest) = match part3(secret, agreement, shares.into_values().collect()) {
            Ok(done) => done,
            Err(error) => {
                let evidence = self.rounds.evidence(&error, &packed);
                return self.fail(&error, evidence, out);
            }
        };
        let Some(record) = self.record.as_mut() else {
            return;
        };
        if let Some(liar) = record
            .signs
            .values()
            .find(|message| !evidence::signs(message, &manifest))
        {
            let reason = format!("member {} signed another manifest", liar.sender);
            return self.give_up(&reason, None, out);
        }
        let id = record.ceremony.id();
        record.phase = Phase::Signed;
        record.manifest = Some(manifest.clone());
        let body = Body::Sign {
            manifest: manifest.digest(),
            signature: manifest.sign(self.identity.signing_key()),
        };
        let sent = self.broadcast(body, out);
        if let (Some(record), Some(message)) = (self.record.as_mut(), sent) {
            record.signs.insert(self.me, message);
        }
        self.rounds = Rounds::default();
        out.journal
            .push((id, Step::Signed, manifest.digest().to_string()));
        out.share = Some((share, manifest));
        out.persist = true;
    }

    /// All members have stored their shares and signed: try the key.
    fn collect_signatures(&mut self, out: &mut Outcome) -> Go {
        let Some(signed) = self.record.as_ref().and_then(Record::signed_manifest) else {
            return Go::Wait;
        };
        let Some(record) = self.record.as_mut() else {
            return Go::Wait;
        };
        record.phase = Phase::Canary;
        out.canary = Some(signed);
        out.persist = true;
        Go::On
    }

    /// All members have used the key, whatever was said before.
    fn collect_confirmations(&mut self, out: &mut Outcome) -> Go {
        let Some(record) = self.record.as_mut() else {
            return Go::Wait;
        };
        let Some(manifest) = record.confirmed_manifest() else {
            return Go::Wait;
        };
        if record.phase == Phase::Aborted {
            tracing::warn!(ceremony = %record.ceremony.id(), "all members have confirmed: the abort does not count");
            (record.reason, record.culprit, record.abort) = (String::new(), None, None);
        }
        record.phase = Phase::Active;
        let digest = manifest.manifest.digest().to_string();
        out.journal.push((record.ceremony.id(), Step::Active, digest));
        out.activate = Some(manifest);
        out.persist = true;
        let proof = record.proof_of_confirmations();
        self.set_has_key();
        // Whoever still waits, or believes in an abort, takes the key up.
        self.broadcast(proof, out);
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
                &format!("ceremony {} is done after all", doubt.ceremony.id()),
                None,
                out,
            );
        }
        out.displaced = self.record.replace(doubt);
        self.rounds = Rounds::default();
        self.advance(rng, out);
    }

    /// Keeps this node's own message beside the others', and sends it to all.
    fn send_round(&mut self, message: SignedMessage, out: &mut Outcome) {
        let packed = Round::pack(&message);
        self.broadcast(Body::Round(packed.clone()), out);
        if message.kind() == Kind::Round1 {
            self.rounds.packed.insert(self.me, packed);
        }
        self.rounds.round(message.kind()).insert(self.me, message);
    }

    /// A round did not hold: give up, and name whoever is to blame.
    fn fail(&mut self, error: &DkgError, evidence: Option<Evidence>, out: &mut Outcome) {
        let evidence = evidence.or_else(|| self.rounds.evidence(error, &BTreeMap::new()));
        let culprit = error.culprits().first().copied();
        self.give_up_over(&error.to_string(), culprit, evidence, out);
    }
}

/// Whose messages are missing from a complete set, for words about a deadline.
pub(super) fn silent(record: &Record, rounds: &Rounds) -> String {
    let heard: Vec<ParticipantIndex> = match record.phase {
        Phase::Proposed => keys(&record.joins),
        Phase::Running => rounds.heard(),
        Phase::Signed => keys(&record.signs),
        Phase::Canary | Phase::Active | Phase::Aborted => keys(&record.confirms),
    };
    let silent = record
        .ceremony
        .seats()
        .iter()
        .filter(|seat| !heard.contains(&seat.index));
    silent
        .map(|seat| format!("{} ({})", seat.name, seat.index))
        .collect::<Vec<_>>()
        .join(", ")
}

fn keys(messages: &Messages) -> Vec<ParticipantIndex> {
    messages
        .values()
        .map(|message: &Message| message.sender)
        .collect()
}
