//! What a resharing binds, and who may speak in it.

use super::*;

#[test]
fn a8_a12_b3_seats_are_numbered_and_distinct() {
    let run = Run::usual();
    let rebuild = |change: fn(&mut Vec<Seat>)| {
        let mut seats = run.resharing.seats().to_vec();
        change(&mut seats);
        Resharing::new([7; 32], run.old.signed.clone(), run.resharing.threshold(), seats)
    };
    assert_eq!(rebuild(|_| {}).as_ref(), Ok(&run.resharing));
    type Change = fn(&mut Vec<Seat>);
    let refusals: [(Change, CeremonyError); 4] = [
        (|seats| drop(seats.pop()), CeremonyError::Indices),
        (|seats| seats[3].index = seats[0].index, CeremonyError::Indices),
        (
            |seats| seats[3].identity = seats[0].identity,
            CeremonyError::DuplicateIdentity(index(4)),
        ),
        (
            |seats| seats[3].name = seats[0].name.clone(),
            CeremonyError::DuplicateName(index(4)),
        ),
    ];
    for (change, error) in refusals {
        assert_eq!(rebuild(change), Err(ProposalError::Seats(error)));
    }
}

#[test]
fn b4_the_old_manifest_bears_every_old_members_signature() {
    let run = Run::usual();
    let mut signed = run.old.signed.clone();
    signed.signatures.swap(0, 1);
    let seats = run.resharing.seats().to_vec();
    let refused = Resharing::new([7; 32], signed, run.resharing.threshold(), seats);
    assert!(matches!(refused, Err(ProposalError::Manifest(_))));
}

#[test]
fn a_resharing_goes_both_ways_and_every_flipped_byte_counts() {
    let run = Run::start((2, 2), (2, 2), 1);
    let bytes = run.resharing.to_bytes();
    assert_eq!(Resharing::from_bytes(&bytes).as_ref(), Ok(&run.resharing));
    for position in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1;
        let other = Resharing::from_bytes(&flipped);
        assert!(
            other.is_err() || other.unwrap().id() != run.resharing.id(),
            "byte {position}"
        );
    }
}

#[test]
fn the_id_binds_nonce_old_manifest_threshold_and_seats() {
    let run = Run::usual();
    let (previous, seats) = (run.old.signed.clone(), run.resharing.seats().to_vec());
    let threshold = run.resharing.threshold();
    let other = TestCommittee::generate(3, 5, &mut TestRng::new("other key")).unwrap();
    let mut moved = seats.clone();
    moved[0].address = "127.0.0.1:1".to_owned();
    let three = Threshold::new(3, 4).unwrap();
    let ids = [
        Resharing::new([7; 32], previous.clone(), threshold, seats.clone()),
        Resharing::new([8; 32], previous.clone(), threshold, seats.clone()),
        Resharing::new([7; 32], other.signed, threshold, seats.clone()),
        Resharing::new([7; 32], previous.clone(), three, seats),
        Resharing::new([7; 32], previous, threshold, moved),
    ]
    .map(|resharing| resharing.unwrap().id());
    assert_eq!(ids[0], run.resharing.id());
    assert_eq!(std::collections::BTreeSet::from(ids).len(), 5);
}

#[test]
fn only_old_members_deal_and_only_new_seats_receive() {
    let run = Run::usual();
    let mut rng = TestRng::new("stranger");
    // A new seat that is no old member, with an old member's share; and an old member with another's.
    for identity in [&run.identities[3], &run.old.identities[1]] {
        let refused = deal(&run.resharing, &run.old.shares[0], identity, &mut rng).unwrap_err();
        assert_eq!(refused, ReshareError::NotADealer);
    }
    let leaver = &run.old.identities[0];
    let refused = Received::collect(&run.resharing, &PublicKey::of(leaver), run.sent_to(1)).unwrap_err();
    assert_eq!(refused, ReshareError::NotASeat);
    let received = run.receive(1, run.sent_to(1));
    for identity in [leaver, &run.identities[1]] {
        let refused = received.report(&run.resharing, identity).unwrap_err();
        assert_eq!(refused, ReshareError::NotASeat);
    }
    let agreement = run.agree(|_, _| {}).remove(0);
    assert_eq!(agreement.confirm(leaver).unwrap_err(), ReshareError::NotASeat);
    let observer = Received::observe(&run.resharing, Vec::new()).unwrap();
    let refused = observer.report(&run.resharing, &run.identities[0]).unwrap_err();
    assert_eq!(refused, ReshareError::NotASeat);
}

#[test]
fn a8_a_dealer_outside_the_old_committee_and_a_seat_outside_the_new_one_do_not_speak() {
    let run = Run::usual();
    let refusal = |sender, kind, identity: &SigningKey| {
        let envelope = Envelope {
            ceremony: run.resharing.id(),
            sender: index(sender),
            recipient: None,
            kind,
        };
        SignedMessage::sign(envelope, Zeroizing::new(Vec::new()), identity)
            .verify(&run.resharing)
            .unwrap_err()
    };
    let unknown = |sender, kind| MessageError::UnknownSender {
        sender: index(sender),
        kind,
    };
    // Five have dealt to four.
    let stranger = SigningKey::from_bytes(&[9; 32]);
    for kind in [Kind::Commitments, Kind::Share] {
        assert_eq!(refusal(6, kind, &stranger), unknown(6, kind).into());
    }
    for kind in [Kind::Report, Kind::Confirmation] {
        assert_eq!(refusal(5, kind, &run.old.identities[4]), unknown(5, kind).into());
    }
    // An index means one member as a dealer and another as a seat.
    let forged = MessageError::Forged { claimed: index(1) };
    assert_eq!(
        refusal(1, Kind::Commitments, &run.identities[0]),
        forged.clone().into()
    );
    assert_eq!(refusal(1, Kind::Report, &run.old.identities[0]), forged.into());
}

#[test]
fn a8_a_share_for_a_seat_that_does_not_exist_is_not_due_and_no_evidence() {
    let run = Run::usual();
    let share = round2::Package {
        share: SecretScalar::new(Scalar::from(7_u8)),
    };
    let stray = run.say(Party::Dealer(index(2)), Some(5), Kind::Share, share.to_bytes());
    let mut messages = run.sent_to(4);
    messages.push(stray.duplicate());
    let identity = PublicKey::of(&run.identities[3]);
    let error = Received::collect(&run.resharing, &identity, messages).unwrap_err();
    let expected = MessageError::NotDue {
        sender: index(2),
        found: Kind::Share,
    };
    assert_eq!(error, expected.into());
    let evidence = Evidence::Share {
        commitments: run.commitments[1].duplicate(),
        share: stray,
    };
    assert!(matches!(
        evidence.culprit(&run.resharing),
        Err(NoEvidence::Messages(_))
    ));
}

#[test]
fn a10_a11_messages_of_another_resharing_are_refused() {
    let run = Run::usual();
    let other = Resharing::new(
        [8; 32],
        run.old.signed.clone(),
        run.resharing.threshold(),
        run.resharing.seats().to_vec(),
    )
    .unwrap();
    let message = &run.commitments[0];
    assert_eq!(message.verify(&other), Err(MessageError::OtherCeremony.into()));
    // With the id of the other one written over it, the signature does not fit.
    let mut bytes = message.to_bytes();
    bytes[..32].copy_from_slice(other.id().as_bytes());
    let renamed = SignedMessage::from_bytes(&bytes).unwrap();
    let forged = MessageError::Forged { claimed: index(1) };
    assert_eq!(renamed.verify(&other), Err(forged.into()));
}

#[test]
fn a17_a_share_that_was_changed_on_the_way_is_not_taken() {
    let run = Run::usual();
    let mut bytes = run.shares[1][0].to_bytes();
    bytes[50] ^= 1;
    let mut messages = run.sent_to(1);
    replace(&mut messages, &SignedMessage::from_bytes(&bytes).unwrap());
    let identity = PublicKey::of(&run.identities[0]);
    let error = Received::collect(&run.resharing, &identity, messages).unwrap_err();
    assert_eq!(error, MessageError::Forged { claimed: index(2) }.into());
    assert!(error.culprits().is_empty());
}

#[test]
fn the_last_epoch_is_not_reshared() {
    let run = Run::usual();
    let old = run.old.manifest();
    let next = old.next(old.threshold(), old.members().to_vec()).unwrap();
    let mut bytes = next.to_bytes();
    bytes[2 + 32 + 32..][..4].fill(0xff);
    let manifest = CommitteeManifest::from_bytes(&bytes).unwrap();
    let signatures = run.old.identities.iter().map(|identity| manifest.sign(identity));
    let signed = SignedManifest {
        signatures: signatures.collect(),
        manifest,
    };
    assert_eq!(signed.verify(), Ok(()));
    let seats = run.resharing.seats().to_vec();
    let refused = Resharing::new([7; 32], signed, run.resharing.threshold(), seats);
    assert!(matches!(refused, Err(ProposalError::Manifest(_))));
}

#[test]
fn a13_a_message_from_another_peer_is_refused() {
    let run = Run::usual();
    let message = &run.commitments[0];
    let peers: Vec<_> = run.old.identities.iter().map(PublicKey::of).collect();
    assert_eq!(message.verify_from(&run.resharing, &peers[0]), Ok(()));
    let refused = MessageError::OtherPeer { claimed: index(1) };
    assert_eq!(
        message.verify_from(&run.resharing, &peers[1]),
        Err(refused.into())
    );
}

#[test]
fn no_two_ceremonies_share_a_kind_of_message() {
    for byte in 0..=255_u8 {
        let known = [
            crate::dkg::Kind::from_bytes(&[byte]).is_ok(),
            Kind::from_bytes(&[byte]).is_ok(),
            crate::repair::Kind::from_bytes(&[byte]).is_ok(),
        ];
        assert!(known.iter().filter(|known| **known).count() <= 1, "kind {byte}");
    }
}

#[test]
fn every_signed_field_of_a_message_counts() {
    let run = Run::usual();
    let bytes = run.commitments[0].to_bytes();
    for position in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1;
        let accepted = SignedMessage::from_bytes(&flipped).is_ok_and(|m| m.verify(&run.resharing).is_ok());
        assert!(!accepted, "byte {position}");
    }
}
