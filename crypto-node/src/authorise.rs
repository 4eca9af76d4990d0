//! The decision to use the share: every check, in the order from cheap to expensive, by this node alone.
//!
//! A release is recorded before it leaves: the share is computed while the journal syncs, and nothing is returned
//! before the entry is durable and the approval was found still valid afterwards. So a read that this node
//! answered is in its journal whatever happens to the node.

use crate::journal::{Event, Journal, JournalError, Release};
use crate::memory::{Known, Memory, Use};
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::refusals::Refusals;
use crate::share::Guard;
use approval::{Approved, TrustBundle};
use proto::custody::ReencryptRequest;
use rand_core::OsRng;
use service::{Identity, RateLimit};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;
use threshold::encoding::Canonical;
use threshold::ids::ApproveId;
use threshold::reencrypt::ReencryptionShare;
use threshold::statement::ReleaseStatement;
use threshold::wrap::{MAX_WRAPPED_KEY, WrappedKey};

/// Milliseconds since 1970, from whoever runs the node.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Milliseconds since 1970. A clock before that is taken for 1970, when no approval is valid.
#[must_use]
pub fn system_time() -> u64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What decides, and what it decides by.
pub struct Authority {
    /// Coordinators that may ask.
    pub coordinators: BTreeSet<[u8; 32]>,
    /// Whose approvals count.
    pub trust: TrustBundle,
    /// How long approvals may live, and how far clocks may be apart.
    pub limits: approval::Limits,
    /// What each coordinator may ask for.
    pub rate: RateLimit,
    /// This node's clock.
    pub clock: Clock,
    /// Who signs the statements.
    pub identity: Identity,
    /// Where uses are recorded.
    pub journal: Arc<Journal>,
    /// What is counted.
    pub metrics: Metrics,
    /// What approvals were used for.
    pub memory: Mutex<Memory>,
    /// Refusals that wait to be recorded.
    pub refusals: Mutex<Refusals>,
    /// The shares in use.
    pub keys: RwLock<Keys>,
}

/// The shares that a node uses: which one, the request says by its manifest.
#[derive(Debug, Default)]
pub struct Keys {
    /// Of the newest epoch.
    pub newest: Option<Arc<Guard>>,
    /// Of the epoch before, until the newest is used.
    pub before: Option<Arc<Guard>>,
    /// Whether the newest was used for an approved read.
    pub used: bool,
}

/// What leaves the node.
#[derive(Debug)]
pub struct Released {
    /// The share.
    pub share: ReencryptionShare,
    /// The signed statement about it.
    pub statement: ReleaseStatement,
}

impl Authority {
    /// The share in use, if the node has one.
    #[must_use]
    pub fn key(&self) -> Option<Arc<Guard>> {
        self.keys().newest.clone()
    }

    /// The share in use, as the other nodes may count on it: not when nothing can be released any more, because nothing can be
    /// recorded.
    ///
    /// # Errors
    /// [`JournalError::Stopped`].
    pub fn serving(&self) -> Result<Option<Arc<Guard>>, JournalError> {
        if self.journal.is_healthy() {
            Ok(self.key())
        } else {
            Err(JournalError::Stopped)
        }
    }

    /// Puts a share in use, if the node has one in the new epoch. The one that was in use serves on if it `serves`.
    pub fn hand_over(&self, guard: Option<Arc<Guard>>, serves: bool) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let earlier = std::mem::replace(&mut keys.newest, guard);
        keys.before = earlier.filter(|_| serves);
        keys.used = false;
    }

    /// The share of the epoch before serves no longer.
    pub fn retire(&self) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.before = None;
    }

    /// Whether the share of the newest epoch was used for an approved read since it came into use, or since the start.
    #[must_use]
    pub fn has_used_new_epoch(&self) -> bool {
        self.keys().used
    }

    fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The share that a request is for: by its manifest's digest, of two at most.
    fn key_for(&self, digest: &[u8]) -> Result<Arc<Guard>, Refusal> {
        let keys = self.keys();
        let of_digest = |guard: &&Arc<Guard>| guard.manifest().digest().as_bytes() == digest;
        let found = keys.newest.iter().chain(&keys.before).find(of_digest).cloned();
        let newest = keys
            .newest
            .as_ref()
            .or(keys.before.as_ref())
            .ok_or(Refusal::NoKey)?;
        found.ok_or_else(|| Refusal::StaleManifest(newest.manifest().digest()))
    }

    fn note_use(&self, guard: &Arc<Guard>) {
        let waits = |keys: &Keys| {
            let newest = keys.newest.as_ref();
            !keys.used && newest.is_some_and(|newest| Arc::ptr_eq(newest, guard))
        };
        if waits(&self.keys()) {
            self.keys.write().unwrap_or_else(PoisonError::into_inner).used = true;
        }
    }

    /// Decides a request of `peer`, and releases a share if everything holds.
    ///
    /// # Errors
    /// The first check that fails; it is counted, and recorded in the journal.
    pub async fn reencrypt(&self, peer: [u8; 32], request: &ReencryptRequest) -> Result<Released, Refusal> {
        let mut approve_id = None;
        let decision = self.decide(peer, request, &mut approve_id).await;
        match &decision {
            Ok(released) => self.metrics.released(released.statement.repeat),
            Err(refusal) => self.refused(peer, refusal.code(), approve_id),
        }
        decision
    }

    async fn decide(
        &self,
        peer: [u8; 32],
        request: &ReencryptRequest,
        approve_id: &mut Option<ApproveId>,
    ) -> Result<Released, Refusal> {
        if !self.coordinators.contains(&peer) {
            return Err(Refusal::WrongRole);
        }
        self.rate
            .check(&peer, Instant::now())
            .map_err(|_| Refusal::RateLimited)?;
        let guard = self.key_for(&request.manifest_digest)?;
        let wrapped = parse_wrapped_key(&request.wrapped_key)?;
        if wrapped.key_id() != guard.manifest().key_id() {
            return Err(Refusal::OtherKey);
        }
        let now_ms = (self.clock)();
        let approved = approval::check(&request.certificates, &wrapped, &self.trust, now_ms, &self.limits)?;
        *approve_id = Some(approved.approve_id());
        let released = self.release(&guard, &approved, &wrapped, peer, now_ms).await?;
        self.note_use(&guard);
        Ok(released)
    }

    async fn release(
        &self,
        guard: &Guard,
        approved: &Approved,
        wrapped: &WrappedKey,
        peer: [u8; 32],
        now_ms: u64,
    ) -> Result<Released, Refusal> {
        let (known, ticket) = self.record(approved, peer, now_ms)?;
        // The disk is busy meanwhile; what is computed here stays here until the entry is durable.
        let share = guard.reencrypt(approved, wrapped, &mut OsRng)?;
        let place = ticket.place();
        let statement = ReleaseStatement {
            manifest_digest: guard.manifest().digest(),
            index: guard.index(),
            approve_id: approved.approve_id(),
            write_id: approved.write_id(),
            q: approved.q(),
            share_digest: share.digest(),
            repeat: known == Known::Repeat,
            time_ms: now_ms,
            journal_position: place.position,
            journal_head: place.head,
            signature: threshold::signature::Signature([0; 64]),
        }
        .sign(self.identity.signing_key());
        ticket.durable().await?;
        // The process may have been stopped, or the clock been set, since the approval was checked (D10).
        if let Err(refusal) = approved.still_valid((self.clock)()) {
            self.note(Event::Withheld {
                position: place.position,
            });
            return Err(refusal.into());
        }
        Ok(Released { share, statement })
    }

    /// Checks the memory and gives the release its place in the journal, as one step: of two requests at once
    /// for one approval, one is first.
    fn record(
        &self,
        approved: &Approved,
        peer: [u8; 32],
        now_ms: u64,
    ) -> Result<(Known, crate::journal::Ticket), Refusal> {
        let wanted = Use {
            approve_id: approved.approve_id(),
            write_id: approved.write_id(),
            q: approved.q().to_bytes(),
            // Remembered for as long as any clock within the skew could take it for valid.
            expires_ms: approved
                .expires_ms()
                .saturating_add(self.limits.max_skew_s.saturating_mul(1000)),
        };
        let mut memory = lock(&self.memory);
        let known = memory.check(&wanted, now_ms)?;
        let ticket = self.journal.append(
            now_ms,
            Event::Release(Release {
                approve_id: wanted.approve_id,
                write_id: wanted.write_id,
                q: wanted.q,
                expires_ms: wanted.expires_ms,
                coordinator: peer,
                repeat: known == Known::Repeat,
            }),
        )?;
        memory.remember(&wanted);
        Ok((known, ticket))
    }

    /// Counts a refusal and records it, together with others of its kind.
    pub fn refused(&self, peer: [u8; 32], code: &'static str, approve_id: Option<ApproveId>) {
        self.metrics.refused(code);
        let event = lock(&self.refusals).count(peer, code, approve_id, (self.clock)());
        event.into_iter().for_each(|event| self.note(event));
    }

    /// Records the refusals whose window is over; with `all`, every one.
    pub fn flush_refusals(&self, all: bool) {
        let events = lock(&self.refusals).take((self.clock)(), all);
        events.into_iter().for_each(|event| self.note(event));
    }

    /// Records what nobody waits for.
    fn note(&self, event: Event) {
        if let Err(error) = self.journal.append((self.clock)(), event) {
            // A stopped journal releases nothing more and has said so; a busy one may lose a refusal.
            tracing::warn!(%error, "an entry was not recorded");
        }
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn parse_wrapped_key(bytes: &[u8]) -> Result<WrappedKey, Refusal> {
    if bytes.len() > MAX_WRAPPED_KEY {
        return Err(Refusal::TooLarge("wrapped_key"));
    }
    WrappedKey::from_bytes(bytes).map_err(|error| Refusal::Malformed("wrapped_key", error))
}
