use super::*;

fn bytes(group: u8, number: u8) -> [u8; 32] {
    let mut bytes = [number; 32];
    bytes[0] = group;
    bytes
}

/// Asks for these bytes; says whether they had to be computed.
fn is_computed(recent: &Recent<u8>, asked: [u8; 32]) -> bool {
    let mut computed = false;
    let result = recent.get_or(&asked, || {
        computed = true;
        Ok::<_, ()>(asked[31])
    });
    assert_eq!(result, Ok(asked[31]), "the result of other bytes");
    computed
}

#[test]
fn what_was_computed_is_not_computed_again() {
    let recent = Recent::new();
    for number in 0..4 {
        assert!(is_computed(&recent, bytes(7, number)));
    }
    for number in 0..4 {
        assert!(!is_computed(&recent, bytes(7, number)), "{number}");
        assert!(is_computed(&recent, bytes(8, number)), "another group");
    }
}

#[test]
fn what_is_asked_for_often_outlives_what_is_asked_for_once() {
    let recent = Recent::new();
    let often = bytes(1, 255);
    assert!(is_computed(&recent, often));
    for number in 0..100 {
        assert!(is_computed(&recent, bytes(1, number)));
        assert!(!is_computed(&recent, often), "forgotten after {number}");
    }
    for number in 100..104 {
        assert!(is_computed(&recent, bytes(1, number)));
    }
    assert!(is_computed(&recent, often), "more is kept than there are places");
}

#[test]
fn a_refusal_is_not_remembered() {
    let recent = Recent::new();
    assert_eq!(
        recent.get_or(&bytes(1, 1), || Err("wrong")),
        Err::<u8, _>("wrong")
    );
    assert!(is_computed(&recent, bytes(1, 1)));
}
