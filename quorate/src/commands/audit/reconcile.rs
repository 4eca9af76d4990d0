//! The crypto nodes' own journals against the chain.
//!
//! Every use of a share is in its node's journal, and must be of a read that the chain has approved, for the key and the
//! reader that were approved. Every statement on the chain must be about an entry of the journal of the node that has signed
//! it, with that entry's hash: a journal is one hash chain, and a statement signs it up to its own entry. And an approved read
//! that no node has answered is worth a question. Journals come from their operators as copies of the files. By itself a copy
//! shows only that its hashes fit: whoever has the file can write all of them anew. What binds it are the statements, so that
//! a change is noticed before any entry that the node has stated, and not after the last of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use client::{Client, Line};
use crypto_node::journal::{Event, Journal, Release, Storage};
use golden_record::{Body, Filter, Outcome, TxId};
use serde_json::{Value, json};
use threshold::committee::{CommitteeManifest, ParticipantIndex};
use threshold::ids::WriteId;
use threshold::statement::ReleaseStatement;

use super::super::Context;
use super::super::documents::warn;
use super::{now_ms, require_compared, time};
use crate::cli::AuditReconcileArgs;
use crate::failure::{Failure, Outcome as Ended};
use crate::output::timestamp;

/// Transactions that are looked for at once.
const STEP: usize = 1_000;
/// What a journal begins with, before its node's identity key.
const MAGIC: u64 = 16;

pub(super) async fn run(context: &Context, arguments: &AuditReconcileArgs) -> Ended {
    let copied_ms = match &arguments.copied_at {
        Some(text) => Some(time::parse(text, now_ms())?),
        None => None,
    };
    let client = context.client(None).await?;
    let committee = client.committee().await?;
    let mut journals = Vec::new();
    for path in &arguments.journals {
        let copy = Copy::read(path, &committee.signed().manifest)
            .map_err(|failure| failure.while_doing(&path.display().to_string()))?;
        journals.push(copy);
    }
    let progress = context.output.progress("searching the chain");
    // After the journals: what is in them was approved before.
    let chain = Chain::read(context, &client).await?;
    drop(progress);
    let findings = compare(&journals, &chain, copied_ms);
    let values: Vec<Value> = findings.iter().map(Finding::value).collect();
    let rows: Vec<Vec<String>> = findings.iter().map(Finding::row).collect();
    context
        .output
        .table(&["finding", "node", "read", "what"], &rows, &values)?;
    let releases: usize = journals.iter().map(|journal| journal.releases.len()).sum();
    context.output.message(&format!(
        "compared {releases} releases in {} journals with {} approved reads and {} statements on the chain",
        journals.len(),
        chain.reads.len(),
        chain.statements.len()
    ));
    for journal in &journals {
        context.output.message(&journal.coverage());
    }
    match findings.len() {
        0 => require_compared(client.epochs().endorsers().members().len(), chain.compared),
        count => Err(Failure::no(
            "not_reconciled",
            format!("{count} things do not agree"),
            "ask the operators of the nodes that are named, and keep the journals as evidence",
        )),
    }
}

/// A copy of a node's journal, read without a change to it.
struct Copy {
    identity: [u8; 32],
    name: String,
    /// By their positions.
    releases: BTreeMap<u64, Release>,
    /// The journal's hash up to each release, also of those that were withheld.
    heads: BTreeMap<u64, [u8; 32]>,
    entries: u64,
    newest_ms: u64,
}

/// A file that is only read.
struct ReadOnly(File);

impl Storage for ReadOnly {
    fn reader(&mut self) -> io::Result<Box<dyn Read + '_>> {
        self.0.seek(SeekFrom::Start(0))?;
        Ok(Box::new(BufReader::new(&mut self.0)))
    }

    // A copy that was made while the node wrote may end within an entry. It stays as it is.
    fn truncate(&mut self, _length: u64) -> io::Result<()> {
        Ok(())
    }

    fn append(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Copy {
    fn coverage(&self) -> String {
        match self.entries {
            0 => format!("the journal of {} has no entry", self.name),
            entries => format!(
                "the journal of {} has {entries} entries, the newest of {}",
                self.name,
                timestamp(self.newest_ms)
            ),
        }
    }

    fn read(path: &Path, committee: &CommitteeManifest) -> Ended<Self> {
        let mut file = File::open(path)?;
        let mut identity = [0; 32];
        file.seek(SeekFrom::Start(MAGIC))?;
        file.read_exact(&mut identity)?;
        let mut members = committee.members().iter();
        let member = members
            .find(|member| *member.identity.as_bytes() == identity)
            .ok_or_else(|| {
                Failure::no(
                    "unknown_node",
                    "this is the journal of no member of the committee",
                    "name copies of the files `journal` in the data directories of the crypto nodes",
                )
            })?;
        Self::of(file, identity, member.name.to_string())
    }

    fn of(file: File, identity: [u8; 32], name: String) -> Ended<Self> {
        let mut copy = Self {
            identity,
            name,
            releases: BTreeMap::new(),
            heads: BTreeMap::new(),
            entries: 0,
            newest_ms: 0,
        };
        let visit = |entry: &crypto_node::journal::Entry, head: &[u8; 32]| {
            copy.entries = entry.position.saturating_add(1);
            copy.newest_ms = copy.newest_ms.max(entry.time_ms);
            match entry.event {
                Event::Release(release) => {
                    copy.releases.insert(entry.position, release);
                    copy.heads.insert(entry.position, *head);
                }
                // It did not leave the node.
                Event::Withheld { position } => drop(copy.releases.remove(&position)),
                _ => {}
            }
        };
        Journal::open(ReadOnly(file), &identity, None, visit, |_| {}).map_err(|error| {
            Failure::no(
                "journal_damaged",
                error.to_string(),
                "ask the node's operator for another copy",
            )
        })?;
        Ok(copy)
    }
}

/// An approved read.
struct Approved {
    time_ms: u64,
    write_id: WriteId,
    q: [u8; 32],
    /// Who asked for what.
    what: String,
}

/// A committee's digest, and a seat in it.
type Seat = ([u8; 32], ParticipantIndex);

/// Who has a seat.
struct Seated {
    identity: [u8; 32],
    name: String,
}

/// What the chain has of reads.
struct Chain {
    reads: BTreeMap<TxId, Approved>,
    statements: Vec<ReleaseStatement>,
    /// Who has which seat of which committee: a seat is another node's in another committee.
    members: BTreeMap<Seat, Seated>,
    /// How many endorsers were compared at least, for any part of it.
    compared: usize,
}

impl Chain {
    async fn read(context: &Context, client: &Client) -> Ended<Self> {
        let mut chain = Self {
            reads: BTreeMap::new(),
            statements: Vec::new(),
            members: BTreeMap::new(),
            compared: usize::MAX,
        };
        for (kind, verdict) in [
            ("publish_committee", "applied"),
            ("request_read", "approved"),
            ("record_releases", "applied"),
        ] {
            let filter = Filter {
                kind: Some(super::super::parse("kind", kind)?),
                verdict: Some(super::super::parse("verdict", verdict)?),
                ..Filter::default()
            };
            let mut from = 0;
            loop {
                let found = client.search(&filter, from, STEP).await?;
                found.lines.iter().for_each(|line| chain.take(line));
                warn(context, &found.faults);
                chain.compared = chain.compared.min(found.compared);
                if found.complete {
                    break;
                }
                from = found.searched_to;
            }
        }
        Ok(chain)
    }

    fn seat(&mut self, committee: &CommitteeManifest) {
        for member in committee.members() {
            let seated = Seated {
                identity: *member.identity.as_bytes(),
                name: member.name.to_string(),
            };
            self.members.insert((committee.digest().0, member.index), seated);
        }
    }

    fn signer(&self, statement: &ReleaseStatement) -> Option<&Seated> {
        self.members.get(&(statement.manifest_digest.0, statement.index))
    }

    fn take(&mut self, line: &Line) {
        match (&line.entry.transaction.body, line.entry.outcome) {
            (
                Body::RequestRead {
                    tenant,
                    dataset,
                    document,
                    user,
                    q,
                    ..
                },
                Outcome::Approved {
                    write_id, version, ..
                },
            ) => {
                let read = Approved {
                    time_ms: line.time_ms,
                    write_id,
                    q: q.to_bytes(),
                    what: format!("{user} of {tenant}: {tenant}/{dataset}/{document} version {version}"),
                };
                self.reads.insert(line.entry.transaction.tx_id(), read);
            }
            (Body::PublishCommittee { manifest }, Outcome::Applied) => self.seat(&manifest.manifest),
            (Body::RecordReleases { releases }, Outcome::Applied) => self.statements.extend(releases),
            _ => {}
        }
    }
}

/// Something that does not agree.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    code: &'static str,
    /// The node's name, where it is about one.
    node: Option<String>,
    read: TxId,
    what: String,
}

impl Finding {
    fn row(&self) -> Vec<String> {
        vec![
            self.code.to_owned(),
            self.node.clone().unwrap_or_default(),
            self.read.to_string().chars().take(16).collect(),
            self.what.clone(),
        ]
    }

    fn value(&self) -> Value {
        json!({ "finding": self.code, "node": self.node, "read": self.read.to_string(), "what": self.what })
    }
}

/// All that does not agree. Statements of after the time of copying may be about entries that the copies do not have.
fn compare(journals: &[Copy], chain: &Chain, copied_ms: Option<u64>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for journal in journals {
        findings.extend(journal.releases.iter().filter_map(|(position, release)| {
            let what = unapproved(release, chain.reads.get(&release.approve_id))?;
            Some(Finding {
                code: "release_without_approval",
                node: Some(journal.name.clone()),
                read: release.approve_id,
                what: format!("journal entry {position}: {what}"),
            })
        }));
        let of_this_node = chain.statements.iter().filter(|statement| {
            let signer = chain.signer(statement);
            signer.is_some_and(|signer| signer.identity == journal.identity)
        });
        findings.extend(of_this_node.filter_map(|statement| {
            let (code, what) = unjournalled(statement, journal, copied_ms)?;
            Some(Finding {
                code,
                node: Some(journal.name.clone()),
                read: statement.approve_id,
                what,
            })
        }));
    }
    findings.extend(two_heads(chain));
    findings.extend(unanswered(journals, chain));
    findings
}

fn unapproved(release: &Release, read: Option<&Approved>) -> Option<String> {
    match read {
        None => Some("the chain has approved no such read".to_owned()),
        Some(read) if read.write_id != release.write_id => Some(format!(
            "another key was released than was approved for {}",
            read.what
        )),
        Some(read) if read.q != release.q => Some(format!(
            "it was released to another reader's key than was approved for {}",
            read.what
        )),
        Some(_) => None,
    }
}

fn unjournalled(
    statement: &ReleaseStatement,
    journal: &Copy,
    copied_ms: Option<u64>,
) -> Option<(&'static str, String)> {
    let position = statement.journal_position;
    if position >= journal.entries {
        let before_the_copy = copied_ms.is_none_or(|copied_ms| statement.time_ms <= copied_ms);
        return before_the_copy.then(|| {
            (
                "statement_without_release",
                format!("the node has stated journal entry {position}, and the journal ends before it"),
            )
        });
    }
    let same = journal.releases.get(&position).is_some_and(|release| {
        release.approve_id == statement.approve_id
            && release.write_id == statement.write_id
            && release.q == statement.q.to_bytes()
    });
    if !same {
        return Some((
            "statement_without_release",
            format!("the node has stated journal entry {position}, which is something else"),
        ));
    }
    (journal.heads.get(&position) != Some(&statement.journal_head)).then(|| {
        (
            "journal_rewritten",
            format!(
                "up to entry {position} the journal has another hash than the node has signed: that entry or one before it is \
                 not what it was"
            ),
        )
    })
}

/// Statements by which a node has had two journals: one position, two hashes.
fn two_heads(chain: &Chain) -> Vec<Finding> {
    let mut heads = BTreeMap::new();
    let contradicts = |statement: &&ReleaseStatement| {
        let Some(signer) = chain.signer(statement) else {
            return false;
        };
        let place = (signer.identity, statement.journal_position);
        *heads.entry(place).or_insert(statement.journal_head) != statement.journal_head
    };
    chain
        .statements
        .iter()
        .filter(contradicts)
        .map(|statement| Finding {
            code: "two_journals",
            node: chain.signer(statement).map(|signer| signer.name.clone()),
            read: statement.approve_id,
            what: format!(
                "the node has signed two hashes of its journal up to entry {}: it was set back, or it keeps two",
                statement.journal_position
            ),
        })
        .collect()
}

/// Approved reads that no node has answered, by any journal or statement: of the time that all journals cover.
fn unanswered(journals: &[Copy], chain: &Chain) -> Vec<Finding> {
    let Some(until_ms) = journals.iter().map(|journal| journal.newest_ms).min() else {
        return Vec::new();
    };
    let in_journals = journals.iter().flat_map(|journal| journal.releases.values());
    let answered: BTreeSet<TxId> = in_journals
        .map(|release| release.approve_id)
        .chain(chain.statements.iter().map(|statement| statement.approve_id))
        .collect();
    let unanswered = chain
        .reads
        .iter()
        .filter(|(id, read)| read.time_ms < until_ms && !answered.contains(*id));
    unanswered
        .map(|(id, read)| Finding {
            code: "approval_without_release",
            node: None,
            read: *id,
            what: format!(
                "approved at {}, and no node has released: {}",
                timestamp(read.time_ms),
                read.what
            ),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use threshold::ids::{ApproveId, ManifestDigest};
    use threshold::signature::{PublicKey, Signature};

    use super::*;

    fn id(byte: u8) -> TxId {
        ApproveId([byte; 32])
    }

    fn q() -> PublicKey {
        PublicKey::of(&ed25519_dalek::SigningKey::from_bytes(&[7; 32]))
    }

    fn release(read: u8) -> Release {
        Release {
            approve_id: id(read),
            write_id: WriteId([1; 32]),
            q: q().to_bytes(),
            expires_ms: 2_000,
            coordinator: [0; 32],
            repeat: false,
        }
    }

    fn journal(releases: &[(u64, Release)]) -> Copy {
        Copy {
            identity: [2; 32],
            name: "node-2".into(),
            releases: releases.iter().copied().collect(),
            heads: releases
                .iter()
                .map(|(position, _)| (*position, [0; 32]))
                .collect(),
            entries: 10,
            newest_ms: 5_000,
        }
    }

    fn statement(read: u8, journal_position: u64) -> ReleaseStatement {
        ReleaseStatement {
            manifest_digest: ManifestDigest([0; 32]),
            index: ParticipantIndex::new(2).unwrap(),
            approve_id: id(read),
            write_id: WriteId([1; 32]),
            q: q(),
            share_digest: [0; 32],
            repeat: false,
            time_ms: 1_500,
            journal_position,
            journal_head: [0; 32],
            signature: Signature([0; 64]),
        }
    }

    /// The seat of that number in the committee of that digest, and who has it.
    fn seated(committee: u8, seat: u8) -> (Seat, Seated) {
        let member = Seated {
            identity: [committee + seat; 32],
            name: format!("node-{}", committee + seat),
        };
        (
            ([committee; 32], ParticipantIndex::new(u16::from(seat)).unwrap()),
            member,
        )
    }

    fn chain(reads: &[u8], statements: Vec<ReleaseStatement>) -> Chain {
        let read = |_| Approved {
            time_ms: 1_000,
            write_id: WriteId([1; 32]),
            q: q().to_bytes(),
            what: "alice of acme".into(),
        };
        Chain {
            reads: reads.iter().map(|byte| (id(*byte), read(byte))).collect(),
            statements,
            members: [seated(0, 2), seated(0, 3)].into(),
            compared: 3,
        }
    }

    fn codes(journal: Copy, chain: &Chain) -> Vec<(&'static str, TxId)> {
        let findings = compare(&[journal], chain, None);
        findings
            .iter()
            .map(|finding| (finding.code, finding.read))
            .collect()
    }

    #[test]
    fn what_agrees_is_no_finding() {
        let chain = chain(&[1, 2], vec![statement(1, 3)]);
        let journal = journal(&[(3, release(1)), (4, release(2)), (5, release(2))]);
        assert_eq!(codes(journal, &chain), []);
    }

    #[test]
    fn p1_a_release_without_an_approval_or_of_something_else_is_named() {
        let chain = chain(&[1], vec![]);
        let stranger = codes(journal(&[(3, release(1)), (4, release(9))]), &chain);
        assert_eq!(stranger, [("release_without_approval", id(9))]);
        let other_key = Release {
            write_id: WriteId([2; 32]),
            ..release(1)
        };
        let other_reader = Release {
            q: [3; 32],
            ..release(1)
        };
        for wrong in [other_key, other_reader] {
            let found = compare(&[journal(&[(3, wrong)])], &chain, None);
            assert_eq!(found[0].code, "release_without_approval");
            assert_eq!(found[0].node.as_deref(), Some("node-2"));
            assert!(found[0].what.contains("alice of acme"));
        }
    }

    #[test]
    fn an_approval_without_a_release_is_named_when_the_journals_go_that_far() {
        let found = codes(journal(&[(3, release(1))]), &chain(&[1, 2], vec![]));
        assert_eq!(found, [("approval_without_release", id(2))]);
        // Another node, whose journal is not here, has stated one.
        let mut other = statement(2, 0);
        other.index = ParticipantIndex::new(3).unwrap();
        assert_eq!(
            codes(journal(&[(3, release(1))]), &chain(&[1, 2], vec![other])),
            []
        );
        let mut earlier = journal(&[]);
        earlier.newest_ms = 1_000;
        assert_eq!(codes(earlier, &chain(&[1], vec![])), []);
    }

    #[test]
    fn p10_a_statement_that_the_journal_does_not_have_is_named() {
        for position in [4, 3] {
            let chain = chain(&[1], vec![statement(1, position)]);
            let entry = if position == 3 { release(9) } else { release(1) };
            let found = compare(&[journal(&[(3, entry)])], &chain, None);
            assert!(
                found
                    .iter()
                    .any(|finding| finding.code == "statement_without_release")
            );
        }
        // Cut off: also when the node's clock was put after the journal's newest entry. And of after the copy, which the
        // auditor has to say.
        for time_ms in [1_500, 6_000] {
            let late = ReleaseStatement {
                time_ms,
                ..statement(1, 10)
            };
            let (journal, chain) = (journal(&[(3, release(1))]), chain(&[1], vec![late]));
            let found = |copied_ms| compare(std::slice::from_ref(&journal), &chain, copied_ms).len();
            assert_eq!(
                (found(None), found(Some(time_ms)), found(Some(time_ms - 1))),
                (1, 1, 0)
            );
        }
    }

    /// A journal of these uses on disk, and its heads.
    async fn written(path: &Path, identity: &[u8; 32], releases: &[Release]) -> Vec<[u8; 32]> {
        let disk = crypto_node::journal::Disk::open(path).unwrap();
        let journal = Journal::open(disk, identity, None, |_, _| {}, |_| {}).unwrap();
        let mut heads = Vec::new();
        for release in releases {
            let ticket = journal.append(1_000, Event::Release(*release)).unwrap();
            heads.push(ticket.durable().await.unwrap().head);
        }
        heads
    }

    #[tokio::test]
    async fn p10_a_journal_that_was_rewritten_with_all_its_hashes_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let identity = [2; 32];
        let of = |name: &str| folder.path().join(name);
        let uses = [release(1), release(2), release(2)];
        let heads = written(&of("first"), &identity, &uses).await;
        let stated = |position: usize| ReleaseStatement {
            journal_head: heads[position],
            ..statement(
                if position == 0 { 1 } else { 2 },
                u64::try_from(position).unwrap(),
            )
        };
        // The first use was in secret, and another coordinator's is written in its place.
        let other = Release {
            coordinator: [4; 32],
            ..release(1)
        };
        let rewritten = written(&of("second"), &identity, &[other, release(2), release(2)]).await;
        assert_ne!(rewritten.last(), heads.last());
        let copy = |name: &str| Copy::of(File::open(of(name)).unwrap(), identity, "node-2".into()).unwrap();
        let chain = chain(&[1, 2], vec![stated(2)]);
        assert_eq!(codes(copy("first"), &chain), []);
        assert_eq!(codes(copy("second"), &chain), [("journal_rewritten", id(2))]);
    }

    #[test]
    fn p10_a_statement_about_another_key_or_reader_than_the_journal_has_is_named() {
        let other_key = ReleaseStatement {
            write_id: WriteId([2; 32]),
            ..statement(1, 3)
        };
        let other_reader = ReleaseStatement {
            q: PublicKey::of(&ed25519_dalek::SigningKey::from_bytes(&[8; 32])),
            ..statement(1, 3)
        };
        for wrong in [other_key, other_reader] {
            let found = codes(journal(&[(3, release(1))]), &chain(&[1], vec![wrong]));
            assert_eq!(found, [("statement_without_release", id(1))]);
        }
    }

    #[test]
    fn p10_two_heads_of_one_position_are_named() {
        let other = ReleaseStatement {
            journal_head: [1; 32],
            ..statement(2, 3)
        };
        let chain = chain(&[1, 2], vec![statement(1, 3), other]);
        assert_eq!(
            compare(&[], &chain, None)
                .iter()
                .map(|finding| (finding.code, finding.read))
                .collect::<Vec<_>>(),
            [("two_journals", id(2))]
        );
    }

    #[test]
    fn a_statement_is_about_the_journal_of_whoever_had_the_seat_in_its_committee() {
        let of_next = |position| ReleaseStatement {
            manifest_digest: ManifestDigest([7; 32]),
            ..statement(1, position)
        };
        // The second seat is another node's in the next committee, and the first one is this node's.
        let mut chain = chain(&[1], vec![of_next(9), statement(1, 3)]);
        chain.members.insert(seated(7, 2).0, seated(7, 2).1);
        assert_eq!(codes(journal(&[(3, release(1))]), &chain), []);
        let mut moved = of_next(9);
        moved.index = ParticipantIndex::new(1).unwrap();
        chain.statements = vec![moved];
        let same_node = Seated {
            identity: [2; 32],
            name: "node-2".into(),
        };
        chain.members.insert(seated(7, 1).0, same_node);
        assert_eq!(
            codes(journal(&[(3, release(1))]), &chain),
            [("statement_without_release", id(1))]
        );
    }
}
