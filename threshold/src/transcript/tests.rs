use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The framing, written down a second time.
fn framed(domain: &str, fields: &[(&str, &[u8])], end: u8) -> [u8; 64] {
    let mut bytes = vec![30];
    bytes.extend(b"quorate-v1-edwards25519-sha512");
    bytes.push(u8::try_from(domain.len()).unwrap());
    bytes.extend(domain.as_bytes());
    for (label, data) in fields {
        bytes.push(1);
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
        bytes.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend(*data);
    }
    bytes.push(end);
    Sha512::digest(&bytes).into()
}

#[test]
fn the_framing_is_as_documented() {
    let transcript = Transcript::new(Domain::WrapProof)
        .append("c", b"abc")
        .append("label", b"");
    let fields: [(&str, &[u8]); 2] = [("c", b"abc"), ("label", b"")];
    assert_eq!(
        transcript.clone().digest(),
        framed("wrap-proof", &fields, 2)[..32]
    );
    let wide = framed("wrap-proof", &fields, 3);
    assert_eq!(transcript.challenge(), Scalar::from_bytes_mod_order_wide(&wide));
}

#[test]
fn no_two_domains_share_a_label() {
    let labels: BTreeSet<_> = Domain::ALL.iter().map(|domain| domain.label()).collect();
    assert_eq!(labels.len(), Domain::ALL.len());
    assert!(labels.iter().all(|label| !label.is_empty() && label.len() < 256));
}

#[test]
fn domains_give_different_hashes() {
    let digests: BTreeSet<_> = Domain::ALL
        .iter()
        .map(|domain| Transcript::new(*domain).append("message", b"m").digest())
        .collect();
    assert_eq!(digests.len(), Domain::ALL.len());
}

const LABELS: [&str; 4] = ["", "a", "ab", "b"];

proptest! {
    /// Two different field lists, even with equal concatenations, hash differently.
    #[test]
    fn a19_the_framing_is_injective(
        first in prop::collection::vec((0..4_usize, prop::collection::vec(0..3_u8, 0..4)), 0..4),
        second in prop::collection::vec((0..4_usize, prop::collection::vec(0..3_u8, 0..4)), 0..4),
    ) {
        let digest = |fields: &[(usize, Vec<u8>)]| {
            let start = Transcript::new(Domain::Wrap);
            fields.iter().fold(start, |t, (label, data)| t.append(LABELS[*label], data)).digest()
        };
        prop_assert_eq!(first == second, digest(&first) == digest(&second));
    }
}

#[test]
fn a19_moving_bytes_between_fields_changes_the_hash() {
    let one = Transcript::new(Domain::Wrap)
        .append("x", b"ab")
        .append("x", b"c")
        .digest();
    let two = Transcript::new(Domain::Wrap)
        .append("x", b"a")
        .append("x", b"bc")
        .digest();
    let three = Transcript::new(Domain::Wrap)
        .append("x", b"abc")
        .append("x", b"")
        .digest();
    assert!(one != two && two != three && one != three);
}

#[test]
fn p15_the_hash_that_nonces_are_reduced_from_is_wiped() {
    fn wiped_on_drop<T: zeroize::ZeroizeOnDrop>(_: &T) {}
    // Does not compile with an array that stays in memory.
    wiped_on_drop(&Transcript::new(Domain::ReencryptNonce).end(END_CHALLENGE));
}
