//! The canary: before a new key is used, this node opens a wrapped key of its own with the others' shares.

use super::{DeliverError, Driver, DriverError, State};
use crate::ceremony::evidence;
use crate::ceremony::machine::{Machine, NotTaken, check_sender};
use crate::ceremony::message::{Body, CanaryShare, Evidence, Message, Nested};
use crate::ceremony::outbox::{Outbox, Pause};
use crate::ceremony::record::Phase;
use crate::journal::{Event, Step};
use crate::share::{Guard, ProvenCanary};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use rand_core::OsRng;
use std::collections::BTreeMap;
use std::sync::Arc;
use threshold::canary::Canary;
use threshold::committee::Member;
use threshold::encoding::Canonical;
use threshold::ids::CeremonyId;
use threshold::name::Name;
use threshold::reencrypt::{ReencryptionShare, VerifiedShare, verify_share};
use threshold::signature::PublicKey;
use threshold::wrap::WrappedKey;

/// Canaries of one ceremony that a member is answered: far more than what is lost on the way and after restarts needs. Each is a use
/// of the share, and an entry in the journal (C12).
const MAX_ANSWERED: u32 = 64;

/// Counts a canary of a member, if it is answered.
fn count(
    (counted, answered): &mut (Option<CeremonyId>, BTreeMap<PublicKey, u32>),
    id: CeremonyId,
    peer: PublicKey,
) -> bool {
    if *counted != Some(id) {
        (*counted, *answered) = (Some(id), BTreeMap::new());
    }
    let times = answered.entry(peer).or_default();
    let is_answered = *times < MAX_ANSWERED;
    *times += u32::from(is_answered);
    is_answered
}

impl Driver {
    /// Uses the new share for a member's canary, once all members have signed.
    pub(super) async fn answer_canary(
        &self,
        state: &mut State,
        peer: &PublicKey,
        message: Message,
    ) -> Result<Message, DeliverError> {
        let Body::Canary { wrapped, q } = self.opened(&state.machine, peer, message)? else {
            return Err(DeliverError::Canary("not a canary"));
        };
        let ready = state
            .machine
            .record()
            .filter(|record| record.phase == Phase::Canary && record.plan.seat_of(peer).is_some());
        let (Some(record), Some(guard)) = (ready, &state.candidate) else {
            return Err(NotTaken::Early.into());
        };
        let id = record.plan.id();
        if !count(&mut state.answered, id, *peer) {
            return Err(DeliverError::Canary(
                "this member was answered as often as one is",
            ));
        }
        let (manifest, write_id) = (guard.manifest().digest(), wrapped.write_id());
        let share = self.canary_share(id, guard, peer, *wrapped, q).await?;
        let share = CanaryShare {
            manifest,
            write_id,
            q,
            share,
        };
        let answer = state.machine.message_of(Body::CanaryShare(Box::new(share)));
        #[cfg(test)]
        let answer = answer.map(|answer| match &self.tamper {
            Some(tamper) => tamper(*peer, answer),
            None => answer,
        });
        answer.ok_or(DeliverError::NotTaken(NotTaken::Early))
    }

    fn opened(&self, machine: &Machine, peer: &PublicKey, message: Message) -> Result<Body, DeliverError> {
        let checked = check_sender(peer, &message);
        checked.map_err(NotTaken::from)?;
        let current = machine
            .record()
            .is_some_and(|record| record.plan.id() == message.ceremony);
        if current {
            Ok(message.body)
        } else {
            Err(NotTaken::Early.into())
        }
    }

    /// Recorded before it leaves, like every use of the share.
    async fn canary_share(
        &self,
        ceremony: CeremonyId,
        guard: &Guard,
        peer: &PublicKey,
        wrapped: WrappedKey,
        q: PublicKey,
    ) -> Result<ReencryptionShare, DeliverError> {
        let canary =
            ProvenCanary::prove(wrapped, q, &self.installation, ceremony).map_err(DeliverError::Canary)?;
        let event = Event::Ceremony {
            ceremony,
            step: Step::Canary,
            detail: format!("for member {peer}"),
        };
        let recorded = self
            .authority
            .journal
            .append(self.now(), event)
            .map_err(DriverError::from)?;
        let share = guard
            .reencrypt_canary(&canary, &mut OsRng)
            .map_err(DriverError::from)?;
        recorded.durable().await.map_err(DriverError::from)?;
        Ok(share)
    }

    /// Tries the new key with the others, and says whether it opens.
    pub(super) fn try_key(self: Arc<Self>, id: CeremonyId, guard: Arc<Guard>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut liars = Vec::new();
            let tried = self.canary(id, &guard, &mut liars).await;
            let mut state = self.state.lock().await;
            // From here on this task is carried out to its end.
            state.trying = None;
            let out = match tried {
                Ok(()) => state.machine.canary_opened(id, &mut OsRng),
                Err(error) => {
                    tracing::error!(ceremony = %id, %error, ?liars, "the new key does not work: it is not used");
                    let reason = failed_canary(&error, &liars);
                    let culprit = liars.first().map(|liar| liar.member);
                    let evidence = liars.into_iter().next().and_then(|liar| liar.evidence);
                    state.machine.canary_failed(id, &reason, culprit, evidence)
                }
            };
            // A failure has been reported, and stays.
            let _ = self.carry_out(&mut state, out).await;
        })
    }

    async fn canary(&self, id: CeremonyId, guard: &Guard, liars: &mut Vec<Liar>) -> Result<(), DeliverError> {
        let manifest = guard.manifest();
        let canary =
            Canary::release(manifest, &self.installation, id, &mut OsRng).map_err(DriverError::from)?;
        let context = canary.context(manifest).map_err(DriverError::from)?;
        let own = self
            .canary_share(id, guard, &self.me, canary.wrapped().clone(), canary.reader())
            .await?;
        let mut shares: Vec<VerifiedShare> = verify_share(&context, &own).into_iter().collect();
        let body = Body::Canary {
            wrapped: Box::new(canary.wrapped().clone()),
            q: canary.reader(),
        };
        let Some(message) = self.state.lock().await.machine.message_of(body) else {
            return Err(NotTaken::Early.into());
        };
        let members = manifest.members().iter();
        let mut answers: FuturesUnordered<_> = members
            .filter_map(|member| Some((member, self.outboxes.get(&member.identity)?)))
            .map(|(member, outbox)| ask_until_answered(member, outbox, &message))
            .collect();
        while shares.len() < usize::from(manifest.threshold().t()) {
            let Some((member, answer)) = answers.next().await else {
                break;
            };
            let answered = evidence::answers(&answer, manifest, canary.wrapped(), &canary.reader());
            if let Ok(Some(share)) = answered {
                shares.push(share);
                continue;
            }
            tracing::error!(member = %member.name, "a member's canary share does not verify");
            // Whoever answers something else than it was asked is named as well, but what it has signed does not show it.
            let evidence = answered.is_ok().then(|| Evidence::BadCanary {
                manifest: Box::new(manifest.clone()),
                wrapped: Box::new(canary.wrapped().clone()),
                q: canary.reader(),
                answer: Nested(answer.to_bytes()),
            });
            liars.push(Liar {
                member: member.identity,
                name: member.name.clone(),
                evidence,
            });
        }
        Ok(canary.check(manifest, &shares).map_err(DriverError::from)?)
    }
}

/// A member whose share for the canary is none.
#[derive(Debug)]
struct Liar {
    member: PublicKey,
    name: Name,
    evidence: Option<Evidence>,
}

fn failed_canary(error: &DeliverError, liars: &[Liar]) -> String {
    let liars: Vec<&str> = liars.iter().map(|liar| liar.name.as_str()).collect();
    if liars.is_empty() {
        format!("the new key does not work: {error}")
    } else {
        format!(
            "the new key does not work: {error}; the canary shares of these members do not verify: {}",
            liars.join(", ")
        )
    }
}

/// Asks until the member has all signatures too; it will, unless it is gone.
async fn ask_until_answered<'a>(
    member: &'a Member,
    outbox: &Outbox,
    message: &Message,
) -> (&'a Member, Message) {
    let mut pause = Pause::default();
    loop {
        if let Ok(Some(answer)) = outbox.ask(message).await
            && matches!(answer.body, Body::CanaryShare(_))
            && check_sender(&member.identity, &answer).is_ok()
        {
            return (member, answer);
        }
        pause.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ceremony::tests::simulation::who;

    #[test]
    fn c12_a_member_is_answered_so_many_canaries_of_a_ceremony() {
        let mut answered = (None, BTreeMap::new());
        let [first, second] = [1, 2].map(|number| CeremonyId([number; 32]));
        let times = (0..1000).filter(|_| count(&mut answered, first, who(1))).count();
        assert_eq!(times, usize::try_from(MAX_ANSWERED).unwrap());
        assert!(count(&mut answered, first, who(2)));
        assert!(count(&mut answered, second, who(1)));
    }
}
