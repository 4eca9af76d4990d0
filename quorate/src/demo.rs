//! The main job, once, on real sockets, with a sentence for each step on what happened and what it proves.

mod story;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use client::{Client, Error, ReadReport, ReadRequest, WriteReport, WriteRequest};
use golden_record::DenialReason;
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
    let report = read(story, &people.bob, &file, place).await?;
    refuse(story, &people.mallory).await?;
    fail_some(story, &mut cluster, &report).await?;
    read_again(story, &people.bob, &file, place).await?;
    log(story, &cluster, &written, &report).await?;
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

async fn refuse(story: &mut Story, mallory: &Client) -> Outcome {
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
    )
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

async fn read_again(story: &mut Story, bob: &Client, file: &Path, place: &Path) -> Outcome {
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
        "no single machine, and no single organisation, can stop a read or is needed for one.",
    )
}

async fn log(story: &mut Story, cluster: &Cluster, written: &WriteReport, report: &ReadReport) -> Outcome {
    let auditor = cluster.client(cluster.auditor()?).await?;
    let log = auditor.await_receipt(&report.approve_id).await?;
    let on_record = |wanted| {
        log.lines
            .iter()
            .any(|line| line.entry.transaction.tx_id() == wanted)
    };
    if !on_record(written.tx_id) || !on_record(report.approve_id) {
        return Err(broken("the write and the read are in the log"));
    }
    let proven = auditor.prove(&report.approve_id).await?;
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
        "every read, approved or denied, and which node released what for it, stands in one log that three of four \
         organisations have signed; nobody can drop, change or reorder a line unseen.",
    )
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

fn same(original: &Path, copy: &Path) -> Outcome {
    if fs::read(original)? == fs::read(copy)? {
        Ok(())
    } else {
        Err(broken("a read gives what was written"))
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
