//! A chain whose validators sign whatever a test wants them to.

use std::collections::BTreeMap;

use ed25519_dalek::{Signer, SigningKey};
use golden_record::merkle::{Frontier, Hash, NodeReader, consistency_proof, inclusion_proof};
use golden_record::{
    Body, Checkpoint, Dataset, DocumentVersion, Entry, EntryProof, FinalityEvidence, Genesis, Header, Limits,
    Organisation, Outcome, SignedCheckpoint, StateError, Transaction, TxId, finalize_message,
};
use threshold::committee::SignedManifest;
use threshold::ids::BlockHash;
use threshold::name::Name;
use threshold::signature::{PublicKey, Signature};

use super::ORGANISATIONS;

/// A log of one entry in each block, every block signed by all validators; and documents, which no entry has written.
#[derive(Clone)]
pub struct Chain {
    pub genesis: Genesis,
    pub entries: Vec<Entry>,
    pub documents: Vec<DocumentVersion>,
    pub committee: Option<SignedManifest>,
    /// What every dataset is like.
    pub dataset: Option<Dataset>,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The completed subtrees of a log.
struct Nodes(BTreeMap<(u8, u64), Hash>);

impl NodeReader for Nodes {
    fn node(&self, level: u8, index: u64) -> Result<Hash, StateError> {
        Ok(self.0[&(level, index)])
    }
}

impl Chain {
    pub fn new(entries: u8) -> Self {
        let organisations = ORGANISATIONS.iter().zip(1..).map(|(name, seed)| Organisation {
            name: Name::new(name).unwrap(),
            validator: PublicKey::of(&key(seed)),
            admin: PublicKey::of(&key(seed + 100)),
            ca_certificate: vec![seed],
        });
        let genesis = Genesis::new(
            Name::new("test").unwrap(),
            1,
            organisations.collect(),
            vec![],
            vec![],
            Limits::default(),
        );
        let mut chain = Self {
            genesis: genesis.unwrap(),
            entries: Vec::new(),
            documents: Vec::new(),
            committee: None,
            dataset: None,
        };
        for number in 0..entries {
            chain.append(number, Outcome::Applied);
        }
        chain
    }

    /// Appends an entry that differs by its number.
    pub fn append(&mut self, number: u8, outcome: Outcome) {
        let body = Body::CreateTenant {
            tenant: Name::new("acme").unwrap(),
            admin: PublicKey::of(&key(200)),
        };
        let transaction = Transaction::sign(self.genesis.chain_id(), &key(101), [number; 16], u64::MAX, body);
        self.entries.push(Entry { transaction, outcome });
    }

    /// As it was when it had so many entries.
    pub fn cut(&self, size: usize) -> Self {
        Self {
            genesis: self.genesis.clone(),
            entries: self.entries[..size].to_vec(),
            documents: self.documents.clone(),
            committee: self.committee.clone(),
            dataset: self.dataset,
        }
    }

    pub fn find(&self, id: &TxId) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.transaction.tx_id() == *id)
    }

    pub fn size(&self) -> u64 {
        self.entries.len().try_into().unwrap()
    }

    /// The header of the newest block.
    pub fn header(&self) -> Header {
        if self.entries.is_empty() {
            return self.genesis.block().0.header().clone();
        }
        let (frontier, _) = self.tree();
        Header {
            chain_id: self.genesis.chain_id(),
            height: self.size(),
            parent: BlockHash([0; 32]),
            time_ms: self.size(),
            entries: 1,
            body_hash: [0; 32],
            log_size: frontier.size(),
            log_root: frontier.root(),
            state_digest: [0; 32],
        }
    }

    /// What proves that a header is final.
    pub fn evidence(&self, header: &Header) -> FinalityEvidence {
        let payload = header.hash().0;
        let message = finalize_message(&self.genesis.chain_id(), 0, 1, 0, &payload);
        let mut keys: Vec<SigningKey> = (1..).take(ORGANISATIONS.len()).map(key).collect();
        keys.sort_by_key(|key| *PublicKey::of(key).as_bytes());
        let signatures = (0..).zip(keys.iter().map(|key| Signature(key.sign(&message).to_bytes())));
        FinalityEvidence {
            epoch: 0,
            view: 1,
            parent_view: 0,
            payload,
            signatures: signatures.collect(),
        }
    }

    /// The proof of an entry.
    pub fn proof(&self, place: usize) -> EntryProof {
        let then = self.cut(place + 1);
        let index = place.try_into().unwrap();
        let (_, nodes) = then.tree();
        let header = then.header();
        EntryProof {
            index,
            path: inclusion_proof(&nodes, index, then.size()).unwrap(),
            evidence: self.evidence(&header),
            headers: vec![header],
        }
    }

    /// The checkpoint of the newest block, signed for an organisation with the key of the one at `signer`.
    pub fn checkpoint(&self, organisation: &str, signer: usize) -> SignedCheckpoint {
        let mut signed = SignedCheckpoint::unsigned(Checkpoint::of(&self.header())).unwrap();
        let seed = u8::try_from(signer + 1).unwrap();
        signed
            .sign(&Name::new(organisation).unwrap(), &key(seed))
            .unwrap();
        signed
    }

    /// The proof that the log of `new` entries extends that of `old`.
    pub fn consistency(&self, old: u64, new: u64) -> Vec<Hash> {
        consistency_proof(&self.tree().1, old, new).unwrap()
    }

    /// The path of an entry in the whole log.
    pub fn inclusion(&self, place: usize) -> Vec<Hash> {
        inclusion_proof(&self.tree().1, place.try_into().unwrap(), self.size()).unwrap()
    }

    fn tree(&self) -> (Frontier, Nodes) {
        let (mut frontier, mut nodes) = (Frontier::new(), BTreeMap::new());
        for entry in &self.entries {
            let completed = |level, index, hash| {
                nodes.insert((level, index), hash);
            };
            frontier.push(entry.leaf_hash(), completed).unwrap();
        }
        (frontier, Nodes(nodes))
    }
}
