//! The rounds of a key generation: what is in memory only, and how the machine goes on when a round is complete.

use super::Go;
use crate::ceremony::machine::{Machine, Outcome};
use crate::ceremony::message::{Body, Evidence, MessageError, Round};
use rand_core::{CryptoRng, RngCore};
use std::collections::BTreeMap;
use threshold::committee::ParticipantIndex;
use threshold::dkg::{
    Agreement, Ceremony, DkgError, Equivocation, Kind, Round1, SignedMessage, part1, part2, part3, round1,
    round2,
};
use threshold::signature::PublicKey;

/// The messages of one round, by seat.
type Received = BTreeMap<ParticipantIndex, SignedMessage>;

/// The same as bytes, kept as evidence: the rounds consume the messages.
type Packed = BTreeMap<ParticipantIndex, Round>;

fn pack(received: &Received) -> Packed {
    let packed = |(sender, message): (&ParticipantIndex, _)| (*sender, Round::pack(message));
    received.iter().map(packed).collect()
}

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
pub(in crate::ceremony) struct Generation {
    own: Own,
    commitments: Received,
    reports: Received,
    shares: Received,
    /// The commitments.
    packed: Packed,
}

impl Generation {
    pub(in crate::ceremony) const fn has_dealt(&self) -> bool {
        matches!(self.own, Own::Dealt(..))
    }

    /// Whether the member's round-2 message has come.
    pub(in crate::ceremony) fn has_share_of(&self, member: ParticipantIndex) -> bool {
        self.shares.contains_key(&member)
    }

    /// The members from whom the message that is waited for has come.
    pub(in crate::ceremony) fn heard(&self) -> Vec<ParticipantIndex> {
        let received = match self.own {
            Own::Idle | Own::Committed(_) => &self.commitments,
            Own::Reported(..) => &self.reports,
            Own::Dealt(..) => &self.shares,
        };
        received.keys().copied().collect()
    }

    /// Takes a message in. The first of each kind stays; a different second one is evidence.
    pub(in crate::ceremony) fn insert(
        &mut self,
        packed: &Round,
        ceremony: &Ceremony,
        sender: &PublicKey,
        me: &PublicKey,
    ) -> Result<Option<Evidence>, MessageError> {
        let index = |identity| ceremony.seat_of(identity).map(|seat| seat.index);
        let sender = index(sender).ok_or(MessageError::NoSeat)?;
        let message: SignedMessage = packed.unpack()?;
        let due = match message.kind() {
            Kind::Round1 | Kind::Equality => message.recipient().is_none(),
            Kind::Round2 => message.recipient() == index(me),
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
            Some(packed) => Some(packed.unpack::<Kind>()?.attestation()),
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

    /// What proves to a third party a fault that the messages of a round, to all or one, have shown.
    fn evidence(&self, error: &DkgError, kind: Kind, messages: &Packed) -> Option<Evidence> {
        if let DkgError::Equivocation(found) = error {
            return found.first().copied().map(Evidence::Equivocation);
        }
        let culprit = *error.culprits().first()?;
        let message = messages.get(&culprit)?.clone();
        Some(match kind {
            Kind::Round1 | Kind::Equality => Evidence::BadMessage(message),
            Kind::Round2 => Evidence::BadShare {
                commitments: self.packed.get(&culprit)?.clone(),
                share: message,
            },
        })
    }
}

impl Machine {
    /// Everybody has joined: commit.
    pub(super) fn commit(
        &mut self,
        ceremony: &Ceremony,
        rng: &mut (impl RngCore + CryptoRng),
        out: &mut Outcome,
    ) {
        match part1(ceremony, self.identity.signing_key(), rng) {
            Ok((secret, message)) => {
                self.rounds.generation.own = Own::Committed(secret);
                self.send_round(message, out);
            }
            Err(error) => self.give_up_over(&error.to_string(), None, None, out),
        }
    }

    pub(super) fn generate(&mut self, ceremony: &Ceremony, out: &mut Outcome) -> Go {
        let n = usize::from(ceremony.threshold().n());
        match std::mem::take(&mut self.rounds.generation.own) {
            Own::Committed(secret) if self.rounds.generation.commitments.len() == n => {
                self.report(ceremony, secret, out)
            }
            Own::Reported(secret, round1) if self.rounds.generation.reports.len() == n => {
                self.deal(ceremony, secret, *round1, out);
            }
            Own::Dealt(secret, agreement) if self.rounds.generation.shares.len() == n - 1 => {
                self.finish(secret, &agreement, out);
            }
            waiting => {
                self.rounds.generation.own = waiting;
                return Go::Wait;
            }
        }
        Go::On
    }

    /// All commitments are there: say what they are.
    fn report(&mut self, ceremony: &Ceremony, secret: round1::SecretPackage, out: &mut Outcome) {
        let messages = std::mem::take(&mut self.rounds.generation.commitments)
            .into_values()
            .collect();
        let collected = Round1::collect(ceremony, messages)
            .and_then(|round1| Ok((round1.report(ceremony, self.identity.signing_key())?, round1)));
        match collected {
            Ok((report, round1)) => {
                if let Some(record) = self.record.as_mut() {
                    record.transcript = Some(*round1.transcript());
                }
                self.rounds.generation.own = Own::Reported(secret, Box::new(round1));
                self.send_round(report, out);
            }
            Err(error) => {
                let packed = self.rounds.generation.packed.clone();
                self.fail(&error, Kind::Round1, &packed, out);
            }
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
        let reports = std::mem::take(&mut self.rounds.generation.reports);
        let packed = pack(&reports);
        let reports = reports.into_values().collect();
        let dealt = Agreement::reach(ceremony, round1, reports).and_then(|agreement| {
            let (secret, shares) = part2(secret, &agreement, self.identity.signing_key())?;
            Ok((secret, shares, agreement))
        });
        match dealt {
            Ok((secret, shares, agreement)) => {
                self.rounds.generation.own = Own::Dealt(secret, Box::new(agreement));
                for share in shares {
                    let seat = share.recipient().and_then(|index| ceremony.seat(index));
                    let message = self.message_of(Body::Round(Round::pack(&share)));
                    out.send.extend(seat.map(|seat| seat.identity).zip(message));
                }
            }
            Err(error) => self.fail(&error, Kind::Equality, &packed, out),
        }
    }

    /// All shares are there: add them up, store, sign.
    fn finish(&mut self, secret: round2::SecretPackage, agreement: &Agreement, out: &mut Outcome) {
        let shares = std::mem::take(&mut self.rounds.generation.shares);
        let packed = pack(&shares);
        match part3(secret, agreement, shares.into_values().collect()) {
            Ok((share, manifest)) => self.has_share(share, manifest, out),
            Err(error) => self.fail(&error, Kind::Round2, &packed, out),
        }
    }

    /// Keeps this node's own message beside the others', and sends it to all.
    fn send_round(&mut self, message: SignedMessage, out: &mut Outcome) {
        let packed = Round::pack(&message);
        self.broadcast(Body::Round(packed.clone()), out);
        if message.kind() == Kind::Round1 {
            self.rounds.generation.packed.insert(message.sender(), packed);
        }
        self.rounds
            .generation
            .round(message.kind())
            .insert(message.sender(), message);
    }

    /// A round, of which these are the messages, did not hold: give up, and name whoever is to blame.
    fn fail(&mut self, error: &DkgError, kind: Kind, messages: &Packed, out: &mut Outcome) {
        let evidence = self.rounds.generation.evidence(error, kind, messages);
        let culprit = error.culprits().first().and_then(|seat| self.seated(*seat));
        self.give_up_over(&error.to_string(), culprit, evidence, out);
    }
}
