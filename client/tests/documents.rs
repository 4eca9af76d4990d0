//! What the ledger holds of a document, asked of endorsers of whom some lie.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use golden_record::DocumentVersion;
use quorate_client::{Client, Error, Party};
use support::{Behaviour, ORGANISATIONS, World};
use threshold::encoding::Canonical;
use threshold::secret::DataKey;
use threshold::testing::{TestCommittee, TestRng, label};
use threshold::wrap::{WrappedKey, wrap};
use tonic::Code;

/// A wrapped key whose proof holds, of a custody key of its own.
fn wrapped(document: &str, version: u64, seed: &str) -> WrappedKey {
    let mut rng = TestRng::new(seed);
    let committee = TestCommittee::generate(2, 3, &mut rng).unwrap();
    let label = label(document, version).unwrap();
    let data_key = DataKey::from_bytes([9; 32]);
    wrap(committee.manifest().custody_key(), &label, &data_key, &mut rng).unwrap()
}

fn document(name: &str, version: u64) -> DocumentVersion {
    DocumentVersion {
        tenant: "north".parse().unwrap(),
        dataset: "loans".parse().unwrap(),
        document: name.parse().unwrap(),
        version,
        wrapped_key: Some(wrapped(name, version, "custody")),
        material: vec![1],
        checksum: [3; 32],
        size: 100,
        inline: None,
        writer: "alice".parse().unwrap(),
        height: 1,
        log_index: 1,
        time_ms: 1,
    }
}

/// The same with something else in it.
fn but(change: impl FnOnce(&mut DocumentVersion)) -> Vec<u8> {
    let mut document = document("contract", 2);
    change(&mut document);
    document.to_bytes()
}

/// What holds by itself: only the others show that it is a lie.
fn plausible() -> Vec<Vec<u8>> {
    vec![
        but(|lie| lie.checksum = [4; 32]),
        but(|lie| lie.size = 99),
        but(|lie| lie.material = vec![2]),
        but(|lie| lie.inline = Some(vec![5])),
        but(|lie| lie.writer = "mallory".parse().unwrap()),
        but(|lie| lie.time_ms = 2),
        but(|lie| lie.wrapped_key = None),
        // Wrapped by the liar for the same label, under a custody key that it knows.
        but(|lie| lie.wrapped_key = Some(wrapped("contract", 2, "the liar's"))),
    ]
}

/// What is seen to be a lie by itself, whoever else says so.
fn absurd() -> Vec<Vec<u8>> {
    let mut forged = document("contract", 2).wrapped_key.unwrap().to_bytes();
    *forged.last_mut().unwrap() ^= 1;
    let forged = WrappedKey::from_bytes(&forged).unwrap();
    vec![
        Vec::new(),
        but(|_| ())[..50].to_vec(),
        [but(|_| ()), vec![0]].concat(),
        document("another", 2).to_bytes(),
        document("contract", 1).to_bytes(),
        but(|lie| lie.dataset = "others".parse().unwrap()),
        // Of this name, with a wrapped key that is another's, or nobody's.
        but(|lie| lie.wrapped_key = Some(wrapped("another", 2, "custody"))),
        but(|lie| lie.wrapped_key = Some(wrapped("contract", 1, "custody"))),
        but(|lie| lie.wrapped_key = Some(forged)),
    ]
}

/// Four endorsers that have two versions of a document.
async fn world() -> World {
    let world = World::start(2).await;
    let documents = vec![document("contract", 1), document("contract", 2)];
    world.chain.lock().unwrap().documents = documents;
    world
}

async fn ask(client: &Client, version: u64) -> Result<DocumentVersion, Error> {
    let (tenant, dataset) = ("north".parse().unwrap(), "loans".parse().unwrap());
    let document = "contract".parse().unwrap();
    client.document(&tenant, &dataset, &document, version).await
}

fn endorser(place: usize) -> Party {
    Party::Endorser(ORGANISATIONS[place].parse().unwrap())
}

#[tokio::test]
async fn p3_one_endorser_that_lies_about_a_document_is_outvoted() {
    let world = world().await;
    let client = world.client().await;
    let gives = plausible().into_iter().chain(absurd()).map(Behaviour::Gives);
    let keeps = [
        Code::NotFound,
        Code::PermissionDenied,
        Code::Unavailable,
        Code::Internal,
    ];
    let lies: Vec<_> = gives.chain(keeps.map(Behaviour::Keeps)).collect();
    assert!(lies.len() > 20);
    for (number, lie) in lies.into_iter().enumerate() {
        let place = number % 4;
        world.behave(place, lie);
        assert_eq!(
            ask(&client, 2).await.unwrap(),
            document("contract", 2),
            "{number}"
        );
        world.behave(place, Behaviour::Honest);
    }
    assert_eq!(ask(&client, 1).await.unwrap(), document("contract", 1));
    assert!(matches!(ask(&client, 3).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn p3_one_endorser_cannot_make_up_or_hide_the_latest_version() {
    let world = world().await;
    let client = world.client().await;
    let newer = document("contract", 3).to_bytes();
    let older = document("contract", 1).to_bytes();
    for lie in [
        Behaviour::Gives(newer),
        Behaviour::Gives(older),
        Behaviour::Gives(vec![1, 2, 3]),
        Behaviour::Keeps(Code::NotFound),
        Behaviour::Keeps(Code::PermissionDenied),
        Behaviour::Down,
    ] {
        world.behave(1, lie);
        assert_eq!(ask(&client, 0).await.unwrap(), document("contract", 2));
    }
}

/// When no two give the same, everybody is named with what it gave: the caller sees the lies beside the truth.
#[tokio::test]
async fn p9_endorsers_that_do_not_agree_on_a_document_are_named_with_what_they_gave() {
    let world = world().await;
    let client = world.client().await;
    let (first, absurd) = (but(|lie| lie.size = 99), document("another", 2).to_bytes());
    world.behave(0, Behaviour::Gives(first.clone()));
    world.behave(1, Behaviour::Gives(absurd.clone()));
    world.behave(2, Behaviour::Down);
    let Error::TooFew { faults, .. } = ask(&client, 2).await.unwrap_err() else {
        panic!("believed one alone");
    };
    let of = |place| {
        let mut found = faults.iter().filter(|fault| fault.party == endorser(place));
        let fault = found.next().unwrap();
        assert!(found.next().is_none());
        (fault.check, fault.evidence.clone())
    };
    assert_eq!(of(0), ("document", first));
    assert_eq!(of(1), ("document", absurd));
    assert_eq!(of(2), ("no_answer", Vec::new()));
    assert_eq!(of(3), ("document", document("contract", 2).to_bytes()));
    let lied: Vec<_> = faults
        .iter()
        .filter(|fault| fault.what.contains("another document"))
        .collect();
    assert_eq!(lied.len(), 1, "that one has lied shows by itself: {faults:?}");
}

/// More than may lie, and still no belief in what shows by itself to be a lie.
#[tokio::test]
async fn c6_not_even_three_endorsers_make_another_documents_key_this_ones() {
    let world = world().await;
    let client = world.client().await;
    for lie in absurd() {
        for place in 0..3 {
            world.behave(place, Behaviour::Gives(lie.clone()));
        }
        let Error::TooFew { faults, .. } = ask(&client, 2).await.unwrap_err() else {
            panic!("believed");
        };
        let blamed: Vec<_> = (0..3).map(endorser).collect();
        let named = |party: &Party| {
            let mut faults = faults.iter();
            faults.any(|fault| fault.party == *party && fault.evidence == lie)
        };
        assert!(blamed.iter().all(named), "{faults:?}");
    }
}

/// The limit of the design: of four endorsers one may lie. Two that agree on what holds by itself are believed where nobody
/// contradicts them. What they say of a document opens nothing: a read needs a certificate of three.
#[tokio::test]
async fn two_liars_that_agree_are_believed_where_nobody_contradicts_and_this_is_the_limit() {
    let world = world().await;
    let client = world.client().await;
    for lie in plausible() {
        for place in 0..2 {
            world.behave(place, Behaviour::Gives(lie.clone()));
            world.behave(place + 2, Behaviour::Down);
        }
        assert_eq!(ask(&client, 2).await.unwrap().to_bytes(), lie);
    }
}
