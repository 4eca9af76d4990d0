//! What may enter a block at all. Whatever is refused here leaves no trace on the chain, so that strangers
//! cannot fill the log; whatever is admitted is recorded with its outcome.

use crate::genesis::Limits;
use crate::queries;
use crate::records::Party;
use crate::replay;
use crate::state::{StateError, StateReader};
use crate::transaction::{Transaction, TransactionError};
use crate::verified::VerifiedTransaction;

/// Why a transaction does not enter a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// It is for another chain.
    #[error("the transaction is for another chain")]
    WrongChain,
    /// Its expiry is not after the block's time.
    #[error("the transaction has expired")]
    Expired,
    /// It expires later than the genesis allows.
    #[error("the transaction's lifetime is longer than the chain allows")]
    LifetimeTooLong,
    /// Nobody is known by the author's key.
    #[error("the author is not known")]
    UnknownAuthor,
    /// The author is known, and may author nothing: an auditor or a validator.
    #[error("the author may not write")]
    AuthorMayNotWrite,
    /// It is on the chain already.
    #[error("the transaction is on the chain already")]
    AlreadyIncluded,
    /// The block has no room left; a later one may have.
    #[error("the block is full")]
    BlockFull,
    /// Malformed, too large or badly signed.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The state could not be read: nothing is said about the transaction.
    #[error(transparent)]
    State(#[from] StateError),
}

impl AdmissionError {
    /// Its name in status details, JSON and metrics: stable, snake case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::WrongChain => "wrong_chain",
            Self::Expired => "expired",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::UnknownAuthor => "unknown_author",
            Self::AuthorMayNotWrite => "author_may_not_write",
            Self::AlreadyIncluded => "already_included",
            Self::BlockFull => "block_full",
            Self::Transaction(TransactionError::Malformed(_)) => "malformed",
            Self::Transaction(TransactionError::TooLarge) => "too_large",
            Self::Transaction(TransactionError::Signature) => "invalid_signature",
            Self::Transaction(TransactionError::PossessionMisplaced) => "possession_misplaced",
            Self::Transaction(TransactionError::Possession) => "invalid_possession",
            Self::State(_) => "state_error",
        }
    }

    /// Whether a later block might take the very same transaction: it is worth keeping.
    pub fn may_pass_later(&self) -> bool {
        matches!(
            self,
            Self::BlockFull | Self::LifetimeTooLong | Self::UnknownAuthor | Self::State(_)
        )
    }
}

/// Decides whether a transaction is worth keeping for a block, the cheap checks first and the signatures last.
///
/// `now_ms` is the clock of whoever asks. What passes is verified, and is best kept so.
///
/// # Errors
/// [`AdmissionError`], for the first check that fails in the order of its variants.
pub fn admit(
    state: &dyn StateReader,
    transaction: Transaction,
    now_ms: u64,
) -> Result<VerifiedTransaction, AdmissionError> {
    let header = queries::header(state)?;
    if transaction.chain_id != header.chain_id {
        return Err(AdmissionError::WrongChain);
    }
    check_fields(
        state,
        &queries::limits(state)?,
        &transaction,
        now_ms.max(header.time_ms),
    )?;
    let id = transaction.tx_id();
    if replay::is_known(state, &id)? {
        return Err(AdmissionError::AlreadyIncluded);
    }
    Ok(VerifiedTransaction::verify(transaction)?)
}

/// Decides whether a verified transaction may enter a block of this time on this state.
///
/// # Errors
/// [`AdmissionError`], for the first check that fails in the order of its variants.
pub fn admissible(
    state: &dyn StateReader,
    transaction: &VerifiedTransaction,
    time_ms: u64,
) -> Result<(), AdmissionError> {
    if transaction.transaction().chain_id != queries::header(state)?.chain_id {
        return Err(AdmissionError::WrongChain);
    }
    admissible_party(state, &queries::limits(state)?, transaction, time_ms).map(|_| ())
}

/// [`admissible`] but for the chain, and who the author is.
pub(crate) fn admissible_party(
    state: &dyn StateReader,
    limits: &Limits,
    transaction: &VerifiedTransaction,
    time_ms: u64,
) -> Result<Party, AdmissionError> {
    let party = check_fields(state, limits, transaction.transaction(), time_ms)?;
    if replay::is_known(state, &transaction.id())? {
        return Err(AdmissionError::AlreadyIncluded);
    }
    Ok(party)
}

fn check_fields(
    state: &dyn StateReader,
    limits: &Limits,
    transaction: &Transaction,
    time_ms: u64,
) -> Result<Party, AdmissionError> {
    if transaction.expires_ms <= time_ms {
        return Err(AdmissionError::Expired);
    }
    if transaction.expires_ms - time_ms > limits.max_lifetime_ms {
        return Err(AdmissionError::LifetimeTooLong);
    }
    let party = queries::party(state, &transaction.author)?.ok_or(AdmissionError::UnknownAuthor)?;
    if party.may_write() {
        Ok(party)
    } else {
        Err(AdmissionError::AuthorMayNotWrite)
    }
}
