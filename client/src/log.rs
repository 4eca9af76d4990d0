//! The log and its proofs: what an auditor asks for, verified before it is believed.

use std::time::Duration;

use golden_record::merkle::Frontier;
use golden_record::{Body, Entry, EntryProof, FinalityEvidence, Genesis, Header, Outcome, TxId};
use proto::field;
use proto::ledger::{
    GetStatusRequest, GetStatusResponse, GetTransactionRequest, ListTransactionsRequest, LogEntry,
};
use threshold::encoding::Canonical;
use threshold::name::Name;
use tonic::Code;

use crate::Client;
use crate::connection::{Endorser, refusal_code, request, whole};
use crate::error::{Error, Fault};
use crate::profile::Trust;

#[cfg(test)]
mod tests;

/// The longest page that an endorser gives.
const PAGE: u32 = 1_000;
/// A proof needs a block with evidence at or after the entry's, which is there a moment after the entry is final.
const PROOF_ATTEMPTS: u32 = 40;
const PROOF_PAUSE: Duration = Duration::from_millis(50);
/// How often, and after what pause, the log is read again for a receipt.
const RECEIPT_ATTEMPTS: u32 = 50;
const RECEIPT_PAUSE: Duration = Duration::from_millis(100);

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its position, from 0.
    pub index: u64,
    /// The height of its block.
    pub height: u64,
    /// The time of its block.
    pub time_ms: u64,
    /// The transaction with its outcome.
    pub entry: Entry,
}

/// A line with its verified proof.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The line; height and time are those of the proof.
    pub line: Line,
    /// The proof's canonical bytes, for a third party.
    pub proof: Vec<u8>,
}

/// The whole log up to a block, verified: its entries hash to the root in a header that 2f+1 validators have signed,
/// directly or by signing a block after it. A line's position and content are proven by that; its height and time are
/// the endorser's word, and [`Client::prove`] proves them.
#[derive(Debug, Clone)]
pub struct VerifiedLog {
    /// All entries from the first.
    pub lines: Vec<Line>,
    /// The header that binds them.
    pub header: Header,
    /// How many validators have signed.
    pub signatures: usize,
    /// How many there are.
    pub validators: usize,
}

/// What an endorser says of itself. Only a header that is proven is more than its word.
#[derive(Debug, Clone)]
pub struct EndorserStatus {
    /// The newest final block.
    pub header: Header,
    /// Fellow endorsers that it hears from.
    pub peers_connected: u32,
    /// Transactions waiting.
    pub pending: u32,
    /// Whether 2f+1 validators have signed this very block; if not, that it is final is the endorser's word.
    pub newest_is_proven: bool,
}

impl VerifiedLog {
    /// Whether a release for this read is recorded.
    #[must_use]
    pub fn has_receipt(&self, approve_id: &TxId) -> bool {
        self.lines.iter().any(|line| match &line.entry.transaction.body {
            Body::RecordReleases { releases } if line.entry.outcome == Outcome::Applied => {
                releases.iter().any(|release| release.approve_id == *approve_id)
            }
            _ => false,
        })
    }
}

impl Client {
    /// Fetches the whole log from one endorser and verifies it.
    ///
    /// # Errors
    /// [`Error::Lied`] when the entries do not hash to what the validators have signed; no endorser that answers.
    pub async fn verified_log(&self) -> Result<VerifiedLog, Error> {
        let mut last = Error::Request("the profile names no endorser".into());
        for endorser in &self.0.endorsers {
            match self.verified_log_of(endorser).await {
                Ok(log) => return Ok(log),
                Err(error @ Error::Lied(_)) => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The verified log, as soon as it has the receipt of this read: coordinators record what nodes released a little
    /// after the reader has it.
    ///
    /// # Errors
    /// As [`Client::verified_log`], and [`Error::NotFound`] when no receipt has come after some seconds.
    pub async fn await_receipt(&self, approve_id: &TxId) -> Result<VerifiedLog, Error> {
        for _ in 0..RECEIPT_ATTEMPTS {
            let log = self.verified_log().await?;
            if log.has_receipt(approve_id) {
                return Ok(log);
            }
            tokio::time::sleep(RECEIPT_PAUSE).await;
        }
        Err(Error::NotFound(format!("receipt of the read {approve_id}")))
    }

    /// One transaction with its verified proof.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Lied`] when the proof does not hold.
    pub async fn prove(&self, tx_id: &TxId) -> Result<Proven, Error> {
        let mut last = Error::Request("the profile names no endorser".into());
        for endorser in &self.0.endorsers {
            match self.prove_at(endorser, tx_id).await {
                Ok((line, proof)) => {
                    return Ok(Proven {
                        line,
                        proof: proof.to_bytes(),
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// How every endorser is doing, by its organisation.
    pub async fn endorser_statuses(&self) -> Vec<(Name, Result<EndorserStatus, Error>)> {
        let asked = self.0.endorsers.iter().map(|endorser| async move {
            (
                endorser.organisation.clone(),
                self.endorser_status(endorser).await,
            )
        });
        futures::future::join_all(asked).await
    }

    async fn endorser_status(&self, endorser: &Endorser) -> Result<EndorserStatus, Error> {
        let status = status(endorser).await?;
        let lied =
            |what: &str, evidence: &[u8]| Error::from(Fault::new(endorser.party(), "status", what, evidence));
        let header: Header = field::parse("header", &status.header)
            .map_err(|error| lied(&format!("gave a bad {error}"), &status.header))?;
        if header.chain_id != self.0.trust.chain_id {
            return Err(lied("gave a header of another chain", &status.header));
        }
        // Before the first block after the genesis there is no evidence.
        let newest_is_proven = if status.evidence.is_empty() {
            header.height == 0
        } else {
            let evidence: FinalityEvidence = field::parse("evidence", &status.evidence)
                .map_err(|error| lied(&format!("gave a bad {error}"), &status.evidence))?;
            evidence.verify(&self.0.genesis).map_err(|error| {
                lied(
                    &format!("gave evidence that does not hold: {error}"),
                    &status.evidence,
                )
            })?;
            evidence.block_hash() == header.hash()
        };
        let GetStatusResponse {
            peers_connected,
            pending,
            ..
        } = status;
        Ok(EndorserStatus {
            header,
            peers_connected,
            pending,
            newest_is_proven,
        })
    }

    async fn verified_log_of(&self, endorser: &Endorser) -> Result<VerifiedLog, Error> {
        let lied = |what: String| Error::from(Fault::new(endorser.party(), "log", what, &[]));
        let lines = self.lines_of(endorser).await?;
        let Some(newest) = lines.last() else {
            return Err(Error::NotFound("entry in its log yet".into()));
        };
        let (_, proof) = self.prove_at(endorser, &newest.entry.transaction.tx_id()).await?;
        let header = proof
            .headers
            .first()
            .ok_or_else(|| lied("gave a proof without a header".into()))?
            .clone();
        check_root(&lines, &header).map_err(lied)?;
        let (signatures, validators) = (proof.evidence.signatures.len(), self.0.genesis.validators().len());
        Ok(VerifiedLog {
            lines,
            header,
            signatures,
            validators,
        })
    }

    /// All entries up to the size that the log has when the first page is given.
    async fn lines_of(&self, endorser: &Endorser) -> Result<Vec<Line>, Error> {
        let mut lines: Vec<Line> = Vec::new();
        let mut size = None;
        loop {
            let from = u64::try_from(lines.len()).unwrap_or(u64::MAX);
            let message = ListTransactionsRequest { from, limit: PAGE };
            let page = whole(endorser.rpc().list_transactions(request(message))).await;
            let page = page.map_err(|status| match status.code() {
                Code::PermissionDenied => Error::Forbidden(endorser.party()),
                _ => endorser.failed(&status),
            })?;
            let size = *size.get_or_insert(page.log_size);
            let before = lines.len();
            for entry in page.entries {
                let line = line(endorser, entry)?;
                let expected = u64::try_from(lines.len()).unwrap_or(u64::MAX);
                if line.index < size && line.index != expected {
                    return Err(Error::Request(
                        "this key sees only its tenant's part of the log; the whole is verified with an auditor's key"
                            .into(),
                    ));
                }
                if line.index < size {
                    lines.push(line);
                }
            }
            if u64::try_from(lines.len()).unwrap_or(u64::MAX) >= size {
                return Ok(lines);
            }
            if lines.len() == before {
                let what = format!("gave {before} entries of a log of {size}");
                return Err(Fault::new(endorser.party(), "log", what, &[]).into());
            }
        }
    }

    async fn prove_at(&self, endorser: &Endorser, tx_id: &TxId) -> Result<(Line, EntryProof), Error> {
        let answer = proof(endorser, tx_id).await?;
        let lied = |what: String| Error::from(Fault::new(endorser.party(), "proof", what, &answer.proof));
        let entry = answer
            .entry
            .clone()
            .ok_or_else(|| lied("answered without the entry".into()))?;
        let mut line = line(endorser, entry)?;
        if line.entry.transaction.tx_id() != *tx_id {
            return Err(lied("gave another transaction than was asked for".into()));
        }
        let proof: EntryProof =
            field::parse("proof", &answer.proof).map_err(|error| lied(format!("gave a bad {error}")))?;
        let header = proof
            .verify(&self.0.genesis, &line.entry)
            .map_err(|error| lied(format!("gave a proof that does not hold: {error}")))?;
        if line.index != proof.index {
            return Err(lied("gave a proof of another position".into()));
        }
        (line.height, line.time_ms) = (header.height, header.time_ms);
        Ok((line, proof))
    }
}

/// The entries are all those, and in the order, that a proven header binds.
fn check_root(lines: &[Line], header: &Header) -> Result<(), String> {
    let count = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    if header.log_size != count {
        return Err(format!("gave {count} entries of a log of {}", header.log_size));
    }
    let mut frontier = Frontier::new();
    for line in lines {
        frontier
            .push(line.entry.leaf_hash(), |_, _, _| {})
            .ok_or("gave a log that is too long")?;
    }
    if frontier.root() != header.log_root {
        return Err("gave entries that do not hash to the root that the validators have signed".into());
    }
    Ok(())
}

/// A transaction with its proof, asked for again while the evidence is still on its way.
async fn proof(endorser: &Endorser, tx_id: &TxId) -> Result<proto::ledger::GetTransactionResponse, Error> {
    let message = GetTransactionRequest {
        tx_id: tx_id.as_bytes().to_vec(),
        with_proof: true,
    };
    let mut attempt = 0;
    loop {
        attempt += 1;
        match whole(endorser.rpc().get_transaction(request(message.clone()))).await {
            Ok(answer) => return Ok(answer),
            Err(status) if status.code() == Code::NotFound => {
                return Err(Error::NotFound(format!("transaction {tx_id}")));
            }
            // The endorser has the entry and not yet the evidence.
            Err(status) if refusal_code(&status) == "no_evidence_yet" && attempt < PROOF_ATTEMPTS => {
                tokio::time::sleep(PROOF_PAUSE).await;
            }
            Err(status) if status.code() == Code::PermissionDenied => {
                return Err(Error::Forbidden(endorser.party()));
            }
            Err(status) => return Err(endorser.failed(&status)),
        }
    }
}

fn line(endorser: &Endorser, entry: LogEntry) -> Result<Line, Error> {
    let decoded: Entry = field::parse("entry", &entry.entry).map_err(|error| {
        Fault::new(
            endorser.party(),
            "entry",
            format!("gave a bad {error}"),
            &entry.entry,
        )
    })?;
    Ok(Line {
        index: entry.index,
        height: entry.height,
        time_ms: entry.time_ms,
        entry: decoded,
    })
}

async fn status(endorser: &Endorser) -> Result<GetStatusResponse, Error> {
    let answer = whole(endorser.rpc().get_status(request(GetStatusRequest {}))).await;
    answer.map_err(|status| endorser.failed(&status))
}

/// The genesis of the pinned chain, from the first endorser that has it.
pub(crate) async fn genesis(endorsers: &[Endorser], trust: &Trust) -> Result<Genesis, Error> {
    let mut last = Error::Request("the profile names no endorser".into());
    for endorser in endorsers {
        match genesis_of(endorser, trust).await {
            Ok(genesis) => return Ok(genesis),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn genesis_of(endorser: &Endorser, trust: &Trust) -> Result<Genesis, Error> {
    let bytes = status(endorser).await?.genesis;
    let lied = |what: String| Error::from(Fault::new(endorser.party(), "genesis", what, &[]));
    let genesis: Genesis =
        field::parse("genesis", &bytes).map_err(|error| lied(format!("gave a bad {error}")))?;
    if genesis.chain_id() != trust.chain_id {
        return Err(lied(format!(
            "is on chain {} instead of {}",
            genesis.chain_id(),
            trust.chain_id
        )));
    }
    Ok(genesis)
}
