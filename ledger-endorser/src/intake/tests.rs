use std::{sync::Arc, time::Duration};

use golden_record::RejectionReason;
use threshold::{encoding::Canonical, signature::Signature};
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::{
    Limits,
    common::{World, key},
    testing::{self, commit, id},
};

const PEER: [u8; 32] = [1; 32];

struct Setting {
    world: World,
    ledger: Arc<Ledger>,
    intake: Intake,
    /// When gossip arrives.
    now: Instant,
    outgoing: Receiver<Arc<[u8]>>,
}

fn setting() -> Setting {
    setting_with(|_| {})
}

fn setting_with(change: impl FnOnce(&mut Limits)) -> Setting {
    let world = World::new(Clock::system().now_ms());
    let mut limits = Limits::default();
    change(&mut limits);
    let ledger = Arc::new(testing::founded_within(&world, limits));
    let (outbox, outgoing) = Outbox::new();
    let intake = Intake::new(Arc::clone(&ledger), outbox, Clock::system());
    Setting {
        world,
        ledger,
        intake,
        now: Instant::now(),
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
            self.intake.receive(&PEER, &message, self.now);
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
    // Whoever submits it again finds it here, and does not use up this endorser's turn with the others.
    assert_eq!(setting.submit(&read).unwrap(), Taken::Waiting);
    assert!(setting.outgoing.try_recv().is_err());
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
    setting.intake.receive(&PEER, b"rubbish", setting.now);
    assert_eq!(setting.blamed("malformed_gossip"), 1);
}

#[test]
fn a_peer_that_does_not_know_yet_who_may_not_write_is_not_blamed() {
    let setting = setting();
    let body = setting.world.create_tenant("south", &key("south")).body;
    setting.gossip(&[&setting.world.sign(&setting.world.auditor, body)]);
    assert_eq!(setting.ledger.mempool().size(), (0, 0));
    assert_eq!(setting.blamed("author_may_not_write"), 0);
}

#[test]
fn a_peer_that_gossips_rubbish_is_not_listened_to() {
    let setting = setting();
    let bad = badly_signed(&setting.world.request_read());
    for _ in 0..=WRONG_BURST + 10 {
        setting.gossip(&[&bad]);
    }
    // For a while nothing of it is looked at, be it good or bad.
    let blamed = setting.blamed("invalid_signature");
    let good = setting.world.request_read();
    setting.gossip(&[&good, &bad]);
    assert!(setting.ledger.mempool().get(&id(&good)).is_none());
    assert_eq!(setting.blamed("invalid_signature"), blamed);
    let message = gossip::encode(&[good.to_bytes().into()]).remove(0);
    setting.intake.receive(&[2; 32], &message, setting.now);
    assert!(setting.ledger.mempool().get(&id(&good)).is_some());
    let next = setting.world.request_read();
    let message = gossip::encode(&[next.to_bytes().into()]).remove(0);
    let later = setting.now + Duration::from_secs(1);
    setting.intake.receive(&PEER, &message, later);
    assert!(setting.ledger.mempool().get(&id(&next)).is_some());
}

/// A transaction whose first 90 bytes are good, and the rest is not.
fn cut(transaction: &Transaction) -> Arc<[u8]> {
    transaction.to_bytes()[..90].into()
}

#[test]
fn p12_of_a_strangers_bytes_nothing_but_the_author_is_looked_at() {
    let setting = setting();
    let world = &setting.world;
    let stranger = world.request_read_by("reader", &key("stranger"), world.now_ms + 60_000);
    // Were it parsed, it would be malformed; and the author need not even be a point.
    let mut bytes = cut(&stranger).to_vec();
    assert_eq!(setting.intake.parse(&bytes).unwrap_err().code(), "unknown_author");
    bytes[34..66].fill(0xff);
    assert_eq!(setting.intake.parse(&bytes).unwrap_err().code(), "unknown_author");
    let of_an_auditor = world.sign(&world.auditor, world.create_tenant("a", &key("a")).body);
    assert_eq!(
        setting.intake.parse(&cut(&of_an_auditor)).unwrap_err().code(),
        "author_may_not_write"
    );
    let elsewhere = World::new(world.now_ms + 1).request_read();
    assert_eq!(
        setting.intake.parse(&cut(&elsewhere)).unwrap_err().code(),
        "wrong_chain"
    );
    assert_eq!(
        setting
            .intake
            .parse(&cut(&world.request_read()))
            .unwrap_err()
            .code(),
        "malformed"
    );
    // In gossip it is nobody's fault: the peer may be ahead of this endorser.
    for message in gossip::encode(&[bytes.into(), cut(&stranger)]) {
        setting.intake.receive(&PEER, &message, setting.now);
    }
    assert_eq!(setting.blamed("unknown_author") + setting.blamed("malformed"), 0);
}

#[test]
fn p12_expired_gossip_is_not_looked_at() {
    let setting = setting();
    let expired = setting.world.request_read_by("reader", &setting.world.reader, 1);
    for message in gossip::encode(&[cut(&expired)]) {
        setting.intake.receive(&PEER, &message, setting.now);
    }
    assert_eq!(setting.blamed("malformed"), 0);
}

#[test]
fn p12_one_peer_is_listened_to_at_its_rate_and_the_others_at_theirs() {
    let setting = setting_with(|limits| (limits.gossip_per_second, limits.gossip_burst) = (1, 2));
    let reads: Vec<_> = (0..4).map(|_| setting.world.request_read()).collect();
    let waits = |number: usize| setting.ledger.mempool().get(&id(&reads[number])).is_some();
    setting.gossip(&[&reads[0], &reads[1], &reads[2]]);
    assert!(waits(0) && waits(1) && !waits(2));
    assert_eq!(setting.blamed("too_much_gossip"), 1);
    let message = gossip::encode(&[reads[3].to_bytes().into()]).remove(0);
    setting.intake.receive(&[2; 32], &message, setting.now);
    assert!(waits(3));
    let message = gossip::encode(&[reads[2].to_bytes().into()]).remove(0);
    setting
        .intake
        .receive(&PEER, &message, setting.now + Duration::from_secs(1));
    assert!(waits(2));
}

#[test]
fn p12_what_one_peer_passes_on_and_what_one_tenant_writes_leaves_room_for_others() {
    let setting = setting_with(|limits| {
        limits.mempool_transactions = 8;
        limits.tenant_transactions = 3;
    });
    let world = &setting.world;
    let reads: Vec<_> = (0..3).map(|_| world.request_read()).collect();
    // A peer's part is a fourth, since there are four endorsers.
    setting.gossip(&[&reads[0], &reads[1], &reads[2]]);
    assert_eq!(setting.ledger.mempool().size().0, 2);
    // No signature is looked at where there is no room.
    setting.gossip(&[&badly_signed(&reads[2])]);
    assert_eq!(setting.blamed("invalid_signature"), 0);
    assert_eq!(setting.submit(&reads[2]).unwrap(), Taken::Waiting);
    let of_another_user = world.write_document("x", 1);
    assert_eq!(
        setting.submit(&of_another_user).unwrap_err().code(),
        "too_many_of_tenant"
    );
    let of_an_organisation = world.create_tenant("south", &key("south"));
    assert_eq!(setting.submit(&of_an_organisation).unwrap(), Taken::Waiting);
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
