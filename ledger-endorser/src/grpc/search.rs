//! Answers to searches: found by the index, read from the store, compared with what was asked for, and proven.

use std::{sync::Arc, time::Duration};

use golden_record::{
    Entry, Filter, Header, Within,
    merkle::{Hash, ProofError, inclusion_proof},
    queries::LogNodes,
};
use proto::{
    field::{self, FieldError},
    ledger as wire, limits,
};
use service::PeerKey;
use threshold::{encoding::Canonical, name::Name};

use super::{
    Endorser,
    read::{PAGE_BYTES, with_times},
};
use crate::{
    access::Access,
    index::{self, Candidates, Term, View},
    status::Failure,
    store::{LogLine, Snapshot, StoreError},
};

const DEFAULT_FOUND: usize = 20;
/// Lookups in the index for one answer.
const STEPS: usize = 10_000;
/// Entries that are read and compared for one answer.
const EXAMINED: usize = 1_000;

/// How often, and after what pause, is looked whether what is final now can be found and proven.
const SETTLE_ATTEMPTS: u32 = 80;
const SETTLE_PAUSE: Duration = Duration::from_millis(25);

/// What is asked for.
struct Question {
    filter: Filter,
    from: u64,
    limit: usize,
}

/// What is found in.
struct Ground {
    snapshot: Snapshot,
    access: Access,
    /// The newest block that is proven.
    header: Header,
    evidence: Vec<u8>,
    index: View,
    /// The end of what is searched: proven, and in the index.
    end: u64,
}

impl Endorser {
    pub(super) async fn search(
        &self,
        peer: PeerKey,
        request: &wire::SearchTransactionsRequest,
    ) -> Result<wire::SearchTransactionsResponse, Failure> {
        let question = Question::parse(request)?;
        // Many keys together would otherwise hold snapshots and threads without end. It is given back when the answer is made,
        // not when the asker has gone.
        let turn = Arc::clone(&self.searching)
            .try_acquire_owned()
            .map_err(|_| Failure::Searching)?;
        let ground = self.settled(peer).await?;
        // A search may take a while, and approvals shall not wait for it.
        let answer = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            ground.answer(&question)
        });
        answer.await.unwrap_or(Err(Failure::Stopping))
    }

    /// What can be searched, when that is all that is final now, or after a while whatever it is: the proof of a block,
    /// and its place in the index, come a moment after the block.
    async fn settled(&self, peer: PeerKey) -> Result<Ground, Failure> {
        let mut attempts = 0;
        let wanted = self.ledger.store().tip().header.log_size;
        loop {
            let ground = self.ground(peer)?;
            attempts += 1;
            if ground.end >= wanted || attempts >= SETTLE_ATTEMPTS {
                return Ok(ground);
            }
            drop(ground);
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    }

    fn ground(&self, peer: PeerKey) -> Result<Ground, Failure> {
        let (snapshot, access) = self.view(peer)?;
        let (header, evidence) = match snapshot.newest_evidence()? {
            Some((height, evidence)) => (snapshot.header(height)?, evidence),
            None => (snapshot.header(0)?, Vec::new()),
        };
        let header = header.ok_or(StoreError::Damaged("a header is missing"))?;
        let index = self.index.view();
        Ok(Ground {
            end: header.log_size.min(index.covered()),
            snapshot,
            access,
            header,
            evidence,
            index,
        })
    }
}

/// As many as are wanted, whatever they are.
fn every(from: u64, end: u64, most: usize) -> Candidates {
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    let next = from.saturating_add(most).min(end);
    Candidates {
        indices: (from..next).collect(),
        next,
    }
}

fn broken(error: ProofError) -> Failure {
    match error {
        ProofError::State(error) => Failure::State(error),
        _ => StoreError::Damaged("an entry is not in the log").into(),
    }
}

impl Question {
    fn parse(request: &wire::SearchTransactionsRequest) -> Result<Self, FieldError> {
        let user: Option<Name> = optional("user", &request.user)?;
        let within = Within::new(
            optional("tenant", &request.tenant)?,
            optional("dataset", &request.dataset)?,
            optional("document", &request.document)?,
        );
        let within = within.ok_or_else(|| {
            FieldError::new("dataset", "a document needs its dataset, a dataset its tenant")
        })?;
        let user = match (user, within.tenant()) {
            (None, _) => None,
            (Some(user), Some(tenant)) => Some((tenant.clone(), user)),
            (Some(_), None) => return Err(FieldError::new("user", "a user needs its tenant")),
        };
        let filter = Filter {
            within,
            user,
            kind: optional("kind", &request.kind)?,
            verdict: optional("verdict", &request.verdict)?,
            since_ms: Some(request.since_ms).filter(|time| *time > 0),
            until_ms: Some(request.until_ms).filter(|time| *time > 0),
        };
        let limit = match usize::try_from(request.limit) {
            Ok(0) => DEFAULT_FOUND,
            Ok(limit) => limit.min(limits::FOUND),
            Err(_) => limits::FOUND,
        };
        Ok(Self {
            filter,
            from: request.from,
            limit,
        })
    }

    /// What the index is asked for. Somebody who sees one tenant's part of the log asks for nothing else.
    fn terms(&self, access: &Access) -> Result<Vec<Term>, Failure> {
        let mut terms = Term::of_filter(&self.filter);
        if let Some(own) = access.tenant() {
            if self.filter.within.tenant().is_some_and(|tenant| tenant != own) {
                return Err(Failure::Forbidden);
            }
            terms.push(Term::tenant(own));
        }
        terms.sort_unstable();
        terms.dedup();
        Ok(terms)
    }
}

fn optional<T>(field: &'static str, text: &str) -> Result<Option<T>, FieldError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    match text {
        "" => Ok(None),
        text => field::text(field, text).map(Some),
    }
}

impl Ground {
    fn answer(self, question: &Question) -> Result<wire::SearchTransactionsResponse, Failure> {
        let terms = question.terms(&self.access)?;
        let (lines, next) = self.page(question, &terms)?;
        let size = self.header.log_size;
        let mut found = Vec::with_capacity(lines.len());
        for entry in with_times(&self.snapshot, lines)? {
            let path = inclusion_proof(&LogNodes(&self.snapshot), entry.index, size).map_err(broken)?;
            found.push(wire::FoundTransaction {
                path: path.iter().map(|hash: &Hash| hash.to_vec()).collect(),
                entry: Some(entry),
            });
        }
        Ok(wire::SearchTransactionsResponse {
            found,
            next,
            header: self.header.to_bytes(),
            evidence: self.evidence,
        })
    }

    /// The lines of a page, and where the next one begins.
    fn page(&self, question: &Question, terms: &[Term]) -> Result<(Vec<LogLine>, u64), Failure> {
        let range = self.in_time(&question.filter)?;
        let mut at = question.from.max(range.start);
        let (mut steps, mut examined, mut room) = (STEPS, 0, PAGE_BYTES);
        let mut lines: Vec<LogLine> = Vec::new();
        while at < range.end && lines.len() < question.limit {
            if examined >= EXAMINED || steps < terms.len() {
                return Ok((lines, at));
            }
            let most = question.limit - lines.len();
            let candidates = if terms.is_empty() {
                every(at, range.end, most)
            } else {
                self.index.candidates(terms, at..range.end, most, &mut steps)?
            };
            for index in candidates.indices {
                examined += 1;
                let Some(line) = self.matching(index, &question.filter)? else {
                    continue;
                };
                if !lines.is_empty() && line.entry.len() > room {
                    return Ok((lines, index));
                }
                room = room.saturating_sub(line.entry.len());
                lines.push(line);
            }
            at = candidates.next;
        }
        if at < range.end {
            return Ok((lines, at));
        }
        // Block times never decrease: after the end of the time that is asked for there is nothing to find.
        let end = if range.end < self.end {
            self.header.log_size
        } else {
            self.end
        };
        Ok((lines, end.max(question.from)))
    }

    /// The line at an index of the log, if it is what is looked for and may be seen: what an index says is not believed.
    fn matching(&self, index: u64, filter: &Filter) -> Result<Option<LogLine>, Failure> {
        let line = self
            .snapshot
            .line(index)?
            .ok_or(StoreError::Damaged("a line of the log is missing"))?;
        let entry =
            Entry::from_bytes(&line.entry).map_err(|_| StoreError::Damaged("an entry does not parse"))?;
        let author = match &filter.user {
            Some(_) if !filter.names_user(&entry) => index::author(&self.snapshot, &entry, line.height)?,
            _ => None,
        };
        let author = author.as_ref().map(|(tenant, user)| (tenant, user));
        let matches = filter.matches(&entry, self.time(line.height)?, author);
        let seen = matches
            && self
                .access
                .covers_transaction(&self.snapshot, &entry.transaction)?;
        Ok(seen.then_some(line))
    }

    fn time(&self, height: u64) -> Result<u64, StoreError> {
        let header = self.snapshot.header(height)?;
        Ok(header.ok_or(StoreError::Damaged("a header is missing"))?.time_ms)
    }

    /// The entries of blocks of the time that is looked for: block times never decrease.
    fn in_time(&self, filter: &Filter) -> Result<std::ops::Range<u64>, StoreError> {
        let start = match filter.since_ms {
            Some(time_ms) => self.first_from(time_ms)?,
            None => 0,
        };
        let end = match filter.until_ms {
            Some(time_ms) => self.first_from(time_ms)?,
            None => self.end,
        };
        Ok(start..end)
    }

    /// The first entry of a block of this time or later, or the end.
    fn first_from(&self, time_ms: u64) -> Result<u64, StoreError> {
        let (mut low, mut high) = (0, self.end);
        while low < high {
            let middle = low + (high - low) / 2;
            let line = self
                .snapshot
                .line(middle)?
                .ok_or(StoreError::Damaged("a line of the log is missing"))?;
            if self.time(line.height)? < time_ms {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}
