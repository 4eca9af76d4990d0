use std::sync::Arc;

use golden_record::RejectionReason;
use threshold::{encoding::Canonical, signature::Signature};
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::{
    common::{World, key},
    testing::{self, commit, id},
};

const PEER: [u8; 32] = [1; 32];

struct Setting {
    world: World,
    ledger: Arc<Ledger>,
    intake: Intake,
    outgoing: Receiver<Arc<[u8]>>,
}

fn setting() -> Setting {
    let world = World::new(Clock::system().now_ms());
    let ledger = Arc::new(testing::founded(&world));
    let (outbox, outgoing) = Outbox::new();
    let intake = Intake::new(Arc::clone(&ledger), outbox, Clock::system());
    Setting {
        world,
        ledger,
        intake,
        outgoing,
    }
}

impl Setting {
    fn submit(&self, transaction: &Transaction) -> Result<Taken, Refused> {
        let bytes = transaction.to_bytes();
        let (parsed, id) = self.intake.parse(&bytes)?;
        self.intake.submit(parsed, &id, &bytes, true)
    }

    fn refused(&self, transaction: &Transaction) -> &'static str {
        let code = self.submit(transaction).unwrap_err().code();
        assert_eq!(self.ledger.mempool().size(), (0, 0));
        code
    }

    fn gossip(&self, transactions: &[&Transaction]) {
        let bytes: Vec<Arc<[u8]>> = transactions.iter().map(|one| one.to_bytes().into()).collect();
        for message in gossip::encode(&bytes) {
            self.intake.receive(&PEER, &message);
        }
    }

    fn blamed(&self, reason: &'static str) -> u64 {
        self.ledger.metrics().refusals.of(reason)
    }
}

fn badly_signed(transaction: &Transaction) -> Transaction {
    Transaction {
        signature: Signature([7; 64]),
        ..transaction.clone()
    }
}

#[test]
fn a_submission_waits_and_travels_on() {
    let mut setting = setting();
    let read = setting.world.request_read();
    assert_eq!(setting.submit(&read).unwrap(), Taken::Waiting);
    assert_eq!(*setting.outgoing.try_recv().unwrap(), *read.to_bytes());
    // Whoever submits it again has it passed on again, and it is still there once.
    assert_eq!(setting.submit(&read).unwrap(), Taken::Waiting);
    assert!(setting.outgoing.try_recv().is_ok());
    assert_eq!(setting.ledger.mempool().size().0, 1);
}

#[test]
fn strangers_and_the_badly_signed_do_not_get_in() {
    let setting = setting();
    let world = &setting.world;
    let read = world.request_read();
    assert_eq!(setting.refused(&badly_signed(&read)), "invalid_signature");
    let stranger = world.request_read_by("reader", &key("stranger"), world.now_ms + 60_000);
    assert_eq!(setting.refused(&stranger), "unknown_author");
    let auditor = world.create_tenant("south", &key("south"));
    assert_eq!(
        setting.refused(&world.sign(&world.auditor, auditor.body)),
        "author_may_not_write"
    );
    let no_possession = Transaction {
        possession: Some(Signature([7; 64])),
        ..read.clone()
    };
    assert_eq!(setting.refused(&no_possession), "invalid_possession");
    let expired = world.request_read_by("reader", &world.reader, world.now_ms.saturating_sub(1));
    assert_eq!(setting.refused(&expired), "expired");
    let immortal = world.request_read_by("reader", &world.reader, world.now_ms + 10_000_000);
    assert_eq!(setting.refused(&immortal), "lifetime_too_long");
    let elsewhere = World::new(world.now_ms + 1).request_read();
    assert_eq!(setting.refused(&elsewhere), "wrong_chain");
}

#[test]
fn p12_malformed_submissions_are_refused() {
    let setting = setting();
    let bytes = setting.world.request_read().to_bytes();
    for end in 0..bytes.len() {
        assert_eq!(
            setting.intake.parse(&bytes[..end]).unwrap_err().code(),
            "malformed"
        );
    }
    let too_long = vec![0; golden_record::MAX_TRANSACTION_BYTES + 1];
    assert!(setting.intake.parse(&too_long).is_err());
}

#[test]
fn what_is_on_the_chain_is_not_taken_again() {
    let setting = setting();
    let read = setting.world.request_read();
    commit(&setting.ledger, std::slice::from_ref(&read), setting.world.now_ms);
    assert_eq!(setting.submit(&read).unwrap(), Taken::Committed);
    // Another signature makes no other transaction.
    assert_eq!(setting.submit(&badly_signed(&read)).unwrap(), Taken::Committed);
    assert_eq!(setting.ledger.mempool().size(), (0, 0));
    assert_eq!(setting.ledger.store().tip().header.log_size, 9);
}

#[test]
fn gossip_gets_in_and_is_not_passed_on() {
    let mut setting = setting();
    let read = setting.world.request_read();
    setting.gossip(&[&read, &read]);
    assert!(setting.ledger.mempool().get(&id(&read)).is_some());
    assert!(setting.outgoing.try_recv().is_err());
}

#[test]
fn p12_byzantine_gossip_is_ignored_and_counted() {
    let setting = setting();
    let read = setting.world.request_read();
    setting.gossip(&[&badly_signed(&read), &read]);
    assert_eq!(setting.ledger.mempool().size().0, 1);
    assert!(setting.ledger.mempool().get(&id(&read)).is_some());
    assert_eq!(setting.blamed("invalid_signature"), 1);
    setting.intake.receive(&PEER, b"rubbish");
    assert_eq!(setting.blamed("malformed_gossip"), 1);
}

#[test]
fn a_peer_that_gossips_rubbish_is_not_listened_to() {
    let setting = setting();
    let bad = badly_signed(&setting.world.request_read());
    for _ in 0..=WRONG_BURST + 10 {
        setting.gossip(&[&bad]);
    }
    // The rest of a message after something wrong is left unread now.
    let good = setting.world.request_read();
    setting.gossip(&[&bad, &good]);
    assert!(setting.ledger.mempool().get(&id(&good)).is_none());
    setting
        .intake
        .receive(&[2; 32], &gossip::encode(&[good.to_bytes().into()])[0]);
    assert!(setting.ledger.mempool().get(&id(&good)).is_some());
}

#[test]
fn a_wrong_proof_in_a_body_is_recorded_and_not_refused() {
    let setting = setting();
    let mut write = setting.world.write_document("other", 1);
    if let golden_record::Body::WriteDocument { checksum, inline, .. } = &mut write.body {
        *checksum = [0; 32];
        *inline = Some(vec![1; 10]);
    }
    let write = setting.world.sign(&setting.world.writer, write.body);
    assert_eq!(setting.submit(&write).unwrap(), Taken::Waiting);
    commit(&setting.ledger, &[], setting.world.now_ms);
    let snapshot = setting.ledger.store().snapshot().unwrap();
    let committed = crate::waiters::Committed::find(&snapshot, id(&write))
        .unwrap()
        .unwrap();
    let expected = golden_record::Outcome::Rejected(RejectionReason::ObjectMismatch);
    assert_eq!(committed.entry().outcome, expected);
}
