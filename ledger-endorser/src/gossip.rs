//! Passing waiting transactions on to the fellow endorsers, so that whoever leads next has them.
//!
//! A message is `version (1) ‖ u32 count ‖ (u32 length ‖ transaction)…`. It is sent as soon as there is something
//! to send; what arrives while one was just sent goes into the next.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use golden_record::MAX_TRANSACTION_BYTES;
use threshold::encoding::{DecodeError, Reader, Writer};
use tokio::{sync::mpsc, time::Instant};

/// The largest message; the engine's own limit is above it.
pub const MAX_MESSAGE_BYTES: usize = 192 << 10;

/// Messages are at least this far apart, which keeps them well under the engine's rate limit, from which its
/// memory follows.
const MIN_INTERVAL: Duration = Duration::from_millis(8);

/// Transactions that wait to be sent; more are dropped, and sent again while their submitters wait.
const QUEUE: usize = 8_192;

const VERSION: u8 = 1;
/// Version, count, and one length.
const OVERHEAD: usize = 1 + 4;
const PER_TRANSACTION: usize = 4;
/// The smallest transaction takes more than this.
const MAX_COUNT: usize = MAX_MESSAGE_BYTES / 128;

/// Where transactions to be sent are put.
#[derive(Clone, Debug)]
pub struct Outbox(mpsc::Sender<Arc<[u8]>>);

impl Outbox {
    /// An outbox, and what is in it for [`send_all`].
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Arc<[u8]>>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Has the transaction sent at once. Dropped when the outbox is full.
    pub fn put(&self, transaction: Arc<[u8]>) {
        // Gossip only saves time: what is lost is proposed when its own endorser leads.
        let _ = self.0.try_send(transaction);
    }
}

/// Sends what is put into the outbox until it is closed.
pub async fn send_all(mut queue: mpsc::Receiver<Arc<[u8]>>, send: impl Fn(Vec<u8>) -> bool) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, MAX_COUNT).await > 0 {
        let next = Instant::now() + MIN_INTERVAL;
        for message in encode(&batch) {
            send(message);
        }
        batch.clear();
        tokio::time::sleep_until(next).await;
    }
}

/// The messages that carry these transactions.
#[must_use]
pub fn encode(transactions: &[Arc<[u8]>]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let mut start = 0;
    while let Some(rest) = transactions.get(start..).filter(|rest| !rest.is_empty()) {
        let taken = fitting(rest);
        messages.push(encode_one(rest.get(..taken).unwrap_or(rest)));
        start += taken;
    }
    messages
}

/// How many of the first transactions fit one message; one at least.
fn fitting(transactions: &[Arc<[u8]>]) -> usize {
    let mut size = OVERHEAD;
    let fitting = transactions.iter().take(MAX_COUNT).take_while(|transaction| {
        size += PER_TRANSACTION + transaction.len();
        size <= MAX_MESSAGE_BYTES
    });
    fitting.count().max(1)
}

fn encode_one(transactions: &[Arc<[u8]>]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.u8(VERSION);
    writer.count(transactions.len());
    for transaction in transactions {
        writer.bytes(transaction);
    }
    writer.finish()
}

/// The transactions in a message, not yet parsed.
///
/// # Errors
/// When the message is not in the form above, or too large.
pub fn decode(message: &[u8]) -> Result<Vec<&[u8]>, DecodeError> {
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(DecodeError::TooLong("gossip"));
    }
    let mut reader = Reader::new(message);
    if reader.u8()? != VERSION {
        return Err(DecodeError::UnknownVersion("gossip"));
    }
    let count = reader.count(MAX_COUNT)?;
    let mut transactions = Vec::with_capacity(count);
    for _ in 0..count {
        transactions.push(reader.bytes(MAX_TRANSACTION_BYTES)?);
    }
    reader.finish()?;
    Ok(transactions)
}
