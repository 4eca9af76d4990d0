//! What proves that the log only grows, to anybody who can connect: sizes and hashes tell nothing of its content, and a
//! witness that had to be admitted could be kept out.

use golden_record::{
    Entry, Handover,
    merkle::{ProofError, consistency_proof},
    queries::{self, LogNodes},
};
use proto::{field::FieldError, ledger as wire};
use threshold::encoding::Canonical;

use super::{Endorser, read::prove};
use crate::{status::Failure, store::StoreError};

/// The most handovers in one answer: each may have a transaction of the largest size.
const HANDOVERS: usize = 16;

impl Endorser {
    /// Always answered, as the status is: what was signed once stays true.
    pub(super) fn checkpoint(
        &self,
        request: &wire::GetCheckpointRequest,
    ) -> Result<wire::GetCheckpointResponse, Failure> {
        let snapshot = self.ledger.store().snapshot()?;
        let signed = self.signers.checkpoints.sign(&snapshot, request.log_size)?;
        let signed = signed.ok_or(Failure::NotFound("block that ends with that many entries"))?;
        Ok(wire::GetCheckpointResponse {
            checkpoint: signed.to_text(),
        })
    }

    /// Always answered, as the status is: whoever has only the genesis can check nothing without.
    pub(super) fn handovers(
        &self,
        request: &wire::GetHandoversRequest,
    ) -> Result<wire::GetHandoversResponse, Failure> {
        let snapshot = self.ledger.store().snapshot()?;
        let newest = queries::newest_epoch(&snapshot)?;
        let mut handovers = Vec::new();
        for number in (request.known..newest).take(HANDOVERS) {
            let epoch = queries::epoch(&snapshot, number + 1)?;
            let epoch = epoch.ok_or(StoreError::Damaged("an epoch is missing"))?;
            let line = snapshot.line(epoch.log_index)?;
            let line = line.ok_or(StoreError::Damaged("the line that began an epoch is missing"))?;
            let proof = match prove(&snapshot, line.height, line.index) {
                Ok(proof) => proof,
                // The newest one is not proven yet.
                Err(Failure::NoEvidence) => break,
                Err(failure) => return Err(failure),
            };
            let entry = Entry::from_bytes(&line.entry)
                .map_err(|_| StoreError::Damaged("the line that began an epoch does not parse"))?;
            handovers.push(Handover { entry, proof }.to_bytes());
        }
        Ok(wire::GetHandoversResponse { handovers })
    }

    pub(super) fn consistency(
        &self,
        request: &wire::GetConsistencyProofRequest,
    ) -> Result<wire::GetConsistencyProofResponse, Failure> {
        let (old, new) = (request.old_size, request.new_size);
        let snapshot = self.ledger.store().snapshot()?;
        if new > snapshot.newest().log_size {
            return Err(Failure::NotFound("entry that far"));
        }
        let path = consistency_proof(&LogNodes(&snapshot), old, new).map_err(|error| match error {
            ProofError::Shrunk { .. } => FieldError::new("new_size", error).into(),
            ProofError::State(error) => Failure::State(error),
            _ => StoreError::Damaged("the log's hashes do not fit its size").into(),
        })?;
        let path = path.iter().map(|hash| hash.to_vec()).collect();
        Ok(wire::GetConsistencyProofResponse { path })
    }
}
