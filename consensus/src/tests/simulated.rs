//! Four validators on a simulated machine and network: one seed is one run, to the last message.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use commonware_cryptography::{
    Signer as _,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_p2p::{
    Recipients, Sender as _,
    simulated::{self, Link, Network, Oracle, SplitOrigin, SplitTarget},
};
use commonware_runtime::{
    Clock as _, Handle, IoBuf, Quota, Runner as _, Spawner as _, Storage as _, Supervisor as _, deterministic,
};
use commonware_utils::{NZU32, NZUsize, Probability, ordered::Set, probability};

use super::toy::{self, Toy};
use crate::{
    Application as _, Error, Limits, Timing,
    block::Admission,
    epochs::Epochs,
    evidence::vote_namespace,
    gossip::{Connected, raw},
    validator::{self, Channels, End, Setup},
};

/// The validators at the beginning.
const COUNT: usize = 4;
/// With those who may join.
const MOST: usize = 5;
/// Small, so that a short chain is long enough.
const EVIDENCE_GAP: u64 = 2;
const ADMISSION: Admission = Admission {
    inspect: toy::inspect,
    max_bytes: 1 << 20,
};

type Context = deterministic::Context;
type Control = simulated::Control<PublicKey, Context>;
type Sender = simulated::Sender<PublicKey, Context>;
type Receiver = simulated::Receiver<PublicKey>;

/// A simulated network of validators, and what they keep over their crashes.
struct Simulation {
    context: Context,
    oracle: Oracle<PublicKey, Context>,
    keys: Vec<PrivateKey>,
    toys: Vec<Arc<Toy>>,
    partitions: Vec<String>,
    tasks: Vec<Option<Handle<()>>>,
    /// Whether each votes.
    voting: Vec<Arc<AtomicBool>>,
    twins: Vec<Handle<()>>,
    lives: usize,
}

impl Simulation {
    async fn new(context: Context, link: Link) -> Self {
        let keys: Vec<_> = (0..MOST as u64).map(PrivateKey::from_seed).collect();
        let config = simulated::Config {
            max_size: 4 << 20,
            max_peers_per_set: NZUsize!(MOST),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        };
        let publics = keys.iter().map(|key| key.public_key());
        let (network, oracle) = Network::new_with_peers(context.child("network"), config, publics).await;
        network.start();
        let mut simulation = Self {
            context,
            oracle,
            keys,
            toys: (0..COUNT).map(|_| Arc::new(Toy::new(None))).collect(),
            partitions: (0..MOST).map(|index| format!("validator-{index}")).collect(),
            tasks: (0..MOST).map(|_| None).collect(),
            voting: (0..MOST).map(|_| Arc::default()).collect(),
            twins: Vec::new(),
            lives: 0,
        };
        simulation.link_all(&link).await;
        simulation
    }

    fn start_all(&mut self) {
        (0..COUNT).for_each(|index| self.start(index));
    }

    async fn link(&self, from: usize, to: usize, link: &Link) {
        let (from, to) = (self.keys[from].public_key(), self.keys[to].public_key());
        let _ = self.oracle.remove_link(from.clone(), to.clone()).await;
        self.oracle.add_link(from, to, link.clone()).await.unwrap();
    }

    async fn link_all(&mut self, link: &Link) {
        for (from, to) in pairs() {
            self.link(from, to, link).await;
        }
    }

    /// Cuts the network between the validators below `at` and the others.
    async fn split(&mut self, at: usize) {
        self.cut(|from, to| (from < at) != (to < at)).await;
    }

    async fn cut(&mut self, which: impl Fn(usize, usize) -> bool) {
        for (from, to) in pairs().filter(|(from, to)| which(*from, *to)) {
            let (from, to) = (self.keys[from].public_key(), self.keys[to].public_key());
            self.oracle.remove_link(from, to).await.unwrap();
        }
    }

    fn start(&mut self, index: usize) {
        let (oracle, keys) = (self.oracle.clone(), self.keys.clone());
        let (toy, partition) = (self.toys[index].clone(), self.partitions[index].clone());
        let voting = self.voting[index].clone();
        self.lives += 1;
        let context = self.context.child("life").with_attribute("number", self.lives);
        self.tasks[index] = Some(context.spawn(move |context| async move {
            for run in 0.. {
                let context = context.child("run").with_attribute("run", run);
                let mut setup = setup(&keys, index, toy.clone(), partition.clone());
                setup.voting = voting.clone();
                voting.store(false, Ordering::Relaxed);
                let control = oracle.control(keys[index].public_key());
                let channels = channels(&control).await;
                match validator::run(context, setup, channels, oracle.manager(), control).await {
                    End::Promoted | End::NextEpoch => {}
                    End::Failed(error) => panic!("validator {index}: {error}"),
                }
            }
        }));
    }

    /// Ends it between two steps, with whatever was not yet durable lost.
    async fn crash(&mut self, index: usize) {
        let task = self.tasks[index].take().unwrap();
        task.abort();
        let _ = task.await;
        self.voting[index].store(false, Ordering::Relaxed);
    }

    /// Crashes it, and takes away its disk and its application's.
    async fn wipe(&mut self, index: usize) {
        self.crash(index).await;
        self.partitions[index].push_str("-new");
        self.toys[index] = Arc::new(Toy::new(None));
    }

    fn lowest(&self) -> u64 {
        self.toys.iter().map(|toy| toy.applied_height()).min().unwrap()
    }

    fn highest(&self) -> u64 {
        self.toys.iter().map(|toy| toy.applied_height()).max().unwrap()
    }

    /// Lets time pass until all validators have `more` blocks above the highest there is now, at most some
    /// simulated minutes.
    async fn advance(&self, more: u64) {
        let goal = self.highest() + more;
        for _ in 0..6_000 {
            if self.lowest() >= goal {
                return;
            }
            self.context.sleep(Duration::from_millis(50)).await;
        }
        let heights: Vec<_> = self.toys.iter().map(|toy| toy.applied_height()).collect();
        panic!("no progress: goal {goal}, heights {heights:?}");
    }

    fn is_voting(&self, index: usize) -> bool {
        self.voting[index].load(Ordering::Relaxed)
    }

    /// Lets time pass until the condition holds, at most some simulated minutes.
    async fn wait(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        for _ in 0..6_000 {
            if condition(self) {
                return;
            }
            self.context.sleep(Duration::from_millis(50)).await;
        }
        panic!("waited in vain until {what}");
    }

    /// Makes these the next validators, and waits until their epoch has begun; says with which block. Those who run only.
    async fn hand_over(&mut self, members: &[usize]) -> u64 {
        let set = next_set(self, members);
        self.toys.iter().for_each(|toy| toy.submit(&set));
        let first = |toy: &Toy| toy::epochs(toy.chain().iter().map(|(block, _)| block.as_ref())).pop();
        let begun = |toy: &Arc<Toy>| first(toy).is_some_and(|epoch| toy.applied_height() >= epoch.first);
        self.wait("the epoch begins", |all| all.toys.iter().any(begun))
            .await;
        self.toys
            .iter()
            .filter_map(|toy| first(toy))
            .map(|epoch| epoch.first)
            .max()
            .unwrap()
    }

    /// Says this of itself to one validator, in the name of another that does not run, until the condition holds.
    async fn pretend(&self, liar: usize, to: usize, report: &[u8], condition: impl Fn(&Self) -> bool) {
        let control = self.oracle.control(self.keys[liar].public_key());
        let (sender, _receiver) = ends(&control, 6).await;
        let to = self.keys[to].public_key();
        self.wait("the lie is believed", |all| {
            let _ = sender
                .clone()
                .send(Recipients::One(to.clone()), IoBuf::from(report.to_vec()), true);
            condition(all)
        })
        .await;
    }

    async fn pass(&self, time: Duration) {
        self.context.sleep(time).await;
    }

    fn submit(&self, string: &str) {
        self.toys.iter().for_each(|toy| toy.submit(string.as_bytes()));
    }

    fn assert_one_chain(&self) {
        let chains: Vec<_> = self.toys.iter().map(|toy| toy.chain()).collect();
        for pair in chains.windows(2) {
            assert!(pair[0].iter().zip(&pair[1]).all(|(a, b)| a.0 == b.0), "a fork");
        }
    }
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..MOST)
        .flat_map(|from| (0..MOST).map(move |to| (from, to)))
        .filter(|(from, to)| from != to)
}

async fn ends(control: &Control, number: u64) -> (Sender, Receiver) {
    control
        .register(number, Quota::per_second(NZU32!(1_000)))
        .await
        .unwrap()
}

async fn channels(control: &Control) -> Channels<Sender, Receiver> {
    Channels {
        votes: ends(control, 0).await,
        certificates: ends(control, 1).await,
        views: ends(control, 2).await,
        backfill: ends(control, 3).await,
        blocks: ends(control, 4).await,
        gossip: ends(control, 5).await,
        standing: ends(control, 6).await,
    }
}

fn setup(keys: &[PrivateKey], index: usize, toy: Arc<Toy>, partition: String) -> Setup {
    let (_, outgoing) = commonware_utils::channel::mpsc::channel(1);
    let first = Set::from_iter_dedup(keys[..COUNT].iter().map(|key| key.public_key()));
    let epochs = Epochs::new(vote_namespace(b"simulation"), first);
    epochs.refresh(toy.as_ref()).unwrap();
    Setup {
        key: keys[index].clone(),
        epoch: epochs.at(toy.applied_height() + 1),
        epochs,
        vote_namespace: vote_namespace(b"simulation"),
        genesis: ADMISSION.admit(toy::genesis().into()).unwrap(),
        admission: ADMISSION,
        limits: Limits {
            evidence_gap: EVIDENCE_GAP,
            ..Limits::default()
        },
        timing: Timing::default(),
        partition,
        application: toy,
        outgoing: Arc::new(futures::lock::Mutex::new(outgoing)),
        connected: Connected::default(),
        voting: Arc::default(),
        // Whoever joins has a new key.
        vote_anyway: index >= COUNT,
    }
}

fn link(milliseconds: u64, delivered: Probability) -> Link {
    let latency = Duration::from_millis(milliseconds);
    Link {
        latency,
        jitter: latency / 2,
        success_rate: delivered,
    }
}

fn simulate<F: Future<Output = ()>>(seed: u64, scenario: impl FnOnce(Context) -> F) -> String {
    let config = deterministic::Config::default()
        .with_seed(seed)
        .with_timeout(Some(Duration::from_secs(900)));
    deterministic::Runner::new(config).start(|context| async move {
        scenario(context.child("scenario")).await;
        context.auditor().state()
    })
}

/// Everything that goes wrong by itself: loss, a partition without a majority, a crash, a lost disk.
async fn hard_times(context: Context) {
    let mut simulation = Simulation::new(context, link(10, probability!(0.875))).await;
    simulation.start_all();
    simulation.submit("first");
    simulation.advance(5).await;
    simulation.split(2).await;
    simulation.submit("split");
    simulation.pass(Duration::from_secs(5)).await;
    simulation.assert_one_chain();
    simulation.link_all(&link(10, probability!(0.9375))).await;
    simulation.advance(5).await;
    simulation.crash(0).await;
    simulation.submit("without the first");
    simulation.pass(Duration::from_secs(3)).await;
    simulation.start(0);
    simulation.advance(5).await;
    simulation.wipe(3).await;
    simulation.pass(Duration::from_secs(2)).await;
    simulation.start(3);
    simulation.advance(40).await;
    simulation.assert_one_chain();
    for toy in &simulation.toys {
        assert!(
            ["first", "split", "without the first"]
                .iter()
                .all(|string| toy.has(string.as_bytes()))
        );
    }
}

#[test]
fn no_seed_forks_the_chain_or_stops_it() {
    for seed in 0..24 {
        simulate(seed, hard_times);
    }
}

#[test]
fn one_that_catches_up_never_misses_evidence_for_long() {
    simulate(3, |context| async {
        let mut simulation = Simulation::new(context, link(10, probability!(1.0))).await;
        simulation.start_all();
        simulation.advance(3).await;
        simulation.crash(3).await;
        let missed = simulation.toys[3].applied_height();
        while simulation.highest() < missed + 200 {
            simulation.pass(Duration::from_secs(1)).await;
        }
        simulation.start(3);
        simulation.advance(3).await;
        let longest = |toy: &Toy| {
            let chain = toy.chain();
            let runs = chain.split(|(_, evidence)| evidence.is_some());
            runs.map(<[_]>::len).max().unwrap_or(0) as u64
        };
        // Those who voted have evidence of about every block.
        assert!(longest(&simulation.toys[0]) <= 1);
        assert!(longest(&simulation.toys[3]) <= EVIDENCE_GAP);
    });
}

#[test]
fn the_same_seed_is_the_same_run() {
    let calm = |context| async {
        let mut simulation = Simulation::new(context, link(10, probability!(0.875))).await;
        simulation.start_all();
        simulation.advance(10).await;
    };
    assert_eq!(simulate(7, calm), simulate(7, calm));
    assert_ne!(simulate(7, calm), simulate(8, calm));
}

#[test]
fn a_minority_alone_commits_nothing() {
    simulate(1, |context| async {
        let mut simulation = Simulation::new(context, link(10, probability!(1.0))).await;
        simulation.start_all();
        simulation.advance(3).await;
        simulation.crash(2).await;
        simulation.crash(3).await;
        let height = simulation.highest();
        simulation.pass(Duration::from_secs(30)).await;
        // What was proposed before the crash may still become final.
        assert!(simulation.highest() <= height + 2);
        simulation.start(2);
        simulation.start(3);
        simulation.advance(3).await;
        simulation.assert_one_chain();
    });
}

#[test]
fn all_crash_at_once_and_go_on() {
    simulate(2, |context| async {
        let mut simulation = Simulation::new(context, link(10, probability!(1.0))).await;
        simulation.start_all();
        for round in 0..3 {
            simulation.submit(&format!("round {round}"));
            simulation.advance(3).await;
            for index in 0..COUNT {
                simulation.crash(index).await;
            }
            simulation.start_all();
        }
        simulation.advance(3).await;
        simulation.assert_one_chain();
    });
}

/// The string that makes these the next validators.
fn next_set(simulation: &Simulation, members: &[usize]) -> Vec<u8> {
    let keys: Vec<[u8; 32]> = members
        .iter()
        .map(|index| raw(&simulation.keys[*index].public_key()))
        .collect();
    toy::set(&keys)
}

/// A fifth joins on an empty disk, the first leaves, and one crashes on the way, at another moment with every seed.
async fn members_change(context: Context, seed: u64) {
    let mut simulation = Simulation::new(context, link(10, probability!(0.9375))).await;
    simulation.start_all();
    simulation.advance(3).await;
    simulation.toys.push(Arc::new(Toy::new(None)));
    let join = next_set(&simulation, &[0, 1, 2, 3, 4]);
    simulation.toys.iter().for_each(|toy| toy.submit(&join));
    simulation.start(4);
    simulation.pass(Duration::from_millis(137 * (seed % 16))).await;
    let crashed = usize::try_from(seed % 5).unwrap();
    simulation.crash(crashed).await;
    simulation.pass(Duration::from_millis(500)).await;
    simulation.start(crashed);
    simulation.advance(4 * toy::GAP).await;
    simulation.assert_one_chain();
    let leave = next_set(&simulation, &[1, 2, 3, 4]);
    simulation.toys.iter().for_each(|toy| toy.submit(&leave));
    simulation.pass(Duration::from_millis(137 * (seed % 16))).await;
    let crashed = 1 + usize::try_from(seed % 4).unwrap();
    simulation.crash(crashed).await;
    simulation.pass(Duration::from_millis(500)).await;
    simulation.start(crashed);
    let left = simulation.toys.remove(0);
    simulation.advance(4 * toy::GAP).await;
    simulation.assert_one_chain();
    // Evidence is of the epoch of its block, and of that epoch's validators.
    let chain = simulation.toys[1].chain();
    let epochs = toy::epochs(chain.iter().map(|(block, _)| block.as_ref()));
    assert_eq!(epochs.len(), 2);
    let mut seen = [0; 3];
    for (evidence, meta) in simulation.toys[1].evidence() {
        let epoch = epochs.iter().filter(|epoch| epoch.first <= meta.height).count();
        assert_eq!(evidence.epoch, epoch as u64, "height {}", meta.height);
        assert_eq!(evidence.payload, meta.digest);
        seen[epoch] += 1;
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    // Whoever left has the last block of its time, and no other.
    for _ in 0..600 {
        if left.applied_height() + 1 == epochs[1].first {
            return;
        }
        simulation.pass(Duration::from_millis(100)).await;
    }
    panic!(
        "it has {} blocks, and the next epoch begins with {}",
        left.applied_height(),
        epochs[1].first
    );
}

#[test]
fn a_validator_joins_and_one_leaves_and_no_crash_on_the_way_stops_the_chain() {
    for seed in 0..16 {
        simulate(seed, |context| members_change(context, seed));
    }
}

/// A long first epoch, a short while of the second with a fifth validator, and the first without anything left. The fourth is
/// away, so that nothing becomes final before the first votes.
async fn first_has_lost_its_disk(context: Context, restart: bool) -> (Simulation, u64) {
    let mut simulation = Simulation::new(context, link(10, probability!(1.0))).await;
    simulation.start_all();
    simulation.advance(120).await;
    simulation.toys.push(Arc::new(Toy::new(None)));
    simulation.start(4);
    let first = simulation.hand_over(&[0, 1, 2, 3, 4]).await;
    simulation.advance(5).await;
    if restart {
        for index in [1, 2, 4] {
            simulation.crash(index).await;
            simulation.start(index);
        }
        simulation.advance(2).await;
        simulation.crash(3).await;
    }
    simulation.wipe(0).await;
    simulation.start(0);
    (simulation, first)
}

#[test]
fn e3_views_of_the_epoch_before_do_not_make_one_that_lost_its_record_vote() {
    simulate(11, |context| async {
        let (mut simulation, first) = first_has_lost_its_disk(context, true).await;
        simulation
            .wait("it is in the second epoch", |all| {
                all.toys[0].applied_height() + 1 >= first
            })
            .await;
        // Four of five are needed: it may have voted in the newest view that there is.
        simulation.pass(Duration::from_secs(20)).await;
        assert!(!simulation.is_voting(0));
        simulation.start(3);
        simulation.wait("it votes", |all| all.is_voting(0)).await;
        simulation.crash(3).await;
        simulation.toys.remove(3);
        simulation.advance(5).await;
        simulation.assert_one_chain();
    });
}

#[test]
fn one_that_lost_its_record_does_not_wait_for_as_many_views_as_the_epoch_before_had() {
    simulate(12, |context| async {
        let (simulation, first) = first_has_lost_its_disk(context, false).await;
        simulation.wait("it votes", |all| all.is_voting(0)).await;
        let blocks = simulation.highest() + 1 - first;
        assert!(blocks < first, "{blocks} blocks, and {first} in the first epoch");
    });
}

/// What a validator says of itself.
fn report(epoch: u64, view: u64, last: u64) -> Vec<u8> {
    let numbers = [epoch, view, last].map(u64::to_be_bytes);
    [[2, 0].as_slice(), numbers.as_flattened()].concat()
}

#[test]
fn e3_the_word_of_those_who_have_left_is_no_record() {
    simulate(13, |context| async {
        let mut simulation = Simulation::new(context, link(10, probability!(1.0))).await;
        simulation.start_all();
        simulation.advance(40).await;
        simulation.toys.push(Arc::new(Toy::new(None)));
        simulation.start(4);
        let first = simulation.hand_over(&[0, 1, 4]).await;
        for left in [3, 2] {
            simulation.crash(left).await;
            simulation.toys.remove(left);
        }
        simulation.wipe(0).await;
        let toy = simulation.toys.pop().unwrap();
        // Two of the first four are as new as they say, and those of today are out of reach.
        simulation
            .cut(|from, to| [from, to].contains(&0) && [1, 4].iter().any(|index| [from, to].contains(index)))
            .await;
        simulation.start(0);
        let new = report(0, 0, 0);
        let liars = [2, 3].map(|liar| simulation.pretend(liar, 0, &new, |all| all.is_voting(0)));
        futures::future::join_all(liars).await;
        simulation.link_all(&link(10, probability!(1.0))).await;
        let height = toy.applied_height();
        simulation
            .wait("it is in the second epoch", |all| {
                all.toys[0].applied_height() + 1 >= first
            })
            .await;
        simulation.pass(Duration::from_secs(20)).await;
        assert!(!simulation.is_voting(0));
        // All three are needed, and what was proposed before the loss may still become final.
        assert!(toy.applied_height() <= height + 2);
    });
}

#[test]
fn e9_a_false_word_about_the_end_of_the_epoch_does_not_excuse_an_old_record() {
    simulate(14, |context| async move {
        let mut simulation = Simulation::new(context.child("network"), link(10, probability!(1.0))).await;
        simulation.start_all();
        simulation.advance(5).await;
        simulation.crash(2).await;
        let far = simulation.toys[3].applied_height() + 1_000;
        let started = simulation.toys[3].applied_height();
        simulation
            .pretend(2, 3, &report(1, 0, far), |all| {
                all.toys[3].applied_height() >= started + 5
            })
            .await;
        simulation.crash(3).await;
        context.remove("validator-3-votes", None).await.unwrap();
        let life = context.child("again");
        let setup = setup(
            &simulation.keys,
            3,
            simulation.toys[3].clone(),
            "validator-3".into(),
        );
        let control = simulation.oracle.control(simulation.keys[3].public_key());
        let channels = channels(&control).await;
        let run = validator::run(life, setup, channels, simulation.oracle.manager(), control);
        let refused = commonware_macros::select! {
            end = run => match end {
                End::Failed(Error::RolledBack(what)) => Some(what),
                _ => None,
            },
            _ = context.sleep(Duration::from_secs(20)) => None,
        };
        let what = refused.expect("it is refused to vote with an old record");
        assert!(what.contains("its record of votes ends before"), "{what}");
    });
}

/// One key at two machines, which know nothing of each other and vote for different blocks: an equivocator.
struct Twins {
    with_first: Vec<usize>,
    with_second: Vec<usize>,
}

impl Twins {
    async fn start(&self, simulation: &mut Simulation) {
        let keys = simulation.keys.clone();
        let of = |indices: &[usize]| -> Vec<PublicKey> {
            indices.iter().map(|index| keys[*index].public_key()).collect()
        };
        let (first, second) = (of(&self.with_first), of(&self.with_second));
        let control = simulation.oracle.control(keys[0].public_key());
        let context = simulation.context.child("twins");
        let mut split = Vec::new();
        for number in 0..7 {
            let (sender, receiver) = ends(&control, number).await;
            let (a, b) = (first.clone(), second.clone());
            let senders = sender.split_with(move |origin, recipients: &Recipients<PublicKey>, _: &IoBuf| {
                let mine = if origin == SplitOrigin::Primary { &a } else { &b };
                let meant = |key: &PublicKey| match recipients {
                    Recipients::All => true,
                    Recipients::One(one) => one == key,
                    Recipients::Some(some) => some.contains(key),
                };
                let to: Vec<_> = mine.iter().filter(|key| meant(key)).cloned().collect();
                (!to.is_empty()).then_some(Recipients::Some(to))
            });
            let (a, b) = (first.clone(), second.clone());
            let child = context.child("split").with_attribute("channel", number);
            let receivers = receiver.split_with(child, move |(from, _)| {
                match (a.contains(from), b.contains(from)) {
                    (true, true) => SplitTarget::Both,
                    (true, false) => SplitTarget::Primary,
                    (false, true) => SplitTarget::Secondary,
                    (false, false) => SplitTarget::None,
                }
            });
            split.push((senders, receivers));
        }
        let mut halves: (Vec<_>, Vec<_>) = split
            .into_iter()
            .map(|((s1, s2), (r1, r2))| ((s1, r1), (s2, r2)))
            .unzip();
        for (name, ends) in [("left", &mut halves.0), ("right", &mut halves.1)] {
            let mut next = || ends.remove(0);
            let channels = Channels {
                votes: next(),
                certificates: next(),
                views: next(),
                backfill: next(),
                blocks: next(),
                gossip: next(),
                standing: next(),
            };
            let toy = Arc::new(Toy::new(None));
            toy.submit(name.as_bytes());
            let mut setup = setup(&keys, 0, toy, format!("twin-{name}"));
            setup.vote_anyway = true;
            let (manager, control) = (simulation.oracle.manager(), control.clone());
            let context = context.child("twin").with_attribute("name", name);
            simulation.twins.push(context.spawn(move |context| async move {
                let _ = validator::run(context, setup, channels, manager, control).await;
            }));
        }
    }
}

#[test]
fn e3_a_validator_that_votes_twice_cannot_fork_the_chain() {
    let sides = [
        (vec![1], vec![2, 3]),
        (vec![1, 2], vec![3]),
        (vec![1, 2], vec![2, 3]),
        (vec![1, 2, 3], vec![1, 2, 3]),
    ];
    let heard = AtomicBool::new(false);
    for (seed, (with_first, with_second)) in (100..).zip(sides) {
        let heard = &heard;
        simulate(seed, |context| async move {
            let mut simulation = Simulation::new(context, link(10, probability!(1.0))).await;
            Twins {
                with_first,
                with_second,
            }
            .start(&mut simulation)
            .await;
            (1..COUNT).for_each(|index| simulation.start(index));
            // The toy of the first place belongs to nobody here.
            simulation.toys.remove(0);
            simulation.submit("honest");
            simulation.advance(20).await;
            simulation.assert_one_chain();
            assert!(simulation.toys.iter().all(|toy| toy.has(b"honest")));
            for twin in [b"left".as_slice(), b"right"] {
                heard.fetch_or(simulation.toys[0].has(twin), Ordering::Relaxed);
            }
        });
    }
    // The twins take part: what only they propose is final in some run.
    assert!(heard.load(Ordering::Relaxed));
}
