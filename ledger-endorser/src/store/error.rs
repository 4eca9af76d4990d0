//! What can go wrong in the store.

use golden_record::StateError;

/// The store failed, or holds what it should not. Always this endorser's own fault; nothing is acknowledged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database failed: the disk, its space, or its content.
    #[error("the store failed")]
    Database(#[source] Box<redb::Error>),
    /// The directory holds the chain of another genesis.
    #[error("the store belongs to another chain")]
    OtherChain,
    /// The store was written by another version of this program.
    #[error("the store has layout {0}, which this version does not know")]
    UnknownLayout(u64),
    /// A record is missing or does not parse.
    #[error("the store is damaged: {0}")]
    Damaged(&'static str),
    /// A block does not follow the newest one.
    #[error("block {given} does not follow block {newest}")]
    NotNext {
        /// The height of the newest block.
        newest: u64,
        /// The height of the block that was given.
        given: u64,
    },
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}

from_redb!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError
);

impl From<StoreError> for StateError {
    fn from(error: StoreError) -> Self {
        // The cause is what an operator needs: "the store failed" alone says nothing.
        match error {
            StoreError::Database(cause) => Self::Store(cause.to_string()),
            other => Self::Store(other.to_string()),
        }
    }
}
