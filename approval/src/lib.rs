//! Issue and check an endorser's short-lived X.509 approval certificate, without any I/O.
//!
//! An endorser's [`Authority`] states in a certificate that the ledger approved one read: one wrapped key, to one
//! ephemeral key Q, until a time. Whoever is asked to act on it, a crypto node above all, calls [`check`] with the
//! certificates, the wrapped key and its own pinned [`TrustBundle`]; an [`Approved`] comes from nowhere else. The client
//! uses the same check.
//!
//! `docs/approval-certificate.md` gives the profile byte by byte; [`oid`] holds its object identifiers. Time is
//! an argument.

mod authority;
mod canonical;
mod certificate;
mod check;
mod config;
mod der;
mod fields;
pub mod oid;
pub mod pem;
pub mod policy;
mod refusal;
mod trust;
mod unverified;

pub use authority::{Authority, AuthorityError, MAX_LIFETIME_S};
pub use check::{Approved, Limits, MAX_CERTIFICATE_SIZE, MAX_CERTIFICATES, check, check_certificate};
pub use config::{ApprovalConfig, ConfigError, OrganisationConfig};
pub use der::DerFault;
pub use fields::ApprovalFields;
pub use policy::{Policy, PolicyError};
pub use refusal::{CertificateFault, Refusal};
pub use trust::{MAX_ORGANISATIONS, MAX_ROOT_SIZE, RootFault, TrustBundle, TrustError, TrustedOrganisation};
pub use unverified::read_unverified;
