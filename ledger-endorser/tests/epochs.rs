//! Endorsers join and leave a running chain: real consensus, real TLS, real disks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;
mod network;

use golden_record::{
    Change, DocumentVersion, Entry, EntryProof, Epochs, EvidenceError, FinalityEvidence, Handover, Header,
    Outcome, Transaction,
};
use proto::ledger::{GetHandoversRequest, GetTransactionRequest};
use threshold::encoding::Canonical;

use common::name;
use network::{Network, code};

/// Reads through these endorsers, and gives the certificates.
async fn read(network: &Network, read: &Transaction, through: &[usize]) -> Vec<Vec<u8>> {
    let mut certificates = Vec::new();
    for index in through {
        let answer = network
            .until("a read is answered", async || {
                network.request_read(*index, read).await.ok()
            })
            .await;
        let entry = Entry::from_bytes(&answer.entry.unwrap().entry).unwrap();
        assert!(matches!(entry.outcome, Outcome::Approved { .. }));
        let approval = answer.approval.unwrap();
        assert!(DocumentVersion::from_bytes(&approval.document).is_ok());
        certificates.push(approval.certificate);
    }
    certificates
}

/// Who decides, by the word of the handovers that this endorser gives.
async fn epochs(network: &Network, index: usize) -> Epochs {
    let mut epochs = Epochs::new(network.world.genesis.clone());
    let mut client = network.client(index, &network.world.auditor);
    let answer = client
        .get_handovers(GetHandoversRequest { known: 0 })
        .await
        .unwrap();
    for handover in answer.into_inner().handovers {
        epochs.advance(Handover::from_bytes(&handover).unwrap()).unwrap();
    }
    epochs
}

/// An auditor who has only the genesis verifies a read by what one endorser gives.
async fn verify(network: &Network, read: &Transaction, index: usize) -> u64 {
    let mut auditor = network.client(index, &network.world.auditor);
    let request = GetTransactionRequest {
        tx_id: read.tx_id().0.to_vec(),
        with_proof: true,
    };
    let answer = network
        .until("evidence", async || {
            auditor.get_transaction(request.clone()).await.ok()
        })
        .await
        .into_inner();
    let proof = EntryProof::from_bytes(&answer.proof).unwrap();
    let entry = Entry::from_bytes(&answer.entry.unwrap().entry).unwrap();
    proof.verify(&epochs(network, index).await, &entry).unwrap();
    proof.evidence.epoch
}

fn leaves(organisation: &str) -> Change {
    Change::RemoveOrganisation {
        organisation: name(organisation),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifth_endorser_joins_on_an_empty_disk_and_the_first_leaves() {
    let mut network = Network::started().await;
    network.lay_foundation().await;
    let before = network.world.request_read();
    read(&network, &before, &[0, 1, 2, 3]).await;

    // It runs, and is none of them: it says so, takes nothing in, and is not ready.
    let fifth = network.add("epsilon");
    network.start(fifth).await;
    network.until_in(fifth, 0, false).await;
    let refused = network.request_read(fifth, &before).await.unwrap_err();
    assert_eq!(code(&refused), "not_an_endorser");
    assert!(!network.is_ready(fifth).await);

    let joins = network.joins(fifth);
    network.govern(1, &joins, &["alpha", "beta", "gamma"], 0).await;
    for index in 0..5 {
        network.until_in(index, 1, true).await;
    }
    network
        .until("the fifth is ready", async || {
            network.is_ready(fifth).await.then_some(())
        })
        .await;
    // What was read before it came, it approves as well; and with the others what is read from now on.
    read(&network, &before, &[fifth]).await;
    let joined = network.world.request_read();
    let certificates = read(&network, &joined, &[0, 1, 2, 3, fifth]).await;
    assert_eq!(certificates.len(), 5);
    assert_eq!(verify(&network, &joined, fifth).await, 1);
    assert_eq!(verify(&network, &before, fifth).await, 0);

    let rest = ["beta", "gamma", "delta", "epsilon"];
    network.govern(2, &leaves("alpha"), &rest, 1).await;
    for index in 1..5 {
        network.until_in(index, 2, true).await;
    }
    network.until_in(0, 2, false).await;
    let refused = network.request_read(0, &joined).await.unwrap_err();
    assert_eq!(code(&refused), "not_an_endorser");
    network
        .until("the first is not ready", async || {
            (!network.is_ready(0).await).then_some(())
        })
        .await;

    // Four, of whom one may be away; whoever comes back on an empty disk comes through all epochs.
    network.stop(2).await;
    network.wipe(2);
    let last = network.world.request_read();
    read(&network, &last, &[1, 3, fifth]).await;
    network.start(2).await;
    network.until_in(2, 2, true).await;
    read(&network, &last, &[2]).await;
    for index in [1, 2, 3, fifth] {
        assert_eq!(verify(&network, &last, index).await, 2);
        assert_eq!(epochs(&network, index).await.newest(), 2);
    }

    // What an endorser shows of itself is by the votes of the third set, which nobody knows from the genesis alone.
    let status = network.status(1).await.unwrap();
    let evidence = FinalityEvidence::from_bytes(&status.evidence).unwrap();
    let header = Header::from_bytes(&status.proven_header).unwrap();
    let genesis = &network.world.genesis;
    assert_eq!(
        evidence.verify_header(genesis, &header),
        Err(EvidenceError::UnknownEpoch(2))
    );
    evidence
        .verify_header(&epochs(&network, 1).await, &header)
        .unwrap();
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_away_while_another_joined_comes_back_into_the_present_epoch() {
    let mut network = Network::started().await;
    network.lay_foundation().await;
    let fifth = network.add("epsilon");
    network.start(fifth).await;
    network.stop(3).await;
    let joins = network.joins(fifth);
    network.govern(1, &joins, &["alpha", "beta", "gamma"], 0).await;
    for index in [0, 1, 2, fifth] {
        network.until_in(index, 1, true).await;
    }
    network.start(3).await;
    network.until_in(3, 1, true).await;
    let transaction = network.world.request_read();
    read(&network, &transaction, &[3, fifth]).await;
    // All at once, in the middle of an epoch.
    for index in 0..5 {
        network.stop(index).await;
    }
    for index in 0..5 {
        network.start(index).await;
    }
    let transaction = network.world.request_read();
    read(&network, &transaction, &[0, 1, 2, 3, fifth]).await;
    assert_eq!(verify(&network, &transaction, 3).await, 1);
    network.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_ca_certificate_is_not_the_chains_is_not_ready_and_issues_none() {
    let mut network = Network::new();
    network.exchange_authority(3);
    network.start_all().await;
    network.until_in(3, 0, true).await;
    for transaction in network.world.foundation() {
        network
            .until("it is final", async || network.submit(0, &transaction).await.ok())
            .await;
    }
    network
        .until("it says why it is not ready", async || {
            let readiness = network.readiness(3).await;
            readiness.contains("CA certificate").then_some(())
        })
        .await;
    assert!(!network.is_ready(3).await);
    let transaction = network.world.request_read();
    assert_eq!(read(&network, &transaction, &[0, 1, 2]).await.len(), 3);
    let refused = network.request_read(3, &transaction).await.unwrap_err();
    assert_eq!(code(&refused), "other_authority");
    network.stop_all().await;
}
