//! The newer kinds of bodies, for the tests that try them.

use golden_record::{Body, Change, Configuration, LinkSource, LinkTarget};

use crate::support::{document, name, public};

pub fn rotate(user: &str, new_key: &str) -> Body {
    Body::RotateUserKey {
        tenant: name("acme"),
        user: name(user),
        key: public(new_key),
        expected: None,
    }
}

pub fn revoke_user(user: &str) -> Body {
    Body::RevokeUser {
        tenant: name("acme"),
        user: name(user),
        expected: None,
    }
}

pub fn rotate_admin(new_key: &str) -> Body {
    Body::RotateTenantAdmin {
        tenant: name("acme"),
        key: public(new_key),
        expected: None,
    }
}

pub fn configure(dataset: &str, configuration: Configuration) -> Body {
    Body::ConfigureDataset {
        tenant: name("acme"),
        dataset: name(dataset),
        configuration,
        expected: None,
    }
}

pub fn erase(dataset: &str, document_name: &str, version: u64) -> Body {
    Body::EraseDocument {
        tenant: name("acme"),
        dataset: name(dataset),
        document: document(document_name),
        version,
    }
}

pub fn link(version: u64, target: Option<LinkTarget>) -> Body {
    Body::PutLink {
        tenant: name("acme"),
        dataset: name("reports"),
        link: name("annex"),
        version,
        relation: name("is-annex-of"),
        source: LinkSource {
            document: document("q3"),
            version: 1,
        },
        target,
    }
}

pub fn target(dataset: &str, document_name: &str, version: u64) -> LinkTarget {
    LinkTarget {
        dataset: name(dataset),
        document: document(document_name),
        version,
    }
}

pub fn govern(revision: u64, change: Change) -> Body {
    Body::Govern { revision, change }
}

/// The same body with the version that is expected.
pub fn expecting(mut body: Body, version: u64) -> Body {
    match &mut body {
        Body::Grant { expected, .. }
        | Body::Revoke { expected, .. }
        | Body::SetDatasetActive { expected, .. }
        | Body::RotateUserKey { expected, .. }
        | Body::RevokeUser { expected, .. }
        | Body::RotateTenantAdmin { expected, .. }
        | Body::ConfigureDataset { expected, .. } => *expected = Some(version),
        other => panic!("{} expects no version", other.kind()),
    }
    body
}
