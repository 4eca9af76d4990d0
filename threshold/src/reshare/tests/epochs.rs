//! Old shares and new ones: they do not mix, and an old one is good for nothing new.

use super::*;
use crate::ids::ApproveId;
use crate::reencrypt::{Context, ReaderKey, ReencryptError, combine, open, reencrypt, verify_shares};
use crate::secret::{DataKey, ShareError};
use crate::testing::label;
use crate::wrap::{WrappedKey, wrap};
use subtle::ConstantTimeEq;

fn handed_over() -> (Run, SignedManifest, Vec<KeyShare>) {
    let run = Run::start((3, 5), (3, 4), 0);
    let agreements = run.agree(|_, _| {});
    let signed = run.conclude(&agreements);
    let shares = agreements
        .into_iter()
        .filter_map(|mut agreement| agreement.take_share())
        .collect();
    (run, signed, shares)
}

fn wrapped(manifest: &CommitteeManifest, rng: &mut TestRng) -> (DataKey, WrappedKey) {
    let data_key = DataKey::generate(rng);
    let wrapped = wrap(
        manifest.custody_key(),
        &label("before", 1).unwrap(),
        &data_key,
        rng,
    )
    .unwrap();
    (data_key, wrapped)
}

#[test]
fn b4_what_was_wrapped_before_opens_after_every_member_was_replaced() {
    let (run, signed, shares) = handed_over();
    let mut rng = TestRng::new("b4");
    let (data_key, wrapped) = wrapped(run.old.manifest(), &mut rng);
    let reader = ReaderKey::generate(&mut rng);
    let context = Context::new(&signed.manifest, &wrapped, ApproveId([1; 32]), &reader.public()).unwrap();
    let answers: Vec<_> = shares[1..]
        .iter()
        .map(|share| reencrypt(share, &context, &mut rng).unwrap())
        .collect();
    let (verified, culprits) = verify_shares(&context, &answers, &mut rng);
    assert!(culprits.is_empty());
    let opened = open(&reader, &combine(&context, &verified).unwrap(), &wrapped).unwrap();
    assert!(bool::from(opened.ct_eq(&data_key)));
}

#[test]
fn b5_p8_shares_of_two_epochs_do_not_mix() {
    let (run, signed, shares) = handed_over();
    let mut rng = TestRng::new("b5");
    let (_, wrapped) = wrapped(run.old.manifest(), &mut rng);
    let reader = ReaderKey::generate(&mut rng);
    let (approve, q) = (ApproveId([1; 32]), reader.public());
    let before = Context::new(run.old.manifest(), &wrapped, approve, &q).unwrap();
    let after = Context::new(&signed.manifest, &wrapped, approve, &q).unwrap();
    // An honest node of either epoch refuses the other's.
    let refused = reencrypt(&run.old.shares[2], &after, &mut rng).unwrap_err();
    assert_eq!(refused, ReencryptError::OtherManifest);
    let refused = reencrypt(&shares[2], &before, &mut rng).unwrap_err();
    assert_eq!(refused, ReencryptError::OtherManifest);
    // t - 1 answers of the new epoch and one of the old: the old one is named, and the rest are too few.
    let answers = [
        reencrypt(&shares[0], &after, &mut rng).unwrap(),
        reencrypt(&shares[1], &after, &mut rng).unwrap(),
        reencrypt(&run.old.shares[2], &before, &mut rng).unwrap(),
    ];
    let (verified, culprits) = verify_shares(&after, &answers, &mut rng);
    assert_eq!(culprits[0].index, index(3));
    assert!(combine(&after, &verified).is_err());
}

#[test]
fn p8_a_restored_old_share_is_refused_by_the_new_manifest() {
    let (run, signed, _) = handed_over();
    for share in &run.old.shares {
        let restored = KeyShare::from_secret_bytes(&share.to_secret_bytes(), &signed.manifest);
        assert_eq!(restored.unwrap_err(), ShareError::OtherManifest);
    }
}

#[test]
fn b5_p8_a_share_of_an_older_epoch_does_not_deal() {
    // Refreshed once; then somebody restores the old disk and takes part in the next resharing.
    let old = TestCommittee::generate(2, 3, &mut TestRng::new("stale")).unwrap();
    let seats = old.ceremony.seats().to_vec();
    let threshold = old.manifest().threshold();
    let first = Resharing::new([1; 32], old.signed.clone(), threshold, seats.clone()).unwrap();
    let mut rng = TestRng::new("stale refresh");
    let (identities, shares) = (&old.identities, &old.shares);
    let refreshed = crate::testing::reshare(&first, shares, identities, identities, &mut rng).unwrap();
    let second = Resharing::new([1; 32], refreshed.signed.clone(), threshold, seats).unwrap();
    assert_ne!(first.id(), second.id());
    let stale = deal(&second, &shares[0], &identities[0], &mut rng).unwrap_err();
    assert_eq!(stale, ReshareError::OtherManifest);
    assert!(deal(&second, &refreshed.shares[0], &identities[0], &mut rng).is_ok());
    // What it dealt before is of another ceremony.
    let (message, _) = deal(&first, &shares[0], &identities[0], &mut rng).unwrap();
    assert_eq!(message.verify(&second), Err(MessageError::OtherCeremony.into()));
}

#[test]
fn b5_a_dealing_of_a_stale_share_has_another_constant_term() {
    // And if its own program is changed so that it deals all the same, everybody sees it.
    let run = Run::usual();
    let mut rng = TestRng::new("stale dealing");
    let seats = run.old.ceremony.seats().to_vec();
    let threshold = run.old.manifest().threshold();
    let first = Resharing::new([1; 32], run.old.signed.clone(), threshold, seats).unwrap();
    let (identities, shares) = (&run.old.identities, &run.old.shares);
    let refreshed = crate::testing::reshare(&first, shares, identities, identities, &mut rng).unwrap();
    let second = Resharing::new(
        [2; 32],
        refreshed.signed.clone(),
        run.resharing.threshold(),
        run.resharing.seats().to_vec(),
    )
    .unwrap();
    // The stale commitments, signed as if for the second resharing.
    let envelope = Envelope {
        ceremony: second.id(),
        sender: index(1),
        recipient: None,
        kind: Kind::Commitments,
    };
    let payload = Zeroizing::new(run.commitments[0].payload().to_vec());
    let stale = SignedMessage::sign(envelope, payload, &identities[0]);
    let culprit = Evidence::Commitments(stale).culprit(&second).unwrap();
    assert_eq!(culprit.fault, Fault::ConstantTerm);
}

#[test]
fn the_epochs_are_a_chain() {
    let (run, signed, shares) = handed_over();
    let (old, new) = (run.old.manifest(), &signed.manifest);
    assert_eq!((old.epoch(), new.epoch()), (1, 2));
    assert_eq!((old.previous(), new.previous()), (None, Some(old.digest())));
    let seats = seats(&run.identities);
    let again = Resharing::new([3; 32], signed.clone(), new.threshold(), seats).unwrap();
    let mut rng = TestRng::new("third epoch");
    let third = crate::testing::reshare(&again, &shares, &run.identities, &run.identities, &mut rng).unwrap();
    assert_eq!(third.signed.manifest.follows(new), Ok(()));
    assert!(third.signed.manifest.follows(old).is_err());
    assert_eq!(third.signed.manifest.public_key(), old.public_key());
}
