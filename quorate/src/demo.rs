//! The main job, once, on real sockets, with a sentence for each step on what happened and what it proves.

mod story;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Client, Error, ReadReport, ReadRequest, VerifiedLog, WriteReport, WriteRequest};
use golden_record::{Body, DenialReason, Outcome as Verdict, TxId};
use service::identity::Identity;
use threshold::name::Name;
use threshold::signature::PublicKey;

use self::story::Story;
use crate::cluster::{Cluster, NODES, ORGANISATIONS, POLICY, Size, THRESHOLD};
use crate::commands::{audit, parse};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Output};

const TENANT: &str = "acme";
const DATASET: &str = "programs";
const DOCUMENT: &str = "quorate";
/// How often the log is asked for what the nodes have released, and the pause between.
const RECORD_ATTEMPTS: u32 = 50;
const RECORD_PAUSE: Duration = Duration::from_millis(100);
/// Of two files that are compared, so much is in memory at a time.
const COMPARED: usize = 64 * 1024;

/// Everybody in the story.
struct People {
    alice: Client,
    bob: Client,
    mallory: Client,
}

/// Runs the demonstration in a temporary directory; an error when anything is not as promised.
pub(crate) async fn run(output: Output, keep: bool) -> Outcome {
    let started = Instant::now();
    let directory = tempfile::Builder::new().prefix("quorate-demo-").tempdir()?;
    let place = directory.path().join("cluster");
    let mut story = Story::new(output);
    let told = tell(&mut story, &place).await;
    if keep || told.is_err() {
        output.message(&format!(
            "the cluster's files are in {}",
            directory.keep().display()
        ));
    }
    told?;
    story.end(&format!(
        "all of it held, in {:.0} seconds",
        started.elapsed().as_secs_f64()
    ))
}

async fn tell(story: &mut Story, place: &Path) -> Outcome {
    let mut cluster = start(story, place).await?;
    let people = administer(story, &cluster).await?;
    let file = std::env::current_exe()?;
    let written = write(story, &people.alice, &file).await?;
    let first = read(story, &people.bob, &file, place).await?;
    let denied = refuse(story, &people.mallory).await?;
    fail_some(story, &mut cluster, &first).await?;
    let second = read_again(story, &people.bob, &file, place).await?;
    log(story, &cluster, &written, denied, &[first, second]).await?;
    cluster.shutdown().await
}

async fn start(story: &mut Story, place: &Path) -> Outcome<Cluster> {
    let progress = story.output().progress("starting");
    let say = |what: &str| progress.say(what);
    let mut cluster = Cluster::prepare(place, Size::default(), &say)?;
    cluster.start_all(&say).await?;
    let ports: Vec<String> = cluster
        .layout()
        .seats()
        .map(|(_, seat)| seat.listen.port().to_string())
        .collect();
    story.step(
        "A cluster starts",
        &format!(
            "{NODES} crypto nodes, {} ledger endorsers of {} organisations and a coordinator run, each a process of its \
             own, on ports {} of 127.0.0.1, with mutual TLS.",
            ORGANISATIONS.len(),
            ORGANISATIONS.len(),
            ports.join(" ")
        ),
        "nothing here is simulated: real processes, sockets, certificates and disks.",
    )?;
    cluster.ensure_key(&say).await?;
    let key_id = cluster.profile().key_id.clone().unwrap_or_default();
    drop(progress);
    story.step(
        "The crypto nodes generate the custody key",
        &format!(
            "each operator consented, each node dealt and checked, all {NODES} signed the result, and a test key was \
             opened before it counted. Key id {}….",
            key_id.chars().take(16).collect::<String>()
        ),
        &format!("the key is in no one place: any {THRESHOLD} of {NODES} nodes can use it together, fewer learn nothing."),
    )?;
    Ok(cluster)
}

async fn administer(story: &mut Story, cluster: &Cluster) -> Outcome<People> {
    let [organisation, ..] = ORGANISATIONS;
    let chief = cluster.client(cluster.admin(organisation)?).await?;
    let admin = identity("acme admin")?;
    chief.create_tenant(name(TENANT)?, public(&admin)).await?;
    let admin = cluster.client(admin).await?;
    let mut clients = Vec::new();
    for user in ["alice", "bob", "mallory"] {
        let key = identity(user)?;
        admin
            .create_user(name(TENANT)?, name(user)?, public(&key))
            .await?;
        clients.push(cluster.client(key).await?);
    }
    let alice = name("alice")?;
    let (owners, writers, readers) = ([alice.clone()].into(), [alice].into(), [name("bob")?].into());
    admin
        .create_dataset(name(TENANT)?, name(DATASET)?, owners, writers, readers)
        .await?;
    story.step(
        "A tenant, three users and a dataset are recorded",
        &format!(
            "tenant {TENANT} has the dataset {DATASET}: alice owns and writes it, bob may read it, mallory may not."
        ),
        "permissions are transactions: signed by who gives them, agreed on by the organisations, final when three of four \
         have signed the block.",
    )?;
    match <[Client; 3]>::try_from(clients) {
        Ok([alice, bob, mallory]) => Ok(People { alice, bob, mallory }),
        Err(_) => Err(broken("three users were created")),
    }
}

async fn write(story: &mut Story, alice: &Client, file: &Path) -> Outcome<WriteReport> {
    let request = WriteRequest {
        tenant: name(TENANT)?,
        dataset: name(DATASET)?,
        document: parse("document", DOCUMENT)?,
        name: "quorate".into(),
        content_type: "application/x-executable".into(),
    };
    let report = alice.write(&request, &mut File::open(file)?).await?;
    story.step(
        "Alice writes a document",
        &format!(
            "{} ({}), this very program, was encrypted in chunks; the key to it, wrapped in {} bytes, is on the ledger as \
             entry {}.",
            file.display(),
            output::size(report.size),
            report.wrapped_key_bytes,
            report.index
        ),
        "wrapping needs only the public key; from here on nobody, alice included, opens it without the organisations and \
         the crypto nodes.",
    )?;
    Ok(report)
}

async fn read(story: &mut Story, bob: &Client, file: &Path, place: &Path) -> Outcome<ReadReport> {
    let copy = place.join("bobs-copy");
    let report = fetch(bob, "bob", "to show that it works", &copy).await?;
    same(file, &copy)?;
    story.step(
        "Bob reads it",
        &format!(
            "the ledger approved and recorded the request (entry {}), {} issued certificates, {} re-encrypted the key to \
             bob's one-time key, and bob's copy is the same, byte for byte.",
            report.index,
            list(&report.approved_by),
            list(report.released_by.iter().map(|(_, name)| name))
        ),
        &format!(
            "the policy {POLICY} held at every crypto node by itself; bob's client checked every certificate, share, \
             signature and chunk again."
        ),
    )?;
    Ok(report)
}

async fn refuse(story: &mut Story, mallory: &Client) -> Outcome<TxId> {
    let refusal = mallory.read(&request("mallory", "curiosity")?).await;
    let Err(Error::Denied {
        reason: reason @ DenialReason::NotAReader,
        tx_id,
    }) = refusal
    else {
        return Err(broken("the ledger denies a read by somebody who is not a reader"));
    };
    story.step(
        "Mallory asks for it and is refused",
        &format!("the endorsers denied it: {reason}. The attempt is on the record as {tx_id}."),
        "without approvals there are no certificates, and without certificates no crypto node touches its share. Refused \
         attempts are recorded too.",
    )?;
    Ok(tx_id)
}

async fn fail_some(story: &mut Story, cluster: &mut Cluster, report: &ReadReport) -> Outcome {
    // Two that have just served bob, so that others must take their place.
    let mut nodes: Vec<String> = report
        .released_by
        .iter()
        .map(|(_, name)| name.to_string())
        .collect();
    nodes.truncate(2);
    let endorser = report.approved_by.first().map(|name| format!("endorser-{name}"));
    let stopped: Vec<String> = nodes.into_iter().chain(endorser).collect();
    for name in &stopped {
        cluster.stop(name).await?;
    }
    story.step(
        "Two crypto nodes and an endorser stop",
        &format!(
            "{} are gone; {} processes run on.",
            stopped.join(", "),
            cluster.running().count()
        ),
        "each of the two quorums has lost all that it can lose.",
    )
}

async fn read_again(story: &mut Story, bob: &Client, file: &Path, place: &Path) -> Outcome<ReadReport> {
    let copy = place.join("bobs-second-copy");
    let report = fetch(bob, "bob", "to show that it still works", &copy).await?;
    same(file, &copy)?;
    story.step(
        "Bob reads again",
        &format!(
            "approved by {}, re-encrypted by {}; the key was open {} ms after the request, and the bytes are the same.",
            list(&report.approved_by),
            list(report.released_by.iter().map(|(_, name)| name)),
            (report.approval_time + report.release_time).as_millis()
        ),
        "no crypto node, no endorser and no organisation is needed for a read or can stop it alone. There is one coordinator \
         here: it holds no secret, and an installation may run several.",
    )?;
    Ok(report)
}

async fn log(
    story: &mut Story,
    cluster: &Cluster,
    written: &WriteReport,
    denied: TxId,
    reads: &[ReadReport],
) -> Outcome {
    let auditor = cluster.client(cluster.auditor()?).await?;
    let log = complete_log(&auditor, reads).await?;
    let verdict = |wanted| {
        let mut lines = log.lines.iter();
        let line = lines.find(|line| line.entry.transaction.tx_id() == wanted);
        line.map(|line| line.entry.outcome)
    };
    if verdict(written.tx_id) != Some(Verdict::Applied) {
        return Err(broken("the write is in the log"));
    }
    if verdict(denied) != Some(Verdict::Denied(DenialReason::NotAReader)) {
        return Err(broken("the refused read is in the log, with its reason"));
    }
    for read in reads {
        if !matches!(verdict(read.approve_id), Some(Verdict::Approved { .. })) {
            return Err(broken("every approved read is in the log"));
        }
    }
    let Some(first) = reads.first() else {
        return Err(broken("there was a read"));
    };
    let proven = auditor.prove(&first.approve_id).await?;
    if !story.output().is_json() {
        audit::print(story.output(), &log, false, None)?;
    }
    story.step(
        "The auditor verifies the log",
        &format!(
            "{}. The entry of bob's first read was also proved by itself, in {} bytes.",
            audit::verdict(&log),
            proven.proof.len()
        ),
        "both of bob's reads, mallory's denied one, and what each crypto node released for bob, stand in one log that three of \
         four organisations have signed; nobody can drop, change or reorder a line unseen.",
    )
}

/// The verified log, as soon as it has what every crypto node released for these reads: the coordinator records that a little
/// after the reader has it.
async fn complete_log(auditor: &Client, reads: &[ReadReport]) -> Outcome<VerifiedLog> {
    for _ in 0..RECORD_ATTEMPTS {
        let log = auditor.verified_log().await?;
        if reads.iter().all(|read| has_releases(&log, read)) {
            return Ok(log);
        }
        tokio::time::sleep(RECORD_PAUSE).await;
    }
    Err(broken("what each crypto node released for a read is in the log"))
}

/// Whether every node whose share opened a read stands in the log with that release.
fn has_releases(log: &VerifiedLog, read: &ReadReport) -> bool {
    let applied = log
        .lines
        .iter()
        .filter(|line| line.entry.outcome == Verdict::Applied);
    let stated: BTreeSet<u16> = applied
        .filter_map(|line| match &line.entry.transaction.body {
            Body::RecordReleases { releases } => Some(releases),
            _ => None,
        })
        .flatten()
        .filter(|release| release.approve_id == read.approve_id)
        .map(|release| release.index.get())
        .collect();
    !read.released_by.is_empty() && read.released_by.iter().all(|(seat, _)| stated.contains(seat))
}

/// Reads into a file.
async fn fetch(client: &Client, user: &str, purpose: &str, copy: &PathBuf) -> Outcome<ReadReport> {
    let document = client.read(&request(user, purpose)?).await?;
    let mut file = File::create(copy)?;
    let report = document.copy_to(&mut file)?;
    file.flush()?;
    Ok(report)
}

fn request(user: &str, purpose: &str) -> Outcome<ReadRequest> {
    Ok(ReadRequest {
        tenant: name(TENANT)?,
        dataset: name(DATASET)?,
        document: parse("document", DOCUMENT)?,
        version: None,
        user: name(user)?,
        purpose: purpose.into(),
    })
}

/// Compares two files piece by piece: they may be larger than the memory.
fn same(original: &Path, copy: &Path) -> Outcome {
    let open = |path| Ok::<_, Failure>(BufReader::with_capacity(COMPARED, File::open(path)?));
    let (mut original, mut copy) = (open(original)?, open(copy)?);
    loop {
        let (expected, found) = (original.fill_buf()?, copy.fill_buf()?);
        let length = expected.len().min(found.len());
        if expected.get(..length) != found.get(..length) || (length == 0 && expected.len() != found.len()) {
            return Err(broken("a read gives what was written"));
        }
        if length == 0 {
            return Ok(());
        }
        original.consume(length);
        copy.consume(length);
    }
}

fn broken(promise: &str) -> Failure {
    Failure::no(
        "promise_broken",
        format!("it does not hold that {promise}"),
        "this is a fault of the program: please report it with the files of the cluster",
    )
}

fn identity(name: &str) -> Outcome<Arc<Identity>> {
    Ok(Arc::new(Identity::ephemeral(name).map_err(anyhow::Error::from)?))
}

fn public(identity: &Identity) -> PublicKey {
    PublicKey::of(identity.signing_key())
}

fn name(text: &str) -> Outcome<Name> {
    parse("name", text)
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_copy_is_the_same_byte_for_byte_and_as_long() {
        let folder = tempfile::tempdir().unwrap();
        let (original, copy) = (folder.path().join("original"), folder.path().join("copy"));
        let content = vec![7; 2 * COMPARED + 1];
        fs::write(&original, &content).unwrap();
        let mut changed = content.clone();
        changed[2 * COMPARED] = 8;
        for (other, is_same) in [
            (content.clone(), true),
            (changed, false),
            (content[..2 * COMPARED].to_vec(), false),
            ([content.as_slice(), &[7]].concat(), false),
            (Vec::new(), false),
        ] {
            fs::write(&copy, &other).unwrap();
            assert_eq!(same(&original, &copy).is_ok(), is_same, "{}", other.len());
        }
    }
}
