//! Four validators on the loopback interface, with real sockets, disks and clocks.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use ed25519_dalek::SigningKey;
use futures::executor::block_on;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{
    evidence::{check, check_changes},
    toy::{self, Toy},
};
use crate::{
    Address, AddressError, Application as _, Config, Engine, Epoch, Error, Limits, Timing, VOTE_ANYWAY,
    Validator,
};

pub(super) const HOLD: Option<Duration> = Some(Duration::from_millis(100));

pub(super) fn seed(index: usize) -> [u8; 32] {
    [u8::try_from(index).unwrap() + 1; 32]
}

pub(super) fn public(index: usize) -> [u8; 32] {
    SigningKey::from_bytes(&seed(index)).verifying_key().to_bytes()
}

/// A set of validators, each with a directory and a toy application, running or not.
pub(super) struct Network {
    chain: [u8; 32],
    addresses: Vec<SocketAddr>,
    /// Where each is told that the others are.
    peers: Vec<Address>,
    directories: Vec<TempDir>,
    pub(super) toys: Vec<Arc<Toy>>,
    engines: Vec<Option<Engine>>,
}

impl Network {
    fn new(chain: u8) -> Self {
        Self::of(chain, 4)
    }

    /// With so many validators, the first four of which begin.
    fn of(chain: u8, count: usize) -> Self {
        let addresses = service::ports::free(count).unwrap();
        Self {
            chain: [chain; 32],
            peers: addresses.iter().map(|address| (*address).into()).collect(),
            addresses,
            directories: (0..count).map(|_| TempDir::new().unwrap()).collect(),
            toys: (0..count).map(|_| Arc::new(Toy::new(HOLD))).collect(),
            engines: (0..count).map(|_| None).collect(),
        }
    }

    pub(super) fn started(chain: u8) -> Self {
        let mut network = Self::new(chain);
        (0..4).for_each(|index| network.start_new(index));
        network
    }

    /// The first start of a key that was just made.
    fn start_new(&mut self, index: usize) {
        self.vote_anyway(index);
        self.start(index);
    }

    fn vote_anyway(&self, index: usize) {
        let directory = self.config(index).directory;
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(VOTE_ANYWAY), b"").unwrap();
    }

    pub(super) fn config(&self, index: usize) -> Config {
        Config {
            directory: self.directories[index].path().join("consensus"),
            listen: self.addresses[index],
            secret_seed: Zeroizing::new(seed(index)),
            validators: (0..4).map(public).collect(),
            peers: self
                .peers
                .iter()
                .enumerate()
                .map(|(index, address)| Validator {
                    public_key: public(index),
                    address: address.clone(),
                })
                .collect(),
            namespace: self.chain.to_vec(),
            genesis: toy::genesis(),
            inspect: toy::inspect,
            limits: Limits::default(),
            timing: Timing {
                idle_block: Duration::from_millis(100),
                ..Timing::default()
            },
        }
    }

    pub(super) fn start(&mut self, index: usize) {
        let engine = Engine::start(self.config(index), self.toys[index].clone()).unwrap();
        self.engines[index] = Some(engine);
    }

    pub(super) fn stop(&mut self, index: usize) {
        block_on(self.engines[index].take().unwrap().stop());
    }

    pub(super) fn engine(&self, index: usize) -> &Engine {
        self.engines[index].as_ref().unwrap()
    }

    fn lose_everything(&mut self, index: usize) {
        self.stop(index);
        self.directories[index] = TempDir::new().unwrap();
        self.toys[index] = Arc::new(Toy::new(HOLD));
    }

    fn submit(&self, index: usize, string: &[u8]) {
        self.toys[index].submit(string);
        assert!(self.engine(index).gossip(string.to_vec()));
    }

    /// Submits at one, and waits until all that run have it in a final block.
    pub(super) fn commit(&self, index: usize, string: &[u8]) {
        self.submit(index, string);
        for (toy, _) in self.running() {
            toy.wait("a string is final", |toy| toy.has(string));
        }
    }

    fn running(&self) -> impl Iterator<Item = (&Arc<Toy>, &Engine)> {
        self.toys
            .iter()
            .zip(&self.engines)
            .filter_map(|(toy, engine)| Some((toy, engine.as_ref()?)))
    }

    /// No two have different blocks at one height.
    pub(super) fn assert_one_chain(&self) {
        let chains: Vec<_> = self.toys.iter().map(|toy| toy.chain()).collect();
        for pair in chains.windows(2) {
            for (a, b) in pair[0].iter().zip(&pair[1]) {
                assert_eq!(a.0, b.0);
            }
        }
    }
}

#[test]
fn four_validators_commit_and_give_evidence() {
    let network = Network::started(1);
    for (round, string) in [b"a".as_slice(), b"b", b"c", b"d"].into_iter().enumerate() {
        network.commit(round, string);
    }
    network.assert_one_chain();
    let keys: Vec<_> = (0..4).map(public).collect();
    for (toy, engine) in network.running() {
        let evidence = toy.evidence();
        assert!(evidence.len() >= 4);
        for (evidence, meta) in evidence {
            assert_eq!(evidence.payload, meta.digest);
            check_changes(&evidence, &network.chain, &keys);
        }
        assert!(engine.metrics().contains("finalized_height"));
    }
}

#[test]
fn validators_without_a_record_begin_a_new_chain_together() {
    let mut network = Network::new(14);
    (0..4).for_each(|index| network.start(index));
    network.commit(0, b"begun");
    // The last to start may find a chain that has begun; it follows, and votes a little later.
    for index in 0..4 {
        network.toys[index].wait("it votes", |_| network.engine(index).is_voting());
    }
    network.stop(0);
    network.commit(1, b"with any three");
    network.assert_one_chain();
}

#[test]
fn gossip_reaches_the_others_with_its_sender() {
    let network = Network::started(2);
    network.toys[2].wait("all are connected", |_| network.engine(2).peers().len() == 3);
    network.commit(2, b"from two");
    for index in [0, 1, 3] {
        let expected = (public(2), b"from two".to_vec());
        network.toys[index].wait("gossip arrives", |toy| toy.received().contains(&expected));
    }
    let too_large = vec![0; Limits::default().max_gossip_bytes as usize + 1];
    assert!(!network.engine(0).gossip(too_large));
}

#[test]
fn a_dead_validator_is_passed_over_and_catches_up_from_its_directory() {
    let mut network = Network::started(3);
    network.commit(0, b"four");
    network.stop(3);
    network.commit(0, b"three");
    let height = network.toys[0].applied_height();
    network.start(3);
    network.toys[3].wait("the gap is closed", |toy| {
        toy.applied_height() > height && toy.has(b"three")
    });
    network.commit(3, b"four again");
    network.assert_one_chain();
}

#[test]
fn a_validator_with_nothing_left_catches_up_and_takes_part() {
    let mut network = Network::started(4);
    network.commit(0, b"before");
    network.lose_everything(1);
    network.commit(0, b"meanwhile");
    network.start(1);
    network.toys[1].wait("the chain is there", |toy| {
        toy.has(b"before") && toy.has(b"meanwhile")
    });
    assert!(!network.toys[1].evidence().is_empty());
    network.toys[1].wait("it votes", |_| network.engine(1).is_voting());
    // With another one stopped, every vote of the three is needed.
    network.stop(2);
    network.commit(1, b"needs all three");
    network.assert_one_chain();
}

#[test]
fn e3_a_lost_record_keeps_a_validator_from_voting_until_operators_decide() {
    let mut network = Network::started(13);
    network.commit(0, b"before");
    network.stop(2);
    network.lose_everything(1);
    let height = network.toys[0].applied_height();
    network.start(1);
    // Two of four go on, and the third has no record of its votes: it follows, and the chain stands still.
    network.toys[1].wait("it has what is final", |toy| {
        toy.has(b"before") && toy.applied_height() >= height
    });
    assert!(!network.engine(1).is_voting());
    network.stop(1);
    network.vote_anyway(1);
    network.start(1);
    network.commit(1, b"after");
    assert!(network.engine(1).is_voting());
    assert!(!network.config(1).directory.join(VOTE_ANYWAY).exists());
    network.assert_one_chain();
}

#[test]
fn an_application_that_lost_its_blocks_gets_them_again() {
    let mut network = Network::started(5);
    for string in [b"1".as_slice(), b"2", b"3"] {
        network.commit(0, string);
    }
    network.stop(2);
    let kept = network.toys[2].chain()[..1].to_vec();
    network.toys[2] = Arc::new(Toy::with_chain(HOLD, kept));
    network.start(2);
    network.toys[2].wait("what was lost is back", |toy| toy.has(b"3"));
    network.commit(2, b"4");
    network.assert_one_chain();
}

#[test]
fn an_application_that_is_ahead_of_the_engine_keeps_what_it_has() {
    let mut network = Network::started(6);
    network.commit(0, b"1");
    network.stop(2);
    network.directories[2] = TempDir::new().unwrap();
    network.start(2);
    network.commit(2, b"2");
    network.assert_one_chain();
}

#[test]
fn a_leader_with_an_invalid_block_only_loses_its_turn() {
    let mut network = Network::new(7);
    let mut dishonest = Toy::new(HOLD);
    dishonest.dishonest = true;
    network.toys[0] = Arc::new(dishonest);
    (0..4).for_each(|index| network.start_new(index));
    for string in [b"1".as_slice(), b"2", b"3"] {
        network.commit(1, string);
    }
    network.assert_one_chain();
    assert!(network.toys.iter().all(|toy| !toy.has(b"invalid")));
}

#[test]
fn an_application_that_panics_over_a_block_abstains() {
    let mut network = Network::new(17);
    let mut panics = Toy::new(HOLD);
    panics.panics = true;
    network.toys[2] = Arc::new(panics);
    (0..4).for_each(|index| network.start_new(index));
    network.commit(1, b"without its vote");
    network.assert_one_chain();
}

#[test]
fn all_stop_and_all_start_again() {
    let mut network = Network::started(8);
    network.commit(0, b"before");
    (0..4).for_each(|index| network.stop(index));
    (0..4).for_each(|index| network.start(index));
    network.commit(1, b"after");
    network.assert_one_chain();
}

#[test]
fn names_are_looked_up_and_whoever_has_none_connects_itself() {
    let mut network = Network::new(22);
    for index in 0..4 {
        let by_name = format!("localhost:{}", network.addresses[index].port());
        network.peers[index] = by_name.parse().unwrap();
    }
    // Nobody finds the last one.
    network.peers[3] = "nowhere.invalid:1".parse().unwrap();
    (0..4).for_each(|index| network.start_new(index));
    network.commit(0, b"by name");
    network.toys[0].wait("all are connected", |_| network.engine(0).peers().len() == 3);
}

#[test]
fn an_address_is_a_host_and_a_port() {
    for good in [
        "10.0.0.1:1",
        "[2001:db8::1]:65535",
        "endorser.north.example:7001",
        "localhost:1",
    ] {
        assert!(good.parse::<Address>().is_ok(), "{good}");
    }
    for bad in [
        "",
        "host",
        ":1",
        "host:",
        "host:65536",
        "a b:1",
        "a..b:1",
        "-a:1",
        "[::1:7",
    ] {
        assert_eq!(bad.parse::<Address>(), Err(AddressError), "{bad:?}");
    }
}

/// Four validators get other keys, one after the other; then the first of the new ones loses its disk. In the first two
/// epochs nobody is left whom it could ask, but for those whom it was told.
#[test]
fn e10_a_lost_disk_is_filled_again_after_everybody_has_another_key() {
    let mut network = Network::of(23, 8);
    (0..4).for_each(|index| network.start_new(index));
    network.commit(0, b"before");
    for new in 4..8 {
        let set = toy::set(&(new - 3..=new).map(public).collect::<Vec<_>>());
        network.start_new(new);
        network.commit(new - 1, &set);
        let epoch = u64::try_from(new - 3).unwrap();
        for index in new - 3..=new {
            network.toys[index].wait("it votes in the next epoch", |_| {
                network.engine(index).epoch() == epoch && network.engine(index).is_voting()
            });
        }
        network.stop(new - 4);
    }
    network.lose_everything(4);
    network.start(4);
    network.commit(7, b"after");
    network.toys[4].wait("it votes", |_| network.engine(4).is_voting());
    network.assert_one_chain();
}

#[test]
fn another_chain_id_is_another_network() {
    let mut network = Network::new(9);
    (0..3).for_each(|index| network.start_new(index));
    let mut stranger = network.config(3);
    stranger.namespace = vec![99; 32];
    let toy = Arc::new(Toy::new(HOLD));
    let engine = Engine::start(stranger, toy.clone()).unwrap();
    network.commit(0, b"among ourselves");
    assert_eq!(toy.applied_height(), 0);
    assert!(engine.peers().is_empty());
}

#[test]
fn e4_what_cannot_be_made_durable_is_not_acknowledged() {
    let mut network = Network::new(10);
    let mut full = Toy::new(HOLD);
    full.full_at = Some(2);
    network.toys[3] = Arc::new(full);
    (0..4).for_each(|index| network.start_new(index));
    let end = block_on(network.engine(3).stopped()).unwrap_err();
    assert!(matches!(*end, Error::Application(_)), "{end}");
    // After room was made, the same block comes again.
    network.stop(3);
    network.toys[3] = Arc::new(Toy::with_chain(HOLD, network.toys[3].chain()));
    network.start(3);
    network.toys[3].wait("the refused block is back", |toy| toy.applied_height() >= 2);
    network.assert_one_chain();
}

#[test]
fn p12_noise_on_the_port_disturbs_nobody() {
    let mut network = Network::started(15);
    network.commit(0, b"before");
    let strangers: Vec<_> = (0..16_u8)
        .map(|number| {
            let mut stream = TcpStream::connect(network.addresses[0]).unwrap();
            // Half of them talk, as long as somebody listens; half of them only hold the connection.
            if number % 2 == 0 {
                let _ = stream.write_all(&[number.wrapping_mul(37); 70_000]);
            }
            stream
        })
        .collect();
    network.commit(0, b"among the noise");
    network.stop(3);
    network.start(3);
    network.commit(3, b"and after a return");
    drop(strangers);
    network.assert_one_chain();
}

#[test]
fn one_validator_alone_is_a_chain() {
    let network = Network::new(16);
    let mut config = network.config(0);
    config.validators.truncate(1);
    let engine = Engine::start(config.clone(), network.toys[0].clone()).unwrap();
    network.toys[0].submit(b"alone");
    network.toys[0].wait("it is final", |toy| toy.has(b"alone"));
    block_on(engine.stop());
    let engine = Engine::start(config, network.toys[0].clone()).unwrap();
    network.toys[0].submit(b"again");
    network.toys[0].wait("it is final", |toy| toy.has(b"again"));
    assert!(engine.is_voting() && engine.peers().is_empty());
    for (evidence, _) in network.toys[0].evidence() {
        check(&evidence, &network.chain, &[public(0)]).unwrap();
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let network = Network::new(11);
    let start = |change: fn(&mut Config)| {
        let mut config = network.config(0);
        change(&mut config);
        Engine::start(config, network.toys[0].clone())
            .map(drop)
            .unwrap_err()
    };
    assert!(matches!(
        start(|config| config.validators.clear()),
        Error::Validators(_)
    ));
    assert!(matches!(
        start(|config| config.validators[1] = config.validators[0]),
        Error::Validators(_)
    ));
    assert!(matches!(
        start(|config| config.validators[1] = [2; 32]),
        Error::Validators(_)
    ));
    assert!(matches!(
        start(|config| config.peers[1].public_key = config.peers[0].public_key),
        Error::Validators(_)
    ));
    assert!(matches!(
        start(|config| config.genesis = vec![1, 2, 3]),
        Error::Genesis(_)
    ));
    assert!(matches!(
        start(|config| config.genesis = toy::encode([0; 32], 1, &[])),
        Error::Genesis(_)
    ));
    assert!(matches!(
        start(|config| config.limits.max_block_bytes = 10),
        Error::Genesis(_)
    ));
    assert!(matches!(
        start(|config| config.limits.max_batch = 0),
        Error::Config(_)
    ));
    assert!(matches!(
        start(|config| config.limits.evidence_gap = 0),
        Error::Config(_)
    ));
    assert!(matches!(
        start(|config| config.timing.leader = Duration::from_millis(50)),
        Error::Config(_)
    ));
    assert!(matches!(
        start(|config| config.timing.certification = Duration::ZERO),
        Error::Config(_)
    ));
}

#[test]
fn what_cannot_be_an_epoch_is_refused() {
    let mut network = Network::new(24);
    let all: Vec<_> = (0..4).map(public).collect();
    let mut start = |first: u64, validators: Vec<[u8; 32]>| {
        let mut toy = Toy::new(HOLD);
        toy.second = Some(Epoch { first, validators });
        network.toys[0] = Arc::new(toy);
        Engine::start(network.config(0), network.toys[0].clone()).map(drop)
    };
    let wrong = |result: Result<(), Error>| match result {
        Err(Error::Epoch(1, what)) => what,
        other => panic!("{other:?}"),
    };
    for first in [0, 1] {
        assert!(wrong(start(first, all.clone())).contains("begins before"));
    }
    assert!(wrong(start(9, Vec::new())).contains("1 to 64 validators"));
    assert!(wrong(start(9, vec![public(0); 2])).contains("twice"));
    assert!(start(2, all).is_ok());
}

#[test]
fn one_directory_and_one_address_serve_one_engine() {
    let mut network = Network::new(12);
    network.start(0);
    let second = Engine::start(network.config(0), network.toys[0].clone())
        .map(drop)
        .unwrap_err();
    assert!(matches!(second, Error::Directory(_)));
    let mut elsewhere = network.config(0);
    elsewhere.directory = network.directories[1].path().to_path_buf();
    network.toys[0].wait("the first listens", |_| {
        TcpListener::bind(network.addresses[0]).is_err()
    });
    let second = Engine::start(elsewhere, network.toys[0].clone())
        .map(drop)
        .unwrap_err();
    assert!(matches!(second, Error::Listen(..)));
}
