//! Round 2: each dealer's share for each member.

use crate::committee::ParticipantIndex;
use crate::encoding::{Canonical, DecodeError, Reader, Writer};
use crate::group::decode_scalar;
use crate::ids::CeremonyId;
use crate::secret::SecretScalar;
use crate::transcript::SUITE_ID;
use curve25519_dalek::scalar::Scalar;
use frost_ed25519 as frost;
use zeroize::Zeroizing;

/// What travels, in confidence, to one member: the dealer's polynomial at the member's index.
///
/// Encoded as version 1, suite, the share (32, little-endian, below the group order and not zero). Secret.
#[derive(Debug)]
pub struct Package {
    /// f(i).
    pub share: SecretScalar,
}

const VERSION: u8 = 1;
const LENGTH: usize = 34;

impl Package {
    /// The encoding in a buffer that is wiped.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::with_capacity(LENGTH);
        self.encode(&mut writer);
        Zeroizing::new(writer.finish())
    }
}

impl Canonical for Package {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(SUITE_ID);
        writer.fixed(self.share.expose().as_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.u8()? != VERSION || reader.u8()? != SUITE_ID {
            return Err(DecodeError::UnknownVersion("round-2 package"));
        }
        let share = SecretScalar::new(decode_scalar(reader)?);
        if *share.expose() == Scalar::ZERO {
            return Err(DecodeError::Invalid("share"));
        }
        Ok(Self { share })
    }
}

/// What stays: this member's share of its own polynomial. Consumed by [`super::part3`], wiped when dropped.
pub struct SecretPackage {
    pub(super) ceremony: CeremonyId,
    pub(super) index: ParticipantIndex,
    pub(super) frost: frost::keys::dkg::round2::SecretPackage,
}

impl core::fmt::Debug for SecretPackage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("round2::SecretPackage")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
