//! This organisation's signature on the log, as it was with a final block of its own store.

use ed25519_dalek::SigningKey;
use golden_record::{Checkpoint, CheckpointError, SignedCheckpoint};
use threshold::name::Name;

use crate::store::{Snapshot, StoreError};

/// Why a checkpoint was not signed. This endorser's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The checkpoint has no place in a note.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Signs checkpoints with the key that votes: the genesis pins it, and a vote for a block says the same already.
pub struct CheckpointSigner {
    organisation: Name,
    validator: SigningKey,
}

impl std::fmt::Debug for CheckpointSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckpointSigner")
            .field("organisation", &self.organisation)
            .finish_non_exhaustive()
    }
}

impl CheckpointSigner {
    /// The signer of an organisation with the seed of its validator key.
    #[must_use]
    pub fn new(organisation: Name, seed: &[u8; 32]) -> Self {
        Self {
            organisation,
            validator: SigningKey::from_bytes(seed),
        }
    }

    /// The checkpoint of the final block with which the log has `log_size` entries, 0 for the newest block; nothing when
    /// no block ends there. There is no way to have anything else signed.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign(&self, snapshot: &Snapshot, log_size: u64) -> Result<Option<SignedCheckpoint>, SignError> {
        let header = match log_size {
            0 => Some(snapshot.newest().clone()),
            size => snapshot.header_with(size)?,
        };
        let Some(header) = header else {
            return Ok(None);
        };
        let mut signed = SignedCheckpoint::unsigned(Checkpoint::of(&header))?;
        signed.sign(&self.organisation, &self.validator)?;
        Ok(Some(signed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        common::{World, name},
        testing::{NOW_MS, commit, ledger},
    };

    fn signer() -> CheckpointSigner {
        CheckpointSigner::new(name("alpha"), &World::validator("alpha").to_bytes())
    }

    #[test]
    fn every_final_block_has_its_checkpoint_and_nothing_else_has_one() {
        let world = World::new(NOW_MS);
        let ledger = ledger(&world);
        let foundation = world.foundation();
        // Blocks that end with 3, 3 (an empty one), and 5 entries.
        commit(&ledger, &foundation[..3], NOW_MS);
        commit(&ledger, &[], NOW_MS);
        commit(&ledger, &foundation[3..5], NOW_MS);
        let snapshot = ledger.store().snapshot().unwrap();
        let sizes: Vec<u64> = (0..8)
            .filter_map(|size| signer().sign(&snapshot, size).unwrap())
            .map(|signed| {
                let signers = signed.signers(&world.genesis).unwrap();
                assert_eq!(signers.organisations, [name("alpha")].into());
                signed.checkpoint().size
            })
            .collect();
        assert_eq!(sizes, [5, 3, 5]);
        let newest = signer().sign(&snapshot, 0).unwrap().unwrap();
        assert_eq!(*newest.checkpoint(), Checkpoint::of(snapshot.newest()));
    }
}
