use super::world::{COORDINATOR, NOW_MS, World, certificates, committee, wrapped};
use crate::ceremony::tests::simulation::resharing;
use crate::journal::tests::FakeDisk;
use crate::journal::{Entry, Event, Journal};
use crate::refusal::Refusal;
use rand_core::OsRng;
use service::RateLimit;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use threshold::encoding::Canonical;
use threshold::ids::ApproveId;
use threshold::reencrypt::{Context, ReaderKey, verify_share};
use threshold::signature::PublicKey;

fn entries(disk: &FakeDisk) -> Vec<Entry> {
    let mut seen = Vec::new();
    let identity = service::Identity::from_seed("node-1", &[1; 32])
        .unwrap()
        .public_key();
    Journal::open(
        FakeDisk::holding(&disk.bytes()),
        &identity,
        None,
        |entry, _| seen.push(entry.clone()),
        |_| (),
    )
    .unwrap();
    seen
}

fn reader() -> ReaderKey {
    ReaderKey::generate(&mut OsRng)
}

#[tokio::test]
async fn an_approved_read_gets_a_share_and_a_statement_that_others_can_check() {
    let disk = FakeDisk::default();
    let world = World::new(disk.clone(), Some(committee().guard(1)), NOW_MS);
    let guard = world.authority.key().unwrap();
    let (wrapped, reader) = (wrapped(guard.manifest().custody_key(), "a"), reader());
    let request = world.request(&wrapped, certificates(&wrapped, &reader, 1, NOW_MS));
    let released = world.authority.reencrypt(COORDINATOR, &request).await.unwrap();

    let context = Context::new(guard.manifest(), &wrapped, ApproveId([1; 32]), &reader.public()).unwrap();
    assert_eq!(
        verify_share(&context, &released.share).unwrap().index(),
        guard.index()
    );
    let statement = released.statement;
    statement
        .verify(&PublicKey::from_bytes(&world.identity.public_key()).unwrap())
        .unwrap();
    assert_eq!(statement.share_digest, released.share.digest());
    assert_eq!(statement.manifest_digest, guard.manifest().digest());
    assert_eq!((statement.index, statement.time_ms), (guard.index(), NOW_MS));
    assert_eq!(statement.approve_id, ApproveId([1; 32]));
    assert_eq!(
        (statement.write_id, statement.q),
        (wrapped.write_id(), reader.public())
    );
    assert_eq!((statement.journal_position, statement.repeat), (0, false));
    let (_, head) = world.authority.journal.newest();
    assert_eq!(statement.journal_head, head);

    // The very same request again, through another coordinator's retry: answered, and recorded as a repeat.
    let again = world.authority.reencrypt(COORDINATOR, &request).await.unwrap();
    assert!(again.statement.repeat);
    assert_ne!(again.share, released.share, "c13: a retry takes fresh nonces");
    let releases: Vec<_> = entries(&disk)
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::Release(release) => Some((release.repeat, release.coordinator)),
            _ => None,
        })
        .collect();
    assert_eq!(releases, [(false, COORDINATOR), (true, COORDINATOR)]);
}

#[tokio::test]
async fn p4_an_approval_is_remembered_for_as_long_as_a_clock_within_the_skew_takes_it() {
    let world = World::new(FakeDisk::default(), Some(committee().guard(1)), NOW_MS);
    let key = *world.authority.key().unwrap().manifest().custody_key();
    let (wrapped, reader) = (wrapped(&key, "a"), reader());
    let request = world.request(&wrapped, certificates(&wrapped, &reader, 1, NOW_MS));
    let other = world.request(&wrapped, certificates(&wrapped, &self::reader(), 1, NOW_MS));
    world.authority.reencrypt(COORDINATOR, &request).await.unwrap();
    // A certificate lives 60 s, and clocks may be 5 s apart.
    world.clock.store(NOW_MS + 64_000, Ordering::SeqCst);
    let again = world.authority.reencrypt(COORDINATOR, &request).await.unwrap();
    assert!(again.statement.repeat);
    let refusal = world.authority.reencrypt(COORDINATOR, &other).await.unwrap_err();
    assert_eq!(refusal.code(), "approval_used");
}

#[tokio::test]
async fn d10_an_approval_that_was_forgotten_does_not_come_back_when_the_clock_does() {
    let world = World::new(FakeDisk::default(), Some(committee().guard(1)), NOW_MS);
    let key = *world.authority.key().unwrap().manifest().custody_key();
    let wrapped = wrapped(&key, "a");
    let old = world.request(&wrapped, certificates(&wrapped, &reader(), 1, NOW_MS));
    world.authority.reencrypt(COORDINATOR, &old).await.unwrap();
    let later_ms = NOW_MS + 200_000;
    world.clock.store(later_ms, Ordering::SeqCst);
    let new = world.request(&wrapped, certificates(&wrapped, &reader(), 2, later_ms));
    world.authority.reencrypt(COORDINATOR, &new).await.unwrap();
    world.clock.store(NOW_MS + 1, Ordering::SeqCst);
    let refusal = world.authority.reencrypt(COORDINATOR, &old).await.unwrap_err();
    assert_eq!(refusal.code(), "approval_forgotten");
}

#[tokio::test]
async fn releases_repeats_and_refusals_are_counted() {
    let world = World::new(FakeDisk::default(), Some(committee().guard(1)), NOW_MS);
    let key = *world.authority.key().unwrap().manifest().custody_key();
    let wrapped = wrapped(&key, "a");
    let request = world.request(&wrapped, certificates(&wrapped, &reader(), 1, NOW_MS));
    for _ in 0..3 {
        world.authority.reencrypt(COORDINATOR, &request).await.unwrap();
    }
    let _ = world.authority.reencrypt([1; 32], &request).await.unwrap_err();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &world.metrics).unwrap();
    for line in [
        "releases_total{kind=\"First\"} 1",
        "releases_total{kind=\"Repeat\"} 2",
        "refusals_total{code=\"wrong_role\"} 1",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test]
async fn p10_a_refusal_names_its_approval_and_its_asker_in_the_journal() {
    let disk = FakeDisk::default();
    let world = World::new(disk.clone(), Some(committee().guard(1)), NOW_MS);
    let key = *world.authority.key().unwrap().manifest().custody_key();
    let wrapped = wrapped(&key, "a");
    let used = world.request(&wrapped, certificates(&wrapped, &reader(), 1, NOW_MS));
    let other = world.request(&wrapped, certificates(&wrapped, &reader(), 1, NOW_MS));
    world.authority.reencrypt(COORDINATOR, &used).await.unwrap();
    let _ = world.authority.reencrypt(COORDINATOR, &other).await.unwrap_err();
    world.authority.flush_refusals(true);
    drop(world);
    let refused = entries(&disk).into_iter().find_map(|entry| match entry.event {
        Event::Refusals {
            peer,
            code,
            approve_id,
            count,
            ..
        } => Some((peer, code, approve_id, count)),
        _ => None,
    });
    let expected = (
        COORDINATOR,
        "approval_used".to_owned(),
        Some(ApproveId([1; 32])),
        1,
    );
    assert_eq!(refused.unwrap(), expected);
}

#[tokio::test]
async fn p1_nothing_leaves_before_the_journal_is_durable() {
    let (allow, gate) = mpsc::channel();
    let disk = FakeDisk {
        gate: Some(Arc::new(Mutex::new(gate))),
        ..FakeDisk::default()
    };
    allow.send(()).unwrap(); // for the file header
    let world = World::new(disk, Some(committee().guard(1)), NOW_MS);
    let (wrapped, reader) = (
        wrapped(world.authority.key().unwrap().manifest().custody_key(), "a"),
        reader(),
    );
    let request = world.request(&wrapped, certificates(&wrapped, &reader, 1, NOW_MS));
    let mut answer = Box::pin(world.authority.reencrypt(COORDINATOR, &request));
    for _ in 0..100 {
        assert!(futures::poll!(&mut answer).is_pending());
        tokio::task::yield_now().await;
    }
    allow.send(()).unwrap();
    assert!(answer.await.is_ok());
}

#[tokio::test]
async fn e4_a_node_that_cannot_record_releases_nothing() {
    let disk = FakeDisk::default();
    let world = World::new(disk.clone(), Some(committee().guard(1)), NOW_MS);
    let (wrapped, reader) = (
        wrapped(world.authority.key().unwrap().manifest().custody_key(), "a"),
        reader(),
    );
    let request = world.request(&wrapped, certificates(&wrapped, &reader, 1, NOW_MS));
    assert!(world.authority.serving().unwrap().is_some());
    disk.platter.lock().unwrap().broken = true;
    let refusal = world
        .authority
        .reencrypt(COORDINATOR, &request)
        .await
        .unwrap_err();
    assert_eq!(refusal.code(), "journal");
    // Nor do the other nodes count it among those that serve.
    assert!(world.authority.serving().is_err());
    disk.platter.lock().unwrap().broken = false;
    let refusal = world
        .authority
        .reencrypt(COORDINATOR, &request)
        .await
        .unwrap_err();
    assert_eq!(
        refusal.code(),
        "journal",
        "a disk that has failed is not trusted again"
    );
}

#[tokio::test]
async fn d11_p4_p5_an_approval_is_good_for_one_use_across_a_restart() {
    let disk = FakeDisk::default();
    let committee = committee();
    let key = *committee.common_key().manifest.custody_key();
    let (first, second, reader, other_reader) = (wrapped(&key, "a"), wrapped(&key, "b"), reader(), reader());
    for restarted in [false, true] {
        let now_ms = NOW_MS + u64::from(restarted) * 1_000;
        let storage = FakeDisk::holding(&disk.bytes());
        let world = World::new(
            if restarted { storage } else { disk.clone() },
            Some(committee.guard(1)),
            now_ms,
        );
        let same = world.request(&first, certificates(&first, &reader, 1, NOW_MS));
        let released = world.authority.reencrypt(COORDINATOR, &same).await.unwrap();
        assert_eq!(released.statement.repeat, restarted);
        // Organisations that lie together may certify anything under that approveID; the node remembers.
        let others = [
            world.request(&first, certificates(&first, &other_reader, 1, NOW_MS)),
            world.request(&second, certificates(&second, &reader, 1, NOW_MS)),
        ];
        for other in others {
            let refusal = world.authority.reencrypt(COORDINATOR, &other).await.unwrap_err();
            assert_eq!(refusal.code(), "approval_used");
        }
    }
}

#[tokio::test]
async fn p5_d13_an_approval_used_under_one_epoch_is_good_for_the_same_read_alone_under_the_next() {
    let mut committee = committee();
    let old = committee.guard(1);
    let id = committee.wish(1, &resharing(2, &[1, 2, 3]));
    committee.run_on(id);
    let new = committee.guard(1);
    assert_eq!((old.manifest().epoch(), new.manifest().epoch()), (1, 2));

    let world = World::new(FakeDisk::default(), Some(old), NOW_MS);
    let key = *committee.common_key().manifest.custody_key();
    let (first, second, reader, other_reader) = (wrapped(&key, "a"), wrapped(&key, "b"), reader(), reader());
    let same = world.request(&first, certificates(&first, &reader, 1, NOW_MS));
    let before = world.authority.reencrypt(COORDINATOR, &same).await.unwrap();

    world.authority.hand_over(Some(Arc::new(new)), true);
    let next = world.request(&first, certificates(&first, &reader, 1, NOW_MS));
    assert_ne!(next.manifest_digest, same.manifest_digest);
    for other in [
        world.request(&first, certificates(&first, &other_reader, 1, NOW_MS)),
        world.request(&second, certificates(&second, &reader, 1, NOW_MS)),
    ] {
        let refusal = world.authority.reencrypt(COORDINATOR, &other).await.unwrap_err();
        assert_eq!(refusal.code(), "approval_used");
    }
    let after = world.authority.reencrypt(COORDINATOR, &next).await.unwrap();
    assert!(after.statement.repeat);
    assert_ne!(after.statement.manifest_digest, before.statement.manifest_digest);
    // Once the old epoch has ended, it is refused by its manifest.
    world.authority.retire();
    let refusal = world.authority.reencrypt(COORDINATOR, &same).await.unwrap_err();
    assert_eq!(refusal.code(), "stale_manifest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn d11_a_hundred_at_once_have_one_first_use() {
    let disk = FakeDisk::default();
    let world = World::new(disk.clone(), Some(committee().guard(1)), NOW_MS);
    let (wrapped, reader) = (
        wrapped(world.authority.key().unwrap().manifest().custody_key(), "a"),
        reader(),
    );
    let same = world.request(&wrapped, certificates(&wrapped, &reader, 1, NOW_MS));
    let other = world.request(&wrapped, certificates(&wrapped, &self::reader(), 1, NOW_MS));
    let attempts = (0..100).map(|number| {
        let (authority, request) = (
            Arc::clone(&world.authority),
            if number % 2 == 0 { &same } else { &other },
        );
        let request = request.clone();
        tokio::spawn(async move { authority.reencrypt(COORDINATOR, &request).await })
    });
    let results: Vec<_> = futures::future::join_all(attempts)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let released: Vec<_> = results.iter().flatten().collect();
    assert_eq!(released.len(), 50, "one of the two, and it alone");
    assert!(
        released
            .windows(2)
            .all(|pair| pair[0].statement.q == pair[1].statement.q)
    );
    assert_eq!(
        released
            .iter()
            .filter(|released| !released.statement.repeat)
            .count(),
        1
    );
}

#[tokio::test]
async fn d10_an_approval_that_expires_while_it_is_recorded_is_withheld() {
    let (allow, gate) = mpsc::channel();
    let disk = FakeDisk {
        gate: Some(Arc::new(Mutex::new(gate))),
        ..FakeDisk::default()
    };
    allow.send(()).unwrap();
    let world = World::new(disk.clone(), Some(committee().guard(1)), NOW_MS);
    let (wrapped, reader) = (
        wrapped(world.authority.key().unwrap().manifest().custody_key(), "a"),
        reader(),
    );
    let request = world.request(&wrapped, certificates(&wrapped, &reader, 1, NOW_MS));
    let mut answer = Box::pin(world.authority.reencrypt(COORDINATOR, &request));
    assert!(futures::poll!(&mut answer).is_pending());
    // Stopped for five minutes between the check and the release.
    world.clock.store(NOW_MS + 300_000, Ordering::SeqCst);
    (0..10).for_each(|_| allow.send(()).unwrap());
    let refusal = answer.await.unwrap_err();
    assert!(
        matches!(refusal, Refusal::Approval(approval::Refusal::NoLongerValid)),
        "{refusal}"
    );
    drop(world);
    let withheld = |entry: &Entry| entry.event == Event::Withheld { position: 0 };
    assert!(entries(&disk).iter().any(withheld));
}

#[tokio::test]
async fn each_check_has_its_refusal_and_is_recorded() {
    let disk = FakeDisk::default();
    let committee = committee();
    let world = World::new(disk.clone(), Some(committee.guard(1)), NOW_MS);
    let key = *committee.common_key().manifest.custody_key();
    let (mine, other, reader) = (wrapped(&key, "a"), wrapped(&key, "b"), reader());
    let good = || world.request(&mine, certificates(&mine, &reader, 1, NOW_MS));
    let foreign = super::world::committee().common_key();
    let elsewhere = wrapped(foreign.manifest.custody_key(), "a");
    let with = |change: &dyn Fn(&mut proto::custody::ReencryptRequest)| {
        let mut request = good();
        change(&mut request);
        request
    };
    let cases = [
        (
            "stale_manifest",
            with(&|request| request.manifest_digest = vec![0; 32]),
        ),
        ("stale_manifest", with(&|request| request.manifest_digest.clear())),
        ("too_large", with(&|request| request.wrapped_key = vec![0; 513])),
        ("malformed", with(&|request| request.wrapped_key = vec![0; 512])),
        ("malformed", with(&|request| request.wrapped_key.truncate(20))),
        // C4: another wrapped key under an approval; P5, D13: one of another committee.
        (
            "label_mismatch",
            with(&|request| request.wrapped_key = other.to_bytes()),
        ),
        (
            "other_key",
            with(&|request| request.wrapped_key = elsewhere.to_bytes()),
        ),
        (
            "policy_not_satisfied",
            with(&|request| request.certificates.truncate(1)),
        ),
        ("no_certificates", with(&|request| request.certificates.clear())),
        (
            "certificate_expired",
            world.request(&mine, certificates(&mine, &reader, 1, NOW_MS - 200_000)),
        ),
    ];
    for (code, request) in &cases {
        let refusal = world.authority.reencrypt(COORDINATOR, request).await.unwrap_err();
        let found = refusal.code();
        let expected =
            found == *code || matches!(refusal, Refusal::Approval(_)) && code_of_approval(code, &refusal);
        assert!(expected, "{code}: {refusal} ({found})");
        let status = tonic::Status::from(refusal);
        assert!(
            status.message().starts_with(&format!("refused: {found}: ")),
            "{}",
            status.message()
        );
    }
    assert_eq!(
        world
            .authority
            .reencrypt([1; 32], &good())
            .await
            .unwrap_err()
            .code(),
        "wrong_role"
    );
    world.authority.reencrypt(COORDINATOR, &good()).await.unwrap();
    world.authority.flush_refusals(true);
    drop(world);
    let counted: u32 = entries(&disk)
        .iter()
        .map(|entry| match &entry.event {
            Event::Refusals { count, .. } => *count,
            _ => 0,
        })
        .sum();
    assert_eq!(usize::try_from(counted).unwrap(), cases.len() + 1);
}

/// The approval crate names its own codes; here it matters that the right check refused.
fn code_of_approval(case: &str, refusal: &Refusal) -> bool {
    let Refusal::Approval(refusal) = refusal else {
        return false;
    };
    match case {
        "label_mismatch" => matches!(refusal, approval::Refusal::Label),
        "policy_not_satisfied" => matches!(refusal, approval::Refusal::PolicyNotSatisfied { .. }),
        "no_certificates" => matches!(refusal, approval::Refusal::NoCertificates),
        _ => false,
    }
}

#[tokio::test]
async fn c12_a_coordinator_over_its_rate_costs_no_cryptography() {
    let rate = RateLimit::new(1, 2, 1);
    let disk = FakeDisk::default();
    let world = World::with_rate(disk.clone(), Some(committee().guard(1)), NOW_MS, rate);
    let empty = proto::custody::ReencryptRequest::default();
    for expected in ["stale_manifest", "stale_manifest", "rate_limited"] {
        let refusal = world.authority.reencrypt(COORDINATOR, &empty).await.unwrap_err();
        assert_eq!(refusal.code(), expected);
    }
    for _ in 0..10_000 {
        let _ = world.authority.reencrypt(COORDINATOR, &empty).await.unwrap_err();
    }
    drop(world);
    assert!(entries(&disk).len() <= 4, "a flood of refusals fills the journal");
}

#[tokio::test]
async fn a_node_without_a_key_says_so() {
    let world = World::new(FakeDisk::default(), None, NOW_MS);
    let refusal = world
        .authority
        .reencrypt(COORDINATOR, &Default::default())
        .await
        .unwrap_err();
    assert_eq!(refusal.code(), "no_key");
}
