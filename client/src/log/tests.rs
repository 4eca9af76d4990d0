//! An endorser that leaves out, changes or reorders lines of the log.

use ed25519_dalek::SigningKey;
use golden_record::Transaction;
use threshold::ids::{BlockHash, ChainId};
use threshold::signature::PublicKey;

use super::*;

fn lines(count: u8) -> Vec<Line> {
    (0..count)
        .map(|index| Line {
            index: index.into(),
            height: 1,
            time_ms: 1,
            entry: entry(index),
        })
        .collect()
}

fn entry(number: u8) -> Entry {
    let key = SigningKey::from_bytes(&[1; 32]);
    let body = Body::CreateTenant {
        tenant: "acme".parse().unwrap(),
        admin: PublicKey::of(&key),
    };
    let transaction = Transaction::sign(ChainId([0; 32]), &key, [number; 16], 1, body);
    Entry {
        transaction,
        outcome: Outcome::Applied,
    }
}

/// The header that binds these lines.
fn header(lines: &[Line]) -> Header {
    let mut frontier = Frontier::new();
    for line in lines {
        frontier.push(line.entry.leaf_hash(), |_, _, _| {}).unwrap();
    }
    Header {
        chain_id: ChainId([0; 32]),
        height: 1,
        parent: BlockHash([0; 32]),
        time_ms: 1,
        entries: 1,
        body_hash: [0; 32],
        log_size: frontier.size(),
        log_root: frontier.root(),
        state_digest: [0; 32],
    }
}

#[test]
fn the_whole_log_holds() {
    for count in 1..9 {
        let lines = lines(count);
        assert_eq!(check_root(&lines, &header(&lines)), Ok(()));
    }
}

#[test]
fn e2_a_line_left_out_added_or_moved_is_noticed() {
    let honest = lines(7);
    let header = header(&honest);
    for place in 0..honest.len() {
        let mut short = honest.clone();
        short.remove(place);
        assert!(check_root(&short, &header).is_err());
        let mut long = honest.clone();
        long.insert(place, honest[0].clone());
        assert!(check_root(&long, &header).is_err());
    }
    for place in 1..honest.len() {
        let mut moved = honest.clone();
        moved.swap(place - 1, place);
        assert!(check_root(&moved, &header).is_err());
    }
}

#[test]
fn p10_a_changed_outcome_is_noticed() {
    let mut lines = lines(4);
    let header = header(&lines);
    lines[2].entry.outcome = Outcome::Rejected(golden_record::RejectionReason::TenantExists);
    assert!(check_root(&lines, &header).is_err());
}
