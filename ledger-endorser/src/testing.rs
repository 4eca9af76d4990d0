//! What the unit tests have in common: a ledger in memory, and blocks made final by decree.

use std::sync::Arc;

use golden_record::{FinalityEvidence, Transaction, TxId, VerifiedTransaction, finalize_message};
use prometheus_client::registry::Registry;
use redb::backends::InMemoryBackend;
use threshold::{encoding::Canonical, signature::Signature};

use crate::{
    common::{ORGANISATIONS, World},
    config::Limits,
    ledger::{Ledger, inspect},
    mempool::{Holder, Pending},
    metrics::Metrics,
    store::Store,
};

pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

pub(crate) const CACHE: usize = 4 << 20;

pub(crate) fn store(world: &World) -> Store {
    Store::on_disk(InMemoryBackend::new(), &world.genesis, CACHE).unwrap()
}

pub(crate) fn ledger(world: &World) -> Ledger {
    ledger_over(world, store(world))
}

pub(crate) fn ledger_over(world: &World, store: Store) -> Ledger {
    ledger_within(world, store, Limits::default())
}

fn ledger_within(world: &World, store: Store, limits: Limits) -> Ledger {
    let metrics = Metrics::new(&mut Registry::default());
    Ledger::new(world.genesis.clone(), store, limits, metrics)
}

pub(crate) fn pending(transaction: &Transaction) -> Pending {
    Pending {
        transaction: VerifiedTransaction::verify(transaction.clone()).unwrap(),
        bytes: transaction.to_bytes().into(),
        holder: Holder {
            author: transaction.author.to_bytes(),
            tenant: None,
            peer: None,
        },
    }
}

/// Puts transactions into the mempool, whatever the state says.
pub(crate) fn offer(ledger: &Ledger, transactions: &[Transaction]) {
    for transaction in transactions {
        ledger.mempool().insert(pending(transaction)).unwrap();
    }
}

/// The block that this ledger would propose now on what is durable.
pub(crate) fn propose(ledger: &Ledger, time_ms: u64) -> Arc<[u8]> {
    let ground = ledger.ground(&[]).unwrap();
    ledger.build(&ground, time_ms, true).unwrap().unwrap().into()
}

/// Makes one block of these transactions final, and returns its bytes.
pub(crate) fn commit(ledger: &Ledger, transactions: &[Transaction], time_ms: u64) -> Arc<[u8]> {
    offer(ledger, transactions);
    let block = propose(ledger, time_ms);
    ledger.apply(vec![(Arc::clone(&block), None)]).unwrap();
    for transaction in transactions {
        let snapshot = ledger.store().snapshot().unwrap();
        assert!(snapshot.index_of(id(transaction).as_bytes()).unwrap().is_some());
    }
    block
}

/// A ledger on which the foundation of a read is laid, one block for each transaction.
pub(crate) fn founded(world: &World) -> Ledger {
    founded_within(world, Limits::default())
}

pub(crate) fn founded_within(world: &World, limits: Limits) -> Ledger {
    let ledger = ledger_within(world, store(world), limits);
    for transaction in world.foundation() {
        commit(&ledger, &[transaction], world.now_ms);
    }
    ledger
}

pub(crate) fn id(transaction: &Transaction) -> TxId {
    transaction.tx_id()
}

/// The votes of the first `voters` validators for a block.
pub(crate) fn votes(world: &World, block: &[u8], voters: usize) -> FinalityEvidence {
    use ed25519_dalek::Signer;

    let payload = inspect(block).unwrap().digest;
    let message = finalize_message(&world.genesis.chain_id(), 0, 7, 6, &payload);
    let mut validators: Vec<_> = ORGANISATIONS.iter().map(|name| World::validator(name)).collect();
    validators.sort_by_key(|key| key.verifying_key().to_bytes());
    let signatures = validators.iter().take(voters).enumerate().map(|(index, key)| {
        (
            u16::try_from(index).unwrap(),
            Signature(key.sign(&message).to_bytes()),
        )
    });
    FinalityEvidence {
        epoch: 0,
        view: 7,
        parent_view: 6,
        payload,
        signatures: signatures.collect(),
    }
}
