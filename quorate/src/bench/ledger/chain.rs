//! The generator of a long chain: real transactions with real signatures, executed and stored as an endorser does it, and
//! made final by the votes of all other organisations. Only the network is missing.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use ed25519_dalek::{Signer, SigningKey};
use golden_record::{
    Block, Body, Configuration, Entry, FinalityEvidence, Outcome, Transaction, TxId, VerifiedTransaction,
    finalize_message,
};
use ledger_endorser::Limits;
use ledger_endorser::ledger::Ledger;
use ledger_endorser::mempool::{Holder, Pending};
use ledger_endorser::metrics::Metrics;
use ledger_endorser::store::Store;
use prometheus_client::registry::Registry;
use rand_core::{OsRng, RngCore};
use threshold::encoding::Canonical;
use threshold::label::Label;
use threshold::name::{DocumentName, Name};
use threshold::reencrypt::{Context, ReaderKey, ReencryptionShare, reencrypt};
use threshold::secret::DataKey;
use threshold::signature::{PublicKey, Signature};
use threshold::statement::ReleaseStatement;
use threshold::wrap::{WrappedKey, wrap};

use crate::cluster::THRESHOLD;

use super::parties::{DATASETS, DOCUMENTS, Parties, TENANTS, USERS, name};

/// Reads in a block.
pub(super) const BLOCK: usize = 1_000;
/// Between two blocks.
pub(super) const STEP_MS: u64 = 250;
/// How long a request lives.
const LIFETIME_MS: u64 = 120_000;
/// One read in so many is asked for by the user who may not.
const DENIED: usize = 20;

/// A document with its wrapped key.
pub(super) struct Document {
    pub(super) label: Label,
    pub(super) wrapped: WrappedKey,
}

/// A read that was asked for, with what its reader keeps.
pub(super) struct Read {
    pub(super) id: TxId,
    pub(super) document: usize,
    pub(super) reader: ReaderKey,
}

/// What was generated.
pub(super) struct Generated {
    pub(super) documents: Vec<Document>,
    /// Some of the reads, from all over the chain.
    pub(super) sample: Vec<TxId>,
    /// The read that was approved last, with what a receipt of it takes.
    pub(super) newest: Read,
    pub(super) shares: Vec<ReencryptionShare>,
    pub(super) statements: Vec<ReleaseStatement>,
}

/// The chain while it is made.
pub(super) struct Generator<'p> {
    parties: &'p Parties,
    ledger: Ledger,
    time_ms: u64,
    view: u64,
}

/// How many blocks there are at most before the reads, and for so many reads.
pub(super) fn blocks(reads: usize) -> u64 {
    u64::try_from(64 + reads.div_ceil(BLOCK) * 3).unwrap_or(u64::MAX)
}

impl<'p> Generator<'p> {
    /// Begins the chain in the store at `path`.
    pub(super) fn new(parties: &'p Parties, path: &Path) -> Result<Self> {
        let limits = Limits {
            author_transactions: 2 * BLOCK,
            tenant_transactions: 2 * BLOCK,
            ..Limits::default()
        };
        let store = Store::open(path, &parties.genesis, limits.store_cache_bytes)?;
        let metrics = Metrics::new(&mut Registry::default());
        Ok(Self {
            ledger: Ledger::new(parties.genesis.clone(), store, limits, metrics),
            time_ms: parties.genesis.created_ms(),
            view: 0,
            parties,
        })
    }

    /// Generates everything that reads need, and then so many reads with their receipts. `say` is told how far it is.
    pub(super) fn run(mut self, reads: usize, say: &dyn Fn(usize)) -> Result<Generated> {
        let documents = self.foundation()?;
        let (mut sample, mut newest) = (Vec::new(), None);
        let every = (reads / 500).max(1);
        let mut done = 0;
        while done < reads {
            let count = BLOCK.min(reads - done);
            let made = self.requests(&documents, done, count)?;
            let (pending, asked): (Vec<Pending>, Vec<Read>) = made.into_iter().unzip();
            let outcomes = self.block(pending)?;
            ensure!(outcomes.len() == count, "a read was left out of its block");
            sample.extend(asked.iter().step_by(every.min(count)).map(|read| read.id));
            let approved: Vec<Read> = asked
                .into_iter()
                .zip(outcomes)
                .filter(|(_, outcome)| matches!(outcome, Outcome::Approved { .. }))
                .map(|(read, _)| read)
                .collect();
            let statements = self.statements(&documents, &approved)?;
            let receipts = self.receipts(&statements)?;
            for outcome in self.block(receipts)? {
                ensure!(outcome == Outcome::Applied, "a receipt was not taken: {outcome}");
            }
            newest = approved.into_iter().last().or(newest);
            done += count;
            say(done);
        }
        // Evidence of a block of their own, so that what comes last is proven, too.
        self.block(Vec::new())?;
        let newest = newest.context("no read was approved")?;
        let (shares, statements) = self.release(&documents, &newest)?;
        Ok(Generated {
            documents,
            sample,
            newest,
            shares,
            statements,
        })
    }

    /// Tenants, users, datasets and documents.
    fn foundation(&mut self) -> Result<Vec<Document>> {
        let parties = self.parties;
        let manifest = &parties.committee.signed;
        let mut first: Vec<Transaction> = parties
            .admins
            .iter()
            .take(3)
            .map(|admin| {
                self.sign(
                    admin,
                    Body::PublishCommittee {
                        manifest: manifest.clone(),
                    },
                )
            })
            .collect();
        let admin = parties.admins.first().context("an organisation has an admin")?;
        for tenant in &parties.tenants {
            let body = Body::CreateTenant {
                tenant: tenant.name.clone(),
                admin: PublicKey::of(&tenant.admin),
            };
            first.push(self.sign(admin, body));
        }
        self.must(first)?;
        let (mut users, mut datasets, mut writes) = (Vec::new(), Vec::new(), Vec::new());
        let mut documents = Vec::new();
        for tenant in &parties.tenants {
            for (user, key) in &tenant.users {
                let body = Body::CreateUser {
                    tenant: tenant.name.clone(),
                    user: user.clone(),
                    key: PublicKey::of(key),
                };
                users.push(self.sign(&tenant.admin, body));
            }
            let all = tenant.users.iter().map(|(user, _)| user.clone());
            let readers = all.take(USERS - 1);
            let (owner, owner_key) = tenant.users.first().context("a tenant has users")?;
            for dataset in 0..DATASETS {
                let dataset = name(&format!("dataset-{dataset}"))?;
                let body = Body::CreateDataset {
                    tenant: tenant.name.clone(),
                    dataset: dataset.clone(),
                    owners: [owner.clone()].into(),
                    writers: [owner.clone()].into(),
                    readers: readers.clone().collect(),
                    configuration: Configuration::default(),
                };
                datasets.push(self.sign(&tenant.admin, body));
                for number in 0..DOCUMENTS {
                    let document = self.document(&tenant.name, &dataset, number)?;
                    writes.push(self.sign(owner_key, write(&document)));
                    documents.push(document);
                }
            }
        }
        for step in [users, datasets, writes] {
            self.must(step)?;
        }
        Ok(documents)
    }

    fn document(&self, tenant: &Name, dataset: &Name, number: usize) -> Result<Document> {
        let label = Label {
            installation: self.parties.genesis.installation().clone(),
            tenant: tenant.clone(),
            dataset: dataset.clone(),
            document: DocumentName::new(&format!("2026/document-{number}.pdf"))?,
            version: 1,
        };
        let custody_key = self.parties.committee.signed.manifest.custody_key();
        let wrapped = wrap(custody_key, &label, &DataKey::generate(&mut OsRng), &mut OsRng)?;
        Ok(Document { label, wrapped })
    }

    /// So many requests from the one with this number on.
    fn requests(&self, documents: &[Document], first: usize, count: usize) -> Result<Vec<(Pending, Read)>> {
        shared(count, |place| self.request(documents, first + place))
    }

    fn request(&self, documents: &[Document], number: usize) -> Result<(Pending, Read)> {
        // A walk over all documents and users in which neighbours have little in common.
        let document = number.wrapping_mul(7) % documents.len();
        let label = &documents
            .get(document)
            .context("there is no such document")?
            .label;
        let tenant = self
            .parties
            .tenants
            .get(document / (DATASETS * DOCUMENTS) % TENANTS)
            .context("there is no such tenant")?;
        let user = match number % DENIED {
            0 => USERS - 1,
            _ => (number / 3) % (USERS - 1),
        };
        let (user, key) = tenant.users.get(user).context("there is no such user")?;
        let reader = ReaderKey::generate(&mut OsRng);
        let body = Body::RequestRead {
            tenant: label.tenant.clone(),
            dataset: label.dataset.clone(),
            document: label.document.clone(),
            version: 0,
            user: user.clone(),
            q: reader.public(),
            purpose: "monthly review".into(),
        };
        let expires_ms = self.time_ms + LIFETIME_MS;
        let chain_id = self.parties.genesis.chain_id();
        let transaction = Transaction::sign_read(chain_id, key, &reader, nonce(), expires_ms, body);
        let id = transaction.tx_id();
        let read = Read { id, document, reader };
        Ok((pending(transaction, Some(tenant.name.clone()))?, read))
    }

    /// What the nodes state about each of these reads.
    fn statements(&self, documents: &[Document], reads: &[Read]) -> Result<Vec<Vec<ReleaseStatement>>> {
        shared(reads.len(), |place| {
            let read = reads.get(place).context("there is no such read")?;
            let document = documents
                .get(read.document)
                .context("there is no such document")?;
            let members = self.parties.committee.quorum();
            Ok(members
                .map(|(index, identity, _)| self.statement(document, read, index, nonce_32()).sign(identity))
                .collect())
        })
    }

    fn statement(
        &self,
        document: &Document,
        read: &Read,
        index: threshold::committee::ParticipantIndex,
        share_digest: [u8; 32],
    ) -> ReleaseStatement {
        ReleaseStatement {
            manifest_digest: self.parties.committee.signed.manifest.digest(),
            index,
            approve_id: read.id,
            write_id: document.wrapped.write_id(),
            q: read.reader.public(),
            share_digest,
            repeat: false,
            time_ms: self.time_ms,
            journal_position: self.view,
            journal_head: [0; 32],
            signature: Signature([0; 64]),
        }
    }

    /// The statements as a coordinator records them.
    fn receipts(&self, statements: &[Vec<ReleaseStatement>]) -> Result<Vec<Pending>> {
        // As many as a coordinator puts into one transaction.
        let most = coordinator::LimitsConfig::default().receipts_per_transaction / usize::from(THRESHOLD);
        let batches: Vec<_> = statements.chunks(most.max(1)).collect();
        shared(batches.len(), |place| {
            let batch = batches.get(place).context("there is no such batch")?;
            let body = Body::RecordReleases {
                releases: batch.iter().flatten().copied().collect(),
            };
            pending(self.sign(&self.parties.coordinator, body), None)
        })
    }

    /// The shares of a read, as its reader gets them, and what the nodes state about these.
    fn release(
        &self,
        documents: &[Document],
        read: &Read,
    ) -> Result<(Vec<ReencryptionShare>, Vec<ReleaseStatement>)> {
        let document = documents
            .get(read.document)
            .context("there is no such document")?;
        let manifest = &self.parties.committee.signed.manifest;
        let context = Context::new(manifest, &document.wrapped, read.id, &read.reader.public())?;
        let mut released = (Vec::new(), Vec::new());
        for (index, identity, share) in self.parties.committee.quorum() {
            let share = reencrypt(share, &context, &mut OsRng)?;
            let statement = self.statement(document, read, index, share.digest());
            released.1.push(statement.sign(identity));
            released.0.push(share);
        }
        Ok(released)
    }

    /// A block in which everything is applied, or counts as a confirmation.
    fn must(&mut self, transactions: Vec<Transaction>) -> Result<()> {
        let made = transactions
            .into_iter()
            .map(|transaction| pending(transaction, None))
            .collect::<Result<_>>()?;
        for outcome in self.block(made)? {
            let done = matches!(outcome, Outcome::Applied | Outcome::Pending { .. });
            ensure!(done, "the generator's foundation: {outcome}");
        }
        Ok(())
    }

    /// Makes a block of these final, and gives what became of them, in their order.
    fn block(&mut self, transactions: Vec<Pending>) -> Result<Vec<Outcome>> {
        for transaction in transactions {
            self.ledger.mempool().insert(transaction)?;
        }
        self.time_ms += STEP_MS;
        self.view += 1;
        let ground = self.ledger.ground(&[])?;
        let bytes = self.ledger.build(&ground, self.time_ms, true)?;
        let bytes: Arc<[u8]> = bytes.context("no block was built")?.into();
        let evidence = self.evidence(Block::inspect(&bytes)?.hash().0)?;
        let mut finals = self.ledger.final_blocks();
        self.ledger.apply(vec![(bytes, Some(evidence))])?;
        let block = finals.try_recv()?;
        Ok(block
            .entries()
            .iter()
            .map(|entry: &Entry| entry.outcome)
            .collect())
    }

    /// The votes of all whose keys are here.
    fn evidence(&self, payload: [u8; 32]) -> Result<FinalityEvidence> {
        let (epoch, view, parent_view) = (0, self.view, self.view - 1);
        let genesis = &self.parties.genesis;
        let message = finalize_message(&genesis.chain_id(), epoch, view, parent_view, &payload);
        let validators = genesis.validators();
        let mut signatures = Vec::new();
        for voter in &self.parties.voters {
            let key = PublicKey::of(&voter.validator);
            let place = validators.iter().position(|validator| *validator == key);
            let place = u16::try_from(place.context("a voter is a validator")?)?;
            signatures.push((place, Signature(voter.validator.sign(&message).to_bytes())));
        }
        signatures.sort_unstable_by_key(|(place, _)| *place);
        Ok(FinalityEvidence {
            epoch,
            view,
            parent_view,
            payload,
            signatures,
        })
    }

    fn sign(&self, author: &SigningKey, body: Body) -> Transaction {
        let expires_ms = self.time_ms + LIFETIME_MS;
        Transaction::sign(self.parties.genesis.chain_id(), author, nonce(), expires_ms, body)
    }
}

fn write(document: &Document) -> Body {
    let label = &document.label;
    Body::WriteDocument {
        tenant: label.tenant.clone(),
        dataset: label.dataset.clone(),
        document: label.document.clone(),
        version: label.version,
        wrapped_key: Some(document.wrapped.clone()),
        material: vec![7; 300],
        checksum: [9; 32],
        size: 1_000_000,
        inline: None,
    }
}

fn pending(transaction: Transaction, tenant: Option<Name>) -> Result<Pending> {
    let holder = Holder {
        author: transaction.author.to_bytes(),
        tenant,
        peer: None,
    };
    Ok(Pending {
        bytes: transaction.to_bytes().into(),
        transaction: VerifiedTransaction::verify(transaction)?,
        holder,
    })
}

fn nonce() -> [u8; 16] {
    let mut nonce = [0; 16];
    OsRng.fill_bytes(&mut nonce);
    nonce
}

fn nonce_32() -> [u8; 32] {
    let mut nonce = [0; 32];
    OsRng.fill_bytes(&mut nonce);
    nonce
}

/// Makes so many things on all processors, in order.
fn shared<T: Send>(count: usize, make: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let each = count.div_ceil(super::super::measure::cores()).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..count)
            .step_by(each)
            .map(|first| {
                let make = &make;
                scope.spawn(move || {
                    (first..count.min(first + each))
                        .map(make)
                        .collect::<Result<Vec<T>>>()
                })
            })
            .collect();
        let mut all = Vec::with_capacity(count);
        for worker in workers {
            let part = worker.join().map_err(|_| anyhow::anyhow!("a worker gave up"))?;
            all.extend(part?);
        }
        Ok(all)
    })
}
