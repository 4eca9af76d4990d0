//! Four endorsers of four organisations on the loopback interface: real consensus, real TLS, real disks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;
mod network;

use approval::Limits;
use golden_record::{
    DenialReason, DocumentVersion, Entry, EntryProof, FinalityEvidence, Genesis, Header, Outcome, Transaction,
};
use proto::ledger::{
    GetCommitteeRequest, GetDocumentRequest, GetStatusRequest, GetTransactionRequest,
    ListTransactionsRequest, RequestReadRequest, SubmitRequest,
};
use threshold::encoding::Canonical;
use tonic::Code;

use quorate_ledger_endorser as ledger_endorser;

use common::{DOCUMENT, key};
use network::{Network, code};

const ALL: [usize; 4] = [0, 1, 2, 3];

fn entry(bytes: &[u8]) -> Entry {
    Entry::from_bytes(bytes).unwrap()
}

async fn read_everywhere(network: &Network, read: &Transaction) -> Vec<proto::ledger::RequestReadResponse> {
    let asked = ALL.map(|index| network.request_read(index, read));
    futures::future::join_all(asked)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_approved_by_every_organisation_and_proven() {
    let network = Network::started().await;
    network.lay_foundation().await;
    let read = network.world.request_read();
    let answers = read_everywhere(&network, &read).await;
    let first = answers[0].entry.clone().unwrap();
    assert!(matches!(entry(&first.entry).outcome, Outcome::Approved { .. }));
    let mut certificates = Vec::new();
    for answer in &answers {
        assert_eq!(answer.entry.as_ref().unwrap(), &first);
        certificates.push(answer.approval.clone().unwrap().certificate);
    }
    let document = DocumentVersion::from_bytes(&answers[0].approval.clone().unwrap().document).unwrap();
    let now_ms = network.now_ms();
    let approved = approval::check(
        &certificates,
        document.wrapped_key.as_ref().unwrap(),
        &network.trust(),
        now_ms,
        &Limits::default(),
    );
    assert_eq!(approved.unwrap().organisations().len(), 4);

    // Asked again, by another connection too, it is the same entry: on the chain once.
    let again = network.request_read(2, &read).await.unwrap();
    assert_eq!(again.entry.unwrap(), first);
    let mut auditor = network.client(3, &network.world.auditor);
    let request = GetTransactionRequest {
        tx_id: read.tx_id().0.to_vec(),
        with_proof: true,
    };
    let answer = network
        .until("evidence", async || {
            auditor.get_transaction(request.clone()).await.ok()
        })
        .await;
    let answer = answer.into_inner();
    let proof = EntryProof::from_bytes(&answer.proof).unwrap();
    let header = proof
        .verify(&network.world.genesis, &entry(&answer.entry.unwrap().entry))
        .unwrap();
    assert_eq!((header.height, header.time_ms), (first.height, first.time_ms));
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_read_is_on_the_chain_and_gets_no_certificate() {
    let network = Network::started().await;
    network.lay_foundation().await;
    let world = &network.world;
    let denied = world.request_read_by("writer", &world.writer, world.now_ms + 300_000);
    for answer in read_everywhere(&network, &denied).await {
        assert_eq!(
            entry(&answer.entry.unwrap().entry).outcome,
            Outcome::Denied(DenialReason::NotAReader)
        );
        assert!(answer.approval.is_none());
    }
    let stranger = world.request_read_by("reader", &key("stranger"), world.now_ms + 300_000);
    let refused = network.request_read(0, &stranger).await.unwrap_err();
    assert_eq!(
        (refused.code(), code(&refused)),
        (Code::PermissionDenied, "unknown_author".into())
    );
    let mut reader = network.client(0, &world.reader);
    let tenant = world.create_tenant("south", &key("south")).to_bytes();
    let refused = reader
        .request_read(RequestReadRequest { transaction: tenant })
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), code(&refused)),
        (Code::InvalidArgument, "not_a_read".into())
    );
    let refused = reader
        .request_read(RequestReadRequest {
            transaction: vec![1, 2, 3],
        })
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), code(&refused)),
        (Code::InvalidArgument, "malformed".into())
    );
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_submitted_through_one_is_read_back_at_another() {
    let network = Network::started().await;
    network.lay_foundation().await;
    let world = &network.world;
    let tenant = world.create_tenant("south", &key("south"));
    let first = network.submit(1, &tenant).await.unwrap();
    // E: the same transaction at the same time at all is one entry.
    for index in ALL {
        assert_eq!(network.submit(index, &tenant).await.unwrap(), first);
    }
    let mut auditor = network.client(2, &world.auditor);
    let page = auditor
        .list_transactions(ListTransactionsRequest { from: 0, limit: 0 })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(page.log_size, 9);
    assert_eq!(
        page.entries.iter().map(|entry| entry.index).collect::<Vec<_>>(),
        (0..9).collect::<Vec<_>>()
    );
    assert_eq!(page.entries[8].entry, first.entry);

    // Three validators are enough to begin, so that the third other one may join a little later.
    let status = network
        .until("all others are connected", async || {
            let status = auditor
                .clone()
                .get_status(GetStatusRequest {})
                .await
                .unwrap()
                .into_inner();
            (status.peers_connected == 3).then_some(status)
        })
        .await;
    assert_eq!(Genesis::from_bytes(&status.genesis).unwrap(), world.genesis);
    assert!(Header::from_bytes(&status.header).unwrap().height >= first.height);
    FinalityEvidence::from_bytes(&status.evidence)
        .unwrap()
        .verify(&world.genesis)
        .unwrap();
    assert_eq!(status.organisation, "gamma");

    let manifest = auditor
        .get_committee(GetCommitteeRequest { key_id: Vec::new() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(manifest.manifest, world.committee.signed.to_bytes());
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sees_what_it_may() {
    let network = Network::started().await;
    network.lay_foundation().await;
    let world = &network.world;
    let south = key("south");
    network
        .submit(0, &world.create_tenant("south", &south))
        .await
        .unwrap();
    let everything = ListTransactionsRequest {
        from: 0,
        limit: 1_000,
    };
    let indices = async |who| {
        let page = network
            .client(0, who)
            .list_transactions(everything)
            .await
            .unwrap()
            .into_inner();
        page.entries.iter().map(|entry| entry.index).collect::<Vec<_>>()
    };
    assert_eq!(indices(&world.auditor).await, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(indices(&world.tenant_admin).await, [1, 2, 3, 4, 7]);
    // A user: what is about it, and the datasets in which it has a role.
    assert_eq!(indices(&world.reader).await, [3, 4, 7]);
    assert_eq!(indices(&south).await, [8]);

    let mut stranger = network.client(0, &key("stranger"));
    let refused = stranger.list_transactions(everything).await.unwrap_err();
    assert_eq!(
        (refused.code(), code(&refused)),
        (Code::PermissionDenied, "forbidden".into())
    );
    let document = GetDocumentRequest {
        tenant: "north".into(),
        dataset: "loans".into(),
        document: DOCUMENT.into(),
        version: 0,
    };
    let mut reader = network.client(0, &world.reader);
    let found = reader.get_document(document.clone()).await.unwrap().into_inner();
    assert_eq!(DocumentVersion::from_bytes(&found.document).unwrap().version, 1);
    let missing = GetDocumentRequest {
        version: 2,
        ..document.clone()
    };
    assert_eq!(
        reader.get_document(missing).await.unwrap_err().code(),
        Code::NotFound
    );
    let refused = network
        .client(0, &south)
        .get_document(document)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    // What concerns another tenant is to a tenant as if it did not exist.
    let of_south = network
        .client(0, &world.auditor)
        .list_transactions(everything)
        .await
        .unwrap()
        .into_inner();
    let tx_id = entry(&of_south.entries[8].entry).transaction.tx_id().0.to_vec();
    let refused = reader
        .get_transaction(GetTransactionRequest {
            tx_id,
            with_proof: false,
        })
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_document_is_given_to_nobody() {
    let network = Network::started().await;
    network.lay_foundation().await;
    let world = &network.world;
    let erase = golden_record::Body::EraseDocument {
        tenant: "north".parse().unwrap(),
        dataset: "loans".parse().unwrap(),
        document: DOCUMENT.parse().unwrap(),
        version: 0,
    };
    network
        .submit(0, &world.sign(&world.writer, erase))
        .await
        .unwrap();
    for who in [&world.reader, &world.writer, &world.auditor] {
        let document = GetDocumentRequest {
            tenant: "north".into(),
            dataset: "loans".into(),
            document: DOCUMENT.into(),
            version: 1,
        };
        let refused = network.client(0, who).get_document(document).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
    }
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_permissions_of_every_height_can_be_asked_for() {
    let network = Network::started().await;
    network.lay_foundation().await;
    let world = &network.world;
    let before = network
        .submit(0, &world.create_tenant("south", &key("south")))
        .await
        .unwrap()
        .height;
    let after = network.submit(0, &world.revoke_reader()).await.unwrap().height;
    let ask = |role: &str, height| proto::ledger::GetPermissionsRequest {
        tenant: "north".into(),
        dataset: "loans".into(),
        role: role.into(),
        height,
        after: String::new(),
    };
    let mut writer = network.client(0, &world.writer);
    for (height, version, readers) in [(before, 1, vec!["reader"]), (after, 2, vec![]), (0, 2, vec![])] {
        let found = writer
            .get_permissions(ask("reader", height))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            (found.users, found.next),
            (readers.iter().map(ToString::to_string).collect(), String::new())
        );
        let dataset = golden_record::Dataset::from_bytes(&found.dataset).unwrap();
        assert_eq!(dataset.version, version);
        assert!(found.height >= height);
    }
    let code_of = |refused: Result<tonic::Response<proto::ledger::GetPermissionsResponse>, tonic::Status>| {
        refused.unwrap_err().code()
    };
    for (request, code) in [
        (ask("reader", 1), Code::NotFound),
        (ask("reader", u64::MAX), Code::NotFound),
        (ask("king", 0), Code::InvalidArgument),
    ] {
        assert_eq!(code_of(writer.get_permissions(request).await), code);
    }
    for who in [&world.reader, &key("south")] {
        let refused = network
            .client(0, who)
            .get_permissions(ask("reader", before))
            .await;
        assert_eq!(
            code_of(refused),
            Code::PermissionDenied,
            "no role now, or another tenant"
        );
    }
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_endorser_may_be_away_and_catches_up() {
    let mut network = Network::started().await;
    network.lay_foundation().await;
    network.stop(3).await;
    let read = network.world.request_read();
    for index in [0, 1, 2] {
        assert!(
            network
                .request_read(index, &read)
                .await
                .unwrap()
                .approval
                .is_some()
        );
    }
    network.start(3).await;
    let answer = network
        .until("the read is there", async || {
            network.request_read(3, &read).await.ok()
        })
        .await;
    assert!(answer.approval.is_some());
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endorser_that_comes_late_to_a_new_chain_votes_at_once() {
    let mut network = Network::new();
    for index in [0, 1, 2] {
        network.start(index).await;
    }
    let [first, second, ..] = &network.world.foundation()[..] else {
        panic!("a foundation of several transactions");
    };
    let (first, second) = (first.clone(), second.clone());
    network
        .until("final by three", async || network.submit(0, &first).await.ok())
        .await;
    network.start(3).await;
    // One of the four may be away, so that the fourth must vote, however short a time it has followed the chain.
    network.stop(1).await;
    network
        .until("final by the late one and two", async || {
            network.submit(3, &second).await.ok()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e10_a_wiped_endorser_gets_the_chain_from_the_others() {
    let mut network = Network::started().await;
    network.lay_foundation().await;
    let read = network.world.request_read();
    network.request_read(0, &read).await.unwrap();
    network.stop(1).await;
    network.wipe(1);
    network.start(1).await;
    let answer = network
        .until("the read is there", async || {
            network.request_read(1, &read).await.ok()
        })
        .await;
    assert!(answer.approval.is_some());
    let next = network.world.request_read();
    assert!(network.request_read(1, &next).await.unwrap().approval.is_some());
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e10_an_endorser_that_moves_with_its_keys_to_an_empty_machine_gets_the_chain_and_votes() {
    let mut network = Network::started().await;
    network.lay_foundation().await;
    let read = network.world.request_read();
    let before = network.request_read(0, &read).await.unwrap().entry;
    network.stop(3).await;
    network.move_away(3);
    network.start(3).await;
    let answer = network
        .until("the read is there", async || {
            network.request_read(3, &read).await.ok()
        })
        .await;
    assert_eq!(answer.entry, before);
    assert!(answer.approval.is_some());
    // It votes when the chain is past all that it can have voted on before it moved; then one of the others may be away.
    for _ in 0..16 {
        let more = network.world.request_read();
        network.request_read(1, &more).await.unwrap();
    }
    network.stop(0).await;
    let after = network
        .until("final by the moved one and two", async || {
            let next = network.world.request_read();
            network.request_read(3, &next).await.ok()
        })
        .await;
    assert!(after.approval.is_some());
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e7_an_endorser_cut_off_from_the_others_approves_nothing_and_says_how_old_it_is() {
    let mut network = Network::new().with_limits(|limits| {
        limits.submit_deadline_ms = 500;
        limits.stale_after_ms = 1_500;
    });
    network.start_all().await;
    network.lay_foundation().await;
    for index in [1, 2, 3] {
        network.stop(index).await;
    }
    let read = network.world.request_read();
    let refused = network.request_read(0, &read).await.unwrap_err();
    assert_eq!(
        (refused.code(), code(&refused)),
        (Code::DeadlineExceeded, "not_final_in_time".into())
    );
    let mut auditor = network.client(0, &network.world.auditor);
    let request = GetTransactionRequest {
        tx_id: read.tx_id().0.to_vec(),
        with_proof: false,
    };
    let stale = network.until("it notices", async || {
        auditor
            .get_transaction(request.clone())
            .await
            .err()
            .filter(|status| code(status) == "stale")
    });
    assert_eq!(stale.await.code(), Code::Unavailable);
    network
        .until("it is not ready", async || {
            (!network.is_ready(0).await).then_some(())
        })
        .await;
    let mut auditor = network.client(0, &network.world.auditor);
    let status = network.until("its peers are gone", async || {
        let status = auditor
            .get_status(GetStatusRequest {})
            .await
            .unwrap()
            .into_inner();
        (status.peers_connected == 0).then_some(status)
    });
    assert_eq!(status.await.pending, 1);
    // With the others back, the request that waited is decided, once.
    for index in [1, 2, 3] {
        network.start(index).await;
    }
    let answer = network
        .until("it is decided", async || {
            network.request_read(0, &read).await.ok()
        })
        .await;
    assert!(answer.approval.is_some());
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_may_stop_and_go_on_where_they_were() {
    let mut network = Network::started().await;
    network.lay_foundation().await;
    let read = network.world.request_read();
    let before = network.request_read(0, &read).await.unwrap().entry.unwrap();
    for index in ALL {
        network.stop(index).await;
    }
    for index in ALL {
        network.start(index).await;
    }
    let after = network
        .until("it is there", async || network.request_read(2, &read).await.ok())
        .await;
    assert_eq!(after.entry.unwrap(), before);
    let next = network.world.request_read();
    assert!(network.request_read(1, &next).await.unwrap().approval.is_some());
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_starts_again_at_once_finds_the_store_free() {
    let mut network = Network::new();
    network.start(0).await;
    // Alone it makes nothing final, so that this request is still there when the time for the others is over.
    let request = SubmitRequest {
        transaction: network.world.foundation().remove(0).to_bytes(),
    };
    let mut client = network.client(0, &network.world.admin);
    let waiting = tokio::spawn(async move { client.submit(request).await });
    let mut auditor = network.client(0, &network.world.auditor);
    network
        .until("it waits", async || {
            let status = auditor.get_status(GetStatusRequest {}).await.ok()?;
            (status.into_inner().pending == 1).then_some(())
        })
        .await;
    network.stop(0).await;
    let path = network.config(0).directory.join("ledger.redb");
    ledger_endorser::store::Store::open(&path, &network.world.genesis, 1 << 20).unwrap();
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_an_endorser_with_anothers_keys_does_not_start() {
    let network = Network::new();
    let mut config = network.config(0);
    config.keys = network.config(1).keys;
    let error = ledger_endorser::run(config, std::future::pending())
        .await
        .unwrap_err();
    assert!(format!("{error:#}").contains("belongs elsewhere"), "{error:#}");
    let mut config = network.config(0);
    config.peers.pop_first();
    let error = ledger_endorser::run(config, std::future::pending())
        .await
        .unwrap_err();
    assert!(
        format!("{error:#}").contains("no address for the validator"),
        "{error:#}"
    );
}
