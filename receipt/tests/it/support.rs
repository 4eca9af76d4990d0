//! One installation with an approved and a denied read, reproducible to the byte.

use std::collections::BTreeSet;

use approval::{ApprovalFields, Authority, Limits, TrustBundle, TrustedOrganisation};
use ed25519_dalek::{Signer, SigningKey};
use golden_record::merkle::inclusion_proof;
use golden_record::queries::LogNodes;
use golden_record::{
    Block, Body, Checkpoint, Configuration, Entry, EntryProof, FinalityEvidence, Genesis, Header,
    MemoryState, Organisation, SignedCheckpoint, Transaction, VerifiedTransaction, execute, finalize_message,
};
use receipt::{NotValid, PinnedApproval, PinnedRoots, Receipt, Step, Verdict};
use threshold::committee::ParticipantIndex;
use threshold::label::Label;
use threshold::name::Name;
use threshold::reencrypt::{Context, ReaderKey, ReencryptionShare, reencrypt};
use threshold::secret::DataKey;
use threshold::signature::{PublicKey, Signature};
use threshold::statement::ReleaseStatement;
use threshold::testing::{TestCommittee, TestRng};
use threshold::wrap::{WrappedKey, wrap};

pub const START_MS: u64 = 1_800_000_000_000;
pub const ORGANISATIONS: [&str; 4] = ["north", "east", "south", "west"];
pub const POLICY: &str = "OUTOF(3, north, east, south, west)";
/// When the approvals begin, and how long they live.
const APPROVED_MS: u64 = START_MS + 20_000;
const LIFETIME_S: u32 = 60;
/// When the nodes released their shares.
pub const RELEASED_MS: u64 = START_MS + 25_000;

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The key of whoever is called so.
pub fn key(who: &str) -> SigningKey {
    SigningKey::generate(&mut TestRng::new(who))
}

pub fn public(who: &str) -> PublicKey {
    PublicKey::of(&key(who))
}

fn seed(organisation: &str) -> [u8; 32] {
    key(&format!("{organisation} ca")).to_bytes()
}

pub fn authority(organisation: &str) -> Authority {
    let root = Authority::generate(&name(organisation), &seed(organisation), START_MS).unwrap();
    Authority::from_seed(&seed(organisation), &root).unwrap()
}

fn genesis() -> Genesis {
    let organisation = |named: &&str| Organisation {
        name: name(named),
        validator: public(&format!("{named} validator")),
        admin: public(&format!("{named} admin")),
        ca_certificate: authority(named).root_der().to_vec(),
    };
    Genesis::new(
        name("test"),
        START_MS,
        ORGANISATIONS.iter().map(organisation).collect(),
        vec![public("coordinator")],
        vec![public("auditor")],
        golden_record::Limits::default(),
    )
    .unwrap()
}

/// Everybody's secrets, and the receipts that they make honestly.
pub struct Scene {
    pub genesis: Genesis,
    pub roots: PinnedRoots,
    pub nodes: TestCommittee,
    pub wrapped: WrappedKey,
    pub reader: ReaderKey,
    /// The chain, from the genesis on.
    pub headers: Vec<Header>,
    pub entries: Vec<Entry>,
    state: MemoryState,
    /// The receipts of a read that was approved and of one that was denied.
    pub approved: Receipt,
    pub denied: Receipt,
}

/// The chain while it is made.
struct Chain {
    state: MemoryState,
    blocks: Vec<Block>,
    genesis: Genesis,
    rng: TestRng,
}

impl Chain {
    fn new(genesis: &Genesis) -> Self {
        let (block, changes) = genesis.block();
        let mut state = MemoryState::new();
        state.apply(&changes);
        Self {
            state,
            blocks: vec![block],
            genesis: genesis.clone(),
            rng: TestRng::new("chain"),
        }
    }

    fn nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        rand_core::RngCore::fill_bytes(&mut self.rng, &mut nonce);
        nonce
    }

    fn add(&mut self, transactions: Vec<Transaction>) {
        let parent = self.blocks.last().unwrap().header().clone();
        let verified = transactions
            .into_iter()
            .map(|one| VerifiedTransaction::verify(one).unwrap());
        let executed = execute(&parent, &self.state, parent.time_ms + 1000, verified.collect()).unwrap();
        assert_eq!(executed.dropped, []);
        self.state.apply(&executed.changes);
        self.blocks.push(executed.block);
    }

    fn sign(&mut self, who: &str, body: Body) -> Transaction {
        let (chain_id, nonce) = (self.genesis.chain_id(), self.nonce());
        Transaction::sign(chain_id, &key(who), nonce, START_MS + 60_000, body)
    }

    fn must(&mut self, who: &str, body: Body) {
        let transaction = self.sign(who, body);
        self.add(vec![transaction]);
        let outcome = self.blocks.last().unwrap().entries()[0].outcome;
        assert!(outcome.succeeded(), "{who}: {outcome}");
    }

    fn read(&mut self, user: &str, reader: &ReaderKey) -> Transaction {
        let body = Body::RequestRead {
            tenant: name("acme"),
            dataset: name("reports"),
            document: "2026/q3.pdf".parse().unwrap(),
            version: 1,
            user: name(user),
            q: reader.public(),
            purpose: "closing of the \"third\" quarter, \u{fc}ber Nacht".into(),
        };
        let nonce = self.nonce();
        let chain_id = self.genesis.chain_id();
        Transaction::sign_read(chain_id, &key(user), reader, nonce, START_MS + 60_000, body)
    }
}

impl Scene {
    pub fn new() -> Self {
        let genesis = genesis();
        let mut rng = TestRng::new("receipt");
        let nodes = TestCommittee::generate(3, 5, &mut rng).unwrap();
        let mut chain = Chain::new(&genesis);
        for organisation in &ORGANISATIONS[..3] {
            let manifest = nodes.signed.clone();
            let transaction = chain.sign(
                &format!("{organisation} admin"),
                Body::PublishCommittee { manifest },
            );
            chain.add(vec![transaction]);
        }
        let admin = public("acme admin");
        let tenant = name("acme");
        chain.must("east admin", Body::CreateTenant { tenant, admin });
        for user in ["olga", "wendy", "rita", "nora"] {
            let (tenant, key) = (name("acme"), public(user));
            let body = Body::CreateUser {
                tenant,
                user: name(user),
                key,
            };
            chain.must("acme admin", body);
        }
        let only = |user: &str| BTreeSet::from([name(user)]);
        let body = Body::CreateDataset {
            tenant: name("acme"),
            dataset: name("reports"),
            owners: only("olga"),
            writers: only("wendy"),
            readers: only("rita"),
            configuration: Configuration::default(),
        };
        chain.must("acme admin", body);
        let label = Self::label_of(&genesis, 1);
        let data_key = DataKey::from_bytes([9; 32]);
        let wrapped = wrap(nodes.manifest().custody_key(), &label, &data_key, &mut rng).unwrap();
        chain.must("wendy", Self::write(&label, &wrapped));
        let reader = ReaderKey::generate(&mut rng);
        let denied = chain.read("nora", &ReaderKey::generate(&mut rng));
        let approved = chain.read("rita", &reader);
        chain.add(vec![denied, approved]);
        chain.add(Vec::new());
        let entries: Vec<Entry> = chain
            .blocks
            .iter()
            .flat_map(|block| block.entries().to_vec())
            .collect();
        let headers: Vec<Header> = chain.blocks.iter().map(|block| block.header().clone()).collect();
        let [.., denied, approved] = &entries[..] else {
            panic!("a chain without entries");
        };
        assert!(approved.outcome.succeeded() && !denied.outcome.succeeded());
        let bare = |entry: &Entry, proof: EntryProof, checkpoint| Receipt {
            entry: entry.clone(),
            handovers: Vec::new(),
            proof,
            checkpoint: Some(checkpoint),
            wrapped_key: None,
            certificates: Vec::new(),
            committee: None,
            shares: Vec::new(),
            statements: Vec::new(),
        };
        let last = entries.len() as u64 - 1;
        let approved_height = headers.len() - 2;
        let prove = |index| entry_proof(&genesis, &chain.state, &headers[approved_height..], index);
        let checkpoint = || checkpoint(&headers[approved_height], &["north", "east", "west"]);
        let (approved, denied) = (
            bare(approved, prove(last), checkpoint()),
            bare(denied, prove(last - 1), checkpoint()),
        );
        let mut scene = Self {
            roots: pinned(&genesis, &nodes),
            state: chain.state,
            genesis,
            nodes,
            wrapped,
            reader,
            headers,
            entries,
            approved,
            denied,
        };
        scene.approved.wrapped_key = Some(scene.wrapped.clone());
        scene.approved.certificates = scene.certificates(&["north", "east", "west"], |_| {});
        scene.approved.committee = Some(scene.nodes.signed.clone());
        scene.approved.shares = [1, 3, 4].iter().map(|seat| scene.share(*seat)).collect();
        scene.approved.statements = scene.statements(|_| {});
        scene
    }

    fn label_of(genesis: &Genesis, version: u64) -> Label {
        Label {
            installation: genesis.installation().clone(),
            tenant: name("acme"),
            dataset: name("reports"),
            document: "2026/q3.pdf".parse().unwrap(),
            version,
        }
    }

    pub fn label(&self, version: u64) -> Label {
        Self::label_of(&self.genesis, version)
    }

    fn write(label: &Label, wrapped: &WrappedKey) -> Body {
        Body::WriteDocument {
            tenant: label.tenant.clone(),
            dataset: label.dataset.clone(),
            document: label.document.clone(),
            version: label.version,
            wrapped_key: Some(wrapped.clone()),
            material: b"encrypted material".to_vec(),
            checksum: [4; 32],
            size: 1_000_000,
            inline: None,
        }
    }

    /// The block that holds both reads.
    pub fn header(&self) -> &Header {
        &self.headers[self.headers.len() - 2]
    }

    pub fn context(&self) -> Context<'_> {
        let approve_id = self.approved.entry.transaction.tx_id();
        Context::new(
            self.nodes.manifest(),
            &self.wrapped,
            approve_id,
            &self.reader.public(),
        )
        .unwrap()
    }

    /// The share of a node.
    pub fn share(&self, seat: u16) -> ReencryptionShare {
        let index = ParticipantIndex::new(seat).unwrap();
        let share = self.nodes.share(index).unwrap();
        reencrypt(
            share,
            &self.context(),
            &mut TestRng::new(&format!("share {seat}")),
        )
        .unwrap()
    }

    /// What these organisations certify, after a change.
    pub fn certificates(&self, by: &[&str], change: impl Fn(&mut ApprovalFields)) -> Vec<Vec<u8>> {
        let mut fields = ApprovalFields {
            approve_id: self.approved.entry.transaction.tx_id(),
            write_id: self.wrapped.write_id(),
            q: self.reader.public(),
            key_id: self.wrapped.key_id(),
            label: self.label(1),
            chain_id: self.genesis.chain_id(),
            height: self.header().height,
            block_hash: self.header().hash(),
            policy_version: 1,
        };
        change(&mut fields);
        let issue = |organisation: &&str| {
            let authority = authority(organisation);
            authority.issue(&fields, APPROVED_MS, LIFETIME_S).unwrap()
        };
        by.iter().map(issue).collect()
    }

    /// What the nodes of the approved receipt's shares sign, after a change.
    pub fn statements(&self, change: impl Fn(&mut ReleaseStatement)) -> Vec<ReleaseStatement> {
        self.approved
            .shares
            .iter()
            .map(|share| {
                let mut statement = ReleaseStatement {
                    manifest_digest: self.nodes.manifest().digest(),
                    index: share.index(),
                    approve_id: self.approved.entry.transaction.tx_id(),
                    write_id: self.wrapped.write_id(),
                    q: self.reader.public(),
                    share_digest: share.digest(),
                    repeat: false,
                    time_ms: RELEASED_MS + u64::from(share.index().get()),
                    journal_position: 7,
                    journal_head: [5; 32],
                    signature: Signature([0; 64]),
                };
                change(&mut statement);
                statement.sign(&self.nodes.identities[share.index().position()])
            })
            .collect()
    }

    /// The proof of an entry by the block at `height` and the votes for a later one.
    pub fn prove(&self, index: u64, height: usize) -> EntryProof {
        entry_proof(&self.genesis, &self.state, &self.headers[height..], index)
    }

    /// The approved receipt after a change, and how it ends.
    pub fn judge(&self, change: impl Fn(&mut Receipt)) -> NotValid {
        let mut receipt = self.approved.clone();
        change(&mut receipt);
        self.judge_receipt(&receipt)
    }

    pub fn judge_receipt(&self, receipt: &Receipt) -> NotValid {
        // By way of the file, as everybody gets it.
        let read = Receipt::parse(receipt.to_text().as_bytes()).unwrap();
        assert_eq!(read, *receipt);
        read.verify(&self.roots).expect_err("it is not valid")
    }

    /// The step at which the changed receipt is found to be false.
    pub fn fails(&self, change: impl Fn(&mut Receipt)) -> &'static str {
        failed_step(&self.judge(change))
    }

    /// The steps that cannot be done with the changed receipt.
    pub fn cannot_tell(&self, change: impl Fn(&mut Receipt)) -> Vec<&'static str> {
        let judged = self.judge(change);
        assert_eq!(judged.verdict, Verdict::CannotTell, "{judged}");
        judged.reasons().map(|step| step.code).collect()
    }
}

pub fn failed_step(judged: &NotValid) -> &'static str {
    assert_eq!(judged.verdict, Verdict::Invalid, "{judged}");
    let reasons: Vec<&Step> = judged.reasons().collect();
    assert_eq!(reasons.len(), 1, "{judged}");
    assert_eq!(judged.steps.last(), Some(reasons[0]));
    reasons[0].code
}

fn pinned(genesis: &Genesis, nodes: &TestCommittee) -> PinnedRoots {
    let approvals = vec![pinned_approval(genesis, 1)];
    PinnedRoots::new(
        genesis.clone(),
        approvals,
        BTreeSet::from([nodes.manifest().digest()]),
    )
    .unwrap()
}

pub fn pinned_approval(genesis: &Genesis, version: u32) -> PinnedApproval {
    let organisations = genesis.organisations().iter();
    let organisations =
        organisations.map(|one| TrustedOrganisation::new(one.name.clone(), &one.ca_certificate));
    let bundle = TrustBundle::new(
        version,
        genesis.chain_id(),
        genesis.installation().clone(),
        organisations.collect::<Result<_, _>>().unwrap(),
        POLICY.parse().unwrap(),
    )
    .unwrap();
    PinnedApproval {
        bundle,
        limits: Limits::default(),
    }
}

/// The proof by the first of these headers, with votes for the last.
fn entry_proof(genesis: &Genesis, state: &MemoryState, headers: &[Header], index: u64) -> EntryProof {
    let last = headers.last().unwrap().hash().0;
    EntryProof {
        index,
        path: inclusion_proof(&LogNodes(state), index, headers[0].log_size).unwrap(),
        headers: headers.to_vec(),
        evidence: evidence(genesis, last, &["north", "south", "west"]),
    }
}

/// The votes of these organisations for a block.
pub fn evidence(genesis: &Genesis, payload: [u8; 32], by: &[&str]) -> FinalityEvidence {
    let (epoch, view, parent_view) = (0, 30, 29);
    let message = finalize_message(&genesis.chain_id(), epoch, view, parent_view, &payload);
    let validators = genesis.validators();
    let mut signatures: Vec<(u16, Signature)> = by
        .iter()
        .map(|organisation| {
            let key = key(&format!("{organisation} validator"));
            let place = validators.iter().position(|one| *one == PublicKey::of(&key));
            (place.unwrap() as u16, Signature(key.sign(&message).to_bytes()))
        })
        .collect();
    signatures.sort_by_key(|(index, _)| *index);
    FinalityEvidence {
        epoch,
        view,
        parent_view,
        payload,
        signatures,
    }
}

/// The checkpoint of a block, signed by these organisations.
pub fn checkpoint(header: &Header, by: &[&str]) -> SignedCheckpoint {
    let mut signed = SignedCheckpoint::unsigned(Checkpoint::of(header)).unwrap();
    for organisation in by {
        let validator = key(&format!("{organisation} validator"));
        signed.sign(&name(organisation), &validator).unwrap();
    }
    signed
}
