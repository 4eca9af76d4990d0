//! An installation for tests: four organisations, a tenant with users, a document, all with their keys.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test uses a part of it"
)]

use ed25519_dalek::SigningKey;
use golden_record::{Body, Configuration, Genesis, Limits, Organisation, Role, Transaction};
use rand_core::{OsRng, RngCore};
use threshold::{
    label::Label,
    name::{DocumentName, Name},
    reencrypt::ReaderKey,
    secret::DataKey,
    signature::PublicKey,
    testing::{TestCommittee, TestRng},
    wrap::wrap,
};

pub const ORGANISATIONS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];
pub const DOCUMENT: &str = "2026/report";

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn key(text: &str) -> SigningKey {
    SigningKey::generate(&mut TestRng::new(text))
}

pub fn public(key: &SigningKey) -> PublicKey {
    PublicKey::of(key)
}

pub struct World {
    pub genesis: Genesis,
    pub committee: TestCommittee,
    pub admin: SigningKey,
    pub coordinator: SigningKey,
    pub auditor: SigningKey,
    pub tenant_admin: SigningKey,
    pub writer: SigningKey,
    pub reader: SigningKey,
    pub now_ms: u64,
}

impl World {
    /// With validators of its own making.
    pub fn new(now_ms: u64) -> Self {
        let validators: Vec<_> = ORGANISATIONS.iter().map(|name| Self::validator(name)).collect();
        let parts = validators
            .iter()
            .zip(ORGANISATIONS)
            .map(|(key, name)| (public(key), name.as_bytes().to_vec()));
        Self::with_organisations(now_ms, parts.collect())
    }

    pub fn validator(organisation: &str) -> SigningKey {
        key(&format!("validator {organisation}"))
    }

    /// With these validator keys and CA certificates.
    pub fn with_organisations(now_ms: u64, parts: Vec<(PublicKey, Vec<u8>)>) -> Self {
        let organisations =
            ORGANISATIONS
                .iter()
                .zip(parts)
                .map(|(organisation, (validator, ca_certificate))| {
                    let admin = public(&key(&format!("admin {organisation}")));
                    Organisation {
                        name: name(organisation),
                        validator,
                        admin,
                        ca_certificate,
                    }
                });
        let (coordinator, auditor) = (key("coordinator"), key("auditor"));
        let genesis = Genesis::new(
            name("test"),
            now_ms,
            organisations.collect(),
            vec![public(&coordinator)],
            vec![public(&auditor)],
            Limits::default(),
        );
        Self {
            genesis: genesis.unwrap(),
            committee: TestCommittee::generate(2, 3, &mut TestRng::new("committee")).unwrap(),
            admin: key("admin alpha"),
            coordinator,
            auditor,
            tenant_admin: key("tenant admin"),
            writer: key("writer"),
            reader: key("reader"),
            now_ms,
        }
    }

    pub fn sign(&self, author: &SigningKey, body: Body) -> Transaction {
        self.sign_until(author, body, self.now_ms + 300_000)
    }

    pub fn sign_until(&self, author: &SigningKey, body: Body, expires_ms: u64) -> Transaction {
        let mut nonce = [0; 16];
        OsRng.fill_bytes(&mut nonce);
        Transaction::sign(self.genesis.chain_id(), author, nonce, expires_ms, body)
    }

    pub fn create_tenant(&self, tenant: &str, admin: &SigningKey) -> Transaction {
        self.sign(
            &self.admin,
            Body::CreateTenant {
                tenant: name(tenant),
                admin: public(admin),
            },
        )
    }

    pub fn create_user(&self, user: &str, key: &SigningKey) -> Transaction {
        let body = Body::CreateUser {
            tenant: name("north"),
            user: name(user),
            key: public(key),
        };
        self.sign(&self.tenant_admin, body)
    }

    pub fn publish_committee(&self) -> Transaction {
        self.confirm_committee("alpha")
    }

    /// One of the three organisations that it takes.
    pub fn confirm_committee(&self, organisation: &str) -> Transaction {
        self.sign(
            &key(&format!("admin {organisation}")),
            Body::PublishCommittee {
                manifest: self.committee.signed.clone(),
            },
        )
    }

    pub fn create_dataset(&self) -> Transaction {
        let body = Body::CreateDataset {
            tenant: name("north"),
            dataset: name("loans"),
            owners: [name("writer")].into(),
            writers: [name("writer")].into(),
            readers: [name("reader")].into(),
            configuration: Configuration::default(),
        };
        self.sign(&self.tenant_admin, body)
    }

    pub fn label(&self, document: &str, version: u64) -> Label {
        Label {
            installation: name("test"),
            tenant: name("north"),
            dataset: name("loans"),
            document: document.parse().unwrap(),
            version,
        }
    }

    pub fn write_document(&self, document: &str, version: u64) -> Transaction {
        let data_key = DataKey::generate(&mut OsRng);
        let label = self.label(document, version);
        let wrapped_key = wrap(
            self.committee.manifest().custody_key(),
            &label,
            &data_key,
            &mut OsRng,
        )
        .unwrap();
        let body = Body::WriteDocument {
            tenant: name("north"),
            dataset: name("loans"),
            document: document.parse::<DocumentName>().unwrap(),
            version,
            wrapped_key: Some(wrapped_key),
            material: vec![7; 300],
            checksum: [9; 32],
            size: 3_000,
            inline: None,
        };
        self.sign(&self.writer, body)
    }

    /// Everything a read needs, in order.
    pub fn foundation(&self) -> Vec<Transaction> {
        vec![
            self.publish_committee(),
            self.create_tenant("north", &self.tenant_admin),
            self.create_user("writer", &self.writer),
            self.create_user("reader", &self.reader),
            self.create_dataset(),
            self.confirm_committee("beta"),
            self.confirm_committee("gamma"),
            self.write_document(DOCUMENT, 1),
        ]
    }

    pub fn request_read(&self) -> Transaction {
        self.request_read_by("reader", &self.reader, self.now_ms + 300_000)
    }

    pub fn request_read_of(&self, version: u64) -> Transaction {
        self.request_version("reader", &self.reader, version, self.now_ms + 300_000)
    }

    pub fn request_read_by(&self, user: &str, author: &SigningKey, expires_ms: u64) -> Transaction {
        self.request_version(user, author, 1, expires_ms)
    }

    fn request_version(&self, user: &str, author: &SigningKey, version: u64, expires_ms: u64) -> Transaction {
        let reader = ReaderKey::generate(&mut OsRng);
        let body = Body::RequestRead {
            tenant: name("north"),
            dataset: name("loans"),
            document: DOCUMENT.parse().unwrap(),
            version,
            user: name(user),
            q: reader.public(),
            purpose: "quarterly review".into(),
        };
        let mut nonce = [0; 16];
        OsRng.fill_bytes(&mut nonce);
        Transaction::sign_read(self.genesis.chain_id(), author, &reader, nonce, expires_ms, body)
    }

    pub fn revoke_reader(&self) -> Transaction {
        let body = Body::Revoke {
            tenant: name("north"),
            dataset: name("loans"),
            user: name("reader"),
            role: Role::Reader,
            expected: None,
        };
        self.sign(&self.tenant_admin, body)
    }
}
