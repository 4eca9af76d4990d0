//! What a certificate says, before anybody has checked that it is true.

use threshold::signature::PublicKey;

use crate::certificate;
use crate::check::MAX_CERTIFICATE_SIZE;
use crate::fields::ApprovalFields;
use crate::refusal::CertificateFault;

/// Read what one certificate states, with its form checked and its issuer and signature not: to learn which read it is
/// about, before it is known whose roots it must be checked against. It approves nothing.
///
/// # Errors
/// The first [`CertificateFault`].
pub fn read_unverified(certificate: &[u8]) -> Result<ApprovalFields, CertificateFault> {
    if certificate.is_empty() || certificate.len() > MAX_CERTIFICATE_SIZE {
        return Err(CertificateFault::Size);
    }
    let claim = certificate::read_claim(certificate)?;
    let q = PublicKey::from_bytes(&claim.q).map_err(|_| CertificateFault::ReaderKey)?;
    Ok(claim.with_reader_key(q))
}
