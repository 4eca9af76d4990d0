//! The layout of what members say to each other and of what a node keeps: who changes it changes its version.

use crate::backup::tests::shared;
use crate::ceremony::message::{Body, Evidence, Message, Nested, Proof};
use crate::ceremony::plan::Plan;
use crate::ceremony::record::{Fault, Phase, Record};
use crate::ceremony::report::{Account, Verdict};
use std::collections::BTreeMap;
use threshold::dkg::Seat;
use threshold::encoding::Canonical;
use threshold::reshare::Resharing;

/// A refresh of the test committee's key.
pub(crate) fn refresh(number: u8) -> Plan {
    let signed = shared().committee.signed.clone();
    let seats = signed.manifest.members().iter().map(|member| Seat {
        index: member.index,
        name: member.name.clone(),
        identity: member.identity,
        address: member.address.clone(),
    });
    let (threshold, seats) = (signed.manifest.threshold(), seats.collect());
    Plan::Resharing(Box::new(
        Resharing::new([number; 32], signed, threshold, seats).unwrap(),
    ))
}

fn bodies() -> Vec<(&'static str, Body)> {
    let committee = &shared().committee;
    let (signed, manifest) = (committee.signed.clone(), committee.manifest().digest());
    let dealers: Vec<_> = committee.manifest().threshold().indices().take(3).collect();
    let proof = Proof {
        signed: signed.clone(),
        dealers: dealers.clone(),
        confirmations: signed.signatures.clone(),
    };
    let nested = Nested(vec![1, 2, 3]);
    let account = Account {
        plan: refresh(9),
        time_ms: 4,
        transcript: Some([5; 32]),
        faults: vec![(committee.manifest().members()[1].identity, "silent".to_owned())],
        verdict: Verdict::Done(proof.clone()),
    };
    vec![
        (
            "01 propose",
            Body::Propose {
                plan: Box::new(refresh(9)),
                deadline_ms: 3,
            },
        ),
        ("02 join", Body::Join { deals: true }),
        (
            "04 sign",
            Body::Sign {
                manifest,
                signature: signed.signatures[0],
            },
        ),
        (
            "07 confirm",
            Body::Confirm {
                manifest,
                dealers: dealers.clone(),
            },
        ),
        (
            "08 abort",
            Body::Abort {
                reason: "no".to_owned(),
                evidence: Some(Evidence::Resharing(nested.clone())),
            },
        ),
        ("09 relay", Body::Relay(nested.clone())),
        ("10 done", Body::Done(Box::new(proof.clone()))),
        ("11 execute", Body::Execute { dealers }),
        ("12 in use", Body::InUse { manifest, read: true }),
        ("13 unheard", Body::Unheard),
        ("14 reminder", Body::Reminder(nested)),
        (
            "15 ended",
            Body::Ended {
                plan: Box::new(refresh(9)),
                proof: Box::new(proof),
            },
        ),
        ("16 account", Body::Account(Box::new(account))),
    ]
}

fn record(messages: &BTreeMap<&str, Message>) -> Record {
    let committee = &shared().committee;
    let [first, second] = [0, 1].map(|place| committee.manifest().members()[place].identity);
    let by = |name: &str| [(first, messages[name].clone())].into();
    let dealers: Vec<_> = committee.manifest().threshold().indices().take(3).collect();
    Record {
        phase: Phase::Canary,
        transcript: Some([6; 32]),
        joins: by("02 join"),
        rejections: [second].into(),
        expected: Some(dealers.clone()),
        counted: dealers,
        manifest: Some(committee.manifest().clone()),
        signs: by("04 sign"),
        signed: Some(committee.signed.clone()),
        confirms: by("07 confirm"),
        used: true,
        in_use: by("12 in use"),
        faults: vec![Fault {
            who: second,
            what: "silent".to_owned(),
            evidence: Some(Evidence::Repair(Nested(vec![7]))),
        }],
        reason: "why".to_owned(),
        culprit: Some(second),
        abort: Some(messages["08 abort"].clone()),
        ..Record::new(refresh(9), first, 8)
    }
}

#[test]
fn the_layout_of_records_and_messages_is_frozen() {
    let key = &shared().committee.identities[0];
    let messages: BTreeMap<_, _> = bodies()
        .into_iter()
        .map(|(name, body)| (name, Message::new(refresh(9).id(), body, key)))
        .collect();
    let mut found = BTreeMap::new();
    for (name, message) in &messages {
        let bytes = message.to_bytes();
        assert_eq!(Message::from_bytes(&bytes).as_ref(), Ok(message), "{name}");
        found.insert((*name).to_owned(), hex::encode(bytes));
    }
    let bytes = record(&messages).to_bytes();
    assert_eq!(Record::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    found.insert("record".to_owned(), hex::encode(bytes));
    let frozen: BTreeMap<String, String> =
        serde_json::from_str(include_str!("../../../vectors/ceremony.json")).unwrap();
    assert_eq!(found.len(), 14);
    assert!(
        found == frozen,
        "{}",
        serde_json::to_string_pretty(&found).unwrap()
    );
}
