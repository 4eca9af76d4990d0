use super::custodian::{SecretKey, Stage};
use super::offline::{Present, RestoreError, drill};
use super::*;
use crate::ceremony::message::{Body, Message};
use crate::ceremony::plan::Plan;
use rand_core::OsRng;
use std::sync::OnceLock;
use threshold::testing::{TestCommittee, TestRng};

pub(crate) mod files;

/// Three of five members' shares, and what the first node keeps of their ceremony.
pub(crate) struct World {
    pub(crate) committee: TestCommittee,
    pub(crate) record: Record,
}

pub(crate) fn world(seed: &str) -> World {
    let committee = TestCommittee::generate(3, 5, &mut TestRng::new(seed)).unwrap();
    let mut record = Record::new(
        Plan::Generation(committee.ceremony.clone()),
        committee.manifest().members()[0].identity,
        0,
    );
    record.manifest = Some(committee.manifest().clone());
    let digest = committee.manifest().digest();
    for (member, signature) in committee
        .manifest()
        .members()
        .iter()
        .zip(&committee.signed.signatures)
    {
        let identity = &committee.identities[usize::from(member.index.get()) - 1];
        let body = Body::Sign {
            manifest: digest,
            signature: *signature,
        };
        let message = Message::new(committee.ceremony.id(), body, identity);
        record.signs.insert(member.identity, message);
    }
    assert!(record.signed_manifest().is_some());
    World { committee, record }
}

pub(crate) fn shared() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| world("backup"))
}

/// A backup in the hands of five custodians, three of whom are needed.
struct Kept {
    backup: Backup,
    parts: Vec<SealedPart>,
    keys: Vec<SecretKey>,
    restorer: SecretKey,
}

fn custodians(keys: &[SecretKey]) -> Vec<Custodian> {
    let custodian = |(place, key): (usize, &SecretKey)| Custodian {
        name: Name::new(&format!("custodian-{}", place + 1)).unwrap(),
        key: key.public().unwrap(),
    };
    keys.iter().enumerate().map(custodian).collect()
}

fn keys(count: usize) -> Vec<SecretKey> {
    (0..count).map(|_| SecretKey::generate(&mut OsRng)).collect()
}

impl Kept {
    fn new() -> Self {
        Self::of(shared(), 3, 5)
    }

    fn of(world: &World, threshold: u16, count: usize) -> Self {
        let keys = keys(count);
        let (backup, parts) = Backup::make(
            &world.record,
            &world.committee.shares[0],
            &world.committee.identities[0],
            custodians(&keys),
            threshold,
            &mut OsRng,
        )
        .unwrap();
        Self {
            backup,
            parts,
            keys,
            restorer: SecretKey::generate(&mut OsRng),
        }
    }

    /// The part of a custodian, by number, as whoever restores has it.
    fn part(&self, number: usize) -> Part {
        let to = self.restorer.public().unwrap();
        let part = &self.parts[number - 1];
        self.backup.check_part(part).unwrap();
        let handed = part.hand_over(&self.keys[number - 1], &to, &mut OsRng).unwrap();
        let handed = SealedPart::from_bytes(&handed.to_bytes()).unwrap();
        handed.open(Stage::Handed, &self.restorer).unwrap()
    }

    fn parts(&self, numbers: &[usize]) -> Vec<Part> {
        numbers.iter().map(|number| self.part(*number)).collect()
    }

    fn refusal(&self, parts: &[Part]) -> BackupError {
        self.backup.recover(parts).unwrap_err()
    }
}

#[test]
fn any_three_of_five_custodians_bring_the_share_back() {
    let kept = Kept::new();
    let backup = Backup::from_bytes(&kept.backup.to_bytes()).unwrap();
    for numbers in [&[1, 2, 3][..], &[5, 3, 1], &[2, 4, 5], &[1, 2, 3, 4, 5]] {
        let recovered = backup.recover(&kept.parts(numbers)).unwrap();
        let share = &shared().committee.shares[0];
        assert_eq!(recovered.share.public_share(), share.public_share());
        assert_eq!(*recovered.share.to_secret_bytes(), *share.to_secret_bytes());
        assert_eq!(
            recovered.identity.to_bytes(),
            shared().committee.identities[0].to_bytes()
        );
        drill(&backup, &kept.parts(numbers)).unwrap();
    }
}

#[test]
fn p2_fewer_custodians_than_needed_learn_nothing() {
    let kept = Kept::new();
    assert_eq!(
        kept.refusal(&kept.parts(&[1, 2])),
        BackupError::TooFew { have: 2, need: 3 }
    );
    assert_eq!(kept.refusal(&[]), BackupError::TooFew { have: 0, need: 3 });
    // Without that check: what two combine to does not open it.
    let scalar = sharing::combine(&kept.parts(&[1, 2])).unwrap();
    let payload = Payload {
        msg: &kept.backup.sealed,
        aad: &kept.backup.header(),
    };
    assert!(
        cipher(&scalar, &kept.backup.id())
            .decrypt(&Nonce::default(), payload)
            .is_err()
    );
}

#[test]
fn a8_a_custodian_counts_once_and_has_a_number_of_the_backup() {
    let kept = Kept::new();
    let name = kept.backup.custodians()[1].name.clone();
    assert_eq!(kept.refusal(&kept.parts(&[1, 2, 2])), BackupError::Twice(name));
    for number in [0, 6] {
        let part = Part::new(number, &kept.part(1).expose()).unwrap();
        assert_eq!(kept.refusal(&[part]), BackupError::OtherBackup(number));
    }
}

#[test]
fn p9_a_wrong_part_names_its_custodian() {
    let kept = Kept::new();
    let name = kept.backup.custodians()[3].name.clone();
    let lie = Part::new(4, &kept.part(2).expose()).unwrap();
    let parts = [kept.part(1), kept.part(2), lie];
    assert_eq!(kept.refusal(&parts), BackupError::WrongPart(name.clone()));
    // Also when three good ones would be there without it.
    let lie = Part::new(4, &[1; 32]).unwrap();
    let parts = [kept.part(1), kept.part(2), kept.part(3), lie];
    assert_eq!(kept.refusal(&parts), BackupError::WrongPart(name));
    assert!(Part::new(1, &[255; 32]).is_none(), "a scalar over the order");
}

#[test]
fn b7_a_part_of_another_backup_is_refused() {
    let (kept, other) = (Kept::new(), Kept::new());
    assert_eq!(
        kept.backup.check_part(&other.parts[0]),
        Err(BackupError::OtherBackup(1))
    );
    let name = kept.backup.custodians()[0].name.clone();
    assert_eq!(
        kept.refusal(&other.parts(&[1])),
        BackupError::WrongPart(name.clone())
    );
    // The same part encrypted again is not what the custodian was given.
    let again = SealedPart::seal(
        &kept.keys[0].public().unwrap(),
        &kept.backup.id(),
        &kept.part(1),
        &mut OsRng,
    );
    assert_eq!(
        kept.backup.check_part(&again.unwrap()),
        Err(BackupError::OtherPart(name))
    );
}

#[test]
fn a17_a_part_opens_for_its_receiver_unchanged_and_at_its_stage() {
    let kept = Kept::new();
    let part = &kept.parts[0];
    assert_eq!(
        part.open(Stage::Kept, &kept.keys[1]).unwrap_err(),
        BackupError::Closed
    );
    assert_eq!(
        part.open(Stage::Handed, &kept.keys[0]).unwrap_err(),
        BackupError::Closed
    );
    let bytes = part.to_bytes();
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1;
        let opened = SealedPart::from_bytes(&damaged)
            .map_err(BackupError::from)
            .and_then(|part| part.open(Stage::Kept, &kept.keys[0]));
        assert!(opened.is_err(), "byte {position}");
    }
    for length in 0..bytes.len() {
        assert!(
            SealedPart::from_bytes(&bytes[..length]).is_err(),
            "{length} bytes"
        );
    }
    // A part that was handed over to one is not handed over by that one to another.
    let to = kept.restorer.public().unwrap();
    let handed = part.hand_over(&kept.keys[0], &to, &mut OsRng).unwrap();
    assert_eq!(
        handed.hand_over(&kept.restorer, &to, &mut OsRng).unwrap_err(),
        BackupError::Closed
    );
}

#[test]
fn b9_every_byte_of_a_backup_counts() {
    let kept = Kept::of(shared(), 2, 2);
    let bytes = kept.backup.to_bytes();
    let parts = kept.parts(&[1, 2]);
    let record = kept.backup.record().len();
    // The record has checks of its own, which take their time: some of its bytes stand for all.
    let of_the_record = (13..13 + record).step_by(97);
    for position in (0..13).chain(of_the_record).chain(13 + record..bytes.len()) {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1;
        let recovered = Backup::from_bytes(&damaged)
            .map_err(BackupError::from)
            .and_then(|backup| backup.recover(&parts));
        assert!(recovered.is_err(), "byte {position}");
    }
    for length in [0, 8, 13, 13 + record, bytes.len() - 1] {
        assert!(Backup::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
    assert!(Backup::from_bytes(&[bytes.as_slice(), b"x"].concat()).is_err());
}

/// One custodian fewer would be needed if the file said so: it does not open then.
#[test]
fn a4_the_threshold_of_a_backup_is_its_commitments() {
    let kept = Kept::new();
    let mut lowered = kept.backup.clone();
    lowered.core.threshold = 2;
    assert_eq!(
        lowered.recover(&kept.parts(&[1, 2])).unwrap_err(),
        BackupError::Damaged
    );
    assert!(
        Backup::from_bytes(&lowered.to_bytes()).is_err(),
        "one commitment too many"
    );
}

#[test]
fn a12_custodians_and_threshold_are_checked_when_a_backup_is_made() {
    let World { committee, record } = shared();
    let make = |custodians: Vec<Custodian>, threshold| {
        let (share, identity) = (&committee.shares[0], &committee.identities[0]);
        Backup::make(record, share, identity, custodians, threshold, &mut OsRng).map(drop)
    };
    let five = || custodians(&keys(5));
    for (t, n) in [(0, 5), (1, 5), (6, 5), (2, 1), (2, 65)] {
        let refused = make(custodians(&keys(n)), t).unwrap_err();
        assert_eq!(refused, BackupError::Threshold { t: t.into(), n });
    }
    let mut same_name = five();
    same_name[4].name = same_name[0].name.clone();
    let mut same_key = five();
    same_key[4].key = same_key[0].key.clone();
    for custodians in [same_name, same_key] {
        let name = custodians[4].name.clone();
        assert_eq!(make(custodians, 3).unwrap_err(), BackupError::SameCustodian(name));
    }
}

#[test]
fn b4_only_the_members_own_share_and_identity_are_backed_up() {
    let (own, other) = (shared(), world("another committee"));
    let make = |record: &Record, share: &KeyShare, identity: &SigningKey| {
        Backup::make(record, share, identity, custodians(&keys(2)), 2, &mut OsRng).map(drop)
    };
    let (share, identity) = (&own.committee.shares[0], &own.committee.identities[0]);
    let index = share.index();
    assert_eq!(
        make(&own.record, &other.committee.shares[0], identity).unwrap_err(),
        BackupError::NotTheMembers("the share", index)
    );
    assert_eq!(
        make(&own.record, share, &own.committee.identities[1]).unwrap_err(),
        BackupError::NotTheMembers("the identity", index)
    );
    let mut unsigned = own.record.clone();
    unsigned.signs.pop_first();
    assert_eq!(
        make(&unsigned, share, identity).unwrap_err(),
        BackupError::NoManifest
    );
}

#[test]
fn p15_backups_parts_and_keys_do_not_print_or_hold_the_share() {
    let kept = Kept::new();
    let share = shared().committee.shares[0].to_secret_bytes();
    let scalar = &share[share.len() - 32..];
    let seed = shared().committee.identities[0].to_bytes();
    let part = kept.part(1);
    let secret_part = part.expose();
    let public: Vec<Vec<u8>> = kept
        .parts
        .iter()
        .map(Canonical::to_bytes)
        .chain([kept.backup.to_bytes()])
        .collect();
    for bytes in public {
        for secret in [scalar, &seed, secret_part.as_ref()] {
            assert!(!bytes.windows(32).any(|window| window == secret));
        }
    }
    let recovered = kept.backup.recover(&kept.parts(&[1, 2, 3])).unwrap();
    let printed = format!("{part:?} {recovered:?} {:?}", kept.keys[0]);
    assert_eq!(
        printed,
        "Part(1, redacted) Recovered(share 1) SecretKey(redacted)"
    );
}

#[test]
fn b5_p8_a_backup_of_an_old_epoch_another_key_or_an_unknown_present_is_not_put_back() {
    let kept = Kept::new();
    let own = &shared().committee.signed;
    let ceremony = kept.backup.ceremony();
    let allows = |own, journal, committee| {
        Present {
            own,
            journal,
            committee,
        }
        .allows(&kept.backup)
    };
    allows(Some(own), Some(ceremony), None).unwrap();
    allows(None, None, Some(own)).unwrap();

    assert_eq!(allows(None, None, None), Err(RestoreError::Unknown));
    assert_eq!(allows(None, Some(ceremony), None), Err(RestoreError::Unknown));
    let later = CeremonyId([9; 32]);
    assert_eq!(
        allows(Some(own), Some(later), None),
        Err(RestoreError::Replaced(later))
    );
    assert_eq!(
        allows(None, Some(later), Some(own)),
        Err(RestoreError::Replaced(later))
    );

    let newer = next_epoch(own);
    for (own, committee) in [
        (Some(&newer), None),
        (None, Some(&newer)),
        (Some(own), Some(&newer)),
    ] {
        let refused = allows(own, Some(ceremony), committee).unwrap_err();
        assert!(
            matches!(
                refused,
                RestoreError::Stale {
                    backup: 1,
                    current: 2,
                    ..
                }
            ),
            "{refused}"
        );
    }
    let other = world("another committee").committee.signed;
    assert!(matches!(
        allows(None, None, Some(&other)),
        Err(RestoreError::OtherKey(_))
    ));
    assert!(matches!(
        allows(Some(&other), None, None),
        Err(RestoreError::OtherKey(_))
    ));
}

/// What follows this manifest after a refresh; its signatures are not looked at here.
fn next_epoch(signed: &SignedManifest) -> SignedManifest {
    let manifest = &signed.manifest;
    let next = manifest.next(manifest.threshold(), manifest.members().to_vec());
    SignedManifest {
        manifest: next.unwrap(),
        signatures: signed.signatures.clone(),
    }
}

/// Old members that leave send aborts with as much behind them as there is room for.
#[test]
fn b5_c12_what_parties_said_on_the_way_makes_no_backup_longer() {
    use crate::ceremony::message::{Evidence, Nested};
    use crate::ceremony::record::Fault;
    let World { committee, record } = shared();
    let mut said = record.clone();
    let junk = Evidence::Resharing(Nested(vec![7; 96 * 1024]));
    for (identity, member) in committee.identities.iter().zip(committee.manifest().members()) {
        let body = Body::Abort {
            reason: String::new(),
            evidence: Some(junk.clone()),
        };
        let abort = Message::new(record.plan.id(), body, identity);
        said.rejections.insert(member.identity);
        said.joins.insert(member.identity, abort.clone());
        said.abort = Some(abort);
        said.faults.push(Fault {
            who: member.identity,
            what: "x".repeat(1024),
            evidence: Some(junk.clone()),
        });
    }
    assert!(said.to_bytes().len() > MAX_RECORD);
    let kept = Kept::of(
        &World {
            committee: TestCommittee::generate(3, 5, &mut TestRng::new("backup")).unwrap(),
            record: said,
        },
        3,
        5,
    );
    let read = Backup::from_bytes(&kept.backup.to_bytes()).unwrap();
    assert_eq!(read.to_bytes(), kept.backup.to_bytes());
    let record = Record::from_bytes(read.record()).unwrap();
    assert_eq!(record.signed_manifest(), Some(committee.signed.clone()));
    read.recover(&kept.parts(&[1, 3, 5])).unwrap();
}

#[test]
fn b5_a_backup_that_could_not_be_read_is_not_made() {
    let World { committee, record } = shared();
    let mut long = record.clone();
    for (number, identity) in committee.identities.iter().enumerate() {
        // No honest record has such confirmations.
        let body = Body::Abort {
            reason: number.to_string(),
            evidence: Some(crate::ceremony::message::Evidence::Resharing(
                crate::ceremony::message::Nested(vec![7; 96 * 1024]),
            )),
        };
        let message = Message::new(record.plan.id(), body, identity);
        long.confirms.insert(message.sender, message);
    }
    let keys = keys(3);
    let made = Backup::make(
        &long,
        &committee.shares[0],
        &committee.identities[0],
        custodians(&keys),
        2,
        &mut OsRng,
    );
    assert!(matches!(made, Err(BackupError::TooLong(_))));
}
