//! A small installation with everything in it, reproducible from a seed.

use std::collections::BTreeSet;

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::SigningKey;
use golden_record::{
    Block, Body, Changes, DocumentVersion, Executed, Genesis, Header, Limits, MemoryState, Organisation,
    Outcome, Role, Transaction, TxId, VerifiedBlock, VerifiedTransaction, execute, queries, verify_block,
};
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};
use threshold::committee::{CommitteeManifest, Member, ParticipantIndex, SignedManifest, Threshold};
use threshold::group::Point;
use threshold::label::Label;
use threshold::name::{DocumentName, Name};
use threshold::reencrypt::ReaderKey;
use threshold::secret::DataKey;
use threshold::signature::{PublicKey, Signature};
use threshold::statement::ReleaseStatement;
use threshold::wrap::{CustodyKey, WrappedKey, wrap};

pub const START_MS: u64 = 1_700_000_000_000;

/// SHA-256 in counter mode: the same bytes from the same seed everywhere.
#[derive(Clone)]
pub struct SeededRng {
    seed: u64,
    counter: u64,
}

impl SeededRng {
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_u64() % bound as u64) as usize
    }
}

impl RngCore for SeededRng {
    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    fn fill_bytes(&mut self, target: &mut [u8]) {
        for chunk in target.chunks_mut(32) {
            let block = Sha256::new()
                .chain_update(self.seed.to_be_bytes())
                .chain_update(self.counter.to_be_bytes())
                .finalize();
            self.counter += 1;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(target);
        Ok(())
    }
}

impl CryptoRng for SeededRng {}

/// The key of whoever is called so.
pub fn key(who: &str) -> SigningKey {
    SigningKey::from_bytes(&Sha256::digest(format!("key of {who}")).into())
}

pub fn public(who: &str) -> PublicKey {
    PublicKey::of(&key(who))
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn document(text: &str) -> DocumentName {
    text.parse().unwrap()
}

pub fn names(texts: &[&str]) -> BTreeSet<Name> {
    texts.iter().map(|text| name(text)).collect()
}

pub fn organisation(index: usize) -> Organisation {
    Organisation {
        name: name(&format!("org-{index}")),
        validator: public(&format!("validator-{index}")),
        admin: public(&format!("admin-{index}")),
        ca_certificate: format!("certificate of org-{index}").into_bytes(),
    }
}

pub fn genesis() -> Genesis {
    genesis_with(Limits::default())
}

pub fn genesis_with(limits: Limits) -> Genesis {
    let organisations = (0..4).map(organisation).collect();
    let (coordinators, auditors) = (vec![public("coordinator")], vec![public("auditor")]);
    Genesis::new(
        name("test-net"),
        START_MS,
        organisations,
        coordinators,
        auditors,
        limits,
    )
    .unwrap()
}

/// A committee of three, two needed, made by somebody who knows the key: enough for the ledger.
pub fn committee(label: &str) -> SignedManifest {
    let scalar = |what: &str| Scalar::from_bytes_mod_order(Sha256::digest(format!("{label} {what}")).into());
    let point =
        |scalar: Scalar| Point::from_bytes(EdwardsPoint::mul_base(&scalar).compress().as_bytes()).unwrap();
    let (x, slope) = (scalar("x"), scalar("slope"));
    let seats: Vec<u16> = vec![1, 2, 3];
    let members = seats
        .iter()
        .map(|seat| Member {
            index: ParticipantIndex::new(*seat).unwrap(),
            name: name(&format!("node-{seat}")),
            identity: public(&format!("{label} node-{seat}")),
            address: format!("127.0.0.1:700{seat}"),
            public_share: point(x + slope * Scalar::from(*seat)),
        })
        .collect();
    let threshold = Threshold::new(2, 3).unwrap();
    let manifest = CommitteeManifest::first(point(x), threshold, members).unwrap();
    let signatures = seats
        .iter()
        .map(|seat| manifest.sign(&key(&format!("{label} node-{seat}"))))
        .collect();
    SignedManifest { manifest, signatures }
}

pub fn grant(dataset: &str, user: &str, role: Role) -> Body {
    Body::Grant {
        tenant: name("acme"),
        dataset: name(dataset),
        user: name(user),
        role,
    }
}

pub fn revoke(dataset: &str, user: &str, role: Role) -> Body {
    Body::Revoke {
        tenant: name("acme"),
        dataset: name(dataset),
        user: name(user),
        role,
    }
}

pub fn set_active(dataset: &str, active: bool) -> Body {
    Body::SetDatasetActive {
        tenant: name("acme"),
        dataset: name(dataset),
        active,
    }
}

pub fn create_user(tenant: &str, user: &str) -> Body {
    Body::CreateUser {
        tenant: name(tenant),
        user: name(user),
        key: public(user),
    }
}

pub fn create_tenant(tenant: &str) -> Body {
    Body::CreateTenant {
        tenant: name(tenant),
        admin: public(&format!("{tenant}-admin")),
    }
}

/// A read request, whose reader's key signs too.
pub struct ReadWish {
    pub body: Body,
    pub reader: ReaderKey,
}

/// A chain, its newest state, and all it takes to add to it.
#[derive(Clone)]
pub struct World {
    pub genesis: Genesis,
    pub state: MemoryState,
    pub header: Header,
    pub blocks: Vec<Block>,
    pub changes: Vec<Changes>,
    pub time_ms: u64,
    pub rng: SeededRng,
}

impl World {
    pub fn empty(seed: u64) -> Self {
        Self::begin(genesis(), seed)
    }

    pub fn begin(genesis: Genesis, seed: u64) -> Self {
        let (block, changes) = genesis.block();
        let mut state = MemoryState::new();
        state.apply(&changes);
        Self {
            genesis,
            state,
            header: block.header().clone(),
            blocks: vec![block],
            changes: vec![changes],
            time_ms: START_MS,
            rng: SeededRng::new(seed),
        }
    }

    /// Two tenants, a published committee, a dataset with `olga` its owner, `wendy` its writer and `rita` its
    /// reader, `nora` with no role, and version 1 of document `q3`. `eve` is a user of the other tenant.
    pub fn ready(seed: u64) -> Self {
        let mut world = Self::empty(seed);
        let manifest = committee("first");
        world.must("admin-0", Body::PublishCommittee { manifest });
        for (tenant, users) in [
            ("acme", &["olga", "wendy", "rita", "nora"][..]),
            ("other", &["eve"]),
        ] {
            world.must("admin-1", create_tenant(tenant));
            for user in users {
                world.must(&format!("{tenant}-admin"), create_user(tenant, user));
            }
        }
        world.must("acme-admin", world.create_dataset("reports"));
        let body = world.write("reports", "q3", 1);
        world.must("wendy", body);
        world
    }

    pub fn create_dataset(&self, dataset: &str) -> Body {
        Body::CreateDataset {
            tenant: name("acme"),
            dataset: name(dataset),
            owners: names(&["olga"]),
            writers: names(&["wendy"]),
            readers: names(&["rita"]),
        }
    }

    pub fn label(&self, dataset: &str, document_name: &str, version: u64) -> Label {
        Label {
            installation: name("test-net"),
            tenant: name("acme"),
            dataset: name(dataset),
            document: document(document_name),
            version,
        }
    }

    pub fn wrapped(&mut self, committee_label: &str, label: &Label) -> WrappedKey {
        let key = CustodyKey::new(*committee(committee_label).manifest.public_key());
        let data_key = DataKey::generate(&mut self.rng);
        wrap(&key, label, &data_key, &mut self.rng).unwrap()
    }

    pub fn write(&mut self, dataset: &str, document_name: &str, version: u64) -> Body {
        let label = self.label(dataset, document_name, version);
        let wrapped_key = self.wrapped("first", &label);
        Self::write_with(dataset, document_name, version, wrapped_key)
    }

    pub fn write_with(dataset: &str, document_name: &str, version: u64, wrapped_key: WrappedKey) -> Body {
        let inline = b"an encrypted object".to_vec();
        Body::WriteDocument {
            tenant: name("acme"),
            dataset: name(dataset),
            document: document(document_name),
            version,
            wrapped_key,
            material: b"encrypted material".to_vec(),
            checksum: Sha256::digest(&inline).into(),
            size: inline.len() as u64,
            inline: Some(inline),
        }
    }

    pub fn read(&mut self, user: &str, document_name: &str, version: u64) -> ReadWish {
        self.read_in("acme", "reports", user, document_name, version)
    }

    pub fn read_in(
        &mut self,
        tenant: &str,
        dataset: &str,
        user: &str,
        document_name: &str,
        version: u64,
    ) -> ReadWish {
        let reader = ReaderKey::generate(&mut self.rng);
        let body = Body::RequestRead {
            tenant: name(tenant),
            dataset: name(dataset),
            document: document(document_name),
            version,
            user: name(user),
            q: reader.public(),
            purpose: "quarterly audit".to_owned(),
        };
        ReadWish { body, reader }
    }

    pub fn nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        self.rng.fill_bytes(&mut nonce);
        nonce
    }

    pub fn sign(&mut self, who: &str, body: Body) -> Transaction {
        let nonce = self.nonce();
        Transaction::sign(
            self.genesis.chain_id(),
            &key(who),
            nonce,
            self.time_ms + 60_000,
            body,
        )
    }

    pub fn sign_read(&mut self, who: &str, wish: ReadWish) -> Transaction {
        let nonce = self.nonce();
        let expires_ms = self.time_ms + 60_000;
        let ReadWish { body, reader } = wish;
        Transaction::sign_read(
            self.genesis.chain_id(),
            &key(who),
            &reader,
            nonce,
            expires_ms,
            body,
        )
    }

    /// Builds the next block without taking it.
    pub fn build(&self, transactions: &[Transaction]) -> Executed {
        let verified = transactions
            .iter()
            .cloned()
            .map(|one| VerifiedTransaction::verify(one).unwrap());
        execute(&self.header, &self.state, self.time_ms, verified.collect()).unwrap()
    }

    /// Checks a block from its bytes, as a validator does.
    pub fn check(&self, block: &Block) -> Changes {
        let verified = VerifiedBlock::from_bytes(&block.to_bytes(), &|_| None).unwrap();
        verify_block(&self.header, &self.state, &verified).unwrap()
    }

    /// Adds a block of these transactions, all of which must enter it.
    pub fn add(&mut self, transactions: &[Transaction]) -> Vec<Outcome> {
        self.time_ms += 10;
        let executed = self.build(transactions);
        assert_eq!(executed.dropped, [], "all enter the block");
        assert_eq!(
            self.check(&executed.block),
            executed.changes,
            "a validator computes the same"
        );
        let outcomes = executed
            .block
            .entries()
            .iter()
            .map(|entry| entry.outcome)
            .collect();
        self.state.apply(&executed.changes);
        self.header = executed.block.header().clone();
        self.blocks.push(executed.block);
        self.changes.push(executed.changes);
        outcomes
    }

    pub fn one(&mut self, who: &str, body: Body) -> Outcome {
        let transaction = self.sign(who, body);
        self.add(&[transaction])[0]
    }

    pub fn must(&mut self, who: &str, body: Body) {
        assert_eq!(self.one(who, body), Outcome::Applied, "by {who}");
    }

    pub fn one_read(&mut self, who: &str, wish: ReadWish) -> (TxId, Outcome) {
        let transaction = self.sign_read(who, wish);
        (transaction.tx_id(), self.add(&[transaction])[0])
    }

    /// An approved read of `q3`, and a node's true statement about it.
    pub fn approved(&mut self, node: u16) -> ReleaseStatement {
        let wish = self.read("rita", "q3", 1);
        let (approve_id, outcome) = self.one_read("rita", wish);
        assert!(matches!(outcome, Outcome::Approved { .. }));
        self.statement(approve_id, node)
    }

    pub fn statement(&self, approve_id: TxId, node: u16) -> ReleaseStatement {
        let read = queries::read_record(&self.state, &approve_id).unwrap().unwrap();
        ReleaseStatement {
            manifest_digest: committee("first").manifest.digest(),
            index: ParticipantIndex::new(node).unwrap(),
            approve_id,
            write_id: read.write_id,
            q: PublicKey::from_bytes(&read.q).unwrap(),
            share_digest: [9; 32],
            repeat: false,
            time_ms: self.time_ms,
            journal_position: 5,
            journal_head: [8; 32],
            signature: Signature([0; 64]),
        }
        .sign(&key(&format!("first node-{node}")))
    }

    pub fn version(&self, document_name: &str, version: u64) -> Option<DocumentVersion> {
        let (tenant, dataset) = (name("acme"), name("reports"));
        queries::document_version(&self.state, &tenant, &dataset, &document(document_name), version).unwrap()
    }
}
