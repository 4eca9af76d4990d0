//! What is too long, too many or unknown is refused by its name, before it is read and before it is signed for.

use golden_record::{
    Block, BlockDecodeError, BlockError, Body, Genesis, GenesisError, Header, Limits, MAX_INITIAL_MEMBERS,
    MAX_INLINE, MAX_MATERIAL, MAX_PURPOSE, MAX_RELEASES, Organisation, Role, Transaction, TransactionError,
    VerifiedBlock, VerifiedTransaction,
};
use threshold::encoding::{Canonical, DecodeError, Writer};
use threshold::signature::{PublicKey, Signature};
use threshold::transcript::{Domain, Transcript};

use crate::support::{START_MS, World, committee, genesis, grant, name, organisation, public};

/// What becomes of a transaction of this body: by its author's software, and when its bytes are parsed.
fn refused(world: &mut World, who: &str, body: Body) -> (TransactionError, TransactionError) {
    let transaction = world.sign(who, body);
    (
        VerifiedTransaction::verify(transaction.clone()).unwrap_err(),
        Transaction::parse(&transaction.to_bytes()).unwrap_err(),
    )
}

fn malformed(error: DecodeError) -> TransactionError {
    TransactionError::Malformed(error)
}

/// Too long by its name when it is checked, and before it is allocated when it is parsed.
fn too_long(field: &'static str) -> (TransactionError, TransactionError) {
    let error = |field| malformed(DecodeError::TooLong(field));
    (error(field), error("field"))
}

fn invalid(what: &'static str) -> (TransactionError, TransactionError) {
    let error = malformed(DecodeError::Invalid(what));
    (error, error)
}

#[test]
fn p12_the_first_members_of_a_dataset_are_bounded() {
    let mut world = World::ready(30);
    let many = || {
        (0..=MAX_INITIAL_MEMBERS)
            .map(|i| name(&format!("user-{i}")))
            .collect()
    };
    for field in ["owners", "writers", "readers"] {
        let mut body = world.create_dataset("second");
        let Body::CreateDataset {
            owners,
            writers,
            readers,
            ..
        } = &mut body
        else {
            unreachable!()
        };
        match field {
            "owners" => *owners = many(),
            "writers" => *writers = many(),
            _ => *readers = many(),
        }
        assert_eq!(refused(&mut world, "acme-admin", body), too_long(field));
    }
}

#[test]
fn p12_what_a_document_carries_is_bounded() {
    let mut world = World::ready(31);
    let written = |world: &mut World, change: fn(&mut Body)| {
        let mut body = world.write("reports", "q3", 2);
        change(&mut body);
        refused(world, "wendy", body)
    };
    let zero: fn(&mut Body) = |body| {
        if let Body::WriteDocument { version, .. } = body {
            *version = 0;
        }
    };
    let material: fn(&mut Body) = |body| {
        if let Body::WriteDocument { material, .. } = body {
            *material = vec![0; MAX_MATERIAL + 1];
        }
    };
    let inline: fn(&mut Body) = |body| {
        if let Body::WriteDocument { inline, .. } = body {
            *inline = Some(vec![0; MAX_INLINE + 1]);
        }
    };
    assert_eq!(written(&mut world, zero), invalid("version"));
    assert_eq!(written(&mut world, material), too_long("material"));
    assert_eq!(written(&mut world, inline), too_long("inline object"));
}

#[test]
fn p12_what_a_read_request_says_is_bounded() {
    let mut world = World::ready(32);
    let asked = |world: &mut World, change: &dyn Fn(&mut String)| {
        let mut wish = world.read("rita", "q3", 1);
        if let Body::RequestRead { purpose, .. } = &mut wish.body {
            change(purpose);
        }
        let transaction = world.sign_read("rita", wish);
        (
            VerifiedTransaction::verify(transaction.clone()).unwrap_err(),
            Transaction::parse(&transaction.to_bytes()).unwrap_err(),
        )
    };
    let long = asked(&mut world, &|purpose| *purpose = "x".repeat(MAX_PURPOSE + 1));
    assert_eq!(long, too_long("purpose"));
    let two_lines = asked(&mut world, &|purpose| purpose.push('\n'));
    assert_eq!(two_lines, invalid("purpose"));
}

#[test]
fn p12_the_releases_of_one_receipt_are_counted() {
    let mut world = World::ready(33);
    let release = world.approved(1);
    let many = Body::RecordReleases {
        releases: vec![release; MAX_RELEASES + 1],
    };
    assert_eq!(refused(&mut world, "coordinator", many), too_long("releases"));
    let none = Body::RecordReleases { releases: Vec::new() };
    assert_eq!(refused(&mut world, "coordinator", none), invalid("releases"));
}

#[test]
fn p12_a_giant_is_not_signed_for_either() {
    // No body that parses is so long; one that was put together in memory can be.
    let mut manifest = committee("second");
    manifest.signatures = vec![Signature([0; 64]); 1100];
    let giant = World::empty(34).sign("admin-0", Body::PublishCommittee { manifest });
    assert_eq!(
        VerifiedTransaction::verify(giant).unwrap_err(),
        TransactionError::TooLarge
    );
}

#[test]
fn unknown_kinds_and_roles_are_refused() {
    let mut world = World::ready(35);
    let bytes = world
        .sign("olga", grant("reports", "nora", Role::Reader))
        .to_bytes();
    // The kind stands behind version, suite, chain id, author, nonce and expiry; the role before the
    // expected version, which is absent, and the signature.
    let (kind_at, role_at) = (2 + 32 + 32 + 16 + 8, bytes.len() - 1 - 64 - 1 - 1);
    for (at, unknown, what) in [
        (kind_at, 0, "kind of transaction"),
        (kind_at, 18, "kind of transaction"),
        (role_at, 0, "role"),
        (role_at, 4, "role"),
    ] {
        let mut changed = bytes.clone();
        changed[at] = unknown;
        assert_eq!(
            Transaction::parse(&changed),
            Err(malformed(DecodeError::Invalid(what)))
        );
    }
}

fn begin(coordinators: Vec<PublicKey>, auditors: Vec<PublicKey>) -> Result<Genesis, GenesisError> {
    Genesis::new(
        name("test-net"),
        START_MS,
        vec![organisation(0)],
        coordinators,
        auditors,
        Limits::default(),
    )
}

#[test]
fn p12_coordinators_and_auditors_are_counted() {
    let keys = |count: usize| -> Vec<_> { (0..count).map(|i| public(&format!("party-{i}"))).collect() };
    assert!(begin(keys(64), Vec::new()).is_ok());
    assert_eq!(begin(keys(65), Vec::new()), Err(GenesisError::Count));
    assert_eq!(begin(Vec::new(), keys(65)), Err(GenesisError::Count));
}

#[test]
fn d2_p11_an_auditor_has_a_key_of_its_own() {
    for taken in ["coordinator", "admin-0", "validator-0"] {
        assert_eq!(
            begin(vec![public("coordinator")], vec![public(taken)]),
            Err(GenesisError::DuplicateKey(Box::new(public(taken))))
        );
    }
}

#[test]
fn p12_the_lists_of_a_genesis_are_bounded_before_they_are_read() {
    let bytes = genesis().to_bytes();
    let party_list = 4 + 32;
    let limits_at = bytes.len() - (8 + 4 + 4);
    let organisations_at = 2 + (4 + "test-net".len()) + 8;
    for at in [
        organisations_at,
        limits_at - 2 * party_list,
        limits_at - party_list,
    ] {
        let mut changed = bytes.clone();
        changed[at..at + 4].copy_from_slice(&65_u32.to_be_bytes());
        assert_eq!(
            Genesis::from_bytes(&changed),
            Err(DecodeError::TooLong("field")),
            "at {at}"
        );
    }
    let long = Organisation {
        ca_certificate: vec![0; 2049],
        ..organisation(0)
    };
    assert_eq!(
        Organisation::from_bytes(&long.to_bytes()),
        Err(DecodeError::TooLong("field"))
    );
}

/// A block of this body, whatever it is, under a header that is right about it.
fn sealed(body: &[u8], entries: u32) -> Vec<u8> {
    let header = Header {
        entries,
        log_size: u64::from(entries),
        body_hash: Transcript::new(Domain::BlockBody)
            .append("entries", body)
            .digest(),
        ..World::empty(36).header
    };
    [header.to_bytes(), body.to_vec()].concat()
}

/// What a block of this body is refused for, by both who read one.
pub fn refused_block(body: &[u8], entries: u32) -> BlockDecodeError {
    let bytes = sealed(body, entries);
    let error = Block::from_bytes(&bytes).unwrap_err();
    let received = VerifiedBlock::from_bytes(&bytes, &|_| None).unwrap_err();
    assert_eq!(received, BlockError::Malformed(error), "both readers agree");
    error
}

#[test]
fn p12_the_entries_of_a_block_are_counted_before_they_are_read() {
    let mut count = Writer::new();
    count.u32(65_537);
    assert_eq!(
        refused_block(&count.finish(), 1),
        BlockDecodeError::Malformed(DecodeError::TooLong("field"))
    );
}

#[test]
fn p12_nothing_follows_the_entries_of_a_block() {
    assert_eq!(
        refused_block(&[0, 0, 0, 0, 0], 0),
        BlockDecodeError::Malformed(DecodeError::Trailing)
    );
    assert_eq!(
        refused_block(&[0, 0, 0, 0], 1),
        BlockDecodeError::Body,
        "the header counts one entry, and there is none"
    );
}

#[test]
fn a_header_has_no_more_entries_than_the_log() {
    let header = Header {
        entries: 1,
        log_size: 0,
        ..World::empty(37).header
    };
    assert_eq!(
        Header::from_bytes(&header.to_bytes()),
        Err(DecodeError::Invalid("log size"))
    );
}
