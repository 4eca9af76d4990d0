//! Read receipts: what shows a read to somebody who was not there.

use std::collections::BTreeSet;

use approval::Limits;
use golden_record::{Body, Checkpoint, Entry, EntryProof, Outcome, TxId};
use proto::field;
use receipt::{PinnedApproval, PinnedRoots, Receipt};
use threshold::committee::SignedManifest;
use threshold::ids::{ManifestDigest, WriteId};
use threshold::reencrypt::ReencryptionShare;
use threshold::statement::ReleaseStatement;
use threshold::wrap::WrappedKey;

use crate::Client;
use crate::error::Error;
use crate::log::{Line, Proven, VerifiedLog};
use crate::read::ReadReport;

/// What the reader was given. Nobody keeps it for the reader, and certificates and shares are not on the chain: whoever
/// wants a whole receipt makes it of this, or keeps it.
#[derive(Debug, Clone)]
pub struct ReadEvidence {
    /// The approval certificates, X.509 in DER.
    pub certificates: Vec<Vec<u8>>,
    /// The data key, wrapped.
    pub wrapped_key: WrappedKey,
    /// The committee.
    pub committee: SignedManifest,
    /// The shares that were combined, each with what its node has signed about it.
    pub released: Vec<(ReencryptionShare, ReleaseStatement)>,
}

impl Client {
    /// The receipt of a read: everything that shows it, in one file.
    ///
    /// # Errors
    /// As [`Client::prove`].
    pub async fn receipt(&self, report: &ReadReport) -> Result<Receipt, Error> {
        let mut receipt = self.bare_receipt(&report.approve_id).await?;
        let evidence = &report.evidence;
        receipt.wrapped_key = Some(evidence.wrapped_key.clone());
        receipt.certificates.clone_from(&evidence.certificates);
        receipt.committee = Some(evidence.committee.clone());
        (receipt.shares, receipt.statements) = evidence.released.iter().copied().unzip();
        Ok(receipt)
    }

    /// What the endorsers have of a receipt: all of a read that was denied, or that needed no key; of an approved one neither the certificates nor the
    /// shares, and the nodes' statements only for those who see the whole log.
    ///
    /// # Errors
    /// As [`Client::prove`], [`Client::committee`] and [`Client::verified_log`]; [`Error::Request`] for what is no read.
    pub async fn recorded_receipt(&self, tx_id: &TxId) -> Result<Receipt, Error> {
        let mut receipt = self.bare_receipt(tx_id).await?;
        match receipt.entry.outcome {
            Outcome::Approved {
                version, write_id, ..
            } => {
                receipt.wrapped_key = self.approved_key(&receipt.entry, version, write_id).await?;
                let committee = self.committee().await?;
                receipt.committee = Some(committee.signed().clone());
                receipt.statements = match self.verified_log().await {
                    Ok(log) => statements(&log, tx_id, &committee.digest()),
                    // Somebody who sees only its tenant's part of the log.
                    Err(Error::Request(_) | Error::Forbidden(_)) => Vec::new(),
                    Err(error) => return Err(error),
                };
            }
            Outcome::Denied(_) | Outcome::Permitted { .. } => {}
            _ => {
                return Err(Error::Request(format!(
                    "transaction {tx_id} is not a request to read"
                )));
            }
        }
        Ok(receipt)
    }

    /// What a receipt of this installation is checked against, as this client's profile pins it, with the handovers of the
    /// endorsers up to now.
    ///
    /// # Errors
    /// As [`Client::committee`]; no endorser that answers.
    pub async fn pinned_roots(&self) -> Result<PinnedRoots, Error> {
        let committee = self.committee().await?;
        let pinned = PinnedApproval {
            bundle: self.0.trust.bundle.clone(),
            limits: Limits::default(),
        };
        let committees = BTreeSet::from([committee.digest()]);
        // By what the endorsers prove of today, their handovers are known.
        self.newest_proven(&mut Vec::new()).await?;
        let epochs = self.epochs();
        let handovers = epochs.handovers_to(epochs.newest()).to_vec();
        let roots = PinnedRoots::new(self.genesis(), vec![pinned], committees);
        roots
            .and_then(|roots| roots.with_handovers(handovers))
            .map_err(|error| Error::Profile {
                field: "approval",
                reason: error.to_string(),
            })
    }

    /// The entry and its proof.
    async fn bare_receipt(&self, tx_id: &TxId) -> Result<Receipt, Error> {
        let Proven { line, proof } = self.prove(tx_id).await?;
        // Written by this client a moment ago.
        let proof: EntryProof =
            field::parse("proof", &proof).map_err(|error| Error::Request(error.to_string()))?;
        // The votes in the proof show the same, so that a receipt without it is worth no less.
        let checkpoint = match proof.headers.first() {
            Some(header) => {
                let checkpoint = Checkpoint::of(header);
                self.cosigned(&checkpoint, &mut Vec::new()).await.ok()
            }
            None => None,
        };
        let epochs = self.epochs();
        Ok(Receipt {
            entry: line.entry,
            // Also those after the proof's epoch: the endorsers of today have signed the checkpoint.
            handovers: epochs.handovers_to(epochs.newest()).to_vec(),
            proof,
            checkpoint,
            wrapped_key: None,
            certificates: Vec::new(),
            committee: None,
            shares: Vec::new(),
            statements: Vec::new(),
        })
    }

    /// The wrapped key that the ledger has approved, if the document's version still has it.
    async fn approved_key(
        &self,
        entry: &Entry,
        version: u64,
        write_id: WriteId,
    ) -> Result<Option<WrappedKey>, Error> {
        let Body::RequestRead {
            tenant,
            dataset,
            document,
            ..
        } = &entry.transaction.body
        else {
            return Ok(None);
        };
        let found = self.document(tenant, dataset, document, version).await?;
        Ok(found.wrapped_key.filter(|wrapped| wrapped.write_id() == write_id))
    }
}

/// What the nodes of a committee have stated about a read, as coordinators have recorded it. The ledger takes each seat's
/// once.
fn statements(log: &VerifiedLog, approve_id: &TxId, committee: &ManifestDigest) -> Vec<ReleaseStatement> {
    let recorded = log
        .lines
        .iter()
        .filter_map(|line: &Line| match &line.entry.transaction.body {
            Body::RecordReleases { releases } if line.entry.outcome == Outcome::Applied => Some(releases),
            _ => None,
        });
    recorded
        .flatten()
        .filter(|release| release.approve_id == *approve_id && release.manifest_digest == *committee)
        .copied()
        .collect()
}
