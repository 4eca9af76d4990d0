//! The load: readers that read, administrators that submit.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use client::{Client, ReadRequest, WriteRequest};
use futures::future::join_all;
use golden_record::{Body, Role};
use service::identity::Identity;
use threshold::name::Name;
use threshold::signature::PublicKey;

use super::measure::Latencies;
use crate::cluster::{Cluster, ORGANISATIONS};
use crate::commands::parse;
use crate::failure::Outcome;

const TENANT: &str = "bench";
const DATASET: &str = "small";
const DOCUMENT: &str = "document";
const CONTENT: &[u8] = &[0x51; 1024];
/// Connections that share the load of the readers.
const CONNECTIONS: usize = 4;

/// A document to read, and clients to read it with.
pub(super) struct Load {
    admin: Client,
    readers: Vec<Client>,
    wrapped_key_bytes: usize,
    /// Makes every bare transaction another one.
    next: Arc<AtomicU64>,
}

impl Load {
    /// A tenant with a user who writes one small document and reads it from then on, and another who only gets roles.
    pub(super) async fn prepare(cluster: &Cluster) -> Outcome<Self> {
        let [organisation, ..] = ORGANISATIONS;
        let chief = cluster.client(cluster.admin(organisation)?).await?;
        let (admin, user) = (identity("admin")?, identity("user")?);
        chief
            .create_tenant(name(TENANT)?, PublicKey::of(admin.signing_key()))
            .await?;
        let admin = cluster.client(admin).await?;
        let key = PublicKey::of(user.signing_key());
        admin.create_user(name(TENANT)?, name("user")?, key).await?;
        let idle = PublicKey::of(identity("idle")?.signing_key());
        admin.create_user(name(TENANT)?, name("idle")?, idle).await?;
        let all = || Ok::<_, crate::Failure>([name("user")?].into());
        admin
            .create_dataset(name(TENANT)?, name(DATASET)?, all()?, all()?, all()?)
            .await?;
        let mut readers = Vec::new();
        for _ in 0..CONNECTIONS {
            readers.push(cluster.client(Arc::clone(&user)).await?);
        }
        let request = WriteRequest {
            tenant: name(TENANT)?,
            dataset: name(DATASET)?,
            document: parse("document", DOCUMENT)?,
            name: DOCUMENT.into(),
            content_type: String::new(),
        };
        let writer = cluster.client(user).await?;
        let written = writer.write(&request, &mut Cursor::new(CONTENT)).await?;
        let wrapped_key_bytes = written.wrapped_key_bytes;
        Ok(Self {
            admin,
            readers,
            wrapped_key_bytes,
            next: Arc::default(),
        })
    }

    pub(super) fn wrapped_key_bytes(&self) -> usize {
        self.wrapped_key_bytes
    }

    /// `readers` at once, each reading again and again until the time is up.
    pub(super) async fn reads(&self, readers: u64, window: Duration, faults: Faults) -> Reads {
        let started = Instant::now();
        let workers = self.readers.iter().cycle().zip(0..readers).map(|(client, _)| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut results = Vec::new();
                while started.elapsed() < window {
                    results.push(read(&client, faults).await);
                }
                results
            })
        });
        let results = join_all(workers)
            .await
            .into_iter()
            .flat_map(|worker| match worker {
                Ok(results) => results,
                Err(error) => vec![Err(error.to_string())],
            });
        Reads::collect(started.elapsed(), results.collect())
    }

    /// One reader, reading again and again until something else is done.
    pub(super) async fn reads_during<T>(&self, other: impl Future<Output = T>) -> (T, Reads) {
        let (started, done) = (Instant::now(), AtomicBool::new(false));
        let reads = async {
            let mut results = Vec::new();
            if let Some(client) = self.readers.first() {
                while !done.load(Ordering::Relaxed) {
                    results.push(read(client, Faults::None).await);
                }
            }
            Reads::collect(started.elapsed(), results)
        };
        let other = async {
            let result = other.await;
            done.store(true, Ordering::Relaxed);
            result
        };
        futures::future::join(other, reads).await
    }

    /// Bare transactions, one after the other.
    pub(super) async fn commits(&self, window: Duration) -> Latencies {
        let started = Instant::now();
        let mut results = Vec::new();
        while started.elapsed() < window {
            results.push(self.commit().await);
        }
        Latencies::collect(started.elapsed(), results)
    }

    /// Many bare transactions, `submitters` at once.
    pub(super) async fn fill(&self, transactions: u64, submitters: u64) -> Latencies {
        let started = Instant::now();
        let left = AtomicU64::new(transactions);
        let another = || {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1))
                .is_ok()
        };
        let workers = (0..submitters).map(|_| async {
            let mut results = Vec::new();
            while another() {
                results.push(self.commit().await);
            }
            results
        });
        let results: Vec<_> = join_all(workers).await.into_iter().flatten().collect();
        Latencies::collect(started.elapsed(), results)
    }

    /// How long the log has become.
    pub(super) async fn log_size(&self) -> Outcome<u64> {
        let statuses = self.admin.endorser_statuses().await;
        Ok(statuses
            .into_iter()
            .filter_map(|(_, status)| status.ok())
            .map(|s| s.header.log_size)
            .max()
            .unwrap_or(0))
    }

    /// One small transaction: a role granted or revoked in turn. Applied or not, it is recorded.
    async fn commit(&self) -> Result<Duration, String> {
        let started = Instant::now();
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let (tenant, dataset, user) = (
            name(TENANT).map_err(|e| failed(&e))?,
            name(DATASET).map_err(|e| failed(&e))?,
            name("idle").map_err(|e| failed(&e))?,
        );
        let role = Role::Reader;
        let grant = self.next.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        let body = if grant {
            Body::Grant {
                tenant,
                dataset,
                user,
                role,
                expected: None,
            }
        } else {
            Body::Revoke {
                tenant,
                dataset,
                user,
                role,
                expected: None,
            }
        };
        let transaction = self.admin.transaction(body);
        self.admin
            .submit(&transaction)
            .await
            .map(|_| started.elapsed())
            .map_err(|error| failed(&error))
    }
}

/// How long one read took, and two parts of it: until it was approved, and from then until the key was open.
struct Read {
    whole: Duration,
    approval: Duration,
    release: Duration,
}

/// What is thought of a read that succeeds and names parties that did not answer as they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Faults {
    /// It counts as failed: all are there and honest.
    None,
    /// It is what was to be seen.
    Expected,
}

/// What a phase of reads measured.
pub(super) struct Reads {
    pub(super) whole: Latencies,
    pub(super) approval: Latencies,
    pub(super) release: Latencies,
}

impl Reads {
    fn collect(elapsed: Duration, results: Vec<Result<Read, String>>) -> Self {
        let good = || results.iter().filter_map(|result| result.as_ref().ok());
        Self {
            approval: Latencies::collect(elapsed, good().map(|read| Ok(read.approval))),
            release: Latencies::collect(elapsed, good().map(|read| Ok(read.release))),
            whole: Latencies::collect(
                elapsed,
                results.into_iter().map(|result| result.map(|read| read.whole)),
            ),
        }
    }
}

/// One complete read, compared with what was written.
async fn read(client: &Client, faults: Faults) -> Result<Read, String> {
    let started = Instant::now();
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let request = ReadRequest {
        tenant: name(TENANT).map_err(|e| failed(&e))?,
        dataset: name(DATASET).map_err(|e| failed(&e))?,
        document: parse("document", DOCUMENT).map_err(|e| failed(&e))?,
        version: Some(1),
        user: name("user").map_err(|e| failed(&e))?,
        purpose: "bench".into(),
    };
    let document = client.read(&request).await.map_err(|e| failed(&e))?;
    let (content, report) = document.into_vec().map_err(|e| failed(&e))?;
    if content != CONTENT {
        return Err("the content is not what was written".into());
    }
    match (report.faults.first(), faults) {
        (Some(fault), Faults::None) => Err(failed(fault)),
        _ => Ok(Read {
            whole: started.elapsed(),
            approval: report.approval_time,
            release: report.release_time,
        }),
    }
}

fn identity(name: &str) -> Outcome<Arc<Identity>> {
    Ok(Arc::new(Identity::ephemeral(name).map_err(anyhow::Error::from)?))
}

fn name(text: &str) -> Outcome<Name> {
    parse("name", text)
}
