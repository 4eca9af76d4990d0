//! Executing blocks: the proposer builds one, everybody else repeats it and compares.

use threshold::encoding::{Canonical, Reader};

use crate::admission::{AdmissionError, admissible_party};
use crate::block::{self, Block, BlockDecodeError, Header, body_hash, state_digest};
use crate::entry::Entry;
use crate::genesis::Limits;
use crate::merkle::Frontier;
use crate::outcome::Outcome;
use crate::records::{Party, TransactionRecord, frontier_to_bytes};
use crate::rules::{self, Place};
use crate::state::{Changes, Draft, StateError, StateReader};
use crate::transaction::{MAX_TRANSACTION_BYTES, Transaction, TransactionError, TxId};
use crate::verified::{TransactionDigest, VerifiedTransaction};
use crate::{keys, queries, replay};

/// Why no block can be executed here and now. The caller's or the store's fault, never a transaction's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError {
    /// The state is not that after the parent.
    #[error("the state is not the parent's")]
    WrongState,
    /// The chain or the log is full.
    #[error("the chain is full")]
    Full,
    /// The block's time cannot follow the parent's.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Why a block's time is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// It can never become right.
    #[error("the block's time is before its parent's")]
    BeforeParent,
    /// It may become right: wait.
    #[error("the block's time is too far ahead of the clock")]
    Ahead,
}

/// Why a proposed block is not voted for. The proposer's fault, unless the state could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Not a block.
    #[error(transparent)]
    Malformed(#[from] BlockDecodeError),
    /// It is of another chain or does not follow the parent.
    #[error("the block does not follow this parent")]
    WrongParent,
    /// It has more entries or bytes than the genesis allows.
    #[error("the block is larger than the chain allows")]
    TooLarge,
    /// A transaction whose form or signatures are bad.
    #[error("entry {position}: {error}")]
    Transaction {
        /// Which entry of the block.
        position: usize,
        /// Why.
        error: TransactionError,
    },
    /// A transaction that may not enter this block: already included, expired, of an unknown author.
    #[error("entry {position}: {error}")]
    NotAdmissible {
        /// Which entry of the block.
        position: usize,
        /// Why.
        error: AdmissionError,
    },
    /// An entry's outcome is not what its transaction comes to.
    #[error("entry {position} says {claimed}, and it is {computed}")]
    WrongOutcome {
        /// Which entry of the block.
        position: usize,
        /// What the block says.
        claimed: Box<Outcome>,
        /// What execution gave.
        computed: Box<Outcome>,
    },
    /// The header's sizes, root or digest are not those of its execution.
    #[error("the header's {0} is not that of its execution")]
    WrongHeader(&'static str),
    /// The block cannot be executed.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
}

impl From<StateError> for BlockError {
    fn from(error: StateError) -> Self {
        Self::Execute(error.into())
    }
}

/// A transaction that a proposer could not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Which.
    pub id: TxId,
    /// Why; [`AdmissionError::may_pass_later`] tells whether to keep it.
    pub error: AdmissionError,
}

/// A block that was built, and what it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The block.
    pub block: Block,
    /// The changes from the parent's state to the block's.
    pub changes: Changes,
    /// The transactions that are not in it.
    pub dropped: Vec<Dropped>,
}

/// Checks a block's time against its parent's and against the validator's clock.
///
/// # Errors
/// [`TimeError`].
pub fn check_time(parent: &Header, time_ms: u64, now_ms: u64, max_skew_ms: u64) -> Result<(), TimeError> {
    if time_ms < parent.time_ms {
        Err(TimeError::BeforeParent)
    } else if time_ms > now_ms.saturating_add(max_skew_ms) {
        Err(TimeError::Ahead)
    } else {
        Ok(())
    }
}

/// Builds the block after `parent` from those of `transactions` that may enter it, in the given order.
///
/// `state` is the state after `parent`, usually an [`Overlay`](crate::Overlay) of the ancestors that are not
/// final yet. `time_ms` is the proposer's clock, raised to the parent's time if it is behind.
///
/// # Errors
/// [`ExecuteError`].
pub fn execute(
    parent: &Header,
    state: &dyn StateReader,
    time_ms: u64,
    transactions: Vec<VerifiedTransaction>,
) -> Result<Executed, ExecuteError> {
    let mut builder = Builder::new(parent, state, time_ms)?;
    let mut dropped = Vec::new();
    for transaction in &transactions {
        match builder.add(transaction) {
            Ok(_) => {}
            Err(AdmissionError::State(error)) => return Err(error.into()),
            Err(error) => dropped.push(Dropped {
                id: transaction.id(),
                error,
            }),
        }
    }
    let (block, changes) = builder.finish()?;
    Ok(Executed {
        block,
        changes,
        dropped,
    })
}

/// A block all of whose transactions are known to be well signed. What it says has not been executed.
#[derive(Clone, Debug)]
pub struct VerifiedBlock {
    block: Block,
    transactions: Vec<VerifiedTransaction>,
}

impl VerifiedBlock {
    /// Reads a block, and checks the signatures of the transactions that are not known yet.
    ///
    /// `known` gives the verified transaction whose bytes, signatures included, have this digest, if there is one: a
    /// transaction that is found there is neither parsed nor checked again.
    ///
    /// # Errors
    /// [`BlockError::Malformed`] or [`BlockError::Transaction`].
    pub fn from_bytes(
        bytes: &[u8],
        known: &dyn Fn(&TransactionDigest) -> Option<VerifiedTransaction>,
    ) -> Result<Self, BlockError> {
        let (header, mut body) = block::open(bytes)?;
        let count = body.count(block::MAX_ENTRIES).map_err(BlockDecodeError::from)?;
        let (mut entries, mut transactions) = (Vec::new(), Vec::new());
        for position in 0..count {
            let (transaction, outcome) = read_entry(&mut body, position, known)?;
            entries.push(Entry {
                transaction: transaction.transaction().clone(),
                outcome,
            });
            transactions.push(transaction);
        }
        body.finish().map_err(BlockDecodeError::from)?;
        Ok(Self {
            block: Block::counted(header, entries)?,
            transactions,
        })
    }

    /// Checks the signatures of a block's transactions that are not known yet.
    ///
    /// # Errors
    /// [`BlockError::Transaction`].
    pub fn verify(
        block: Block,
        known: &dyn Fn(&TransactionDigest) -> Option<VerifiedTransaction>,
    ) -> Result<Self, BlockError> {
        let verify = |(position, entry): (usize, &Entry)| match recognise(&entry.transaction.digest(), known)
        {
            Some(transaction) => Ok(transaction),
            None => VerifiedTransaction::verify(entry.transaction.clone())
                .map_err(|error| BlockError::Transaction { position, error }),
        };
        let transactions = block
            .entries()
            .iter()
            .enumerate()
            .map(verify)
            .collect::<Result<_, _>>()?;
        Ok(Self { block, transactions })
    }

    /// The block.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// Its transactions, verified, in order.
    pub fn transactions(&self) -> &[VerifiedTransaction] {
        &self.transactions
    }

    /// The block, by value.
    pub fn into_block(self) -> Block {
        self.block
    }
}

/// Reads one entry; its transaction is parsed only if it is not known.
fn read_entry(
    body: &mut Reader<'_>,
    position: usize,
    known: &dyn Fn(&TransactionDigest) -> Option<VerifiedTransaction>,
) -> Result<(VerifiedTransaction, Outcome), BlockError> {
    let bytes = body
        .bytes(MAX_TRANSACTION_BYTES)
        .map_err(BlockDecodeError::from)?;
    let transaction = match recognise(&VerifiedTransaction::digest_of(bytes), known) {
        Some(transaction) => transaction,
        None => Transaction::parse(bytes)
            .and_then(VerifiedTransaction::verify)
            .map_err(|error| BlockError::Transaction { position, error })?,
    };
    let outcome = body.get().map_err(BlockDecodeError::from)?;
    Ok((transaction, outcome))
}

/// Asks the cache, and believes it only for the very bytes.
fn recognise(
    digest: &TransactionDigest,
    known: &dyn Fn(&TransactionDigest) -> Option<VerifiedTransaction>,
) -> Option<VerifiedTransaction> {
    known(digest).filter(|transaction| transaction.digest() == digest)
}

/// Executes a proposed block on the state after `parent` and compares everything it says.
///
/// The block's time is compared with the parent's only; for the clock there is [`check_time`].
///
/// # Errors
/// [`BlockError`], for the first thing found wrong. [`ExecuteError::State`] within it says nothing about the
/// block.
pub fn verify_block(
    parent: &Header,
    state: &dyn StateReader,
    verified: &VerifiedBlock,
) -> Result<Changes, BlockError> {
    let claimed = verified.block.header();
    let follows = claimed.chain_id == parent.chain_id
        && claimed.parent == parent.hash()
        && Some(claimed.height) == parent.height.checked_add(1);
    if !follows {
        return Err(BlockError::WrongParent);
    }
    if claimed.time_ms < parent.time_ms {
        return Err(ExecuteError::from(TimeError::BeforeParent).into());
    }
    let mut builder = Builder::new(parent, state, claimed.time_ms)?;
    for (position, transaction) in verified.transactions.iter().enumerate() {
        let computed = builder.add(transaction).map_err(|error| match error {
            AdmissionError::State(error) => error.into(),
            AdmissionError::BlockFull => BlockError::TooLarge,
            error => BlockError::NotAdmissible { position, error },
        })?;
        let claimed = verified.block.entries().get(position).map(|entry| entry.outcome);
        match claimed {
            Some(claimed) if claimed == computed => {}
            Some(claimed) => {
                return Err(BlockError::WrongOutcome {
                    position,
                    claimed: Box::new(claimed),
                    computed: Box::new(computed),
                });
            }
            None => return Err(BlockDecodeError::Body.into()),
        }
    }
    let (block, changes) = builder.finish()?;
    compare(claimed, block.header())?;
    Ok(changes)
}

fn compare(claimed: &Header, computed: &Header) -> Result<(), BlockError> {
    // Number, body hash and whatever has no name here were compared while the block was read and when it was found to
    // follow its parent; they are compared again so that no field of a header, old or new, is nobody's to check.
    let fields = [
        ("number of entries", claimed.entries == computed.entries),
        ("body hash", claimed.body_hash == computed.body_hash),
        ("log size", claimed.log_size == computed.log_size),
        ("log root", claimed.log_root == computed.log_root),
        ("state digest", claimed.state_digest == computed.state_digest),
    ];
    match fields.into_iter().find(|(_, equal)| !equal) {
        Some((field, _)) => Err(BlockError::WrongHeader(field)),
        None if claimed == computed => Ok(()),
        None => Err(BlockError::WrongHeader("contents")),
    }
}

/// A block in the making.
struct Builder<'a> {
    parent: &'a Header,
    height: u64,
    time_ms: u64,
    limits: Limits,
    installation: threshold::name::Name,
    draft: Draft<'a>,
    frontier: Frontier,
    entries: Vec<Entry>,
    bytes: usize,
}

impl<'a> Builder<'a> {
    fn new(parent: &'a Header, state: &'a dyn StateReader, time_ms: u64) -> Result<Self, ExecuteError> {
        if queries::header(state)? != *parent {
            return Err(ExecuteError::WrongState);
        }
        let limits = queries::limits(state)?;
        let time_ms = time_ms.max(parent.time_ms);
        let mut draft = Draft::new(state);
        replay::prune(&mut draft, time_ms, limits.max_block_entries)?;
        Ok(Self {
            parent,
            height: parent.height.checked_add(1).ok_or(ExecuteError::Full)?,
            time_ms,
            limits,
            installation: queries::installation(state)?,
            draft,
            frontier: queries::frontier(state)?,
            entries: Vec::new(),
            bytes: 0,
        })
    }

    /// Executes one transaction and appends it, unless it may not enter.
    fn add(&mut self, transaction: &VerifiedTransaction) -> Result<Outcome, AdmissionError> {
        if transaction.transaction().chain_id != self.parent.chain_id {
            return Err(AdmissionError::WrongChain);
        }
        let author = admissible_party(&self.draft, &self.limits, transaction, self.time_ms)?;
        let bytes = self.require_room(transaction)?;
        let log_index = self.frontier.size();
        let outcome = self.apply(transaction, &author, log_index)?;
        let record = TransactionRecord {
            height: self.height,
            log_index,
            expires_ms: transaction.transaction().expires_ms,
        };
        replay::remember(&mut self.draft, &transaction.id(), record)?;
        self.append(Entry {
            transaction: transaction.transaction().clone(),
            outcome,
        })?;
        self.bytes = bytes;
        Ok(outcome)
    }

    fn apply(
        &mut self,
        transaction: &VerifiedTransaction,
        author: &Party,
        log_index: u64,
    ) -> Result<Outcome, StateError> {
        let place = Place {
            installation: &self.installation,
            time_ms: self.time_ms,
            height: self.height,
            log_index,
        };
        let (outcome, changes) = rules::apply(&place, &self.draft, author, transaction)?;
        self.draft.extend(changes);
        Ok(outcome)
    }

    /// How many bytes the entries have with this one. Every outcome is counted at its longest, so that the room
    /// is known before the outcome is.
    fn require_room(&self, transaction: &VerifiedTransaction) -> Result<usize, AdmissionError> {
        let entry = transaction.encoded_len() + crate::outcome::MAX_ENTRY_OVERHEAD;
        let bytes = self.bytes.saturating_add(entry);
        let room = usize::try_from(self.limits.max_block_bytes).unwrap_or(usize::MAX);
        let most = usize::try_from(self.limits.max_block_entries).unwrap_or(usize::MAX);
        if bytes > room || self.entries.len() >= most {
            Err(AdmissionError::BlockFull)
        } else {
            Ok(bytes)
        }
    }

    fn append(&mut self, entry: Entry) -> Result<(), StateError> {
        let draft = &mut self.draft;
        self.frontier
            .push(entry.leaf_hash(), |level, index, hash| {
                draft.put(keys::log_node(level, index), hash.to_vec());
            })
            .ok_or_else(|| StateError::corrupt(keys::FRONTIER, "the log is full"))?;
        self.entries.push(entry);
        Ok(())
    }

    fn finish(mut self) -> Result<(Block, Changes), ExecuteError> {
        self.draft
            .put(keys::FRONTIER.to_vec(), frontier_to_bytes(&self.frontier));
        let header = Header {
            chain_id: self.parent.chain_id,
            height: self.height,
            parent: self.parent.hash(),
            time_ms: self.time_ms,
            entries: u32::try_from(self.entries.len()).map_err(|_| ExecuteError::Full)?,
            body_hash: body_hash(&self.entries),
            log_size: self.frontier.size(),
            log_root: self.frontier.root(),
            state_digest: state_digest(&self.parent.state_digest, self.draft.changes()),
        };
        self.draft.put(keys::HEADER.to_vec(), header.to_bytes());
        Ok((Block::assemble(header, self.entries), self.draft.into_changes()))
    }
}
