//! Evidence of cheating: the check that any third party can repeat, from the ceremony and the evidence alone.

use super::message::{Body, Evidence, MAX_EVIDENCE, Message, MessageError, Nested};
use super::plan::Plan;
use threshold::canary::canary_approve_id;
use threshold::committee::{CommitteeManifest, ParticipantIndex};
use threshold::dkg::{DkgError, check_message, check_share};
use threshold::encoding::{Canonical, DecodeError};
use threshold::reencrypt::{Context, VerifiedShare, verify_share};
use threshold::reshare::Party;
use threshold::signature::PublicKey;
use threshold::transcript::Domain;
use threshold::wrap::WrappedKey;
use threshold::{repair, reshare};

/// The evidence proves nothing against anybody.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEvidence {
    /// The messages are not what the evidence needs.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The key generation's messages prove nothing.
    #[error(transparent)]
    Dkg(#[from] DkgError),
    /// The resharing's messages prove nothing.
    #[error(transparent)]
    Resharing(#[from] reshare::NoEvidence),
    /// The repair's messages prove nothing.
    #[error(transparent)]
    Repair(#[from] repair::NoEvidence),
    /// Both are as they should be.
    #[error("the messages do not contradict each other")]
    Sound,
    /// It is evidence of another kind of ceremony.
    #[error("this is not evidence of this kind of ceremony")]
    OtherKind,
}

impl From<DecodeError> for NoEvidence {
    fn from(error: DecodeError) -> Self {
        Self::Message(error.into())
    }
}

/// Who is proven to have cheated.
///
/// # Errors
/// [`NoEvidence`] when nobody is. A member cannot be framed: every message that counts bears its signature.
pub fn culprit(evidence: &Evidence, plan: &Plan) -> Result<PublicKey, NoEvidence> {
    let seat = |index: ParticipantIndex| plan.seated(index).ok_or(NoEvidence::OtherKind);
    let dealer = |index: ParticipantIndex| plan.dealing(index).ok_or(NoEvidence::OtherKind);
    let blamed = |checked: Result<(), DkgError>| match checked {
        Ok(()) => Err(NoEvidence::Sound),
        Err(error) => error
            .culprits()
            .first()
            .map_or(Err(error.into()), |culprit| seat(*culprit)),
    };
    match (evidence, plan) {
        (Evidence::Equivocation(equivocation), Plan::Generation(ceremony)) => {
            equivocation.verify(ceremony)?;
            seat(equivocation.sender)
        }
        (Evidence::BadShare { commitments, share }, Plan::Generation(ceremony)) => {
            blamed(check_share(ceremony, &commitments.unpack()?, &share.unpack()?))
        }
        (Evidence::BadMessage(message), Plan::Generation(ceremony)) => {
            blamed(check_message(ceremony, &message.unpack()?))
        }
        (
            Evidence::BadCanary {
                manifest,
                wrapped,
                q,
                answer,
            },
            _,
        ) => {
            let answer = Message::from_bytes(&answer.0)?;
            answer.verify()?;
            if answer.ceremony == plan.id() && answers(&answer, manifest, wrapped, q)?.is_none() {
                Ok(answer.sender)
            } else {
                Err(NoEvidence::Sound)
            }
        }
        (Evidence::Resharing(evidence), Plan::Resharing(resharing)) => {
            let evidence = reshare::Evidence::from_bytes(&evidence.0)?;
            match evidence.culprit(resharing)?.party {
                Party::Dealer(index) => dealer(index),
                Party::Receiver(index) => seat(index),
            }
        }
        (Evidence::Repair(evidence), Plan::Repair(repair)) => {
            let evidence = repair::Evidence::from_bytes(&evidence.0)?;
            dealer(evidence.culprit(repair)?.helper)
        }
        _ => Err(NoEvidence::OtherKind),
    }
}

/// What a resharing found, to be passed on.
pub(super) fn of_resharing(evidence: &reshare::Evidence) -> Option<Evidence> {
    bounded(evidence.to_bytes()).map(Evidence::Resharing)
}

/// What a repair found, to be passed on.
pub(super) fn of_repair(evidence: &repair::Evidence) -> Option<Evidence> {
    bounded(evidence.to_bytes()).map(Evidence::Repair)
}

fn bounded(bytes: Vec<u8>) -> Option<Nested> {
    (bytes.len() <= MAX_EVIDENCE).then_some(Nested(bytes))
}

/// The share with which a member of a manifest answers a canary, if the answer is as it should be.
///
/// # Errors
/// [`NoEvidence::OtherKind`] when the message answers nothing, or something else: then it shows no fault.
pub(super) fn answers(
    message: &Message,
    manifest: &CommitteeManifest,
    wrapped: &WrappedKey,
    q: &PublicKey,
) -> Result<Option<VerifiedShare>, NoEvidence> {
    let Body::CanaryShare(said) = &message.body else {
        return Err(NoEvidence::OtherKind);
    };
    let member = manifest.member_by_identity(&message.sender);
    let member = member.ok_or(NoEvidence::OtherKind)?;
    if said.manifest != manifest.digest() || said.write_id != wrapped.write_id() || said.q != *q {
        return Err(NoEvidence::OtherKind);
    }
    let context = Context::new(manifest, wrapped, canary_approve_id(message.ceremony), q);
    let context = context.map_err(|_| NoEvidence::OtherKind)?;
    let share = verify_share(&context, &said.share).ok();
    Ok(share.filter(|share| share.index() == member.index))
}

/// Whether a message holds its sender's signature on this manifest.
pub(super) fn signs(message: &Message, manifest: &CommitteeManifest) -> bool {
    let (
        Body::Sign {
            manifest: digest,
            signature,
        },
        Some(member),
    ) = (&message.body, manifest.member_by_identity(&message.sender))
    else {
        return false;
    };
    *digest == manifest.digest()
        && member
            .identity
            .verify(Domain::ManifestSignature, digest.as_bytes(), signature)
            .is_ok()
}
