//! Evidence of cheating: the check that any third party can repeat, from the ceremony and the evidence alone.

use super::message::{Body, Evidence, Message, MessageError};
use threshold::committee::{CommitteeManifest, ParticipantIndex};
use threshold::dkg::{Ceremony, DkgError, check_share};
use threshold::transcript::Domain;

/// The evidence proves nothing against anybody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoEvidence {
    /// The messages are not what the evidence needs.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The key generation's messages prove nothing.
    #[error(transparent)]
    Dkg(#[from] DkgError),
    /// Both are as they should be.
    #[error("the messages do not contradict each other")]
    Sound,
}

/// Who is proven to have cheated.
///
/// # Errors
/// [`NoEvidence`] when nobody is. A member cannot be framed: every message that counts bears its signature.
pub fn culprit(evidence: &Evidence, ceremony: &Ceremony) -> Result<ParticipantIndex, NoEvidence> {
    match evidence {
        Evidence::Equivocation(equivocation) => {
            equivocation.verify(ceremony)?;
            Ok(equivocation.sender)
        }
        Evidence::BadShare { commitments, share } => {
            let commitments = commitments.unpack().map_err(MessageError::from)?;
            let share = share.unpack().map_err(MessageError::from)?;
            match check_share(ceremony, &commitments, &share) {
                Ok(()) => Err(NoEvidence::Sound),
                Err(error) => error.culprits().first().copied().ok_or(NoEvidence::Dkg(error)),
            }
        }
    }
}

/// Whether a message holds its sender's signature on this manifest.
pub(super) fn signs(message: &Message, manifest: &CommitteeManifest) -> bool {
    let (
        Body::Sign {
            manifest: digest,
            signature,
        },
        Some(member),
    ) = (&message.body, manifest.member(message.sender))
    else {
        return false;
    };
    *digest == manifest.digest()
        && member
            .identity
            .verify(Domain::ManifestSignature, digest.as_bytes(), signature)
            .is_ok()
}
