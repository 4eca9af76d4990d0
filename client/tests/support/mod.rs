//! A client on real sockets among endorsers that do as a test tells them.

#![allow(dead_code, unreachable_pub)]

mod chain;
mod endorser;

use std::path::Path;
use std::sync::{Arc, Mutex};

use approval::Authority;
use quorate_client::{ApprovalProfile, Checkpoints, Client, EndorserProfile, OrganisationProfile, Profile};
use service::Identity;
use threshold::name::Name;

pub use chain::Chain;
#[allow(unused_imports, reason = "not every test names all")]
pub use endorser::{Behaviour, FakeEndorser, REJECTED};

/// One endorser each: of four, one may lie.
pub const ORGANISATIONS: [&str; 4] = ["north", "east", "south", "west"];

/// Four endorsers of one chain.
pub struct World {
    pub chain: Arc<Mutex<Chain>>,
    pub endorsers: Vec<FakeEndorser>,
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
        let profile = profile(&chain.lock().unwrap(), &endorsers);
        Self {
            chain,
            endorsers,
            profile,
            identity: Arc::new(Identity::ephemeral("auditor").unwrap()),
        }
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

fn profile(chain: &Chain, endorsers: &[FakeEndorser]) -> Profile {
    let organisations = ORGANISATIONS
        .iter()
        .zip(1..)
        .map(|(name, seed)| OrganisationProfile {
            name: (*name).into(),
            root: hex::encode(
                Authority::generate(&Name::new(name).unwrap(), &[seed; 32], 1_000_000).unwrap(),
            ),
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
