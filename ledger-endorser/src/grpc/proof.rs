//! What proves that the log only grows, to anybody who can connect: sizes and hashes tell nothing of its content, and a
//! witness that had to be admitted could be kept out.

use golden_record::{
    merkle::{ProofError, consistency_proof},
    queries::LogNodes,
};
use proto::{field::FieldError, ledger as wire};

use super::Endorser;
use crate::{status::Failure, store::StoreError};

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
