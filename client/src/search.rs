//! Searches of the log: every transaction that is found is proven, and none is left out unless more endorsers than may lie
//! leave it out alike.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use golden_record::merkle::verify_inclusion;
use golden_record::{Filter, Header};
use proto::ledger::{FoundTransaction, SearchTransactionsRequest, SearchTransactionsResponse};
use proto::limits;
use threshold::encoding::Canonical;
use tonic::Code;

use crate::Client;
use crate::connection::{CATCH_UP_ATTEMPTS, CATCH_UP_PAUSE, Endorser, refusal_code, request, whole};
use crate::cosigned::{caught_up, hashes, too_few};
use crate::error::{Error, Fault, Party};
use crate::log::{Line, line};

/// What was found. That each line is in the log, and what it says, is proven; its height and time are the endorsers'
/// word, and [`Client::prove`] proves them.
#[derive(Debug, Clone)]
pub struct Found {
    /// The transactions that match, oldest first.
    pub lines: Vec<Line>,
    /// Everything before this index was looked at.
    pub searched_to: u64,
    /// Whether that is all that is proven to be in the log.
    pub complete: bool,
    /// The newest header that is proven, in whose log the lines are.
    pub header: Header,
    /// How many endorsers were compared at least. With no more than may lie, something may be missing.
    pub compared: usize,
    /// Endorsers that lied on the way.
    pub faults: Vec<Fault>,
}

/// One endorser's answer, verified.
#[derive(Debug, Clone)]
struct Page {
    party: Party,
    lines: Vec<Line>,
    next: u64,
    header: Header,
}

impl Client {
    /// The first `most` transactions from index `from` on that match, in the log as it is proven now. A caller who sees only
    /// a part of the log searches that part.
    ///
    /// # Errors
    /// [`Error::Forked`] when the log does not continue the one that was verified before; [`Error::Behind`];
    /// [`Error::Forbidden`]; [`Error::TooFew`] when no endorser gives an answer that holds.
    pub async fn search(&self, filter: &Filter, from: u64, most: usize) -> Result<Found, Error> {
        if let (Some(tenant), Some((of, _))) = (filter.within.tenant(), &filter.user)
            && tenant != of
        {
            return Err(Error::Request(format!(
                "a user of {of} and a part of the log of {tenant} have nothing in common"
            )));
        }
        let mut found = caught_up(async || self.search_page(filter, from, most).await).await?;
        let until = found.header.log_size;
        let mut attempt = 0;
        while found.lines.len() < most && found.searched_to < until {
            let at = found.searched_to;
            let left = most - found.lines.len();
            let mut more = caught_up(async || self.search_page(filter, at, left).await).await?;
            if more.searched_to == at {
                attempt += 1;
                if attempt < CATCH_UP_ATTEMPTS {
                    tokio::time::sleep(CATCH_UP_PAUSE).await;
                    continue;
                }
                found.faults.append(&mut more.faults);
                return Err(too_few(
                    &format!(
                        "enough endorsers that have searched as far as entry {at} and agree whether it matches: try again later"
                    ),
                    &mut found.faults,
                ));
            }
            attempt = 0;
            found = Found {
                lines: [found.lines, more.lines].concat(),
                compared: found.compared.min(more.compared),
                faults: [found.faults, more.faults].concat(),
                ..more
            };
        }
        found.complete = found.searched_to >= until;
        Ok(found)
    }

    async fn search_page(&self, filter: &Filter, from: u64, most: usize) -> Result<Found, Error> {
        let message = &message(filter, from, most);
        let mut asked: FuturesUnordered<_> = self
            .0
            .endorsers
            .iter()
            .map(|endorser| async move { (endorser, self.search_at(endorser, filter, message).await) })
            .collect();
        let tolerated = self.tolerated();
        let enough = asked.len().saturating_sub(tolerated).max(tolerated + 1);
        let (mut pages, mut faults, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        let mut newest: Option<(&Endorser, Header)> = None;
        while pages.len() < enough
            && let Some((endorser, page)) = asked.next().await
        {
            match page {
                Ok(page) => {
                    if newest
                        .as_ref()
                        .is_none_or(|(_, known)| page.header.height > known.height)
                    {
                        newest = Some((endorser, page.header.clone()));
                    }
                    pages.push(page);
                }
                Err(Error::Lied(fault)) => faults.push(*fault),
                Err(error) => failed.push((endorser.party(), error)),
            }
        }
        let Some((given_by, header)) = newest else {
            return Err(none_answered(failed, faults));
        };
        self.require_continuation(given_by, &header, &mut faults).await?;
        Ok(joined(pages, filter, (from, most), header, tolerated, faults))
    }

    async fn search_at(
        &self,
        endorser: &Endorser,
        filter: &Filter,
        message: &SearchTransactionsRequest,
    ) -> Result<Page, Error> {
        let mut attempt = 0;
        let answer = loop {
            attempt += 1;
            let answer = whole(endorser.rpc().search_transactions(request(message.clone()))).await;
            match answer {
                Ok(answer) => break answer,
                // An export of many pages is paced by the endorsers.
                Err(status)
                    if matches!(refusal_code(&status), "over_rate" | "too_many_searches")
                        && attempt < CATCH_UP_ATTEMPTS =>
                {
                    tokio::time::sleep(CATCH_UP_PAUSE).await;
                }
                Err(status) if status.code() == Code::PermissionDenied => {
                    return Err(Error::Forbidden(endorser.party()));
                }
                Err(status) => return Err(endorser.failed(&status)),
            }
        };
        self.learn_for(endorser, &answer.evidence).await?;
        self.checked(endorser, filter, message, answer)
            .map_err(|what| Fault::new(endorser.party(), "search", what, &[]).into())
    }

    /// An endorser's answer, when it holds.
    fn checked(
        &self,
        endorser: &Endorser,
        filter: &Filter,
        message: &SearchTransactionsRequest,
        answer: SearchTransactionsResponse,
    ) -> Result<Page, String> {
        let header = self.header(&answer.header, &answer.evidence)?;
        let mut lines: Vec<Line> = Vec::new();
        if answer.found.len() > usize::try_from(message.limit).unwrap_or(usize::MAX) {
            return Err("gave more than was asked for".into());
        }
        for found in answer.found {
            let line = included(endorser, found, &header)?;
            let after = lines
                .last()
                .map_or(message.from, |last| last.index.saturating_add(1));
            if line.index < after || line.index >= answer.next {
                return Err(
                    "gave transactions that are not in order, or outside of what it has searched".into(),
                );
            }
            if !filter.matches_but_for_the_user(&line.entry, line.time_ms) {
                return Err(format!("gave entry {}, which does not match", line.index));
            }
            lines.push(line);
        }
        if answer.next < message.from {
            return Err("searched backwards".into());
        }
        Ok(Page {
            party: endorser.party(),
            lines,
            next: answer.next.min(header.log_size.max(message.from)),
            header,
        })
    }

    /// A header of this chain that 2f+1 validators have voted for, or the one that the genesis gives.
    fn header(&self, header: &[u8], evidence: &[u8]) -> Result<Header, String> {
        if !evidence.is_empty() {
            return self.proven(header, evidence).map(|proven| proven.header);
        }
        let first = self.genesis().block().0.header().clone();
        if header == first.to_bytes() {
            Ok(first)
        } else {
            Err("gave a header without evidence".into())
        }
    }
}

fn message(filter: &Filter, from: u64, most: usize) -> SearchTransactionsRequest {
    let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
    let within = &filter.within;
    let of_user = filter.user.as_ref();
    let tenant = within.tenant().or(of_user.map(|(tenant, _)| tenant));
    SearchTransactionsRequest {
        tenant: text(tenant.map(|tenant| tenant.as_str())),
        dataset: text(within.dataset().map(|dataset| dataset.as_str())),
        document: text(within.document().map(|document| document.as_str())),
        user: text(of_user.map(|(_, user)| user.as_str())),
        kind: text(filter.kind.map(|kind| kind.as_str())),
        verdict: text(filter.verdict.map(|verdict| verdict.as_str())),
        since_ms: filter.since_ms.unwrap_or(0),
        until_ms: filter.until_ms.unwrap_or(0),
        from,
        limit: u32::try_from(most.clamp(1, limits::FOUND)).unwrap_or(u32::MAX),
    }
}

/// A found transaction, when it is in the log of the header.
fn included(endorser: &Endorser, found: FoundTransaction, header: &Header) -> Result<Line, String> {
    let entry = found.entry.ok_or("gave a path without an entry")?;
    let line = line(endorser, entry).map_err(|error| error.to_string())?;
    let path = hashes(&found.path)?;
    verify_inclusion(
        &line.entry.leaf_hash(),
        line.index,
        header.log_size,
        &path,
        &header.log_root,
    )
    .map_err(|error| {
        format!(
            "gave entry {} with a proof that does not hold: {error}",
            line.index
        )
    })?;
    Ok(line)
}

/// What the pages have together, as far as one endorser more has looked than may lie, or all when there are no more.
fn joined(
    pages: Vec<Page>,
    filter: &Filter,
    (from, most): (u64, usize),
    header: Header,
    tolerated: usize,
    mut faults: Vec<Fault>,
) -> Found {
    let mut ends: Vec<u64> = pages.iter().map(|page| page.next).collect();
    ends.sort_unstable_by(|one, other| other.cmp(one));
    // With nobody to compare with, what one has is better than nothing, and `compared` says so.
    let covered = ends.get(tolerated).copied().filter(|end| *end > from);
    let alone = ends.first().copied().filter(|_| pages.len() <= tolerated);
    let mut end = covered.or(alone).unwrap_or(from);
    let compared = ends.iter().filter(|next| **next >= end).count();
    let mut given: BTreeMap<u64, Vec<(Line, usize)>> = BTreeMap::new();
    for line in pages
        .iter()
        .flat_map(|page| &page.lines)
        .filter(|line| line.index < end)
    {
        let versions = given.entry(line.index).or_default();
        match versions.iter_mut().find(|(known, _)| known == line) {
            Some((_, count)) => *count += 1,
            None => versions.push((line.clone(), 1)),
        }
    }
    let mut lines: Vec<Line> = Vec::new();
    for (index, mut versions) in given {
        if lines.len() == most {
            end = index;
            break;
        }
        let givers: usize = versions.iter().map(|(_, count)| count).sum();
        // The entry is proven, and so the same; its height and time are as most say.
        versions.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let Some((line, alike)) = versions.into_iter().next() else {
            continue;
        };
        // Whose key a user had, the entry does not show, nor when it was: that takes the word of more endorsers than may lie.
        let timed = filter.since_ms.is_some() || filter.until_ms.is_some();
        let shown = !timed && (filter.user.is_none() || filter.names_user(&line.entry));
        let words = if timed { alike } else { givers };
        if !shown && compared > tolerated && words <= tolerated {
            let looked = pages.iter().filter(|page| page.next > index).count();
            let against = looked.saturating_sub(words);
            if against > tolerated {
                continue;
            }
            // Neither enough that give it nor enough that have looked and do not: one of them lies, and who has not looked
            // so far yet decides when it is asked again.
            end = index;
            break;
        }
        for page in &pages {
            let left_out = page.next > index && page.lines.iter().all(|line| line.index != index);
            if left_out {
                let what = format!("left out entry {index}, which is in the log and matches");
                faults.push(Fault::new(page.party.clone(), "search", what, &[]));
            }
        }
        lines.push(line);
    }
    Found {
        lines,
        searched_to: end,
        complete: end >= header.log_size,
        header,
        compared,
        faults,
    }
}

fn none_answered(mut failed: Vec<(Party, Error)>, mut faults: Vec<Fault>) -> Error {
    let hidden = failed
        .iter()
        .position(|(_, error)| matches!(error, Error::Forbidden(_)));
    match (hidden, faults.is_empty()) {
        (Some(place), true) => failed.swap_remove(place).1,
        (None, true) if failed.len() == 1 => failed.swap_remove(0).1,
        _ => {
            let silent = failed.into_iter();
            faults.extend(silent.map(|(party, error)| Fault::instead_of_an_answer(party, error)));
            too_few("one endorser with an answer that holds", &mut faults)
        }
    }
}
