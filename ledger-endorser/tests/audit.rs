//! What auditors ask of four endorsers: checkpoints, proofs that the log only grows, searches.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;
mod network;

use ed25519_dalek::SigningKey;
use golden_record::merkle::{Hash, verify_consistency, verify_inclusion};
use golden_record::{Entry, FinalityEvidence, Header, SignedCheckpoint};
use proto::ledger::{
    GetCheckpointRequest, GetConsistencyProofRequest, ListTransactionsRequest, SearchTransactionsRequest,
    SearchTransactionsResponse,
};
use threshold::encoding::Canonical;
use tonic::{Code, Status};

use common::{DOCUMENT, key};
use network::{Network, code};

fn hashes(path: &[Vec<u8>]) -> Vec<Hash> {
    path.iter()
        .map(|hash| hash.as_slice().try_into().unwrap())
        .collect()
}

/// The checkpoint with so many entries, by one endorser, as soon as it has it.
async fn checkpoint(network: &Network, index: usize, log_size: u64) -> SignedCheckpoint {
    // Nobody's key: a witness need not be admitted.
    let mut witness = network.client(index, &key("witness"));
    let text = network
        .until("it has the block", async || {
            let answer = witness.get_checkpoint(GetCheckpointRequest { log_size }).await;
            answer.ok().map(tonic::Response::into_inner)
        })
        .await
        .checkpoint;
    SignedCheckpoint::parse(text.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn e1_p10_all_sign_the_same_checkpoints_and_prove_that_each_continues_the_last() {
    let network = Network::started().await;
    network.lay_foundation().await;
    let genesis = &network.world.genesis;
    let mut roots = Vec::new();
    for size in [3, 8] {
        let mut merged = checkpoint(&network, 0, size).await;
        assert!(merged.verify(genesis).is_err());
        for index in 1..4 {
            let other = checkpoint(&network, index, size).await;
            assert_eq!(other.checkpoint(), merged.checkpoint());
            assert_eq!(other.signers(genesis).unwrap().organisations.len(), 1);
            merged.merge(&other);
        }
        assert_eq!(merged.verify(genesis).unwrap().organisations.len(), 4);
        assert_eq!(merged.checkpoint().size, size);
        roots.push(merged.checkpoint().root);
    }
    let mut witness = network.client(2, &key("witness"));
    let (old_size, new_size) = (3, 8);
    let proof = GetConsistencyProofRequest { old_size, new_size };
    let path = hashes(
        &witness
            .get_consistency_proof(proof)
            .await
            .unwrap()
            .into_inner()
            .path,
    );
    verify_consistency(3, 8, &path, &roots[0], &roots[1]).unwrap();
    for (old_size, new_size, expected) in [
        (8, 3, Code::InvalidArgument),
        (3, 1_000, Code::NotFound),
        (u64::MAX, u64::MAX, Code::NotFound),
    ] {
        let proof = GetConsistencyProofRequest { old_size, new_size };
        assert_eq!(
            witness.get_consistency_proof(proof).await.unwrap_err().code(),
            expected
        );
    }
    let beyond = GetCheckpointRequest { log_size: 1_000 };
    assert_eq!(
        witness.get_checkpoint(beyond).await.unwrap_err().code(),
        Code::NotFound
    );
    network.stop_all().await;
}

/// What is found of what all endorsers have recorded, every entry with its proof verified.
async fn search(
    network: &Network,
    index: usize,
    who: &SigningKey,
    request: &SearchTransactionsRequest,
) -> Result<SearchTransactionsResponse, Status> {
    let mut client = network.client(index, who);
    let answer = client.search_transactions(request.clone()).await?.into_inner();
    let header = Header::from_bytes(&answer.header).unwrap();
    let evidence = FinalityEvidence::from_bytes(&answer.evidence).unwrap();
    evidence.verify(&network.world.genesis).unwrap();
    assert_eq!(evidence.block_hash(), header.hash());
    for found in &answer.found {
        let line = found.entry.as_ref().unwrap();
        let entry = Entry::from_bytes(&line.entry).unwrap();
        let path = hashes(&found.path);
        verify_inclusion(
            &entry.leaf_hash(),
            line.index,
            header.log_size,
            &path,
            &header.log_root,
        )
        .unwrap();
    }
    Ok(answer)
}

async fn indices(
    network: &Network,
    who: &SigningKey,
    request: &SearchTransactionsRequest,
) -> Result<Vec<u64>, Status> {
    let answer = search(network, 0, who, request).await?;
    assert_eq!(answer.next, Header::from_bytes(&answer.header).unwrap().log_size);
    Ok(answer
        .found
        .iter()
        .map(|found| found.entry.as_ref().unwrap().index)
        .collect())
}

/// The foundation, another tenant, a read that is approved and two that are denied: entries 0 to 11.
async fn recorded() -> Network {
    let network = Network::started().await;
    network.lay_foundation().await;
    let world = &network.world;
    let south = key("south");
    network
        .submit(0, &world.create_tenant("south", &south))
        .await
        .unwrap();
    network.request_read(0, &world.request_read()).await.unwrap();
    for user in ["writer", "reader"] {
        let denied = world.request_read_by(user, &world.writer, world.now_ms + 300_000);
        network.submit(0, &denied).await.unwrap();
    }
    for index in 0..4 {
        all_is_found(&network, index).await;
    }
    network
}

/// Waits until an endorser has all twelve entries, their proof, and their places in its index.
async fn all_is_found(network: &Network, index: usize) {
    network
        .until("it has caught up and its index with it", async || {
            let auditor = &network.world.auditor;
            let answer = search(network, index, auditor, &everything()).await.ok()?;
            let header = Header::from_bytes(&answer.header).unwrap();
            (answer.next == header.log_size && header.log_size == 12).then_some(())
        })
        .await;
}

fn everything() -> SearchTransactionsRequest {
    SearchTransactionsRequest::default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_what_matches_and_each_sees_what_it_may() {
    let network = recorded().await;
    let world = &network.world;
    let north = SearchTransactionsRequest {
        tenant: "north".into(),
        ..everything()
    };
    let of = |user: &str| SearchTransactionsRequest {
        user: user.into(),
        ..north.clone()
    };
    let verdict = |verdict: &str| SearchTransactionsRequest {
        verdict: verdict.into(),
        ..everything()
    };
    let document = SearchTransactionsRequest {
        dataset: "loans".into(),
        document: DOCUMENT.into(),
        ..north.clone()
    };
    let auditor =
        async |request: &SearchTransactionsRequest| indices(&network, &world.auditor, request).await.unwrap();
    assert_eq!(auditor(&everything()).await, (0..12).collect::<Vec<_>>());
    assert_eq!(auditor(&north).await, [1, 2, 3, 4, 7, 9, 10, 11]);
    assert_eq!(auditor(&document).await, [7, 9, 10, 11]);
    // What names the reader, and what the writer has signed, one of them in the reader's name.
    assert_eq!(auditor(&of("reader")).await, [3, 9, 11]);
    assert_eq!(auditor(&of("writer")).await, [2, 7, 10, 11]);
    assert_eq!(auditor(&verdict("denied")).await, [10, 11]);
    assert_eq!(auditor(&verdict("user_mismatch")).await, [11]);
    let reads = SearchTransactionsRequest {
        kind: "request_read".into(),
        verdict: "approved".into(),
        ..document.clone()
    };
    assert_eq!(auditor(&reads).await, [9]);

    // Who sees a part of the log searches that part.
    let sees = async |who: &SigningKey, request: &SearchTransactionsRequest| {
        indices(&network, who, request)
            .await
            .map_err(|status| (status.code(), code(&status)))
    };
    let forbidden = Err((Code::PermissionDenied, "forbidden".to_owned()));
    let south = key("south");
    assert_eq!(
        sees(&world.tenant_admin, &everything()).await,
        Ok(vec![1, 2, 3, 4, 7, 9, 10, 11])
    );
    assert_eq!(
        sees(&world.tenant_admin, &verdict("denied")).await,
        Ok(vec![10, 11])
    );
    assert_eq!(sees(&south, &everything()).await, Ok(vec![8]));
    assert_eq!(sees(&south, &verdict("denied")).await, Ok(vec![]));
    assert_eq!(sees(&south, &north).await, forbidden);
    assert_eq!(sees(&south, &of("reader")).await, forbidden);
    assert_eq!(
        sees(&world.reader, &everything()).await,
        Ok(vec![3, 4, 7, 9, 10, 11])
    );
    let of_south = SearchTransactionsRequest {
        tenant: "south".into(),
        ..everything()
    };
    assert_eq!(sees(&world.reader, &of_south).await, forbidden);
    assert_eq!(sees(&key("stranger"), &everything()).await, forbidden);
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_bounded_and_goes_on_where_it_ended() {
    let network = recorded().await;
    let world = &network.world;
    let (mut from, mut seen) = (0, Vec::new());
    loop {
        let page = SearchTransactionsRequest {
            tenant: "north".into(),
            from,
            limit: 3,
            ..everything()
        };
        let answer = search(&network, 1, &world.auditor, &page).await.unwrap();
        assert!(answer.found.len() <= 3);
        assert!(answer.next > from);
        seen.extend(
            answer
                .found
                .iter()
                .map(|found| found.entry.as_ref().unwrap().index),
        );
        from = answer.next;
        if from == Header::from_bytes(&answer.header).unwrap().log_size {
            break;
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 7, 9, 10, 11]);

    // By the times of the blocks.
    let log = ListTransactionsRequest { from: 0, limit: 100 };
    let mut auditor = network.client(1, &world.auditor);
    let lines = auditor.list_transactions(log).await.unwrap().into_inner().entries;
    for line in &lines {
        let part = SearchTransactionsRequest {
            since_ms: line.time_ms,
            until_ms: line.time_ms + 1,
            ..everything()
        };
        let expected: Vec<u64> = lines
            .iter()
            .filter(|other| other.time_ms == line.time_ms)
            .map(|other| other.index)
            .collect();
        assert_eq!(indices(&network, &world.auditor, &part).await.unwrap(), expected);
    }

    let wrong = [
        SearchTransactionsRequest {
            dataset: "loans".into(),
            ..everything()
        },
        SearchTransactionsRequest {
            user: "reader".into(),
            ..everything()
        },
        SearchTransactionsRequest {
            kind: "read".into(),
            ..everything()
        },
        SearchTransactionsRequest {
            verdict: "no".into(),
            ..everything()
        },
        SearchTransactionsRequest {
            tenant: "no such/name".into(),
            ..everything()
        },
    ];
    for request in wrong {
        let refused = search(&network, 0, &world.auditor, &request).await.unwrap_err();
        assert_eq!(
            (refused.code(), code(&refused)),
            (Code::InvalidArgument, "malformed".into())
        );
    }
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_index_that_is_wrong_is_not_believed_and_one_that_is_lost_or_damaged_is_made_again() {
    let mut network = recorded().await;
    let auditor = network.world.auditor.clone();
    let denied = SearchTransactionsRequest {
        verdict: "denied".into(),
        ..everything()
    };
    assert_eq!(indices(&network, &auditor, &denied).await.unwrap(), [10, 11]);
    let directory = network.config(0).directory.join("search");
    for round in 0..3 {
        network.stop(0).await;
        if round == 0 {
            // The index says of entry 3, too, that it was denied, and in good form.
            // The endorser's last tasks let go of it a moment after it has ended.
            let postings = network
                .until("the index is free", async || sled::open(directory.join("0")).ok())
                .await;
            let key = [b"\x06denied\0".as_slice(), &[0; 8]].concat();
            assert_eq!(postings.insert(&key, &[3, 10, 11]).unwrap().unwrap(), [10, 11]);
        } else if round == 1 {
            let db = directory.join("0/db");
            let mut bytes = std::fs::read(&db).unwrap();
            for byte in bytes.iter_mut().step_by(7) {
                *byte ^= 0x10;
            }
            std::fs::write(&db, bytes).unwrap();
        } else {
            std::fs::remove_dir_all(&directory).unwrap();
        }
        network.start(0).await;
        all_is_found(&network, 0).await;
        assert_eq!(indices(&network, &auditor, &denied).await.unwrap(), [10, 11]);
    }
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_searches_are_answered_at_once_than_may_be() {
    for (at_once, answered) in [(0, false), (1, true)] {
        let mut network = Network::new().with_limits(|limits| limits.searches_at_once = at_once);
        network.start_all().await;
        network.lay_foundation().await;
        // One after the other: each gives its turn back.
        for _ in 0..3 {
            match search(&network, 0, &network.world.auditor, &everything()).await {
                Ok(_) => assert!(answered),
                Err(refused) => {
                    assert!(!answered, "{refused}");
                    assert_eq!(
                        (refused.code(), code(&refused)),
                        (Code::ResourceExhausted, "too_many_searches".into())
                    );
                }
            }
        }
        network.stop_all().await;
    }
}
