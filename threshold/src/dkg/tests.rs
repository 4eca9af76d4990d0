//! Tests of the key generation.

use crate::testing::{TestCommittee, TestRng};

#[test]
fn smoke() {
    let committee = TestCommittee::generate(3, 5, &mut TestRng::new("smoke")).unwrap();
    committee.signed.verify().unwrap();
}
