//! The vectors of resharing and repair.

use super::hex;
use ed25519_dalek::SigningKey;
use quorate_threshold::committee::{ParticipantIndex, Threshold};
use quorate_threshold::dkg::Seat;
use quorate_threshold::encoding::Canonical;
use quorate_threshold::name::Name;
use quorate_threshold::repair::{self, Repair};
use quorate_threshold::reshare::{self, Agreement, Received, Resharing, deal};
use quorate_threshold::signature::PublicKey;
use quorate_threshold::testing::{TestCommittee, TestRng};
use serde_json::{Value, json};

fn copy<T: Canonical>(message: &T) -> T {
    T::from_bytes(&message.to_bytes()).unwrap()
}

fn all<T: Canonical>(messages: &[T]) -> Vec<String> {
    messages.iter().map(|message| hex(message.to_bytes())).collect()
}

fn seeds(identities: &[SigningKey]) -> Vec<String> {
    identities
        .iter()
        .map(|identity| hex(identity.to_bytes()))
        .collect()
}

fn key_shares(committee: &TestCommittee) -> Vec<String> {
    let shares = committee.shares.iter();
    shares
        .map(|share| hex(share.to_secret_bytes().as_slice()))
        .collect()
}

/// Five members, of whom two are needed, hand over to four, of whom three are; members 2 and 5 stay. Of the dealers
/// 1 and 2 are honest; 3 sends seat 2 a share of another polynomial; 4 sends seat 3 nothing and seat 1 no share; 5
/// sends seat 3 two different commitments.
pub(super) fn resharing() -> Value {
    let mut rng = TestRng::new("vector reshare");
    let old = TestCommittee::generate(2, 5, &mut rng).unwrap();
    let stay = [old.identities[1].clone(), old.identities[4].clone()];
    let join = [SigningKey::generate(&mut rng), SigningKey::generate(&mut rng)];
    let identities: Vec<SigningKey> = stay.into_iter().chain(join).collect();
    let seats = (1..).zip(&identities).map(|(i, identity)| Seat {
        index: ParticipantIndex::new(i).unwrap(),
        name: Name::new(&format!("seat-{i}")).unwrap(),
        identity: PublicKey::of(identity),
        address: format!("127.0.0.1:{}", 7200 + i),
    });
    let threshold = Threshold::new(3, 4).unwrap();
    let resharing = Resharing::new([0x5e; 32], old.signed.clone(), threshold, seats.collect()).unwrap();
    let mut deal_all = || -> Vec<_> {
        let members = old.shares.iter().zip(&old.identities);
        members
            .map(|(share, identity)| deal(&resharing, share, identity, &mut rng).unwrap())
            .collect()
    };
    let (dealt, others) = (deal_all(), deal_all());
    let (mut sent, mut received, mut reports) = (Vec::new(), Vec::new(), Vec::new());
    for (seat, identity) in identities.iter().enumerate() {
        let mut messages = Vec::new();
        for (dealer, (commitments, shares)) in dealt.iter().enumerate() {
            if (seat, dealer) == (2, 3) {
                continue;
            }
            messages.push(copy(commitments));
            match (seat, dealer) {
                (1, 2) => messages.push(copy(&others[2].1[1])),
                (0, 3) => {}
                _ => messages.push(copy(&shares[seat])),
            }
            if (seat, dealer) == (2, 4) {
                messages.push(copy(&others[4].0));
            }
        }
        sent.push(all(&messages));
        let seat = Received::collect(&resharing, &PublicKey::of(identity), messages).unwrap();
        reports.push(seat.report(&resharing, identity).unwrap());
        received.push(seat);
    }
    let copies = |messages: &[reshare::SignedMessage]| messages.iter().map(copy).collect();
    let agreements: Vec<Agreement> = received
        .into_iter()
        .map(|seat| Agreement::reach(&resharing, seat, copies(&reports)).unwrap())
        .collect();
    let confirmations: Vec<_> = agreements
        .iter()
        .zip(&identities)
        .map(|(agreement, identity)| agreement.confirm(identity).unwrap())
        .collect();
    let signed = agreements[0].conclude(copies(&confirmations)).unwrap();
    let shares = agreements.iter().map(|agreement| agreement.share().unwrap());
    json!({
        "old_identity_seeds": seeds(&old.identities),
        "new_identity_seeds": seeds(&identities),
        "old_key_shares": key_shares(&old),
        "resharing": hex(resharing.to_bytes()),
        "resharing_id": resharing.id().to_string(),
        "messages_to_seats": sent,
        "reports": all(&reports),
        "dealers": agreements[0].dealers().iter().map(|dealer| dealer.get()).collect::<Vec<_>>(),
        "new_key_shares": shares.map(|share| hex(share.to_secret_bytes().as_slice())).collect::<Vec<_>>(),
        "confirmations": all(&confirmations),
        "signed_manifest": hex(signed.to_bytes()),
    })
}

/// Three of four; member 2 lost its share, and members 1, 3 and 4 help.
pub(super) fn repair() -> Value {
    let mut rng = TestRng::new("vector repair");
    let committee = TestCommittee::generate(3, 4, &mut rng).unwrap();
    let [lost, helpers @ ..] = [2, 1, 3, 4].map(|index| ParticipantIndex::new(index).unwrap());
    let repair = Repair::new([0x4e; 32], committee.signed.clone(), lost, helpers.to_vec()).unwrap();
    let identity = |member: ParticipantIndex| &committee.identities[member.position()];
    let (mut commitments, mut parts) = (Vec::new(), Vec::new());
    for helper in helpers {
        let share = committee.share(helper).unwrap();
        let (all, each) = repair::part1(&repair, share, identity(helper), &mut rng).unwrap();
        commitments.push(all);
        parts.push(each);
    }
    let copies = |messages: &[repair::SignedMessage]| messages.iter().map(copy).collect::<Vec<_>>();
    let sums: Vec<_> = helpers
        .iter()
        .enumerate()
        .map(|(place, helper)| {
            let mine = parts.iter().map(|parts| copy(&parts[place])).collect();
            repair::part2(&repair, copies(&commitments), mine, identity(*helper)).unwrap()
        })
        .collect();
    let repaired = repair::part3(&repair, copies(&commitments), copies(&sums), identity(lost)).unwrap();
    json!({
        "identity_seeds": seeds(&committee.identities),
        "key_shares": key_shares(&committee),
        "repair": hex(repair.to_bytes()),
        "repair_id": repair.id().to_string(),
        "commitments": all(&commitments),
        "parts": parts.iter().map(|parts| all(parts)).collect::<Vec<_>>(),
        "sums": all(&sums),
        "repaired_key_share": hex(repaired.to_secret_bytes().as_slice()),
    })
}
