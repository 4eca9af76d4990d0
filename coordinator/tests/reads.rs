//! Re-encryption through a whole coordinator, with nodes that lie, hang, die and disagree.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use proto::coordinator::FaultKind;
use quorate_coordinator::LimitsConfig;
use rand_core::OsRng;
use support::{ApprovedRead, Behaviour, Cluster, T, eventually, late_after, unhurried};
use threshold::committee::SignedManifest;
use threshold::encoding::{Canonical, Reader};
use threshold::reencrypt::{ReencryptionShare, ShareFault, verify_share};
use threshold::testing::TestCommittee;
use tonic::Code;

#[tokio::test]
async fn honest_nodes_open_a_document_to_its_reader() {
    let cluster = Cluster::start().await;
    let read = cluster.read();
    let response = cluster.reencrypt(&read).await.unwrap();
    read.open(cluster.manifest(), &response);
    assert_eq!(response.shares.len(), usize::from(T));
    assert!(response.faults.is_empty());
    assert_eq!(cluster.asked(), [1, 1, 1, 0, 0]);
    let known = cluster.status().await.nodes;
    let known: Vec<bool> = known.iter().map(|node| node.latency_seconds > 0.0).collect();
    assert_eq!(known, [true, true, true, false, false]);
}

#[tokio::test]
async fn c8_liars_first_do_not_block_a_read_and_are_named() {
    for behaviour in [
        Behaviour::LyingShare,
        Behaviour::WrongReader,
        Behaviour::ForgedStatement,
        Behaviour::StatementOfAnother,
        Behaviour::StatementOfAnotherShare,
        Behaviour::Copied,
        Behaviour::Malformed,
    ] {
        let cluster = Cluster::start().await;
        // Of nodes that nothing is known of, the first are asked first.
        cluster.behave(&[1, 2], behaviour.clone());
        let read = cluster.read();
        let response = cluster.reencrypt(&read).await.unwrap();
        read.open(cluster.manifest(), &response);
        let named: Vec<u32> = response.faults.iter().map(|fault| fault.index).collect();
        assert_eq!(named, [1, 2], "{behaviour:?}");
        assert!(
            response
                .faults
                .iter()
                .all(|fault| fault.kind() == FaultKind::Invalid),
            "{behaviour:?}"
        );
        let status = cluster.status().await;
        let invalid: Vec<u64> = status
            .nodes
            .iter()
            .map(|node| node.invalid_answers_total)
            .collect();
        assert_eq!(invalid, [1, 1, 0, 0, 0], "{behaviour:?}");
    }
}

#[tokio::test]
async fn p9_the_evidence_of_a_lie_convinces_a_third_party() {
    let cluster = Cluster::start().await;
    cluster.behave(&[1], Behaviour::WrongReader);
    let read = cluster.read();
    let response = cluster.reencrypt(&read).await.unwrap();
    let mut evidence = Reader::new(&response.faults[0].evidence);
    let share = ReencryptionShare::from_bytes(evidence.bytes(512).unwrap()).unwrap();
    let statement = threshold::statement::ReleaseStatement::from_bytes(evidence.bytes(512).unwrap()).unwrap();
    evidence.finish().unwrap();
    // The node has signed that it gave this share for this read, and its proof does not hold.
    let member = cluster.manifest().member(share.index()).unwrap();
    statement.verify(&member.identity).unwrap();
    assert_eq!(statement.share_digest, share.digest());
    let culprit = verify_share(&read.context(cluster.manifest()), &share).unwrap_err();
    assert_eq!((culprit.index.get(), culprit.fault), (1, ShareFault::Proof));
}

#[tokio::test]
async fn a_liar_too_many_is_not_outvoted() {
    let cluster = Cluster::start().await;
    cluster.behave(&[1, 3, 5], Behaviour::LyingShare);
    let status = cluster.reencrypt(&cluster.read()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    for name in ["node-1", "node-3", "node-5"] {
        assert!(status.message().contains(name), "{}", status.message());
    }
    assert!(
        status.message().starts_with("2 valid shares of 3 needed"),
        "{}",
        status.message()
    );
}

#[tokio::test]
async fn p3_hung_nodes_are_hedged_and_then_avoided() {
    let cluster = Cluster::start_with(late_after(2_000)).await;
    cluster.behave(&[1, 2], Behaviour::Hung);
    let read = cluster.read();
    read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
    let asked = cluster.nodes[0].asked();
    for _ in 0..3 {
        let read = cluster.read();
        read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
    }
    assert_eq!(cluster.nodes[0].asked(), asked);
}

#[tokio::test]
async fn p3_dead_nodes_are_replaced() {
    let mut cluster = Cluster::start().await;
    for node in &mut cluster.nodes[..2] {
        node.kill().await;
    }
    let read = cluster.read();
    let response = cluster.reencrypt(&read).await.unwrap();
    read.open(cluster.manifest(), &response);
    assert!(
        response
            .faults
            .iter()
            .all(|fault| fault.kind() == FaultKind::Unreachable)
    );
    let unreachable = cluster
        .status()
        .await
        .nodes
        .iter()
        .filter(|node| !node.reachable)
        .count();
    assert_eq!(unreachable, 2);
}

#[tokio::test]
async fn p3_one_dead_one_hung_and_a_third_that_comes_round() {
    let mut cluster = Cluster::start_with(late_after(100)).await;
    cluster.nodes[0].kill().await;
    cluster.behave(&[2], Behaviour::Hung);
    cluster.behave(&[3], Behaviour::Flaky(1));
    let read = cluster.read();
    read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
}

#[tokio::test]
async fn a_node_that_comes_round_is_asked_again_when_nobody_else_is_left() {
    let mut cluster = Cluster::start_with(late_after(100)).await;
    for node in &mut cluster.nodes[..2] {
        node.kill().await;
    }
    cluster.behave(&[3], Behaviour::Flaky(1));
    let read = cluster.read();
    read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
    assert_eq!(cluster.asked()[2], 2);
}

#[tokio::test]
async fn who_cannot_be_reached_is_tried_three_times() {
    let cluster = Cluster::start_with(late_after(100)).await;
    cluster.behave(&[2, 3, 5], Behaviour::Flaky(usize::MAX));
    let status = cluster.reencrypt(&cluster.read()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    eventually("the requests of all were seen", async || {
        cluster.asked().iter().sum::<usize>() >= 11
    })
    .await;
    assert_eq!(cluster.asked(), [1, 3, 3, 1, 3]);
}

#[tokio::test]
async fn no_more_nodes_are_asked_than_shares_are_wanting() {
    let cluster = Cluster::start_with(late_after(2_000)).await;
    cluster.behave(&[1], Behaviour::Hung);
    let read = cluster.read();
    read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
    assert_eq!(cluster.asked(), [1, 1, 1, 1, 0]);
    // The same of those that are asked again, because there are no others.
    let cluster = Cluster::start_with(late_after(2_000)).await;
    cluster.behave(&[1, 2, 3], Behaviour::Flaky(1));
    let read = cluster.read();
    read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
    assert_eq!(cluster.asked(), [2, 1, 1, 1, 1]);
}

#[tokio::test]
async fn c8_who_has_lied_is_asked_after_others() {
    let cluster = Cluster::start().await;
    // Of what does not parse the coordinator does not learn how fast it came: the node would be the first to be asked.
    cluster.behave(&[1], Behaviour::Malformed);
    const READS: usize = 8;
    for _ in 0..READS {
        let read = cluster.read();
        read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
    }
    // How often exactly depends on how fast the others are; each lie keeps it away for longer.
    let asked = cluster.asked()[0];
    assert!((1..READS).contains(&asked), "{asked}");
}

#[tokio::test]
async fn one_read_in_sixteen_asks_the_node_that_was_not_asked_for_longest() {
    let cluster = Cluster::start().await;
    let open = async |count: usize| {
        for _ in 0..count {
            let read = cluster.read();
            read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
        }
    };
    // The first node is known as slow since the first read, the second since the third.
    cluster.behave(&[1], Behaviour::Late(2_000));
    cluster.behave(&[3], Behaviour::Late(500));
    open(1).await;
    cluster.behave(&[1, 3], Behaviour::Honest);
    open(1).await;
    assert_eq!(cluster.asked(), [1, 2, 1, 1, 1]);
    cluster.behave(&[2], Behaviour::Late(5_000));
    open(1).await;
    cluster.behave(&[2], Behaviour::Honest);
    open(12).await;
    assert_eq!(cluster.asked(), [1, 3, 13, 14, 14]);
    open(1).await;
    // Its answer is not waited for.
    eventually("the first is asked too", async || {
        cluster.asked() == [2, 3, 14, 15, 15]
    })
    .await;
}

#[tokio::test]
async fn too_few_nodes_is_unavailable_and_ends_before_the_deadline() {
    let mut cluster = Cluster::start_with(LimitsConfig {
        deadline_ms: 600_000,
        ..late_after(100)
    })
    .await;
    for node in &mut cluster.nodes[..3] {
        node.kill().await;
    }
    let status = cluster.reencrypt(&cluster.read()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    // The two shares that came are of no use, and they were looked at.
    assert!(
        status.message().starts_with("2 valid shares of 3 needed"),
        "{}",
        status.message()
    );
    for node in &mut cluster.nodes[..3] {
        node.restart().await;
    }
    let read = cluster.read();
    read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
}

#[tokio::test]
async fn what_the_nodes_refuse_is_refused_with_their_reason() {
    let cluster = Cluster::start().await;
    cluster.behave(&[1, 2, 3, 4, 5], Behaviour::Refuses("policy_not_satisfied"));
    let status = cluster.reencrypt(&cluster.read()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(
        status.metadata().get("refusal-code").unwrap(),
        "policy_not_satisfied"
    );
    // A no is an answer, and shows how fast the node is; those of the last two need not be waited for.
    eventually("all have said no", async || {
        let status = cluster.status().await;
        status
            .nodes
            .iter()
            .all(|node| node.reachable && node.latency_seconds > 0.0)
    })
    .await;
    // Nobody is asked for it twice.
    assert_eq!(cluster.asked(), [1; 5]);
}

#[tokio::test]
async fn a_node_that_refuses_alone_does_not_block_a_read() {
    let cluster = Cluster::start().await;
    cluster.behave(&[1], Behaviour::Refuses("rate_limited"));
    let read = cluster.read();
    let response = cluster.reencrypt(&read).await.unwrap();
    read.open(cluster.manifest(), &response);
    assert_eq!(response.faults[0].kind(), FaultKind::Refused);
}

/// The same committee an epoch later.
fn next_epoch(committee: &TestCommittee) -> SignedManifest {
    let old = committee.manifest();
    let members = old.members().to_vec();
    let manifest = old.next(old.threshold(), members).unwrap();
    let signatures = committee
        .identities
        .iter()
        .map(|identity| manifest.sign(identity))
        .collect();
    SignedManifest { manifest, signatures }
}

#[tokio::test]
async fn a_stale_manifest_is_replaced_while_the_client_waits() {
    let limits = LimitsConfig {
        committee_refresh_ms: 3_600_000,
        ..unhurried()
    };
    let cluster = Cluster::start_with(limits).await;
    cluster.ready().await;
    let next = next_epoch(&cluster.committee);
    for node in &cluster.nodes {
        node.adopt(&cluster.committee, &next);
    }
    cluster.endorsers[0].publish(&next);
    let read = cluster.read();
    // Questions to endorsers are rationed, so the first reads may come too soon.
    let mut response = None;
    eventually("the new epoch is used", async || {
        response = cluster.reencrypt(&read).await.ok();
        response.is_some()
    })
    .await;
    read.open(&next.manifest, &response.unwrap());
    // The other endorser still gives the old manifest out: it does not come back.
    let read = cluster.read();
    read.open(&next.manifest, &cluster.reencrypt(&read).await.unwrap());
}

#[tokio::test]
async fn p5_a_custody_key_of_nobody_known_is_refused_before_any_node_is_asked() {
    let cluster = Cluster::start().await;
    let other = TestCommittee::generate(2, 3, &mut OsRng).unwrap();
    let read = ApprovedRead::new(other.manifest());
    let status = cluster.reencrypt(&read).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(cluster.nodes.iter().map(|node| node.asked()).sum::<usize>(), 0);
}

#[tokio::test]
async fn p12_malformed_requests_are_refused_by_field_before_any_node_is_asked() {
    let cluster = Cluster::start().await;
    let read = cluster.read();
    let good = read.request();
    let mut bad_key = good.clone();
    bad_key.wrapped_key[10] ^= 1;
    bad_key.wrapped_key.push(0);
    let mut none = good.clone();
    none.certificates.clear();
    let mut empty = good.clone();
    empty.certificates = vec![Vec::new()];
    let mut many = good.clone();
    many.certificates = vec![read.certificate.clone(); 17];
    let certificates = "certificates";
    for (request, field) in [
        (bad_key, "wrapped_key"),
        (none, certificates),
        (empty, certificates),
        (many, certificates),
    ] {
        let status = cluster.client.clone().reencrypt(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{}", status.message());
    }
    assert_eq!(cluster.nodes.iter().map(|node| node.asked()).sum::<usize>(), 0);
}

#[tokio::test]
async fn p12_what_the_nodes_would_not_take_as_approved_does_not_reach_them() {
    let cluster = Cluster::start().await;
    let (read, other) = (cluster.read(), cluster.read());
    let mut damaged = read.request();
    damaged.certificates[0].truncate(100);
    let mut forged = read.request();
    *forged.certificates[0].last_mut().unwrap() ^= 1;
    let mut another = read.request();
    another.certificates = other.request().certificates;
    let mut twice = read.request();
    twice.certificates = vec![read.certificate.clone(); 2];
    for (request, code) in [
        (damaged, "certificate_der"),
        (forged, "certificate_signature"),
        (another, "wrong_write_id"),
        (twice, "repeated_organisation"),
    ] {
        let status = cluster.client.clone().reencrypt(request).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(status.metadata().get("refusal-code").unwrap(), code);
    }
    assert_eq!(cluster.nodes.iter().map(|node| node.asked()).sum::<usize>(), 0);
    read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
}

#[tokio::test]
async fn f4_an_oversized_message_is_refused() {
    let cluster = Cluster::start().await;
    let mut request = cluster.read().request();
    request.wrapped_key = vec![0; 1 << 20];
    let status = cluster.client.clone().reencrypt(request).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
}

#[tokio::test]
async fn a_full_queue_refuses_and_empties_again() {
    let limits = LimitsConfig {
        in_progress: 1,
        waiting: 1,
        deadline_ms: 5_000,
        ..late_after(100)
    };
    let cluster = Cluster::start_with(limits).await;
    cluster.ready().await;
    cluster.behave(&[1, 2, 3, 4, 5], Behaviour::Hung);
    let reads = [cluster.read(), cluster.read(), cluster.read()];
    let results = futures::future::join_all(reads.iter().map(|read| cluster.reencrypt(read))).await;
    let messages: Vec<String> = results
        .into_iter()
        .map(|result| result.unwrap_err().message().to_owned())
        .collect();
    let count = |words: &str| messages.iter().filter(|message| message.contains(words)).count();
    // One found no place. One found no node that answers, each of which is named. What is left for the third
    // is no turn before its deadline, or one so late that nobody can answer.
    assert_eq!(count("too many requests are waiting"), 1, "{messages:?}");
    assert_eq!(
        count("node-5 5 (unreachable): no answer in time"),
        1,
        "{messages:?}"
    );
    cluster.behave(&[1, 2, 3, 4, 5], Behaviour::Honest);
    let read = cluster.read();
    read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
}

#[tokio::test]
async fn c12_one_peer_over_its_rate_does_not_hinder_another() {
    let limits = LimitsConfig {
        requests_per_second: 1,
        burst: 2,
        ..unhurried()
    };
    let cluster = Cluster::start_with(limits).await;
    let read = cluster.read();
    read.open(cluster.manifest(), &cluster.reencrypt(&read).await.unwrap());
    // So many at once that the second in which one more is due again does not matter.
    let many = futures::future::join_all((0..64).map(|_| cluster.reencrypt(&read))).await;
    let codes: Vec<_> = many.into_iter().filter_map(Result::err).collect();
    assert!(!codes.is_empty());
    for refused in codes {
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    }
    let other = cluster.other_client();
    let read = cluster.read();
    let response = other
        .clone()
        .reencrypt(read.request())
        .await
        .unwrap()
        .into_inner();
    read.open(cluster.manifest(), &response);
}

#[tokio::test]
async fn p17_a_lost_node_is_noticed_without_a_read_and_found_again() {
    let limits = LimitsConfig {
        committee_refresh_ms: 20,
        ..unhurried()
    };
    let mut cluster = Cluster::start_with(limits).await;
    cluster.ready().await;
    let reachable = |status: proto::coordinator::GetCoordinatorStatusResponse| {
        status.nodes.iter().filter(|node| node.reachable).count()
    };
    eventually("all are there", async || reachable(cluster.status().await) == 5).await;
    cluster.nodes[3].kill().await;
    eventually("one is lost", async || reachable(cluster.status().await) == 4).await;
    cluster.nodes[3].restart().await;
    eventually("it is found again", async || {
        reachable(cluster.status().await) == 5
    })
    .await;
    assert_eq!(cluster.nodes.iter().map(|node| node.asked()).sum::<usize>(), 0);
}
