//! The canary: a fresh key, wrapped and opened by a new committee before its custody key is used.
//!
//! A canary's label has version 0, which no document has: documents count their versions from 1, and the ledger
//! refuses version 0. So a canary can never be taken for a document, nor a document for a canary.

use crate::committee::CommitteeManifest;
use crate::ids::{ApproveId, CeremonyId};
use crate::label::Label;
use crate::name::{DocumentName, Name, NameError};
use crate::reencrypt::{
    CombineError, Context, ContextError, OpenError, ReaderKey, VerifiedShare, combine, open,
};
use crate::secret::DataKey;
use crate::transcript::{Domain, Transcript};
use crate::wrap::{WrapError, WrappedKey, wrap};
use rand_core::{CryptoRng, RngCore};
use subtle::ConstantTimeEq;

#[cfg(test)]
mod tests;

/// The version in a canary's label.
pub const CANARY_VERSION: u64 = 0;

/// Why a canary did not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CanaryError {
    /// The canary's label could not be formed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The canary was not wrapped.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// The canary is not under the committee's key.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The shares did not combine.
    #[error(transparent)]
    Combine(#[from] CombineError),
    /// The combination did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It opened to another key.
    #[error("the canary opened to another key than was wrapped")]
    OtherKey,
}

/// The label of a ceremony's canary: `installation:canary/canary/<ceremony id>#0`.
///
/// # Errors
/// None that occur: the parts are names.
pub fn canary_label(installation: &Name, ceremony: CeremonyId) -> Result<Label, NameError> {
    Ok(Label {
        installation: installation.clone(),
        tenant: Name::new("canary")?,
        dataset: Name::new("canary")?,
        document: DocumentName::new(&ceremony.to_string())?,
        version: CANARY_VERSION,
    })
}

/// Whether a label is reserved for canaries.
#[must_use]
pub const fn is_canary(label: &Label) -> bool {
    label.version == CANARY_VERSION
}

/// The approve id of a ceremony's canary for one wrapped key and reader; a transaction never hashes to it.
#[must_use]
pub fn canary_approve_id(ceremony: CeremonyId) -> ApproveId {
    ApproveId(
        Transcript::new(Domain::Canary)
            .append("ceremony", ceremony.as_bytes())
            .digest(),
    )
}

/// A canary in flight: the key that was wrapped, its wrapping, and the reader who will open it.
pub struct Canary {
    ceremony: CeremonyId,
    data_key: DataKey,
    reader: ReaderKey,
    wrapped: WrappedKey,
}

impl Canary {
    /// Wraps a fresh key under a committee's new custody key.
    ///
    /// # Errors
    /// [`CanaryError::Name`] or [`CanaryError::Wrap`].
    pub fn release(
        manifest: &CommitteeManifest,
        installation: &Name,
        ceremony: CeremonyId,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, CanaryError> {
        let data_key = DataKey::generate(rng);
        let label = canary_label(installation, ceremony)?;
        let wrapped = wrap(manifest.custody_key(), &label, &data_key, rng)?;
        Ok(Self {
            ceremony,
            data_key,
            reader: ReaderKey::generate(rng),
            wrapped,
        })
    }

    /// The wrapped key, which the members are sent.
    #[must_use]
    pub const fn wrapped(&self) -> &WrappedKey {
        &self.wrapped
    }

    /// The reader's key, which the members are sent.
    #[must_use]
    pub fn reader(&self) -> crate::signature::PublicKey {
        self.reader.public()
    }

    /// The context of the members' shares.
    ///
    /// # Errors
    /// [`CanaryError::Context`].
    pub fn context<'a>(&self, manifest: &'a CommitteeManifest) -> Result<Context<'a>, CanaryError> {
        let approve_id = canary_approve_id(self.ceremony);
        Ok(Context::new(
            manifest,
            &self.wrapped,
            approve_id,
            &self.reader.public(),
        )?)
    }

    /// Combines t verified shares and checks that the very key comes back.
    ///
    /// # Errors
    /// [`CanaryError`].
    pub fn check(&self, manifest: &CommitteeManifest, shares: &[VerifiedShare]) -> Result<(), CanaryError> {
        let reencryption = combine(&self.context(manifest)?, shares)?;
        let opened = open(&self.reader, &reencryption, &self.wrapped)?;
        if bool::from(opened.ct_eq(&self.data_key)) {
            Ok(())
        } else {
            Err(CanaryError::OtherKey)
        }
    }
}

impl core::fmt::Debug for Canary {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Canary")
            .field("ceremony", &self.ceremony)
            .finish_non_exhaustive()
    }
}
