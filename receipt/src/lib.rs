//! Put all that shows one read into one file, and check it offline against pinned roots, without any I/O.
//!
//! A [`Receipt`] holds the request and its verdict, their place in the log with the votes that made it final, the
//! approval certificates, the wrapped key, the committee, and each crypto node's share with its proof and its signed
//! statement. [`Receipt::verify`] needs nothing else but [`PinnedRoots`], and ends in one of three ways: it is valid; a
//! step fails, and which; or something that it takes is not there, so that one cannot tell ([`NotValid`]).
//!
//! `docs/read-receipt.md` lays the file down, and `vectors/` freezes one.

mod report;
mod roots;
mod text;
mod verify;

use approval::{MAX_CERTIFICATE_SIZE, MAX_CERTIFICATES};
use golden_record::{Entry, EntryProof, Handover, SignedCheckpoint};
use threshold::committee::SignedManifest;
use threshold::reencrypt::ReencryptionShare;
use threshold::statement::ReleaseStatement;
use threshold::wrap::WrappedKey;

pub use report::{NotValid, Report, Step, StepOutcome, Verdict};
pub use roots::{MAX_ROOTS, PinnedApproval, PinnedRoots, RootsError};
pub use text::{FormError, MAX_RECEIPT};

/// All that shows one read. That its parts belong together, and that any of it is true, is for
/// [`Receipt::verify`] to say.
///
/// The first two parts are always there. A denied read has no others but a checkpoint, perhaps. An approved read has all,
/// unless nobody who made the receipt had them: approval certificates and shares are known to the reader and the
/// coordinator alone, and are not on the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The request and its verdict, as they are in the log.
    pub entry: Entry,
    /// Who decides since the genesis: each epoch of endorsers up to the proof's, handed over by the one before.
    pub handovers: Vec<Handover>,
    /// That they are in the log.
    pub proof: EntryProof,
    /// The log with the request's block, for the tools of other transparency logs.
    pub checkpoint: Option<SignedCheckpoint>,
    /// The data key that was released, wrapped.
    pub wrapped_key: Option<WrappedKey>,
    /// The approval certificates, X.509 in DER.
    pub certificates: Vec<Vec<u8>>,
    /// Who held the custody key, signed by all of them.
    pub committee: Option<SignedManifest>,
    /// The shares, each with its proof.
    pub shares: Vec<ReencryptionShare>,
    /// What each node has signed about its share.
    pub statements: Vec<ReleaseStatement>,
}

impl Receipt {
    /// Reads a receipt. Bounded before anything is allocated; a text is accepted only if it is the very one that its
    /// parts give.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        text::parse(bytes)
    }

    /// The file.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::write(self)
    }

    /// Checks every part against the pinned roots and against each other.
    ///
    /// # Errors
    /// [`NotValid`]: a step fails, or something that it takes is not there. Every step up to there is listed.
    pub fn verify(&self, roots: &PinnedRoots) -> Result<Report, NotValid> {
        verify::run(self, roots)
    }
}

/// Reads a receipt and checks it: what a court does with a file.
///
/// # Errors
/// [`NotValid`], whose first step, `form`, is the one that fails when the bytes are no receipt.
pub fn verify(bytes: &[u8], roots: &PinnedRoots) -> Result<(Receipt, Report), NotValid> {
    let receipt = Receipt::parse(bytes).map_err(|error| NotValid::form(&error))?;
    let report = receipt.verify(roots)?;
    Ok((receipt, report))
}

/// Limits that are checked before a part is decoded.
pub(crate) const LARGEST_CERTIFICATE: usize = MAX_CERTIFICATE_SIZE;
/// How many certificates are looked at.
pub(crate) const MOST_CERTIFICATES: usize = MAX_CERTIFICATES;
