//! What an auditor and an operator pay on a long chain: searches, proofs, receipts; a restart, memory, disk.
//!
//! The chain is generated into the store of one endorser of four. That endorser then runs alone, as the process that it is
//! in production, and is asked over mutual TLS by a client that verifies every answer. Alone it makes no further block, so
//! that it is told to answer however old its newest one is, and however often it is asked; nothing else of it is changed.

mod chain;
mod parties;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use approval::{ApprovalFields, TrustBundle, TrustedOrganisation};
use client::{ApprovalProfile, Client, EndorserProfile, OrganisationProfile, Profile};
use golden_record::{Checkpoint, EntryProof, Filter, SignedCheckpoint, Within};
use ledger_endorser::setup::{PublicParts, create_keys};
use receipt::{PinnedApproval, PinnedRoots, Receipt};
use serde_json::{Map, Value, json};
use service::Identity;
use threshold::encoding::Canonical;

use self::chain::{Generated, Generator};
use self::parties::Parties;
use super::measure::{self, Latencies, cores};
use crate::cli::{BenchLedgerArgs, DaemonKind};
use crate::cluster::process::{Memory, Process, memory};
use crate::cluster::{ORGANISATIONS, POLICY};
use crate::failure::Outcome;
use crate::keyring;
use crate::output::Output;

/// How often each thing is measured.
const ROUNDS: usize = 200;
/// How many transactions a search asks for.
const FOUND: usize = 20;
/// Between two tries to reach the endorser.
const PAUSE: Duration = Duration::from_millis(10);
/// A start may take as long as the index of a long chain takes to make.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Generates the chain, measures on it and prints the figures.
pub(crate) async fn run(output: Output, arguments: &BenchLedgerArgs) -> Outcome {
    let directory = super::disk::directory(&arguments.place)?;
    let progress = output.progress("generating the chain");
    let reads = usize::try_from(arguments.reads).map_err(anyhow::Error::from)?;
    let place = Place::new(directory.path())?;
    let started = Instant::now();
    let (parties, generated) = tokio::task::block_in_place(|| -> Result<_> {
        let parties = Parties::new(
            &place.endorser,
            now_ms()?.saturating_sub(chain::blocks(reads) * chain::STEP_MS),
        )?;
        let generator = Generator::new(&parties, &place.directory.join("ledger.redb"))?;
        let say = |done| progress.say(&format!("generating the chain: {done} of {reads} reads"));
        let generated = generator.run(reads, &say)?;
        Ok((parties, generated))
    })?;
    let generated_in = started.elapsed();
    place.configure(&parties)?;
    progress.say("making the search index");
    let mut bench = Bench {
        place,
        parties,
        generated,
    };
    let mut figures = bench
        .measure(reads, generated_in, &|what| progress.say(what))
        .await?;
    let file_system = super::disk::file_system(directory.path())?;
    figures.push(("file_system", json!(file_system)));
    drop(progress);
    let text: Vec<String> = figures
        .iter()
        .map(|(name, figure)| format!("{name:28} {figure}"))
        .collect();
    let value: Map<String, Value> = figures
        .into_iter()
        .map(|(name, figure)| (name.to_owned(), figure))
        .collect();
    output.result(&Value::Object(value), &text.join("\n"))
}

/// Where the endorser keeps what.
struct Place {
    folder: PathBuf,
    directory: PathBuf,
    endorser: PublicParts,
    addresses: [std::net::SocketAddr; 3],
}

impl Place {
    fn new(folder: &Path) -> Result<Self> {
        let directory = folder.join("state");
        fs::create_dir_all(&directory)?;
        let passphrase = keyring::passphrase(&folder.join("passphrase"))?;
        let [organisation, ..] = ORGANISATIONS;
        let endorser = create_keys(
            &folder.join("keys"),
            &directory,
            &parties::name(organisation)?,
            &passphrase,
            now_ms()?,
        )?;
        let addresses = service::ports::free(3)?.try_into();
        Ok(Self {
            folder: folder.to_owned(),
            directory,
            endorser,
            addresses: addresses.map_err(|_| anyhow::anyhow!("three ports are three"))?,
        })
    }

    fn config(&self) -> PathBuf {
        self.folder.join("endorser.toml")
    }

    fn configure(&self, parties: &Parties) -> Result<()> {
        let genesis = self.folder.join("genesis.bin");
        fs::write(&genesis, parties.genesis.to_bytes())?;
        let [listen, operations, consensus_listen] = self.addresses;
        let nobody = |voter: &parties::Voter| {
            let key = hex::encode(voter.validator.verifying_key().to_bytes());
            (key, "127.0.0.1:9".to_owned())
        };
        let config = ledger_endorser::Config {
            organisation: self.endorser.organisation.to_string(),
            listen,
            operations,
            consensus_listen,
            directory: self.directory.clone(),
            keys: self.folder.join("keys"),
            passphrase_file: self.folder.join("passphrase"),
            genesis,
            peers: parties.voters.iter().map(nobody).collect::<BTreeMap<_, _>>(),
            certificate_lifetime_seconds: 120,
            policy_version: 1,
            limits: ledger_endorser::Limits {
                stale_after_ms: u64::MAX >> 1,
                // It is one client that measures.
                searches_per_second: 10_000,
                search_burst: 10_000,
                ..ledger_endorser::Limits::default()
            },
        };
        Ok(fs::write(self.config(), toml::to_string(&config)?)?)
    }

    /// Starts the endorser, as one that has not voted yet: the engine knows nothing of the generated blocks, and would not
    /// go on from votes of its own before them.
    fn start(&self) -> Outcome<Process> {
        let consensus = self.directory.join("consensus");
        if consensus.exists() {
            fs::remove_dir_all(&consensus)?;
        }
        let program = std::env::current_exe()?;
        Process::start(
            &program,
            DaemonKind::LedgerEndorser,
            &self.config(),
            &self.folder.join("endorser.log"),
        )
    }

    /// What chain, state and index take on the disk.
    fn disk(&self) -> Result<u64> {
        fn used(path: &Path) -> Result<u64> {
            let mut sum = 0;
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                let metadata = entry.metadata()?;
                sum += match metadata.is_dir() {
                    true => used(&entry.path())?,
                    false => metadata.blocks() * 512,
                };
            }
            Ok(sum)
        }
        used(&self.directory)
    }
}

struct Bench {
    place: Place,
    parties: Parties,
    generated: Generated,
}

impl Bench {
    async fn measure(
        &mut self,
        reads: usize,
        generated_in: Duration,
        say: &dyn Fn(&str),
    ) -> Outcome<Vec<(&'static str, Value)>> {
        let started = Instant::now();
        let mut process = self.place.start()?;
        self.reachable(&mut process).await?;
        let indexed_in = started.elapsed();
        process.stop().await?;
        say("starting again");
        let started = Instant::now();
        let mut process = self.place.start()?;
        let client = self.reachable(&mut process).await?;
        let restarted_in = started.elapsed();
        say("searching");
        let searches = self.searches(&client).await?;
        say("proving");
        let (proofs, inclusion_bytes) = self.proofs(&client).await?;
        say("verifying receipts");
        let (receipts, receipt_bytes) = self.receipts(&client).await?;
        let resident = memory(process.id(), Memory::Peak)?;
        process.stop().await?;
        let disk = self.place.disk()?;
        let per_read = |bytes: u64| measure::rounded(bytes as f64 / reads.max(1) as f64);
        let store = fs::metadata(self.place.directory.join("ledger.redb"))?.blocks() * 512;
        Ok(vec![
            ("reads", json!(reads)),
            ("search_p50_ms", json!(searches.percentile_ms(50.0))),
            ("search_p99_ms", json!(searches.percentile_ms(99.0))),
            ("inclusion_p50_ms", json!(proofs.percentile_ms(50.0))),
            ("inclusion_p99_ms", json!(proofs.percentile_ms(99.0))),
            ("inclusion_bytes", json!(inclusion_bytes)),
            ("receipt_bytes", json!(receipt_bytes)),
            ("receipt_verify_p50_ms", json!(receipts.percentile_ms(50.0))),
            (
                "restart_seconds",
                json!(measure::rounded(restarted_in.as_secs_f64())),
            ),
            ("endorser_rss_mb", json!(measure::megabytes(resident))),
            ("disk_bytes_per_read", json!(per_read(disk))),
            ("store_bytes_per_read", json!(per_read(store))),
            ("index_seconds", json!(measure::rounded(indexed_in.as_secs_f64()))),
            (
                "generate_seconds",
                json!(measure::rounded(generated_in.as_secs_f64())),
            ),
            ("cores", json!(cores())),
            ("optimised", json!(!cfg!(debug_assertions))),
        ])
    }

    /// A client, as soon as the endorser gives whole answers to searches.
    async fn reachable(&self, process: &mut Process) -> Result<Client> {
        let identity = Identity::from_seed("auditor", &self.parties.auditor.to_bytes())?;
        let identity = Arc::new(identity);
        let started = Instant::now();
        loop {
            if let Ok(client) = Client::connect(self.profile(), Arc::clone(&identity)).await {
                let newest = Filter {
                    verdict: Some("rejected".parse()?),
                    ..Filter::default()
                };
                if client
                    .search(&newest, 0, 1)
                    .await
                    .is_ok_and(|found| found.complete)
                {
                    return Ok(client);
                }
            }
            ensure!(
                process.ended().is_none() && started.elapsed() < PATIENCE,
                "the endorser does not answer: {}",
                process.last_words()
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Searches by all that can be searched by, from anywhere in the chain.
    async fn searches(&self, client: &Client) -> Result<Latencies> {
        let created_ms = self.parties.genesis.created_ms();
        let span_ms = now_ms()?.saturating_sub(created_ms);
        let (started, mut results) = (Instant::now(), Vec::new());
        for round in 0..ROUNDS {
            let document = self
                .generated
                .documents
                .get(round * 7 % self.generated.documents.len());
            let label = &document.context("there are documents")?.label;
            let user = (
                label.tenant.clone(),
                parties::name(&format!("user-{}", round % parties::USERS))?,
            );
            let since_ms = Some(created_ms + span_ms / ROUNDS as u64 * round as u64);
            let of_tenant = Filter {
                within: Within::Tenant(label.tenant.clone()),
                ..Filter::default()
            };
            let filter = match round % 5 {
                0 => Filter {
                    verdict: Some("denied".parse()?),
                    since_ms,
                    ..of_tenant
                },
                1 => Filter {
                    user: Some(user),
                    ..of_tenant
                },
                2 => Filter {
                    within: Within::Document(
                        label.tenant.clone(),
                        label.dataset.clone(),
                        label.document.clone(),
                    ),
                    user: Some(user),
                    since_ms,
                    ..Filter::default()
                },
                3 => Filter {
                    within: Within::Dataset(label.tenant.clone(), label.dataset.clone()),
                    kind: Some("write_document".parse()?),
                    ..Filter::default()
                },
                _ => Filter {
                    within: Within::Dataset(label.tenant.clone(), label.dataset.clone()),
                    verdict: Some("not_a_reader".parse()?),
                    user: Some(user),
                    since_ms,
                    ..Filter::default()
                },
            };
            let began = Instant::now();
            client.search(&filter, 0, FOUND).await?;
            results.push(Ok(began.elapsed()));
        }
        Ok(Latencies::collect(started.elapsed(), results))
    }

    /// Proofs of reads from all over the chain, and the size of the largest.
    async fn proofs(&self, client: &Client) -> Result<(Latencies, usize)> {
        let (started, mut results, mut largest) = (Instant::now(), Vec::new(), 0);
        for id in self.generated.sample.iter().cycle().take(ROUNDS) {
            let began = Instant::now();
            let proven = client.prove(id).await?;
            results.push(Ok(began.elapsed()));
            largest = largest.max(proven.proof.len());
        }
        Ok((Latencies::collect(started.elapsed(), results), largest))
    }

    /// A whole receipt of the newest read, verified again and again, and its size.
    async fn receipts(&self, client: &Client) -> Result<(Latencies, usize)> {
        let receipt = self.receipt(client).await?;
        let (text, roots) = (receipt.to_text(), self.roots()?);
        let (started, mut results) = (Instant::now(), Vec::new());
        for _ in 0..ROUNDS {
            let began = Instant::now();
            receipt::verify(text.as_bytes(), &roots).map_err(|why| anyhow::anyhow!("the receipt: {why}"))?;
            results.push(Ok(began.elapsed()));
        }
        Ok((Latencies::collect(started.elapsed(), results), text.len()))
    }

    async fn receipt(&self, client: &Client) -> Result<Receipt> {
        let Generated {
            documents,
            newest,
            shares,
            statements,
            ..
        } = &self.generated;
        let proven = client.prove(&newest.id).await?;
        let proof = EntryProof::from_bytes(&proven.proof)?;
        let header = proof.headers.first().context("a proof has a header")?;
        let mut checkpoint = SignedCheckpoint::unsigned(Checkpoint::of(header))?;
        let document = documents
            .get(newest.document)
            .context("there is no such document")?;
        let fields = ApprovalFields {
            approve_id: newest.id,
            write_id: document.wrapped.write_id(),
            q: newest.reader.public(),
            key_id: document.wrapped.key_id(),
            label: document.label.clone(),
            chain_id: self.parties.genesis.chain_id(),
            height: header.height,
            block_hash: header.hash(),
            policy_version: 1,
        };
        let mut certificates = Vec::new();
        for voter in &self.parties.voters {
            checkpoint.sign(&voter.name, &voter.validator)?;
            certificates.push(voter.authority.issue(&fields, header.time_ms, 60)?);
        }
        Ok(Receipt {
            entry: proven.line.entry,
            handovers: Vec::new(),
            proof,
            checkpoint: Some(checkpoint),
            wrapped_key: Some(document.wrapped.clone()),
            certificates,
            committee: Some(self.parties.committee.signed.clone()),
            shares: shares.clone(),
            statements: statements.clone(),
        })
    }

    fn roots(&self) -> Result<PinnedRoots> {
        let genesis = &self.parties.genesis;
        let organisations = genesis.organisations().iter();
        let organisations =
            organisations.map(|one| TrustedOrganisation::new(one.name.clone(), &one.ca_certificate));
        let bundle = TrustBundle::new(
            1,
            genesis.chain_id(),
            genesis.installation().clone(),
            organisations.collect::<Result<_, _>>()?,
            POLICY.parse()?,
        )?;
        let pinned = PinnedApproval {
            bundle,
            limits: approval::Limits::default(),
        };
        let committee = self.parties.committee.signed.manifest.digest();
        Ok(PinnedRoots::new(
            genesis.clone(),
            vec![pinned],
            [committee].into(),
        )?)
    }

    fn profile(&self) -> Profile {
        let genesis = &self.parties.genesis;
        let [listen, ..] = self.place.addresses;
        let organisations = genesis.organisations().iter();
        Profile {
            installation: genesis.installation().to_string(),
            chain_id: genesis.chain_id().to_string(),
            key_id: None,
            objects: self.place.folder.join("objects"),
            approval: ApprovalProfile {
                version: 1,
                policy: POLICY.into(),
                organisations: organisations
                    .map(|one| OrganisationProfile {
                        name: one.name.to_string(),
                        root: hex::encode(&one.ca_certificate),
                    })
                    .collect(),
            },
            endorsers: vec![EndorserProfile {
                organisation: self.place.endorser.organisation.to_string(),
                identity: hex::encode(self.place.endorser.identity),
                address: listen.to_string(),
            }],
            coordinators: Vec::new(),
            nodes: Vec::new(),
        }
    }
}

fn now_ms() -> Result<u64> {
    Ok(u64::try_from(
        SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis(),
    )?)
}
