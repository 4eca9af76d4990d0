//! Carries out what the machine decides: stores, records, sends, tries the key, puts it in use.
//!
//! One input at a time, each carried out completely before the next, in the order that [`Outcome`] gives. A step that
//! fails stops the node's part in ceremonies until it is restarted: what it has promised is on disk, and
//! nothing was said that is not.

mod canary;
#[cfg(test)]
pub(crate) mod crash;

use super::commands::{CommandError, Wish};
use super::machine::{Machine, NotTaken, Outcome};
use super::message::{Body, Message, MessageError};
use super::outbox::Outbox;
use super::plan::Plan;
use super::record::{Phase, Record};
use super::report::Report;
use crate::authorise::Authority;
use crate::journal::{Event, JournalError, Step};
use crate::share::{Guard, GuardError, ShareFiles};
use crate::store::{Before, Change, Store, StoreError};
use futures::FutureExt;
use futures::future::{AbortHandle, BoxFuture, abortable};
use rand_core::OsRng;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use threshold::canary::CanaryError;
use threshold::committee::SignedManifest;
use threshold::encoding::Canonical;
use threshold::ids::{CeremonyId, KeyId};
use threshold::name::Name;
use threshold::secret::KeyShare;
use threshold::signature::PublicKey;
use tokio::sync::{Mutex, MutexGuard, mpsc};

/// Why the driver could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The ceremony store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The share could not be stored or loaded.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The canary did not open.
    #[error("the canary did not come back: {0}")]
    Canary(#[from] CanaryError),
    /// A task of the runtime failed.
    #[error("internal: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// A step failed before.
    #[error("a step of a ceremony failed on this node; see its log, then restart it")]
    Failed,
}

/// Why a message was not taken, or not carried out.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The machine refused it.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// The canary is not one.
    #[error("canary refused: {0}")]
    Canary(&'static str),
    /// This node could not carry it out.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The machine refused it.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// This node could not carry it out.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// Changes a message before it is sent: how a test makes a member malicious.
#[cfg(test)]
pub(crate) type Tamper = Arc<dyn Fn(PublicKey, Message) -> Message + Send + Sync>;

/// What the driver works with.
pub(crate) struct Parts {
    pub(crate) machine: Machine,
    pub(crate) me: PublicKey,
    pub(crate) installation: Name,
    pub(crate) authority: Arc<Authority>,
    pub(crate) store: Arc<Store>,
    pub(crate) shares: ShareFiles,
    pub(crate) channels: Vec<(PublicKey, tonic::transport::Channel)>,
    /// Where tasks go that run beside; whoever owns the other end ends them.
    pub(crate) tasks: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
    #[cfg(test)]
    pub(crate) tamper: Option<Tamper>,
    #[cfg(test)]
    pub(crate) crash: Option<Arc<crash::Crash>>,
}

/// The driver of one node.
pub struct Driver {
    me: PublicKey,
    installation: Name,
    authority: Arc<Authority>,
    store: Arc<Store>,
    shares: ShareFiles,
    outboxes: BTreeMap<PublicKey, Arc<Outbox>>,
    tasks: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
    state: Mutex<State>,
    failed: AtomicBool,
    #[cfg(test)]
    tamper: Option<Tamper>,
    #[cfg(test)]
    crash: Option<Arc<crash::Crash>>,
}

struct State {
    machine: Machine,
    /// The new share, from when it is stored until all members have signed.
    fresh: Option<(CeremonyId, KeyShare)>,
    /// The new share with its signed manifest, until it is in use.
    candidate: Option<Arc<Guard>>,
    /// The task that tries the key.
    trying: Option<AbortHandle>,
    /// How often each member was answered a canary of this ceremony.
    answered: (Option<CeremonyId>, BTreeMap<PublicKey, u32>),
}

impl State {
    fn stop_trying(&mut self) {
        if let Some(task) = self.trying.take() {
            task.abort();
        }
    }
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let outboxes = parts
            .channels
            .into_iter()
            .map(|(member, channel)| (member, Arc::new(Outbox::new(member, channel))))
            .collect();
        Arc::new(Self {
            me: parts.me,
            installation: parts.installation,
            authority: parts.authority,
            store: parts.store,
            shares: parts.shares,
            outboxes,
            tasks: parts.tasks,
            state: Mutex::new(State {
                machine: parts.machine,
                fresh: None,
                candidate: None,
                trying: None,
                answered: (None, BTreeMap::new()),
            }),
            failed: AtomicBool::new(false),
            #[cfg(test)]
            tamper: parts.tamper,
            #[cfg(test)]
            crash: parts.crash,
        })
    }

    /// Starts the deliveries, and resumes or gives up what was under way when the node stopped.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn start(self: &Arc<Self>) -> Result<(), DriverError> {
        for outbox in self.outboxes.values() {
            let (driver, outbox) = (Arc::clone(self), Arc::clone(outbox));
            self.spawn(async move { driver.deliver_forever(&outbox).await });
        }
        let mut state = self.state.lock().await;
        self.take_up_candidate(&mut state).await?;
        let out = state.machine.resume(self.now());
        self.carry_out(&mut state, out).await?;
        Ok(())
    }

    /// A node that has confirmed still answers the canaries of those that have not: they need its share.
    async fn take_up_candidate(&self, state: &mut State) -> Result<(), DriverError> {
        let record = state.machine.record();
        let waiting = record
            .filter(|record| record.phase == Phase::Canary && record.plan.seat_of(&self.me).is_some())
            .and_then(|record| Some((record.plan.id(), record.signed_manifest()?)));
        if let Some((id, signed)) = waiting {
            let _ = self.candidate(state, id, signed).await?;
        }
        Ok(())
    }

    /// Whether the node takes part in ceremonies.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.failed.load(Ordering::Acquire)
    }

    /// The operator proposes a ceremony.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn propose(self: &Arc<Self>, wish: &Wish) -> Result<CeremonyId, OperatorError> {
        let mut state = self.locked().await?;
        let (id, out) = state.machine.propose(wish, self.now(), &mut OsRng)?;
        self.carry_out(&mut state, out).await?;
        Ok(id)
    }

    /// The operator consents, and says about which key if the node does not know it.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn join(self: &Arc<Self>, id: CeremonyId, key: Option<KeyId>) -> Result<(), OperatorError> {
        let mut state = self.locked().await?;
        let mut out = Outcome::default();
        state.machine.join(id, key, &mut OsRng, &mut out)?;
        self.carry_out(&mut state, out).await?;
        Ok(())
    }

    /// The operator begins a resharing that this node has proposed.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn execute(self: &Arc<Self>, id: CeremonyId, without: &[Name]) -> Result<(), OperatorError> {
        let mut state = self.locked().await?;
        let out = state.machine.execute(id, without, &mut OsRng)?;
        self.carry_out(&mut state, out).await?;
        Ok(())
    }

    /// The operator gives up.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn abort(self: &Arc<Self>, id: CeremonyId) -> Result<(), OperatorError> {
        let mut state = self.locked().await?;
        let out = state.machine.abort(id)?;
        self.carry_out(&mut state, out).await?;
        Ok(())
    }

    /// The operator has the share of the epoch before destroyed, whatever seats do not say.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn retire_epoch(self: &Arc<Self>, epoch: u32) -> Result<(), OperatorError> {
        let mut state = self.locked().await?;
        let out = state.machine.retire(epoch)?;
        self.carry_out(&mut state, out).await?;
        Ok(())
    }

    /// Time has passed.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn tick(self: &Arc<Self>) -> Result<(), DriverError> {
        let mut state = self.locked().await?;
        let out = state.machine.tick(self.now());
        self.carry_out(&mut state, out).await?;
        if self.authority.has_used_new_epoch() {
            let out = state.machine.used_new_epoch();
            self.carry_out(&mut state, out).await?;
        }
        Ok(())
    }

    /// A message of a member, over its connection.
    ///
    /// # Errors
    /// [`DeliverError`].
    pub async fn deliver(
        self: &Arc<Self>,
        peer: &PublicKey,
        message: Message,
    ) -> Result<Option<Message>, DeliverError> {
        let mut state = self.locked().await?;
        if matches!(message.body, Body::Canary { .. }) {
            return self.answer_canary(&mut state, peer, message).await.map(Some);
        }
        let out = state.machine.message(peer, message, self.now(), &mut OsRng)?;
        Ok(self.carry_out(&mut state, out).await?)
    }

    /// How the newest ceremony that is over ended: the one whose result is in use, unless a newer one was given up.
    pub async fn report(&self) -> Option<Report> {
        let now_ms = self.now();
        self.inspect(|machine| machine.report_of_the_end(now_ms)).await
    }

    /// Looks at the newest ceremony.
    pub async fn inspect<T>(&self, look: impl FnOnce(&Machine) -> T) -> T {
        look(&self.state.lock().await.machine)
    }

    async fn locked(&self) -> Result<MutexGuard<'_, State>, DriverError> {
        let state = self.state.lock().await;
        if self.is_healthy() {
            Ok(state)
        } else {
            Err(DriverError::Failed)
        }
    }

    async fn carry_out(
        self: &Arc<Self>,
        state: &mut State,
        out: Outcome,
    ) -> Result<Option<Message>, DriverError> {
        let done = self.carry_out_in_order(state, out).await;
        if let Err(error) = &done {
            self.failed.store(true, Ordering::Release);
            tracing::error!(%error, "a ceremony step failed: this node takes no further part until it is restarted");
        }
        let phase = state.machine.status_phase();
        self.authority
            .metrics
            .ceremony(phase.into(), self.authority.key().is_some());
        done
    }

    async fn carry_out_in_order(
        self: &Arc<Self>,
        state: &mut State,
        out: Outcome,
    ) -> Result<Option<Message>, DriverError> {
        if let Some((ceremony, by)) = out.refused {
            let store = Arc::clone(&self.store);
            tokio::task::spawn_blocking(move || store.refuse(ceremony, &by)).await??;
            self.crash_point().await;
        }
        let Some(record) = state.machine.record() else {
            for (to, message) in out.send {
                self.send(&to, message);
            }
            return Ok(out.answer);
        };
        let id = record.plan.id();
        let before = before(&record.plan);
        let hands_over = matches!(record.plan, Plan::Resharing(_));
        let change = self.change(&state.machine, record, &out.others);
        if record.phase == Phase::Aborted {
            (state.fresh, state.candidate) = (None, None);
        }
        if !state.machine.tries_key_of(id) {
            // Given up: whatever still asks for canary shares ends.
            state.stop_trying();
        }
        if let Some((share, manifest)) = out.share {
            let files = self.shares.clone();
            let share =
                tokio::task::spawn_blocking(move || files.save(id, &share, &manifest).map(|()| share));
            state.fresh = Some((id, share.await??));
            self.crash_point().await;
        }
        if !out.journal.is_empty() {
            self.record_steps(out.journal).await?;
            self.crash_point().await;
        }
        if out.persist {
            let store = Arc::clone(&self.store);
            tokio::task::spawn_blocking(move || store.apply(&change)).await??;
            self.crash_point().await;
        }
        if let Some(signed) = out.canary {
            let guard = self.candidate(state, id, signed).await?;
            let (task, stop) = abortable(Arc::clone(self).try_key(id, guard));
            state.stop_trying();
            state.trying = Some(stop);
            self.spawn(task.map(drop));
        }
        if let Some(signed) = out.activate {
            self.activate(state, id, signed, before).await?;
            // A first key, or a share in the place of what this node had.
            if !hands_over {
                self.destroy_others(&kept(&state.machine)).await?;
                self.crash_point().await;
            }
        }
        if out.retire {
            self.retire(state).await?;
        }
        for (to, message) in out.send {
            self.send(&to, message);
        }
        Ok(out.answer)
    }

    /// What of an outcome goes into the store, with the newest record.
    fn change(&self, machine: &Machine, newest: &Record, others: &[Record]) -> Change {
        let (past, kept): (Vec<_>, Vec<_>) = others.iter().partition(|record| record.is_past(&self.me));
        let in_use = newest.phase == Phase::Active && newest.changes_key_of(&self.me);
        Change {
            ceremony: newest.plan.id(),
            record: newest.to_bytes(),
            others: kept
                .into_iter()
                .map(|record| (record.plan.id(), record.to_bytes()))
                .collect(),
            past: past.into_iter().map(|record| record.plan.id()).collect(),
            doubt: machine.doubt().map(|record| record.plan.id()),
            active: in_use.then(|| before(&newest.plan)),
        }
    }

    /// Puts the new share in use beside the one of the epoch before, which serves until the new one is used. A node
    /// that has no seat any more only has the old one.
    async fn activate(
        &self,
        state: &mut State,
        id: CeremonyId,
        signed: SignedManifest,
        before: Before,
    ) -> Result<(), DriverError> {
        let guard = match signed.manifest.member_by_identity(&self.me) {
            Some(_) => Some(self.candidate(state, id, signed).await?),
            None => None,
        };
        self.authority.hand_over(guard.clone(), before == Before::Serves);
        state.machine.use_key(guard);
        state.candidate = None;
        tracing::info!(ceremony = %id, "the new key, or its new epoch, is in use");
        Ok(())
    }

    /// Until enough seats have a new epoch, no other share is destroyed: what a member has confirmed and given up may yet
    /// turn out to be what the others have.
    async fn destroy_others(&self, kept: &[CeremonyId]) -> Result<(), DriverError> {
        let (files, kept) = (self.shares.clone(), kept.to_vec());
        Ok(tokio::task::spawn_blocking(move || files.keep_only(&kept)).await??)
    }

    /// Destroys the share of the epoch before: first where it serves, then on the disk.
    async fn retire(&self, state: &State) -> Result<(), DriverError> {
        self.authority.retire();
        self.destroy_others(&kept(&state.machine)).await?;
        self.crash_point().await;
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || store.retire()).await??;
        self.crash_point().await;
        Ok(())
    }

    /// Where a test may stop this node for good; nothing outside tests.
    #[cfg(test)]
    async fn crash_point(&self) {
        if let Some(crash) = &self.crash {
            crash.point().await;
        }
    }

    /// Where a test may stop this node for good; nothing outside tests.
    #[cfg(not(test))]
    fn crash_point(&self) -> std::future::Ready<()> {
        std::future::ready(())
    }

    async fn record_steps(&self, steps: Vec<(CeremonyId, Step, String)>) -> Result<(), DriverError> {
        let mut last = None;
        for (ceremony, step, detail) in steps {
            tracing::info!(%ceremony, ?step, detail, "ceremony");
            last = Some(self.authority.journal.append(
                self.now(),
                Event::Ceremony {
                    ceremony,
                    step,
                    detail,
                },
            )?);
        }
        if let Some(ticket) = last {
            ticket.durable().await?;
        }
        Ok(())
    }

    /// The new share with its signed manifest: from memory, or from the disk after a restart.
    async fn candidate(
        &self,
        state: &mut State,
        id: CeremonyId,
        signed: SignedManifest,
    ) -> Result<Arc<Guard>, DriverError> {
        if let Some(guard) = state
            .candidate
            .as_ref()
            .filter(|guard| *guard.signed_manifest() == signed)
        {
            return Ok(Arc::clone(guard));
        }
        let share = match state.fresh.take().filter(|(fresh, _)| *fresh == id) {
            Some((_, share)) => share,
            None => {
                let (files, manifest, me) = (self.shares.clone(), signed.manifest.clone(), self.me);
                tokio::task::spawn_blocking(move || files.load(id, &manifest, &me)).await??
            }
        };
        let guard = Arc::new(Guard::new(share, signed));
        state.candidate = Some(Arc::clone(&guard));
        Ok(guard)
    }

    fn send(&self, to: &PublicKey, message: Message) {
        let Some(outbox) = self.outboxes.get(to) else {
            tracing::error!(member = %to, "a party of a ceremony is not in this node's configuration");
            return;
        };
        #[cfg(test)]
        let message = match &self.tamper {
            Some(tamper) => tamper(outbox.member, message),
            None => message,
        };
        outbox.push(message);
    }

    async fn deliver_forever(self: Arc<Self>, outbox: &Outbox) {
        loop {
            let Some(answer) = outbox.deliver_next().await else {
                continue;
            };
            // An answer is a message like any other: checked, and refused if it is not the member's.
            if let Err(error) = self.deliver(&outbox.member, answer).await {
                tracing::warn!(member = %outbox.member, %error, "a member's answer was not taken");
            }
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Without a receiver the node is stopping, and nothing is to be done any more.
        let _ = self.tasks.send(Box::pin(task));
    }

    fn now(&self) -> u64 {
        (self.authority.clock)()
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

/// The ceremonies whose shares are in use, or may yet be.
fn kept(machine: &Machine) -> Vec<CeremonyId> {
    let records = [machine.active(), machine.record(), machine.doubt()];
    let records = records.into_iter().flatten();
    records.map(|record| record.plan.id()).collect()
}

/// What becomes of the share in use when the end of this ceremony comes into use.
const fn before(plan: &Plan) -> Before {
    match plan {
        Plan::Resharing(_) => Before::Serves,
        Plan::Generation(_) | Plan::Repair(_) => Before::Gone,
    }
}

/// The share that a ceremony gave this node, when the node starts.
///
/// # Errors
/// The share file does not open, or is not what the manifest says.
pub fn load_share(
    files: &ShareFiles,
    ceremony: CeremonyId,
    signed: SignedManifest,
    me: &PublicKey,
) -> Result<Guard, GuardError> {
    let share = files.load(ceremony, &signed.manifest, me)?;
    Ok(Guard::new(share, signed))
}

impl From<MessageError> for DeliverError {
    fn from(error: MessageError) -> Self {
        Self::NotTaken(error.into())
    }
}
