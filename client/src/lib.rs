//! The SDK: wrap, write, read, audit, each answer verified.
//!
//! A [`Client`] trusts nobody. Its [`Profile`] pins the chain, the custody key, the certificate roots of the
//! organisations and the identity key of every daemon; all else is checked when it arrives:
//!
//! - the genesis, against the pinned chain id; the endorsers since, by the handovers of those before them;
//! - the committee, by every member's signature, the pinned key id, and more endorsers that give it than can lie;
//! - what was recorded of a write or a change, by its proof;
//! - approval certificates, by the very check that the crypto nodes make, and against the request;
//! - the document's wrapped key, by its proof, its label and the certified write id;
//! - every share, by its proof; every release statement, by its node's signature; the combination, by doing it again;
//! - the encrypted object, chunk by chunk, and by the checksum on the chain;
//! - the log, by its Merkle root and the signatures of 2f+1 validators, as one no shorter than any endorser proves, and as
//!   a continuation of what was verified before ([`Checkpoints`]);
//! - what a search finds, by its inclusion in a log that is proven so, compared among more endorsers than may lie;
//! - a checkpoint, by the signatures of a quorum of the endorsers, and a proof that it continues the one before.
//!
//! What does not hold is an [`Error`] or, where a read succeeds in spite of it, a [`Fault`] in the report, and
//! names who is to blame.

mod admin;
mod alike;
mod approvals;
mod checkpoint;
mod committee;
mod connection;
mod cosigned;
mod epochs;
mod error;
mod in_turn;
mod log;
mod mirror;
mod object;
mod profile;
mod read;
mod receipts;
mod release;
mod search;
mod status;
mod submit;
mod write;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use golden_record::{Endorsers as _, Epochs, Genesis};
use service::identity::Identity;
use threshold::signature::PublicKey;
use tokio::sync::RwLock;

pub use crate::checkpoint::{Checkpoint, Checkpoints};
pub use crate::committee::Committee;
pub use crate::cosigned::{EQUIVOCATION, VerifiedCheckpoint};
pub use crate::error::{Error, Fault, Party};
pub use crate::log::{EndorserStatus, Line, Proven, VerifiedLog};
pub use crate::mirror::{Contents, Damage, Mirror, Mirrored};
pub use crate::profile::{
    ApprovalProfile, DaemonProfile, EndorserProfile, NodeProfile, OrganisationProfile, Profile,
};
pub use crate::read::{Document, ReadReport, ReadRequest};
pub use crate::receipts::ReadEvidence;
pub use crate::search::Found;
pub use crate::status::{CoordinatorStatus, NodeHealth};
pub use crate::submit::Recorded;
pub use crate::write::{WriteReport, WriteRequest};

use crate::connection::{Coordinator, Endorser};
use crate::object::ObjectStore;
use crate::profile::Trust;

/// A client with long-lived channels. Cloning is cheap and shares them; hundreds of reads may run at once.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    identity: Arc<Identity>,
    public_key: PublicKey,
    trust: Trust,
    /// Who decides, as far as it is proven by now.
    epochs: std::sync::RwLock<Arc<Epochs>>,
    endorsers: Vec<Endorser>,
    coordinators: Vec<Coordinator>,
    objects: ObjectStore,
    committee: RwLock<Option<Arc<Committee>>>,
    checkpoints: Checkpoints,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.0.public_key)
    }
}

impl Client {
    /// Connects as `identity`, whose key signs this client's transactions. The genesis comes from the first
    /// endorser that gives the pinned one. What is verified of the log is remembered as long as the client lives.
    ///
    /// # Errors
    /// A profile that does not parse, or no endorser with the genesis of the pinned chain.
    pub async fn connect(profile: Profile, identity: Arc<Identity>) -> Result<Self, Error> {
        Self::connect_with(profile, identity, Checkpoints::in_memory()).await
    }

    /// As [`Client::connect`], with what is verified of the log kept in `checkpoints`. An auditor keeps them in a
    /// directory: what one look has verified, no later one can be told otherwise.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_with(
        profile: Profile,
        identity: Arc<Identity>,
        checkpoints: Checkpoints,
    ) -> Result<Self, Error> {
        let trust = profile.trust()?;
        let endorsers = trust
            .endorsers
            .iter()
            .map(|pinned| Endorser::new(pinned, &identity))
            .collect::<Result<Vec<_>, _>>()?;
        let coordinators = trust
            .coordinators
            .iter()
            .map(|pinned| Coordinator::new(pinned, &identity))
            .collect::<Result<_, _>>()?;
        let public_key = PublicKey::from_bytes(&identity.public_key())
            .map_err(|error| Error::Request(format!("the identity's key: {error}")))?;
        let genesis = log::genesis(&endorsers, &trust).await?;
        Ok(Self(Arc::new(Inner {
            identity,
            public_key,
            epochs: std::sync::RwLock::new(Arc::new(Epochs::new(genesis))),
            endorsers,
            coordinators,
            objects: ObjectStore::new(&profile.objects),
            committee: RwLock::new(None),
            checkpoints,
            trust,
        })))
    }

    /// The key that this client signs with.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.0.public_key
    }

    /// The pinned chain's genesis.
    #[must_use]
    pub fn genesis(&self) -> Genesis {
        self.epochs().genesis().clone()
    }

    /// How many endorsers may lie: f of the chain's 3f+1, however few of them the profile names.
    pub(crate) fn tolerated(&self) -> usize {
        let quorum = self.epochs().endorsers().quorum();
        quorum.map_or(0, |quorum| quorum.tolerated())
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
