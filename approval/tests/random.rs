//! Random and mutated bytes: no panic, and one encoding for what is accepted (D17).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use proptest::prelude::*;
use quorate_approval::{TrustedOrganisation, check_certificate};
use support::{Fixture, Forge, NOW_MS, name, root};

#[test]
fn d17_every_changed_bit_of_a_certificate_or_root_is_noticed() {
    let fixture = Fixture::new();
    let refused = |der: &[u8]| check_certificate(der, &fixture.trust, NOW_MS, &fixture.limits).is_err();
    let unpinned = |der: &[u8]| TrustedOrganisation::new(name("a"), der).is_err();
    for (original, is_root) in [(fixture.issue(0), false), (root(0), true)] {
        for bit in 0..8 * original.len() {
            let mut changed = original.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                if is_root {
                    unpinned(&changed)
                } else {
                    refused(&changed)
                },
                "bit {bit}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let fixture = Fixture::new();
        prop_assert!(check_certificate(&bytes, &fixture.trust, NOW_MS, &fixture.limits).is_err());
        prop_assert!(TrustedOrganisation::new(name("a"), &bytes).is_err());
    }

    /// A signed part with any bytes changed, and signed again by the real CA. What is accepted must be what the profile
    /// writes for the accepted fields: nothing in a certificate is free but its serial number and its times.
    #[test]
    fn d17_a_mutated_certificate_is_refused_or_in_the_one_form_of_its_fields(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let fixture = Fixture::new();
        let forge = fixture.forge();
        let mut signed_part = forge.signed_part();
        for (at, value) in changes {
            let place = at.index(signed_part.len());
            signed_part[place] = value;
        }
        let certificate = forge.seal(&signed_part);
        if let Ok((_, fields)) = check_certificate(&certificate, &fixture.trust, NOW_MS, &fixture.limits) {
            // Header 4, version 5, serial 2 + 16; the times follow algorithm 7 and issuer, each 2 + 13.
            let times = 4 + 5 + 18 + 7 + forge.issuer.len() + 2;
            let same = Forge::new(&fields, 0).with(|same| {
                same.serial = signed_part[11..27].to_vec();
                same.not_before = signed_part[times..times + 15].to_vec();
                same.not_after = signed_part[times + 15..times + 30].to_vec();
            });
            prop_assert_eq!(same.signed_part(), signed_part);
        }
    }
}
