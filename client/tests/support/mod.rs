//! A client on real sockets among endorsers that do as a test tells them.

#![allow(dead_code, unreachable_pub)]

mod chain;
mod coordinator;
mod endorser;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use approval::Authority;
use envelope::{Location, Material, Metadata, ObjectKey, encrypt_to_vec, object_context};
use golden_record::DocumentVersion;
use quorate_client::{
    ApprovalProfile, Checkpoints, Client, DaemonProfile, EndorserProfile, OrganisationProfile, Profile,
};
use rand_core::OsRng;
use service::tls::{ClientPolicy, Listener};
use service::{Identity, server};
use tempfile::TempDir;
use threshold::name::Name;
use threshold::secret::DataKey;
use threshold::testing::{TestCommittee, label};
use threshold::wrap::wrap;
use tonic::service::Routes;

pub use chain::Chain;
#[allow(unused_imports, reason = "not every test names all")]
pub use coordinator::{Answers, FakeCoordinator};
#[allow(unused_imports, reason = "not every test names all")]
pub use endorser::{Behaviour, FakeEndorser, REJECTED};

/// One endorser each: of four, one may lie.
pub const ORGANISATIONS: [&str; 4] = ["north", "east", "south", "west"];

/// What is in the document of [`World::readable`].
pub const CONTENT: &[u8] = b"the content of a contract";

/// Four endorsers of one chain.
pub struct World {
    pub chain: Arc<Mutex<Chain>>,
    pub endorsers: Vec<FakeEndorser>,
    pub coordinators: Vec<FakeCoordinator>,
    /// Where writers keep what is not on the chain.
    pub objects: TempDir,
    profile: Profile,
    identity: Arc<Identity>,
}

impl World {
    /// With a log of so many entries.
    pub async fn start(entries: u8) -> Self {
        let chain = Arc::new(Mutex::new(Chain::new(entries)));
        let mut endorsers = Vec::new();
        for name in ORGANISATIONS {
            endorsers.push(FakeEndorser::start(name, &chain).await);
        }
        let objects = tempfile::tempdir().unwrap();
        let mut profile = profile(&chain.lock().unwrap(), &endorsers);
        profile.objects = objects.path().into();
        Self {
            chain,
            endorsers,
            coordinators: Vec::new(),
            objects,
            profile,
            identity: Arc::new(Identity::ephemeral("auditor").unwrap()),
        }
    }

    /// With a document on the chain, and two coordinators between this client and the nodes that have its key.
    pub async fn readable() -> Self {
        let mut world = Self::start(2).await;
        let committee = Arc::new(TestCommittee::generate(3, 5, &mut OsRng).unwrap());
        {
            let mut chain = world.chain.lock().unwrap();
            chain.documents.push(contract(&committee));
            chain.committee = Some(committee.signed.clone());
        }
        world.profile.key_id = Some(committee.manifest().key_id().to_string());
        for (name, missed) in [("first", 2), ("second", 5)] {
            let coordinator = FakeCoordinator::start(name, &committee, missed).await;
            world.profile.coordinators.push(DaemonProfile {
                name: name.into(),
                identity: hex::encode(coordinator.identity.public_key()),
                address: coordinator.address.to_string(),
            });
            world.coordinators.push(coordinator);
        }
        world
    }

    /// A client that remembers nothing of earlier ones.
    pub async fn client(&self) -> Client {
        Client::connect(self.profile.clone(), Arc::clone(&self.identity))
            .await
            .unwrap()
    }

    /// A client that keeps what it has verified in a directory.
    pub async fn auditor(&self, directory: &Path) -> Client {
        let checkpoints = Checkpoints::in_directory(directory);
        Client::connect_with(self.profile.clone(), Arc::clone(&self.identity), checkpoints)
            .await
            .unwrap()
    }

    pub fn behave(&self, place: usize, behaviour: Behaviour) {
        self.endorsers[place].behave(behaviour);
    }

    pub fn all_behave(&self, behaviour: &Behaviour) {
        for endorser in &self.endorsers {
            endorser.behave(behaviour.clone());
        }
    }

    pub fn chain(&self) -> Chain {
        self.chain.lock().unwrap().clone()
    }
}

/// Serves to anybody until the test ends, and says where.
async fn serve(identity: &Identity, routes: Routes) -> SocketAddr {
    let any = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::bind(any, identity, ClientPolicy::AnyKey, &Default::default())
        .await
        .unwrap();
    let address = listener.local_addr();
    tokio::spawn(async move {
        let limits = server::HttpLimits::default();
        server::serve(routes, listener, &limits, std::future::pending()).await
    });
    address
}

/// A small document, encrypted and wrapped as a writer does it.
fn contract(committee: &TestCommittee) -> DocumentVersion {
    let label = label("contract", 1).unwrap();
    let (object_key, data_key) = (ObjectKey::generate(&mut OsRng), DataKey::generate(&mut OsRng));
    let (inline, checksum) =
        encrypt_to_vec(&object_key, &object_context(&label), CONTENT, &mut OsRng).unwrap();
    let material = Material {
        object_key,
        location: Location::OnChain,
        metadata: Metadata::new("contract", CONTENT.len() as u64, "").unwrap(),
    };
    DocumentVersion {
        tenant: label.tenant.clone(),
        dataset: label.dataset.clone(),
        document: label.document.clone(),
        version: label.version,
        wrapped_key: Some(wrap(committee.manifest().custody_key(), &label, &data_key, &mut OsRng).unwrap()),
        material: material.seal(&data_key, &label, &mut OsRng).unwrap(),
        checksum: checksum.to_bytes(),
        size: inline.len() as u64,
        inline: Some(inline),
        writer: "alice".parse().unwrap(),
        height: 1,
        log_index: 1,
        time_ms: 1,
    }
}

/// The certificate authority of the organisation in a place.
pub fn authority(place: usize) -> Authority {
    let seed = [u8::try_from(place + 1).unwrap(); 32];
    let root = Authority::generate(&Name::new(ORGANISATIONS[place]).unwrap(), &seed, now_ms()).unwrap();
    Authority::from_seed(&seed, &root).unwrap()
}

pub fn now_ms() -> u64 {
    let elapsed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    u64::try_from(elapsed.as_millis()).unwrap()
}

fn profile(chain: &Chain, endorsers: &[FakeEndorser]) -> Profile {
    let organisations = ORGANISATIONS
        .iter()
        .enumerate()
        .map(|(place, name)| OrganisationProfile {
            name: (*name).into(),
            root: hex::encode(authority(place).root_der()),
        });
    let endorsers = ORGANISATIONS
        .iter()
        .zip(endorsers)
        .map(|(name, endorser)| EndorserProfile {
            organisation: (*name).into(),
            identity: hex::encode(endorser.identity.public_key()),
            address: endorser.address.to_string(),
        });
    Profile {
        installation: "test".into(),
        chain_id: chain.genesis.chain_id().to_string(),
        key_id: None,
        objects: "objects".into(),
        approval: ApprovalProfile {
            version: 1,
            policy: "OUTOF(3, north, east, south, west)".into(),
            organisations: organisations.collect(),
        },
        endorsers: endorsers.collect(),
        coordinators: Vec::new(),
        nodes: Vec::new(),
    }
}
