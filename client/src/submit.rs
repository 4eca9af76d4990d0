//! Transactions: made, signed, submitted, and the answer compared with what was submitted.

mod answers;

use golden_record::{Body, Entry, MAX_TRANSACTION_BYTES, Outcome, Transaction, TxId};
use proto::ledger::{LogEntry, SubmitRequest};
use rand_core::{OsRng, RngCore};
use threshold::encoding::{Canonical, Reader};

use self::answers::{Answer, Answers, confirmed};
use crate::connection::{CATCH_UP_ATTEMPTS, CATCH_UP_PAUSE, Endorser, request, whole};
use crate::error::{Error, Fault, Party};
use crate::in_turn::{PATIENCE, in_turn};
use crate::{Client, now_ms};

#[cfg(test)]
mod tests;

/// How long a transaction may wait for its block.
const LIFETIME_MS: u64 = 60_000;

/// Where in the log a transaction is: after [`Client::submit`] by the word of one endorser, after [`Client::apply`]
/// proven.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The transaction's id.
    pub tx_id: TxId,
    /// Its position in the log, from 0.
    pub index: u64,
    /// The height of its block.
    pub height: u64,
    /// The time of its block.
    pub time_ms: u64,
    /// The transaction with its outcome.
    pub entry: Entry,
}

impl Client {
    /// Signs a transaction as this client's identity.
    #[must_use]
    pub fn transaction(&self, body: Body) -> Transaction {
        let mut nonce = [0; 16];
        OsRng.fill_bytes(&mut nonce);
        let expires_ms = now_ms() + LIFETIME_MS;
        Transaction::sign(
            self.0.trust.chain_id,
            self.0.identity.signing_key(),
            nonce,
            expires_ms,
            body,
        )
    }

    /// Submits a transaction to one endorser after the other until one has it final, and answers with its outcome,
    /// whatever that is. Submitting the same transaction to several is harmless.
    ///
    /// # Errors
    /// No endorser that takes it: as soon as more refuse it alike than can lie.
    pub async fn submit(&self, transaction: &Transaction) -> Result<Recorded, Error> {
        self.submit_with(transaction, Belief::Word).await
    }

    /// Submits, and insists on the proof that the transaction was applied: the endorser's word is not enough.
    ///
    /// # Errors
    /// As [`Client::submit`], and [`Error::Rejected`]; [`Error::Request`] for what is longer than it can be.
    pub async fn apply(&self, body: Body) -> Result<Recorded, Error> {
        let transaction = self.transaction(checked(body)?);
        let recorded = self.submit_with(&transaction, Belief::Proof).await?;
        match recorded.entry.outcome {
            Outcome::Rejected(reason) => Err(Error::Rejected {
                reason,
                tx_id: recorded.tx_id,
            }),
            _ => Ok(recorded),
        }
    }

    async fn submit_with(&self, transaction: &Transaction, belief: Belief) -> Result<Recorded, Error> {
        let mut answer = self.submit_once(transaction, belief).await;
        for _ in 1..CATCH_UP_ATTEMPTS {
            if !matches!(answer, Err(Error::Forbidden(_))) {
                break;
            }
            tokio::time::sleep(CATCH_UP_PAUSE).await;
            answer = self.submit_once(transaction, belief).await;
        }
        answer
    }

    /// One round over the endorsers.
    async fn submit_once(&self, transaction: &Transaction, belief: Belief) -> Result<Recorded, Error> {
        let bytes = transaction.to_bytes();
        let mut answers = Answers::new(self.tolerated());
        // Not always the same one first: endorsers share the work of many clients.
        let start = usize::from(transaction.nonce.first().copied().unwrap_or(0));
        let count = self.0.endorsers.len();
        let turn = self.0.endorsers.iter().cycle().skip(start % count.max(1));
        let ask = |endorser| self.submit_to(endorser, transaction, &bytes, belief);
        let take = |endorser: &Endorser, answer| answers.take(endorser.party(), answer);
        match in_turn(turn.take(count), PATIENCE, ask, take).await {
            Some(end) => end,
            None => Err(answers.none()),
        }
    }

    async fn submit_to(
        &self,
        endorser: &Endorser,
        transaction: &Transaction,
        bytes: &[u8],
        belief: Belief,
    ) -> Answer {
        let message = SubmitRequest {
            transaction: bytes.to_vec(),
        };
        let answer = match whole(endorser.rpc().submit(request(message))).await {
            Ok(answer) => answer,
            Err(status) => return Answer::of(endorser, &status),
        };
        let claimed = match recorded(&endorser.party(), transaction, answer.entry) {
            Ok(claimed) => claimed,
            Err(fault) => return Answer::Failed(fault.into()),
        };
        match belief {
            Belief::Word => Answer::Recorded(claimed),
            // Whoever has it final can prove it.
            Belief::Proof => {
                let proven = self.prove_at(endorser, &claimed.tx_id).await;
                confirmed(claimed, proven.map(|(line, _)| line))
            }
        }
    }
}

/// A body that can be encoded; one that cannot, every endorser would refuse.
pub(crate) fn checked(body: Body) -> Result<Body, Error> {
    match body.check() {
        Ok(()) => Ok(body),
        Err(error) => Err(Error::Request(format!("this cannot be recorded: {error}"))),
    }
}

/// What is believed of an endorser that says what became of a transaction.
#[derive(Clone, Copy)]
enum Belief {
    Word,
    Proof,
}

/// An endorser's answer about a transaction; it must be about this one.
pub(crate) fn recorded(
    party: &Party,
    transaction: &Transaction,
    answer: Option<LogEntry>,
) -> Result<Recorded, Fault> {
    let missing = || {
        Fault::new(
            party.clone(),
            "entry",
            "answered without the entry that was asked for",
            &[],
        )
    };
    let line = answer.ok_or_else(missing)?;
    let lied = |what: String| Fault::new(party.clone(), "entry", what, &line.entry);
    // What this client made itself is compared, not parsed again.
    let mut reader = Reader::new(&line.entry);
    let bad = |error| lied(format!("gave a bad entry: {error}"));
    if reader.bytes(MAX_TRANSACTION_BYTES).map_err(bad)? != transaction.to_bytes() {
        return Err(lied("gave the entry of another transaction".into()));
    }
    let outcome: Outcome = reader.get().map_err(bad)?;
    reader.finish().map_err(bad)?;
    let entry = Entry {
        transaction: transaction.clone(),
        outcome,
    };
    let tx_id = transaction.tx_id();
    Ok(Recorded {
        tx_id,
        index: line.index,
        height: line.height,
        time_ms: line.time_ms,
        entry,
    })
}
