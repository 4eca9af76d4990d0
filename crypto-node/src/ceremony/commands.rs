//! What an operator commands: propose, consent, begin, give up, and let the old epoch go.

use super::machine::{Machine, Outcome};
use super::message::{Body, Message};
use super::plan::Plan;
use super::record::{Phase, Record};
use super::rounds::silent;
use crate::journal::Step;
use rand_core::{CryptoRng, RngCore};
use threshold::committee::{CommitteeError, CommitteeManifest, ParticipantIndex, Threshold};
use threshold::dkg::{Ceremony, Seat};
use threshold::ids::{CeremonyId, KeyId};
use threshold::name::Name;
use threshold::repair::Repair;
use threshold::reshare::Resharing;

/// Why a command of the operator was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The node has a key in use.
    #[error("this node already holds a share of a key in use; re-sharing is another ceremony")]
    HasKey,
    /// The node has no key to hand over.
    #[error("this node holds no share of a key in use; ask a member whose node has one to propose this")]
    NoKey,
    /// The operator must say which key is meant.
    #[error(
        "ceremony {0} is about key {1}, which this node does not hold: ask the members for their key's id by another way, and join \
         with it"
    )]
    OtherKey(CeremonyId, KeyId),
    /// Who is to take part is not known.
    #[error("{0} is none of the members in this node's configuration")]
    UnknownMember(Name),
    /// Two epochs that nobody can read with would follow one another.
    #[error("epoch {0} is not read with yet: publish it and read first, then reshare again")]
    Unpublished(u32),
    /// Whoever proposes takes part.
    #[error("this node has no part in what it is to propose: ask a member that has one")]
    NotAParty,
    /// Only the proposer begins a ceremony.
    #[error("ceremony {0} was proposed by another member: its operator begins it")]
    NotProposer(CeremonyId),
    /// It has begun.
    #[error("ceremony {0} has begun: `status` shows how far it is, and `abort` gives it up")]
    Begun(CeremonyId),
    /// Too few can deal.
    #[error(
        "{found} of the {needed} members have consented that are needed to deal: ask the operators of others to join, then begin \
         again"
    )]
    TooFewDealers {
        /// Needed.
        needed: usize,
        /// There.
        found: usize,
    },
    /// Another ceremony is under way.
    #[error("ceremony {0} is under way; join it, or abort it first")]
    Busy(CeremonyId),
    /// No share of this epoch is kept beside the one in use.
    #[error("no share of epoch {0} is kept here; `status` shows which epoch is still served")]
    NotServed(u32),
    /// The new epoch could not be read with.
    #[error("{found} of the {needed} seats say that they have the new epoch that are needed to read with it")]
    TooFewSeats {
        /// Needed.
        needed: usize,
        /// There.
        found: usize,
    },
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

/// What an operator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A new key for these members, or for all that are configured.
    Generate {
        /// How many are to be needed.
        threshold: u16,
        /// Their names, in the order of their seats.
        members: Vec<Name>,
    },
    /// The next epoch of the key in use, for these members, or for the same.
    Reshare {
        /// How many are to be needed; as many as now when 0.
        threshold: u16,
        /// Their names, in the order of their seats.
        members: Vec<Name>,
    },
    /// The share of a member that has lost it.
    Repair {
        /// Which member.
        lost: Name,
        /// Who helps: exactly t; this node and the first others when empty.
        helpers: Vec<Name>,
    },
}

impl Machine {
    /// The operator proposes a ceremony, and thereby consents to it.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn propose(
        &mut self,
        wish: &Wish,
        now_ms: u64,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<(CeremonyId, Outcome), CommandError> {
        self.now_ms = now_ms;
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let plan = self.plan(wish, nonce)?;
        plan.party(&self.me).ok_or(CommandError::NotAParty)?;
        if let Some(live) = self.live().filter(|_| self.is_bound()) {
            return Err(CommandError::Busy(live));
        }
        let id = plan.id();
        let deadline_ms = now_ms.saturating_add(self.window_ms);
        let mut out = Outcome::default();
        self.adopt(Record::new(plan.clone(), self.me, deadline_ms), &mut out);
        let plan = Box::new(plan);
        self.broadcast(Body::Propose { plan, deadline_ms }, &mut out);
        self.join(id, None, rng, &mut out)?;
        Ok((id, out))
    }

    /// The next resharing would make the node forget the share of the epoch that the chain still names.
    fn is_published(&self) -> Result<(), CommandError> {
        let unread = |active: &&Record| matches!(active.plan, Plan::Resharing(_)) && !active.used;
        let manifest = self
            .active
            .as_ref()
            .filter(unread)
            .and_then(|active| active.manifest.as_ref());
        manifest.map_or(Ok(()), |manifest| {
            Err(CommandError::Unpublished(manifest.epoch()))
        })
    }

    fn plan(&self, wish: &Wish, nonce: [u8; 32]) -> Result<Plan, CommandError> {
        let seats = |error: &dyn core::fmt::Display| CommandError::Seats(error.to_string());
        match wish {
            Wish::Generate { threshold, members } => {
                if self.key.is_some() {
                    return Err(CommandError::HasKey);
                }
                let members = self.seats_of(members, || self.nodes.clone())?;
                let ceremony = Ceremony::new(nonce, threshold_of(*threshold, members.len())?, members);
                ceremony.map(Plan::Generation).map_err(|error| seats(&error))
            }
            Wish::Reshare { threshold, members } => {
                let key = self.key.as_ref().ok_or(CommandError::NoKey)?;
                self.is_published()?;
                let members = self.seats_of(members, || self.present_seats(key.manifest()))?;
                let t = match threshold {
                    0 => key.manifest().threshold().t(),
                    t => *t,
                };
                let threshold = threshold_of(t, members.len())?;
                let resharing = Resharing::new(nonce, key.signed_manifest().clone(), threshold, members);
                resharing
                    .map(|resharing| Plan::Resharing(Box::new(resharing)))
                    .map_err(|error| seats(&error))
            }
            Wish::Repair { lost, helpers } => {
                let key = self.key.as_ref().ok_or(CommandError::NoKey)?;
                let manifest = key.manifest();
                let find = |name: &Name| {
                    let member = manifest.members().iter().find(|member| member.name == *name);
                    member
                        .map(|member| member.index)
                        .ok_or_else(|| CommandError::UnknownMember(name.clone()))
                };
                let lost = find(lost)?;
                let mut indices = helpers.iter().map(find).collect::<Result<Vec<_>, _>>()?;
                if indices.is_empty() {
                    let others = manifest.threshold().indices();
                    let others = others.filter(|index| ![lost, key.index()].contains(index));
                    indices = std::iter::once(key.index()).chain(others).collect();
                    indices.truncate(manifest.threshold().t().into());
                }
                indices.sort_unstable();
                let repair = Repair::new(nonce, key.signed_manifest().clone(), lost, indices);
                repair
                    .map(|repair| Plan::Repair(Box::new(repair)))
                    .map_err(|error| seats(&error))
            }
        }
    }

    /// The seats of nodes that this one knows, numbered in the order of their names here.
    fn seats_of(&self, names: &[Name], default: impl Fn() -> Vec<Seat>) -> Result<Vec<Seat>, CommandError> {
        if names.is_empty() {
            return Ok(default());
        }
        let mut seats = Vec::new();
        for (name, place) in names.iter().zip(1_u32..) {
            let node = self.nodes.iter().find(|node| node.name == *name);
            let node = node.ok_or_else(|| CommandError::UnknownMember(name.clone()))?;
            let index = ParticipantIndex::try_from(place)?;
            seats.push(Seat {
                index,
                ..node.clone()
            });
        }
        Ok(seats)
    }

    /// The members of a manifest, where this node knows them to be reached now.
    fn present_seats(&self, manifest: &CommitteeManifest) -> Vec<Seat> {
        let members = manifest.members().iter();
        let seat = |member: &threshold::committee::Member| {
            let known = self.nodes.iter().find(|node| node.identity == member.identity);
            Seat {
                index: member.index,
                name: known.map_or_else(|| member.name.clone(), |node| node.name.clone()),
                identity: member.identity,
                address: known.map_or_else(|| member.address.clone(), |node| node.address.clone()),
            }
        };
        members.map(seat).collect()
    }

    /// The operator consents. Consenting twice is no error. A node without a share does not know which key is meant, so
    /// its operator says which.
    ///
    /// # Errors
    /// [`CommandError::Unknown`] unless this ceremony is the newest and not over; [`CommandError::OtherKey`].
    pub fn join(
        &mut self,
        id: CeremonyId,
        key: Option<KeyId>,
        rng: &mut (impl RngCore + CryptoRng),
        out: &mut Outcome,
    ) -> Result<(), CommandError> {
        let me = self.me;
        if let Some(live) = self.live().filter(|live| *live != id && self.is_bound()) {
            return Err(CommandError::Busy(live));
        }
        self.bring_forward(id, out);
        let record = self.record.as_ref().filter(|record| record.plan.id() == id);
        match record.map(|record| (record.phase, record.joins.contains_key(&me))) {
            None | Some((Phase::Aborted, _)) => return Err(CommandError::Unknown(id)),
            Some((Phase::Proposed, false)) => {}
            Some(_) => return Ok(()),
        }
        if self
            .record
            .as_ref()
            .is_some_and(|record| matches!(record.plan, Plan::Resharing(_)))
        {
            self.is_published()?;
        }
        let start = self.record.as_ref().and_then(|record| record.plan.starts_from());
        if let Some(manifest) = start.map(|signed| &signed.manifest) {
            let known = self.key.as_ref().map(|guard| guard.manifest().key_id()).or(key);
            if known != Some(manifest.key_id()) {
                return Err(CommandError::OtherKey(id, manifest.key_id()));
            }
        }
        let deals = self.can_deal();
        let message = self.broadcast(Body::Join { deals }, out);
        if let (Some(record), Some(message)) = (self.record.as_mut(), message) {
            record.joins.insert(me, message);
        }
        self.proposals
            .values_mut()
            .for_each(|proposals| proposals.retain(|(_, proposed)| *proposed != id));
        out.journal.push((id, Step::Joined, String::new()));
        out.persist = true;
        self.advance(rng, out);
        Ok(())
    }

    /// Whether this node has the share that the newest ceremony wants it to deal.
    fn can_deal(&self) -> bool {
        let Some(record) = &self.record else { return false };
        let start = record.plan.starts_from().map(|signed| signed.manifest.digest());
        let own = self.key.as_ref().map(|guard| guard.manifest().digest());
        start.is_some() && start == own && record.plan.dealer_of(&self.me).is_some()
    }

    /// The operator that proposed a resharing begins it, without waiting for old members that have not consented, and
    /// without those named.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn execute(
        &mut self,
        id: CeremonyId,
        without: &[Name],
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Outcome, CommandError> {
        let me = self.me;
        let newest = self.record.as_ref().filter(|record| record.plan.id() == id);
        let record = newest.ok_or(CommandError::Unknown(id))?;
        match record.phase {
            Phase::Aborted => return Err(CommandError::Unknown(id)),
            Phase::Proposed if record.expected.is_none() => {}
            _ => return Err(CommandError::Begun(id)),
        }
        if record.proposer != me {
            return Err(CommandError::NotProposer(id));
        }
        let deals = |message: &Message| matches!(message.body, Body::Join { deals: true });
        let parties = record.plan.parties().into_iter();
        let willing = parties.filter(|party| {
            record.joins.get(&party.identity).is_some_and(deals) && !without.contains(&party.name)
        });
        let mut dealers: Vec<ParticipantIndex> = willing.filter_map(|party| party.dealer).collect();
        dealers.sort_unstable();
        let (needed, found) = (record.plan.dealers_needed(), dealers.len());
        if found < needed {
            return Err(CommandError::TooFewDealers { needed, found });
        }
        let mut out = Outcome::default();
        if let Some(record) = self.record.as_mut() {
            record.expected = Some(dealers.clone());
        }
        out.persist = true;
        self.broadcast(Body::Execute { dealers }, &mut out);
        self.advance(rng, &mut out);
        Ok(out)
    }

    /// The operator gives a ceremony up. After this node has confirmed, that binds nobody else, and all confirmations
    /// together still count more: it is for when a member never answers again.
    ///
    /// # Errors
    /// [`CommandError::Unknown`], or [`CommandError::Done`] when the key is in use.
    pub fn abort(&mut self, id: CeremonyId) -> Result<Outcome, CommandError> {
        let record = self.record.as_ref().filter(|record| record.plan.id() == id);
        let phase = record.map(|record| record.phase);
        // All whose confirmation counts have given it: it was done before this node heard of it.
        let is_done = record.is_some_and(|record| record.confirmed_manifest().is_some());
        let mut out = Outcome::default();
        if let Some(mut waiting) = self.waiting.remove(&id) {
            let reason = "this member's operator aborted".to_owned();
            let refusal = self.abort_of(id, reason.clone());
            self.to_all_of(&waiting, &refusal, &mut out);
            (waiting.phase, waiting.reason, waiting.abort) = (Phase::Aborted, reason, Some(refusal));
            out.others.push(waiting);
            out.persist = true;
            return Ok(out);
        }
        match phase {
            None | Some(Phase::Aborted) => Err(CommandError::Unknown(id)),
            Some(Phase::Active) => Err(CommandError::Done(id)),
            Some(_) if is_done => Err(CommandError::Done(id)),
            Some(_) if self.has_confirmed() => {
                self.stop_waiting(&mut out);
                self.turn_to_the_next(&mut out);
                Ok(out)
            }
            Some(_) => {
                self.give_up("this member's operator aborted", None, &mut out);
                self.turn_to_the_next(&mut out);
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

    /// The operator no longer waits for seats that do not say that they have the new epoch: the share of the epoch before,
    /// which must be this one, is destroyed. What is at stake is that epoch alone; so this is refused unless the new one is
    /// read with, and enough seats say that they have it to go on reading.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn retire(&mut self, epoch: u32) -> Result<Outcome, CommandError> {
        let active = self.active.as_ref().filter(|active| {
            let before = active.plan.starts_from();
            self.serves_old && before.is_some_and(|before| before.manifest.epoch() == epoch)
        });
        let active = active.ok_or(CommandError::NotServed(epoch))?;
        self.is_published()?;
        let threshold = active.plan.threshold();
        let (found, needed) = (active.seats_in_use().0, usize::from(threshold.t()));
        if found < needed {
            return Err(CommandError::TooFewSeats { needed, found });
        }
        let words = format!(
            "by the operator, when {found} of {} seats had the new epoch",
            threshold.n()
        );
        let mut out = Outcome::default();
        out.journal.push((active.plan.id(), Step::Retired, words));
        out.retire = true;
        self.serves_old = false;
        Ok(out)
    }
}

fn threshold_of(t: u16, n: usize) -> Result<Threshold, CommitteeError> {
    Threshold::new(t, u16::try_from(n).unwrap_or(u16::MAX))
}
