//! The load: readers that read, administrators that submit.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
    pub(super) async fn reads(&self, readers: u64, window: Duration) -> Latencies {
        let end = Instant::now() + window;
        let workers = self.readers.iter().cycle().zip(0..readers).map(|(client, _)| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut results = Vec::new();
                while Instant::now() < end {
                    let started = Instant::now();
                    results.push(read(&client).await.map(|()| started.elapsed()));
                }
                results
            })
        });
        Latencies::collect(join_all(workers).await.into_iter().flatten().flatten())
    }

    /// Bare transactions, one after the other.
    pub(super) async fn commits(&self, window: Duration) -> Latencies {
        let end = Instant::now() + window;
        let mut results = Vec::new();
        while Instant::now() < end {
            let started = Instant::now();
            results.push(self.commit().await.map(|()| started.elapsed()));
        }
        Latencies::collect(results)
    }

    /// Many bare transactions, `submitters` at once.
    pub(super) async fn fill(&self, transactions: u64, submitters: u64) -> Latencies {
        let left = AtomicU64::new(transactions);
        let workers = (0..submitters).map(|_| async {
            let mut results = Vec::new();
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1))
                .is_ok()
            {
                let started = Instant::now();
                results.push(self.commit().await.map(|()| started.elapsed()));
            }
            results
        });
        Latencies::collect(join_all(workers).await.into_iter().flatten())
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
    async fn commit(&self) -> Result<(), String> {
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
            }
        } else {
            Body::Revoke {
                tenant,
                dataset,
                user,
                role,
            }
        };
        let transaction = self.admin.transaction(body);
        self.admin
            .submit(&transaction)
            .await
            .map(|_| ())
            .map_err(|error| failed(&error))
    }
}

/// One complete read, compared with what was written.
async fn read(client: &Client) -> Result<(), String> {
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
    match report.faults.first() {
        None => Ok(()),
        Some(fault) => Err(failed(fault)),
    }
}

fn identity(name: &str) -> Outcome<Arc<Identity>> {
    Ok(Arc::new(Identity::ephemeral(name).map_err(anyhow::Error::from)?))
}

fn name(text: &str) -> Outcome<Name> {
    parse("name", text)
}
