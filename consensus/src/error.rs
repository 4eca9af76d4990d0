//! What can go wrong at the start and afterwards.

use crate::application::AppError;

/// Why an engine did not start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Fewer validators than one, more than [`crate::MAX_VALIDATORS`], or one key twice.
    #[error("the validator set is not usable: {0}")]
    Validators(&'static str),
    /// What the application says of its epochs cannot be: they do not follow each other, or a set is not one.
    #[error("epoch {0} is not usable: {1}")]
    Epoch(u64, &'static str),
    /// `inspect` refuses the genesis block, or its height is not 0, or it is too large.
    #[error("the genesis block is not usable: {0}")]
    Genesis(&'static str),
    /// A limit or a duration that cannot work.
    #[error("the configuration is not usable: {0}")]
    Config(&'static str),
    /// The directory cannot be used, or another engine has it.
    #[error("the consensus directory cannot be used")]
    Directory(#[source] std::io::Error),
    /// Nobody can be listened to at the configured address.
    #[error("cannot listen on {0}")]
    Listen(std::net::SocketAddr, #[source] std::io::Error),
    /// The thread of the engine could not be started.
    #[error("the consensus thread could not be started")]
    Thread(#[source] std::io::Error),
    /// The application could not make final blocks durable.
    #[error("the application could not take a final block")]
    Application(#[source] AppError),
    /// What is on the disk does not belong together: a part of it is an old copy (attack E9).
    #[error(
        "{0}: a part of the disk was restored from an old copy, and this validator may have cast votes that it does \
         not know of; empty the consensus directory and start again, and it follows the chain until it is safe to vote"
    )]
    RolledBack(String),
    /// A part of the engine ended by itself, for instance because the disk failed.
    #[error("the consensus engine stopped: {0}")]
    Stopped(String),
}
