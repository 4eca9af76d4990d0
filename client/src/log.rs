//! The log and its proofs: what an auditor asks for, verified before it is believed.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
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
use crate::in_turn::{PATIENCE, in_turn};
use crate::profile::Trust;

mod whole;

/// A proof needs a block with evidence at or after the entry's, which is there a moment after the entry is final.
const PROOF_ATTEMPTS: u32 = 40;
const PROOF_PAUSE: Duration = Duration::from_millis(50);

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
    /// How many endorsers have said how long their log is, none of them proving a longer one. With no more than may
    /// lie, this log may be an old one.
    pub compared: usize,
    /// Endorsers that lied on the way.
    pub faults: Vec<Fault>,
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
    /// The epoch of the next block.
    pub epoch: u64,
    /// Whether it is one of that epoch's endorsers.
    pub is_endorser: bool,
    /// Whether it votes.
    pub votes: bool,
    /// Whether 2f+1 validators have signed this very block; if not, that it is final is the endorser's word.
    pub newest_is_proven: bool,
    /// The newest block that 2f+1 validators have signed; none before the first one.
    pub proven: Option<ProvenHeader>,
}

/// A header that 2f+1 validators have signed.
#[derive(Debug, Clone)]
pub struct ProvenHeader {
    /// The header.
    pub header: Header,
    /// How many have signed.
    pub signatures: usize,
}

impl EndorserStatus {
    /// How many entries the log has at least.
    #[must_use]
    pub fn proven_size(&self) -> u64 {
        self.proven.as_ref().map_or(0, |proven| proven.header.log_size)
    }
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
    /// One transaction with its verified proof.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Lied`] when the proof does not hold.
    pub async fn prove(&self, tx_id: &TxId) -> Result<Proven, Error> {
        let ask = |endorser| self.prove_at(endorser, tx_id);
        let (line, proof) = first_of(&self.0.endorsers, ask).await?;
        Ok(Proven {
            line,
            proof: proof.to_bytes(),
        })
    }

    /// Whether the chain knows this client's key, by the word of more endorsers than can lie.
    ///
    /// # Errors
    /// Too few endorsers that say the same.
    pub async fn is_known(&self) -> Result<bool, Error> {
        let mut asked: FuturesUnordered<_> = self
            .0
            .endorsers
            .iter()
            .map(|endorser| async move {
                let nothing = ListTransactionsRequest {
                    from: u64::MAX,
                    limit: 1,
                };
                (
                    endorser,
                    whole(endorser.rpc().list_transactions(request(nothing))).await,
                )
            })
            .collect();
        let (mut known, mut unknown, mut faults) = (0, 0, Vec::new());
        while let Some((endorser, answer)) = asked.next().await {
            match answer {
                Ok(_) => known += 1,
                Err(status) if status.code() == Code::PermissionDenied => unknown += 1,
                Err(status) => faults.push(Fault::instead_of_an_answer(
                    endorser.party(),
                    endorser.failed(&status),
                )),
            }
            if known.max(unknown) > self.tolerated() {
                return Ok(known > unknown);
            }
        }
        Err(Error::TooFew {
            needed: "endorsers that say whether the chain knows this key".into(),
            faults,
        })
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

    pub(crate) async fn endorser_status(&self, endorser: &Endorser) -> Result<EndorserStatus, Error> {
        let status = status(endorser).await?;
        let lied =
            |what: &str, evidence: &[u8]| Error::from(Fault::new(endorser.party(), "status", what, evidence));
        let header: Header = field::parse("header", &status.header)
            .map_err(|error| lied(&format!("gave a bad {error}"), &status.header))?;
        if header.chain_id != self.0.trust.chain_id {
            return Err(lied("gave a header of another chain", &status.header));
        }
        self.learn_for(endorser, &status.evidence).await?;
        let proven = if status.evidence.is_empty() {
            None
        } else {
            Some(
                self.proven(&status.proven_header, &status.evidence)
                    .map_err(|what| lied(&what, &status.evidence))?,
            )
        };
        // Before the first block after the genesis there is no evidence.
        let newest_is_proven = proven
            .as_ref()
            .map_or(header.height == 0, |proven| proven.header == header);
        let GetStatusResponse {
            peers_connected,
            pending,
            epoch,
            is_endorser,
            votes,
            ..
        } = status;
        Ok(EndorserStatus {
            header,
            peers_connected,
            pending,
            epoch,
            is_endorser,
            votes,
            newest_is_proven,
            proven,
        })
    }

    /// Learns of the epoch that evidence is of, before it is verified. Bytes that are none teach nothing.
    pub(crate) async fn learn_for(&self, endorser: &Endorser, evidence: &[u8]) -> Result<(), Error> {
        match FinalityEvidence::from_bytes(evidence) {
            Ok(evidence) => self.learn(endorser, evidence.epoch).await,
            Err(_) => Ok(()),
        }
    }

    /// A header that an endorser gives with its evidence.
    pub(crate) fn proven(&self, header: &[u8], evidence: &[u8]) -> Result<ProvenHeader, String> {
        let bad = |error: field::FieldError| format!("gave a bad {error}");
        let evidence: FinalityEvidence = field::parse("evidence", evidence).map_err(bad)?;
        let header: Header = field::parse("header", header).map_err(bad)?;
        evidence
            .verify_header(&*self.epochs(), &header)
            .map_err(|error| format!("gave evidence that does not hold: {error}"))?;
        if evidence.block_hash() != header.hash() {
            return Err("gave evidence for another header than the one beside it".into());
        }
        Ok(ProvenHeader {
            header,
            signatures: evidence.signatures.len(),
        })
    }

    pub(crate) async fn prove_at(
        &self,
        endorser: &Endorser,
        tx_id: &TxId,
    ) -> Result<(Line, EntryProof), Error> {
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
        self.learn(endorser, proof.evidence.epoch).await?;
        let header = proof
            .verify(&*self.epochs(), &line.entry)
            .map_err(|error| lied(format!("gave a proof that does not hold: {error}")))?;
        if line.index != proof.index {
            return Err(lied("gave a proof of another position".into()));
        }
        (line.height, line.time_ms) = (header.height, header.time_ms);
        Ok((line, proof))
    }
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

pub(crate) fn line(endorser: &Endorser, entry: LogEntry) -> Result<Line, Error> {
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
    first_of(endorsers, |endorser| genesis_of(endorser, trust)).await
}

/// The first good answer, or the last error.
async fn first_of<'a, T, F: Future<Output = Result<T, Error>>>(
    endorsers: &'a [Endorser],
    ask: impl Fn(&'a Endorser) -> F,
) -> Result<T, Error> {
    let mut last = Error::Request("the profile names no endorser".into());
    let take = |_, answer| match answer {
        Ok(found) => Some(found),
        Err(error) => {
            last = error;
            None
        }
    };
    in_turn(endorsers.iter(), PATIENCE, ask, take).await.ok_or(last)
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
