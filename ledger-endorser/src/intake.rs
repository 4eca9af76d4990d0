//! How a transaction gets into the mempool, from a client or from a fellow endorser: parsed once, its signatures
//! checked once.
//!
//! Before that, which is costly, comes what costs little: whether the chain knows the author, whether there is room, and for
//! gossip whether its sender has had its turn.

#[cfg(test)]
mod tests;

mod preamble;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use golden_record::{AdmissionError, Party, Transaction, TransactionError, TxId, VerifiedTransaction, admit};
use preamble::Preamble;
use service::RateLimit;
use threshold::ids::ChainId;

use crate::{
    clock::Clock,
    gossip::{self, Outbox},
    ledger::Ledger,
    mempool::{Full, Holder, Inserted, Pending},
    store::{Snapshot, StoreError},
};

/// Wrong transactions of one fellow endorser that are looked at, on average, before its gossip is not.
const WRONG_PER_SECOND: u32 = 2;
/// And at once.
const WRONG_BURST: u32 = 200;

/// Why a transaction was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It may not enter a block. The sender's fault, except for [`AdmissionError::State`].
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// There is no room.
    #[error(transparent)]
    Full(#[from] Full),
    /// The store failed. Ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refused {
    /// A stable snake-case word for it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Admission(error) => error.code(),
            Self::Full(Full::Pool) => "mempool_full",
            Self::Full(Full::Author) => "too_many_of_author",
            Self::Full(Full::Tenant) => "too_many_of_tenant",
            Self::Full(Full::Peer) => "too_many_of_peer",
            Self::Store(_) => "store_error",
        }
    }
}

/// Where a transaction stands after it was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It waits for a block, now or since before.
    Waiting,
    /// It is in a final block.
    Committed,
}

/// The one way into the mempool.
#[derive(Debug)]
pub struct Intake {
    ledger: Arc<Ledger>,
    outbox: Outbox,
    clock: Clock,
    chain_id: ChainId,
    /// Transactions of each fellow endorser that are looked at.
    gossip: RateLimit,
    /// Those of them that are wrong.
    wrong: RateLimit,
    /// Until when a fellow endorser that sent too many of those is not listened to.
    muted: Mutex<HashMap<[u8; 32], Instant>>,
}

impl Intake {
    /// An intake for this ledger, which passes clients' transactions on through the outbox.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, outbox: Outbox, clock: Clock) -> Self {
        let endorsers = consensus::MAX_VALIDATORS;
        let limits = ledger.limits();
        let gossip = RateLimit::new(limits.gossip_per_second, limits.gossip_burst, endorsers);
        let chain_id = ledger.genesis().chain_id();
        Self {
            ledger,
            outbox,
            clock,
            chain_id,
            gossip,
            wrong: RateLimit::new(WRONG_PER_SECOND, WRONG_BURST, endorsers),
            muted: Mutex::default(),
        }
    }

    /// Parses what a client submits.
    ///
    /// # Errors
    /// When the bytes are not one transaction of somebody who may write.
    pub fn parse(&self, bytes: &[u8]) -> Result<(Transaction, TxId), Refused> {
        // A copy of what waits here needs no parsing: points are costly to check.
        if let Some(pending) = self.ledger.mempool().find(&VerifiedTransaction::digest_of(bytes)) {
            return Ok((
                pending.transaction.transaction().clone(),
                pending.transaction.id(),
            ));
        }
        self.holder(&self.ledger.store().snapshot()?, bytes, None)?;
        let transaction = Transaction::parse(bytes).map_err(AdmissionError::from)?;
        let id = transaction.tx_id();
        Ok((transaction, id))
    }

    /// Takes a client's transaction and, with `spread`, passes it on to the fellow endorsers at once.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn submit(
        &self,
        transaction: Transaction,
        id: &TxId,
        bytes: &[u8],
        spread: bool,
    ) -> Result<Taken, Refused> {
        if self.ledger.mempool().get(id).is_some() {
            // Passed on when it came, and again while somebody waits: not each time that it is submitted, or one client
            // could have this endorser use up its turn with the others.
            return Ok(Taken::Waiting);
        }
        let taken = self.admit(transaction, id, &bytes.into(), None)?;
        if spread && taken == Taken::Waiting {
            self.repeat(id);
        }
        Ok(taken)
    }

    /// Passes a waiting transaction on, perhaps once more: gossip may be lost.
    pub fn repeat(&self, id: &TxId) {
        if let Some(pending) = self.ledger.mempool().get(id) {
            self.outbox.put(Arc::clone(&pending.bytes));
        }
    }

    /// Takes the transactions of a fellow endorser's gossip message. What is wrong is left out; a peer that sends
    /// much that is wrong is not listened to for a while, and what is beyond its rate is left unread.
    pub fn receive(&self, from: &[u8; 32], message: &[u8], now: Instant) {
        if self.is_muted(from, now) {
            return;
        }
        let Ok(transactions) = gossip::decode(message) else {
            self.blame(from, "malformed_gossip", now);
            return;
        };
        for bytes in transactions {
            if self.gossip.check(from, now).is_err() {
                self.ledger.metrics().refused("too_much_gossip");
                break;
            }
            if self
                .ledger
                .mempool()
                .find(&VerifiedTransaction::digest_of(bytes))
                .is_some()
            {
                continue;
            }
            if let Err(code) = self.receive_one(from, bytes)
                && !self.blame(from, code, now)
            {
                break;
            }
        }
        self.ledger.show_mempool();
    }

    fn receive_one(&self, from: &[u8; 32], bytes: &[u8]) -> Result<(), &'static str> {
        match self.offer(from, bytes) {
            Ok(()) => Ok(()),
            // The peer may be ahead of this endorser, or behind it: no fault of the transaction.
            Err(Refused::Admission(error)) if error.may_pass_later() => Ok(()),
            // Nor of a peer that does not know yet that the author was retired.
            Err(Refused::Admission(
                AdmissionError::AlreadyIncluded | AdmissionError::Expired | AdmissionError::AuthorMayNotWrite,
            )) => Ok(()),
            Err(Refused::Admission(error)) => Err(error.code()),
            Err(Refused::Full(_) | Refused::Store(_)) => Ok(()),
        }
    }

    /// Takes one of a fellow endorser's transactions; the checks that cost least come first.
    fn offer(&self, from: &[u8; 32], bytes: &[u8]) -> Result<(), Refused> {
        let holder = self.holder(&self.ledger.store().snapshot()?, bytes, Some(*from))?;
        self.ledger.mempool().check_room(&holder, bytes.len())?;
        if Preamble::read(bytes)?.expires_ms <= self.clock.now_ms() {
            return Err(AdmissionError::Expired.into());
        }
        let transaction = Transaction::parse(bytes)?;
        let id = transaction.tx_id();
        if !self.ledger.mempool().knows(&id) {
            self.admit(transaction, &id, &bytes.into(), Some(*from))?;
        }
        Ok(())
    }

    /// Counts something wrong; says whether the peer is still listened to.
    fn blame(&self, peer: &[u8; 32], code: &'static str, now: Instant) -> bool {
        self.ledger.metrics().refused(code);
        let Err(over) = self.wrong.check(peer, now) else {
            return true;
        };
        let mut muted = self.muted.lock().unwrap_or_else(PoisonError::into_inner);
        muted.insert(*peer, now + over.retry_after);
        tracing::warn!(
            peer = hex::encode(peer),
            code,
            "a fellow endorser gossips wrong transactions"
        );
        false
    }

    fn is_muted(&self, peer: &[u8; 32], now: Instant) -> bool {
        let mut muted = self.muted.lock().unwrap_or_else(PoisonError::into_inner);
        muted.retain(|_, until| *until > now);
        muted.contains_key(peer)
    }

    /// In whose room a transaction with these bytes would wait, from what stands at fixed places in them: most of what a
    /// stranger can send ends here.
    fn holder(
        &self,
        snapshot: &Snapshot,
        bytes: &[u8],
        peer: Option<[u8; 32]>,
    ) -> Result<Holder, AdmissionError> {
        let preamble = Preamble::read(bytes)?;
        if preamble.chain_id != *self.chain_id.as_bytes() {
            return Err(AdmissionError::WrongChain);
        }
        let party = preamble.party(snapshot)?.ok_or(AdmissionError::UnknownAuthor)?;
        if !party.may_write() {
            return Err(AdmissionError::AuthorMayNotWrite);
        }
        let tenant = match party {
            Party::TenantAdmin { tenant } | Party::User { tenant, .. } => Some(tenant),
            Party::OrganisationAdmin { .. } | Party::Validator { .. } => None,
            Party::Coordinator | Party::Auditor | Party::Retired => None,
        };
        Ok(Holder {
            author: preamble.author,
            tenant,
            peer,
        })
    }

    fn admit(
        &self,
        transaction: Transaction,
        id: &TxId,
        bytes: &Arc<[u8]>,
        peer: Option<[u8; 32]>,
    ) -> Result<Taken, Refused> {
        let snapshot = self.ledger.store().snapshot()?;
        if snapshot.index_of(id.as_bytes())?.is_some() {
            return Ok(Taken::Committed);
        }
        let holder = self.holder(&snapshot, bytes, peer)?;
        self.ledger.mempool().check_room(&holder, bytes.len())?;
        let transaction = admit(&snapshot, transaction, self.clock.now_ms())?;
        let inserted = self.ledger.mempool().insert(Pending {
            transaction,
            bytes: Arc::clone(bytes),
            holder,
        })?;
        Ok(match inserted {
            Inserted::New | Inserted::Waiting => Taken::Waiting,
            Inserted::Committed => Taken::Committed,
        })
    }
}

impl From<TransactionError> for Refused {
    fn from(error: TransactionError) -> Self {
        Self::Admission(error.into())
    }
}
