//! The decision: do these certificates approve the use of this wrapped key, now?

use std::collections::BTreeSet;

use threshold::ids::{ApproveId, BlockHash, ChainId, KeyId, WriteId};
use threshold::label::Label;
use threshold::name::Name;
use threshold::signature::PublicKey;
use threshold::wrap::WrappedKey;

use crate::certificate::Claimed;
use crate::fields::{ApprovalFields, Claim};
use crate::refusal::{CertificateFault, Refusal};
use crate::trust::TrustBundle;

/// More certificates than this are refused before any is looked at.
pub const MAX_CERTIFICATES: usize = 16;
/// A larger certificate is refused before it is parsed. One of the profile has about 900 bytes.
pub const MAX_CERTIFICATE_SIZE: usize = 4096;

/// How long an approval may live and how far clocks may be apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest accepted lifetime (notAfter - notBefore), in seconds.
    pub max_lifetime_s: u64,
    /// By how many seconds a certificate is accepted before its notBefore and after its notAfter.
    pub max_skew_s: u64,
}

impl Default for Limits {
    /// 120 seconds of lifetime, 5 seconds of skew.
    fn default() -> Self {
        Self {
            max_lifetime_s: 120,
            max_skew_s: 5,
        }
    }
}

/// A read that enough organisations approved, for one wrapped key and one reader key. Only [`check`] makes one, so holding one is
/// the proof that every check was done. It ages: ask [`still_valid`](Self::still_valid) again before acting on it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    fields: ApprovalFields,
    organisations: BTreeSet<Name>,
    not_before: u64,
    not_after: u64,
    skew: u64,
}

impl Approved {
    /// The approved transaction.
    #[must_use]
    pub fn approve_id(&self) -> ApproveId {
        self.fields.approve_id
    }

    /// The wrapped key that may be opened.
    #[must_use]
    pub fn write_id(&self) -> WriteId {
        self.fields.write_id
    }

    /// The ephemeral key it may be opened to.
    #[must_use]
    pub fn q(&self) -> PublicKey {
        self.fields.q
    }

    /// The custody key it is wrapped under.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.fields.key_id
    }

    /// The document.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.fields.label
    }

    /// The chain that recorded the approval.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        self.fields.chain_id
    }

    /// The height of the block that recorded it.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.fields.height
    }

    /// That block's hash.
    #[must_use]
    pub fn block_hash(&self) -> BlockHash {
        self.fields.block_hash
    }

    /// The version of trust roots and policy.
    #[must_use]
    pub fn policy_version(&self) -> u32 {
        self.fields.policy_version
    }

    /// Everything that was certified.
    #[must_use]
    pub fn fields(&self) -> &ApprovalFields {
        &self.fields
    }

    /// The organisations that approved.
    #[must_use]
    pub fn organisations(&self) -> &BTreeSet<Name> {
        &self.organisations
    }

    /// The end of the last second in which all certificates are valid, clock skew not counted.
    #[must_use]
    pub fn expires_ms(&self) -> u64 {
        self.not_after.saturating_mul(1000).saturating_add(999)
    }

    /// Ask again, after a pause of any cause, before a share is released (D10). A clock that was stepped back
    /// behind the start of the validity is refused as well.
    ///
    /// # Errors
    /// [`Refusal::NoLongerValid`].
    pub fn still_valid(&self, now_ms: u64) -> Result<(), Refusal> {
        let now = now_ms / 1000;
        let begun = now.saturating_add(self.skew) >= self.not_before;
        let ended = now > self.not_after.saturating_add(self.skew);
        if begun && !ended {
            Ok(())
        } else {
            Err(Refusal::NoLongerValid)
        }
    }
}

/// Check a set of certificates for a wrapped key against the pinned trust, in the order from cheap to expensive: bounds,
/// form, agreement, pins, policy; then Q, the signatures, and the proof of the wrapped key.
///
/// # Errors
/// The first [`Refusal`].
pub fn check(
    certificates: &[impl AsRef<[u8]>],
    wrapped: &WrappedKey,
    trust: &TrustBundle,
    now_ms: u64,
    limits: &Limits,
) -> Result<Approved, Refusal> {
    if certificates.len() > MAX_CERTIFICATES {
        return Err(Refusal::TooManyCertificates {
            count: certificates.len(),
        });
    }
    let claimed = certificates
        .iter()
        .enumerate()
        .map(|(index, certificate)| {
            Claimed::read(certificate.as_ref(), trust, now_ms, limits)
                .map_err(|fault| Refusal::Certificate { index, fault })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let claim = check_agreement(&claimed)?;
    check_pins(claim, trust)?;
    check_wrapped_key(claim, wrapped)?;
    let organisations = check_policy(&claimed, trust)?;
    let q = reader_key(claim).map_err(|fault| Refusal::Certificate { index: 0, fault })?;
    for (index, certificate) in claimed.iter().enumerate() {
        certificate
            .verify()
            .map_err(|fault| Refusal::Certificate { index, fault })?;
    }
    wrapped.verify().map_err(|_| Refusal::WrapProof)?;
    Ok(Approved {
        fields: claim.clone().with_reader_key(q),
        organisations,
        // All must be valid at once.
        not_before: claimed
            .iter()
            .map(|certificate| certificate.not_before)
            .max()
            .unwrap_or(u64::MAX),
        not_after: claimed
            .iter()
            .map(|certificate| certificate.not_after)
            .min()
            .unwrap_or(0),
        skew: limits.max_skew_s,
    })
}

/// Check one certificate by itself, signature included. A client uses it to drop a bad endorser's answer before it
/// gathers a set for [`check`]; it approves nothing.
///
/// # Errors
/// The first [`CertificateFault`].
pub fn check_certificate(
    certificate: &[u8],
    trust: &TrustBundle,
    now_ms: u64,
    limits: &Limits,
) -> Result<(Name, ApprovalFields), CertificateFault> {
    let claimed = Claimed::read(certificate, trust, now_ms, limits)?;
    let q = reader_key(&claimed.claim)?;
    claimed.verify()?;
    Ok((
        claimed.organisation.name().clone(),
        claimed.claim.with_reader_key(q),
    ))
}

/// One organisation, one certificate; one statement by all of them.
fn check_agreement<'a>(claimed: &'a [Claimed<'_>]) -> Result<&'a Claim, Refusal> {
    let (first, others) = claimed.split_first().ok_or(Refusal::NoCertificates)?;
    let mut organisations = BTreeSet::new();
    for certificate in claimed {
        if !organisations.insert(certificate.organisation.name()) {
            return Err(Refusal::RepeatedOrganisation(
                certificate.organisation.name().clone(),
            ));
        }
    }
    for (index, other) in others.iter().enumerate() {
        if let Some(field) = first.claim.difference(&other.claim) {
            return Err(Refusal::Disagreement {
                index: index + 1,
                field,
            });
        }
    }
    Ok(&first.claim)
}

fn check_pins(claim: &Claim, trust: &TrustBundle) -> Result<(), Refusal> {
    if claim.chain_id != trust.chain_id() {
        return Err(Refusal::Chain);
    }
    if claim.label.installation != *trust.installation() {
        return Err(Refusal::Installation);
    }
    if claim.policy_version != trust.version() {
        return Err(Refusal::PolicyVersion {
            certified: claim.policy_version,
            pinned: trust.version(),
        });
    }
    Ok(())
}

fn check_wrapped_key(claim: &Claim, wrapped: &WrappedKey) -> Result<(), Refusal> {
    if claim.key_id != wrapped.key_id() {
        return Err(Refusal::KeyId);
    }
    if claim.label != *wrapped.label() {
        return Err(Refusal::Label);
    }
    if claim.write_id != wrapped.write_id() {
        return Err(Refusal::WriteId);
    }
    Ok(())
}

/// The policy over the organisations that the certificates point to. Cheap, so before the signatures; every one of which must
/// verify afterwards, or the set is refused as a whole.
fn check_policy(claimed: &[Claimed<'_>], trust: &TrustBundle) -> Result<BTreeSet<Name>, Refusal> {
    let organisations: BTreeSet<Name> = claimed
        .iter()
        .map(|certificate| certificate.organisation.name().clone())
        .collect();
    if trust.policy().evaluate(&organisations) {
        Ok(organisations)
    } else {
        Err(Refusal::PolicyNotSatisfied {
            policy: trust.policy().to_string(),
        })
    }
}

fn reader_key(claim: &Claim) -> Result<PublicKey, CertificateFault> {
    PublicKey::from_bytes(&claim.q).map_err(|_| CertificateFault::ReaderKey)
}
