use super::*;
use crate::testing::TestRng;

/// A field, and how it is changed.
type Change = (&'static str, fn(&mut ReleaseStatement));

fn statement(identity: &SigningKey) -> ReleaseStatement {
    ReleaseStatement {
        manifest_digest: ManifestDigest([1; 32]),
        index: ParticipantIndex::new(2).unwrap(),
        approve_id: ApproveId([3; 32]),
        write_id: WriteId([4; 32]),
        q: PublicKey::of(&SigningKey::from_bytes(&[5; 32])),
        share_digest: [6; 32],
        repeat: false,
        time_ms: 1_800_000_000_000,
        journal_position: 7,
        journal_head: [8; 32],
        signature: Signature([0; 64]),
    }
    .sign(identity)
}

#[test]
fn p9_a_statement_is_its_nodes_alone() {
    let identity = SigningKey::generate(&mut TestRng::new("statement"));
    let statement = statement(&identity);
    assert_eq!(statement.to_bytes().len(), 277);
    assert_eq!(ReleaseStatement::from_bytes(&statement.to_bytes()), Ok(statement));
    assert_eq!(statement.verify(&PublicKey::of(&identity)), Ok(()));
    let other = PublicKey::of(&SigningKey::from_bytes(&[9; 32]));
    assert_eq!(statement.verify(&other), Err(SignatureError));
}

#[test]
fn every_flipped_byte_of_a_statement_is_refused() {
    let identity = SigningKey::generate(&mut TestRng::new("statement"));
    let bytes = statement(&identity).to_bytes();
    let public = PublicKey::of(&identity);
    for position in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1;
        let accepted = ReleaseStatement::from_bytes(&flipped).is_ok_and(|s| s.verify(&public).is_ok());
        assert!(!accepted, "byte {position}");
    }
}

#[test]
fn p9_every_field_of_a_statement_is_signed() {
    let identity = SigningKey::generate(&mut TestRng::new("statement"));
    let honest = statement(&identity);
    let changes: [Change; 10] = [
        ("manifest", |s| s.manifest_digest = ManifestDigest([9; 32])),
        ("index", |s| s.index = ParticipantIndex::new(3).unwrap()),
        ("approve id", |s| s.approve_id = ApproveId([9; 32])),
        ("write id", |s| s.write_id = WriteId([9; 32])),
        ("q", |s| s.q = PublicKey::of(&SigningKey::from_bytes(&[9; 32]))),
        ("share digest", |s| s.share_digest = [9; 32]),
        ("repeat", |s| s.repeat = true),
        ("time", |s| s.time_ms += 1),
        ("position", |s| s.journal_position += 1),
        ("head", |s| s.journal_head = [9; 32]),
    ];
    for (field, change) in changes {
        let mut changed = honest;
        change(&mut changed);
        assert_eq!(
            changed.verify(&PublicKey::of(&identity)),
            Err(SignatureError),
            "{field}"
        );
    }
}
