//! Which committees hold which custody keys.
//!
//! Learnt from endorsers: a manifest counts when every member has signed it, its members are configured nodes, and more
//! endorsers give it than can lie. Of two that count, the one of the later epoch is used, and of one epoch the one that came last:
//! that more endorsers give it than can lie says that the chain has it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use threshold::committee::{CommitteeManifest, ManifestError, Member, ParticipantIndex, SignedManifest};
use threshold::ids::{KeyId, ManifestDigest};

use crate::endorser::Endorser;
use crate::node::Node;

#[cfg(test)]
mod tests;

/// More custody keys than this are not kept.
const MOST_KEYS: usize = 64;
/// Questions that a request gives rise to are this far apart.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(500);

/// A committee, and its nodes in the order of their indices.
#[derive(Debug)]
pub(crate) struct Committee {
    pub(crate) signed: SignedManifest,
    nodes: Vec<Arc<Node>>,
}

/// Why a manifest does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommitteeRefused {
    /// It does not verify.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A member is no configured node.
    #[error("member {0} ({1}) is not one of the configured nodes")]
    Stranger(ParticipantIndex, String),
}

impl Committee {
    /// Checks a manifest against the configured nodes.
    pub(crate) fn new(signed: SignedManifest, configured: &[Arc<Node>]) -> Result<Self, CommitteeRefused> {
        let find = |member: &Member| {
            let node = configured.iter().find(|node| node.identity == member.identity);
            node.cloned().ok_or(CommitteeRefused::Stranger(
                member.index,
                member.identity.to_string(),
            ))
        };
        let members = signed.manifest.members();
        let nodes = members.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        signed.verify()?;
        Ok(Self { signed, nodes })
    }

    pub(crate) fn manifest(&self) -> &CommitteeManifest {
        &self.signed.manifest
    }

    /// How many shares are needed.
    pub(crate) fn needed(&self) -> usize {
        self.manifest().threshold().t().into()
    }

    /// Each member with its node, in the order of their indices.
    pub(crate) fn seats(&self) -> impl Iterator<Item = (&Member, &Arc<Node>)> {
        self.manifest().members().iter().zip(&self.nodes)
    }
}

/// The committees known, and how to know more.
#[derive(Debug)]
pub(crate) struct Committees {
    nodes: Vec<Arc<Node>>,
    endorsers: Vec<Arc<Endorser>>,
    known: RwLock<BTreeMap<KeyId, Arc<Committee>>>,
    asked_at: tokio::sync::Mutex<Option<Instant>>,
}

impl Committees {
    pub(crate) fn new(nodes: Vec<Arc<Node>>, endorsers: Vec<Arc<Endorser>>) -> Self {
        Self {
            nodes,
            endorsers,
            known: RwLock::default(),
            asked_at: tokio::sync::Mutex::default(),
        }
    }

    /// All configured nodes.
    pub(crate) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The committee of a custody key, if it is known.
    pub(crate) fn known(&self, key_id: KeyId) -> Option<Arc<Committee>> {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key_id)
            .cloned()
    }

    /// Any committee, for a status report.
    pub(crate) fn any(&self) -> Option<Arc<Committee>> {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .next()
            .cloned()
    }

    /// The committee of a custody key; the endorsers are asked if it is not known.
    pub(crate) async fn of(&self, key_id: KeyId) -> Option<Arc<Committee>> {
        if let Some(committee) = self.known(key_id) {
            return Some(committee);
        }
        self.ask_seldom(key_id, None).await
    }

    /// A committee of the same custody key but a later epoch, if there is one: for when nodes say that this one
    /// is stale.
    pub(crate) async fn after(&self, stale: &Committee) -> Option<Arc<Committee>> {
        self.ask_seldom(stale.manifest().key_id(), Some(stale)).await
    }

    /// Requests come from strangers, so that they must not make for a flood of questions: they take turns, and
    /// whoever finds the answer there, or the last question just asked, asks no other.
    async fn ask_seldom(&self, key_id: KeyId, stale: Option<&Committee>) -> Option<Arc<Committee>> {
        let newer = || {
            self.known(key_id)
                .filter(|known| stale.is_none_or(|stale| replaces(known.manifest(), stale.manifest())))
        };
        let mut asked_at = self.asked_at.lock().await;
        let recently = asked_at.is_some_and(|at| at.elapsed() < BETWEEN_QUESTIONS);
        if newer().is_none() && !recently {
            self.ask(Some(key_id), || newer().is_some()).await;
            *asked_at = Some(Instant::now());
        }
        newer()
    }

    /// Asks all endorsers for the newest committee and for those known already.
    pub(crate) async fn refresh(&self) {
        let known: Vec<KeyId> = self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .copied()
            .collect();
        self.ask(None, || false).await;
        for key_id in known {
            self.ask(Some(key_id), || false).await;
        }
    }

    /// Asks all endorsers at once and takes each answer as it comes, until it is enough.
    async fn ask(&self, key_id: Option<KeyId>, enough: impl Fn() -> bool) {
        let ask = |endorser: &Arc<Endorser>| {
            let endorser = Arc::clone(endorser);
            async move { (endorser.committee(key_id).await, endorser) }
        };
        let mut answers: FuturesUnordered<_> = self.endorsers.iter().map(ask).collect();
        let mut alike: BTreeMap<ManifestDigest, usize> = BTreeMap::new();
        while let Some((answer, endorser)) = answers.next().await {
            match answer {
                Ok(signed) => {
                    let givers = alike.entry(signed.manifest.digest()).or_default();
                    *givers += 1;
                    // The members sign for themselves, and before it is known whether the epoch comes to be: that the chain
                    // has it, only the endorsers say.
                    if is_believed(*givers, self.endorsers.len()) {
                        self.consider(signed, key_id, &endorser);
                    }
                }
                Err(error) => {
                    tracing::debug!(endorser = endorser.organisation, %error, "no committee from this endorser");
                }
            }
            if enough() {
                return;
            }
        }
    }

    fn consider(&self, signed: SignedManifest, asked_for: Option<KeyId>, endorser: &Endorser) {
        let (key_id, epoch) = (signed.manifest.key_id(), signed.manifest.epoch());
        let manifest = signed.manifest.clone();
        let later =
            |known: Option<&Arc<Committee>>| known.is_none_or(|known| replaces(&manifest, known.manifest()));
        let asked = asked_for.is_none_or(|asked_for| asked_for == key_id);
        // Before the costly check: most answers are what is known already.
        if !asked || !later(self.known(key_id).as_ref()) {
            return;
        }
        match Committee::new(signed, &self.nodes) {
            Ok(committee) => {
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                let room = known.len() < MOST_KEYS || known.contains_key(&key_id);
                if room && later(known.get(&key_id)) {
                    tracing::info!(%key_id, epoch, "committee learnt");
                    known.insert(key_id, Arc::new(committee));
                }
            }
            Err(error) => {
                tracing::warn!(endorser = endorser.organisation, %key_id, %error, "committee refused");
            }
        }
    }
}

/// Whether more endorsers say it than can lie.
const fn is_believed(givers: usize, endorsers: usize) -> bool {
    givers > endorsers.saturating_sub(1) / 3
}

/// Whether a manifest that counts takes the place of one that is known.
fn replaces(manifest: &CommitteeManifest, known: &CommitteeManifest) -> bool {
    let (epoch, known_epoch) = (manifest.epoch(), known.epoch());
    epoch > known_epoch || (epoch == known_epoch && manifest.digest() != known.digest())
}
