//! Organisations that approve, a committee that has a key, and a reader.

use crate::authorise::{Authority, Keys};
use crate::ceremony::tests::simulation::Simulation;
use crate::journal::{Event, Journal, Storage};
use crate::memory::{Memory, Use};
use crate::metrics::Metrics;
use crate::refusals::Refusals;
use crate::share::Guard;
use approval::{ApprovalFields, TrustBundle, TrustedOrganisation};
use proto::custody::ReencryptRequest;
use rand_core::OsRng;
use service::{Identity, RateLimit};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use threshold::encoding::Canonical;
use threshold::ids::{ApproveId, BlockHash, ChainId};
use threshold::label::Label;
use threshold::name::{DocumentName, Name};
use threshold::reencrypt::ReaderKey;
use threshold::secret::DataKey;
use threshold::wrap::{CustodyKey, WrappedKey, wrap};

pub(crate) const NOW_MS: u64 = 1_790_000_000_000;
pub(crate) const COORDINATOR: [u8; 32] = [77; 32];
pub(crate) const CHAIN: ChainId = ChainId([5; 32]);
const ORGANISATIONS: [&str; 3] = ["north", "south", "east"];

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn seed(place: usize) -> [u8; 32] {
    [u8::try_from(100 + place).unwrap(); 32]
}

pub(crate) fn roots(now_ms: u64) -> Vec<(&'static str, Vec<u8>)> {
    let root = |(place, organisation): (usize, &&'static str)| {
        (
            *organisation,
            approval::Authority::generate(&name(organisation), &seed(place), now_ms).unwrap(),
        )
    };
    ORGANISATIONS.iter().enumerate().map(root).collect()
}

pub(crate) fn label(document: &str) -> Label {
    Label {
        installation: name("test"),
        tenant: name("tenant"),
        dataset: name("dataset"),
        document: DocumentName::new(document).unwrap(),
        version: 1,
    }
}

pub(crate) fn wrapped(key: &CustodyKey, document: &str) -> WrappedKey {
    wrap(key, &label(document), &DataKey::from_bytes([9; 32]), &mut OsRng).unwrap()
}

/// What two of the three organisations certify.
pub(crate) fn certificates(
    wrapped: &WrappedKey,
    reader: &ReaderKey,
    approve: u8,
    now_ms: u64,
) -> Vec<Vec<u8>> {
    let fields = ApprovalFields {
        approve_id: ApproveId([approve; 32]),
        write_id: wrapped.write_id(),
        q: reader.public(),
        key_id: wrapped.key_id(),
        label: wrapped.label().clone(),
        chain_id: CHAIN,
        height: 7,
        block_hash: BlockHash([6; 32]),
        policy_version: 1,
    };
    let issue = |(place, (_, root)): (usize, (&str, Vec<u8>))| {
        approval::Authority::from_seed(&seed(place), &root)
            .unwrap()
            .issue(&fields, now_ms, 60)
            .unwrap()
    };
    roots(NOW_MS).into_iter().take(2).enumerate().map(issue).collect()
}

/// A node with a key, a clock that the test sets, and a journal on the storage given.
pub(crate) struct World {
    pub(crate) authority: Arc<Authority>,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) identity: Identity,
    pub(crate) metrics: prometheus_client::registry::Registry,
}

pub(crate) fn committee() -> Simulation {
    let mut committee = Simulation::new(3, 1);
    committee.run(1, 2);
    committee
}

impl World {
    pub(crate) fn new(storage: impl Storage, guard: Option<Guard>, now_ms: u64) -> Self {
        Self::with_rate(storage, guard, now_ms, RateLimit::new(1_000, 1_000, 1))
    }

    pub(crate) fn with_rate(
        storage: impl Storage,
        guard: Option<Guard>,
        now_ms: u64,
        rate: RateLimit,
    ) -> Self {
        let identity = Identity::from_seed("node-1", &[1; 32]).unwrap();
        let mut memory = Memory::new(now_ms);
        let remember = |entry: &crate::journal::Entry, _: &[u8; 32]| {
            if let Event::Release(release) = &entry.event {
                let crate::journal::Release {
                    approve_id,
                    write_id,
                    q,
                    expires_ms,
                    ..
                } = *release;
                memory.remember(&Use {
                    approve_id,
                    write_id,
                    q,
                    expires_ms,
                });
            }
        };
        let journal = Journal::open(storage, &identity.public_key(), None, remember, |_| ()).unwrap();
        let organisations = roots(NOW_MS)
            .into_iter()
            .map(|(organisation, root)| TrustedOrganisation::new(name(organisation), &root).unwrap())
            .collect();
        let policy = "OUTOF(2, north, south, east)".parse().unwrap();
        let clock = Arc::new(AtomicU64::new(now_ms));
        let read = Arc::clone(&clock);
        let mut registry = prometheus_client::registry::Registry::default();
        let authority = Authority {
            coordinators: [COORDINATOR].into(),
            trust: TrustBundle::new(1, CHAIN, name("test"), organisations, policy).unwrap(),
            limits: approval::Limits {
                max_lifetime_s: 120,
                max_skew_s: 5,
            },
            rate,
            clock: Arc::new(move || read.load(Ordering::SeqCst)),
            identity: identity.clone(),
            journal: Arc::new(journal),
            metrics: Metrics::register(&mut registry),
            memory: Mutex::new(memory),
            refusals: Mutex::new(Refusals::default()),
            keys: RwLock::new(Keys {
                newest: guard.map(Arc::new),
                ..Keys::default()
            }),
        };
        Self {
            authority: Arc::new(authority),
            clock,
            identity,
            metrics: registry,
        }
    }

    pub(crate) fn request(&self, wrapped: &WrappedKey, certificates: Vec<Vec<u8>>) -> ReencryptRequest {
        let manifest_digest = self.authority.key().unwrap().manifest().digest();
        ReencryptRequest {
            wrapped_key: wrapped.to_bytes(),
            certificates,
            manifest_digest: manifest_digest.as_bytes().to_vec(),
        }
    }
}
