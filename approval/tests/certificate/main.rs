//! One certificate that departs from the profile by one thing, signed by the real CA, is refused for that thing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod encoding;
mod extensions;
mod issuer;
mod subject;
#[path = "../support/mod.rs"]
mod support;
mod validity;

use quorate_approval::CertificateFault as Fault;
use quorate_approval::check_certificate;
use support::{Fixture, Forge, NOW_MS};

/// Build with one change and say what it is refused for.
fn fault(change: impl FnOnce(&mut Forge)) -> Fault {
    let fixture = Fixture::new();
    fixture.fault(&fixture.forge().with(change).build())
}

#[test]
fn the_forge_itself_is_accepted() {
    let fixture = Fixture::new();
    let certificate = fixture.forge().build();
    assert!(check_certificate(&certificate, &fixture.trust, NOW_MS, &fixture.limits).is_ok());
}
