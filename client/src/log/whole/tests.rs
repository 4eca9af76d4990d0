//! An endorser that leaves out, changes or reorders lines of the log.

use ed25519_dalek::SigningKey;
use golden_record::{Body, Entry, Outcome, RejectionReason, Transaction};
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
        assert_eq!(check(&lines, &header(&lines), None), Ok(Ok(())));
    }
}

#[test]
fn e2_a_line_left_out_added_or_moved_is_noticed() {
    let honest = lines(7);
    let header = header(&honest);
    for place in 0..honest.len() {
        let mut short = honest.clone();
        short.remove(place);
        assert!(check(&short, &header, None).is_err());
        let mut long = honest.clone();
        long.insert(place, honest[0].clone());
        assert!(check(&long, &header, None).is_err());
    }
    for place in 1..honest.len() {
        let mut moved = honest.clone();
        moved.swap(place - 1, place);
        assert!(check(&moved, &header, None).is_err());
    }
}

#[test]
fn p10_a_changed_outcome_is_noticed() {
    let mut lines = lines(4);
    let header = header(&lines);
    lines[2].entry.outcome = Outcome::Rejected(RejectionReason::TenantExists);
    assert!(check(&lines, &header, None).is_err());
}

fn checkpoint(lines: &[Line]) -> Checkpoint {
    let header = header(lines);
    Checkpoint {
        size: header.log_size,
        root: header.log_root,
    }
}

#[test]
fn p10_a_log_continues_every_checkpoint_of_itself() {
    let log = lines(9);
    for earlier in 1..=log.len() {
        let earlier = checkpoint(&log[..earlier]);
        assert_eq!(check(&log, &header(&log), Some(earlier)), Ok(Ok(())));
    }
}

#[test]
fn p10_two_checkpoints_that_fork_are_noticed() {
    let honest = lines(6);
    for earlier in 1..=honest.len() {
        let earlier = checkpoint(&honest[..earlier]);
        // Another history, signed just as well, of every length from the checkpoint's on: it forks at its last entry.
        for longer in earlier.size.try_into().unwrap()..=honest.len() {
            let mut forked = honest[..longer].to_vec();
            let place = usize::try_from(earlier.size).unwrap() - 1;
            forked[place].entry.outcome = Outcome::Rejected(RejectionReason::TenantExists);
            assert_eq!(check(&forked, &header(&forked), Some(earlier)), Ok(Err(earlier)));
        }
    }
}

#[test]
fn p10_a_log_cut_short_does_not_continue_a_checkpoint() {
    let honest = lines(6);
    let earlier = checkpoint(&honest);
    for shorter in 1..honest.len() {
        let cut = &honest[..shorter];
        assert_eq!(check(cut, &header(cut), Some(earlier)), Ok(Err(earlier)));
    }
}
