//! How a transaction gets into the mempool, from a client or from a fellow endorser: parsed once, its signatures
//! checked once.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Instant};

use golden_record::{AdmissionError, Transaction, TransactionError, TxId, VerifiedTransaction, admit};
use service::RateLimit;

use crate::{
    clock::Clock,
    gossip::{self, Outbox},
    ledger::Ledger,
    mempool::{Full, Inserted, Pending},
    store::StoreError,
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
    wrong: RateLimit,
}

impl Intake {
    /// An intake for this ledger, which passes clients' transactions on through the outbox.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, outbox: Outbox, clock: Clock) -> Self {
        let wrong = RateLimit::new(WRONG_PER_SECOND, WRONG_BURST, consensus::MAX_VALIDATORS);
        Self {
            ledger,
            outbox,
            clock,
            wrong,
        }
    }

    /// Parses what a client submits.
    ///
    /// # Errors
    /// When the bytes are not one transaction.
    pub fn parse(&self, bytes: &[u8]) -> Result<(Transaction, TxId), Refused> {
        // A copy of what waits here needs no parsing: points are costly to check.
        if let Some(pending) = self.ledger.mempool().find(&VerifiedTransaction::digest_of(bytes)) {
            return Ok((
                pending.transaction.transaction().clone(),
                pending.transaction.id(),
            ));
        }
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
        let taken = match self.ledger.mempool().get(id) {
            Some(_) => Taken::Waiting,
            None => self.admit(transaction, id, &bytes.into())?,
        };
        // Whoever sent it here before need not have sent it to the others.
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
    /// much that is wrong is not listened to for a while.
    pub fn receive(&self, from: &[u8; 32], message: &[u8]) {
        let Ok(transactions) = gossip::decode(message) else {
            self.blame(from, "malformed_gossip");
            return;
        };
        for bytes in transactions {
            if self
                .ledger
                .mempool()
                .find(&VerifiedTransaction::digest_of(bytes))
                .is_some()
            {
                continue;
            }
            if let Err(code) = self.receive_one(bytes)
                && !self.blame(from, code)
            {
                return;
            }
        }
        self.ledger.show_mempool();
    }

    fn receive_one(&self, bytes: &[u8]) -> Result<(), &'static str> {
        let transaction = Transaction::parse(bytes).map_err(|error| AdmissionError::from(error).code())?;
        let id = transaction.tx_id();
        if self.ledger.mempool().knows(&id) {
            return Ok(());
        }
        match self.admit(transaction, &id, &bytes.into()) {
            Ok(_) => Ok(()),
            // The peer may be ahead of this endorser, or behind it: no fault of the transaction.
            Err(Refused::Admission(error)) if error.may_pass_later() => Ok(()),
            Err(Refused::Admission(AdmissionError::AlreadyIncluded | AdmissionError::Expired)) => Ok(()),
            Err(Refused::Admission(error)) => Err(error.code()),
            Err(Refused::Full(_) | Refused::Store(_)) => Ok(()),
        }
    }

    /// Counts something wrong; says whether the peer is still listened to.
    fn blame(&self, peer: &[u8; 32], code: &'static str) -> bool {
        self.ledger.metrics().refused(code);
        let listened = self.wrong.check(peer, Instant::now()).is_ok();
        if !listened {
            tracing::warn!(
                peer = hex::encode(peer),
                code,
                "a fellow endorser gossips wrong transactions"
            );
        }
        listened
    }

    fn admit(&self, transaction: Transaction, id: &TxId, bytes: &Arc<[u8]>) -> Result<Taken, Refused> {
        let snapshot = self.ledger.store().snapshot()?;
        if snapshot.index_of(id.as_bytes())?.is_some() {
            return Ok(Taken::Committed);
        }
        let transaction = admit(&snapshot, transaction, self.clock.now_ms())?;
        let inserted = self.ledger.mempool().insert(Pending {
            transaction,
            bytes: Arc::clone(bytes),
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
