//! E11: the same seeds give the same chains, in every version and on every machine.
//!
//! `vectors/conformance.json` was generated once. To change the format on purpose, delete it, run
//! `QUORATE_WRITE_VECTORS=1 cargo nextest run -p quorate-golden-record conformance`, and say so in the change.

use std::path::PathBuf;

use golden_record::{
    Block, Body, Change, Configuration, Genesis, MemoryState, Outcome, Role, Transaction, VerifiedBlock,
    verify_block,
};
use serde::{Deserialize, Serialize};
use threshold::encoding::Canonical;

use crate::bodies::{configure, erase, govern, link, revoke_user, rotate, target};
use crate::encoding::one_of_each;
use crate::support::{World, create_tenant, create_user, grant, key, revoke, set_active};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Vectors {
    chain_id: String,
    genesis: String,
    transactions: Vec<TransactionVector>,
    chains: Vec<ChainVector>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TransactionVector {
    kind: String,
    bytes: String,
    tx_id: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ChainVector {
    seed: u64,
    blocks: Vec<BlockVector>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct BlockVector {
    hash: String,
    state_digest: String,
    log_size: u64,
    log_root: String,
    outcomes: Vec<String>,
    /// The block itself, for the first chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/conformance.json")
}

const PEOPLE: [&str; 6] = ["olga", "wendy", "rita", "nora", "acme-admin", "eve"];
const USERS: [&str; 5] = ["olga", "wendy", "rita", "nora", "eve"];

/// A transaction that somebody may or may not be entitled to.
fn some_transaction(world: &mut World) -> Transaction {
    let who = PEOPLE[world.rng.below(PEOPLE.len())];
    let user = USERS[world.rng.below(USERS.len())];
    let role = Role::ALL[world.rng.below(3)];
    let number = world.rng.below(4);
    let version = 1 + number as u64;
    match world.rng.below(10) {
        0 => world.sign("admin-2", create_tenant(&format!("tenant-{number}"))),
        1 => world.sign(who, create_user("acme", &format!("user-{number}"))),
        2 => world.sign(who, grant("reports", user, role)),
        3 => world.sign(who, revoke("reports", user, role)),
        4 => world.sign(who, set_active("reports", number > 0)),
        5 => some_newer_transaction(world, who),
        6 => {
            let body = world.write("reports", "q3", version);
            world.sign(who, body)
        }
        _ => {
            let wish = world.read(who, "q3", version);
            world.sign_read(who, wish)
        }
    }
}

fn some_newer_transaction(world: &mut World, who: &str) -> Transaction {
    let number = world.rng.below(4) as u64;
    // Whose keys sign nothing else here, so that everything may enter its block.
    let user = &format!("user-{number}");
    let new_key = format!("{user} key {number}");
    let body = match world.rng.below(7) {
        0 => rotate(user, &new_key),
        1 => revoke_user(user),
        2 => configure(
            "reports",
            Configuration {
                permissions: number > 0,
                ..Configuration::default()
            },
        ),
        3 => erase("reports", "q3", number + 1),
        4 => link(number + 1, Some(target("reports", "q3", number))),
        5 => {
            let admin = format!("admin-{number}");
            let key = crate::support::public("a new auditor");
            return world.sign(&admin, govern(1, Change::AddAuditor { key }));
        }
        _ => world.write_open("reports", "q3", number + 1),
    };
    world.sign(who, body)
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome.reason() {
        Some(reason) => format!("{}:{reason}", outcome.kind()),
        None => outcome.kind().to_owned(),
    }
}

fn chain(seed: u64, with_bytes: bool) -> ChainVector {
    let mut world = World::ready(seed);
    for _ in 0..12 {
        let count = world.rng.below(6);
        let mut transactions: Vec<_> = (0..count).map(|_| some_transaction(&mut world)).collect();
        let approved: Vec<_> = world
            .state
            .range(b"read/")
            .map(|(key, _)| key[5..].to_vec())
            .collect();
        if let Some(id) = approved.first() {
            let id = std::str::from_utf8(id).unwrap().parse().unwrap();
            let node = 1 + world.rng.below(3) as u16;
            let release = world.statement(id, node);
            transactions.push(world.sign(
                "coordinator",
                Body::RecordReleases {
                    releases: vec![release],
                },
            ));
        }
        let jump = world.rng.below(20_000) as u64;
        world.time_ms += jump;
        let (chain_id, expires_ms) = (world.genesis.chain_id(), world.time_ms + 30_000);
        let body = create_tenant("acme");
        transactions.push(Transaction::sign(
            chain_id,
            &key("admin-3"),
            [jump as u8; 16],
            expires_ms,
            body,
        ));
        let fresh = transactions
            .into_iter()
            .filter(|one| one.expires_ms > world.time_ms + 10)
            .collect::<Vec<_>>();
        world.add(&fresh);
    }
    let blocks = world
        .blocks
        .iter()
        .map(|block| block_vector(block, with_bytes))
        .collect();
    ChainVector { seed, blocks }
}

fn block_vector(block: &Block, with_bytes: bool) -> BlockVector {
    let header = block.header();
    BlockVector {
        hash: block.hash().to_string(),
        state_digest: hex::encode(header.state_digest),
        log_size: header.log_size,
        log_root: hex::encode(header.log_root),
        outcomes: block
            .entries()
            .iter()
            .map(|entry| outcome_text(&entry.outcome))
            .collect(),
        bytes: with_bytes.then(|| hex::encode(block.to_bytes())),
    }
}

fn generate() -> Vectors {
    let (world, transactions) = one_of_each();
    let transactions = transactions
        .iter()
        .map(|one| TransactionVector {
            kind: one.body.kind().to_owned(),
            bytes: hex::encode(one.to_bytes()),
            tx_id: one.tx_id().to_string(),
        })
        .collect();
    Vectors {
        chain_id: world.genesis.chain_id().to_string(),
        genesis: hex::encode(world.genesis.to_bytes()),
        transactions,
        chains: (1..=4).map(|seed| chain(seed, seed == 1)).collect(),
    }
}

fn committed() -> Vectors {
    let text = std::fs::read_to_string(path()).expect("vectors/conformance.json is committed");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn e11_conformance_seeds_give_the_committed_chains() {
    let generated = generate();
    if std::env::var_os("QUORATE_WRITE_VECTORS").is_some() && !path().exists() {
        std::fs::write(path(), serde_json::to_string_pretty(&generated).unwrap() + "\n").unwrap();
    }
    let committed = committed();
    assert_eq!(generated.transactions, committed.transactions);
    assert_eq!(generated, committed);
}

#[test]
fn e11_conformance_committed_blocks_execute_to_the_committed_digests() {
    let committed = committed();
    let genesis = Genesis::from_bytes(&hex::decode(&committed.genesis).unwrap()).unwrap();
    assert_eq!(genesis.chain_id().to_string(), committed.chain_id);
    let (first, changes) = genesis.block();
    let mut state = MemoryState::new();
    state.apply(&changes);
    let mut parent = first.header().clone();
    for vector in &committed.chains[0].blocks[1..] {
        let bytes = hex::decode(vector.bytes.as_ref().unwrap()).unwrap();
        let verified = VerifiedBlock::from_bytes(&bytes, &|_| None).unwrap();
        state.apply(&verify_block(&parent, &state, &verified).unwrap());
        parent = verified.block().header().clone();
        assert_eq!(hex::encode(parent.state_digest), vector.state_digest);
    }
    let mut seen: Vec<_> = committed
        .chains
        .iter()
        .flat_map(|chain| &chain.blocks)
        .flat_map(|block| &block.outcomes)
        .collect();
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 15, "the chains exercise many outcomes: {seen:?}");
}
