//! No share before the record.

use std::time::Duration;

use approval::{ApprovalFields, Authority};
use client::Error;
use golden_record::Outcome;
use proto::ledger::GetTransactionRequest;
use proto::ledger::ledger_service_client::LedgerServiceClient;
use threshold::encoding::Canonical;
use threshold::ids::BlockHash;
use threshold::name::Name;

use crate::world::{connect, is_turned_away, name, now_ms, read, refusal, signal, until, world};

#[tokio::test]
async fn p1_without_a_quorum_of_endorsers_no_share_leaves_a_node() {
    let mut world = world().await;
    let write_id = world
        .write("p1/no-quorum", b"not without the others")
        .await
        .write_id;
    let alice = world.client(&world.alice).await;
    let before = world.releases_of(write_id);
    for endorser in ["endorser-south", "endorser-west"] {
        world.cluster.kill(endorser).unwrap();
    }
    let asked = world.ask(&world.alice, "alice", "p1/no-quorum", Duration::from_secs(2));
    for answer in world.submit(&world.alice, &asked).await {
        assert!(answer.is_err(), "approved by two of four: {answer:?}");
    }
    assert!(read(&alice, "alice", "p1/no-quorum").await.is_err());
    assert_eq!(world.releases_of(write_id), before);

    // The others are back, and the request that was never final stays so.
    world.heal().await;
    for answer in world.submit(&world.alice, &asked).await {
        assert!(answer.is_err(), "approved after its expiry: {answer:?}");
    }
    assert_eq!(world.releases_of(write_id), before);
    let (content, _) = read(&alice, "alice", "p1/no-quorum").await.unwrap();
    assert_eq!(content, b"not without the others");
    assert_ne!(
        world.releases_of(write_id),
        before,
        "the test looks at the right place"
    );
}

#[tokio::test]
async fn p1_endorsers_killed_before_or_after_a_request_is_final_release_nothing_and_lose_nothing() {
    let mut world = world().await;
    let write_id = world.write("p1/killed", b"at every step").await.write_id;
    let alice = world.client(&world.alice).await;
    let before = world.releases_of(write_id);
    let asked = world.ask(&world.alice, "alice", "p1/killed", Duration::from_secs(300));

    // It waits where it cannot become final, and whoever has it dies.
    for endorser in ["endorser-south", "endorser-west"] {
        world.cluster.kill(endorser).unwrap();
    }
    let dies = async {
        until("two endorsers have the request", async || {
            let statuses = alice.endorser_statuses().await;
            let has_it = |status: &&client::EndorserStatus| status.pending > 0;
            let having = statuses.iter().filter_map(|(_, status)| status.as_ref().ok());
            (having.filter(has_it).count() == 2).then_some(())
        })
        .await;
        for endorser in ["endorser-north", "endorser-east"] {
            signal(world.cluster.pid(endorser).unwrap(), "KILL");
        }
    };
    let (answers, ()) = futures::join!(world.submit(&world.alice, &asked), dies);
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    assert_eq!(world.releases_of(write_id), before);

    // It becomes final, and all die before anybody has an approval of it.
    world.heal().await;
    let alice = world.client(&world.alice).await;
    alice.submit(&asked.transaction).await.unwrap();
    for endorser in [
        "endorser-north",
        "endorser-east",
        "endorser-south",
        "endorser-west",
    ] {
        world.cluster.kill(endorser).unwrap();
    }
    assert_eq!(world.releases_of(write_id), before);

    // The request is on the record, so that each of them approves it all the same.
    world.heal().await;
    let approved = world.approvals(&asked).await;
    let request = world.request(&approved.certificates, &approved.wrapped).await;
    assert_eq!(world.releases_of(write_id), before);
    for node in world.nodes() {
        world.share(&node, &request).await.unwrap();
    }
    assert_ne!(world.releases_of(write_id), before);
}

#[tokio::test]
async fn p1_d2_too_few_organisations_get_no_share_of_any_node() {
    let world = world().await;
    world.write("p1/too-few", b"three are needed").await;
    let approved = world.approved("p1/too-few").await;
    let all = &approved.certificates;
    let twice = [all[0].clone(), all[1].clone(), all[1].clone()];
    for (certificates, code) in [
        (&all[..0], "no_certificates"),
        (&all[..1], "policy_not_satisfied"),
        (&all[2..], "policy_not_satisfied"),
        (&twice[..], "repeated_organisation"),
    ] {
        let request = world.request(certificates, &approved.wrapped).await;
        world.all_refuse(&request, code).await;
    }
    let enough = world.request(&all[..3], &approved.wrapped).await;
    for node in world.nodes() {
        world.share(&node, &enough).await.unwrap();
    }
}

#[tokio::test]
async fn p1_a_denied_read_gets_no_certificate_and_is_on_the_record() {
    let world = world().await;
    let write_id = world.write("p1/denied", b"not for mallory").await.write_id;
    let before = world.releases_of(write_id);
    let asked = world.ask(&world.mallory, "mallory", "p1/denied", Duration::from_secs(30));
    for answer in world.submit(&world.mallory, &asked).await {
        assert!(answer.unwrap().approval.is_none());
    }
    let mallory = world.client(&world.mallory).await;
    let Err(Error::Denied { tx_id, .. }) = read(&mallory, "mallory", "p1/denied").await else {
        panic!("mallory reads");
    };
    assert_eq!(world.releases_of(write_id), before);

    let auditor = world.client(&world.cluster.auditor().unwrap()).await;
    for id in [tx_id, asked.transaction.tx_id()] {
        let line = auditor.prove(&id).await.unwrap().line;
        assert!(matches!(line.entry.outcome, Outcome::Denied(_)));
    }
}

#[tokio::test]
async fn p1_nobody_but_a_coordinator_gets_a_share() {
    let world = world().await;
    world.write("p1/role", b"only through a coordinator").await;
    let approved = world.approved("p1/role").await;
    let request = world.request(&approved.certificates, &approved.wrapped).await;
    let operator = world.cluster.operator("crypto-1").unwrap();
    let status = world.share_as(&operator, "crypto-1", &request).await.unwrap_err();
    assert_eq!(refusal(&status), "wrong_role");
    for stranger in [&world.alice, &world.cluster.operator("crypto-2").unwrap()] {
        let status = world.share_as(stranger, "crypto-1", &request).await.unwrap_err();
        assert!(is_turned_away(&status), "{status}");
    }
}

/// Coordinator and reader together, with everything but the organisations' keys.
#[tokio::test]
async fn e12_d1_a_coordinators_own_word_gets_no_share() {
    let world = world().await;
    world.write("e12/own-word", b"not on a claim").await;
    let alice = world.client(&world.alice).await;
    let document = alice
        .document(
            &name("acme"),
            &name("trials"),
            &"e12/own-word".parse().unwrap(),
            1,
        )
        .await
        .unwrap();
    let wrapped = document.wrapped_key.unwrap();
    let asked = world.ask(&world.alice, "alice", "e12/own-word", Duration::from_secs(30));
    let fields = ApprovalFields {
        approve_id: asked.transaction.tx_id(),
        write_id: wrapped.write_id(),
        q: asked.reader.public(),
        key_id: wrapped.key_id(),
        label: wrapped.label().clone(),
        chain_id: asked.transaction.chain_id,
        height: document.height,
        block_hash: BlockHash([7; 32]),
        policy_version: 1,
    };
    let forged: Vec<Vec<u8>> = ["north", "east", "south"]
        .iter()
        .zip(1u8..)
        .map(|(organisation, seed)| {
            let (organisation, seed): (Name, _) = (name(organisation), [seed; 32]);
            let root = Authority::generate(&organisation, &seed, now_ms()).unwrap();
            let authority = Authority::from_seed(&seed, &root).unwrap();
            authority.issue(&fields, now_ms(), 60).unwrap()
        })
        .collect();
    let request = world.request(&forged, &wrapped).await;
    world.all_refuse(&request, "certificate_unknown_issuer").await;

    // And nothing of it is on the chain.
    let endorser = &world.cluster.profile().endorsers[0];
    let mut rpc = LedgerServiceClient::new(connect(&endorser.address, &endorser.identity, &world.alice));
    let message = GetTransactionRequest {
        tx_id: asked.transaction.tx_id().to_bytes(),
        with_proof: false,
    };
    assert_eq!(
        rpc.get_transaction(message).await.unwrap_err().code(),
        tonic::Code::NotFound
    );
}
