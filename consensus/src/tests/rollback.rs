//! Attack E9: a part of a validator's disk is an old copy.

use std::{fs, path::Path, sync::Arc};

use futures::executor::block_on;
use tempfile::TempDir;

use super::{
    loopback::{HOLD, Network},
    toy::{Toy, encode, genesis, inspect},
};
use crate::{Application as _, Error};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// What the validator's directory was, under what it is.
fn replace(old: &Path, new: &Path) {
    fs::remove_dir_all(new).unwrap();
    copy(old, new);
}

/// Four validators, the last stopped, and a copy of its directory from some blocks before.
fn with_an_old_copy(chain: u8) -> (Network, TempDir) {
    let mut network = Network::started(chain);
    network.commit(0, b"before the copy");
    network.stop(3);
    let old = TempDir::new().unwrap();
    copy(&network.config(3).directory, old.path());
    network.start(3);
    let height = network.toys[3].applied_height();
    network.toys[3].wait("it has voted for more", |toy| toy.applied_height() > height + 3);
    network.stop(3);
    (network, old)
}

/// Why the last validator does not run.
fn refused(network: &mut Network) -> String {
    network.start(3);
    let end = block_on(network.engine(3).stopped()).unwrap_err();
    network.stop(3);
    match &*end {
        Error::RolledBack(what) => what.clone(),
        other => panic!("another end: {other}"),
    }
}

#[test]
fn e9_an_old_directory_under_a_newer_application_is_refused_until_it_is_emptied() {
    let (mut network, old) = with_an_old_copy(18);
    replace(old.path(), &network.config(3).directory);
    assert!(refused(&mut network).contains("the consensus directory does not"));
    // Refused again, and not only once.
    assert!(refused(&mut network).contains("the consensus directory does not"));
    fs::remove_dir_all(network.config(3).directory).unwrap();
    network.start(3);
    network.commit(3, b"after it was emptied");
    network.assert_one_chain();
}

#[test]
fn e9_an_old_record_of_votes_is_refused() {
    let (mut network, old) = with_an_old_copy(19);
    let votes = Path::new("store/chain-votes");
    replace(&old.path().join(votes), &network.config(3).directory.join(votes));
    assert!(refused(&mut network).contains("its record of votes ends before"));
    fs::remove_dir_all(network.config(3).directory.join(votes)).unwrap();
    assert!(refused(&mut network).contains("its record of votes ends before"));
}

#[test]
fn e9_an_application_of_another_chain_is_refused() {
    let (mut network, _old) = with_an_old_copy(20);
    let other = encode(inspect(&genesis()).unwrap().digest, 1, &[b"elsewhere".to_vec()]);
    network.toys[3] = Arc::new(Toy::with_chain(HOLD, vec![(other.into(), None)]));
    assert!(refused(&mut network).contains("different blocks at height 1"));
}

#[test]
fn an_untouched_directory_is_not_refused() {
    let (mut network, _old) = with_an_old_copy(21);
    network.start(3);
    network.commit(3, b"as before");
    network.assert_one_chain();
}
