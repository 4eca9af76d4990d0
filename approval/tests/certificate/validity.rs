//! When it is valid, and for how long.

use quorate_approval::{DerFault, Limits, check_certificate};

use crate::support::{Fixture, NOW_MS, authority, name, seed, tlv, utc_time};
use crate::{Fault, fault};

#[test]
fn d9_validity_is_inclusive_to_the_second() {
    let mut fixture = Fixture::new();
    fixture.limits = Limits {
        max_lifetime_s: 120,
        max_skew_s: 0,
    };
    let certificate = fixture.issue(0);
    let at = |now_ms: u64, limits: &Limits| {
        check_certificate(&certificate, &fixture.trust, now_ms, limits).map(|_| ())
    };
    let end = NOW_MS + 60_000;
    for skew in [0, 1, 5] {
        let limits = Limits {
            max_skew_s: skew,
            ..fixture.limits
        };
        assert_eq!(at(NOW_MS - skew * 1000, &limits), Ok(()));
        assert_eq!(at(NOW_MS - skew * 1000 - 1, &limits), Err(Fault::NotYetValid));
        assert_eq!(at(NOW_MS - skew * 1000 - 1000, &limits), Err(Fault::NotYetValid));
        assert_eq!(at(end + skew * 1000, &limits), Ok(()));
        assert_eq!(at(end + skew * 1000 + 999, &limits), Ok(()));
        assert_eq!(at(end + skew * 1000 + 1000, &limits), Err(Fault::Expired));
    }
    assert_eq!(at(0, &fixture.limits), Err(Fault::NotYetValid));
    assert_eq!(at(u64::MAX, &fixture.limits), Err(Fault::Expired));
}

#[test]
fn d9_an_interval_that_ends_before_it_begins_is_refused() {
    assert_eq!(
        fault(|forge| forge.not_after = utc_time("270115075959Z")),
        Fault::Validity
    );
    assert_eq!(
        fault(|forge| forge.not_before = utc_time("500101000000Z")),
        Fault::Validity
    );
    // UTCTime of year 50 is 1950, before which there is nothing to be valid in.
    assert_eq!(
        fault(|forge| forge.not_after = utc_time("500101000000Z")),
        Fault::Validity
    );
}

#[test]
fn d9_a_longer_lifetime_than_allowed_is_refused() {
    assert_eq!(
        fault(|forge| forge.not_after = utc_time("270115080201Z")),
        Fault::Lifetime
    );
    assert_eq!(
        fault(|forge| forge.not_after = utc_time("491231235959Z")),
        Fault::Lifetime
    );
    let forever = tlv(0x18, b"99991231235959Z");
    assert_eq!(fault(|forge| forge.not_after = forever), Fault::Lifetime);
    let fixture = Fixture::new();
    let longest = fixture
        .forge()
        .with(|forge| forge.not_after = utc_time("270115080200Z"))
        .build();
    assert!(check_certificate(&longest, &fixture.trust, NOW_MS, &fixture.limits).is_ok());
}

#[test]
fn d9_times_in_other_forms_are_refused() {
    for time in [
        utc_time("270115080100+0000"),
        utc_time("2701150801Z"),
        tlv(0x18, b"20270115080100Z"),
        tlv(0x18, b"20270115080100.0Z"),
    ] {
        assert_eq!(fault(|forge| forge.not_after = time), Fault::Der(DerFault::Value));
    }
    assert_eq!(
        fault(|forge| forge.not_after = utc_time("270230080100Z")),
        Fault::NotX509
    );
}

#[test]
fn d9_the_turn_to_2050_changes_the_encoding_and_nothing_else() {
    use quorate_approval::{Authority, TrustBundle, TrustedOrganisation};
    let new_year_ms = 2_524_608_000_000;
    let mut fixture = Fixture::new();
    let root = Authority::generate(&name("bank"), &seed(0), new_year_ms - 1_000_000_000).unwrap();
    let bank = TrustedOrganisation::new(name("bank"), &root).unwrap();
    let policy = "bank".parse().unwrap();
    fixture.trust = TrustBundle::new(7, [0xc4; 32].into(), name("test"), vec![bank], policy).unwrap();
    let authority = Authority::from_seed(&seed(0), &root).unwrap();
    let certificate = authority
        .issue(&fixture.fields, new_year_ms - 30_000, 60)
        .unwrap();
    let find = |bytes: &[u8]| certificate.windows(bytes.len()).any(|window| window == bytes);
    assert!(find(&utc_time("491231235930Z")) && find(&tlv(0x18, b"20500101000030Z")));
    assert!(
        fixture
            .check_at(std::slice::from_ref(&certificate), new_year_ms)
            .is_ok()
    );
    assert!(fixture.check_at(&[certificate], new_year_ms + 36_000).is_err());
}

#[test]
fn d9_under_a_root_that_is_not_valid_now_nothing_is_accepted() {
    let fixture = Fixture::new();
    let years = 11 * 365 * 86_400_000;
    for now_ms in [NOW_MS + years, NOW_MS - 2 * 3_600_000] {
        let certificate = authority(0).issue(&fixture.fields, now_ms, 60).unwrap();
        assert_eq!(
            check_certificate(&certificate, &fixture.trust, now_ms, &fixture.limits),
            Err(Fault::RootNotValid)
        );
    }
}
