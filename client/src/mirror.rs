//! A copy of the log on somebody else's disk, line by line, so that whoever rewrites the chain is caught.
//!
//! ```text
//! mirror                      what the copy amounts to, see below
//! handovers                   who decides since the genesis, when that has changed: one handover a line, in base64
//! lock                        held by a run that writes
//! lines/0000000000.txt        the first 10,000 lines
//! lines/0000010000.txt        the next, and so on
//!
//! line     index ‖ space ‖ height ‖ space ‖ time ‖ space ‖ base64 of the entry ‖ space ‖ hexadecimal of the line's hash ‖ LF
//! hash     SHA-256("quorate mirror line 1" ‖ the hash of the line before ‖ the line up to before its last space);
//!          before the first: the chain id
//! mirror   "quorate mirror 1" LF  hexadecimal of the last line's hash LF  LF  the signed checkpoint of these lines
//! ```
//!
//! Numbers are decimal; the time is that of the block in milliseconds since the Unix epoch. The entries are bound by the
//! checkpoint, which a quorum of the endorsers has signed; heights and times are what an endorser said when they were
//! copied, and bound by the lines' hashes from then on: by themselves those bind nothing, so that the newest of them is kept
//! outside of the mirror, see [`Mirror::remembered_in`]. Every run reads all contents again: a byte that was changed since is
//! found, and in which line. Lines after those that `mirror` counts are what an interrupted run has left.

mod contents;
mod format;
mod handovers;
mod kept;

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use golden_record::merkle::{Frontier, verify_consistency};
use golden_record::{Checkpoint as LogCheckpoint, Genesis, SignedCheckpoint, log_origin};
use proto::ledger::ListTransactionsRequest;
use service::files::{Secrecy, write_atomically};
use tonic::Code;

use crate::Client;
use crate::checkpoint::Checkpoint;
use crate::connection::{Endorser, request, whole};
use crate::cosigned::{VerifiedCheckpoint, too_few};
use crate::error::{Error, Fault};
use crate::in_turn::{PATIENCE, in_turn};
use crate::log::{Line, line};

pub use contents::{Contents, Damage};
use format::{FILE_LINES, HEAD, LINES, Written, file_of, head_text};
use kept::Kept;

/// The file that a run holds.
const LOCK: &str = "lock";

/// The longest page that an endorser gives.
const PAGE: u32 = 1_000;

/// A mirror, brought up to date.
#[derive(Debug)]
pub struct Mirrored {
    /// The lines that were there already.
    pub before: u64,
    /// The lines that are there now.
    pub size: u64,
    /// The checkpoint that they were copied up to.
    pub checkpoint: VerifiedCheckpoint,
    /// Endorsers that lied on the way.
    pub faults: Vec<Fault>,
}

/// A copy of one chain's log in a directory.
#[derive(Debug)]
pub struct Mirror {
    directory: PathBuf,
    genesis: Genesis,
    /// The file with the newest line's hash, outside of the mirror.
    kept: Option<PathBuf>,
}

impl Mirror {
    /// The mirror of this chain in a directory, which need not be there yet.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, genesis: Genesis) -> Self {
        Self {
            directory: directory.into(),
            genesis,
            kept: None,
        }
    }

    /// The same, with what is remembered of it in a folder elsewhere: how many lines it has and the last one's hash. Without
    /// that, whoever can write in the mirror can change heights and times, and make all hashes fit.
    #[must_use]
    pub fn remembered_in(self, folder: &Path) -> Self {
        let kept = Some(kept::file(folder, &self.directory));
        Self { kept, ..self }
    }

    fn read(&self) -> Result<Contents, Error> {
        let kept = match &self.kept {
            Some(path) => Kept::load(path, &self.genesis.chain_id())?,
            None => None,
        };
        contents::read(
            &self.directory,
            &handovers::read(&self.directory, &self.genesis)?,
            kept,
        )
    }

    /// Reads everything again, with no help from anybody. Blocks.
    ///
    /// # Errors
    /// [`Error::Damaged`] says where; [`Error::Io`].
    pub fn check(&self) -> Result<Contents, Error> {
        let contents = self.read()?;
        match &contents.surplus {
            Some(damage) => Err(damage.clone().into()),
            None => Ok(contents),
        }
    }

    /// Reads everything again, and adds what has been recorded since. Blocks while it reads and writes.
    ///
    /// # Errors
    /// As [`Mirror::check`], except for lines that an interrupted run has left, which are cut; [`Error::Forked`] when the
    /// log does not continue the mirror, [`Error::Behind`] when it is shorter; as [`Client::signed_checkpoint`].
    pub async fn update(&self, client: &Client) -> Result<Mirrored, Error> {
        let _turn = self.turn()?;
        let mut contents = match self.read() {
            // The lines and all their hashes were rewritten together: the chain tells which was the first.
            Err(Error::Damaged(damage)) if damage.is_rewritten() => {
                return Err(self.locate(client, *damage).await);
            }
            read => read?,
        };
        let checkpoint = client.signed_checkpoint().await?;
        let target = checkpoint.signed.checkpoint().clone();
        let before = contents.frontier.size();
        if target.size < before {
            return Err(Error::MirrorAhead {
                mirrored: before,
                size: target.size,
            });
        }
        let mut faults = Vec::new();
        let mirrored = Checkpoint {
            size: before,
            root: contents.frontier.root(),
        };
        let signed = Checkpoint {
            size: target.size,
            root: target.root,
        };
        if before > 0 && !client.continues(&mirrored, &signed, &mut faults).await? {
            return Err(Error::MirrorForked { mirrored, signed });
        }
        if before > 0 {
            self.remember(&contents)?;
        }
        self.cut(&contents)?;
        while contents.frontier.size() < target.size {
            let lines = client
                .lines_after(&contents.frontier, contents.newest, &target, &mut faults)
                .await?;
            self.append(&mut contents, &lines)?;
            let reached = LogCheckpoint {
                origin: log_origin(&self.genesis.chain_id()),
                size: contents.frontier.size(),
                root: contents.frontier.root(),
            };
            if reached == target {
                self.commit(&contents, &checkpoint.signed, client)?;
            } else if let Ok(signed) = client.cosigned(&reached, &mut Vec::new()).await {
                // So far at least a run that is interrupted has come. Where no block ends nobody signs.
                self.commit(&contents, &signed, client)?;
            }
        }
        Ok(Mirrored {
            before,
            size: target.size,
            checkpoint,
            faults,
        })
    }

    /// The right to write in the mirror, until it is dropped: two runs at once would both append.
    fn turn(&self) -> Result<File, Error> {
        let doing = || {
            Error::io(format!(
                "locking {}, which another run may hold",
                self.directory.display()
            ))
        };
        fs::create_dir_all(&self.directory).map_err(doing())?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.directory.join(LOCK))
            .map_err(doing())?;
        file.try_lock()
            .map_err(|error| doing()(std::io::Error::from(error)))?;
        Ok(file)
    }

    /// Removes what an interrupted run has left.
    fn cut(&self, contents: &Contents) -> Result<(), Error> {
        let size = contents.frontier.size();
        for (path, first) in contents::files(&self.directory)? {
            let doing = || Error::io(format!("cutting {}", path.display()));
            if first >= size {
                fs::remove_file(&path).map_err(doing())?;
            } else if first == file_of(size) && contents.surplus.is_some() {
                let file = OpenOptions::new().write(true).open(&path).map_err(doing())?;
                file.set_len(contents.last_file_bytes).map_err(doing())?;
                file.sync_all().map_err(doing())?;
            }
        }
        Ok(())
    }

    /// Writes lines, and makes them durable.
    fn append(&self, contents: &mut Contents, lines: &[Line]) -> Result<(), Error> {
        let folder = self.directory.join(LINES);
        fs::create_dir_all(&folder).map_err(Error::io(format!("creating {}", folder.display())))?;
        let mut rest = lines;
        while let Some(first) = rest.first() {
            let start = file_of(first.index);
            let here = rest
                .iter()
                .take_while(|line| line.index < start.saturating_add(FILE_LINES))
                .count();
            let (now, later) = rest.split_at(here);
            let path = folder.join(format::file_name(start));
            append_file(&path, contents, now).map_err(Error::io(format!("writing {}", path.display())))?;
            rest = later;
        }
        File::open(&folder)
            .and_then(|folder| folder.sync_all())
            .map_err(Error::io(format!("writing {}", folder.display())))
    }

    fn commit(&self, contents: &Contents, signed: &SignedCheckpoint, client: &Client) -> Result<(), Error> {
        // First who may sign, then what they have signed.
        handovers::write(&self.directory, &client.epochs())?;
        let path = self.directory.join(HEAD);
        let text = head_text(&contents.last_hash, signed);
        write_atomically(&path, text.as_bytes(), Secrecy::Public)
            .map_err(Error::io(format!("writing {}", path.display())))?;
        self.remember(contents)
    }

    fn remember(&self, contents: &Contents) -> Result<(), Error> {
        let Some(path) = &self.kept else {
            return Ok(());
        };
        let kept = Kept {
            size: contents.size(),
            last_hash: contents.last_hash,
        };
        kept.store(path, &self.genesis.chain_id())
    }

    /// The first line that is not as on the chain.
    async fn locate(&self, client: &Client, damage: Damage) -> Error {
        match self.first_difference(client).await {
            Ok(Some(index)) => damage.at_line(index).into(),
            Ok(None) => damage.into(),
            Err(error) => error,
        }
    }

    async fn first_difference(&self, client: &Client) -> Result<Option<u64>, Error> {
        let target = client.signed_checkpoint().await?.signed.checkpoint().clone();
        let mut frontier = Frontier::new();
        let mut mirrored = contents::Lines::of(&self.directory);
        let mut newest = None;
        while frontier.size() < target.size {
            let lines = client
                .lines_after(&frontier, newest, &target, &mut Vec::new())
                .await?;
            for line in &lines {
                if mirrored
                    .next()
                    .is_none_or(|mirrored| mirrored.entry != line.entry)
                {
                    return Ok(Some(line.index));
                }
                newest = Some((line.height, line.time_ms));
                push(&mut frontier, line)?;
            }
        }
        Ok(None)
    }
}

fn append_file(path: &Path, contents: &mut Contents, lines: &[Line]) -> std::io::Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let mut writer = BufWriter::new(file);
    for line in lines {
        let written = Written::new(&contents.last_hash, line);
        writer.write_all(written.text.as_bytes())?;
        contents.last_hash = written.hash;
        contents.newest = Some((line.height, line.time_ms));
        push(&mut contents.frontier, line).map_err(std::io::Error::other)?;
    }
    writer.into_inner().map_err(std::io::Error::other)?.sync_all()
}

fn push(frontier: &mut Frontier, line: &Line) -> Result<(), Error> {
    frontier
        .push(line.entry.leaf_hash(), |_, _, _| {})
        .ok_or_else(|| Error::Request("the log is longer than a log can be".into()))
}

impl Client {
    /// Some of the lines that follow a log, proven to be the next ones of the log of this checkpoint: one at least, and
    /// up to the end of a block where that is possible.
    async fn lines_after(
        &self,
        frontier: &Frontier,
        newest: Option<(u64, u64)>,
        target: &LogCheckpoint,
        faults: &mut Vec<Fault>,
    ) -> Result<Vec<Line>, Error> {
        let mut last = Error::Request("the profile names no endorser".into());
        let ask = |endorser| self.lines_after_at(endorser, frontier, newest, target);
        let take = |_, answer| match answer {
            Ok(lines) => Some(lines),
            Err(Error::Lied(fault)) => {
                faults.push(*fault);
                None
            }
            Err(error) => {
                last = error;
                None
            }
        };
        let lines = in_turn(self.0.endorsers.iter(), PATIENCE, ask, take).await;
        lines.ok_or_else(|| match faults.is_empty() {
            true => last,
            false => too_few("one endorser with lines that hold", faults),
        })
    }

    async fn lines_after_at(
        &self,
        endorser: &Endorser,
        frontier: &Frontier,
        newest: Option<(u64, u64)>,
        target: &LogCheckpoint,
    ) -> Result<Vec<Line>, Error> {
        let lied = |what: String| Error::from(Fault::new(endorser.party(), "lines", what, &[]));
        let from = frontier.size();
        let message = ListTransactionsRequest { from, limit: PAGE };
        let page = whole(endorser.rpc().list_transactions(request(message))).await;
        let page = page.map_err(|status| match status.code() {
            Code::PermissionDenied => Error::Forbidden(endorser.party()),
            _ => endorser.failed(&status),
        })?;
        let (mut lines, mut newest) = (Vec::new(), newest);
        for (entry, index) in page.entries.into_iter().zip(from..target.size) {
            let line = line(endorser, entry)?;
            if line.index != index {
                return Err(Error::Request(
                    "this key sees only its tenant's part of the log; a mirror is made with an auditor's key"
                        .into(),
                ));
            }
            let place = (line.height, line.time_ms);
            if !follows(newest, place) {
                return Err(lied(format!(
                    "gave line {index} of an earlier block or time than the line before"
                )));
            }
            newest = Some(place);
            lines.push(line);
        }
        let at_end = u64::try_from(lines.len()).is_ok_and(|count| from + count == target.size);
        if !at_end && let Some(end) = last_block_end(&lines) {
            lines.truncate(end);
        }
        if lines.is_empty() {
            return Err(lied(format!(
                "gave no line from {from} of a log of {}",
                target.size
            )));
        }
        let mut reached = frontier.clone();
        for line in &lines {
            push(&mut reached, line)?;
        }
        let path = self.consistency(endorser, reached.size(), target.size).await?;
        verify_consistency(reached.size(), target.size, &path, &reached.root(), &target.root).map_err(
            |error| {
                lied(format!(
                    "gave lines {from} to {} that are not those of the signed log: {error}",
                    reached.size()
                ))
            },
        )?;
        Ok(lines)
    }
}

/// Whether a line of this height and time can come after one of that: neither ever decreases, and a block has one time.
const fn follows(before: Option<(u64, u64)>, after: (u64, u64)) -> bool {
    let Some(before) = before else {
        return true;
    };
    if before.0 == after.0 {
        before.1 == after.1
    } else {
        before.0 < after.0 && before.1 <= after.1
    }
}

/// Behind how many of the lines a block ends, as far as their heights tell.
fn last_block_end(lines: &[Line]) -> Option<usize> {
    let newest = lines.last()?.height;
    lines
        .iter()
        .rposition(|line| line.height != newest)
        .map(|place| place + 1)
}
