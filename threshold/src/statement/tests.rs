use super::*;
use crate::testing::TestRng;

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
